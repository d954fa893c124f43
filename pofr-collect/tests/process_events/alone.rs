//! What the source tells when no sample has been taken yet.

use super::{Was, alone, listen, of, run, start};
use pofr_collect::{HostView, ProgramFile, events::ProcessEvents};
use pofr_core::{
    EventSource as _,
    collector::Notice,
    fact::{Fact, Totals},
};
use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Takes what is told until it is enough, or nothing more can be hoped for.
fn hear(events: &mut ProcessEvents, enough: impl Fn(&[Notice]) -> bool) -> Vec<Notice> {
    let mut notices = Vec::new();
    let begun = Instant::now();
    while !enough(&notices) && begun.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(2));
        events.drain(&mut notices).unwrap();
    }
    notices
}

/// Hears until these processes are gone.
fn hear_out(events: &mut ProcessEvents, pids: &[u32]) -> Vec<Notice> {
    let is_gone = |notices: &[Notice], pid| {
        notices.iter().any(|n| matches!(n, Notice::Gone { process, .. } if process.key.entity.pid().0 == pid))
    };
    hear(events, |notices| pids.iter().all(|pid| is_gone(notices, *pid)))
}

#[test]
fn every_short_process_is_told_with_name_ids_begin_end_and_code() {
    let _alone = alone();
    let view = HostView::live().unwrap();
    let Some(mut events) = listen(&view) else { return };
    let before = view.clock.now();
    let pids: Vec<u32> = (0..300)
        .map(|i| if i % 3 == 0 { run("/bin/false", &[]) } else { run("/bin/true", &[&format!("tag-{i}")]) })
        .collect();
    let notices = hear_out(&mut events, &pids);
    let after = view.clock.now();
    assert!(!notices.iter().any(|n| matches!(n, Notice::Lost(_))), "nothing is lost here");
    for (i, pid) in pids.iter().enumerate() {
        let was = of(&notices, *pid);
        let [forked, executed] = &was[..] else { panic!("process {pid} was {was:?}") };
        let (name, code) = if i % 3 == 0 { ("false", 256) } else { ("true", 0) };
        assert_eq!(executed.process.key.comm, name.into());
        assert_eq!(
            (forked.process.details.exit_code, executed.process.details.exit_code),
            (None, Some(code))
        );
        assert!(executed.process.details.totals.is_some());
        for Was { process, .. } in &was {
            assert_eq!(process.key.ppid.0, std::process::id());
            assert_eq!(process.key.ids.ruid, Some(rustix::process::getuid().as_raw()));
            assert_eq!(process.key.ids.egid, Some(rustix::process::getegid().as_raw()));
            assert_eq!(process.key.entity, executed.process.key.entity);
        }
        assert_eq!(Some(forked.ended), executed.began, "one thing follows on the other");
        assert!(before <= forked.began.unwrap() && forked.began <= executed.began);
        assert!(executed.began.unwrap() < executed.ended && executed.ended <= after);
    }
}

#[test]
fn who_lives_for_some_milliseconds_is_told_with_arguments_program_and_files() {
    let _alone = alone();
    let view = HostView::live().unwrap();
    let Some(mut events) = listen(&view) else { return };
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let script = format!("exec 7<'{path}'; /bin/sleep 0.03");
    let pids: Vec<u32> = (0..5)
        .map(|_| {
            // Whole looks may take up a small share of the time only.
            std::thread::sleep(Duration::from_millis(200));
            run("/bin/sh", &["-c", &script])
        })
        .collect();
    let notices = hear_out(&mut events, &pids);
    let mut with_file = 0;
    for pid in pids {
        let was = of(&notices, pid);
        let shell = was.last().unwrap();
        assert_eq!(shell.arguments(), format!("/bin/sh\\x00-c\\x00{script}\\x00"));
        assert_eq!(
            shell.process.key.exe.known(),
            Some(&std::fs::canonicalize("/bin/sh").unwrap().to_str().unwrap().into())
        );
        let child = notices.iter().find_map(|notice| match notice {
            Notice::Gone { process, .. } if process.key.ppid.0 == pid => Some(process),
            _ => None,
        });
        assert_eq!(child.unwrap().arguments().unwrap(), &"/bin/sleep\x000.03\x00".into());
        let held = notices.iter().find_map(|notice| match notice {
            Notice::Passed { fact: Fact::File(file), began, ended }
                if file.key.entity == shell.process.key.entity =>
            {
                (file.key.path.as_bytes() == path.as_bytes() && file.key.fd == 7).then_some((*began, *ended))
            }
            _ => None,
        });
        if let Some((began, ended)) = held {
            assert!(shell.began <= began && ended == shell.ended, "it was open to the end");
            with_file += 1;
        }
    }
    // Where others on this machine make many processes, too, some go without.
    assert!(with_file > 0, "the file is told of");
}

