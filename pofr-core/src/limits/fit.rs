//! Fitting: what is too long is cut, and says how long it was.
//!
//! ```text
//! "aaaa…"  of 9,000 bytes  ->  "aaaa…[cut 9000, 5f1c…]"  of 4,096
//! ```
//!
//! The mark has the first 16 bytes of the whole text's SHA-256, so two texts that differ stay two. Fitting what fits changes
//! nothing. Paths and names of the kernel are within their limits by its own rules.

use super::{
    ARGUMENTS, ATTRIBUTE, ATTRIBUTE_NAME, ATTRIBUTES, CGROUP, COMM, Limit, MEMBERS, PATH, REASON, TEXT,
};
use crate::{
    digest::{Sha256, hex},
    fact::{Custom, Cut, Endpoint, Fact, Files, Ids, Process},
    identity::Entity,
    raw::{RawText, Reading},
    source::Source,
};
use std::net::SocketAddr;

/// Cuts whatever of a fact is too long to be written. `false`: it cannot be written at all, since it is no fact of the source that
/// it names.
#[must_use]
pub fn fit(fact: &mut Fact) -> bool {
    match fact {
        Fact::File(file) => text(&mut file.key.path, PATH),
        Fact::Process(process) => fit_process(process),
        Fact::Endpoint(endpoint) => fit_endpoint(endpoint),
        Fact::Host(h) => {
            for field in [&mut h.hostname, &mut h.os, &mut h.os_version, &mut h.kernel, &mut h.architecture] {
                text(field, TEXT);
            }
            [&mut h.vendor, &mut h.model, &mut h.timezone].into_iter().for_each(|field| text(field, TEXT));
        }
        Fact::User(u) => {
            for field in [&mut u.name, &mut u.gecos, &mut u.home, &mut u.shell] {
                text(field, TEXT);
            }
        }
        Fact::Group(g) => {
            text(&mut g.name, TEXT);
            text(&mut g.members, MEMBERS);
        }
        Fact::Interface(i) => {
            text(&mut i.name, TEXT);
            text(&mut i.mac, TEXT);
            i.prefix = i.prefix.min(128);
        }
        Fact::Route(r) => {
            text(&mut r.interface, TEXT);
            r.prefix = r.prefix.min(128);
        }
        Fact::Device(d) => {
            let key = &mut d.key;
            for field in [&mut key.bus, &mut key.address, &mut key.id] {
                text(field, TEXT);
            }
            [&mut key.vendor, &mut key.product, &mut key.serial].into_iter().for_each(|f| text(f, TEXT));
            d.users.iter_mut().for_each(|users| text(users, TEXT));
        }
        Fact::Module(m) => {
            text(&mut m.name, TEXT);
            text(&mut m.taint, TEXT);
        }
        Fact::Custom(custom) => return fit_custom(custom),
    }
    true
}

fn fit_process(process: &mut Process) {
    let Process { key, details } = process;
    text(&mut key.comm, COMM);
    read(&mut key.exe, PATH);
    read(&mut key.cwd, PATH);
    read(&mut key.cgroup, CGROUP);
    // The number of nobody is an id that is not known.
    key.ids = Ids::of(key.ids.numbers());
    if let Some(arguments) = &mut key.arguments
        && arguments.as_bytes().len() > ARGUMENTS.most()
    {
        let whole = arguments.as_bytes();
        let cut = Cut { bytes: whole.len() as u64, sha256: Some(Sha256::of(whole)) };
        *arguments = whole[..ARGUMENTS.most()].into();
        key.marks.arguments_cut.get_or_insert(cut);
    }
    // Only a process of this boot that is known by its start can tell another's files; else nobody knows them.
    if let Some(teller) = &key.marks.files_of
        && !are_of_one_boot(teller, &key.entity)
    {
        key.marks.files_of = None;
        key.files = Files::Unknown;
    }
    // What became known later stands beside the key, which has no mark for it.
    details.arguments.iter_mut().for_each(|arguments| text(arguments, ARGUMENTS));
}

fn are_of_one_boot(one: &Entity, other: &Entity) -> bool {
    matches!((one, other), (Entity::Started { boot: one, .. }, Entity::Started { boot: other, .. }) if one == other)
}

/// Puts an endpoint into the form that it has on the wire.
pub(crate) fn fit_endpoint(endpoint: &mut Endpoint) {
    for address in [&mut endpoint.key.local, &mut endpoint.key.remote] {
        if let SocketAddr::V6(address) = address {
            // Of a packet, not of an endpoint: it is on no wire.
            address.set_flowinfo(0);
        }
    }
}

