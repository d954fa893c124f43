//! Rows, spans and bundles that tests put together by hand.

use pofr_core::{
    coverage::Span,
    digest::Sha256,
    fact::{
        Fact, FactKind, FileDetails, FileKey, FileMode, Files, Ids, OpenFile, Process, ProcessDetails,
        ProcessKey, ProcessMarks,
    },
    identity::{BootId, BundleSeq, Entity, Pid, RunId, StartTicks},
    lifetime::{Lifetime, Row},
    raw::Reading,
    source::Source,
    store::{BundleEntry, BundleFormat, ClientStore, Level, RowId, StoredBundle, TableRef, TriadId},
    time::{WallMicros, ZoneOffset},
};

pub(super) const RUN: RunId = RunId([7; 16]);
pub(super) const BOOT: BootId = BootId([9; 16]);
/// 2023-11-14 22:13:20 UTC, µs.
pub(super) const T0: i64 = 1_700_000_000_000_000;

/// The stamp `n` seconds after [`T0`].
pub(super) fn at(n: i64) -> WallMicros {
    WallMicros(T0 + n * 1_000_000)
}

pub(super) fn process(pid: u32, comm: &str) -> Process {
    Process {
        key: ProcessKey {
            entity: Entity::Started { boot: BOOT, pid: Pid(pid), start: StartTicks(u64::from(pid) * 10) },
            ppid: Pid(1),
            ids: Ids::of([1000, 0, 1000, 0]),
            comm: comm.into(),
            arguments: Some(format!("{comm}\0-l\0a b\0").as_str().into()),
            exe: Reading::Known(format!("/usr/bin/{comm}").as_str().into()),
            cwd: Reading::Denied,
            session: pid,
            tty: 0,
            login_uid: None,
            cgroup: Reading::Known("0::/".into()),
            namespaces: Reading::Unknown,
            zombie: false,
            files: Files::Read,
            marks: ProcessMarks::default(),
        },
        details: ProcessDetails::default(),
    }
}

pub(super) fn file(pid: u32, fd: u32, path: &str) -> Fact {
    Fact::File(OpenFile {
        key: FileKey {
            entity: process(pid, "x").key.entity,
            fd,
            path: path.into(),
            mode: FileMode::Read,
            deleted: false,
        },
        details: FileDetails { ppid: Some(Pid(1)), ids: None, comm: Some("x".into()) },
    })
}

pub(super) fn row(fact: Fact, life: Lifetime) -> Row {
    Row { run: RUN, zone: ZoneOffset::UTC, digest: fact.digest(), life, fact }
}

/// A process seen at both stamps, seconds after [`T0`].
pub(super) fn seen(pid: u32, first: i64, last: i64) -> Row {
    let life = Lifetime { first_seen: Some(at(first)), last_seen: Some(at(last)), ..Lifetime::default() };
    row(Fact::from(process(pid, "ls")), life)
}

/// The same, cut where the record begins or ends.
pub(super) fn cut(mut row: Row, left: bool, right: bool) -> Row {
    (row.life.cut_left, row.life.cut_right) = (left, right);
    row
}

pub(super) fn span(source: Source, first: i64, last: i64) -> Span {
    Span { source, first: at(first), last: at(last), joins_left: true, joins_right: true }
}

/// A bundle with spans of processes and endpoints from `first` to `last`.
pub(super) fn bundle(triad: TriadId, seq: u64, first: i64, last: i64) -> StoredBundle {
    let sha256 = Sha256::of(format!("{seq} {first} {last}").as_bytes());
    StoredBundle {
        entry: BundleEntry {
            cid: None,
            sha256,
            name: format!("{}#+0000#{sha256}.tar", at(first).0),
            format: BundleFormat::V2,
            seq: BundleSeq(seq),
            previous: None,
            run: RUN,
            boot: BOOT,
            zone: ZoneOffset::UTC,
            first: at(first),
            last: at(last),
            interval_micros: 1_000_000,
            samples: 2,
            left_out: 0,
            complete: true,
            streamed: false,
            received: at(last + 1),
        },
        spans: vec![span(Source::Process, first, last), span(Source::Endpoint, first, last)],
        gaps: Vec::new(),
        triad,
    }
}

pub(super) fn table(triad: TriadId, kind: FactKind) -> TableRef {
    TableRef { triad: Some(triad), kind }
}

pub(super) fn open_slice(writer: &mut dyn ClientStore, first: i64) -> TriadId {
    writer.create_triad(Level::Slice, true, at(first), at(first), ZoneOffset::UTC).unwrap()
}

/// Reads a whole table in small pages.
pub(super) fn all_rows(
    reader: &mut (impl pofr_core::store::ClientReader + ?Sized),
    table: TableRef,
) -> Vec<(RowId, Row)> {
    let mut rows: Vec<(RowId, Row)> = Vec::new();
    loop {
        let after = rows.last().map_or(RowId(0), |(id, _)| *id);
        let page = reader.page(table, after, 3).unwrap();
        if page.is_empty() {
            return rows;
        }
        rows.extend(page);
    }
}
