//! The survey: verifies every file of the inbox, and keeps only what is needed to put bundles in order.

use super::Options;
use crate::{
    inbox::{Candidate, Inbox, InboxError},
    track::run_of,
    verify::{Contents, verify},
};
use crossbeam::channel;
use pofr_core::{
    digest::Sha256,
    identity::{BundleSeq, RunId},
    time::WallMicros,
    wire::{
        name::BundleName,
        v1::{Half, Which},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    io::ErrorKind,
};

/// What a file is found to be.
pub(super) enum Found {
    /// Its digest is in the ledger.
    Known,
    /// It cannot be taken, and why.
    Bad(String),
    /// A good bundle.
    Good(Surveyed),
    /// It cannot be read now, which says nothing of what it is.
    Unread(InboxError),
    /// It is gone.
    Vanished,
}

/// A good bundle, without its contents.
pub(super) struct Surveyed {
    pub(super) candidate: Candidate,
    pub(super) name: BundleName,
    pub(super) kind: Kind,
}

/// What orders it among others.
pub(super) enum Kind {
    V1(V1Stamps),
    V2 { run: RunId, seq: BundleSeq, first: WallMicros, last: WallMicros },
}

/// The snapshots of a v1 tar.
#[derive(Default)]
pub(super) struct V1Stamps {
    /// Stamps with both halves.
    pub(super) whole: Vec<WallMicros>,
    /// Halves without their other half.
    pub(super) single: Vec<Half>,
}

/// Verifies the files, with as many threads as the options say; the answer is in the order of the files.
pub(super) fn survey(
    inbox: &Inbox,
    candidates: Vec<Candidate>,
    known: &HashSet<Sha256>,
    options: &Options,
) -> Vec<(Candidate, Found)> {
    let (send_in, receive_in) = channel::unbounded::<(usize, Candidate)>();
    let (send_out, receive_out) = channel::unbounded();
    for numbered in candidates.into_iter().enumerate() {
        // The receiver lives until the end of this function.
        let _ = send_in.send(numbered);
    }
    drop(send_in);
    std::thread::scope(|scope| {
        for _ in 0..options.workers.max(1) {
            let (receive_in, send_out) = (receive_in.clone(), send_out.clone());
            scope.spawn(move || {
                for (i, candidate) in receive_in {
                    let found = look(inbox, &candidate, known, options);
                    let _ = send_out.send((i, candidate, found));
                }
            });
        }
        drop(send_out);
        let mut all: Vec<_> = receive_out.iter().collect();
        all.sort_by_key(|(i, ..)| *i);
        all.into_iter().map(|(_, candidate, found)| (candidate, found)).collect()
    })
}

/// A file that its owner keeps from us is as bad as one that is none: it must not hold up the others.
fn denied(error: &InboxError) -> bool {
    matches!(error, InboxError::Io { cause, .. } if cause.kind() == ErrorKind::PermissionDenied)
}

fn look(inbox: &Inbox, candidate: &Candidate, known: &HashSet<Sha256>, options: &Options) -> Found {
    let is_known = |name: &BundleName| known.contains(&name.sha256);
    // The name's word is enough to leave a file where it is: nothing is taken from it.
    if candidate.name().parse().is_ok_and(|name| is_known(&name)) {
        return Found::Known;
    }
    let bytes = match inbox.read(candidate) {
        Ok(bytes) => bytes,
        Err(InboxError::Io { cause, .. }) if cause.kind() == ErrorKind::NotFound => return Found::Vanished,
        Err(error @ InboxError::Io { .. }) if !denied(&error) => return Found::Unread(error),
        Err(error) => return Found::Bad(error.to_string()),
    };
    match verify(&candidate.name(), &bytes, options.limits) {
        Err(rejected) => Found::Bad(rejected.to_string()),
        Ok(verified) => {
            let kind = match verified.contents {
                Contents::V1(halves) => Kind::V1(V1Stamps::of(halves)),
                Contents::V2(bundle) => {
                    let (first, last) = bundle.manifest.wall.unwrap_or_default();
                    Kind::V2 {
                        run: run_of(&bundle),
                        seq: bundle.header.seq,
                        first: WallMicros(first),
                        last: WallMicros(last),
                    }
                }
            };
            Found::Good(Surveyed { candidate: candidate.clone(), name: verified.name, kind })
        }
    }
}

/// Returns the stamps of halves without their other half.
pub(super) fn single_stamps(good: &[Surveyed]) -> BTreeSet<WallMicros> {
    let mut stamps = BTreeSet::new();
    for surveyed in good {
        if let Kind::V1(v1) = &surveyed.kind {
            stamps.extend(v1.single.iter().map(|half| half.stamp));
        }
    }
    stamps
}

impl V1Stamps {
    fn of(halves: Vec<Half>) -> Self {
        let mut by_stamp: BTreeMap<WallMicros, Vec<Half>> = BTreeMap::new();
        for half in halves {
            by_stamp.entry(half.stamp).or_default().push(half);
        }
        let mut stamps = Self::default();
        for (stamp, mut halves) in by_stamp {
            let has = |which| halves.iter().any(|h| h.which == which);
            if has(Which::Proc) && has(Which::Net) {
                stamps.whole.push(stamp);
            } else {
                stamps.single.append(&mut halves);
            }
        }
        stamps
    }
}
