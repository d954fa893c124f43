//! Processes, against ps(1).

use crate::{output, sample, workload::start};
use pofr_core::{
    fact::{Fact, Process},
    raw::Reading,
};
use std::collections::BTreeMap;

fn ps(pid: u32, columns: &str) -> String {
    let text = output("ps", &["-ww", "-o", columns, "-p", &pid.to_string()]);
    String::from_utf8(text).unwrap().trim_end_matches('\n').to_owned()
}

/// Writes bytes as ps does in the C locale: a dot for a control character, a question mark for what is not ASCII.
fn as_ps(text: &[u8]) -> String {
    let one = |b: &u8| match b {
        0..=31 => '.',
        b' '..=b'~' => char::from(*b),
        _ => '?',
    };
    text.iter().map(one).collect()
}

#[test]
fn processes_are_as_ps_has_them() {
    let workload = start();
    let facts = sample();
    let processes: BTreeMap<u32, &Process> = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Process(p) => Some((p.key.entity.pid().0, &**p)),
            _ => None,
        })
        .collect();
    for pid in workload.pids() {
        let Process { key, details } = processes[&pid];
        let [ruid, euid, rgid, egid] = key.ids.numbers();
        let numbers = format!("{} {ruid} {euid} {rgid} {egid} {} {}", key.ppid, key.session, key.zombie);
        let told = ps(pid, "ppid=,ruid=,euid=,rgid=,egid=,sess=,stat=");
        let mut told: Vec<String> = told.split_whitespace().map(str::to_owned).collect();
        let state = told.pop().unwrap();
        told.push(state.starts_with('Z').to_string());
        assert_eq!(numbers, told.join(" "), "pid {pid}");

        assert_eq!(as_ps(key.comm.as_bytes()), ps(pid, "ucomm=").trim_end_matches(" <defunct>"), "pid {pid}");
        if key.zombie {
            assert_eq!(details.exit_code, Some(3 << 8));
            assert_eq!((&key.exe, &key.cwd), (&Reading::Absent, &Reading::Absent));
            continue;
        }
        let arguments = key.arguments.as_ref().unwrap().as_bytes();
        let spaced: Vec<u8> =
            arguments.iter().map(|b| if matches!(b, 0 | b'\n') { b' ' } else { *b }).collect();
        let (shown, told) = (as_ps(spaced.trim_ascii_end()), ps(pid, "args="));
        match key.marks.arguments_cut {
            None => assert_eq!(shown, told.trim_end(), "pid {pid}"),
            Some(_) => assert!(told.starts_with(&shown), "pid {pid}"),
        }
        assert_eq!(as_ps(key.exe.known().unwrap().as_bytes()), ps(pid, "exe="), "pid {pid}");

        let n = *key.namespaces.known().unwrap();
        let numbers = [n.cgroup, n.ipc, n.mnt, n.net, n.pid, n.time, n.user, n.uts].map(|n| n.to_string());
        let told = ps(pid, "cgroupns=,ipcns=,mntns=,netns=,pidns=,timens=,userns=,utsns=");
        assert_eq!(numbers.to_vec(), told.split_whitespace().collect::<Vec<_>>(), "pid {pid}");
        let told = ps(pid, "luid=");
        assert_eq!(key.login_uid.map_or("-".to_owned(), |uid| uid.to_string()), told.trim(), "pid {pid}");

        // Seconds since it started, which ps takes from the start ticks as well.
        let age: f64 = ps(pid, "etimes=").trim().parse().unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let started = details.started.unwrap().0 as f64 / 1e6;
        assert!((now - started - age).abs() < 3.0, "pid {pid}: started {started}, {age} s old at {now}");
    }
    let long = workload.children[4].id();
    assert_eq!(processes[&long].key.arguments.as_ref().unwrap().as_bytes().len(), 32 << 10);
    let whole = std::fs::read(format!("/proc/{long}/cmdline")).unwrap();
    assert!(
        processes[&long].key.marks.arguments_cut.unwrap().bytes == whole.len() as u64
            && whole.len() > 100_000
    );
    let odd = processes[&workload.children[3].id()].key.arguments.as_ref().unwrap();
    assert_eq!(odd.as_bytes(), b"line\nfeed\ttab\x1b[2J\xff\x001000\x00", "byte for byte");
}