fn fit_custom(custom: &mut Custom) -> bool {
    if !matches!(custom.source, Source::Custom(_)) || !is_named(&custom.source) {
        return false;
    }
    text(&mut custom.name, TEXT);
    custom.attributes.values_mut().for_each(|value| text(value, ATTRIBUTE));
    if custom.attributes.keys().any(|name| name.len() > ATTRIBUTE_NAME.most()) {
        let attributes = std::mem::take(&mut custom.attributes);
        custom.attributes = attributes.into_iter().map(|(name, value)| (short(name), value)).collect();
    }
    let most = ATTRIBUTES.most();
    if custom.attributes.len() > most {
        // All that do not fit are told by one, which has their digest.
        let last = custom.attributes.keys().nth(most - 1).cloned().unwrap_or_default();
        let rest = custom.attributes.split_off(&last);
        let mut all = Vec::new();
        for (name, value) in &rest {
            for part in [name.as_bytes(), value.as_bytes()] {
                all.extend((part.len() as u64).to_be_bytes());
                all.extend(part);
            }
        }
        let mark = format!("cut: {} more attributes, {}", rest.len(), half(&all));
        custom.attributes.insert("\u{10ffff}cut".to_owned(), mark.as_str().into());
    }
    true
}

/// Tells whether a source has a name under which it can be read back.
pub(crate) fn is_named(source: &Source) -> bool {
    match source {
        Source::Custom(name) => Source::parse(name).as_ref() == Some(source),
        _ => true,
    }
}

fn text(text: &mut RawText, limit: Limit) {
    if text.as_bytes().len() > limit.most() {
        *text = cut_text(text.as_bytes(), limit);
    }
}

fn read(reading: &mut Reading<RawText>, limit: Limit) {
    if let Reading::Known(known) = reading {
        text(known, limit);
    }
}

/// Cuts a text to a limit, with a mark that tells its whole length and the beginning of its SHA-256.
#[must_use]
pub fn cut_text(whole: &[u8], limit: Limit) -> RawText {
    if whole.len() <= limit.most() {
        return whole.into();
    }
    marked(whole, whole.len() as u64, &half(whole), limit)
}

/// Ends the beginning of a text with the mark that it was cut.
pub(crate) fn marked(beginning: &[u8], bytes: u64, sha256: &str, limit: Limit) -> RawText {
    let mark = format!("[cut {bytes}, {sha256}]");
    let keep = beginning.len().min(limit.most().saturating_sub(mark.len()));
    RawText::from([&beginning[..keep], mark.as_bytes()].concat())
}

/// Returns the first half of a SHA-256, in hex.
fn half(bytes: &[u8]) -> String {
    hex(&Sha256::of(bytes).0[..16])
}

fn short(name: String) -> String {
    if name.len() <= ATTRIBUTE_NAME.most() {
        return name;
    }
    let mark = format!("[cut {}, {}]", name.len(), half(name.as_bytes()));
    let keep = name.floor_char_boundary(ATTRIBUTE_NAME.most() - mark.len());
    format!("{}{mark}", &name[..keep])
}

/// Keeps the reason of a gap within its limit.
#[must_use]
pub fn reason(mut text: String) -> String {
    const MARK: &str = "…";
    if text.len() > REASON.most() {
        text.truncate(text.floor_char_boundary(REASON.most() - MARK.len()));
        text.push_str(MARK);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn texts_that_differ_beyond_the_limit_stay_two() {
        let long = |last: u8| {
            let mut text = vec![b'a'; 9_000];
            text.push(last);
            cut_text(&text, TEXT)
        };
        assert_ne!(long(1), long(2));
        assert_eq!(long(1).as_bytes().len(), TEXT.most());
        assert!(long(1).escaped().contains("[cut 9001, "));
        // What fits stays as it is, and cutting again changes nothing.
        assert_eq!(cut_text(b"short", TEXT), "short".into());
        assert_eq!(cut_text(long(1).as_bytes(), TEXT), long(1));
        assert_eq!(cut_text(&[b'n'; 100], COMM).as_bytes().len(), COMM.most());
    }

    #[test]
    fn custom_facts_that_differ_beyond_the_limits_stay_two() {
        let custom = |last: &str| {
            let mut attributes: BTreeMap<String, RawText> =
                (0..1_000).map(|i| (format!("{i:04}"), "v".into())).collect();
            attributes.insert("x".repeat(300) + last, "v".into());
            attributes.insert("y".repeat(300), vec![b'v'; 20_000].into());
            let mut fact =
                Fact::Custom(Custom { source: Source::Custom("a".into()), name: "n".into(), attributes });
            assert!(fit(&mut fact), "{fact:?}");
            let fitted = fact.clone();
            assert!(fit(&mut fact) && fact == fitted, "fitting what fits changes nothing");
            fact
        };
        let (one, other) = (custom("1"), custom("2"));
        assert_ne!(one, other);
        let Fact::Custom(one) = one else { panic!("{one:?}") };
        assert_eq!(one.attributes.len(), ATTRIBUTES.most());
        assert!(one.attributes.values().any(|value| value.escaped().starts_with("cut: 747 more")));
        let bad = Source::Custom("no name".into());
        assert!(!fit(&mut Fact::Custom(Custom {
            source: bad,
            name: "n".into(),
            attributes: BTreeMap::new()
        })));
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        let cut = reason("é".repeat(600));
        assert!(cut.len() <= REASON.most() && cut.ends_with("é…"), "{}", cut.len());
        assert_eq!(reason("short".to_owned()), "short");
    }
}
