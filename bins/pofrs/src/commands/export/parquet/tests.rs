//! Files are read back by the library's own reader; benches/export.md says how DuckDB reads them.

use super::*;
use crate::commands::export::golden::samples;
use ::parquet::{
    file::reader::{FileReader as _, SerializedFileReader},
    record::Field,
};
use std::{collections::HashMap, fs::File};

/// Reads a file's rows, by the names of their columns.
fn rows(path: &Path) -> Vec<HashMap<String, Field>> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|row| row.unwrap().into_columns().into_iter().collect()).collect()
}

fn text(row: &HashMap<String, Field>, name: &str) -> Option<String> {
    match &row[name] {
        Field::Str(text) => Some(text.clone()),
        Field::Null => None,
        other => panic!("{name} is {other:?}"),
    }
}

#[test]
fn what_is_written_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let client = Cid::parse("web-1").unwrap();
    let mut partitions = Box::new(Partitions::new(&out).unwrap());
    for (subject, found) in samples() {
        for item in Item::all(&client, &found) {
            partitions.item(subject, &item).unwrap();
        }
    }
    partitions.finish().unwrap();
    let file = |kind: &str| out.join(kind).join("client=web-1/day=2026-11-23/part-0.parquet");
    let processes = rows(&file("process"));
    assert_eq!(processes.len(), 5);
    assert_eq!(text(&processes[0], "arguments").unwrap(), "vi notes of ann");
    assert_eq!(processes[0]["began"], Field::TimestampMicros(1_795_428_000_000_000));
    assert_eq!(processes[0]["arguments_raw"], Field::Null);
    // What is no UTF-8 is there twice: to be read, and as it was.
    assert_eq!(text(&processes[1], "command").unwrap(), "\\xff\\x1b]0;x\\x07");
    assert!(matches!(&processes[1]["command_raw"], Field::Bytes(b) if b.data() == b"\xff\x1b]0;x\x07"));
    assert_eq!(processes[2]["user"], Field::Null);
    assert_eq!((&processes[3]["ruid"], &processes[3]["egid"]), (&Field::Null, &Field::Null), "unknown");
    assert_eq!(processes[3]["argbytes"], Field::Long(9_437_184));
    let files = rows(&file("file"));
    assert_eq!(text(&files[0], "filename").unwrap(), "/home/ann/notes");
    assert_eq!(files[1]["deleted"], Field::Bool(true));
    let endpoints = rows(&file("endpoint"));
    assert_eq!(
        text(&endpoints[0], "cookie").unwrap(),
        u64::MAX.to_string(),
        "more than a signed number holds"
    );
    assert_eq!((text(&endpoints[2], "remoteip"), &endpoints[2]["localport"]), (None, &Field::Long(22)));
    assert!(Partitions::new(&out).is_err(), "an export never mixes with another");
}

#[test]
fn days_come_and_go_and_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let client = Cid::parse("web-1").unwrap();
    let mut partitions = Box::new(Partitions::new(dir.path()).unwrap());
    let layout = || vec![("t", Kind::Time), ("s", Kind::Text)];
    let day = |n: usize| WallMicros(n as i64 * 86_400_000_000);
    let days = MOST_OPEN + 2;
    for n in (0..days).chain([0]) {
        let values = [Some(Value::Time(day(n))), Some(Value::Text("x".into()))];
        partitions.put(("file", &client, day(n)), layout, values.into_iter()).unwrap();
    }
    partitions.finish().unwrap();
    let first = dir.path().join("file/client=web-1/day=1970-01-01");
    assert_eq!(rows(&first.join("part-0.parquet")).len(), 1);
    assert_eq!(rows(&first.join("part-1.parquet")).len(), 1, "it had been closed in between");
    assert_eq!(std::fs::read_dir(dir.path().join("file/client=web-1")).unwrap().count(), days);
}
