//! `pofrs receive` as a program: behind its fence, to the inbox of the client it is for, and as scp's sink.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

use pofr_core::{
    digest::Sha256,
    identity::{BundleSeq, Cid, RunId},
    time::{WallMicros, ZoneOffset},
    wire::{
        link::{Down, Goodbye, Reader, Refusal, Service, Up, Writer},
        name::BundleName,
    },
};
use serde_json::json;
use std::{
    fs::{self, Permissions},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

const CID: &str = "victim-1";

struct Site(tempfile::TempDir);

impl Site {
    fn new(v1: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("inbox").join(CID)).unwrap();
        fs::create_dir(dir.path().join("receive")).unwrap();
        let account = json!({"cid": CID, "ciduser": "c0ffee", "public_key": "", "v1": v1});
        fs::write(dir.path().join("receive/c0ffee.json"), account.to_string()).unwrap();
        fs::write(dir.path().join("pofrs.toml"), "").unwrap();
        Self(dir)
    }

    fn inbox(&self) -> PathBuf {
        self.0.path().join("inbox").join(CID)
    }

    fn command(&self, account: &str) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("pofrs"));
        command.arg("--data-dir").arg(self.0.path()).arg("--config").arg(self.0.path().join("pofrs.toml"));
        command.args(["receive", "--as", account]).env("SSH_CONNECTION", "192.0.2.7 40022 192.0.2.1 22");
        command.env_remove("SSH_ORIGINAL_COMMAND");
        command
    }

    fn start(&self, account: &str) -> Session {
        let mut command = self.command(account);
        Session::of(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()))
    }
}

struct Session {
    child: Child,
    writer: Writer<ChildStdin>,
    reader: Reader<ChildStdout>,
}

impl Session {
    fn of(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let writer = Writer::new(child.stdin.take().unwrap());
        let reader = Reader::new(child.stdout.take().unwrap());
        Self { child, writer, reader }
    }

    fn ask(&mut self, message: &Up) -> Down {
        self.writer.write(message).unwrap();
        self.reader.read().unwrap().expect("an answer")
    }

    fn hello(&mut self) -> Down {
        self.ask(&Up::hello(Service::Receive, &Cid::parse(CID).unwrap(), "test 1"))
    }

    fn end(mut self) -> Option<i32> {
        let _ = self.writer.write(&Up::Bye(Goodbye::Stopping));
        drop(self.writer);
        self.child.wait().unwrap().code()
    }
}

fn bundle(stamp: i64, bytes: &[u8]) -> String {
    BundleName { stamp: WallMicros(stamp), zone: ZoneOffset::UTC, sha256: Sha256::of(bytes) }.to_string()
}

#[test]
fn a_bundle_goes_through_the_fence_into_the_inbox() {
    let site = Site::new(false);
    let mut session = site.start("c0ffee");
    assert!(matches!(session.hello(), Down::Welcome { version: 1, .. }));
    let bytes = vec![7; 300_000];
    let name = bundle(1, &bytes);
    let offer = Up::Offer { name: name.clone(), size: bytes.len() as u64, splice: None };
    assert_eq!(session.ask(&offer), Down::Send { have: 0 });
    for piece in bytes.chunks(100_000) {
        session.writer.write(&Up::Data(piece.to_vec().into())).unwrap();
    }
    assert_eq!(session.ask(&Up::End), Down::Stored { sha256: Sha256::of(&bytes) });
    assert_eq!(session.ask(&Up::Open { run: RunId([1; 16]), seq: BundleSeq(2) }), Down::From { bytes: 0 });
    session.writer.write(&Up::Frames { offset: 0, bytes: vec![1; 10].into() }).unwrap();
    assert!(matches!(session.ask(&Up::Flush), Down::Kept(_)));
    let pid = session.child.id();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let confined = status.lines().any(|line| line == "NoNewPrivs:\t1");
    let has_landlock = fs::read_to_string("/sys/kernel/security/lsm").is_ok_and(|l| l.contains("landlock"));
    assert!(confined || !has_landlock, "where there is Landlock, it is used");
    assert_eq!(session.end(), Some(0));
    assert_eq!(fs::read(site.inbox().join(&name)).unwrap(), bytes);
    let mode = fs::metadata(site.inbox().join(&name)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640, "for the group of the inbox, which ingests it, and nobody else");
    let note = pofr_ingest::receive::Note::read(&site.inbox()).unwrap();
    assert_eq!((note.ip, note.software.as_str()), ("192.0.2.7".parse().ok(), "test 1"));
    // Where there is no system log, the inbox has it.
    if !Path::new("/dev/log").exists() {
        let log = fs::read_to_string(site.inbox().join(".receive.log")).unwrap();
        assert_eq!(log.matches(&format!("stored {name}")).count(), 1, "one line for a bundle: {log}");
        assert!(log.contains("session from 192.0.2.7"), "{log}");
    }
}

