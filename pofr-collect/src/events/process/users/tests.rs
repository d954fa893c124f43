//! Users, told what happens, with real processes where somebody must be asked.

use super::*;
use crate::events::process::message::Task;

const ATTACKER: u32 = 65534;
const OTHER: u32 = 1000;

/// Users of this machine, who were there before: pids below 10 are of root's making.
fn users() -> Users {
    let mut users = Users::new(&HostView::live().unwrap()).unwrap();
    for (pid, user) in [(1, ROOT), (2, ATTACKER), (3, OTHER)] {
        users.members.insert(u32::MAX - pid, Member::new(user, false, Moment(0)));
    }
    users
}

const fn of_user(number: u32) -> u32 {
    u32::MAX - number
}

const fn task(process: u32) -> Task {
    Task { thread: process, process }
}

fn happens(users: &mut Users, what: What, now: i64) -> Verdict {
    let message = Message { sequence: 0, answers: 0, cpu: 0, at_nanos: 0, what };
    users.judge(&message, Moment(now))
}

fn fork(users: &mut Users, parent: u32, child: u32, now: i64) -> Verdict {
    happens(users, What::Fork { parent: task(parent), child: task(child) }, now)
}

#[test]
fn beyond_its_allowance_a_user_is_counted_and_another_is_not() {
    let mut users = users();
    let told = (10_000..20_000).filter(|pid| fork(&mut users, of_user(2), *pid, 0) == Verdict::Tell).count();
    assert_eq!(told as u64, limits::PROCESSES * limits::SAVED_SECONDS);
    assert_eq!(fork(&mut users, of_user(3), 20_000, 0), Verdict::Tell);
    // A counted one's children and changes are of the same user, and its end is of interest where it was shown.
    assert_eq!(fork(&mut users, 19_999, 20_001, 0), Verdict::Count);
    assert_eq!(happens(&mut users, What::Exec(task(19_999)), 0), Verdict::Count);
    let exit = |pid| What::Exit { of: task(pid), code: 0 };
    assert_eq!(happens(&mut users, exit(19_999), 0), Verdict::EndIfShown);
    assert_eq!(happens(&mut users, exit(10_000), 0), Verdict::Tell);
    // One that lives on is told of again.
    assert_eq!(happens(&mut users, What::Exec(task(19_998)), 2_000_000), Verdict::Tell);
    let floods = users.take_floods(Moment(limits::TELL_MICROS));
    let [Flood { user: ATTACKER, left, .. }] = floods[..] else { panic!("{floods:?}") };
    assert_eq!(left, Left { processes: 10_001 - told as u64, ..Left::default() });
    assert!(floods[0].reason().starts_with("flood: user 65534 did more"), "{}", floods[0].reason());
    assert!(users.due().is_none() && users.take_floods(Moment(i64::MAX)).is_empty());
    // It fills again.
    assert_eq!(fork(&mut users, of_user(2), 20_002, 1_000_000), Verdict::Tell);
}

#[test]
fn while_telling_is_dear_less_is_told() {
    let mut users = users();
    users.effort.has_left(10);
    let told = (10_000..20_000).filter(|pid| fork(&mut users, of_user(2), *pid, 0) == Verdict::Tell).count();
    assert_eq!(told as u64, limits::PROCESSES * limits::SAVED_SECONDS / 8);
    assert_eq!(fork(&mut users, of_user(3), 20_000, 0), Verdict::Tell);
}

#[test]
fn renaming_in_a_loop_is_told_some_times_and_with_its_last_name_at_the_end() {
    let mut users = users();
    fork(&mut users, of_user(2), 50, 0);
    let name = |n: u32| {
        let mut name = [0; 16];
        name[..4].copy_from_slice(&n.to_ne_bytes());
        What::Name { of: task(50), name }
    };
    let told = (0..10_000).filter(|n| happens(&mut users, name(*n), 0) == Verdict::Tell).count();
    assert_eq!(told as u64, limits::CHANGES * limits::CHANGES_SAVED_SECONDS);
    let What::Name { name: last, .. } = name(9_999) else { unreachable!() };
    let exit = What::Exit { of: task(50), code: 0 };
    assert_eq!(happens(&mut users, exit, 0), Verdict::EndNamed(last));
}

