//! The first promise, with the real programs on the real machine: what `pofrc` saw at each stamp is what the database says.
//!
//! `POFR_REPLAY_SECONDS` (5 unless set) is how long it records; the count that it prints is of snapshots compared.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

use pofr_core::{identity::Cid, source::Source, time::WallMicros};
use pofr_schema::Access;
use pofr_tests::{
    programs::program,
    replay::{Snapshot, compare, snapshots},
    stores::TestStore,
};
use std::{
    fs,
    io::Write,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// Something going on: processes that come and go, files opened, deleted and renamed, connections.
fn keep_busy(dir: &Path, stop: &AtomicBool) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = Vec::new();
    let mut n = 0u32;
    while !stop.load(Ordering::Relaxed) {
        n += 1;
        let child = Command::new("sh")
            .args(["-c", &format!("exec 7>{}/f{n}; sleep 0.{}", dir.display(), n % 7)])
            .spawn();
        let file = fs::File::create(dir.join(format!("held {n}\n#"))).unwrap();
        if n.is_multiple_of(3) {
            fs::remove_file(dir.join(format!("held {n}\n#"))).unwrap();
        }
        held.push((TcpStream::connect(address).unwrap(), listener.accept().unwrap(), file, child.unwrap()));
        std::thread::sleep(Duration::from_millis(15));
        if held.len() > 40 {
            let (.., mut child) = held.remove(0);
            child.wait().unwrap();
        }
    }
    for (.., mut child) in held {
        child.wait().unwrap();
    }
}

struct Recording {
    bundles: Vec<PathBuf>,
    snapshots: Vec<Snapshot>,
    _dir: tempfile::TempDir,
}

/// How many bundles the scenarios need.
const BUNDLES: usize = 7;

/// Records until there are enough bundles: on a machine with too much to do, a tick may take a second.
fn record_enough() -> Recording {
    let seconds: u64 = std::env::var("POFR_REPLAY_SECONDS").map_or(5, |s| s.parse().unwrap());
    let mut recordings = (0..4).map(|again| record(seconds << (2 * again)));
    recordings.find(|r| r.bundles.len() >= BUNDLES).expect("the machine has time for a tick a second")
}

fn record(seconds: u64) -> Recording {
    let dir = tempfile::tempdir().unwrap();
    let (out, file, files) = (dir.path().join("out"), dir.path().join("snapshots"), dir.path().join("files"));
    fs::create_dir(&files).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| keep_busy(&files, &stop));
        let mut pofrc = Command::new(program("pofrc"));
        pofrc.args(["record", "--interval", "100ms", "--bundle", &format!("{}ms", seconds * 60)]);
        pofrc.arg("--for").arg(format!("{seconds}s")).arg("--out").arg(&out).arg("--snapshots").arg(&file);
        let done = pofrc.status().unwrap();
        stop.store(true, Ordering::Relaxed);
        assert!(done.success());
    });
    let mut bundles: Vec<PathBuf> =
        fs::read_dir(&out).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_file()).collect();
    bundles.sort();
    let mut snapshots = snapshots(&file);
    snapshots.retain(|s| matches!(s.source, Source::Process | Source::Endpoint));
    Recording { bundles, snapshots, _dir: dir }
}

/// A client's record in the making, by the real `pofrs`.
struct Client<'a> {
    url: &'a str,
    cid: Cid,
    inbox: PathBuf,
}

impl Client<'_> {
    fn pofrs(&self, args: &[&str]) {
        let mut pofrs = Command::new(program("pofrs"));
        let output =
            pofrs.args(["--db", self.url]).args(args).args(["--client", self.cid.as_str()]).output().unwrap();
        assert!(output.status.success(), "pofrs {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn ingest(&self, bundles: &[&PathBuf], workers: &str) {
        fs::create_dir_all(&self.inbox).unwrap();
        for bundle in bundles {
            fs::copy(bundle, self.inbox.join(bundle.file_name().unwrap())).unwrap();
        }
        self.pofrs(&["ingest", self.inbox.to_str().unwrap(), "--workers", workers]);
    }
}

