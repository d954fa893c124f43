//! How large the snapshots would be if each were written out whole, as text.
//!
//! Counted, not written: for every sample in the bundles, the bytes of the line that `pofrc record --snapshots` would have
//! written for it, from the lengths of the facts that it shows.

use anyhow::Context as _;
use pofr_core::{
    diff::Snapshot,
    fact::Fact,
    record::{Event, FactId, Record},
    source::Source,
    wire::v2,
};
use std::{collections::HashMap, io, path::Path};

/// Sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Bytes of the snapshots as JSON lines.
    pub(super) text: u64,
    /// How many lines.
    pub(super) snapshots: u64,
    /// Bytes of the bundles.
    pub(super) bundles: u64,
    /// How many bundles.
    pub(super) count: u64,
}

/// Reads all bundles in a directory.
pub(super) fn of_bundles(dir: &Path) -> anyhow::Result<Sizes> {
    let mut sizes = Sizes::default();
    for entry in std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "tar") {
            let tar = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            sizes.bundles += tar.len() as u64;
            sizes.count += 1;
            let bundle = v2::open(&tar, v2::Limits::default())?;
            let mut lines = Lines::default();
            for record in bundle.records()? {
                lines.apply(&record?)?;
            }
            sizes.text += lines.text;
            sizes.snapshots += lines.snapshots;
        }
    }
    Ok(sizes)
}

/// The live facts of a bundle, by their lengths.
#[derive(Debug, Default)]
struct Lines {
    next: u32,
    live: HashMap<FactId, (Source, u64)>,
    /// For each source: how many facts are live, and how long they are together.
    sums: HashMap<Source, (u64, u64)>,
    text: u64,
    snapshots: u64,
}

impl Lines {
    fn apply(&mut self, record: &Record) -> anyhow::Result<()> {
        match record {
            Record::Sample(sample) => {
                for id in sample.removed.iter().chain(&sample.lost) {
                    self.forget(*id);
                }
                for learned in &sample.learned {
                    self.forget(learned.id);
                    self.remember(learned.id, &learned.fact)?;
                }
                for added in &sample.added {
                    self.number(&added.fact)?;
                }
                let empty =
                    Snapshot { source: sample.source.clone(), stamp: sample.stamp, facts: Vec::new() };
                let (facts, bytes) = self.sums.get(&sample.source).copied().unwrap_or_default();
                // The line without facts, the facts, a comma between each two, the newline.
                self.text += length(&empty)? + bytes + facts.saturating_sub(1) + 1;
                self.snapshots += 1;
            }
            Record::Event(Event::Began { fact, .. }) => self.number(fact)?,
            Record::Event(Event::Ended { id, .. }) => self.forget(*id),
            Record::Event(Event::Learned(learned)) => {
                self.forget(learned.id);
                self.remember(learned.id, &learned.fact)?;
            }
            Record::Event(Event::Passed { .. }) => {}
            Record::Gap(gap) => {
                if gap.severity == pofr_core::gap::Severity::Blind {
                    let hidden = |source: &Source| gap.source.as_ref().is_none_or(|s| s == source);
                    self.live.retain(|_, (source, _)| !hidden(source));
                    self.sums.retain(|source, _| !hidden(source));
                }
            }
        }
        Ok(())
    }

    fn number(&mut self, fact: &Fact) -> anyhow::Result<()> {
        let id = FactId(self.next);
        self.next = self.next.checked_add(1).context("more than 2^32 facts in a bundle")?;
        self.remember(id, fact)
    }

    fn remember(&mut self, id: FactId, fact: &Fact) -> anyhow::Result<()> {
        let (source, length) = (fact.source(), length(fact)?);
        let sum = self.sums.entry(source.clone()).or_default();
        *sum = (sum.0 + 1, sum.1 + length);
        self.live.insert(id, (source, length));
        Ok(())
    }

    fn forget(&mut self, id: FactId) {
        if let Some((source, length)) = self.live.remove(&id)
            && let Some(sum) = self.sums.get_mut(&source)
        {
            *sum = (sum.0.saturating_sub(1), sum.1.saturating_sub(length));
        }
    }
}

/// Returns how many bytes a value has as JSON.
fn length(value: &impl serde::Serialize) -> anyhow::Result<u64> {
    struct Count(u64);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, value)?;
    Ok(count.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pofr_collect::{HostView, Recorder, Registry, Settings, Spool, SpoolSettings, Stop};
    use pofr_core::{diff::Shown, time::WallMicros};
    use std::{
        sync::{Arc, Mutex},
        time::Duration,
    };

    #[test]
    fn the_count_is_what_writing_them_out_comes_to() {
        let dir = tempfile::tempdir().unwrap();
        let view = HostView::live().unwrap();
        let spool = Spool::open(&view, SpoolSettings::beside(dir.path())).unwrap();
        let settings = Settings { interval_micros: 20_000, bundle_micros: 200_000, ..Settings::default() };
        let written = Arc::new(Mutex::new((0_u64, 0_u64)));
        let tally = written.clone();
        let observer = move |source: &Source, stamp: WallMicros, shown: Shown<'_>| {
            let facts = shown.facts().cloned().collect();
            let snapshot = Snapshot { source: source.clone(), stamp, facts };
            let mut tally = tally.lock().unwrap();
            tally.0 += serde_json::to_vec(&snapshot).unwrap().len() as u64 + 1;
            tally.1 += 1;
        };
        let mut recorder = Recorder::new(view.clone(), Registry::built_in(&view), settings, spool)
            .unwrap()
            .observed_by(observer);
        recorder.run(&Stop::new().unwrap(), Some(Duration::from_millis(700))).unwrap();
        drop(recorder);
        let sizes = of_bundles(dir.path()).unwrap();
        let (text, snapshots) = *written.lock().unwrap();
        assert!(sizes.count >= 2 && snapshots > 10, "{sizes:?}");
        assert_eq!(sizes.snapshots, snapshots);
        // A detail that is learned late (a file's holder) counts from then on in the one, at once in the other.
        let off = sizes.text.abs_diff(text);
        assert!(off * 1000 <= text, "counted {}, written {text}", sizes.text);
    }
}
