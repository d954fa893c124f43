//! The nursery with events and samples made for the test: what is told, and in what order.

use super::*;
use crate::{
    events::process::heard::Lost,
    events::process::{endings::Ending, exits::Who, sequence::Loss},
    samplers::Brief,
};
use pofr_core::{
    collector::{Extent, Observation, Reread},
    fact::{Fact, Process, ProcessDetails, ProcessKey, Subject, Totals},
    identity::{Entity, StartTicks},
    raw::Reading,
};
use proptest::prelude::*;

/// Ten seconds after the boot, and so many ms.
fn at(millis: i64) -> Moment {
    Moment(10_000_000 + millis * 1_000)
}

/// A nursery, and what it told so far in short.
struct Stage {
    nursery: Nursery,
    boot: pofr_core::identity::BootId,
    epoch: i64,
}

impl Stage {
    fn new() -> Self {
        let view = HostView::live().unwrap();
        let (boot, epoch) = (view.boot, view.clock.at_boot(0).0);
        Self { nursery: Nursery::new(view), boot, epoch }
    }

    fn hear(&mut self, millis: i64, pid: u32, event: Event, glance: Option<Sight>) -> Vec<String> {
        let mut out = Vec::new();
        let glance = glance.map(|sight| Glance { at: at(millis), sight });
        self.nursery.hear(Heard::Event { at: at(millis), pid, event, glance }, &mut out);
        self.shorten(&out)
    }

    fn drain(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        self.nursery.tell_ended(&mut out);
        self.shorten(&out)
    }

    /// A sample whose reading began at `millis` and shows these processes; `read` are those that it read again, or all.
    fn sample(&mut self, millis: i64, shown: Vec<Process>, read: Option<Vec<Entity>>) -> Vec<String> {
        let mut out = Vec::new();
        let mut seen = Observation::from(shown.into_iter().map(Fact::from).collect::<Vec<_>>());
        if let Some(read) = read {
            let reread = |entity| Reread::from(Subject::Entity(entity));
            seen.extent = Extent::Subjects(read.into_iter().map(reread).collect());
        }
        self.nursery.settle(at(millis), &seen, true, &mut out);
        self.shorten(&out)
    }

    fn entity(&self, pid: u32, millis: i64) -> Entity {
        reckon(self.boot, pid, at(millis), self.nursery.view.ticks_per_second)
    }

    /// Writes notices such as `began 7 ls 30`, `passed 7 sh 20 30`, `gone 7 ls 30 40 code`.
    fn shorten(&self, notices: &[Notice]) -> Vec<String> {
        let time = |t: WallMicros| (t.0 - self.epoch - 10_000_000) / 1_000;
        let began = |t: Option<WallMicros>| t.map_or_else(|| "?".to_owned(), |t| time(t).to_string());
        let name = |p: &Process| format!("{} {}", p.key.entity.pid(), p.key.comm.escaped());
        let short = |notice: &Notice| match notice {
            Notice::Began(Fact::Process(p), t) => format!("began {} {}", name(p), time(*t)),
            Notice::Became(p, t) => format!("became {} {}", name(p), time(*t)),
            Notice::Passed { fact: Fact::Process(p), began: b, ended } => {
                format!("passed {} {} {}", name(p), began(*b), time(*ended))
            }
            Notice::Gone { process: p, began: b, at } => {
                let code = p.details.exit_code.unwrap_or(-1);
                format!("gone {} {} {} code {code}", name(p), began(*b), time(*at))
            }
            Notice::Lost(gap) if gap.reason.starts_with("vanished: ") => {
                format!("{} {} {}", gap.reason, time(gap.from), gap.to.map_or(0, time))
            }
            Notice::Lost(gap) => format!("lost {:?}", gap.lost),
            other => format!("{other:?}"),
        };
        notices.iter().map(short).collect()
    }
}

use pofr_core::time::WallMicros;

fn forked(parent: u32) -> Event {
    Event::Forked { parent }
}

fn ended(code: i32, comm: &str) -> Event {
    let who = Who { comm: comm.into(), uid: 5, gid: 6, ppid: Pid(1), elapsed_micros: 1_000 };
    Event::Ended(Box::new(Ending { code, who: Some(who), totals: Some(Totals::default()) }), None)
}

fn process(entity: Entity, comm: &str) -> Process {
    let phase = Phase::unknown(entity);
    let Process { key, .. } = phase.fact();
    let key = ProcessKey {
        ppid: Pid(1),
        comm: comm.into(),
        arguments: Some(comm.into()),
        exe: Reading::Known(comm.into()),
        ..key
    };
    Process { key, details: ProcessDetails::default() }
}