#[test]
fn who_has_no_account_is_told_and_nothing_else() {
    let site = Site::new(false);
    for account in ["another", "../receive/c0ffee", "c0ffee/", ""] {
        let mut session = site.start(account);
        let answer = session.reader.read::<Down>().ok().flatten();
        if account == "another" {
            assert!(matches!(answer, Some(Down::Refused { code: Refusal::Revoked, last: true, .. })));
        } else {
            assert!(matches!(answer, None | Some(Down::Refused { .. })), "{account}: {answer:?}");
        }
        assert_ne!(session.end(), Some(0), "{account}");
    }
}

#[test]
fn a_killed_session_leaves_the_next_one_a_clean_inbox() {
    let site = Site::new(false);
    let mut session = site.start("c0ffee");
    session.hello();
    let bytes = vec![9; 50_000];
    let offer = Up::Offer { name: bundle(1, &bytes), size: bytes.len() as u64, splice: None };
    assert_eq!(session.ask(&offer), Down::Send { have: 0 });
    session.writer.write(&Up::Data(bytes[..10_000].to_vec().into())).unwrap();
    session.child.kill().unwrap();
    session.child.wait().unwrap();
    let parts = || {
        let names =
            fs::read_dir(site.inbox()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(".part-")).count()
    };
    assert_eq!(parts(), 1, "it was killed in the middle");
    let mut session = site.start("c0ffee");
    session.hello();
    assert_eq!(parts(), 0);
    assert_eq!(session.ask(&offer), Down::Send { have: 0 });
    session.writer.write(&Up::Data(bytes.clone().into())).unwrap();
    assert!(matches!(session.ask(&Up::End), Down::Stored { .. }));
    assert_eq!(session.end(), Some(0));
}

/// As `sshd` would start a forced command: the client's own is in the environment.
fn ssh_to(site: &Site) -> PathBuf {
    let script = site.0.path().join("ssh");
    let pofrs = assert_cmd::cargo::cargo_bin!("pofrs");
    let text = format!(
        "#!/bin/sh\n# Options, host, then the command.\nwhile [ $# -gt 0 ]; do case \"$1\" in\n\
         -l|-p|-o|-i|-F) shift 2 ;;\n-*) shift ;;\n*) break ;;\nesac; done\nshift\n\
         SSH_ORIGINAL_COMMAND=\"$*\"; export SSH_ORIGINAL_COMMAND\n\
         exec {} --data-dir {} --config {} receive --as c0ffee\n",
        pofrs.display(),
        site.0.path().display(),
        site.0.path().join("pofrs.toml").display(),
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o700)).unwrap();
    script
}

fn fixtures() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/pofr-v1");
    let mut tars: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    tars.retain(|path| path.extension().is_some_and(|e| e == "tar"));
    tars.sort();
    tars
}

#[test]
fn scp_puts_the_first_pofrs_bundles_into_the_inbox() {
    let site = Site::new(true);
    let scp = |files: &[PathBuf], to: &str| {
        let mut scp = Command::new("scp");
        scp.args(["-O", "-q", "-S"]).arg(ssh_to(&site)).args(files).arg(format!("client@server:{to}"));
        scp.output().unwrap()
    };
    let tars = fixtures();
    let said = scp(&tars, "/home/somebody/");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    for tar in &tars {
        let received = fs::read(site.inbox().join(tar.file_name().unwrap())).unwrap();
        assert_eq!(received, fs::read(tar).unwrap());
    }
    // Once more: they are there, which is all that the client wants.
    assert!(scp(&tars[..2], ".").status.success());
    let other = site.0.path().join("authorized_keys");
    fs::write(&other, "ssh-ed25519 AAAA").unwrap();
    let said = scp(&[other], "../../receive/");
    assert!(!said.status.success());
    assert!(String::from_utf8_lossy(&said.stderr).contains("bundle name"), "{said:?}");
    assert_eq!(fs::read_dir(site.0.path().join("receive")).unwrap().count(), 1);
}

#[test]
fn the_login_shell_runs_nothing_and_root_has_no_use_for_it() {
    let site = Site::new(false);
    let mark = site.0.path().join("mark");
    let mut shell = Command::new(assert_cmd::cargo::cargo_bin!("pofrs"));
    shell.arg0("-pofrs-shell").args(["-c", &format!("touch {}", mark.display())]);
    let said = shell.stdin(Stdio::null()).output().unwrap();
    assert!(!said.status.success() && !mark.exists(), "{said:?}");
}
