//! The workload: processes with odd names, arguments, files and sockets, all stopped.

use rustix::process::{Pid, Signal, kill_process};
use std::{
    ffi::OsStr,
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream, UdpSocket},
    os::unix::{ffi::OsStrExt as _, process::CommandExt as _},
    path::Path,
    process::{Child, Command, Stdio},
};

/// Tells a copy of this test program that it is the workload, and where it may write.
const WORKLOAD: &str = "POFR_TEST_WORKLOAD";

/// Processes that end with the test.
pub(crate) struct Workload {
    pub(crate) children: Vec<Child>,
    pub(crate) dir: tempfile::TempDir,
}

impl Drop for Workload {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Workload {
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.children.iter().map(Child::id).collect()
    }
}

/// The part that runs as a child: odd files and sockets, then nothing.
#[test]
fn workload() {
    let Some(dir) = std::env::var_os(WORKLOAD) else { return };
    let dir = Path::new(&dir);
    let name = |bytes: &[u8]| dir.join(OsStr::from_bytes(bytes));
    let mut files = vec![
        File::create(name(b"written to")).unwrap(),
        File::create(name(b"new\nline")).unwrap(),
        File::create(name(b"bytes \xff\xfe#%")).unwrap(),
        File::create(name(b"really named (deleted)")).unwrap(),
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(name(b"both")).unwrap(),
        File::create(name(b"gone")).unwrap(),
        File::create(name(b"gone (deleted)")).unwrap(),
    ];
    files.push(File::open(name(b"written to")).unwrap());
    files.push(File::open(dir).unwrap());
    std::fs::remove_file(name(b"gone")).unwrap();
    std::fs::remove_file(name(b"gone (deleted)")).unwrap();
    let mut sockets: Vec<Box<dyn std::any::Any>> = Vec::new();
    for address in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
        let listener = TcpListener::bind(address).unwrap();
        // An IPv4 connection to a dual-stack listener has a mapped address at that end.
        let target = match listener.local_addr().unwrap() {
            any if any.ip().is_unspecified() => format!("127.0.0.1:{}", any.port()),
            other => other.to_string(),
        };
        let client = TcpStream::connect(target).unwrap();
        let (served, _) = listener.accept().unwrap();
        sockets.push(Box::new((client, served, listener)));
    }
    for address in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
        let udp = UdpSocket::bind(address).unwrap();
        if !address.starts_with("0.") {
            udp.connect((udp.local_addr().unwrap().ip(), 9)).unwrap();
        }
        sockets.push(Box::new(udp));
    }
    std::fs::write("/proc/self/comm", "it's ) R 1 (x").unwrap();
    println!("\nready");
    std::io::stdout().flush().unwrap();
    loop {
        std::thread::park();
        std::hint::black_box((&files, &sockets));
    }
}

/// Starts the part of the workload that holds files and sockets, by a command that takes its program and arguments.
pub(crate) fn start_holder(mut command: Command, dir: &Path) -> Child {
    let command =
        command.args(["--exact", "workload::workload", "--nocapture", "--test-threads=1"]).env(WORKLOAD, dir);
    let mut holder = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.map(Result::unwrap).any(|line| line.ends_with("ready")), "the workload began");
    holder
}

/// Starts the workload and stops all of it.
pub(crate) fn start() -> Workload {
    let dir = tempfile::tempdir().unwrap();
    let holder = start_holder(Command::new(std::env::current_exe().unwrap()), dir.path());
    let mut children = vec![holder];
    let mut sleep = |name: &[u8]| {
        let mut command = Command::new("/bin/sleep");
        command.arg0(OsStr::from_bytes(name)).arg("1000").current_dir("/usr");
        children.push(command.spawn().unwrap());
    };
    sleep(b"it's; DROP TABLE x--");
    sleep(b"two words");
    sleep(b"line\nfeed\ttab\x1b[2J\xff");
    let long = "long ".repeat(20_000);
    // It waits for input that never comes, rather than for a child that would outlive it.
    let mut reading = Command::new("/bin/sh");
    reading.args(["-c", "read line", "sh", &long]).stdin(Stdio::piped());
    children.push(reading.spawn().unwrap());
    // A zombie: it has exited, and nobody has asked how.
    children.push(Command::new("/bin/sh").args(["-c", "exit 3"]).spawn().unwrap());
    let mut workload = Workload { children, dir };
    let zombie = workload.children.last().map(Child::id);
    let is_in = |pid: u32, states: &str| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        states.contains(text.split("State:\t").nth(1).unwrap().chars().next().unwrap())
    };
    for child in &mut workload.children {
        let states = if Some(child.id()) == zombie {
            "Z"
        } else {
            kill_process(Pid::from_child(child), Signal::STOP).unwrap();
            "T"
        };
        while !is_in(child.id(), states) {
            std::thread::yield_now();
        }
    }
    workload
}
