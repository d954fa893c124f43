//! The whole bundle comes after all: what was made of its stream makes room for it.
//!
//! ```text
//! streamed   [keyframe][…][…]            a bundle of its own run, in a slice of its own
//! whole      [keyframe][…][…][…][…]      begins with the same frames: the streamed one is withdrawn, this one stored
//! other      [keyframe][…][x][…]         does not: it is refused, for somebody has rewritten what was recorded
//! ```

use super::{Checked, Ingest, IngestError};
use crate::{
    forget,
    inbox::{Candidate, Inbox, InboxError},
    track::TrackedBundle,
    verify::{Contents, Rejected, verify},
};
use pofr_core::{
    identity::RunId,
    record::Record,
    store::{BundleFormat, StoredBundle, TriadId},
    wire::{name::BundleName, v2},
};

impl Ingest<'_> {
    /// Withdraws what was made of this bundle's stream, where there is such a thing and this bundle begins with it. `None`
    /// where this is what was streamed of a bundle that is stored whole.
    pub(super) fn supersede(
        &mut self,
        candidate: &Candidate,
        bundle: TrackedBundle,
    ) -> Result<Option<Checked<TrackedBundle>>, IngestError> {
        let entry = &bundle.stored.entry;
        if entry.streamed {
            let stored = self.is_stored_whole(candidate, &bundle.stored)?;
            return Ok((!stored).then_some(Ok(bundle)));
        }
        let run = entry.run.of_stream(entry.seq);
        if entry.format != BundleFormat::V2 || self.runs.iter().all(|r| r.run != run) {
            return Ok(Some(Ok(bundle)));
        }
        let Some(old) = self.stored_as(&bundle.stored, run)? else { return Ok(Some(Ok(bundle))) };
        if !self.begins_with(&contents(self.inbox, candidate, self.options.limits)?, &old) {
            let (seq, run) = (entry.seq.0, entry.run.to_string());
            return Ok(Some(Err(Rejected::Fork { seq, run, stored: old.entry.sha256 })));
        }
        forget::withdraw(self.store, self.inbox.kept(), &old, (self.options.now)())?;
        Ok(Some(Ok(bundle)))
    }

    /// Finds the stored bundle of this one's number in a run.
    fn stored_as(&mut self, bundle: &StoredBundle, run: RunId) -> Result<Option<StoredBundle>, IngestError> {
        let mut like = bundle.clone();
        like.entry.run = run;
        let near = self.store.near(&like)?;
        let same = |b: &StoredBundle| {
            b.entry.run == run && b.entry.seq == bundle.entry.seq && b.triad != TriadId::NONE
        };
        Ok(near.into_iter().find(same))
    }

    /// Tells whether the bundle that a streamed one is the beginning of is stored. Where that is not kept, its number must do;
    /// where it is and begins with something else, both are stored, and the chain shows a fork.
    fn is_stored_whole(
        &mut self,
        candidate: &Candidate,
        streamed: &StoredBundle,
    ) -> Result<bool, IngestError> {
        let run = contents(self.inbox, candidate, self.options.limits)?.header.run;
        let Some(whole) = self.stored_as(streamed, run)? else { return Ok(false) };
        let (Some(kept), Ok(name)) = (self.inbox.kept(), whole.entry.name.parse::<BundleName>()) else {
            return Ok(true);
        };
        let path = kept.path_of(&name);
        let Ok(bytes) = std::fs::read(path) else { return Ok(true) };
        let Ok(bundle) = v2::open(&bytes, self.options.limits) else { return Ok(true) };
        Ok(self.begins_with(&bundle, streamed))
    }

    /// Tells whether a bundle begins with the frames that a streamed one was made of: whether making one of as many of them
    /// gives that very bundle.
    fn begins_with(&self, whole: &v2::Bundle, streamed: &StoredBundle) -> bool {
        let (frames, limits) = (whole.frames(), self.options.limits);
        let ends = v2::frame_ends(frames);
        // The number of samples grows with the frames, so the place is found by halving.
        let from = ends.partition_point(|end| samples(&frames[..*end], limits) < streamed.entry.samples);
        let as_many = |end: &&usize| samples(&frames[..**end], limits) == streamed.entry.samples;
        let same = |end: &usize| {
            v2::seal_streamed(&frames[..*end]).is_ok_and(|made| made.sha256 == streamed.entry.sha256)
        };
        ends[from..].iter().take_while(as_many).any(same)
    }
}

/// Reads a v2 bundle of the inbox again, which has been verified.
fn contents(inbox: &Inbox, candidate: &Candidate, limits: v2::Limits) -> Result<v2::Bundle, IngestError> {
    let changed = || InboxError::Changed { name: candidate.name() };
    match verify(&candidate.name(), &inbox.read(candidate)?, limits).map_err(|_| changed())?.contents {
        Contents::V2(bundle) => Ok(*bundle),
        Contents::V1(_) => Err(changed().into()),
    }
}

/// Counts the samples in whole frames.
fn samples(frames: &[u8], limits: v2::Limits) -> u64 {
    let Ok(decoder) = v2::Decoder::new(frames, limits.records) else { return 0 };
    decoder.flatten().filter(|record| matches!(record, Record::Sample(_))).count() as u64
}