#[test]
fn programs_in_a_loop_are_said_to_be_unknown_once() {
    let mut users = users();
    fork(&mut users, of_user(2), 50, 0);
    let many = limits::CHANGES * limits::CHANGES_SAVED_SECONDS;
    let mut exec = |now| happens(&mut users, What::Exec(task(50)), now);
    assert!((0..many).all(|_| exec(0) == Verdict::Tell));
    assert_eq!((exec(0), exec(0), exec(0)), (Verdict::Blur, Verdict::Count, Verdict::Count));
    assert_eq!((exec(1_000_000), exec(1_000_000)), (Verdict::Tell, Verdict::Tell));
}

#[test]
fn changes_of_many_processes_are_bounded_for_their_user() {
    let mut users = users();
    let mut told = 0;
    for pid in 10_000..12_000 {
        fork(&mut users, of_user(2), pid, 0);
        let change = What::Groups { of: task(pid), real: 1, effective: 1 };
        told += (0..10).filter(|_| happens(&mut users, change, 0) == Verdict::Tell).count();
    }
    assert_eq!(told as u64, limits::ALL_CHANGES * limits::SAVED_SECONDS);
    fork(&mut users, of_user(3), 20_000, 0);
    assert_eq!(happens(&mut users, What::Exec(task(20_000)), 0), Verdict::Tell);
}

#[test]
fn only_what_roots_processes_become_counts() {
    let mut users = users();
    let now = Moment(0);
    let becomes = |users: &mut Users, pid, real| {
        happens(users, What::Users { of: task(pid), real, effective: real }, 0);
    };
    // As sshd does for who logs in.
    fork(&mut users, of_user(1), 50, 0);
    becomes(&mut users, 50, ATTACKER);
    assert_eq!(users.of(50, now), ATTACKER);
    // As a set-user-ID program does, and whoever has many ids in a user namespace.
    becomes(&mut users, 50, ROOT);
    becomes(&mut users, 50, 100_001);
    fork(&mut users, 50, 51, 0);
    assert_eq!((users.of(50, now), users.of(51, now)), (ATTACKER, ATTACKER));
    // Who was there before is asked, and who is gone is nobody.
    assert_eq!(users.of(std::process::id(), now), rustix::process::getuid().as_raw());
    assert_eq!(users.of(1 << 30, now), NOBODY);
}

#[test]
fn who_used_up_its_looks_is_not_looked_at_and_others_are() {
    let mut users = users();
    let now = Moment(0);
    let closeness = |users: &mut Users, number, spare| users.closeness(of_user(number), spare, now);
    assert_eq!(closeness(&mut users, 2, 100), Closeness::Repeatedly);
    let all = i64::try_from(users.looks * limits::SAVED_SECONDS).unwrap();
    let mut seen = Vec::new();
    for _ in 0..10 {
        users.looked(of_user(2), all / 10, None, now);
        seen.push(closeness(&mut users, 2, 100));
    }
    assert!(seen.is_sorted_by(|a, b| a >= b), "{seen:?}");
    assert_eq!(seen.last(), Some(&Closeness::Not));
    // The listening thread has nothing left: who did nothing is looked at all the same.
    assert_eq!(closeness(&mut users, 3, 100), Closeness::Repeatedly);
    assert_eq!(closeness(&mut users, 3, -50), Closeness::Briefly);
}

#[test]
fn long_arguments_are_told_as_far_as_the_allowance_goes() {
    use crate::samplers::Brief;
    use pofr_core::{
        identity::{Pid, StartTicks},
        raw::{RawText, Reading},
    };
    let mut users = users();
    let mut kept = |number, bytes| {
        let mut sight = Sight::Brief(Brief {
            start: StartTicks(1),
            ppid: Pid(1),
            comm: "x".into(),
            session: 1,
            tty: 0,
            arguments: Some(RawText::from(vec![b'x'; bytes])),
            cut: None,
            exe: Reading::Unknown,
        });
        users.looked(of_user(number), 0, Some(&mut sight), Moment(0));
        let Sight::Brief(brief) = sight else { unreachable!() };
        brief.arguments.map_or(0, |text| text.as_bytes().len())
    };
    let total: usize = (0..1_000).map(|_| kept(2, 32 << 10)).sum();
    assert_eq!(total as u64, limits::ARGUMENT_BYTES * limits::SAVED_SECONDS);
    // Short ones are always told, and another's.
    assert_eq!((kept(2, 100), kept(3, 32 << 10)), (100, 32 << 10));
}
