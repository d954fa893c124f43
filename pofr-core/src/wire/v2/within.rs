//! Within the limits: what a writer cuts of what it is handed, so that every reader takes it.

use super::Header;
use crate::{
    collector::Closing,
    fact::Fact,
    limits,
    record::{Event, Record},
};
use std::{borrow::Cow, collections::BTreeMap};

/// Returns a record without anything that no reader would take, cut; one that fits is lent.
pub(super) fn record(record: &Record) -> Cow<'_, Record> {
    let fits = |fact: &Fact| limits::weight(fact) <= limits::FACT.written;
    let fits = match record {
        Record::Sample(sample) => {
            sample.added.iter().all(|added| fits(&added.fact))
                && sample.learned.iter().all(|learned| fits(&learned.fact))
        }
        Record::Event(Event::Began { fact, .. } | Event::Passed { fact, .. }) => fits(fact),
        Record::Event(Event::Learned(learned)) => fits(&learned.fact),
        Record::Event(Event::Ended { .. }) => true,
        Record::Gap(gap) => gap.reason.len() <= limits::REASON.most(),
    };
    if fits {
        return Cow::Borrowed(record);
    }
    let mut cut = record.clone();
    // A fact that is none stays as it is: a reader says what is wrong with it.
    match &mut cut {
        Record::Sample(sample) => {
            sample.added.iter_mut().for_each(|added| _ = limits::fit(&mut added.fact));
            sample.learned.iter_mut().for_each(|learned| _ = limits::fit(&mut learned.fact));
        }
        Record::Event(Event::Began { fact, .. } | Event::Passed { fact, .. }) => _ = limits::fit(fact),
        Record::Event(Event::Learned(learned)) => _ = limits::fit(&mut learned.fact),
        Record::Event(Event::Ended { .. }) => {}
        Record::Gap(gap) => gap.reason = limits::reason(std::mem::take(&mut gap.reason)),
    }
    Cow::Owned(cut)
}

/// Returns a header with no more in its lists than may be: the first ones.
pub(super) fn header(header: &Header) -> Cow<'_, Header> {
    let [pids, sources, missing] = [limits::PIDS, limits::SOURCES, limits::MISSING].map(|l| l.most());
    if header.recorder_pids.len() <= pids
        && header.sources.len() <= sources
        && header.missing.len() <= missing
    {
        return Cow::Borrowed(header);
    }
    let mut cut = header.clone();
    cut.recorder_pids.truncate(pids);
    cut.sources.truncate(sources);
    cut.missing.truncate(missing);
    Cow::Owned(cut)
}

/// Returns what is known at the end of a bundle, with no more of each kind than may be, and the notes and names cut.
pub(super) fn closing(closing: &Closing) -> Closing {
    Closing {
        losses: named(&closing.losses, |lost| *lost),
        audits: named(&closing.audits, |audit| *audit),
        notes: named(&closing.notes, |note| short(note)),
    }
}

fn named<V>(map: &BTreeMap<String, V>, value: impl Fn(&V) -> V) -> BTreeMap<String, V> {
    map.iter().take(limits::NOTES.most()).map(|(name, v)| (short(name), value(v))).collect()
}

fn short(text: &str) -> String {
    text[..text.floor_char_boundary(limits::NOTE.most())].to_owned()
}
