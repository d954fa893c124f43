//! The resolver's thread: many questions on their way at once, over one socket, each with its time.

use super::names::{Found, Shared};
use pofr_core::raw::RawText;
use rustix::rand::{GetRandomFlags, getrandom};
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, RCODE, TYPE, rdata::RData};
use std::{
    collections::HashMap,
    net::{IpAddr, UdpSocket},
    time::{Duration, Instant},
};

/// Questions on their way at a time.
const MOST: usize = 128;
/// How long to wait for an answer before looking after everything else.
const WAIT: Duration = Duration::from_millis(20);
/// An answer over UDP that is longer is cut short by who sends it (RFC 1035 section 4.2.1); some send more all the same.
const BYTES: usize = 4096;

/// A question on its way.
struct Asked {
    ip: IpAddr,
    name: String,
    /// When it was first asked, and how often.
    since: Instant,
    tries: u32,
}

/// Asks for what is wanted, until it is told to stop.
pub(super) fn run(shared: &Shared, socket: &UdpSocket) {
    if socket.set_read_timeout(Some(WAIT)).is_err() {
        return;
    }
    let limit = shared.settings.limit;
    let mut asked: HashMap<u16, Asked> = HashMap::new();
    let mut buffer = [0; BYTES];
    while let Some(wanted) = shared.next(MOST - asked.len(), asked.is_empty()) {
        for ip in wanted {
            let question = Asked { ip, name: reverse(ip), since: Instant::now(), tries: 1 };
            match free_id(&asked) {
                Some(id) => {
                    send(socket, id, &question);
                    asked.insert(id, question);
                }
                None => shared.answer(ip, Found::Unanswered),
            }
        }
        // An error (the port is closed, say) counts as no answer: the time tells.
        if let Ok(bytes) = socket.recv(&mut buffer)
            && let Some((id, found)) = read(&buffer[..bytes], &asked)
            && let Some(question) = asked.remove(&id)
        {
            shared.answer(question.ip, found);
        }
        asked.retain(|id, question| {
            let waited = question.since.elapsed();
            if waited >= limit {
                shared.answer(question.ip, Found::Unanswered);
                return false;
            }
            if question.tries == 1 && waited >= limit / 2 {
                question.tries += 1;
                send(socket, *id, question);
            }
            true
        });
    }
}

/// Draws a number that no question on its way has, so that who does not see the questions can hardly answer them.
fn free_id(asked: &HashMap<u16, Asked>) -> Option<u16> {
    for _ in 0..64 {
        let mut bytes = [0; 2];
        getrandom(&mut bytes, GetRandomFlags::empty()).ok()?;
        let id = u16::from_be_bytes(bytes);
        if !asked.contains_key(&id) {
            return Some(id);
        }
    }
    None
}

fn send(socket: &UdpSocket, id: u16, question: &Asked) {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new_unchecked(&question.name);
    packet.questions.push(Question::new(name, TYPE::PTR.into(), CLASS::IN.into(), false));
    if let Ok(bytes) = packet.build_bytes_vec() {
        // What cannot be sent is not answered.
        let _ = socket.send(&bytes);
    }
}

/// Reads an answer: to which question, and what it says. `None` for what answers nothing that was asked.
fn read(bytes: &[u8], asked: &HashMap<u16, Asked>) -> Option<(u16, Found)> {
    let packet = Packet::parse(bytes).ok()?;
    let id = packet.id();
    let wanted = asked.get(&id)?;
    let [question] = packet.questions.as_slice() else { return None };
    let wanted = wanted.name.to_ascii_lowercase();
    if !packet.has_flags(PacketFlag::RESPONSE) || lower(&question.qname) != wanted {
        return None;
    }
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Some((id, Found::Unanswered));
    }
    Some((
        id,
        match packet.rcode() {
            RCODE::NoError => pointer(&packet, wanted),
            RCODE::NameError => Found::Nothing,
            _ => Found::Unanswered,
        },
    ))
}

