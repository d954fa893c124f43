//! What is done to files, as fanotify tells it, in directories of the tests' own.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]

use pofr_collect::{
    HostView,
    events::{FileEvents, Watch},
};
use pofr_core::{
    EventSource, Source,
    collector::Notice,
    fact::{Fact, FileKey, FileMode},
    gap::{Gap, Severity},
    identity::Entity,
};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

/// Watches; where the kernel refuses, says so, and there is nothing to try.
fn watch(view: &HostView, watches: Vec<Watch>) -> Option<FileEvents> {
    match FileEvents::open(view, watches) {
        Ok(events) => Some(events),
        Err(error) => {
            eprintln!("NOT TRIED: {error}");
            None
        }
    }
}

/// One notice, said shortly: what was done to what below the test's directory, and the pid.
type Line = (String, u32);

/// What was told, and the start ticks of those who could be asked.
struct Told {
    lines: Vec<Line>,
    notices: Vec<Notice>,
}

fn told(events: &mut FileEvents, dir: &Path) -> Told {
    let mut notices = Vec::new();
    events.drain(&mut notices).unwrap();
    let short = |path: &[u8]| {
        let path = String::from_utf8_lossy(path).into_owned();
        path.strip_prefix(&format!("{}/", dir.display())).unwrap_or(&path).to_owned()
    };
    let line = |notice: &Notice| {
        let Notice::Passed { fact, .. } = notice else { return (format!("{notice:?}"), 0) };
        match fact {
            Fact::File(file) => {
                assert_eq!(file.key.fd, FileKey::NO_FD);
                let what = match file.key.mode {
                    FileMode::Read => "read",
                    FileMode::Write => "write",
                    FileMode::Neither => "execute",
                    other => panic!("{other:?}"),
                };
                (format!("{what} {}", short(file.key.path.as_bytes())), file.key.entity.pid().0)
            }
            Fact::Custom(custom) => {
                assert_eq!(custom.source.name(), "file-events");
                let text = |name: &str| custom.attributes.get(name).map(|value| value.escaped());
                let to = custom.attributes.get("to").map(|to| format!(" to {}", short(to.as_bytes())));
                let action = text("action").unwrap();
                let kind = if text("kind").unwrap() == "directory" { "/" } else { "" };
                let line =
                    format!("{action} {}{kind}{}", short(custom.name.as_bytes()), to.unwrap_or_default());
                (line, text("pid").map_or(0, |pid| pid.parse().unwrap()))
            }
            other => panic!("{other:?}"),
        }
    };
    Told { lines: notices.iter().map(line).collect(), notices }
}

/// Runs a program to its end, but leaves it to be asked for its start time.
fn run(program: &Path, arguments: &[&str]) -> Child {
    let child = Command::new(program).args(arguments).spawn().unwrap();
    let pid = Pid::from_child(&child);
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
    child
}

/// Does something in a shell of its own, without another process.
fn sh(script: &str) -> Child {
    run(Path::new("/bin/sh"), &["-c", script])
}

/// A directory of the test's own, by the name that the kernel tells.
fn private() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap();
    (dir, path)
}

fn at(dir: &Path, script: &str) -> String {
    format!("cd '{}' && {script}", dir.display())
}

/// Does things one after the other, and tells what came of each.
fn steps(view: &HostView, events: &mut FileEvents, dir: &Path) {
    let steps: [(&str, &[&str]); 7] = [
        (": > made", &["create made", "write made"]),
        ("exec mv made moved", &["rename made to moved"]),
        ("echo x >> moved", &["write moved"]),
        ("exec cp /bin/true program", &["create program", "write program"]),
        ("exec ./program", &["execute program"]),
        ("exec mkdir sub", &["create sub/"]),
        ("exec rm moved", &["delete moved"]),
    ];
    for (script, expected) in steps {
        let before = view.clock.now();
        let mut child = sh(&at(dir, script));
        let told = told(events, dir);
        let expected: Vec<Line> = expected.iter().map(|line| ((*line).to_owned(), child.id())).collect();
        assert_eq!(told.lines, expected, "{script}");
        for notice in &told.notices {
            let Notice::Passed { fact, ended, .. } = notice else { unreachable!() };
            assert!(*ended > before);
            match fact {
                Fact::File(file) => {
                    assert!(matches!(file.key.entity, Entity::Started { start, .. } if start.0 > 0));
                }
                Fact::Custom(custom) => assert!(custom.attributes.contains_key("start")),
                _ => unreachable!(),
            }
        }
        child.wait().unwrap();
    }
    // What was made in a directory that was made later.
    let mut child = sh(&at(&dir.join("sub"), ": > deep"));
    assert_eq!(
        told(events, dir).lines,
        [("create sub/deep".into(), child.id()), ("write sub/deep".into(), child.id())]
    );
    child.wait().unwrap();
    // Who is gone is named by the pid alone.
    let mut child = sh(&at(dir, ": > quick"));
    child.wait().unwrap();
    let late = told(events, dir);
    assert_eq!(late.lines, [("create quick".into(), child.id()), ("write quick".into(), child.id())]);
    assert!(late.notices.iter().all(
        |n| matches!(n, Notice::Passed { fact: Fact::Custom(c), .. } if !c.attributes.contains_key("start"))
    ));
    // The recorder itself is left out.
    fs::write(dir.join("own"), "x").unwrap();
    fs::remove_file(dir.join("own")).unwrap();
    assert_eq!(told(events, dir).lines, []);
    assert_eq!(events.note(), None);
}

