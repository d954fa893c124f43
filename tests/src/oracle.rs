//! The oracle: one pass over what there is, fact by fact, written to be read. It knows nothing of deltas, numbers, spans or
//! stitching: only what was shown when.

use crate::world::{
    ENDPOINTS, Happened, PROCESSES, RunLog, Seen, Step, What, endpoint, facts, file, process,
};
use pofr_core::{
    digest::KeyDigest,
    fact::Fact,
    identity::{BootId, BundleSeq, RunId},
    lifetime::{Lifetime, Row},
    source::Source,
    time::WallMicros,
};
use std::collections::BTreeSet;

/// Returns every lifetime of every fact: what the record must come to.
#[must_use]
pub fn lifetimes(logs: &[RunLog], lost: &BTreeSet<BundleSeq>) -> Vec<(RunId, Fact, Lifetime)> {
    let mut all = Vec::new();
    for (i, log) in logs.iter().enumerate() {
        for fact in universe(log.boot) {
            let next_boot = first_sample_of_another_boot(&logs[i..], log.boot, &fact.source(), lost);
            all.extend(
                one_fact(log, &fact, lost, next_boot).into_iter().map(|life| (log.run, fact.clone(), life)),
            );
        }
    }
    all
}

fn keyed(run: RunId, digest: KeyDigest, life: Lifetime) -> String {
    format!("{run} {digest} {life:?}")
}

/// Returns what the record must come to, as sorted lines.
#[must_use]
pub fn expected(logs: &[RunLog], lost: &BTreeSet<BundleSeq>) -> Vec<String> {
    let lifetimes = lifetimes(logs, lost).into_iter();
    let mut all: Vec<String> = lifetimes.map(|(run, fact, life)| keyed(run, fact.digest(), life)).collect();
    all.sort();
    all
}

/// Returns what a record came to, as lines to compare with [`expected`].
#[must_use]
pub fn came_to(rows: &[Row]) -> Vec<String> {
    let mut all: Vec<String> = rows.iter().map(|r| keyed(r.run, r.digest, r.life)).collect();
    all.sort();
    all
}

/// Every fact that a boot can show.
fn universe(boot: BootId) -> Vec<Fact> {
    let mut all: Vec<Fact> = (1..=ENDPOINTS).map(endpoint).collect();
    for pid in 1..=PROCESSES {
        for program in 0..2 {
            for readable in [false, true] {
                all.push(process(boot, &Seen { pid, program, readable, files: [false; 2] }));
            }
        }
        all.extend((0..2).map(|fd| file(boot, pid, fd)));
    }
    all
}

/// What a step says about one fact's source.
enum Word {
    /// A sample: whether it shows the fact, and else whether it could have.
    Sample { shows: bool, could_tell: bool },
    /// The sampler failed.
    Blind,
    /// The step is about something else.
    Silence,
}

fn word(step: &Step, fact: &Fact, boot: BootId) -> Word {
    let Step::Tick { processes, endpoints } = step else { return Word::Silence };
    let shown = match fact.source() {
        Source::Process => processes.as_ref().map(|p| facts(boot, p)),
        _ => endpoints.as_ref().map(|p| p.iter().copied().map(endpoint).collect()),
    };
    let Some(shown) = shown else { return Word::Blind };
    let veils = |other: &Fact| match (other, fact) {
        (Fact::Process(p), Fact::File(f)) => p.key.entity == f.key.entity && !p.key.tells_files(),
        _ => false,
    };
    Word::Sample { shows: shown.iter().any(|f| f.same(fact)), could_tell: !shown.iter().any(veils) }
}

fn first_sample_of_another_boot(
    later: &[RunLog],
    boot: BootId,
    source: &Source,
    lost: &BTreeSet<BundleSeq>,
) -> Option<WallMicros> {
    let some_fact = |boot| universe(boot).into_iter().find(|f| f.source() == *source).unwrap();
    let mut there = later
        .iter()
        .filter(|log| log.boot != boot)
        .flat_map(|log| log.happened.iter().map(move |h| (log.boot, h)));
    let is_sample = |(boot, h): &(BootId, &Happened)| {
        !lost.contains(&h.seq) && matches!(word(&h.step, &some_fact(*boot), *boot), Word::Sample { .. })
    };
    there.find(is_sample).map(|(_, h)| h.at)
}

