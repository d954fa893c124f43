//! The ingest service with the real program: all clients, in turn, once and for good, beside another, with what is kept, and
//! what is held, forgotten and made anew.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

use pofr_core::{
    identity::Cid,
    store::{ActionKind, Ledger, Level},
};
use pofr_ingest::service;
use pofr_schema::Access;
use pofr_tests::{
    days::{Days, days},
    outcome::{outcome, succeed},
    programs::program,
    record::{contents, deliver},
    stores::TestStore,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

const CONFIG: &str = "[levels]\nmax_triads = 4\nperiod = \"day\"\n";

struct Site {
    url: String,
    dir: PathBuf,
}

impl Site {
    /// A server with data of its own; the store is shared.
    fn new(store: &TestStore, dir: &Path) -> Self {
        fs::create_dir_all(dir).unwrap();
        fs::write(dir.join("pofrs.toml"), CONFIG).unwrap();
        Self { url: store.url(), dir: dir.to_owned() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("pofrs"));
        command.arg("--db").arg(&self.url).arg("--data-dir").arg(&self.dir);
        command.arg("--config").arg(self.dir.join("pofrs.toml")).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        outcome(&mut self.command(arguments))
    }

    fn ok(&self, arguments: &[&str]) -> String {
        succeed(&mut self.command(arguments))
    }

    fn inbox(&self, client: &str) -> PathBuf {
        self.dir.join("inbox").join(client)
    }

    fn send(&self, client: &str, bundles: &[PathBuf]) {
        bundles.iter().for_each(|bundle| deliver(bundle, &self.inbox(client)));
    }

    fn waiting(&self, client: &str) -> usize {
        let files = fs::read_dir(self.inbox(client)).unwrap();
        files.filter(|entry| entry.as_ref().unwrap().file_type().unwrap().is_file()).count()
    }

    fn kept(&self, client: &str) -> usize {
        pofr_ingest::Kept::new(self.dir.join("bundles").join(client)).all().unwrap().len()
    }

    fn ledger(&self, client: &str) -> Ledger {
        let store = pofr_schema::open(&self.url, Access::Read).unwrap();
        store.read(&Cid::parse(client).unwrap()).unwrap().ledger().unwrap()
    }

    fn contents(&self, client: &str) -> Vec<String> {
        let store = pofr_schema::open(&self.url, Access::Read).unwrap();
        contents(&mut *store.read(&Cid::parse(client).unwrap()).unwrap())
    }

    /// Everything as one period, whose rows do not depend on what was merged when.
    fn merged(&self, client: &str) -> Vec<String> {
        self.ok(&["archive", "--force", "--client", client]);
        self.ok(&["period", "--client", client]);
        self.contents(client)
    }

    fn watch(&self) -> Child {
        self.command(&["ingest", "--watch"]).stderr(Stdio::piped()).spawn().unwrap()
    }
}

fn terminate(child: Child) -> Output {
    let term = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(term.success());
    child.wait_with_output().unwrap()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn on_every_store(test: impl Fn(&TestStore, &Path, &Days)) {
    let dir = tempfile::tempdir().unwrap();
    let days = days(&dir.path().join("days"), 120, 8);
    for store in TestStore::all(dir.path()) {
        test(&store, &dir.path().join(store.name()), &days);
    }
}

#[test]
fn all_inboxes_are_emptied_once() {
    on_every_store(|store, dir, days| {
        let site = Site::new(store, dir);
        site.send("big", &days.bundles);
        site.send("small", &days.bundles[..2]);
        fs::create_dir_all(site.inbox("empty")).unwrap();
        fs::create_dir_all(site.inbox("small").join("quarantine")).unwrap();
        fs::write(site.inbox("small").join("junk.tar"), "junk").unwrap();
        let (code, out, err) = site.run(&["ingest", "--workers", "2"]);
        assert_eq!(code, 4, "{out}{err}");
        assert!(out.contains("big: 120 bundles stored") && out.contains("small: 2 bundles stored"), "{out}");
        assert!(out.contains("1 file in quarantine"), "{out}");
        assert_eq!((site.waiting("big"), site.waiting("small")), (0, 0));
        assert_eq!((site.kept("big"), site.kept("small")), (120, 2));

        // The levels look after themselves: each day that is over becomes a period.
        for some in days.bundles.chunks(10) {
            site.send("steady", some);
            site.ok(&["ingest", "--client", "steady", "--workers", "1"]);
        }
        // A backlog is archived as it was taken in, a day or more at a time.
        for (client, periods) in [("big", 0..=1), ("steady", 2..=2)] {
            let ledger = site.ledger(client);
            let at = |level| ledger.live().filter(|t| t.level == level).count();
            assert!(at(Level::Slice) <= 5 && at(Level::Archive) <= 4, "{client}: {:#?}", ledger.triads);
            assert!(periods.contains(&at(Level::Period)), "{client}: {:#?}", ledger.triads);
        }

        let out = site.ok(&["ingest"]);
        assert!(out.contains("big: 0 bundles stored"), "{out}");
        // A file that is sent again goes away again.
        site.send("small", &days.bundles[..2]);
        site.ok(&["ingest", "--client", "small"]);
        assert_eq!((site.waiting("small"), site.ledger("small").bundles.len()), (0, 2));

        // However it was sliced and merged, it is what one pass makes of it.
        let calm = Site::new(store, &dir.join("calm"));
        let inbox = days.bundles[0].parent().unwrap().to_str().unwrap().to_owned();
        calm.ok(&["ingest", &inbox, "--client", "calm"]);
        let expected = calm.merged("calm");
        assert!(site.merged("big") == expected, "big differs");
        assert!(site.merged("steady") == expected, "steady differs");
    });
}

#[test]
fn it_watches_until_it_is_told_to_end() {
    on_every_store(|store, dir, days| {
        let site = Site::new(store, dir);
        let service = site.watch();
        for (i, bundle) in days.bundles[..8].iter().enumerate() {
            site.send(if i % 2 == 0 { "one" } else { "two" }, std::slice::from_ref(bundle));
            std::thread::sleep(Duration::from_millis(300));
        }
        until("everything is taken in", || site.waiting("one") + site.waiting("two") == 0);
        // Another may work beside it.
        site.ok(&["ingest"]);
        // With a backlog in front of it, it ends after the bundle that it is at.
        site.send("three", &days.bundles);
        until("it has begun", || site.waiting("three") < 120);
        let output = terminate(service);
        assert!(output.status.success(), "{output:?}");
        let (stored, waiting) = (site.ledger("three").bundles.len(), site.waiting("three"));
        assert_eq!(stored + waiting, 120, "each is stored or waits");
        println!("{}: ended with {stored} of 120 stored", store.name());
        assert_eq!(site.ledger("one").bundles.len() + site.ledger("two").bundles.len(), 8);
        // What was left is taken in by the next.
        site.ok(&["ingest"]);
        assert_eq!(site.ledger("three").bundles.len(), 120);
    });
}

#[test]
fn two_at_once_leave_a_client_to_the_first() {
    on_every_store(|store, dir, days| {
        let site = Site::new(store, dir);
        site.send("one", &days.bundles[..40]);
        let crowd: Vec<Child> = (0..3)
            .map(|_| {
                let mut command = site.command(&["ingest"]);
                command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        let mut worked = 0;
        for child in crowd {
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            match output.status.code() {
                Some(0) => worked += 1,
                Some(5) => assert!(said.contains("is being written by another pofrs"), "{said}"),
                other => panic!("{other:?}: {said}"),
            }
        }
        assert!(worked > 0);
        let ledger = site.ledger("one");
        assert_eq!((ledger.bundles.len(), site.waiting("one")), (40, 0), "each once");

        // While somebody writes, the others say so.
        let held = pofr_schema::open(&site.url, Access::Write).unwrap();
        let writer = held.write(&Cid::parse("one").unwrap()).unwrap();
        site.send("one", &days.bundles[40..41]);
        let (code, _, err) = site.run(&["ingest"]);
        assert!(code == 5 && err.contains("is being written by another pofrs"), "{code}: {err}");
        drop(writer);
        site.ok(&["ingest"]);
        assert_eq!(site.ledger("one").bundles.len(), 41);
    });
}

#[test]
fn what_is_kept_is_a_matter_of_policy_and_of_holds() {
    on_every_store(|store, dir, days| {
        let site = Site::new(store, dir);
        site.send("none", &days.bundles[..3]);
        site.ok(&["ingest", "--keep-bundles", "no"]);
        assert_eq!((site.waiting("none"), site.kept("none")), (0, 0));
        let (code, _, err) = site.run(&["rebuild", "--client", "none"]);
        assert!(code == 1 && err.contains("no bundle of client none is kept"), "{err}");

        site.send("some", &days.bundles[..3]);
        site.ok(&["ingest"]);
        site.ok(&["hold", "--client", "some", "case 7"]);
        assert!(site.ok(&["hold", "--client", "some"]).contains("case 7"));
        let (code, _, err) = site.run(&["hold", "--client", "some", "again"]);
        assert!(code == 1 && err.contains("case 7"), "{err}");
        let late = site.ledger("some").bundles[1].entry.last.0 + 1;
        let forget =
            ["forget", "--client", "some", "--before", &format!("@{late}"), "--yes", "--reason", "old"];
        let (code, _, err) = site.run(&forget);
        assert!(code == 1 && err.contains("a hold forbids it") && err.contains("case 7"), "{err}");
        site.ok(&["ingest", "--keep-bundles", "1d"]);
        assert_eq!(site.kept("some"), 3, "on hold");

        site.ok(&["hold", "--client", "some", "--release", "closed"]);
        let out = site.ok(&forget);
        assert!(out.contains("2 bundles of some forgotten"), "{out}");
        assert_eq!(site.kept("some"), 1);
        let first = site.ledger("some").bundles[0].entry.first.0;
        let (code, out, err) = site.run(&["at", &format!("@{first}"), "ps", "--client", "some"]);
        assert!(
            code == 3 && out.contains("forgotten: everything before") && out.contains("old"),
            "{out}{err}"
        );
        let (code, out, _) = site.run(&["at", &format!("@{first}"), "ps", "--client", "some", "--json"]);
        assert!(code == 3 && out.contains("\"standing\":\"forgotten\""), "{out}");
        // It comes again, and stays forgotten.
        site.send("some", &days.bundles[..1]);
        site.ok(&["ingest"]);
        assert_eq!((site.waiting("some"), site.kept("some")), (0, 1));
        let (code, ..) = site.run(&["at", &format!("@{first}"), "ps", "--client", "some"]);
        assert_eq!(code, 3);

        // Made anew, it is what it was; and when its database is lost, too.
        let before = site.merged("some");
        assert!(site.ok(&["rebuild", "--client", "some", "--reason", "a test"]).contains("made anew"));
        assert_eq!(site.merged("some"), before);
        let done: Vec<ActionKind> = site.ledger("some").actions.iter().map(|a| a.kind).collect();
        assert_eq!(done, [ActionKind::Hold, ActionKind::Release, ActionKind::Forget, ActionKind::Rebuild]);
        assert!(!site.dir.join("rebuild/some").exists());

        // Nothing is left of what is not kept, so nothing is done.
        let kept = pofr_ingest::Kept::new(site.dir.join("bundles/some"));
        let path = kept.all().unwrap().into_values().next().unwrap();
        fs::rename(&path, site.dir.join("away")).unwrap();
        let (code, _, err) = site.run(&["rebuild", "--client", "some"]);
        assert!(code == 1 && err.contains("no bundle of client some is kept"), "{err}");
        assert_eq!(site.contents("some"), before);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::rename(site.dir.join("away"), &path).unwrap();
        // They are older than a day, and nothing holds them any more.
        site.ok(&["ingest", "--keep-bundles", "1d"]);
        assert_eq!(site.kept("some"), 0);
        assert_eq!(site.ledger("some").actions.last().unwrap().kind, ActionKind::Prune);
    });
}

/// Who has a turn, in the order of the turns.
#[derive(Default)]
struct Turns(std::sync::Mutex<Vec<(String, u64)>>);

impl service::Observer for Turns {
    fn waiting(&self, _: u64, _: usize) {}
    fn taken(&self, _: &Cid) {}
    fn merging(&self, _: &Cid, _: Level, _: u64, _: u64) {}
    fn turn(&self, cid: &Cid, turn: &service::Turn) {
        self.0.lock().unwrap().push((cid.to_string(), turn.ingested.stored));
    }
    fn failed(&self, cid: &Cid, error: &service::TurnError, _: Duration) {
        panic!("{cid}: {error}");
    }
    fn idle(&self) {}
}

#[test]
fn nobody_waits_for_the_backlog_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let days = days(&dir.path().join("days"), 120, 4);
    let layout = pofr_ingest::Layout::new(dir.path());
    let store =
        pofr_schema::open(&format!("sqlite:{}", dir.path().join("db").display()), Access::Write).unwrap();
    for (client, count) in [("a-backlog", 120), ("b", 3), ("c", 1)] {
        let inbox = layout.inbox_dir(&Cid::parse(client).unwrap());
        days.bundles[..count].iter().for_each(|bundle| deliver(bundle, &inbox));
    }
    let service = service::Service {
        give_up: std::time::Duration::from_secs(600),
        store: &*store,
        layout,
        options: pofr_ingest::Options::default(),
        policy: pofr_ingest::levels::Policy::default(),
        keep: service::Keep::No,
        who: "tests".into(),
        only: None,
    };
    let turns = Turns::default();
    service.run(service::Until::Empty, &pofr_ingest::Stop::default(), &turns);
    let turns = turns.0.into_inner().unwrap();
    let order: Vec<&str> = turns.iter().map(|(client, _)| client.as_str()).collect();
    assert_eq!(order[..3], ["a-backlog", "b", "c"], "each has had a turn before one has another");
    assert!(order[3..].iter().all(|client| *client == "a-backlog") && order.len() > 3, "{turns:?}");
    assert!(turns[0].1 <= 32, "a turn is a few bundles while others wait: {turns:?}");
    assert_eq!(turns.iter().map(|(_, stored)| stored).sum::<u64>(), 124);
}
