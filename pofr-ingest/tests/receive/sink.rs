//! The scp sink: what the first POFR's clients send is taken by the same rules.

use crate::client::{Inbox, account};
use pofr_ingest::receive::{Account, Ended, Rules, scp};
use std::{
    fs,
    path::{Path, PathBuf},
};

fn v1() -> Account {
    Account { v1: true, ..account() }
}

fn fixtures() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/pofr-v1");
    let mut tars: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    tars.retain(|path| path.extension().is_some_and(|e| e == "tar"));
    tars.sort();
    tars
}

/// What a client says of a file.
fn file(name: &str, bytes: &[u8]) -> Vec<u8> {
    [format!("C0644 {} {name}\n", bytes.len()).as_bytes(), bytes, &[0]].concat()
}

fn sink(inbox: &Inbox, account: &Account, said: &[u8]) -> (Option<Ended>, Vec<u8>) {
    let mut answers = Vec::new();
    let ended = scp::sink(said, &mut answers, account, inbox.landing(), Rules::default(), &mut |_| {}).ok();
    (ended, answers)
}

#[test]
fn the_fixtures_arrive() {
    let inbox = Inbox::new();
    let tars = fixtures();
    assert_eq!(tars.len(), 8);
    let mut said = b"T1700000000 0 1700000000 0\n".to_vec();
    for path in &tars {
        said.extend(file(path.file_name().unwrap().to_str().unwrap(), &fs::read(path).unwrap()));
    }
    let (ended, answers) = sink(&inbox, &v1(), &said);
    assert_eq!(ended, Some(Ended::Left));
    assert_eq!(answers, vec![0; 2 + 2 * tars.len()]);
    for path in tars {
        assert_eq!(inbox.files()[path.file_name().unwrap().to_str().unwrap()], fs::read(path).unwrap());
    }
    assert!(inbox.parts().is_empty());
}

#[test]
fn what_is_no_bundle_is_refused_and_the_next_one_taken() {
    let inbox = Inbox::new();
    let tar = &fixtures()[0];
    let (name, bytes) = (tar.file_name().unwrap().to_str().unwrap(), fs::read(tar).unwrap());
    // Of what is refused by its first line, a client does not send the contents.
    let mut said = b"C0644 5 ../x\nC0644 5 authorized_keys\nC0644 99999999999999 ".to_vec();
    said.extend(name.as_bytes());
    said.extend(b"\nC0644\n");
    let mut damaged = bytes.clone();
    damaged[700] ^= 1;
    said.extend(file(name, &damaged));
    said.extend(file(name, &bytes));
    let (ended, answers) = sink(&inbox, &v1(), &said);
    assert_eq!(ended, Some(Ended::Left));
    assert_eq!(answers.iter().filter(|b| **b == 1).count(), 5, "{}", String::from_utf8_lossy(&answers));
    assert_eq!(inbox.files(), [(name.to_owned(), bytes)].into());
    assert!(inbox.parts().is_empty());
}

#[test]
fn no_directories_no_v2_accounts_no_half_files() {
    let inbox = Inbox::new();
    assert_eq!(sink(&inbox, &v1(), b"D0755 0 dir\n").0, Some(Ended::Refused));
    assert_eq!(sink(&inbox, &account(), b"").0, Some(Ended::Refused));
    let tar = &fixtures()[0];
    let said = file(tar.file_name().unwrap().to_str().unwrap(), &fs::read(tar).unwrap());
    for cut in [10, 120, 5000, said.len() - 1] {
        assert_eq!(sink(&inbox, &v1(), &said[..cut]).0, None, "cut at {cut}");
    }
    assert_eq!(sink(&inbox, &v1(), &[b'C'; 5000]).0, None, "a line without an end");
    assert!(inbox.files().is_empty() && inbox.parts().is_empty());
}