#[test]
fn everything_done_in_a_directory_is_told_with_the_right_process() {
    let (_guard, dir) = private();
    let view = HostView::live().unwrap();
    let Some(mut events) = watch(&view, vec![Watch::changes(&dir)]) else { return };
    steps(&view, &mut events, &dir);
}

/// A tmpfs that goes with the test.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(dir: &Path) -> Option<Self> {
        let done = Command::new("mount").args(["-t", "tmpfs", "pofr-test"]).arg(dir).status().unwrap();
        if !done.success() {
            eprintln!("NOT TRIED: no tmpfs can be mounted here");
        }
        done.success().then(|| Self(dir.to_owned()))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_filesystem_of_its_own_is_watched_as_a_whole() {
    let (_guard, dir) = private();
    let Some(tmpfs) = Tmpfs::mount(&dir) else { return };
    let view = HostView::live().unwrap();
    let Some(mut events) = watch(&view, vec![Watch::changes(&tmpfs.0)]) else { return };
    steps(&view, &mut events, &dir);
    // Directories in directories, at once: no mark of their own is needed.
    let mut child = sh(&at(&dir, "exec mkdir -p x/y/z"));
    let names: Vec<String> = told(&mut events, &dir).lines.into_iter().map(|(line, _)| line).collect();
    assert_eq!(names, ["create x/", "create x/y/", "create x/y/z/"]);
    child.wait().unwrap();
    drop(events);
}

#[test]
fn openings_are_told_from_beginning_to_end_where_they_are_watched() {
    let (_guard, dir) = private();
    fs::write(dir.join("secret"), "x\n").unwrap();
    fs::write(dir.join("other"), "x\n").unwrap();
    let view = HostView::live().unwrap();
    let Some(mut events) = watch(&view, vec![Watch::opens(dir.join("secret"))]) else { return };
    let mut child = sh(&at(&dir, "read -r x < other; read -r x < secret; echo y >> secret"));
    let all = told(&mut events, &dir);
    assert_eq!(all.lines, [("read secret".into(), child.id()), ("write secret".into(), child.id())]);
    for notice in &all.notices {
        assert!(matches!(notice, Notice::Passed { began: Some(began), ended, .. } if began <= ended));
    }
    child.wait().unwrap();
    // A link elsewhere does not hide it.
    fs::hard_link(dir.join("secret"), dir.join("link")).unwrap();
    let mut child = sh(&at(&dir, "read -r x < link"));
    assert_eq!(told(&mut events, &dir).lines, [("read link".into(), child.id())]);
    child.wait().unwrap();
}

#[test]
fn a_file_that_takes_the_place_of_a_watched_one_is_watched() {
    let (_guard, dir) = private();
    fs::write(dir.join("passwd"), "x\n").unwrap();
    let view = HostView::live().unwrap();
    let Some(mut events) =
        watch(&view, vec![Watch::changes(dir.join("passwd")), Watch::changes(dir.join("later"))])
    else {
        return;
    };
    let mut child = sh(&at(&dir, "echo y > passwd+; exec mv passwd+ passwd"));
    assert_eq!(told(&mut events, &dir).lines, [("rename passwd+ to passwd".into(), child.id())]);
    child.wait().unwrap();
    let mut child = sh(&at(&dir, "echo z >> passwd"));
    assert_eq!(told(&mut events, &dir).lines, [("write passwd".into(), child.id())]);
    child.wait().unwrap();
    // A directory that is not there yet, with what is in it before it can be watched.
    let mut child = sh(&at(&dir, "mkdir later; : > later/early"));
    let names: Vec<String> = told(&mut events, &dir).lines.into_iter().map(|(line, _)| line).collect();
    assert_eq!(names, ["create later/", "found later/early"]);
    child.wait().unwrap();
    let mut child = sh(&at(&dir, ": > later/next"));
    let names: Vec<String> = told(&mut events, &dir).lines.into_iter().map(|(line, _)| line).collect();
    assert_eq!(names, ["create later/next", "write later/next"]);
    child.wait().unwrap();
}

/// Returns the gap whose reason begins so.
fn gap<'a>(notices: &'a [Notice], reason: &str) -> Option<&'a Gap> {
    notices.iter().find_map(|notice| match notice {
        Notice::Lost(gap) if gap.reason.starts_with(reason) => Some(gap),
        _ => None,
    })
}

