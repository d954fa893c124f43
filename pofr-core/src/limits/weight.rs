//! Weights: how many bytes a fact may take in a message, without making the message.

use crate::{fact::Fact, raw::RawText};

/// The most that a file takes besides its path: its holder, its numbers, and what a sample says of an added fact.
const FILE: usize = 80;
const ENDPOINT: usize = 224;
const PROCESS: usize = 640;
const OTHER: usize = 128;
/// A field's key and length.
const FIELD: usize = 8;

/// Returns a number of bytes that a fact does not exceed as part of a message.
#[must_use]
pub fn weight(fact: &Fact) -> u64 {
    let of = |texts: &[&RawText]| texts.iter().map(|text| text.as_bytes().len() + FIELD).sum::<usize>();
    let bytes = match fact {
        Fact::File(f) => FILE + f.key.path.as_bytes().len(),
        Fact::Endpoint(_) => ENDPOINT,
        Fact::Process(p) => {
            let read = [p.key.exe.known(), p.key.cwd.known(), p.key.cgroup.known()];
            let arguments = [p.key.arguments.as_ref(), p.details.arguments.as_ref()];
            let texts = read.into_iter().chain(arguments).flatten().chain([&p.key.comm]);
            PROCESS + texts.map(|text| text.as_bytes().len()).sum::<usize>()
        }
        Fact::Host(h) => {
            let texts = [&h.hostname, &h.os, &h.os_version, &h.kernel, &h.architecture, &h.vendor, &h.model];
            OTHER + of(&texts) + of(&[&h.timezone])
        }
        Fact::User(u) => OTHER + of(&[&u.name, &u.gecos, &u.home, &u.shell]),
        Fact::Group(g) => OTHER + of(&[&g.name, &g.members]),
        Fact::Interface(i) => OTHER + of(&[&i.name, &i.mac]),
        Fact::Route(r) => OTHER + of(&[&r.interface]),
        Fact::Device(d) => {
            let k = &d.key;
            let users = d.users.as_ref().map_or(0, |users| of(&[users]));
            OTHER + of(&[&k.bus, &k.address, &k.id, &k.vendor, &k.product, &k.serial]) + users
        }
        Fact::Module(m) => OTHER + of(&[&m.name, &m.taint]),
        Fact::Custom(c) => {
            let attributes = c.attributes.iter().map(|(name, value)| name.len() + FIELD + of(&[value]));
            OTHER + of(&[&c.name]) + attributes.sum::<usize>()
        }
    };
    bytes as u64
}
