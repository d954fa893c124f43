//! A client and a server, with a real sshd between them: what the recorder writes is on the server, whatever is killed; and where the server is not the one that
//! was pinned, or does not want the client any more, nothing is sent, it is said, and the recording goes on.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

use pofr_core::{
    fact::Fact,
    record::{Event, Record},
    wire::v2::{Bundle, Limits, open, salvage},
};
use pofr_tests::{
    programs::program,
    sshd::{Sshd, descendants, kill, lives},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    path::PathBuf,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

const CIDUSER: &str = "0123456789abcdef0123456789abcdef";
/// Who has not done within this time never will.
const PATIENCE: Duration = Duration::from_secs(90);

struct Site {
    dir: tempfile::TempDir,
    sshd: Sshd,
    cid: String,
}

impl Site {
    /// A client that a server knows, as `pofrc register` and `pofrs approve` leave them.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sshd = Sshd::start(dir.path());
        let cid = "test-1795434795702210".to_owned();
        let site = Self { dir, sshd, cid };
        for place in ["state", "run", "data/receive"] {
            std::fs::create_dir_all(site.path(place)).unwrap();
        }
        for place in ["state", "run"] {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(site.path(place), std::fs::Permissions::from_mode(0o700)).unwrap();
        }
        std::fs::create_dir_all(site.path("data/inbox").join(&site.cid)).unwrap();
        std::fs::write(site.path("pofrc.toml"), "").unwrap();
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(site.path("state/id"));
        assert!(keygen.status().unwrap().success());
        let me = Command::new("id").arg("-un").output().unwrap();
        let me = String::from_utf8(me.stdout).unwrap().trim().to_owned();
        let status = json!({ "granted": { "ciduser": CIDUSER, "registration_id": "1", "account": me } });
        let registration = json!({
            "version": 1, "server": "127.0.0.1", "port": site.sshd.port(), "cid": site.cid,
            "status": status, "request_id": "1", "desk": "pofrsreg",
        });
        std::fs::write(site.path("state/registration.json"), registration.to_string()).unwrap();
        let account = json!({ "cid": site.cid, "ciduser": CIDUSER, "public_key": site.key() });
        std::fs::write(site.path("data/receive").join(format!("{CIDUSER}.json")), account.to_string())
            .unwrap();
        site.pin();
        site.let_in();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn key(&self) -> String {
        std::fs::read_to_string(self.path("state/id.pub")).unwrap().trim().to_owned()
    }

    /// Pins the host key that the server has now.
    fn pin(&self) {
        let line = format!("[127.0.0.1]:{} {}", self.sshd.port(), self.sshd.host_key());
        std::fs::write(self.path("state/known_hosts"), line).unwrap();
    }

    fn let_in(&self) {
        let receive = format!(
            "{} --data-dir {} receive --as {CIDUSER}",
            program("pofrs").display(),
            self.path("data").display()
        );
        self.sshd.let_in(&[format!("restrict,command=\"{receive}\" {}", self.key())]);
    }

    fn pofrc(&self, args: &[&str]) -> Output {
        let mut pofrc = Command::new(program("pofrc"));
        pofrc
            .arg(args[0])
            .arg("--config")
            .arg(self.path("pofrc.toml"))
            .arg("--run-dir")
            .arg(self.path("run"));
        if args[0] != "stop" && args[0] != "status" {
            pofrc.arg("--state").arg(self.path("state"));
        }
        if args[0] == "start" {
            pofrc.arg("--spool").arg(self.path("spool")).args(["--detach", "--bundle", "1s"]);
        }
        pofrc.args(&args[1..]).stdin(Stdio::null()).output().unwrap()
    }

    fn start(&self) -> String {
        let output = self.pofrc(&["start"]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn status(&self) -> Value {
        serde_json::from_slice(&self.pofrc(&["status", "--json"]).stdout).unwrap_or(Value::Null)
    }

    fn shipper(&self) -> u32 {
        let pid = self.status()["shipping"]["pid"].as_u64().expect("a shipper runs");
        u32::try_from(pid).unwrap()
    }

    /// What the server has, by its numbers.
    fn received(&self) -> Vec<Bundle> {
        let dir = self.path("data/inbox").join(&self.cid);
        let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        let tars = entries.filter(|path| path.extension().is_some_and(|e| e == "tar"));
        let mut bundles: Vec<_> =
            tars.map(|path| open(&std::fs::read(path).unwrap(), Limits::default()).unwrap()).collect();
        bundles.sort_by_key(|bundle| bundle.manifest.seq);
        bundles
    }

    fn seqs(&self) -> Vec<u64> {
        self.received().iter().map(|bundle| bundle.manifest.seq).collect()
    }

    fn waiting(&self) -> usize {
        let entries = std::fs::read_dir(self.path("spool")).unwrap();
        entries.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|e| e == "tar")).count()
    }

    fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is_so() {
            let log = |name: &str| std::fs::read_to_string(self.path(name)).unwrap_or_default();
            assert!(
                began.elapsed() < PATIENCE,
                "waited for: {what}\n{}\nshipper: {}\nsshd: {}",
                self.status()["shipping"],
                log("run/ship.log"),
                log("sshd.log")
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.pofrc(&["stop"]);
    }
}

/// The names of all processes that bundles tell of.
fn names(bundles: &[Bundle]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for record in bundles.iter().flat_map(|bundle| bundle.records().unwrap()) {
        let facts: Vec<Fact> = match record.unwrap() {
            Record::Sample(sample) => sample.added.into_iter().map(|added| added.fact).collect(),
            Record::Event(Event::Began { fact, .. } | Event::Passed { fact, .. }) => vec![fact],
            Record::Event(_) | Record::Gap(_) => Vec::new(),
        };
        for fact in facts {
            if let Fact::Process(process) = fact {
                names.insert(process.key.comm.escaped().to_string());
            }
        }
    }
    names
}

#[test]
fn what_is_recorded_is_on_the_server_and_ssh_is_not_in_the_record() {
    let site = Site::new();
    let said = site.start();
    assert!(said.contains(&format!("bundles go to 127.0.0.1:{}: process ", site.sshd.port())), "{said}");
    site.until("bundles are there", || site.seqs().len() >= 3);
    site.until("they leave the spool", || site.waiting() <= 1);
    let frames = site.path("data/inbox").join(&site.cid).join(".open");
    site.until("what is open is there, too", || {
        let mut entries = std::fs::read_dir(&frames).into_iter().flatten().flatten();
        entries.any(|entry| std::fs::read(entry.path()).is_ok_and(|frames| salvage(&frames).1.is_some()))
    });
    let status = site.status();
    assert_eq!(status["shipping"]["report"]["connected"], true, "{status:#}");
    let text = String::from_utf8(site.pofrc(&["status"]).stdout).unwrap();
    assert!(text.contains("granted, connected, process ") && text.contains("acknowledged bundle "), "{text}");

    let shipper = site.shipper();
    let stopped = site.pofrc(&["stop"]);
    assert!(stopped.status.success(), "{stopped:?}");
    // What was sealed last is sent before the shipper ends, and of that nothing is left.
    let seqs = site.seqs();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    let last = serde_json::from_slice::<Value>(&std::fs::read(site.path("run/last.json")).unwrap()).unwrap();
    assert_eq!(last["bundles"], seqs.len(), "{last}");
    assert!(!lives(shipper) && descendants(shipper).is_empty());

    let bundles = site.received();
    assert!(bundles.iter().all(|bundle| bundle.signature.is_some()), "they are signed");
    let names = names(&bundles);
    assert!(names.contains("sshd"), "a test that sees nothing: {names:?}");
    for left_out in ["ssh", "pofrc-ship"] {
        assert!(!names.contains(left_out), "{left_out} is in the record");
    }
}

#[test]
fn nothing_is_lost_whoever_is_killed() {
    let mut site = Site::new();
    site.start();
    for round in 0..4 {
        site.until("the shipper is connected", || site.status()["shipping"]["report"]["connected"] == true);
        let (shipper, before) = (site.shipper(), site.seqs().len());
        match round {
            0 => descendants(shipper).into_iter().for_each(kill),
            1 => site.sshd.end_sessions(),
            2 => {
                site.sshd.down();
                site.until("something waits", || site.waiting() >= 3);
                site.sshd.up();
            }
            _ => {
                kill(shipper);
                site.until("it is gone", || site.status()["shipping"]["pid"].is_null());
                let trouble = site.status()["shipping"]["trouble"].clone();
                assert!(trouble.as_str().is_some_and(|t| t.contains("does not run")), "{trouble}");
                let said = site.start();
                assert!(said.contains(" again: process "), "{said}");
                assert_ne!(site.shipper(), shipper);
            }
        }
        site.until("more is there", || site.seqs().len() >= before + 3);
    }
    assert!(site.pofrc(&["stop"]).status.success());
    let seqs = site.seqs();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "each once, none missing");
    assert_eq!(site.received().iter().filter(|bundle| !bundle.manifest.complete).count(), 0);
}

/// Waits until nothing more is sent, and looks that it is said and that the recording goes on.
fn is_refused(site: &Site, why: &str) {
    site.until("it is refused", || site.status()["shipping"]["report"]["refused"] == true);
    let trouble = site.status()["shipping"]["trouble"].as_str().unwrap_or_default().to_owned();
    assert!(trouble.starts_with("NOTHING IS SENT: ") && trouble.contains(why), "{trouble}");
    let text = String::from_utf8(site.pofrc(&["status"]).stdout).unwrap();
    assert!(text.contains("TROUBLE    NOTHING IS SENT"), "{text}");
    let log = std::fs::read_to_string(site.path("run/ship.log")).unwrap();
    assert!(log.contains("nothing more is sent: "), "{log}");
    let (had, waiting) = (site.seqs(), site.waiting());
    site.until("the recording goes on", || site.waiting() >= waiting + 2);
    assert_eq!(site.seqs(), had, "nothing was sent");
    // Nor does cron bring it back.
    let said = site.start();
    assert!(said.contains("nothing is sent to 127.0.0.1:"), "{said}");
    assert!(site.status()["shipping"]["pid"].is_null());
}

#[test]
fn another_host_key_is_refused_and_nothing_is_sent() {
    let mut site = Site::new();
    site.start();
    site.until("bundles are there", || !site.seqs().is_empty());
    // Somebody else answers at the server's address, who would take our key.
    site.sshd.down();
    let accepted = |site: &Site| {
        let log = std::fs::read_to_string(site.path("sshd.log")).unwrap();
        log.matches("Accepted").count()
    };
    let before = accepted(&site);
    site.sshd.change_host_key();
    site.sshd.up();
    is_refused(&site, "another host key than the one that is pinned");
    assert_eq!(accepted(&site), before, "nobody logged in");

    // Once somebody has pinned the new one, all that waited is sent.
    site.pin();
    assert!(site.pofrc(&["stop"]).status.success());
    site.start();
    site.until("it is sent", || site.waiting() <= 1);
    let seqs = site.seqs();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
}

#[test]
fn a_revoked_key_ends_the_sending_and_not_the_recording() {
    let site = Site::new();
    site.start();
    site.until("bundles are there", || !site.seqs().is_empty());
    site.sshd.let_in(&[]);
    site.sshd.end_sessions();
    is_refused(&site, "does not take our key");
}

#[test]
fn a_client_that_the_server_removed_is_told_so() {
    let site = Site::new();
    site.start();
    site.until("bundles are there", || !site.seqs().is_empty());
    std::fs::remove_file(site.path("data/receive").join(format!("{CIDUSER}.json"))).unwrap();
    site.sshd.end_sessions();
    is_refused(&site, "takes no bundles");
}

#[test]
fn a_server_with_another_fingerprint_is_not_registered_with() {
    let site = Site::new();
    let before = std::fs::read(site.path("state/known_hosts")).unwrap();
    let server = format!("127.0.0.1:{}", site.sshd.port());
    let wrong = format!("SHA256:{}", "A".repeat(43));
    let output = site.pofrc(&["register", "--server", &server, "--fingerprint", &wrong]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("nothing was sent. It shows\n  SHA256:"), "{said}");
    assert_eq!(std::fs::read(site.path("state/known_hosts")).unwrap(), before);
    // Nobody is there to confirm.
    let output = site.pofrc(&["register", "--server", &server]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("give it with --fingerprint"));
}