#[test]
fn names_made_in_a_loop_by_one_user_are_counted_and_hide_no_other_directory() {
    let (_guard, dir) = private();
    let (theirs, other) = (dir.join("theirs"), dir.join("other"));
    fs::create_dir(&theirs).unwrap();
    fs::create_dir(&other).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    chown(&theirs, Some(65534), Some(65534)).unwrap();
    let view = HostView::live().unwrap();
    let Some(mut events) = watch(&view, vec![Watch::changes(&dir)]) else { return };
    let text = "import os\ni = 0\nwhile True:\n    n = 'n%d' % i\n    os.close(os.open(n, os.O_CREAT | os.O_WRONLY))\n    os.unlink(n)\n    i += 1";
    let mut attack = Command::new("python3")
        .args(["-c", text])
        .current_dir(&theirs)
        .uid(65534)
        .gid(65534)
        .spawn()
        .unwrap();
    let (mut notices, begun, mut longest) = (Vec::new(), Instant::now(), Duration::ZERO);
    let mut made = 0;
    while gap(&notices, "flood: user 65534 did more in ").is_none() {
        assert!(begun.elapsed() < Duration::from_secs(60), "no flood is told of");
        std::thread::sleep(Duration::from_millis(50));
        if made < 20 {
            assert!(sh(&format!(": > {}/quiet{made}", other.display())).wait().unwrap().success());
            made += 1;
        }
        let before = Instant::now();
        events.drain(&mut notices).unwrap();
        longest = longest.max(before.elapsed());
    }
    attack.kill().unwrap();
    attack.wait().unwrap();
    let flood = gap(&notices, "flood: ").unwrap();
    assert!(flood.reason.contains("/theirs than is told: ") && flood.lost > Some(1_000), "{flood:?}");
    assert!(longest < Duration::from_secs(5), "a drain took {longest:?}");
    let quiet = notices.iter().filter(|notice| format!("{notice:?}").contains("quiet")).count();
    let lost = gap(&notices, "file-events: the queue was full").is_some();
    assert!(lost || quiet >= made, "{quiet} of {made}");
}

#[test]
fn a_full_queue_is_a_gap_and_what_comes_after_is_told() {
    let (_guard, dir) = private();
    let view = HostView::live().unwrap();
    let Some(mut events) = watch(&view, vec![Watch::changes(&dir)]) else { return };
    let room: usize =
        fs::read_to_string("/proc/sys/fs/fanotify/max_queued_events").unwrap().trim().parse().unwrap();
    let mut child = sh(&at(&dir, &format!("i=0; while [ $i -lt {room} ]; do : > f$i; i=$((i+1)); done")));
    child.wait().unwrap();
    let mut notices = Vec::new();
    // So much is read at once.
    for _ in 0..room / 1_000 {
        events.drain(&mut notices).unwrap();
    }
    let gap = gap(&notices, "file-events: the queue was full").expect("it is said");
    assert_eq!((&gap.source, gap.severity), (&Source::parse("file-events"), Severity::Thin));
    assert!(gap.from < gap.to.unwrap());
    assert!(notices.len() > 1_000, "{} notices of {room}", notices.len());
    // Some time later there is room for what this directory has to tell.
    std::thread::sleep(Duration::from_millis(100));
    let mut child = sh(&at(&dir, ": > after"));
    assert_eq!(told(&mut events, &dir).lines.len(), 2);
    child.wait().unwrap();
}

#[test]
fn a_kernel_without_names_tells_of_openings_alone() {
    let (_guard, dir) = private();
    fs::write(dir.join("file"), "x\n").unwrap();
    let view = HostView::live().unwrap();
    let mut events = match FileEvents::open_as_before_names(&view, vec![Watch::opens(&dir)]) {
        Ok(events) => events,
        Err(error) => return eprintln!("NOT TRIED: {error}"),
    };
    let mut child = sh(&at(&dir, "read -r x < file; echo y >> file; : > new"));
    let told = told(&mut events, &dir);
    let expected = ["read file", "write file", "write new"].map(|line| (line.to_owned(), child.id()));
    assert_eq!(told.lines, expected);
    assert!(events.note().unwrap().contains("openings and closings alone"));
    child.wait().unwrap();
}

#[test]
fn what_is_sensitive_can_be_watched_where_it_is_there() {
    let view = HostView::live().unwrap();
    let watches = [Watch::sensitive(&view), Watch::secrets(&view)].concat();
    assert!(
        watches.contains(&Watch::changes("/etc/passwd")) && watches.contains(&Watch::opens("/etc/shadow"))
    );
    assert!(watches.contains(&Watch::opens("/root/.ssh")), "{watches:?}");
    let Some(mut events) = watch(&view, watches) else { return };
    assert_eq!(events.note(), None);
    let mut child = sh("read -r x < /etc/shadow");
    let lines = told(&mut events, Path::new("/etc")).lines;
    assert!(lines.contains(&("read shadow".into(), child.id())), "{lines:?}");
    child.wait().unwrap();
}
