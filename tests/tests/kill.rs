//! The third promise: `pofrs` killed with SIGKILL at random moments of ingest, archive and period, then run again, leaves the tables
//! that an undisturbed run leaves, ids aside.
//!
//! `POFR_KILLS` (50 unless set) is how many kills each store gets. The dice are seeded with `POFR_SEED`, which is printed.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

use pofr_core::{
    fact::FactKind,
    identity::Cid,
    store::{RowId, TableRef},
};
use pofr_schema::Access;
use pofr_tests::{programs::program, stores::TestStore};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// splitmix64 (Steele, Lea, Flood 2014): enough randomness for when to kill.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below.max(1)
    }
}

struct Client<'a> {
    url: &'a str,
    cid: String,
    inbox: PathBuf,
}

/// What is done to a client's record, in this order, and how often each is killed for each client.
const STEPS: [(&str, u64); 3] = [("ingest", 5), ("archive", 3), ("period", 2)];

impl Client<'_> {
    fn command(&self, step: &str) -> Command {
        let mut pofrs = Command::new(program("pofrs"));
        pofrs.args(["--db", self.url, step]);
        match step {
            "ingest" => pofrs.arg(&self.inbox),
            "archive" => pofrs.arg("--force"),
            _ => &mut pofrs,
        };
        pofrs.args(["--client", &self.cid]).stdout(Stdio::null()).stderr(Stdio::piped());
        pofrs
    }

    /// Runs a step to its end; returns how long it took.
    fn run(&self, step: &str) -> Duration {
        let start = Instant::now();
        let output = self.command(step).output().unwrap();
        assert!(output.status.success(), "pofrs {step}: {}", String::from_utf8_lossy(&output.stderr));
        start.elapsed()
    }

    /// Runs a step and kills it after some time; tells whether it was still running.
    fn kill(&self, step: &str, after: Duration) -> bool {
        let mut child = self.command(step).spawn().unwrap();
        std::thread::sleep(after);
        let running = child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        child.wait().unwrap();
        running
    }

    /// Every row of every table and the ledger, ids aside, in an order that does not depend on them.
    fn contents(&self) -> Vec<String> {
        let store = pofr_schema::open(self.url, Access::Read).unwrap();
        let mut reader = store.read(&Cid::parse(&self.cid).unwrap()).unwrap();
        let ledger = reader.ledger().unwrap();
        let mut all = Vec::new();
        for bundle in &ledger.bundles {
            let level = ledger.live().find(|t| t.id == bundle.triad).map(|t| t.level);
            all.push(format!("{} {level:?} {:?} {:?}", bundle.entry.sha256, bundle.spans, bundle.gaps));
        }
        for kind in FactKind::ALL {
            let triads = ledger.live().map(|t| Some(t.id)).collect();
            for triad in if kind.in_triad() { triads } else { vec![None] } {
                let mut after = RowId(0);
                loop {
                    let page = reader.page(TableRef { triad, kind }, after, 5000).unwrap();
                    let Some((last, _)) = page.last() else { break };
                    after = *last;
                    all.extend(page.iter().map(|(_, row)| serde_json::to_string(row).unwrap()));
                }
            }
        }
        all.sort();
        all
    }
}

fn record(dir: &Path) {
    let mut pofrc = Command::new(program("pofrc"));
    pofrc.args(["record", "--for", "5s", "--interval", "50ms", "--bundle", "250ms", "--out"]).arg(dir);
    assert!(pofrc.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
}

#[test]
fn killed_at_any_moment_and_run_again_is_undisturbed() {
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |n| n.parse().unwrap());
    let kills = number("POFR_KILLS", 50);
    let seed =
        number("POFR_SEED", SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos().into());
    println!("POFR_SEED={seed}");
    let mut dice = Dice(seed);
    let dir = tempfile::tempdir().unwrap();
    let inbox = dir.path().join("inbox");
    record(&inbox);
    assert!(fs::read_dir(&inbox).unwrap().count() > 10);
    for store in TestStore::all(dir.path()) {
        let url = store.url();
        let client = |cid: String| Client { url: &url, cid, inbox: inbox.clone() };
        let calm = client("calm".into());
        let mut expected = Vec::new();
        for (step, _) in STEPS {
            let took = calm.run(step);
            expected.push((took, calm.contents()));
        }
        let (mut missed, mut hit, mut number) = (0, 0, 0);
        while hit < kills {
            number += 1;
            let stormy = client(format!("stormy-{number}"));
            for ((step, times), (took, contents)) in STEPS.iter().zip(&expected) {
                for _ in 0..(*times).min(kills - hit) {
                    let after =
                        Duration::from_micros(dice.roll(u64::try_from(took.as_micros()).unwrap() * 11 / 10));
                    // One that had ended before the signal came does not count.
                    if stormy.kill(step, after) {
                        hit += 1;
                    } else {
                        missed += 1;
                    }
                }
                stormy.run(step);
                let found = stormy.contents();
                assert!(
                    &found == contents,
                    "{} after {step}: the tables differ, POFR_SEED={seed}",
                    store.name()
                );
            }
        }
        println!(
            "{}: {hit} kills while it ran, {missed} too late; the tables equal those of the undisturbed run",
            store.name()
        );
    }
}
