//! What the server has of a recording, held against what was.

use crate::{
    company::Truth,
    meter::Figures,
    scene::{ATTACKER, MAX_CPU, Scene},
};
use pofr_core::{
    fact::{Endpoint, Fact, OpenFile, Process},
    gap::{self, Gap, Severity},
    identity::Cid,
    lifetime::Row,
    record::Record as Entry,
    source::Source,
    time::WallMicros,
    wire::v2,
};
use pofr_schema::Access;
use pofr_tests::record::{bundles, everything};
use serde_json::Value;
use std::path::Path;

/// The most memory that a recorder and its children may ever hold, MiB.
const MIB: u64 = 128;
/// The longest gap of others, µs, on a machine that has time.
const GAP: i64 = 1_000_000;

/// The record of an attack.
pub(crate) struct Record {
    /// Its directories go with it.
    _scene: Scene,
    rows: Vec<Row>,
    gaps: Vec<Gap>,
    /// What is wrong so far.
    faults: Vec<String>,
    /// From when to when the recorder was attacked.
    during: (WallMicros, WallMicros),
    truth: Truth,
    pub(crate) figures: Figures,
    /// The longest time between two readings of all processes, µs.
    pub(crate) longest: i64,
    /// Gaps of these first words are what this attack leads to.
    expected: Vec<&'static str>,
}

impl Record {
    /// Reads what was taken in.
    pub(crate) fn read(
        scene: Scene,
        data: &Path,
        mut faults: Vec<String>,
        during: (WallMicros, WallMicros),
        truth: Truth,
        figures: Figures,
    ) -> Self {
        let url = format!("sqlite:{}", data.join("db").display());
        let store = pofr_schema::open(&url, Access::Read).map_err(|error| error.to_string());
        let cid = Cid::parse("c").unwrap();
        let reader = store.and_then(|store| store.read(&cid).map_err(|error| error.to_string()));
        let (ledger, rows) = match reader {
            Ok(mut reader) => {
                let (ledger, rows) = everything(&mut *reader, 5000);
                (Some(ledger), rows)
            }
            Err(error) => {
                faults.push(format!("there is no record: {error}"));
                (None, Vec::new())
            }
        };
        let mut gaps = ledger.as_ref().map(gap::of).unwrap_or_default();
        gaps.retain(|gap| gap.from < during.1 && gap.to.is_none_or(|to| to > during.0));
        let longest = longest(&scene.spool_in_use(), during);
        Self { _scene: scene, rows, gaps, faults, during, truth, figures, longest, expected: Vec::new() }
    }

    /// Gaps whose reason begins so are what this attack leads to, however long.
    pub(crate) fn expect_gaps(&mut self, word: &'static str) {
        self.expected.push(word);
    }

    /// Adds a fault where something is not so.
    pub(crate) fn must(&mut self, holds: bool, what: impl Into<String>) {
        if !holds {
            self.faults.push(what.into());
        }
    }

    pub(crate) fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// All facts of a process.
    pub(crate) fn processes(&self, pid: u32) -> Vec<&Process> {
        self.all_processes().filter(|p| p.key.entity.pid().0 == pid).collect()
    }

