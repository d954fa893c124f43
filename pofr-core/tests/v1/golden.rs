//! The fixtures as the reader reads them, against the naive reader, at every stamp.

use crate::{
    fixture::{HALVES, SNAPSHOTS, TARS},
    naive::{self, Shown},
};
use pofr_core::{
    fact::{Fact, SocketId},
    raw::{RawText, Reading},
    wire::v1::{Decoded, Which},
};
use std::collections::HashMap;

fn text(raw: &RawText) -> String {
    String::from_utf8(raw.as_bytes().to_vec()).unwrap()
}

/// Writes what the reader says in the naive reader's terms.
fn shown(snapshot: &Decoded) -> Shown {
    let mut shown = Shown { gone: snapshot.pid_only, ..Shown::default() };
    let mut ordinals: HashMap<_, Vec<u32>> = HashMap::new();
    for fact in snapshot.processes.as_ref().unwrap() {
        match fact {
            Fact::Process(p) => {
                let (k, [ruid, euid, rgid, egid]) = (&p.key, p.key.ids.numbers());
                assert_eq!((&k.exe, &k.cwd, k.zombie), (&Reading::Unknown, &Reading::Unknown, false));
                let numbers = [k.entity.pid().0, k.ppid.0, ruid, euid, rgid, egid];
                let mut process: naive::Process = Default::default();
                for (field, number) in process.iter_mut().zip(numbers) {
                    *field = number.to_string();
                }
                process[6] = text(&k.comm);
                process[7] = text(k.arguments.as_ref().unwrap());
                shown.processes.push(process);
            }
            Fact::File(f) => {
                let file = (f.key.entity.pid().to_string(), text(&f.key.path), f.key.deleted);
                ordinals.entry(file.clone()).or_default().push(f.key.fd);
                shown.files.push(file);
            }
            other => panic!("{other:?} in a proc half"),
        }
    }
    for (file, fds) in ordinals {
        assert!(fds.iter().copied().eq(0..fds.len() as u32), "{file:?} is numbered {fds:?}");
    }
    shown.processes.sort();
    shown.files.sort();
    for fact in snapshot.endpoints.as_ref().unwrap() {
        let Fact::Endpoint(e) = fact else { panic!("{fact:?} in a net half") };
        let SocketId::Inode(inode) = e.key.socket else {
            assert_eq!((e.key.socket, e.key.state.text()), (SocketId::None, "TIME-WAIT"));
            let columns =
                ["tcp", &e.key.local.to_string(), &e.key.remote.to_string(), "TIME-WAIT", "0", "-", "-"];
            assert!(shown.endpoints.insert(columns.map(str::to_owned)));
            continue;
        };
        assert_eq!(e.details.inode, Some(inode));
        let new = shown.endpoints.insert([
            e.key.transport.text().to_owned(),
            e.key.local.to_string(),
            e.key.remote.to_string(),
            e.key.state.text().to_owned(),
            inode.to_string(),
            e.details.uid.map_or("-".to_owned(), |uid| uid.to_string()),
            e.key.holder.map_or("-".to_owned(), |holder| holder.pid().to_string()),
        ]);
        assert!(new, "{fact:?} comes twice");
    }
    shown
}

#[test]
fn both_readers_agree_at_every_stamp() {
    let naive = naive::snapshots(&naive::members(TARS.iter().map(|(_, bytes)| &bytes[..])));
    assert_eq!((SNAPSHOTS.len(), naive.len()), (146, 146));
    for (snapshot, (stamp, expected)) in SNAPSHOTS.iter().zip(naive) {
        assert_eq!(snapshot.stamp.0, stamp);
        assert_eq!(shown(snapshot), expected, "at {stamp}");
        assert!(!expected.endpoints.is_empty());
    }
}

#[test]
fn the_halves_of_every_snapshot_are_there() {
    let of = |which| HALVES.iter().filter(|half| half.which == which).count();
    assert_eq!((of(Which::Proc), of(Which::Net)), (146, 146));
    for (i, snapshot) in SNAPSHOTS.iter().enumerate() {
        assert!(snapshot.processes.is_some() && snapshot.endpoints.is_some(), "snapshot {i}");
        assert_eq!((snapshot.zone.minutes(), snapshot.undecidable), (0, 0));
    }
    // Counted in the raw text: records whose fields are empty after the pid.
    assert_eq!(SNAPSHOTS.iter().map(|s| s.pid_only).sum::<u64>(), 14);
}

#[test]
fn a_process_keeps_its_entity_while_it_lives() {
    let entity = |snapshot: &Decoded| {
        snapshot.processes.iter().flatten().find_map(|fact| match fact {
            Fact::Process(p) if p.key.entity.pid().0 == 5 => Some(p.key.entity),
            _ => None,
        })
    };
    let first = entity(&SNAPSHOTS[0]).unwrap();
    assert!(SNAPSHOTS.iter().all(|snapshot| entity(snapshot) == Some(first)));
}
