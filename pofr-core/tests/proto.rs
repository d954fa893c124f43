//! The published .proto says the same as the messages that the code writes.

use std::collections::BTreeMap;

/// Message name to (field number to field name), read from either file in a form simple enough to trust.
type Messages = BTreeMap<String, BTreeMap<u32, String>>;

fn published() -> Messages {
    let text = include_str!("../../docs/format/records-v2.proto");
    let bare: String = text.lines().map(|l| l.split("//").next().unwrap_or("")).collect::<Vec<_>>().join(" ");
    let mut messages = Messages::new();
    for part in bare.split("message ").skip(1) {
        let name = part.split_whitespace().next().unwrap_or("").to_owned();
        let fields = messages.entry(name).or_default();
        for statement in part.split([';', '{', '}']) {
            let words: Vec<&str> = statement.split_whitespace().collect();
            if let [.., field, "=", number] = words[..]
                && let Ok(number) = number.parse()
            {
                fields.insert(number, field.to_owned());
            }
        }
    }
    messages
}

fn written() -> Messages {
    let text = include_str!("../src/wire/v2/message.rs");
    let mut messages = Messages::new();
    let (mut current, mut tag) = (String::new(), None);
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("pub(super) struct ") {
            current = rest.split_whitespace().next().unwrap_or("").trim_end_matches("Message").to_owned();
        } else if let Some(rest) = line.strip_prefix("pub(super) enum ") {
            current = rest
                .split_whitespace()
                .next()
                .unwrap_or("")
                .trim_end_matches("Kind")
                .trim_end_matches("Oneof")
                .to_owned();
        } else if let Some(at) = line.find("tag = \"") {
            tag = line[at + 7..].split('"').next().and_then(|n| n.parse::<u32>().ok());
        } else if let Some(number) = tag.take_if(|_| line.starts_with("pub(super)") || line.ends_with("),")) {
            let name =
                line.trim_start_matches("pub(super) ").split([':', '(']).next().unwrap_or("").to_lowercase();
            messages.entry(current.clone()).or_default().insert(number, name);
        }
    }
    messages
}

#[test]
fn the_published_messages_are_those_that_are_written() {
    let (published, written) = (published(), written());
    assert!(written.len() > 15, "{written:?}");
    assert_eq!(published, written);
}
