//! A machine of a test's own, as far as a namespace goes: its own /etc, /home, /root, /usr/local, /var/lib, /run and /dev/shm,
//! so that accounts can be made, programs installed and sshd run without touching the one underneath (mount_namespaces(7)).
//!
//! A server has its own network and processes, too (network_namespaces(7), pid_namespaces(7)); a client has not, since the
//! kernel's process events come to the first network namespace alone. A pair of virtual interfaces joins the two. Everything
//! ends when this is dropped, however the test ended.

use std::{
    fs, io,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio},
    sync::Mutex,
    sync::atomic::{AtomicU32, Ordering},
};

/// What the first process of a machine runs: `$1` is the directory with its files, `$2` says whether processes are its own.
const KEEPER: &str = r#"
set -e
dir=$1
mount --make-rprivate /
for part in etc home root usr/local var/lib; do mount --bind "$dir/$part" "/$part"; done
for part in /run /dev/shm; do mount -t tmpfs tmpfs "$part"; done
mkdir -p /run/sshd
if [ "$2" = own ]; then mount -t proc proc /proc; ip link set lo up; fi
sshd=
echo ready
while read -r word; do
    case $word in
        sshd) /usr/sbin/sshd -D -e 2>>/run/sshd.log & sshd=$!; echo "$sshd" ;;
        kill) kill -9 "$sshd"; wait "$sshd" || true; echo dead ;;
    esac
done
if [ -n "$sshd" ]; then kill "$sshd"; fi
# What was left running here is here and nowhere else.
here=$(readlink /proc/self/ns/mnt)
for process in /proc/[0-9]*; do
    pid=${process#/proc/}
    if [ "$pid" != $$ ] && [ "$(readlink "$process/ns/mnt" 2>/dev/null)" = "$here" ]; then kill -9 "$pid" 2>/dev/null || true; fi
done
"#;

/// Which half of a pair a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// With network and processes of its own.
    Server,
    /// With the network and the processes of the machine underneath.
    Client,
}

/// A machine.
#[derive(Debug)]
pub struct Machine {
    keeper: Child,
    commands: Option<ChildStdin>,
    answers: Mutex<BufReader<ChildStdout>>,
    pid: u32,
    kind: Kind,
}

