//! Open files, against lsof(8).

use crate::{output, sample, workload::start};
use pofr_core::{
    fact::{Fact, FileMode, OpenFile},
    raw::RawText,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::ffi::OsStrExt as _,
};

/// Writes bytes as lsof does in the C locale: `\n`, `^[`, `\xff`.
fn as_lsof(text: &[u8]) -> String {
    let one = |b: &u8| match b {
        b'\n' => "\\n".to_owned(),
        b'\t' => "\\t".to_owned(),
        0..=31 => format!("^{}", char::from(b + 64)),
        b' '..=b'~' => char::from(*b).to_string(),
        _ => format!("\\x{b:02x}"),
    };
    text.iter().map(one).collect()
}

/// What lsof says of one process: descriptor, access, name; those that are no numbers under their names.
fn lsof(pid: u32) -> BTreeMap<String, (String, String, String)> {
    let text = output("lsof", &["-nP", "-w", "-p", &pid.to_string(), "-F", "fatn"]);
    let (mut files, mut fd) = (BTreeMap::new(), String::new());
    for line in String::from_utf8(text).unwrap().lines() {
        let (field, value) = line.split_at(1);
        let entry: &mut (String, String, String) = files.entry(fd.clone()).or_default();
        match field {
            "f" => value.clone_into(&mut fd),
            "a" => value.clone_into(&mut entry.0),
            "t" => value.clone_into(&mut entry.1),
            "n" => value.clone_into(&mut entry.2),
            _ => {}
        }
    }
    files
}

#[test]
fn open_files_are_as_lsof_has_them() {
    let workload = start();
    let facts = sample();
    let mut odd = BTreeSet::new();
    for pid in workload.pids() {
        let of_pid = |fact: &&Fact| fact.entity_pid() == Some(pid);
        if facts.iter().any(|f| matches!(f, Fact::Process(p) if p.key.zombie && of_pid(&f))) {
            assert_eq!(
                facts.iter().filter(of_pid).count(),
                1,
                "a zombie has no files, and lsof nothing to say"
            );
            continue;
        }
        let mut told = lsof(pid);
        let named =
            |told: &BTreeMap<String, (String, String, String)>, fd: &str| told.get(fd).map(|f| f.2.clone());
        let (cwd, exe) = (named(&told, "cwd"), named(&told, "txt"));
        told.retain(|fd, _| fd.parse::<u32>().is_ok());
        let mut ours = BTreeMap::new();
        for fact in facts.iter().filter(of_pid) {
            match fact {
                Fact::File(OpenFile { key, .. }) => {
                    let access = match key.mode {
                        FileMode::Read => "r",
                        FileMode::Write => "w",
                        FileMode::ReadWrite => "u",
                        FileMode::Neither | FileMode::Unknown => "",
                    };
                    let kind = told.get(&key.fd.to_string()).map(|f| f.1.clone()).unwrap_or_default();
                    let name = if matches!(&*kind, "REG" | "DIR" | "CHR") {
                        as_lsof(key.path.as_bytes()) + if key.deleted { " (deleted)" } else { "" }
                    } else {
                        // lsof has its own words for pipes and sockets.
                        named(&told, &key.fd.to_string()).unwrap_or_default()
                    };
                    if key.path.as_bytes().starts_with(workload.dir.path().as_os_str().as_bytes()) {
                        let last = key.path.as_bytes().rsplit(|b| *b == b'/').next().unwrap();
                        odd.insert((RawText::from(last).escaped(), key.mode.text(), key.deleted));
                    }
                    ours.insert(key.fd.to_string(), (access.to_owned(), kind, name));
                }
                Fact::Process(process) if !process.key.zombie => {
                    let key = &process.key;
                    assert_eq!(key.cwd.known().map(|p| as_lsof(p.as_bytes())), cwd, "pid {pid}");
                    assert_eq!(key.exe.known().map(|p| as_lsof(p.as_bytes())), exe, "pid {pid}");
                }
                _ => {}
            }
        }
        assert_eq!(ours, told, "pid {pid}");
    }
    let last = RawText::from(workload.dir.path().file_name().unwrap().as_bytes()).escaped();
    let expected: BTreeSet<(String, &str, bool)> = [
        ("written to", "w", false),
        ("written to", "r", false),
        ("new\\nline", "w", false),
        ("bytes \\xff\\xfe#%", "w", false),
        ("really named (deleted)", "w", false),
        ("both", "rw", false),
        ("gone", "w", true),
        ("gone (deleted)", "w", true),
        (&last, "r", false),
    ]
    .into_iter()
    .map(|(name, mode, deleted)| (name.to_owned(), mode, deleted))
    .collect();
    assert_eq!(odd, expected);
}

/// The process that a fact of a process or file belongs to.
trait EntityPid {
    fn entity_pid(&self) -> Option<u32>;
}

impl EntityPid for Fact {
    fn entity_pid(&self) -> Option<u32> {
        match self {
            Self::Process(p) => Some(p.key.entity.pid().0),
            Self::File(f) => Some(f.key.entity.pid().0),
            _ => None,
        }
    }
}