    pub(crate) fn all_processes(&self) -> impl Iterator<Item = &Process> {
        self.rows.iter().filter_map(|row| match &row.fact {
            Fact::Process(process) => Some(&**process),
            _ => None,
        })
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &OpenFile> {
        self.rows.iter().filter_map(|row| match &row.fact {
            Fact::File(file) => Some(file),
            _ => None,
        })
    }

    pub(crate) fn endpoints(&self) -> impl Iterator<Item = (&Endpoint, &Row)> {
        self.rows.iter().filter_map(|row| match &row.fact {
            Fact::Endpoint(endpoint) => Some((&**endpoint, row)),
            _ => None,
        })
    }

    /// What is marked in any fact of a process: a name in [`pofr_core::fact::ProcessKey`]'s marks.
    pub(crate) fn marked(&self, pid: u32, mark: &str) -> Option<Value> {
        self.processes(pid).into_iter().find_map(|process| {
            let value = mark_of(process, mark)?;
            (!value.is_null() && value != Value::Bool(false)).then_some(value)
        })
    }

    /// Tells whether a gap speaks of a process by its number, or of the attacker.
    pub(crate) fn gap_names(&self, word: &str, pid: u32) -> bool {
        self.gaps.iter().any(|gap| gap.reason.starts_with(word) && names(&gap.reason, &[pid, ATTACKER]))
    }

    /// Adds what everybody may ask of every record; panics with all that is wrong.
    #[track_caller]
    pub(crate) fn judge(mut self) {
        self.bystanders();
        let allowed = crate::quiet::allowed_gap().max(GAP);
        for gap in &self.gaps {
            let told = format!("{gap:?}");
            if self.expected.iter().any(|word| gap.reason.starts_with(word)) {
                continue;
            }
            // It was asked to end: what comes after its last reading is no matter of the attack.
            let after =
                gap.reason == "the recorder was not running" && gap.from.0 + allowed >= self.during.1.0;
            if after {
                continue;
            }
            if gap.severity == Severity::Blind {
                self.faults.push(format!("blind: {told}"));
                continue;
            }
            let of_attacker =
                ["flood:", "unreadable:", "cut:"].iter().any(|word| gap.reason.starts_with(word));
            if of_attacker && gap.reason.contains(|c: char| c.is_ascii_digit()) {
                continue;
            }
            // Samples that come late are one gap as long as they do: the longest time between two is judged below.
            let is_of_pace = ["samples came later than the interval asks", "over the CPU budget"]
                .iter()
                .any(|word| gap.reason.starts_with(word));
            if is_of_pace {
                continue;
            }
            let length = gap.to.map_or(i64::MAX, |to| to.0 - gap.from.0);
            if of_attacker || length > allowed {
                self.faults.push(format!("a gap of others of {length} µs (allowed {allowed}): {told}"));
            }
        }
        // Without room the newest bundles are in memory, which an end takes along.
        if self.longest > allowed && !self.expected.contains(&"no room:") {
            self.faults.push(format!("{} µs between two readings (allowed {allowed})", self.longest));
        }
        let mib = self.figures.mib();
        if mib > MIB {
            self.faults.push(format!("it held {mib} MiB: {:?}", self.figures.peaks));
        }
        // A share is kept on average over 10 s; a short attack is allowed its begin.
        let (cpu, span) = (self.figures.cpu, self.figures.span.as_secs_f64());
        if cpu > MAX_CPU * span * 1.25 + 0.5 {
            self.faults.push(format!("it took {cpu:.2} s of CPU in {span:.2} s, of {MAX_CPU} of a core"));
        }
        println!(
            "{mib} MiB, {:.0} % of a core, {} ms at most between readings, {} gaps",
            self.figures.share() * 100.0,
            self.longest / 1000,
            self.gaps.len()
        );
        assert!(self.faults.is_empty(), "{} faults:\n- {}", self.faults.len(), self.faults.join("\n- "));
    }

    /// What is everybody else's is there.
    fn bystanders(&mut self) {
        let mut missing = Vec::new();
        for (number, pid) in &self.truth.ran {
            let wanted = format!("brief\0pofr-bystander\0{number}\0");
            let found = self.all_processes().any(|process| {
                process.key.entity.pid().0 == *pid
                    && process.arguments().is_some_and(|a| a.as_bytes() == wanted.as_bytes())
            });
            if !found {
                missing.push(*number);
            }
        }
        let (all, port) = (self.truth.ran.len(), self.truth.port);
        if !missing.is_empty() && !self.expected.contains(&"no room:") {
            self.faults.push(format!("of {all} programs of a bystander these are missing: {missing:?}"));
        }
        if all < 5 {
            self.faults.push(format!("the bystander ran {all} programs only"));
        }
        if !self.files().any(|file| file.key.path.as_bytes().ends_with(b"/held-by-bystander")) {
            self.faults.push("a bystander's file is missing".into());
        }
        let listens = |e: &Endpoint| e.key.local.port() == port && e.key.holder.is_some();
        if !self.endpoints().any(|(endpoint, _)| listens(endpoint)) {
            self.faults.push("a bystander's listener is missing".into());
        }
    }

    /// How long the attack was recorded.
    pub(crate) fn during(&self) -> (WallMicros, WallMicros) {
        self.during
    }
}

/// Returns a mark of a process.
pub(crate) fn mark_of(process: &Process, mark: &str) -> Option<Value> {
    serde_json::to_value(process).unwrap().get(mark).cloned()
}

/// Tells whether a text has one of these numbers as a word.
pub(crate) fn names(text: &str, numbers: &[u32]) -> bool {
    let words = text.split(|c: char| !c.is_ascii_digit());
    words.filter_map(|word| word.parse().ok()).any(|number: u32| numbers.contains(&number))
}

/// Returns the longest time between two readings of the processes in a span, µs, from its bundles.
fn longest(spool: &Path, (from, to): (WallMicros, WallMicros)) -> i64 {
    let mut stamps = vec![from, to];
    for path in bundles(spool) {
        let Ok(bundle) = v2::open(&std::fs::read(path).unwrap(), v2::Limits::default()) else { continue };
        let Ok(records) = bundle.records() else { continue };
        stamps.extend(records.map_while(Result::ok).filter_map(|entry| match entry {
            Entry::Sample(sample) if sample.source == Source::Process => Some(sample.stamp),
            _ => None,
        }));
    }
    stamps.retain(|stamp| from <= *stamp && *stamp <= to);
    stamps.sort();
    stamps.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap_or(i64::MAX)
}
