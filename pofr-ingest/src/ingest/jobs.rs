//! Jobs: which bundles are taken together, and the workers that turn them into rows.

use super::{
    Checked, IngestError, Options, pairing,
    survey::{Kind, Surveyed, V1Stamps},
};
use crate::{
    inbox::{Candidate, Inbox},
    track::{TrackedBundle, track_v1, track_v2, v1_run},
    verify::{Contents, Rejected, verify},
};
use crossbeam::channel;
use pofr_core::{
    digest::Sha256,
    identity::{BundleSeq, Cid, RunId},
    store::{BundleFormat, PendingHalf},
    time::WallMicros,
    wire::{
        name::BundleName,
        v1::{self, Half, Which},
    },
};
use std::collections::{BTreeMap, HashSet};

/// Bundles of one run that become part of one slice in one transaction.
pub(super) struct Job {
    items: Vec<Item>,
    run: RunId,
    /// Whether no bundle of this batch comes after these.
    pub(super) newest: bool,
    /// Waiting halves that this job settles.
    pub(super) drop_halves: Vec<(WallMicros, bool)>,
}

/// One bundle of a job.
struct Item {
    name: BundleName,
    /// The file; `None` for a v1 half that is taken alone, whose text is in `extra`.
    candidate: Option<Candidate>,
    extra: Vec<Half>,
    without: HashSet<(WallMicros, Which)>,
    waiting: Vec<Half>,
}

/// What a job came to.
pub(super) struct Tracked {
    pub(super) bundles: Vec<(Option<Candidate>, Checked<TrackedBundle>)>,
    pub(super) keep_halves: Vec<PendingHalf>,
}

/// A surveyed bundle with what orders it.
struct Ordered {
    item: Item,
    run: RunId,
    /// v1 before v2, then by number: the chain's order, whatever the clocks said.
    rank: (BundleFormat, BundleSeq),
    first: WallMicros,
    last: WallMicros,
    drop_halves: Vec<(WallMicros, bool)>,
}

/// Puts bundles in order and cuts them into jobs. `beside` are the first and last stamps of the stored v1 bundles next to halves
/// without their other half.
pub(super) fn make(
    cid: &Cid,
    good: Vec<Surveyed>,
    pending: Vec<PendingHalf>,
    beside: &[(WallMicros, WallMicros)],
    options: &Options,
    now: WallMicros,
) -> Vec<Job> {
    let (mut v1, mut ordered) = (Vec::new(), Vec::new());
    for Surveyed { candidate, name, kind } in good {
        match kind {
            Kind::V1(stamps) => v1.push((candidate, name, stamps)),
            Kind::V2 { run, seq, first, last } => {
                let item = Item::new(name, Some(candidate));
                ordered.push(Ordered {
                    item,
                    run,
                    rank: (BundleFormat::V2, seq),
                    first,
                    last,
                    drop_halves: Vec::new(),
                });
            }
        }
    }
    let expired = |half: &PendingHalf| now.since(half.received) > options.half_wait_micros;
    ordered.extend(order_v1(cid, v1, pending, beside, expired));
    ordered.sort_by_key(|o| o.rank);
    cut(ordered, options)
}

impl Item {
    fn new(name: BundleName, candidate: Option<Candidate>) -> Self {
        Self { name, candidate, extra: Vec::new(), without: HashSet::new(), waiting: Vec::new() }
    }
}

fn order_v1(
    cid: &Cid,
    mut tars: Vec<(Candidate, BundleName, V1Stamps)>,
    pending: Vec<PendingHalf>,
    beside: &[(WallMicros, WallMicros)],
    expired: impl Fn(&PendingHalf) -> bool,
) -> Vec<Ordered> {
    tars.sort_by_key(|(_, name, _)| name.stamp);
    let parts: Vec<pairing::Tar> = tars
        .iter_mut()
        .map(|(_, _, stamps)| pairing::Tar {
            quiet: i64::try_from(v1::median_interval(&stamps.whole).unwrap_or(300_000))
                .unwrap_or(i64::MAX)
                .saturating_mul(5)
                .max(2_000_000),
            whole: stamps.whole.clone(),
            single: std::mem::take(&mut stamps.single),
        })
        .collect();
    let (shares, given_up) = pairing::pair(&parts, pending, beside, expired);
    let run = v1_run(cid);
    let mut ordered = Vec::new();
    for ((candidate, name, stamps), share) in tars.into_iter().zip(shares) {
        let first = stamps.whole.iter().min().copied().unwrap_or(name.stamp);
        let last = stamps.whole.iter().max().copied().unwrap_or(name.stamp);
        let rank = (BundleFormat::V1, BundleSeq(u64::try_from(name.stamp.0).unwrap_or(0)));
        let item = Item {
            extra: share.extra,
            without: share.without.into_iter().collect(),
            waiting: share.waiting,
            ..Item::new(name, Some(candidate))
        };
        ordered.push(Ordered { item, run, rank, first, last, drop_halves: share.drop });
    }
    for half in given_up {
        let rank = (BundleFormat::V1, BundleSeq(u64::try_from(half.stamp.0).unwrap_or(0)));
        let (stamp, drop_halves) = (half.stamp, vec![(half.stamp, half.is_proc)]);
        // It stands for no file: its digest is its own text's, with the stamp, so that it cannot be taken twice.
        let sha256 = Sha256::of(&[stamp.0.to_be_bytes().as_slice(), half.text.as_slice()].concat());
        let name = BundleName { stamp, zone: half.zone, sha256 };
        let item = Item { extra: vec![pairing::to_half(half)], ..Item::new(name, None) };
        ordered.push(Ordered { item, run, rank, first: stamp, last: stamp, drop_halves });
    }
    ordered
}