fn brief(entity: Entity, comm: &str) -> Sight {
    let Process { key, .. } = process(entity, comm);
    Sight::Brief(Brief {
        start: entity.start().unwrap(),
        ppid: key.ppid,
        comm: key.comm,
        session: 0,
        tty: 0,
        arguments: key.arguments,
        cut: None,
        exe: key.exe,
    })
}

const NOTHING: [&str; 0] = [];

#[test]
fn who_was_never_seen_is_told_by_what_its_parent_was_and_its_exit_tells() {
    let mut stage = Stage::new();
    let shell = process(stage.entity(5, 0), "sh");
    stage.sample(10, vec![shell], None);
    stage.hear(20, 7, forked(5), None);
    stage.hear(30, 7, Event::Executed, None);
    stage.hear(40, 7, ended(256, "ls"), None);
    assert_eq!(stage.drain(), ["passed 7 sh 20 30", "gone 7 ls 30 40 code 256"]);
    assert_eq!(stage.drain(), NOTHING);
}

#[test]
fn a_number_that_is_used_again_at_once_is_another_process() {
    let mut stage = Stage::new();
    for millis in [0, 100, 200] {
        stage.hear(millis, 7, forked(1), None);
        let told = stage.hear(millis + 50, 7, ended(0, "x"), None);
        assert_eq!(told, NOTHING);
    }
    // The first two were told when their number was taken by the next.
    assert_eq!(stage.drain(), ["gone 7 x 200 250 code 0"]);
    let mut stage = Stage::new();
    stage.hear(0, 7, forked(1), None);
    stage.hear(50, 7, ended(0, "x"), None);
    assert_eq!(stage.hear(100, 7, forked(1), None), ["gone 7 x 0 50 code 0"]);
}

#[test]
fn who_lives_on_is_begun_when_a_sample_shows_it_and_with_what_that_shows() {
    let mut stage = Stage::new();
    let shell = process(stage.entity(5, 0), "sh");
    stage.sample(10, vec![shell], None);
    stage.hear(20, 7, forked(5), None);
    let entity = stage.entity(7, 20);
    stage.hear(30, 7, Event::Executed, Some(brief(entity, "ls")));
    assert_eq!(stage.drain(), NOTHING);
    // Not listed yet: it waits.
    assert_eq!(stage.sample(31, vec![], Some(vec![])), NOTHING);
    let told = stage.sample(40, vec![process(entity, "LS")], Some(vec![entity]));
    assert_eq!(told, ["passed 7 sh 20 30", "began 7 LS 30"]);
    stage.hear(50, 7, ended(9, "x"), None);
    assert_eq!(stage.drain(), ["gone 7 LS ? 50 code 9"]);
}

#[test]
fn what_happened_while_the_sample_was_read_waits_unless_the_sample_shows_it() {
    let mut stage = Stage::new();
    let entity = stage.entity(7, 0);
    stage.sample(0, vec![process(entity, "sh")], None);
    // Both happen after the reading began; the sample shows the program but not the exit.
    stage.hear(101, 7, Event::Executed, Some(brief(entity, "ls")));
    stage.hear(102, 7, ended(0, "ls"), None);
    let told = stage.sample(100, vec![process(entity, "ls")], Some(vec![entity]));
    assert_eq!(told, ["became 7 ls 101"]);
    assert_eq!(stage.drain(), ["gone 7 ls ? 102 code 0"]);

    // A program that the sample does not show yet is told after it.
    let entity = stage.entity(8, 0);
    stage.sample(110, vec![process(entity, "sh")], None);
    stage.hear(121, 8, Event::Executed, Some(brief(entity, "ls")));
    assert_eq!(stage.sample(120, vec![process(entity, "sh")], Some(vec![entity])), NOTHING);
    assert_eq!(stage.sample(130, vec![process(entity, "ls")], Some(vec![entity])), ["became 8 ls 121"]);
}

#[test]
fn who_ended_while_the_sample_was_read_is_told_before_a_sample_that_misses_it() {
    let mut stage = Stage::new();
    let entity = stage.entity(7, 0);
    stage.sample(0, vec![process(entity, "sh")], None);
    stage.hear(101, 7, ended(0, "sh"), None);
    assert_eq!(stage.sample(100, vec![], Some(vec![entity])), ["gone 7 sh ? 101 code 0"]);
}

