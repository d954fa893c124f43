//! The third promise: `pofrs` killed with SIGKILL at random moments of ingest, archive and period, then run again, leaves the
//! tables that an undisturbed run leaves, ids aside.
//!
//! `POFR_KILLS` (50 unless set) is how many kills each store gets. The dice are seeded with `POFR_SEED`, which is printed.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

use pofr_core::identity::Cid;
use pofr_schema::Access;
use pofr_tests::{
    dice::{Dice, number},
    programs::program,
    record,
    stores::TestStore,
};
use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

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

    /// What its record holds, ids aside, and the level that each bundle has come to.
    fn contents(&self) -> Vec<String> {
        let store = pofr_schema::open(self.url, Access::Read).unwrap();
        let mut reader = store.read(&Cid::parse(&self.cid).unwrap()).unwrap();
        let mut all = record::contents(&mut *reader);
        let ledger = reader.ledger().unwrap();
        let level = |id| ledger.live().find(|t| t.id == id).map(|t| t.level);
        let mut levels: Vec<String> =
            ledger.bundles.iter().map(|b| format!("{} {:?}", b.entry.sha256, level(b.triad))).collect();
        levels.sort();
        all.extend(levels);
        all
    }
}

#[test]
fn killed_at_any_moment_and_run_again_is_undisturbed() {
    let kills = number("POFR_KILLS", || 50);
    let mut dice = Dice::from_env();
    let dir = tempfile::tempdir().unwrap();
    let inbox = dir.path().join("inbox");
    assert!(record::record(&inbox, 5).len() > 10);
    for store in TestStore::all(dir.path()) {
        let url = store.url();
        let client = |cid: String| Client { url: &url, cid, inbox: inbox.clone() };
        let calm = client("calm".into());
        let mut expected = Vec::new();
        for (step, _) in STEPS {
            let took = calm.run(step);
            expected.push((took, calm.contents()));
        }
        let (mut missed, mut hit, mut clients) = (0, 0, 0);
        while hit < kills {
            clients += 1;
            let stormy = client(format!("stormy-{clients}"));
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
                assert!(&found == contents, "{} after {step}: the tables differ", store.name());
            }
        }
        println!(
            "{}: {hit} kills while it ran, {missed} too late; the tables equal those of the undisturbed run",
            store.name()
        );
    }
}
