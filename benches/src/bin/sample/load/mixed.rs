//! What is hard to follow, all of it at once and for as long as it is wanted: see [`run`].

use super::{Running, ready, wait_for_the_end};
use std::{
    fs::File,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// Of each kind of process so many.
const OF_EACH: u32 = 5;

/// A process and its child have one descriptor table (CLONE_FILES without CLONE_THREAD); the child replaces what is on
/// descriptor 9 now and then, the parent sleeps. Arguments: number of clone(2), directory.
const SIBLINGS: &str = r#"
    use POSIX ();
    my ($clone, $dir) = @ARGV;
    $SIG{CHLD} = sub { exit };
    POSIX::dup2(0, 9);
    my $child = syscall($clone + 0, 0x400 | 17, 0, 0, 0, 0);
    if ($child == 0) {
        for (my $i = 0; getppid != 1; $i++) {
            my $fd = POSIX::open("$dir/shared-" . ($i % 7), POSIX::O_CREAT() | POSIX::O_RDWR(), 0600);
            POSIX::dup2($fd, 9);
            POSIX::close($fd);
            select undef, undef, undef, 0.35;
        }
        exit;
    }
    <STDIN>;
    kill 9, $child;
"#;

/// Changes its ids back and forth, without a new name.
const IDS: &str = r#"
    $SIG{ALRM} = sub { exit if getppid == 1 };
    while (getppid != 1) { $> = $> ? 0 : 65534; select undef, undef, undef, 0.7; }
"#;

/// Runs until standard input ends:
///
/// - processes whose threads replace a descriptor and exit;
/// - processes that share a descriptor table with a child that changes it;
/// - processes that change their ids, or run their program again under the same name;
/// - children that lose their parents;
/// - storms of short processes;
/// - files that are renamed and removed under those who hold them open.
pub(super) fn run(dir: &Path) -> anyhow::Result<()> {
    let text = dir.display().to_string();
    let mut running = Vec::new();
    let mut children = Vec::new();
    for _ in 0..OF_EACH {
        running.push(Running::start(&["threads".to_owned(), text.clone()])?);
        let perl = |script: &str, args: &[&str]| {
            let mut command = Command::new("perl");
            command.args(["-e", script]).args(args).stdin(Stdio::piped()).spawn()
        };
        // Perl, since this program may not make a process in such a way.
        children.push(perl(SIBLINGS, &[CLONE, &text])?);
        children.push(perl(IDS, &[])?);
        let mut again = Command::new(std::env::current_exe()?);
        again.args(["load", "again", "0"]).stdin(Stdio::piped()).stdout(Stdio::null());
        children.push(again.spawn()?);
    }
    ready();
    std::thread::scope(|scope| {
        scope.spawn(|| repeat(300, |_| sh("sleep 2 & sleep 0.1")));
        scope.spawn(|| repeat(7_000, |_| sh("i=0; while [ $i -lt 200 ]; do /bin/true; i=$((i+1)); done")));
        scope.spawn(|| repeat(900, |_| sh("exec sh -c 'exec sleep 0.4'")));
        scope.spawn(|| hold_and_rename(dir));
        wait_for_the_end();
        for child in &mut children {
            let _ = child.kill();
        }
        drop(running);
        std::process::exit(0)
    })
}

/// The number of clone(2).
#[cfg(target_arch = "x86_64")]
const CLONE: &str = "56";
#[cfg(not(target_arch = "x86_64"))]
const CLONE: &str = "220";

fn repeat(every: u64, mut what: impl FnMut(u64) -> std::io::Result<()>) {
    for i in 0.. {
        if let Err(error) = what(i) {
            eprintln!("a part of the load does not work: {error}");
        }
        std::thread::sleep(Duration::from_millis(every));
    }
}

fn sh(script: &str) -> std::io::Result<()> {
    Command::new("/bin/sh").args(["-c", script]).stdin(Stdio::null()).status().map(drop)
}

/// Has a process hold files open and sleep, and renames and removes them.
fn hold_and_rename(dir: &Path) {
    repeat(10_000, |i| {
        let name = |n: u64| dir.join(format!("held-{i}-{n}"));
        for n in 0..4 {
            File::create(name(n))?;
        }
        let text = dir.display();
        let script =
            format!("exec 5<{text}/held-{i}-0 6<{text}/held-{i}-1 7<{text}/held-{i}-2; exec sleep 60");
        Command::new("/bin/sh").args(["-c", &script]).stdin(Stdio::null()).spawn()?;
        std::thread::sleep(Duration::from_millis(1_500));
        std::fs::remove_file(name(0))?;
        std::fs::rename(name(1), dir.join(format!("moved-{i}")))?;
        // As a log is rotated: the old name leads to another file.
        std::fs::rename(name(2), dir.join(format!("rotated-{i}")))?;
        File::create(name(2)).map(drop)
    });
}

/// Is a process whose first thread sleeps while others replace a descriptor and exit.
pub(super) fn threads(dir: &Path) -> anyhow::Result<()> {
    let own = std::process::id();
    let files: Vec<_> =
        (0..5).map(|i| File::create(dir.join(format!("of-{own}-{i}")))).collect::<std::io::Result<_>>()?;
    let mut replaced = rustix::io::dup(&files[0])?;
    ready();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut turn = 0;
            loop {
                let (file, replaced) = (&files[turn % files.len()], &mut replaced);
                std::thread::scope(|scope| scope.spawn(move || rustix::io::dup2(file, replaced)).join()).ok();
                turn += 1;
                std::thread::sleep(Duration::from_millis(100 + 37 * (turn as u64 % 11)));
            }
        });
        wait_for_the_end();
        std::process::exit(0)
    })
}

/// Sleeps, then is the same program with other arguments.
pub(super) fn again(turn: u64) -> anyhow::Result<()> {
    std::thread::sleep(Duration::from_millis(150 + 50 * (turn % 13)));
    if rustix::process::getppid() == Some(rustix::process::Pid::INIT) {
        return Ok(());
    }
    let error =
        Command::new(std::env::current_exe()?).args(["load", "again", &(turn + 1).to_string()]).exec();
    Err(error.into())
}
