//! Where bundles end: never so that what was known becomes unknown without a word.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]

mod stream;

use pofr_collect::{HostView, Registry};
use pofr_core::{
    Collector, Source,
    collector::{CollectError, Observation},
    fact::{
        Fact, FileDetails, FileKey, FileMode, Files, Ids, OpenFile, Process, ProcessDetails, ProcessKey,
        ProcessMarks,
    },
    gap::Severity,
    identity::{BootId, Entity, Pid, StartTicks},
    raw::Reading,
    record::Record,
};
use stream::{Shown, gaps, play, record, settings};

/// A process of which `files` says whether its one file can be told.
fn process(files: Files) -> Vec<Fact> {
    let entity = Entity::Started { boot: BootId([1; 16]), pid: Pid(9), start: StartTicks(1) };
    let key = ProcessKey {
        entity,
        ppid: Pid(1),
        ids: Ids::of([0; 4]),
        comm: "x".into(),
        arguments: Some("x".into()),
        exe: Reading::Absent,
        cwd: Reading::Absent,
        session: 0,
        tty: 0,
        login_uid: None,
        cgroup: Reading::Absent,
        namespaces: Reading::Absent,
        zombie: false,
        files,
        marks: ProcessMarks::default(),
    };
    let file = FileKey { entity, fd: 3, path: "/f".into(), mode: FileMode::Read, deleted: false };
    let mut facts = vec![Fact::from(Process { key, details: ProcessDetails::default() })];
    if files == Files::Read {
        facts.push(Fact::File(OpenFile { key: file, details: FileDetails::default() }));
    }
    facts
}

/// A process sampler that finds its process readable or not as a function of the tick's number says.
struct Veiling<F>(u32, F);

impl<F: FnMut(u32) -> bool + Send> Collector for Veiling<F> {
    fn source(&self) -> Source {
        Source::Process
    }
    fn sample(&mut self, out: &mut Observation) -> Result<(), CollectError> {
        self.0 += 1;
        out.facts = process(if (self.1)(self.0) { Files::Read } else { Files::Denied });
        Ok(())
    }
}

#[test]
fn no_bundle_begins_with_a_reading_that_cannot_tell_what_was_known() {
    // The eleventh tick, at which the bundle would end, is one that cannot tell; the twelfth can, as it was before.
    let registry = Registry::empty().sampler(Veiling(0, |tick| !(11..=12).contains(&tick)));
    let (memory, seen) = record(HostView::live().unwrap(), registry, settings(20_000, 200_000), 700);
    let bundles = memory.bundles();
    let (mut played, mut lost) = (Shown::new(), 0);
    for bundle in &bundles {
        played.extend(play(&bundle.records));
        for record in &bundle.records {
            let Record::Sample(sample) = record else { continue };
            lost += sample.lost.len();
            assert!(!sample.keyframe || sample.lost.is_empty());
        }
        assert!(gaps(&bundle.records).iter().all(|gap| gap.severity == Severity::Thin));
    }
    assert_eq!(lost, 1, "the file is unknown, and not gone");
    assert_eq!(played, seen);
}

#[test]
fn a_bundle_ends_even_if_every_tick_changes_what_can_be_read() {
    let registry = Registry::empty().sampler(Veiling(0, |tick: u32| tick.is_multiple_of(2)));
    let (memory, seen) = record(HostView::live().unwrap(), registry, settings(1_000, 100_000), 2_000);
    let bundles = memory.bundles();
    assert!(bundles.len() > 1);
    let cut = gaps(&bundles[0].records).into_iter().find(|gap| gap.severity == Severity::Blind).unwrap();
    assert_eq!((cut.source, cut.to), (Some(Source::Process), Some(bundles[1].opening.opened_wall)));
    let mut played = Shown::new();
    bundles.iter().for_each(|bundle| played.extend(play(&bundle.records)));
    assert_eq!(played, seen);
}
