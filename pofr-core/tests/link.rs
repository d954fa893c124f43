//! The link: every message survives the way, wherever the stream is cut or changed it is answered, and nothing grows beyond its
//! limits.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

#[path = "../../fuzz/checks/link.rs"]
mod checks;

use pofr_core::{
    digest::Sha256,
    identity::{BundleSeq, RunId},
    time::WallMicros,
    wire::link::{
        Answer, Down, Goodbye, LinkError, LinkMessage, MAX_DATA, MAX_FRAME, MAX_REQUEST, No, OpenAt, Reader,
        Refusal, Request, Service, Splice, Up, Writer, status_line,
    },
};
use proptest::{collection::vec, prelude::*, sample::Index};
use std::io::Read;

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,80}", "\\PC{0,40}", Just(String::new()), Just("x".repeat(255))]
}

fn splice() -> impl Strategy<Value = Splice> {
    (any::<[u8; 16]>(), any::<u64>(), any::<u64>(), any::<u64>()).prop_map(
        |(run, seq, records_at, records_len)| Splice {
            run: RunId(run),
            seq: BundleSeq(seq),
            records_at,
            records_len,
        },
    )
}

fn open_at() -> impl Strategy<Value = OpenAt> {
    (any::<[u8; 16]>(), any::<u64>(), any::<u64>()).prop_map(|(run, seq, bytes)| OpenAt {
        run: RunId(run),
        seq: BundleSeq(seq),
        bytes,
    })
}

fn up() -> impl Strategy<Value = Up> {
    let bytes = || vec(any::<u8>(), 0..300).prop_map(Into::into);
    prop_oneof![
        (any::<u32>(), any::<bool>(), text(), text()).prop_map(|(version, receive, cid, software)| {
            let service = if receive { Service::Receive } else { Service::Register };
            Up::Hello { version, service, cid, software }
        }),
        (text(), any::<u64>(), proptest::option::of(splice())).prop_map(|(name, size, splice)| Up::Offer {
            name,
            size,
            splice
        }),
        bytes().prop_map(Up::Data),
        Just(Up::End),
        splice().prop_map(|s| Up::Open { run: s.run, seq: s.seq }),
        (any::<u64>(), bytes()).prop_map(|(offset, bytes)| Up::Frames { offset, bytes }),
        Just(Up::Flush),
        prop_oneof![Just(Goodbye::Stopping), Just(Goodbye::Deregistered)].prop_map(Up::Bye),
        (text(), text(), text(), text(), text()).prop_map(|(cid, uuid, public_key, host_name, about)| {
            Up::Request(Request { cid, uuid, public_key, host_name, about })
        }),
        text().prop_map(|cid| Up::Ask { cid }),
        text().prop_map(|signature| Up::Signed { signature }),
        (text(), text()).prop_map(|(public_key, signature)| Up::Rotate { public_key, signature }),
    ]
}

fn down() -> impl Strategy<Value = Down> {
    prop_oneof![
        (text(), any::<i64>(), any::<u64>(), any::<u64>(), proptest::option::of(open_at())).prop_map(
            |(software, time, max, left, open)| Down::Welcome {
                version: 1,
                software,
                time: WallMicros(time),
                max_bundle_bytes: max,
                quota_left_bytes: left,
                open,
            }
        ),
        (text(), any::<bool>()).prop_map(|(text, last)| Down::refused(Refusal::KeyDiffers, text, last)),
        any::<u64>().prop_map(|have| Down::Send { have }),
        Just(Down::Have),
        (text(), any::<bool>()).prop_map(|(text, retry)| Down::no(No::Quota, text, retry)),
        any::<[u8; 32]>().prop_map(|sha256| Down::Stored { sha256: Sha256(sha256) }),
        any::<u64>().prop_map(|bytes| Down::From { bytes }),
        open_at().prop_map(Down::Kept),
        text().prop_map(|request_id| Down::Requested { request_id }),
        any::<[u8; 32]>().prop_map(Down::Nonce),
        Just(Down::Answer(Answer::Pending)),
        text().prop_map(|reason| Down::Answer(Answer::Denied { reason })),
        (text(), text(), text()).prop_map(|(ciduser, registration_id, account)| {
            Down::Answer(Answer::Granted { ciduser, registration_id, account })
        }),
    ]
}

fn written<M: LinkMessage>(messages: &[M]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    messages.iter().for_each(|message| writer.write(message).unwrap());
    bytes
}

/// Gives a stream in pieces of `step` bytes, as a network does.
struct Pieces<'a> {
    left: &'a [u8],
    step: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.step.min(buf.len()).min(self.left.len());
        buf[..n].copy_from_slice(&self.left[..n]);
        self.left = &self.left[n..];
        Ok(n)
    }
}