impl Machine {
    /// Makes one, with these programs in its /usr/local/bin.
    ///
    /// # Errors
    /// Where the kernel lets nobody make namespaces: not root, or in a container that may not.
    pub fn start(kind: Kind, programs: &[&Path]) -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("pofr-machine-").tempdir()?.keep();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))?;
        for part in ["home", "root", "usr/local/bin", "var/lib"] {
            fs::create_dir_all(dir.join(part))?;
        }
        done(Command::new("cp").arg("-a").arg("/etc").arg(dir.join("etc")))?;
        let keys = dir.join("etc/ssh");
        for entry in fs::read_dir(&keys)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with("ssh_host_") {
                fs::remove_file(entry.path())?;
            }
        }
        for kind in ["ed25519", "ecdsa"] {
            let file = keys.join(format!("ssh_host_{kind}_key"));
            done(Command::new("ssh-keygen").args(["-q", "-N", "", "-t", kind, "-f"]).arg(file))?;
        }
        for program in programs {
            let name = program.file_name().unwrap_or_default();
            let to = dir.join("usr/local/bin").join(name);
            // A link costs nothing; where it cannot be, a copy.
            if fs::hard_link(program, &to).is_err() {
                fs::copy(program, &to)?;
            }
        }
        let own: &[&str] = match kind {
            Kind::Server => &["--net", "--pid", "--fork", "--kill-child"],
            Kind::Client => &[],
        };
        // The one outside removes the files, however the test ended.
        let mut keeper = Command::new("sh")
            .args(["-c", "trap '' INT TERM HUP; dir=$1; shift; \"$@\"; rm -rf \"$dir\"", "keeper"])
            .arg(&dir)
            .args(["unshare", "--mount", "--propagation", "private"])
            .args(own)
            // Not sh: the first process has to notice the ends of others' children.
            .args(["bash", "-c", KEEPER, "machine"])
            .arg(&dir)
            .arg(if kind == Kind::Server { "own" } else { "shared" })
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (commands, answers) = (keeper.stdin.take(), keeper.stdout.take());
        let answers = Mutex::new(BufReader::new(answers.ok_or_else(|| io::Error::other("no output"))?));
        let mut machine = Self { keeper, commands, answers, pid: 0, kind };
        if machine.answer()? != "ready" {
            return Err(io::Error::other("the machine does not start"));
        }
        machine.pid = child_of(machine.keeper.id())?;
        if kind == Kind::Server {
            machine.pid = child_of(machine.pid)?;
        }
        Ok(machine)
    }

    /// Joins a server's network with the one underneath; returns the server's address and this side's.
    ///
    /// # Errors
    /// Where the kernel has no virtual interfaces to give.
    pub fn join(&self) -> io::Result<(String, String)> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = (std::process::id() % 4096) * 4 + COUNT.fetch_add(1, Ordering::Relaxed) % 4;
        // 198.18.0.0/15 is for tests (RFC 2544); four addresses for each pair.
        let net = format!("198.{}.{}", 18 + (n >> 13 & 1), n >> 6 & 127);
        let (low, here, there) = ((n & 63) * 4, format!("pofr{n}h"), format!("pofr{n}s"));
        let (mine, theirs) = (format!("{net}.{}", low + 1), format!("{net}.{}", low + 2));
        let pid = self.pid.to_string();
        let ip = |words: &[&str]| done(Command::new("ip").args(words));
        ip(&["link", "add", &here, "type", "veth", "peer", "name", &there, "netns", &pid])?;
        ip(&["addr", "add", &format!("{mine}/30"), "dev", &here])?;
        ip(&["link", "set", &here, "up"])?;
        let up = format!("ip addr add {theirs}/30 dev {there} && ip link set {there} up");
        let output = self.sh(&up);
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        Ok((theirs, mine))
    }

    /// Starts sshd, and waits until it listens.
    ///
    /// # Errors
    /// Where the machine is gone, or sshd does not come up within a minute.
    pub fn start_sshd(&mut self) -> io::Result<()> {
        self.command("sshd")?;
        for _ in 0..1200 {
            if self.sh("ss -Hltn sport = :22 | grep -q LISTEN").status.success() {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Err(io::Error::other(format!("sshd does not come up: {}", self.text("cat /run/sshd.log"))))
    }

    /// Kills the sshd that listens; sessions that are there stay.
    ///
    /// # Errors
    /// Where the machine is gone.
    pub fn kill_sshd(&mut self) -> io::Result<()> {
        self.command("kill").map(drop)
    }

    /// Prepares a shell command on the machine, as root, with nothing in its environment.
    #[must_use]
    pub fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.pid.to_string(), "--mount"]);
        if self.kind == Kind::Server {
            command.args(["--net", "--pid"]);
        }
        command.args(["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]);
        command.args(["HOME=/root", "LC_ALL=C.UTF-8", "sh", "-c"]);
        command.arg(format!("cd /root\n{script}")).stdin(Stdio::null());
        command
    }

    /// Runs a script.
    ///
    /// # Panics
    /// Where nsenter cannot be run.
    #[must_use]
    pub fn sh(&self, script: &str) -> Output {
        self.shell(script).output().expect("nsenter runs")
    }

    /// Runs a script that must succeed; returns what it prints.
    ///
    /// # Panics
    /// Where it fails, with what it said.
    pub fn text(&self, script: &str) -> String {
        let output = self.sh(script);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{script}\nended with {}:\n{out}{err}", output.status);
        out.into_owned()
    }

    /// Writes a file on the machine.
    ///
    /// # Panics
    /// Where it cannot.
    pub fn write(&self, path: &str, text: &str) {
        let mut child =
            self.shell(&format!("cat > {path}")).stdin(Stdio::piped()).spawn().expect("nsenter runs");
        child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("the file is written");
        assert!(child.wait().expect("it ends").success(), "cannot write {path}");
    }

    fn command(&mut self, word: &str) -> io::Result<String> {
        let gone = || io::Error::other("the machine is gone");
        writeln!(self.commands.as_mut().ok_or_else(gone)?, "{word}")?;
        self.answer()
    }

    fn answer(&self) -> io::Result<String> {
        let mut line = String::new();
        let mut answers = self.answers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if answers.read_line(&mut line)? == 0 {
            return Err(io::Error::other("the machine is gone: it takes root, and namespaces"));
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Closing the pipe is the sign to end; a server's processes end with its first.
        self.commands = None;
        let _ = self.keeper.wait();
    }
}

fn done(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

/// Returns the one child of a process (proc_pid_task(5)).
fn child_of(pid: u32) -> io::Result<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let child = children.split_whitespace().next().and_then(|child| child.parse().ok());
    child.ok_or_else(|| io::Error::other("the machine is gone"))
}
