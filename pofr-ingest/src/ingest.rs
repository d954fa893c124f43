//! The pipeline: everything that waits in an inbox, into one client's record.
//!
//! First every file is verified, by workers, and only what is needed to put bundles in order is kept. Then runs of consecutive
//! bundles become jobs: a few new bundles are taken one by one and extend the open slice, a backlog is cut into slices. Workers
//! turn jobs into rows side by side; one thread commits them in order, each with its ledger entries in one transaction.

mod jobs;
mod options;
mod pairing;
mod streamed;
mod survey;

pub use options::{Options, server_clock};

use crate::{
    forget,
    inbox::{Candidate, Inbox, InboxError},
    place::{self, Target},
    track::{TrackedBundle, v1_run},
    verify::Rejected,
};
use jobs::{Job, Tracked};
use pofr_core::{
    digest::Sha256,
    identity::Cid,
    store::{Change, ClientStore, Level, RunOrder, StoreError, StoredBundle, Triad, TriadState},
    time::WallMicros,
    wire::name::BundleName,
};
use std::collections::HashSet;

/// Why ingesting stopped. What was reported as stored is stored; the rest can be ingested again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IngestError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The inbox failed.
    #[error(transparent)]
    Inbox(#[from] InboxError),
    /// What was streamed could not be taken out for the whole bundle.
    #[error(transparent)]
    Withdraw(#[from] forget::ForgetError),
}

/// What became of a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// It is in the record now.
    Stored {
        /// How many samples it had.
        samples: u64,
        /// What is wrong with the rest of it, where only the beginning is in the record.
        damage: Option<String>,
    },
    /// It was in the record already, or is there twice.
    Duplicate,
    /// It cannot be taken; it lies in quarantine.
    Quarantined(String),
}

/// What ingesting came to.
#[derive(Debug, Default)]
pub struct Report {
    /// Bundles stored.
    pub stored: u64,
    /// Files that were stored already.
    pub duplicates: u64,
    /// Files put in quarantine: name and reason. Of those that are damaged, the beginning may be stored.
    pub quarantined: Vec<(String, String)>,
    /// Samples stored, of all sources.
    pub samples: u64,
    /// Rows added.
    pub rows: u64,
    /// The time that the bundles stored cover.
    pub span: Option<(WallMicros, WallMicros)>,
    /// Halves of v1 snapshots that wait for their other half.
    pub halves_waiting: u64,
    /// Files that were not looked at, because there were more than one call takes or it was told to stop.
    pub left: u64,
}

impl Report {
    /// Adds what a later call came to.
    pub fn add(&mut self, later: &Self) {
        self.stored += later.stored;
        self.duplicates += later.duplicates;
        self.quarantined.extend(later.quarantined.iter().cloned());
        self.samples += later.samples;
        self.rows += later.rows;
        self.span = match (self.span, later.span) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (a, b) => a.or(b),
        };
        self.halves_waiting = later.halves_waiting;
        self.left = later.left;
    }
}

/// How far it has come: files done, files in all.
pub type Progress<'a> = &'a mut dyn FnMut(usize, usize);

/// Takes all that waits in the inbox into the record of client `cid`.
///
/// Files that are stored stay where they are; ingesting again finds them to be duplicates.
///
/// # Errors
/// [`IngestError`] where the store or the inbox fails. A bad file is no error: it goes to quarantine.
pub fn ingest(
    store: &mut dyn ClientStore,
    cid: &Cid,
    inbox: &Inbox,
    options: &Options,
    progress: Progress<'_>,
) -> Result<Report, IngestError> {
    let (owner, runs) = (store.owner()?, store.runs()?);
    let forgotten = store.forgotten_before()?;
    let report = Report::default();
    let mut run =
        Ingest { store, cid, inbox, options, owner, runs, report, done: 0, total: 0, forgotten, progress };
    run.all(cid)?;
    run.learn_names()?;
    run.report.left += (run.total - run.done) as u64;
    run.report.halves_waiting = run.store.pending_halves()?.len() as u64;
    Ok(run.report)
}

struct Ingest<'a> {
    store: &'a mut dyn ClientStore,
    cid: &'a Cid,
    inbox: &'a Inbox,
    options: &'a Options,
    /// The client that stored bundles name.
    owner: Option<Cid>,
    /// All stored runs.
    runs: Vec<RunOrder>,
    report: Report,
    done: usize,
    total: usize,
    /// The time before which everything has been forgotten.
    forgotten: Option<WallMicros>,
    progress: Progress<'a>,
}

