//! What may go wrong while it records: killed, stopped, out of room, out of descriptors, without privileges. Each leaves its
//! trace, and nothing else breaks.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]

mod place;

use place::{Place, text};
use pofr_core::{
    gap::{Gap, Severity},
    record::Record,
};
use std::{
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    process::{Command, Stdio},
    time::Duration,
};

/// All gaps of a place's bundles whose reason begins so.
fn gaps(place: &Place, reason: &str) -> Vec<Gap> {
    let bundles = place.bundles();
    let records = bundles.iter().flat_map(|bundle| bundle.records().unwrap());
    let gap = |record| match record {
        Record::Gap(gap) if gap.reason.starts_with(reason) => Some(gap),
        _ => None,
    };
    records.filter_map(|record| gap(record.unwrap())).collect()
}

fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").unwrap().lines().any(|line| line.starts_with("Uid:\t0\t0\t"))
}

/// Fields of every thread's /proc/PID/task/*/status.
fn of_all_threads(pid: i64, field: &str) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let read = |path: std::path::PathBuf| {
        let status = std::fs::read_to_string(path.join("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim_start_matches(':').trim().to_owned()
    };
    tasks.map(|task| read(task.unwrap().path())).collect()
}

#[test]
fn killed_it_leaves_a_gap_and_an_incomplete_bundle() {
    let place = Place::new();
    let mut child = place.spawn(&["--bundle", "1h", "--interval", "50ms", "--max-cpu", "1000%"]);
    // A second is on the medium by then.
    place.until("ticks", |status| status["samples"]["ticks"].as_u64() > Some(40));
    child.kill().unwrap();
    child.wait().unwrap();
    let (code, status) = place.status();
    assert_eq!((code, &status["killed"]), (Some(5), &true.into()));
    let words = text(&place.pofrc("status", &[]).output().unwrap().stdout);
    assert!(words.contains("the last one was killed"), "{words}");

    assert!(place.start(&[]).status.success());
    assert_eq!(place.stop().status.code(), Some(0));
    let bundles = place.bundles();
    assert_eq!(bundles.iter().map(|bundle| bundle.manifest.complete).collect::<Vec<_>>(), [false, true]);
    let gaps = gaps(&place, "the recorder was not running");
    assert_eq!((gaps.len(), gaps[0].severity, gaps[0].source.clone()), (1, Severity::Blind, None));
    let (last, first) = (bundles[0].manifest.wall.unwrap().1, bundles[1].manifest.wall.unwrap().0);
    assert_eq!((gaps[0].from.0, gaps[0].to.unwrap().0), (last, first));
}

#[test]
fn stopped_and_woken_it_says_what_it_did_not_see() {
    let place = Place::new();
    let child = place.spawn(&["--bundle", "1h", "--interval", "50ms", "--max-cpu", "1000%"]);
    let pid = i64::from(child.id());
    let skipped = |status: &serde_json::Value| status["samples"]["skipped"].as_u64();
    let before = skipped(&place.status().1).unwrap();
    place.signal("STOP", pid);
    // Start finds it running, status says why it does not answer.
    assert!(text(&place.start(&[]).stdout).starts_with(&format!("a recorder runs already: process {pid}")));
    let (code, status) = place.status();
    assert_eq!((code, &status["stopped"]), (Some(6), &true.into()), "{status}");
    std::thread::sleep(Duration::from_secs(1));
    place.signal("CONT", pid);
    place.until("it goes on", |status| skipped(status) > Some(before + 10));
    assert_eq!(place.stop().status.code(), Some(0));
    let gaps = gaps(&place, "samples came later than the interval asks");
    let long = gaps.iter().find(|gap| gap.to.unwrap().since(gap.from) > 1_000_000).unwrap();
    assert_eq!((long.severity, long.lost.is_some_and(|lost| lost >= 10)), (Severity::Thin, true));
    let _ = child.wait_with_output();
}

#[test]
fn stop_wakes_what_is_stopped() {
    let place = Place::new();
    let child = place.spawn(&["--bundle", "1h"]);
    place.signal("STOP", child.id().into());
    assert_eq!(place.stop().status.code(), Some(0));
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
    assert!(place.bundles()[0].manifest.complete);
}

#[test]
fn a_full_spool_loses_the_oldest_and_says_so() {
    let place = Place::new();
    assert!(
        place
            .start(
                &["--bundle", "100ms", "--interval", "50ms", "--spool-cap", "40KiB", "--max-cpu", "1000%",]
            )
            .status
            .success()
    );
    let status = place.until("bundles are dropped", |status| status["spool"]["dropped"].as_u64() >= Some(3));
    // The newest stays, whatever its size.
    let spool = &status["spool"];
    assert!(spool["bytes"].as_u64() <= Some(40 << 10) || spool["bundles"] == 1, "{status}");
    // One more, so that the drops are told.
    let seq = status["last_bundle"]["seq"].as_u64().unwrap();
    place.until("another bundle", |status| status["last_bundle"]["seq"].as_u64() > Some(seq + 1));
    assert_eq!(place.stop().status.code(), Some(0));
    let bundles = place.bundles();
    let missing: Vec<_> = bundles.iter().flat_map(|bundle| bundle.manifest.missing.clone()).collect();
    assert!(!missing.is_empty() && bundles.iter().all(|bundle| !missing.contains(&bundle.manifest.seq)));
    let told = gaps(&place, "bundle ");
    assert!(told.iter().all(|gap| gap.reason.ends_with(" is lost: the spool was full")) && !told.is_empty());
}

#[test]
fn with_few_descriptors_it_records() {
    let place = Place::new();
    let start =
        place.pofrc("start", &["--detach", "--bundle", "500ms", "--interval", "50ms", "--max-cpu", "1000%"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""]).arg(start.get_program()).args(start.get_args());
    let output = shell.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", place.pid())).unwrap();
    assert!(limits.lines().any(|line| line.starts_with("Max open files            64  ")), "{limits}");
    place.until("two bundles", |status| status["last_bundle"]["seq"].as_u64() >= Some(2));
    assert_eq!(place.stop().status.code(), Some(0));
    let bundles = place.bundles();
    let processes: Vec<_> = bundles.iter().map(|bundle| bundle.manifest.sources["process"]).collect();
    assert!(processes.iter().all(|samples| *samples > 0), "{processes:?}");
    assert_eq!(gaps(&place, "cannot read /proc").len(), 0);
}

#[test]
fn after_start_it_has_only_what_it_needs() {
    if !is_root() {
        eprintln!("not root: there is nothing to give up");
        return;
    }
    let place = Place::new();
    assert!(place.start(&[]).status.success());
    let pid = place.pid();
    // CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_NET_ADMIN; a thread may have given up more.
    let few = 0x81004_u64;
    for field in ["CapPrm", "CapEff", "CapBnd"] {
        let sets = of_all_threads(pid, field);
        let sets: Vec<_> = sets.iter().map(|set| u64::from_str_radix(set, 16).unwrap()).collect();
        assert!(sets.iter().all(|set| set & !few == 0) && sets.contains(&few), "{field}: {sets:x?}");
    }
    for field in ["CapInh", "CapAmb"] {
        assert!(of_all_threads(pid, field).iter().all(|set| set.trim_matches('0').is_empty()), "{field}");
    }
    assert!(of_all_threads(pid, "NoNewPrivs").iter().all(|value| value == "1"));
    assert!(of_all_threads(pid, "Uid").iter().all(|ids| ids == "0\t0\t0\t0"));
    assert_eq!(place.status().1["capabilities"].as_array().unwrap().len(), 3);
    // It can still write what it must, and see the files of others.
    assert_eq!(place.stop().status.code(), Some(0));
    assert!(place.bundles()[0].manifest.complete);
}

#[test]
fn as_another_user_it_keeps_what_it_needs_and_owns_its_places() {
    if !is_root() {
        eprintln!("not root: it cannot become another user");
        return;
    }
    let place = Place::new();
    // A recorder that was root leaves a state and a bundle, which the other takes over.
    assert!(place.start(&[]).status.success() && place.stop().status.success());
    let permissions = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(place.dir.path(), permissions).unwrap();
    let output = place.start(&["--user", "nobody"]);
    assert!(output.status.success(), "{output:?}");
    let pid = place.pid();
    assert!(of_all_threads(pid, "Uid").iter().all(|ids| ids == "65534\t65534\t65534\t65534"));
    assert!(of_all_threads(pid, "Gid").iter().all(|ids| ids == "65534\t65534\t65534\t65534"));
    assert!(of_all_threads(pid, "Groups").iter().all(|groups| groups == "65534"));
    assert!(of_all_threads(pid, "CapEff").contains(&"0000000000081004".to_owned()));
    // What may not be dumped is root's in /proc, whoever it runs as: nobody may not look into it.
    assert_eq!(std::fs::metadata(format!("/proc/{pid}/environ")).unwrap().uid(), 0);
    let status = place.until("it records", |status| status["samples"]["ticks"].as_u64() > Some(1));
    let denied = status["samples"]["denied_processes"].as_u64().unwrap();
    assert!(denied < status["samples"]["facts"]["process"].as_u64().unwrap() / 2, "{status}");
    assert_eq!(place.stop().status.code(), Some(0));
    assert_eq!(place.bundles().len(), 2);
    for name in ["run", "spool", "state", "state/state.json", "run/last.json"] {
        assert_eq!(std::fs::metadata(place.path(name)).unwrap().uid(), 65_534, "{name}");
    }
    // Root does not take over what another user could have prepared.
    let output = place.start(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("/run belongs to another user (65534)"), "{output:?}");
}

#[test]
fn an_ordinary_user_records_what_there_is_to_see_and_is_told_what_is_not() {
    let place = Place::new();
    let mut start = place.pofrc("start", &["--detach", "--bundle", "500ms"]);
    if is_root() {
        // The program lies where the user may not look, perhaps.
        let program = place.path("pofrc");
        std::fs::copy(env!("CARGO_BIN_EXE_pofrc"), &program).unwrap();
        let permissions = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(place.dir.path(), permissions).unwrap();
        for name in ["run", "spool", "state"] {
            std::fs::create_dir(place.path(name)).unwrap();
            let permissions = std::fs::Permissions::from_mode(0o700);
            std::fs::set_permissions(place.path(name), permissions).unwrap();
            chown(place.path(name), Some(65_534), Some(65_534)).unwrap();
        }
        let mut copy = Command::new(program);
        copy.args(start.get_args()).uid(65_534).gid(65_534).stdin(Stdio::null());
        start = copy;
    }
    let output = start.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = text(&output.stdout);
    for name in ["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH", "CAP_NET_ADMIN"] {
        assert!(said.contains(&format!("note: without {name}: ")), "{said}");
    }
    let status = place.until("a bundle", |status| status["last_bundle"]["seq"].as_u64() >= Some(1));
    assert_ne!(status["user"], 0);
    assert!(status["samples"]["denied_processes"].as_u64() > Some(0) || !is_root(), "{status}");
    let pid = place.pid();
    assert!(of_all_threads(pid, "CapEff").iter().all(|set| set.trim_matches('0').is_empty()));
    assert!(of_all_threads(pid, "NoNewPrivs").iter().all(|value| value == "1"));
    assert_eq!(place.stop().status.code(), Some(0));
}

#[test]
fn over_its_budget_it_takes_fewer_samples_and_says_so() {
    let place = Place::new();
    assert!(place.start(&["--interval", "5ms", "--max-cpu", "0.01%", "--bundle", "2s"]).status.success());
    let status = place.until("it slows down", |status| status["cost"]["over_budget"].is_string());
    assert!(status["samples"]["interval_us"].as_u64() > Some(5_000), "{status}");
    assert_eq!(place.stop().status.code(), Some(0));
    let told = status["cost"]["over_budget"].as_str().unwrap();
    assert!(told.starts_with("over the CPU budget of 0.01 %: a sample every "), "{told}");
}
