//! The desk's caps: however many come, from wherever, no more waits than may, and nobody's place is taken by another.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

use pofr_core::{
    identity::Cid,
    wire::link::{Refusal, Request},
};
use pofr_ingest::registration::{Desk, Invite, Limits, invitation};
use std::path::Path;

const DAY: i64 = 86_400_000_000;

fn desk(dir: &Path, limits: Limits) -> Desk {
    for name in ["requests", "answers"] {
        std::fs::create_dir(dir.join(name)).unwrap();
    }
    Desk::new(dir, limits)
}

fn request(cid: &str, key: &str) -> Request {
    Request {
        cid: cid.to_owned(),
        uuid: String::new(),
        public_key: key.to_owned(),
        host_name: "h".into(),
        about: String::new(),
    }
}

fn key() -> String {
    invitation::new_key().unwrap().public
}

#[test]
fn no_more_waits_than_may_and_the_patient_ones_go_at_last() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { waiting: 10, waiting_per_source: 3, ..Limits::default() };
    let desk = desk(dir.path(), limits);
    let key = key();
    let mut taken = 0;
    for source in 0..6 {
        for n in 0..6 {
            let asked = desk.hand_in(
                &request(&format!("client-{source}-{n}-1"), &key),
                &format!("10.0.0.{source}"),
                None,
                DAY,
            );
            match asked {
                Ok(_) => taken += 1,
                Err(error) => assert_eq!(error.refusal(), (Refusal::TooMany, false)),
            }
        }
    }
    assert_eq!(taken, 10);
    assert_eq!(desk.at_the_desk().unwrap().len(), 10);
    // Who waits already is recognised, however full it is.
    desk.hand_in(&request("client-0-0-1", &key), "10.0.0.0", None, DAY).unwrap();
    // After two weeks they are as if they had never come.
    desk.hand_in(&request("client-new-1", &key), "10.0.0.9", None, 20 * DAY).unwrap();
    assert_eq!(desk.at_the_desk().unwrap(), [Cid::parse("client-new-1").unwrap()]);
}

#[test]
fn an_invitation_is_for_one_client_one_key_and_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let desk = desk(dir.path(), Limits { waiting: 0, ..Limits::default() });
    let (one, two) = (key(), key());
    let invite =
        Invite { id: "0123456789abcdef".into(), public_key: key(), expires: 100, made: 1, by: "root".into() };
    let late = desk.hand_in(&request("client-1", &one), "::1", Some(&invite), 100_000_000);
    assert_eq!(late.unwrap_err().refusal(), (Refusal::Expired, true));
    let id = desk.hand_in(&request("client-1", &one), "::1", Some(&invite), 99_000_000).unwrap();
    assert_eq!(desk.hand_in(&request("client-1", &one), "::1", Some(&invite), 99_000_000).unwrap(), id);
    assert_eq!(desk.used_by("0123456789abcdef").unwrap().as_deref(), Some("client-1"));
    let other = desk.hand_in(&request("client-2", &one), "::1", Some(&invite), 99_000_000);
    assert_eq!(other.unwrap_err().refusal(), (Refusal::Expired, true));
    let clone = desk.hand_in(&request("client-1", &two), "::1", Some(&invite), 99_000_000);
    assert_eq!(clone.unwrap_err().refusal(), (Refusal::KeyDiffers, true));
    let noted = desk.conflict(&Cid::parse("client-1").unwrap()).unwrap().unwrap();
    assert_eq!((noted.times, noted.source.as_str()), (1, "::1"));
    // The same database under another spelling is another client's.
    for alike in ["client1-", "CLIENT-1", "c-l-i-e-n-t-1"] {
        let refused = desk.hand_in(&request(alike, &two), "::2", None, 99_000_000);
        assert_eq!(refused.unwrap_err().refusal(), (Refusal::BadCid, true), "{alike}");
    }
}

#[test]
fn a_file_that_somebody_else_put_there_is_no_request() {
    let dir = tempfile::tempdir().unwrap();
    let desk = desk(dir.path(), Limits::default());
    let (cid, key) = (Cid::parse("client-1").unwrap(), key());
    desk.hand_in(&request("client-1", &key), "::1", None, DAY).unwrap();
    let file = dir.path().join("requests/client-1.json");
    let text = std::fs::read_to_string(&file).unwrap();
    // As another client's, and with another fingerprint than its key's.
    std::fs::write(dir.path().join("requests/client-2.json"), &text).unwrap();
    assert_eq!(desk.waiting(&Cid::parse("client-2").unwrap()).unwrap(), None);
    std::fs::write(&file, text.replace("SHA256:", "SHA256:A")).unwrap();
    assert_eq!(desk.waiting(&cid).unwrap(), None);
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &file).unwrap();
    assert!(desk.waiting(&cid).unwrap_err().to_string().contains("symbolic link"));
}
