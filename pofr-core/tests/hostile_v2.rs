//! Hostile bytes: whatever comes, the reader answers, and what it takes for a record is one.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

#[path = "../../fuzz/checks/v2.rs"]
mod checks;

use pofr_tests::world::{history, play};
use proptest::{collection::vec, prelude::*, sample::Index};
use std::io::Read as _;

/// One change to a text.
#[derive(Clone, Debug)]
enum Edit {
    Set(Index, u8),
    Flip(Index, u8),
    Delete(Index, usize),
    Copy(Index, Index, usize),
    Insert(Index, Vec<u8>),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let at = any::<Index>;
    let edit = prop_oneof![
        (at(), any::<u8>()).prop_map(|(i, byte)| Edit::Set(i, byte)),
        (at(), 0..8u8).prop_map(|(i, bit)| Edit::Flip(i, bit)),
        (at(), 0..64usize).prop_map(|(i, n)| Edit::Delete(i, n)),
        (at(), at(), 0..200usize).prop_map(|(i, j, n)| Edit::Copy(i, j, n)),
        (at(), vec(any::<u8>(), 0..12)).prop_map(|(i, bytes)| Edit::Insert(i, bytes)),
    ];
    vec(edit, 1..5)
}

fn edited(mut text: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
    for edit in edits {
        let at = |i: &Index, text: &[u8]| i.index(text.len() + 1);
        match edit {
            Edit::Set(i, byte) if !text.is_empty() => *i.get_mut(&mut text) = *byte,
            Edit::Flip(i, bit) if !text.is_empty() => *i.get_mut(&mut text) ^= 1 << bit,
            Edit::Set(..) | Edit::Flip(..) => {}
            Edit::Delete(i, n) => {
                let from = at(i, &text);
                text.drain(from..(from + n).min(text.len()));
            }
            Edit::Copy(i, j, n) => {
                let from = at(i, &text);
                let piece = text[from..(from + n).min(text.len())].to_vec();
                let to = at(j, &text);
                text.splice(to..to, piece);
            }
            Edit::Insert(i, bytes) => {
                let to = at(i, &text);
                text.splice(to..to, bytes.iter().copied());
            }
        }
    }
    text
}

/// Takes the records' messages out of a bundle.
fn messages(tar: &[u8]) -> Vec<u8> {
    let mut archive = tar::Archive::new(tar);
    let mut entries = archive.entries().unwrap().map(Result::unwrap);
    let records = entries.find(|entry| entry.path().unwrap().to_str() == Some("records.pb.zst")).unwrap();
    let mut messages = Vec::new();
    zstd::stream::read::Decoder::new(records).unwrap().read_to_end(&mut messages).unwrap();
    messages
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn edited_bundles_are_answered(history in history(), which in any::<Index>(), edits in edits()) {
        let (_, bundles) = play(&history);
        let tar = &which.get(&bundles).tar;
        checks::bundle(tar);
        checks::bundle(&edited(tar.clone(), &edits));
    }

    #[test]
    fn edited_messages_are_answered(history in history(), which in any::<Index>(), edits in edits()) {
        let (_, bundles) = play(&history);
        let messages = messages(&which.get(&bundles).tar);
        checks::messages(&messages);
        checks::messages(&edited(messages, &edits));
    }

    #[test]
    fn noise_is_answered(noise in vec(any::<u8>(), 0..2_000)) {
        checks::bundle(&noise);
        checks::messages(&noise);
    }
}