impl Ingest<'_> {
    fn all(&mut self, cid: &Cid) -> Result<(), IngestError> {
        let mut candidates = self.inbox.candidates()?;
        self.report.left = candidates.len().saturating_sub(self.options.most) as u64;
        candidates.truncate(self.options.most);
        let named: Vec<Sha256> = candidates
            .iter()
            .filter_map(|c| c.name().parse::<BundleName>().ok())
            .map(|name| name.sha256)
            .collect();
        let known = self.store.stored(&named)?;
        self.total = candidates.len();
        let surveyed = survey::survey(self.inbox, candidates, &known, self.options);
        let mut good = Vec::new();
        let mut seen = HashSet::new();
        for (candidate, found) in surveyed {
            match found {
                survey::Found::Known => self.settle(&candidate, Outcome::Duplicate)?,
                survey::Found::Unread(error) => return Err(error.into()),
                survey::Found::Vanished => self.total -= 1,
                survey::Found::Bad(reason) => self.settle(&candidate, Outcome::Quarantined(reason))?,
                survey::Found::Good(surveyed) if seen.insert(surveyed.name.sha256) => good.push(surveyed),
                survey::Found::Good(_) => self.settle(&candidate, Outcome::Duplicate)?,
            }
        }
        let pending = self.store.pending_halves()?;
        let now = (self.options.now)();
        let mut beside = Vec::new();
        for stamp in survey::single_stamps(&good) {
            beside.extend(self.store.beside(v1_run(cid), stamp)?);
        }
        let jobs = jobs::make(cid, good, pending, &beside, self.options, now);
        let (inbox, options) = (self.inbox, self.options);
        jobs::run(inbox, options, jobs, &mut |job, tracked| self.commit(job, tracked))
    }

    /// Commits what a job came to.
    fn commit(&mut self, job: &Job, tracked: Tracked) -> Result<(), IngestError> {
        let mut good: Vec<(Option<Candidate>, TrackedBundle)> = Vec::new();
        let mut near: Vec<StoredBundle> = Vec::new();
        for (candidate, bundle) in tracked.bundles {
            let checked = match bundle {
                Ok(bundle) => self.check(bundle, &good, &mut near)?,
                Err(rejected) => Err(rejected),
            };
            let checked = match (checked, &candidate) {
                (Ok(bundle), Some(candidate)) => match self.supersede(candidate, bundle)? {
                    Some(checked) => checked,
                    None => {
                        self.inbox.clear(candidate)?;
                        self.report.duplicates += 1;
                        self.done += 1;
                        (self.progress)(self.done, self.total);
                        continue;
                    }
                },
                (checked, _) => checked,
            };
            match checked {
                Ok(bundle) => good.push((candidate, bundle)),
                Err(rejected) => {
                    if let Some(candidate) = candidate {
                        self.settle(&candidate, Outcome::Quarantined(rejected.to_string()))?;
                    }
                }
            }
        }
        // What is of a time that has been forgotten leaves its entry, and nothing else.
        let is_forgotten =
            |b: &TrackedBundle| self.forgotten.is_some_and(|before| b.stored.entry.last < before);
        let (late, good): (Vec<_>, Vec<_>) = good.into_iter().partition(|(_, b)| is_forgotten(b));
        let (candidates, mut bundles): (Vec<_>, Vec<TrackedBundle>) = good.into_iter().unzip();
        bundles.iter_mut().for_each(|bundle| self.options.enrich.fill(self.cid, &mut bundle.rows));
        if bundles.is_empty() && late.is_empty() && job.drop_halves.is_empty() {
            return Ok(());
        }
        for (candidate, bundle) in candidates.iter().zip(&bundles) {
            let Some(candidate) = candidate else { continue };
            // Before the record has it: of what is stored in part the whole is in quarantine.
            if let Some(damage) = &bundle.damage {
                self.inbox.copy_to_quarantine(candidate, damage)?;
            }
            self.inbox.keep(candidate)?;
        }
        let taken: Vec<(u64, Option<String>)> =
            bundles.iter_mut().map(|b| (b.stored.entry.samples, b.damage.take())).collect();
        let span = span(&bundles);
        let mut change =
            if bundles.is_empty() { Change::default() } else { self.place(near, bundles, job.newest)? };
        change.bundles.extend(late.iter().map(|(_, bundle)| forget::tombstone(&bundle.stored)));
        change.keep_halves = tracked.keep_halves;
        change.drop_halves.clone_from(&job.drop_halves);
        let rows: u64 = change.insert.iter().map(|(_, rows)| rows.len() as u64).sum();
        self.store.commit(&change)?;
        self.remember(&change.bundles);
        self.report.rows += rows;
        self.report.span = match (self.report.span, span) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (a, b) => a.or(b),
        };
        let late = late.into_iter().map(|(candidate, _)| (candidate, (0, None)));
        for (candidate, (samples, damage)) in candidates.into_iter().zip(taken).chain(late) {
            match candidate {
                Some(candidate) => self.settle(&candidate, Outcome::Stored { samples, damage })?,
                None => self.report.samples += samples,
            }
        }
        Ok(())
    }

    /// Writes down the names that came after the rows that they belong to.
    fn learn_names(&mut self) -> Result<(), IngestError> {
        let named = self.options.enrich.late(self.cid, self.options.patience);
        if !named.is_empty() {
            self.store.commit(&Change { named, ..Change::default() })?;
        }
        Ok(())
    }

    /// Checks that a bundle fits what is stored and what is about to be; adds what is stored next to it to `near`.
    fn check(
        &mut self,
        bundle: TrackedBundle,
        good: &[(Option<Candidate>, TrackedBundle)],
        near: &mut Vec<StoredBundle>,
    ) -> Result<Checked<TrackedBundle>, IngestError> {
        let here = self.store.near(&bundle.stored)?;
        let among: Vec<StoredBundle> = good.iter().map(|(_, b)| b.stored.clone()).collect();
        let owner = self.owner.as_ref().or_else(|| among.iter().find_map(|b| b.entry.cid.as_ref()));
        let checked = place::check(owner, &here, &bundle.stored)
            .and_then(|()| place::check(owner, &among, &bundle.stored));
        for neighbour in here {
            if near.iter().all(|known| known.entry.sha256 != neighbour.entry.sha256) {
                near.push(neighbour);
            }
        }
        Ok(checked.map(|()| bundle))
    }

    /// Keeps in mind what these bundles, which are stored now, add to what was read at the start.
    fn remember(&mut self, bundles: &[StoredBundle]) {
        for StoredBundle { entry, .. } in bundles {
            self.owner = self.owner.take().or_else(|| entry.cid.clone());
            match self.runs.iter_mut().find(|r| r.run == entry.run) {
                Some(run) => run.first = run.first.min(entry.seq),
                None => self.runs.push(RunOrder { run: entry.run, boot: entry.boot, first: entry.seq }),
            }
        }
    }

    /// Finds or makes the slice for these bundles, and plans how they go in.
    fn place(
        &mut self,
        near: Vec<StoredBundle>,
        bundles: Vec<TrackedBundle>,
        newest: bool,
    ) -> Result<Change, IngestError> {
        let streamed = bundles.iter().any(|b| b.stored.entry.streamed);
        let mut open = self.store.open_slice()?;
        if let Some(slice) = &open {
            let follows = bundles.len() == 1 && place::follows(&near, slice, &bundles[0].stored);
            if follows && !self.is_full(slice, &bundles[0]) {
                let target = Target::Extend(slice.id);
                return Ok(place::plan(self.store, near, &self.runs, bundles, target)?);
            }
            // A bundle that belongs elsewhere in time leaves the open slice open, and so does one that may be withdrawn.
            let last = span(&bundles).map(|(_, last)| last);
            if !streamed && (follows || last > Some(slice.to)) {
                self.store.commit(&Change { seal: vec![slice.id], ..Change::default() })?;
                open = None;
            }
        }
        let (from, to) = span(&bundles).unwrap_or_default();
        let zone = bundles
            .iter()
            .min_by_key(|b| b.stored.entry.first)
            .map_or_else(Default::default, |b| b.stored.entry.zone);
        let is_last = self.store.last_stamp()?.is_none_or(|last| last < from);
        let stays_open = newest && is_last && open.is_none() && !streamed;
        let id = self.store.create_triad(Level::Slice, stays_open, from, to, zone)?;
        let target = Target::New { id, open: stays_open };
        Ok(place::plan(self.store, near, &self.runs, bundles, target)?)
    }

    fn is_full(&self, open: &Triad, next: &TrackedBundle) -> bool {
        debug_assert_eq!(open.state, TriadState::Live);
        next.stored.entry.last.since(open.from) > self.options.slice_micros
            || open.rows[1] >= self.options.slice_file_rows
    }

    /// Keeps and clears a file that was stored already, as one was that is left from when an ingest was killed.
    fn put_away(&mut self, candidate: &Candidate) -> Result<(), IngestError> {
        self.report.duplicates += 1;
        let of_forgotten_time = candidate
            .name()
            .parse::<BundleName>()
            .is_ok_and(|name| self.forgotten.is_some_and(|before| name.stamp < before));
        if !of_forgotten_time {
            match self.inbox.keep(candidate) {
                // It only has the name of one that is stored.
                Err(error @ (InboxError::Changed { .. } | InboxError::NotAFile { .. })) => {
                    self.report.duplicates -= 1;
                    self.inbox.quarantine(candidate, &error.to_string())?;
                    self.report.quarantined.push((candidate.name(), error.to_string()));
                    return Ok(());
                }
                other => other?,
            }
        }
        Ok(self.inbox.clear(candidate)?)
    }

    /// Notes what became of a file.
    fn settle(&mut self, candidate: &Candidate, outcome: Outcome) -> Result<(), IngestError> {
        match outcome {
            Outcome::Stored { samples, damage } => {
                self.inbox.clear(candidate)?;
                self.report.quarantined.extend(damage.map(|damage| (candidate.name(), damage)));
                self.report.stored += 1;
                self.report.samples += samples;
            }
            Outcome::Duplicate => self.put_away(candidate)?,
            Outcome::Quarantined(reason) => {
                self.inbox.quarantine(candidate, &reason)?;
                self.report.quarantined.push((candidate.name(), reason));
            }
        }
        self.done += 1;
        (self.progress)(self.done, self.total);
        Ok(())
    }
}

fn span(bundles: &[TrackedBundle]) -> Option<(WallMicros, WallMicros)> {
    let first = bundles.iter().map(|b| b.stored.entry.first).min()?;
    let last = bundles.iter().map(|b| b.stored.entry.last).max()?;
    Some((first, last))
}

/// A result of the work on one file.
type Checked<T> = Result<T, Rejected>;