#[test]
fn a_zombie_is_told_of_once() {
    let zombie = |entity| {
        let mut process = process(entity, "sh");
        process.key.zombie = true;
        process
    };
    // First the event, then the sample.
    let mut stage = Stage::new();
    let entity = stage.entity(7, 0);
    stage.hear(0, 7, forked(1), Some(brief(entity, "sh")));
    stage.hear(10, 7, ended(0, "sh"), None);
    assert_eq!(stage.sample(5, vec![zombie(entity)], None), ["gone 7 sh 0 10 code 0"]);
    assert_eq!(stage.sample(50, vec![zombie(entity)], None), NOTHING);
    // First the sample, then the event: the process passed, and what goes on learns how it ended.
    let mut stage = Stage::new();
    let entity = stage.entity(7, 0);
    stage.hear(0, 7, forked(1), Some(brief(entity, "sh")));
    assert_eq!(stage.sample(5, vec![zombie(entity)], None), NOTHING);
    stage.hear(4, 7, ended(0, "sh"), None);
    assert_eq!(stage.drain(), ["passed 7 sh 0 4", "gone 7 sh 0 4 code 0"]);
}

#[test]
fn a_sample_may_be_quicker_than_the_event() {
    let mut stage = Stage::new();
    let entity = stage.entity(7, 20);
    stage.sample(25, vec![process(entity, "sh")], None);
    stage.hear(20, 7, forked(1), None);
    assert_eq!(stage.sample(50, vec![process(entity, "sh")], None), NOTHING);
    stage.hear(60, 7, ended(0, "sh"), None);
    assert_eq!(stage.drain(), ["gone 7 sh ? 60 code 0"]);
}

#[test]
fn whose_end_was_lost_is_told_when_samples_miss_it() {
    let mut stage = Stage::new();
    stage.hear(0, 7, forked(1), Some(brief(stage.entity(7, 0), "sh")));
    // As long as nothing was lost it must be there, and be hidden from us.
    for millis in 10..20 {
        assert_eq!(stage.sample(millis, vec![], None), NOTHING);
    }
    let mut out = Vec::new();
    let loss = Loss { from: at(1), to: at(2), events: Some(3) };
    stage.nursery.hear(Heard::Lost { loss, what: Lost::Events }, &mut out);
    assert_eq!(stage.shorten(&out), ["lost Some(3)"]);
    assert_eq!(stage.sample(30, vec![], None), ["passed 7 sh 0 0"]);
    assert_eq!(stage.sample(40, vec![], None), NOTHING);
}

#[test]
fn a_look_before_the_event_of_a_program_belongs_to_the_program() {
    let mut stage = Stage::new();
    stage.sample(0, vec![process(stage.entity(5, 0), "sh")], None);
    let entity = stage.entity(7, 20);
    // The look came after the program was exchanged, and that was told after the look.
    stage.hear(20, 7, forked(5), Some(brief(entity, "ls")));
    stage.hear(30, 7, Event::Executed, None);
    stage.hear(40, 7, ended(0, "ls"), None);
    assert_eq!(stage.drain(), ["passed 7 sh 20 30", "gone 7 ls 30 40 code 0"]);
}

#[test]
fn changes_of_ids_and_names_are_told_as_they_come() {
    let mut stage = Stage::new();
    let entity = stage.entity(7, 0);
    stage.sample(0, vec![process(entity, "su")], None);
    stage.hear(10, 7, Event::Users(7, 7), None);
    stage.hear(11, 7, Event::Users(7, 7), None);
    stage.hear(12, 7, Event::Named("x)\n".into()), None);
    stage.hear(13, 7, Event::Session, None);
    stage.hear(20, 7, ended(0, "x)\n"), None);
    let told = stage.drain();
    assert_eq!(told.len(), 4, "a change that changes nothing is none: {told:?}");
    assert_eq!(told[1], "became 7 x)\\n 12");
    assert_eq!(told[3], "gone 7 x)\\n 13 20 code 0");
}