fn read_all<M: LinkMessage>(left: &[u8], step: usize) -> (Vec<M>, Result<(), LinkError>) {
    let mut reader = Reader::new(Pieces { left, step });
    let mut messages = Vec::new();
    loop {
        match reader.read() {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => return (messages, Ok(())),
            Err(error) => return (messages, Err(error)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_the_client_says_arrives(messages in vec(up(), 0..6), step in 1..40usize) {
        let (read, end) = read_all::<Up>(&written(&messages), step);
        prop_assert!(end.is_ok());
        prop_assert_eq!(read, messages);
    }

    #[test]
    fn what_the_server_says_arrives(messages in vec(down(), 0..6), step in 1..40usize) {
        let (read, end) = read_all::<Down>(&written(&messages), step);
        prop_assert!(end.is_ok());
        prop_assert_eq!(read, messages);
    }

    #[test]
    fn a_cut_stream_gives_its_whole_frames_and_says_that_it_was_cut(
        messages in vec(up(), 1..6), at in any::<Index>(), step in 1..40usize,
    ) {
        let bytes = written(&messages);
        let cut = at.index(bytes.len());
        let ends: Vec<usize> = (0..=messages.len()).map(|n| written(&messages[..n]).len()).collect();
        let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
        let (read, end) = read_all::<Up>(&bytes[..cut], step);
        prop_assert_eq!(&read[..], &messages[..whole]);
        prop_assert_eq!(matches!(end, Err(LinkError::Truncated)), !ends.contains(&cut));
    }

    #[test]
    fn changed_frames_are_answered(
        ups in vec(up(), 1..4), downs in vec(down(), 1..4), edits in vec((any::<Index>(), any::<u8>()), 0..5),
    ) {
        let mut bytes = written(&ups);
        bytes.extend(written(&downs));
        for (at, byte) in edits {
            *at.get_mut(&mut bytes) = byte;
        }
        checks::frames(&bytes);
    }

    #[test]
    fn noise_is_answered(noise in vec(any::<u8>(), 0..400), kind in any::<u8>()) {
        checks::frames(&noise);
        let mut frame = (u32::try_from(noise.len()).unwrap() + 1).to_be_bytes().to_vec();
        frame.push(kind);
        frame.extend(noise);
        checks::frames(&frame);
    }
}

#[test]
fn a_length_beyond_the_limit_is_refused_before_anything_is_read() {
    for length in [0, u32::try_from(MAX_FRAME).unwrap() + 1, u32::MAX] {
        let mut reader = Reader::new(std::io::Cursor::new(length.to_be_bytes()));
        let error = reader.read::<Up>().unwrap_err();
        assert!(matches!(error, LinkError::Length { .. }), "{error}");
        assert!(error.to_string().contains(&length.to_string()), "{error}");
    }
}

#[test]
fn a_stranger_gets_less_room() {
    let request = written(&[Up::Signed { signature: "s".repeat(MAX_REQUEST) }]);
    let mut reader = Reader::new(&*request);
    reader.limit(MAX_REQUEST);
    assert!(matches!(reader.read::<Up>(), Err(LinkError::Length { limit: MAX_REQUEST, .. })));
}

#[test]
fn more_than_a_frame_of_data_is_not_sent_and_not_taken() {
    let mut bytes = Vec::new();
    let whole = Up::Data(vec![0; MAX_FRAME].into());
    assert!(matches!(Writer::new(&mut bytes).write(&whole), Err(LinkError::Length { .. })));
    assert!(bytes.is_empty());
    let large = written(&[Up::Data(vec![0; MAX_DATA + 1].into())]);
    assert!(matches!(Reader::new(&*large).read::<Up>(), Err(LinkError::Malformed { .. })));
    let largest = written(&[Up::Data(vec![0; MAX_DATA].into())]);
    assert!(Reader::new(&*largest).read::<Up>().unwrap().is_some());
}

#[test]
fn one_end_does_not_speak_for_the_other() {
    let up = written(&[Up::Flush]);
    assert!(matches!(Reader::new(&*up).read::<Down>(), Err(LinkError::Kind(_))));
    let down = written(&[Down::Have]);
    assert!(matches!(Reader::new(&*down).read::<Up>(), Err(LinkError::Kind(_))));
}

#[test]
fn a_newer_reason_is_still_a_refusal() {
    let mut bytes = written(&[Down::refused(Refusal::Denied, "no", true)]);
    // The code is the second byte of the message: 08 01 (field 1, varint 1).
    assert_eq!(bytes[5..7], [8, 1]);
    bytes[6] = 99;
    let read = Reader::new(&*bytes).read::<Down>().unwrap().unwrap();
    assert_eq!(read, Down::refused(Refusal::Other, "no", true));
}

/// The bytes of version 1, for ever.
#[test]
fn the_bytes_are_those_of_version_1() {
    let hello = Up::Hello { version: 1, service: Service::Receive, cid: "ab".into(), software: "p".into() };
    assert_eq!(written(&[hello]), *b"\0\0\0\x0c\x01\x08\x01\x10\x01\x1a\x02ab\x22\x01p");
    assert_eq!(written(&[Up::End, Up::Flush]), *b"\0\0\0\x01\x04\0\0\0\x01\x07");
    assert_eq!(written(&[Down::Send { have: 300 }]), *b"\0\0\0\x04\x43\x08\xac\x02");
    assert_eq!(written(&[Down::Have]), *b"\0\0\0\x01\x44");
    assert_eq!(status_line("c0ffee", "7"), "Status:GRANTED#c0ffee#7");
}
