//! Logins: what comes of a log and of logind's files as they are written.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]

use pofr_collect::{HostView, events::LoginEvents};
use pofr_core::{EventSource, collector::Notice, fact::Fact};
use std::{
    fs,
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

/// Looks until something comes, or for `most`; returns the facts as text.
fn look(source: &mut LoginEvents, most: Duration) -> Vec<String> {
    let (begun, mut notices) = (Instant::now(), Vec::new());
    while notices.is_empty() && begun.elapsed() < most {
        source.drain(&mut notices).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    let text = |notice: &Notice| {
        let Notice::Passed { fact: Fact::Custom(fact), began, ended } = notice else { panic!("{notice:?}") };
        assert_eq!((fact.source.name(), *began), ("login", Some(*ended)));
        let all: Vec<String> =
            fact.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{}: {}", fact.name, all.join(" "))
    };
    notices.iter().map(text).collect()
}

fn append(log: &Path, text: &str) {
    let mut file = fs::File::options().append(true).create(true).open(log).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn session(run: &Path, name: &str, leader: u32) {
    let dir = run.join("systemd/sessions");
    fs::create_dir_all(&dir).unwrap();
    let text = format!(
        "UID=1000\nUSER=ann\nTTY=pts/0\nSERVICE=sshd\nREMOTE_HOST=192.0.2.7\nLEADER={leader}\nREALTIME=1700000000000000\n"
    );
    fs::write(dir.join(name), text).unwrap();
    fs::write(dir.join(format!("{name}.ref")), "").unwrap();
}

#[test]
fn whoever_comes_in_is_told_of_with_the_key() {
    const PATIENCE: Duration = Duration::from_secs(20);
    let dir = tempfile::tempdir().unwrap();
    let (log, run) = (dir.path().join("auth.log"), dir.path().join("run"));
    let mut view = HostView::live().unwrap();
    view.run_root.clone_from(&run);
    // No sshd has the highest number, and this process is none.
    let (gone, own) = (u32::MAX, std::process::id());
    let line = |pid: u32, user: &str| {
        format!(
            "Nov 23 10:00:00 web sshd[{pid}]: Accepted publickey for {user} from 192.0.2.7 port 5 ssh2: ED25519 SHA256:JfA\n"
        )
    };
    append(&log, &line(gone, "before"));
    session(&run, "1", gone);
    let mut source = LoginEvents::new(&view, vec![log.clone(), dir.path().join("secure")]).unwrap();
    // Who was there already has a session, with the key that the log told of; the old line by itself is no news.
    let of_session = "address=192.0.2.7 fingerprint=SHA256:JfA key=ED25519 method=publickey";
    assert_eq!(
        look(&mut source, PATIENCE),
        [format!(
            "session 1: {of_session} pid={gone} port=5 service=sshd since=1700000000000000 tty=pts/0 uid=1000 user=ann"
        )]
    );
    assert_eq!(look(&mut source, Duration::from_millis(1500)), [""; 0], "once");
    append(&log, &line(own, "eve\x1b[2J"));
    append(&log, "Nov 23 10:00:00 web sshd[1]: Failed password for ann from 192.0.2.7 port 5 ssh2\n");
    assert_eq!(
        look(&mut source, PATIENCE),
        [format!("ssh {own}: {of_session} pid={own} port=5 sshd=no user=eve\\x1b[2J")]
    );
    append(&log, &line(gone, "ann"));
    session(&run, "2", gone);
    assert_eq!(
        look(&mut source, PATIENCE),
        [
            format!("ssh {gone}: {of_session} pid={gone} port=5 sshd=gone user=ann"),
            format!("session 2: {of_session} pid={gone} port=5 service=sshd tty=pts/0 uid=1000 user=ann"),
        ]
    );
    assert_eq!(source.note(), None);
    // A session's number may come again once it is over.
    fs::remove_file(run.join("systemd/sessions/2")).unwrap();
    assert_eq!(look(&mut source, Duration::from_millis(1500)), [""; 0]);
    session(&run, "2", own);
    assert_eq!(look(&mut source, PATIENCE).len(), 1);
}