#[test]
fn a_look_that_is_quicker_than_the_events_before_it_belongs_after_them() {
    let mut stage = Stage::new();
    let entity = stage.entity(7, 0);
    let mut known = process(entity, "su");
    known.key.ids = pofr_core::fact::Ids::of([0; 4]);
    stage.sample(0, vec![known.clone()], None);
    stage.hear(10, 7, Event::Executed, Some(brief(entity, "su")));
    let mut later = known.clone();
    (later.key.ids.ruid, later.key.ids.euid) = (Some(7), Some(7));
    for looked in [9, 21] {
        // By its time, or by what it shows.
        let glance = Glance { at: at(looked), sight: Sight::Whole(Box::new(later.clone()), Vec::new()) };
        stage.nursery.hear(Heard::Look { pid: 7, glance }, &mut Vec::new());
    }
    stage.hear(20, 7, Event::Users(7, 7), None);
    stage.hear(30, 7, ended(0, "x"), None);
    let mut out = Vec::new();
    stage.nursery.tell_ended(&mut out);
    let ids: Vec<_> = out
        .iter()
        .map(|notice| match notice {
            Notice::Became(p, _) | Notice::Gone { process: p, .. } => p.key.ids.ruid,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids, [0, 7, 7].map(Some));
}

/// Anything that may be heard of a handful of processes.
fn anything() -> impl Strategy<Value = (u32, u32, Option<(u64, bool)>, bool)> {
    (1_u32..6, 0_u32..9, proptest::option::of((0_u64..2_000, any::<bool>())), any::<bool>())
}

proptest! {
    #[test]
    fn whatever_is_heard_nothing_ends_before_it_begins_and_nothing_panics(
        script in proptest::collection::vec(anything(), 1..80)
    ) {
        let mut stage = Stage::new();
        let mut out = Vec::new();
        for (i, (pid, what, look, late)) in (0_i64..).zip(script) {
            let moment = at(i * 3);
            let entity = stage.entity(pid, i * 3);
            let shown = |start: u64| {
                let Entity::Started { boot, pid, .. } = entity else { unreachable!() };
                process(Entity::Started { boot, pid, start: StartTicks(start) }, "x")
            };
            let event = match what {
                0 | 1 => forked(pid % 5 + 1),
                2 | 3 => Event::Executed,
                4 => Event::Users(what, pid),
                5 => Event::Session,
                6 => ended(0, "x"),
                _ => {
                    let facts = look.map(|(start, zombie)| {
                        let mut process = shown(start);
                        process.key.zombie = zombie;
                        Fact::from(process)
                    });
                    let mut seen = Observation::from(Vec::from_iter(facts));
                    if late {
                        seen.extent = Extent::Subjects(vec![Subject::Entity(entity).into()]);
                    }
                    stage.nursery.settle(moment.plus(if late { -3_000 } else { 0 }), &seen, true, &mut out);
                    continue;
                }
            };
            let glance = look.map(|(start, whole)| Glance {
                at: moment,
                sight: if whole { Sight::Whole(Box::new(shown(start)), Vec::new()) } else { brief(shown(start).key.entity, "y") },
            });
            stage.nursery.hear(Heard::Event { at: moment, pid, event, glance }, &mut out);
            if late {
                stage.nursery.tell_ended(&mut out);
            }
        }
        for notice in out {
            if let Notice::Passed { began: Some(began), ended, .. } | Notice::Gone { began: Some(began), at: ended, .. } = notice {
                prop_assert!(began <= ended);
            }
        }
    }
}

#[test]
fn who_is_shown_no_more_without_an_exit_has_vanished() {
    let mut stage = Stage::new();
    let (hidden, exits) = (process(stage.entity(7, 0), "hid"), process(stage.entity(8, 0), "sh"));
    stage.sample(300, vec![hidden.clone(), exits.clone()], None);
    stage.sample(600, vec![hidden, exits], None);
    // Both are missed; of one the exit comes late.
    let early: Vec<String> = (3..=14).flat_map(|n| stage.sample(n * 300, vec![], None)).collect();
    assert_eq!(early, NOTHING);
    stage.hear(4_400, 8, ended(0, "sh"), None);
    stage.drain();
    let told: Vec<String> = (15..=40).flat_map(|n| stage.sample(n * 300, vec![], None)).collect();
    assert_eq!(told, ["vanished: process 7 (hid) is shown no more, and no exit was told 600 4800"], "once");
}

#[test]
fn who_may_have_exited_unheard_has_not_vanished() {
    let mut stage = Stage::new();
    let alive = process(stage.entity(7, 0), "sh");
    let mut zombie = process(stage.entity(8, 0), "done");
    zombie.key.zombie = true;
    stage.sample(300, vec![alive, zombie], None);
    let loss = Loss { from: at(310), to: at(320), events: Some(3) };
    let mut out = Vec::new();
    stage.nursery.hear(Heard::Lost { loss, what: Lost::Events }, &mut out);
    let told: Vec<String> = (2..=40).flat_map(|n| stage.sample(n * 300, vec![], None)).collect();
    assert_eq!(told, NOTHING);
}