/// The lifetimes of one fact in one run.
fn one_fact(
    log: &RunLog,
    fact: &Fact,
    lost: &BTreeSet<BundleSeq>,
    next_boot: Option<WallMicros>,
) -> Vec<Lifetime> {
    let mut done: Vec<Lifetime> = Vec::new();
    // The lifetime that is going on.
    let mut now: Option<Lifetime> = None;
    // The one that a hole has cut, until the first sample behind the hole tells more.
    let mut cut: Option<Lifetime> = None;
    // The last sample; whether it could tell; whether there is a hole between it and the present.
    let mut last: Option<(WallMicros, bool)> = None;
    let mut hole = true;
    // Whether the present bundle has had a sample since it, or its source's sight, began.
    let mut begun = false;
    let mut bundle = None;
    for Happened { at, seq, step } in &log.happened {
        let first_of_bundle = bundle.replace(*seq) != Some(*seq);
        if lost.contains(seq) {
            if first_of_bundle {
                enter_hole(&mut now, &mut cut, &mut hole);
            }
            continue;
        }
        if first_of_bundle {
            begun = false;
        }
        match (word(step, fact, log.boot), step) {
            (Word::Blind, _) => {
                enter_hole(&mut now, &mut cut, &mut hole);
                begun = false;
            }
            (Word::Sample { shows, could_tell }, _) => {
                if let Some(mut life) = cut.take() {
                    life.gone_by = (!shows).then_some(*at);
                    done.push(life);
                    if shows {
                        now = Some(Lifetime { first_seen: Some(*at), cut_left: true, ..Lifetime::default() });
                    }
                }
                match (&mut now, shows) {
                    (Some(life), true) => {
                        life.first_seen = life.first_seen.or(Some(*at));
                        life.last_seen = Some(*at);
                    }
                    (Some(life), false) => {
                        life.gone_by = could_tell.then_some(*at);
                        done.extend(now.take());
                    }
                    (None, true) => {
                        let could_tell_before = hole || last.is_none_or(|(_, could)| could);
                        now = Some(Lifetime {
                            first_seen: Some(*at),
                            last_seen: Some(*at),
                            appeared_after: last.filter(|_| could_tell_before).map(|(before, _)| before),
                            cut_left: hole,
                            ..Lifetime::default()
                        });
                    }
                    (None, false) => {}
                }
                (last, hole, begun) = (Some((*at, could_tell)), false, true);
            }
            (Word::Silence, Step::Event { what, fact: told }) if told.same(fact) => match *what {
                What::Began if now.is_none() && begun => {
                    let appeared_after = last.map(|(before, _)| before);
                    now = Some(Lifetime { began: Some(*at), appeared_after, ..Lifetime::default() });
                }
                What::Began => {}
                What::Ended => match now.take() {
                    Some(life) => done.push(Lifetime { ended: Some(*at), ..life }),
                    None => done.push(Lifetime { ended: Some(*at), ..Lifetime::default() }),
                },
                // What is live has not passed.
                What::Passed if now.is_some() && begun => {}
                What::Passed => {
                    done.push(Lifetime { began: Some(*at), ended: Some(at.plus(10)), ..Lifetime::default() });
                }
            },
            (Word::Silence, _) => {}
        }
    }
    for mut life in now.into_iter().chain(cut) {
        life.cut_right = true;
        life.gone_by = next_boot.filter(|t| Some(*t) >= life.right_edge());
        done.push(life);
    }
    done
}

fn enter_hole(now: &mut Option<Lifetime>, cut: &mut Option<Lifetime>, hole: &mut bool) {
    if let Some(mut life) = now.take() {
        life.cut_right = true;
        *cut = Some(life);
    }
    *hole = true;
}