#[test]
fn a_fork_without_a_program_is_what_its_parent_is() {
    let _alone = alone();
    let view = HostView::live().unwrap();
    let Some(mut events) = listen(&view) else { return };
    let script = "(exit 5); sleep 0.5";
    let shell = run("/bin/sh", &["-c", script]);
    let notices = hear_out(&mut events, &[shell]);
    let child = notices.iter().find_map(|notice| match notice {
        Notice::Gone { process, .. } if process.key.ppid.0 == shell => Some(process),
        _ => None,
    });
    let child = child.expect("the subshell is told of");
    assert_eq!((child.details.exit_code, child.key.comm.clone()), (Some(5 << 8), "sh".into()));
    assert_eq!(child.arguments(), Some(&format!("/bin/sh\0-c\0{script}\0").as_str().into()));
}

#[test]
fn a_change_of_rights_is_told_when_it_happens() {
    let _alone = alone();
    let view = HostView::live().unwrap();
    let Some(mut events) = listen(&view) else { return };
    let who = ["--reuid=65534", "--regid=65533", "--clear-groups", "/bin/sleep", "0.01"];
    let pid = run("/usr/bin/setpriv", &who);
    let notices = hear_out(&mut events, &[pid]);
    let was = of(&notices, pid);
    let effective = |[_, euid, _, egid]: [u32; 4]| (euid, egid);
    let ids: Vec<_> = was.iter().map(|was| effective(was.process.key.ids.numbers())).collect();
    assert_eq!(ids.first(), Some(&(0, 0)));
    assert_eq!(ids.last(), Some(&(65534, 65533)));
    assert!(ids.contains(&(65534, 0)) || ids.contains(&(0, 65533)), "one after the other: {ids:?}");
    assert!(was.windows(2).all(|two| Some(two[0].ended) == two[1].began));
    assert_eq!(was.last().unwrap().process.key.comm, "sleep".into());
}

#[test]
fn a_killed_process_tells_the_signal_and_what_it_used() {
    let _alone = alone();
    let view = HostView::live().unwrap();
    let Some(mut events) = listen(&view) else { return };
    let mut child = start("/bin/sh", &["-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; kill -9 $$"]);
    let pid = child.id();
    child.wait().unwrap();
    let notices = hear_out(&mut events, &[pid]);
    let was = of(&notices, pid).pop().unwrap();
    assert_eq!(was.process.details.exit_code, Some(9));
    let Totals { user_micros, system_micros, .. } = was.process.details.totals.unwrap();
    assert!(user_micros + system_micros > 0);
}

#[test]
fn a_process_ends_with_its_last_thread_not_its_first() {
    let _alone = alone();
    let view = HostView::live().unwrap();
    let Some(mut events) = listen(&view) else { return };
    let dir = tempfile::tempdir().unwrap();
    let (source, program) = (dir.path().join("threads.c"), dir.path().join("threads"));
    let text = include_str!("threads.c");
    std::fs::write(&source, text).unwrap();
    let compiled = run("cc", &["-pthread", "-o", program.to_str().unwrap(), source.to_str().unwrap()]);
    assert!(program.exists(), "a C compiler made it (process {compiled})");
    let pid = run(program.to_str().unwrap(), &[]);
    let notices = hear_out(&mut events, &[pid]);
    let was = of(&notices, pid).pop().unwrap();
    // The first thread exits at once, the other after 50 ms with 7.
    assert_eq!(was.process.details.exit_code, Some(7 << 8));
    assert!(was.ended.since(was.began.unwrap()) >= 50_000);
    assert_eq!(was.process.key.comm, "threads".into());
}

#[test]
fn who_is_left_out_is_not_told_of_nor_what_of_its_family_it_makes() {
    let _alone = alone();
    let view = HostView::live().unwrap();
    let Some(mut events) = listen(&view) else { return };
    // Each lives long enough to be looked at: who is gone before cannot be told to be of the family.
    let script = "read x; /bin/sleep 0.2; /bin/true; exit 3";
    let mut ours = Command::new("/bin/sh").args(["-c", script]).stdin(Stdio::piped()).spawn().unwrap();
    let pid = ours.id();
    // The number alone tells who made whom; the start time tells it from whoever has the number later.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let start = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap();
    let programs =
        ["/bin/sh", "/bin/sleep"].map(|path| ProgramFile::find(std::path::Path::new(path)).unwrap());
    let (number, start) = (pofr_core::identity::Pid(pid), pofr_core::identity::StartTicks(start));
    assert!(view.exclude_family(number, start, &programs));
    drop(ours.stdin.take());
    ours.wait().unwrap();
    let other = run("/bin/true", &[]);
    let notices = hear_out(&mut events, &[other]);
    assert!(of(&notices, pid).is_empty());
    let made: Vec<_> = notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::Gone { process, .. } if process.key.ppid.0 == pid => Some(process.key.comm.clone()),
            _ => None,
        })
        .collect();
    // What runs anything else is told of, whoever made it.
    assert_eq!(made, ["true".into()]);
}