fn check(client: &Client<'_>, snapshots: &[Snapshot], what: &str, there: &dyn Fn(&Snapshot) -> bool) {
    let store = pofr_schema::open(client.url, Access::Read).unwrap();
    let those: Vec<&Snapshot> = snapshots.iter().filter(|s| there(s)).collect();
    let (compared, differences) = compare(store.as_ref(), &client.cid, &those, &|_| true);
    println!("{what}: {compared} snapshots compared, {differences} differences");
    std::io::stdout().flush().unwrap();
    assert!(compared > 0 && differences == 0, "{what}");
}

#[test]
fn every_stamp_replays_exactly() {
    let recording = record_enough();
    let Recording { bundles, snapshots, .. } = &recording;
    let dir = tempfile::tempdir().unwrap();
    for store in TestStore::all(dir.path()) {
        let url = store.url();
        type Scenario<'a> = (&'a str, &'a dyn Fn(&Client<'_>));
        let scenarios: [Scenario<'_>; 3] = [
            ("one by one", &|client| bundles.iter().for_each(|b| client.ingest(&[b], "1"))),
            ("all at once", &|client| client.ingest(&bundles.iter().collect::<Vec<_>>(), "8")),
            ("shuffled", &|client| {
                let mut order: Vec<&PathBuf> = bundles.iter().collect();
                // The digest in the name is as good as dice.
                order.sort_by_key(|b| b.to_string_lossy().split('#').nth(2).map(str::to_owned));
                order.chunks(3).for_each(|some| client.ingest(some, "2"));
            }),
        ];
        for (number, (scenario, ingest)) in (1..).zip(scenarios) {
            let cid = Cid::parse(&format!("replay-{number}")).unwrap();
            let client =
                Client { url: &url, cid, inbox: dir.path().join(format!("inbox-{}-{number}", store.name())) };
            ingest(&client);
            check(&client, snapshots, &format!("{}, {scenario}", store.name()), &|_| true);
            client.pofrs(&["archive", "--force"]);
            check(&client, snapshots, &format!("{}, {scenario}, archived", store.name()), &|_| true);
            client.pofrs(&["period"]);
            check(&client, snapshots, &format!("{}, {scenario}, period", store.name()), &|_| true);
        }
        two_lost_and_one_late(&store, &url, dir.path(), &recording);
    }
}

/// The first and last stamp of a bundle's file.
fn span(bundle: &Path) -> (WallMicros, WallMicros) {
    let bytes = fs::read(bundle).unwrap();
    let opened = pofr_core::wire::v2::open(&bytes, Default::default()).unwrap();
    let (first, last) = opened.manifest.wall.unwrap();
    (WallMicros(first), WallMicros(last))
}

fn two_lost_and_one_late(store: &TestStore, url: &str, dir: &Path, recording: &Recording) {
    let Recording { bundles, snapshots, .. } = recording;
    let cid = Cid::parse("replay-lost").unwrap();
    let client = Client { url, cid, inbox: dir.join(format!("inbox-{}-lost", store.name())) };
    let (lost, late) = ([2, 5], 3);
    let within = |i: usize| {
        let (first, last) = span(&bundles[i]);
        move |s: &Snapshot| first <= s.stamp && s.stamp <= last
    };
    let outside = |these: &[usize]| {
        let spans: Vec<_> = these.iter().map(|i| within(*i)).collect();
        move |s: &Snapshot| !spans.iter().any(|is_in| is_in(s))
    };
    let first: Vec<&PathBuf> =
        (0..bundles.len()).filter(|i| !lost.contains(i) && *i != late).map(|i| &bundles[i]).collect();
    client.ingest(&first, "1");
    let say = |what: &str| format!("{}, two lost and one late, {what}", store.name());
    check(&client, snapshots, &say("before it came"), &outside(&[lost[0], lost[1], late]));
    client.pofrs(&["archive", "--force"]);
    client.ingest(&[&bundles[late]], "1");
    check(&client, snapshots, &say("after it came"), &outside(&lost));
    client.pofrs(&["archive", "--force"]);
    check(&client, snapshots, &say("archived"), &outside(&lost));
    client.pofrs(&["period"]);
    check(&client, snapshots, &say("period"), &outside(&lost));
    let gaps = Command::new(program("pofrs"))
        .args(["--db", url, "gaps", "--client", "replay-lost", "--json"])
        .output()
        .unwrap();
    let gaps = String::from_utf8(gaps.stdout).unwrap();
    assert_eq!(
        gaps.lines().filter(|line| line.contains("bundle") && line.contains("blind")).count(),
        2,
        "{gaps}"
    );
}