/// Finds the name in an answer; a zone that is not cut at a dot of the address has aliases on the way (RFC 2317).
fn pointer(packet: &Packet<'_>, mut owner: String) -> Found {
    for _ in 0..=packet.answers.len() {
        let of_owner = || packet.answers.iter().filter(|record| lower(&record.name) == owner);
        let names = of_owner().filter_map(|record| match &record.rdata {
            RData::PTR(name) => Some(printable(&name.0)),
            _ => None,
        });
        // Several names come in any order; the same one is taken each time.
        if let Some(name) = names.min() {
            return if name.is_empty() { Found::Nothing } else { Found::Name(RawText::from(name.as_str())) };
        }
        let alias = of_owner().find_map(|record| match &record.rdata {
            RData::CNAME(name) => Some(lower(&name.0)),
            _ => None,
        });
        match alias {
            Some(alias) => owner = alias,
            None => return Found::Nothing,
        }
    }
    Found::Nothing
}

/// Returns the name under which an address's name is kept: `4.3.2.1.in-addr.arpa` (RFC 1035 section 3.5), `….ip6.arpa` (RFC
/// 3596 section 2.5).
fn reverse(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(ip) => {
            let mut name = String::with_capacity(72);
            for byte in ip.octets().into_iter().rev() {
                name.push_str(&format!("{:x}.{:x}.", byte & 15, byte >> 4));
            }
            name + "ip6.arpa"
        }
    }
}

fn lower(name: &Name<'_>) -> String {
    printable(name).to_ascii_lowercase()
}

/// Writes a name in printable ASCII: dots within labels and backslashes after a backslash, other bytes as `\DDD` (RFC 4343
/// section 2.1).
fn printable(name: &Name<'_>) -> String {
    let mut out = String::new();
    for (i, label) in name.as_bytes().enumerate() {
        if i > 0 {
            out.push('.');
        }
        for byte in label {
            match byte {
                b'.' | b'\\' => out.extend(['\\', char::from(*byte)]),
                0x21..=0x7e => out.push(char::from(*byte)),
                _ => out.push_str(&format!("\\{byte:03}")),
            }
        }
    }
    out
}

/// What must hold of any answer: a name is printable and no longer than four characters for each byte, and only what was asked
/// is answered.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let ip = IpAddr::from([192, 0, 2, 7]);
    let question = || Asked { ip, name: reverse(ip), since: Instant::now(), tries: 1 };
    let asked: HashMap<u16, Asked> = [(0x0102, question())].into();
    let Some((id, found)) = read(bytes, &asked) else { return };
    assert!(asked.contains_key(&id));
    if let Found::Name(name) = found {
        let name = name.as_bytes();
        assert!(!name.is_empty() && name.len() <= 4 * 255);
        assert!(name.iter().all(u8::is_ascii_graphic), "{name:?} is not printable");
    }
    assert!(read(bytes, &HashMap::new()).is_none(), "what nobody asked is answered");
}

/// Good answers to begin with: a name, an alias, none.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz_seeds() -> Vec<Vec<u8>> {
    use simple_dns::{ResourceRecord, rdata};
    let owner = reverse(IpAddr::from([192, 0, 2, 7]));
    let name = |text: &str| Name::new_unchecked(text).into_owned();
    let answer = |records: Vec<(String, RData<'static>)>| {
        let mut packet = Packet::new_reply(0x0102);
        packet.questions.push(Question::new(name(&owner), TYPE::PTR.into(), CLASS::IN.into(), false));
        let records = records.into_iter();
        packet.answers =
            records.map(|(of, data)| ResourceRecord::new(name(&of), CLASS::IN, 60, data)).collect();
        packet.build_bytes_vec().unwrap_or_default()
    };
    let pointer = |to: &str| RData::PTR(rdata::PTR(name(to)));
    let alias = "7.0-15.2.0.192.in-addr.arpa".to_owned();
    vec![
        answer(vec![(owner.clone(), pointer("web.example.net"))]),
        answer(vec![
            (owner.clone(), RData::CNAME(rdata::CNAME(name(&alias)))),
            (alias, pointer("mail.example.net")),
        ]),
        answer(Vec::new()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_the_wrong_way_round() {
        assert_eq!(reverse("192.0.2.7".parse().unwrap()), "7.2.0.192.in-addr.arpa");
        let six = reverse("2001:db8::567:89ab".parse().unwrap());
        assert_eq!(six, "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
    }
}