/// Cuts ordered bundles into jobs: one by one where there are few, else into stretches of up to an hour for the workers.
fn cut(ordered: Vec<Ordered>, options: &Options) -> Vec<Job> {
    let workers = options.workers.max(1);
    let backlog = workers > 1 && ordered.len() > workers;
    let most = if backlog { ordered.len().div_ceil(workers).max(1) } else { 1 };
    let mut jobs: Vec<Job> = Vec::new();
    let mut start = WallMicros(0);
    let mut before: Option<(RunId, (BundleFormat, BundleSeq))> = None;
    for Ordered { item, run, rank, first, last, mut drop_halves } in ordered {
        let follows = before.is_some_and(|(r, (format, seq))| {
            r == run && (format == BundleFormat::V1 || seq.0.checked_add(1) == Some(rank.1.0))
        });
        before = Some((run, rank));
        match jobs.last_mut() {
            Some(job) if follows && job.items.len() < most && last.since(start) <= options.slice_micros => {
                job.items.push(item);
                job.drop_halves.append(&mut drop_halves);
            }
            _ => {
                start = first;
                jobs.push(Job { items: vec![item], run, newest: !backlog, drop_halves });
            }
        }
    }
    if let Some(job) = jobs.last_mut() {
        job.newest = true;
    }
    jobs
}

/// Runs the jobs: workers track them side by side, `commit` gets them one by one in their order.
pub(super) fn run(
    inbox: &Inbox,
    options: &Options,
    jobs: Vec<Job>,
    commit: &mut dyn FnMut(&Job, Tracked) -> Result<(), IngestError>,
) -> Result<(), IngestError> {
    let workers = options.workers.max(1);
    let (send_in, receive_in) = channel::unbounded::<(usize, Job)>();
    // Bounded, so that rows do not pile up while the database is slow.
    let (send_out, receive_out) = channel::bounded::<(usize, Job, Tracked)>(workers);
    for numbered in jobs.into_iter().enumerate() {
        let _ = send_in.send(numbered);
    }
    drop(send_in);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let (receive_in, send_out) = (receive_in.clone(), send_out.clone());
            scope.spawn(move || {
                for (i, mut job) in receive_in {
                    if options.stop.is_told() {
                        return;
                    }
                    let tracked = track(inbox, options, &mut job);
                    if send_out.send((i, job, tracked)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send_out);
        let mut early = BTreeMap::new();
        let mut next = 0;
        let mut result = Ok(());
        'jobs: for (i, job, tracked) in receive_out.iter() {
            early.insert(i, (job, tracked));
            while let Some((job, tracked)) = early.remove(&next) {
                next += 1;
                // One is always taken, so that a turn that is too short gets somewhere.
                if options.stop.is_told() || (next > 1 && options.stop.is_due()) {
                    break 'jobs;
                }
                result = commit(&job, tracked);
                if result.is_err() {
                    break 'jobs;
                }
            }
        }
        // Workers that still wait to send find the channel closed, and stop.
        drop(receive_out);
        result
    })
}

fn track(inbox: &Inbox, options: &Options, job: &mut Job) -> Tracked {
    let mut tracked = Tracked { bundles: Vec::new(), keep_halves: Vec::new() };
    for item in &mut job.items {
        let received = (options.now)();
        let bundle = track_item(inbox, options, item, job.run, received);
        if bundle.is_ok() {
            tracked.keep_halves.extend(item.waiting.drain(..).map(|half| PendingHalf {
                stamp: half.stamp,
                is_proc: half.which == Which::Proc,
                zone: half.zone,
                text: half.text,
                bundle: item.name.sha256,
                received,
            }));
        }
        tracked.bundles.push((item.candidate.clone(), bundle));
    }
    tracked
}

fn track_item(
    inbox: &Inbox,
    options: &Options,
    item: &Item,
    run: RunId,
    received: WallMicros,
) -> Checked<TrackedBundle> {
    let mut halves = item.extra.clone();
    if let Some(candidate) = &item.candidate {
        // Between survey and now the file may have become another: it is verified again.
        let bytes = inbox.read(candidate)?;
        match verify(&candidate.name(), &bytes, options.limits)?.contents {
            Contents::V2(bundle) => return track_v2(&item.name, &bundle, received),
            Contents::V1(own) => {
                halves.extend(own.into_iter().filter(|h| !item.without.contains(&(h.stamp, h.which))));
            }
        }
    }
    let paired = v1::pair(halves);
    if let Some(clash) = paired.clashes.first() {
        return Err(Rejected::Clash(*clash));
    }
    track_v1(&item.name, run, &paired.snapshots, received, !item.waiting.is_empty())
}
