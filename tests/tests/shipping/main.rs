//! A client and a server, with a real sshd between them: what the recorder writes is on the server, whatever is killed; and
//! where the server is not the one that was pinned, or does not want the client any more, nothing is sent, it is said, and the
//! recording goes on.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

mod cuts;
mod full_disk;
mod power_cut;
mod site;

use pofr_core::{
    fact::Fact,
    record::{Event, Record},
    wire::v2::{Bundle, salvage},
};
use pofr_tests::sshd::{descendants, kill, lives};
use serde_json::Value;
use site::{CIDUSER, Site};
use std::{
    collections::BTreeSet,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

/// The command lines of all processes that bundles tell of.
fn command_lines(bundles: &[Bundle]) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for record in bundles.iter().flat_map(|bundle| bundle.records().unwrap()) {
        let facts: Vec<Fact> = match record.unwrap() {
            Record::Sample(sample) => sample.added.into_iter().map(|added| added.fact).collect(),
            Record::Event(Event::Began { fact, .. } | Event::Passed { fact, .. }) => vec![fact],
            Record::Event(_) | Record::Gap(_) => Vec::new(),
        };
        for fact in facts {
            if let Fact::Process(process) = fact {
                let arguments = process.key.arguments.unwrap_or_default();
                lines.insert(String::from_utf8_lossy(arguments.as_bytes()).replace('\0', " "));
            }
        }
    }
    lines
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
        entries.any(|entry| std::fs::read(entry.path()).is_ok_and(|frames| salvage(&frames).header.is_some()))
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
    // Other tests have an ssh of their own at the same time; ours is told by its directory.
    let lines = command_lines(&bundles);
    let of = |what: &str| {
        let named = format!("{}{what}", site.dir.path().display());
        lines.iter().filter(move |line| line.contains(&named)).cloned().collect::<Vec<_>>()
    };
    assert!(!of("/data receive ").is_empty(), "the server's side is recorded, being on the same machine");
    assert_eq!(of("/run/ship"), [""; 0], "the shipper and ssh are not");
}

#[test]
fn with_a_user_of_its_own_the_shipper_can_nothing_else() {
    if !rustix::process::geteuid().is_root() {
        // `test` runs as root; to become another user takes no less.
        eprintln!("skipped: only root can become another user");
        return;
    }
    let site = Site::new();
    std::fs::write(site.path("pofrc.toml"), "ship-user = \"nobody\"\n").unwrap();
    // The way to the places must be open to that user; they themselves are not.
    std::fs::set_permissions(site.dir.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    site.start();
    site.until("bundles are there", || site.seqs().len() >= 2);
    site.until("they leave the spool", || site.waiting() <= 1);
    let shipper = site.shipper();
    for pid in [vec![shipper], descendants(shipper)].concat() {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
        };
        assert!(!field("Uid:").split(' ').any(|uid| uid == "0"), "{status}");
        assert_eq!((field("NoNewPrivs:"), field("Groups:")), ("1".to_owned(), String::new()), "{status}");
        // What is left in the bounding set, it can never get again.
        for set in ["CapPrm:", "CapEff:", "CapInh:", "CapAmb:"] {
            assert_eq!(field(set), "0000000000000000", "{set} of {status}");
        }
    }
    let writes = |path: &str| {
        let mut touch = Command::new("setpriv");
        touch.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "touch"]);
        touch.arg(site.path(path)).stderr(Stdio::null()).status().unwrap().success()
    };
    for path in
        ["spool/x", "spool/.open/x", "spool/.open/mark", "state/x", "state/id", "state/known_hosts", "run/x"]
    {
        assert!(!writes(path), "{path}");
    }
    assert!(writes("spool/.acked/x") && writes("run/ship/x"));
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
                let left = descendants(shipper);
                assert!(!left.is_empty(), "ssh is its child");
                kill(shipper);
                site.until("it is gone", || site.status()["shipping"]["pid"].is_null());
                let trouble = site.status()["shipping"]["trouble"].clone();
                assert!(trouble.as_str().is_some_and(|t| t.contains("does not run")), "{trouble}");
                let said = site.start();
                assert!(said.contains(" again: process "), "{said}");
                assert_ne!(site.shipper(), shipper);
                site.until("what it left has ended by itself", || !left.iter().copied().any(lives));
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

#[test]
fn a_new_key_takes_the_old_ones_place_once_the_server_lets_it_in() {
    let site = Site::new();
    site.start();
    site.until("bundles are there", || !site.seqs().is_empty());
    let old = site.key();
    let asked = site.pofrc(&["rotate-key", "--no-wait"]);
    let said = String::from_utf8(asked.stdout.clone()).unwrap();
    assert!(asked.status.success() && said.contains("PENDING: the old key holds"), "{asked:?}");
    let next = std::fs::read_to_string(site.path("state/id.next.pub")).unwrap().trim().to_owned();
    assert_eq!(site.key(), old);
    site.let_in(&next);
    site.sshd.end_sessions();
    let taken = site.pofrc(&["rotate-key"]);
    let said = String::from_utf8(taken.stdout.clone()).unwrap();
    assert!(taken.status.success() && said.contains("the server takes the new key"), "{taken:?}");
    assert_eq!(site.key(), next);
    assert!(!site.path("state/id.next").exists());
    let had = site.seqs().len();
    site.until("sending goes on", || site.seqs().len() >= had + 2);
}

#[test]
fn deregistered_it_records_and_sends_no_more() {
    let site = Site::new();
    site.start();
    site.until("bundles are there", || !site.seqs().is_empty());
    let shipper = site.shipper();
    // Nobody is there to agree.
    let asked = site.pofrc(&["deregister"]);
    assert_eq!(asked.status.code(), Some(7), "{asked:?}");
    assert!(lives(shipper));
    let done = site.pofrc(&["deregister", "--yes"]);
    let said = String::from_utf8(done.stdout.clone()).unwrap();
    assert!(done.status.success() && said.contains(&format!("pofrs remove {}", site.cid)), "{done:?}");
    assert!(!lives(shipper));
    for gone in ["id", "id.pub", "registration.json", "known_hosts"] {
        assert!(!site.path("state").join(gone).exists(), "{gone}");
    }
    let (had, waiting) = (site.seqs(), site.waiting());
    site.until("the recording goes on", || site.waiting() >= waiting + 2);
    assert_eq!((site.seqs(), site.status()["server"].is_null()), (had, true));
}
