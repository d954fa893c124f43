//! Names and arguments made to break things come back byte for byte from the database, and print escaped.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

use pofr_core::{
    digest::Sha256,
    fact::{Cut, Fact, FactKind},
    identity::Cid,
    limits,
    store::{ClientReader, RowId, TableRef},
};
use pofr_schema::Access;
use pofr_tests::{programs::program, stores::TestStore};
use std::{
    ffi::{OsStr, OsString},
    fs,
    io::Write,
    os::unix::{ffi::OsStrExt, process::CommandExt},
    path::Path,
    process::{Child, Command, Stdio},
};

const COMMAND: &[u8] = b"it's; DROP TABLE x--";

/// The argument vector as the kernel will show it.
fn arguments() -> Vec<Vec<u8>> {
    vec![
        COMMAND.to_vec(),
        b"-c".to_vec(),
        b"read x".to_vec(),
        b"line\nline\r\x1b[2J".to_vec(),
        Vec::new(),
        b"invalid \xff\xfe\xc3".to_vec(),
        b" spaces ' \" \\ ` $(x) ### --NOCMDARGENTRY--".to_vec(),
        b"x".repeat(100_000),
        Vec::new(),
    ]
}

/// A shell by another name, which waits for its input to end.
fn spawn(dir: &Path) -> Child {
    let shell = dir.join(OsStr::from_bytes(COMMAND));
    fs::copy("/bin/sh", &shell).unwrap();
    let arguments: Vec<OsString> =
        arguments().into_iter().map(|a| OsStr::from_bytes(&a).to_owned()).collect();
    Command::new(shell).arg0(&arguments[0]).args(&arguments[1..]).stdin(Stdio::piped()).spawn().unwrap()
}

/// Names of files, and whether they are deleted while open.
const FILES: [(&[u8], bool); 7] = [
    (b"with spaces and # and ###", false),
    (b"new\nline", false),
    (b"invalid \xff\xfe", false),
    (b"gone \x1b[31m", true),
    (b"really (deleted)", false),
    (b"'; DROP TABLE fileinfo; --", true),
    (b"%s%n \\x41 \xe2\x80\xae", false),
];

fn rows(reader: &mut dyn ClientReader, kind: FactKind) -> Vec<Fact> {
    let triads: Vec<_> = reader.ledger().unwrap().live().map(|t| t.id).collect();
    let mut page = |id| reader.page(TableRef { triad: Some(id), kind }, RowId(0), 1_000_000).unwrap();
    triads.into_iter().flat_map(&mut page).map(|(_, row)| row.fact).collect()
}

#[test]
fn they_come_back_byte_for_byte_and_print_escaped() {
    let dir = tempfile::tempdir().unwrap();
    let names = dir.path().join("names");
    fs::create_dir(&names).unwrap();
    let open: Vec<(Vec<u8>, bool, fs::File)> = FILES
        .iter()
        .map(|(name, deleted)| {
            let path = names.join(OsStr::from_bytes(name));
            let file = fs::File::create(&path).unwrap();
            if *deleted {
                fs::remove_file(&path).unwrap();
            }
            (path.as_os_str().as_bytes().to_vec(), *deleted, file)
        })
        .collect();
    let mut child = spawn(dir.path());
    let inbox = dir.path().join("inbox");
    let mut pofrc = Command::new(program("pofrc"));
    pofrc.args(["record", "--for", "1s", "--interval", "100ms", "--out"]).arg(&inbox).stdout(Stdio::null());
    assert!(pofrc.status().unwrap().success());
    for store in TestStore::all(dir.path()) {
        let pofrs = |args: &[&str]| {
            let mut pofrs = Command::new(program("pofrs"));
            let output =
                pofrs.args(["--db", &store.url()]).args(args).args(["--client", "names"]).output().unwrap();
            assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        };
        pofrs(&["ingest", inbox.to_str().unwrap()]);
        let opened = pofr_schema::open(&store.url(), Access::Read).unwrap();
        let mut reader = opened.read(&Cid::parse("names").unwrap()).unwrap();

        let wanted = [arguments().join(&0), vec![0]].concat();
        let processes = rows(reader.as_mut(), FactKind::Process);
        let found = processes.iter().find_map(|fact| match fact {
            Fact::Process(p) if p.key.entity.pid().0 == child.id() => Some(p.clone()),
            _ => None,
        });
        let found = found.expect("the process is recorded");
        let (told, cut) = (found.arguments().unwrap().as_bytes(), found.key.marks.arguments_cut);
        assert!(wanted.starts_with(told), "{}: the arguments differ", store.name());
        assert_eq!(told.len() as u64, limits::ARGUMENTS.written, "more than are kept");
        let whole = Cut { bytes: wanted.len() as u64, sha256: Some(Sha256::of(&wanted)) };
        assert_eq!(cut, Some(whole), "{}", store.name());
        assert_eq!(found.key.comm.as_bytes(), &COMMAND[..15], "the kernel keeps 15 bytes");
        let files = rows(reader.as_mut(), FactKind::File);
        for (path, deleted, _) in &open {
            let is_it = |fact: &Fact| matches!(fact, Fact::File(f) if f.key.path.as_bytes() == path && f.key.deleted == *deleted);
            assert!(
                files.iter().any(is_it),
                "{}: {} is missing",
                store.name(),
                String::from_utf8_lossy(path)
            );
        }

        let stamp = reader.ledger().unwrap().bundles[0].entry.last.to_string();
        for what in ["ps", "files", "net", "tree"] {
            for json in [false, true] {
                let args = [&["at", &stamp, what][..], if json { &["--json"] } else { &[] }].concat();
                let printed = String::from_utf8(pofrs(&args)).expect("what is printed is UTF-8");
                let bad =
                    printed.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}' && !json);
                assert_eq!(bad, None, "{what}: a control character reaches the terminal");
            }
        }
        let query = "SELECT COUNT(*) AS n FROM all_psinfo WHERE command = 'it''s; DROP TABL'";
        let counted = String::from_utf8(pofrs(&["sql", query, "--json"])).unwrap();
        assert!(!counted.contains("\"n\":0"), "{}: {counted}", store.name());
    }
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    child.wait().unwrap();
}
