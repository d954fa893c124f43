//! Lines of sshd that say who was let in, as syslog wrote them down.
//!
//! ```text
//! 2026-11-23T10:00:00.123456+00:00 web sshd[812]: Accepted publickey for ann from 192.0.2.7 port 51234 ssh2: ED25519 SHA256:Jf…
//! Nov 23 10:00:00 web sshd-session[812]: Accepted password for ann from 2001:db8::7 port 51234 ssh2
//! ```
//!
//! The user's name, and behind the colon what a certificate calls itself, are others' choice: any text. Yet no name in passwd(5)
//! has a colon, so that the first `from ADDRESS port PORT ssh2` with one behind it, or with nothing, is sshd's own.
//!
//! Any local user can write such a line (syslog(3) asks nobody who he is); that the process named is sshd's, and root's, is for
//! the caller to see.

use jiff::Timestamp;
use pofr_core::{raw::RawText, time::WallMicros};
use std::net::IpAddr;

/// Someone was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    /// When, where the line says it with its zone.
    pub(super) at: Option<WallMicros>,
    /// The process that let them in.
    pub(super) pid: u32,
    /// How: `publickey`, `password`, `keyboard-interactive/pam`, `hostbased`, `gssapi-with-mic`, `none`.
    pub(super) method: RawText,
    /// As whom.
    pub(super) user: RawText,
    /// From where.
    pub(super) address: IpAddr,
    /// The interface of a link-local address.
    pub(super) zone: Option<RawText>,
    /// From which port.
    pub(super) port: u16,
    /// The key: its type and its fingerprint; of a certificate what else sshd says of it.
    pub(super) key: Option<Key>,
}

/// The key that opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) kind: RawText,
    pub(super) fingerprint: RawText,
    pub(super) certificate: Option<RawText>,
}

/// Reads a line; `None` for any other.
pub(super) fn parse(line: &[u8]) -> Option<Accepted> {
    let (at, rest) = time(line)?;
    // The host's name, then the program with its process.
    let tag = rest.split(|b| *b == b' ').nth(1)?;
    let program_end = tag.iter().position(|b| *b == b'[')?;
    let (program, number) = (&tag[..program_end], &tag[program_end + 1..]);
    if !matches!(program, b"sshd" | b"sshd-session" | b"sshd-auth") {
        return None;
    }
    let pid = crate::sys::parse(number.strip_suffix(b"]:")?)?;
    let start = rest.windows(tag.len()).position(|w| w == tag)? + tag.len();
    let said = rest.get(start..)?.strip_prefix(b" Accepted ")?;
    let (method, said) = cut(said, b" for ")?;
    // `Accepted certificate ID "…` is another line, which goes on as somebody pleases.
    if !method.iter().all(|b| b.is_ascii_alphanumeric() || b"-_/.@".contains(b)) {
        return None;
    }
    let (user, from, key) = (0..said.len()).find_map(|at| {
        let (from, key) = origin(said[at..].strip_prefix(b" from ")?)?;
        Some((&said[..at], from, key))
    })?;
    let key = key.and_then(|key| {
        let mut words = key.splitn(3, |b| *b == b' ');
        let (kind, fingerprint) = (words.next()?, words.next()?);
        let certificate = words.next().filter(|rest| !rest.is_empty()).map(RawText::from);
        Some(Key { kind: kind.into(), fingerprint: fingerprint.into(), certificate })
    });
    let Origin { address, zone, port } = from;
    Some(Accepted { at, pid, method: method.into(), user: user.into(), address, zone, port, key })
}

impl Accepted {
    /// Returns the address as sshd wrote it, with the interface of a link-local one: `fe80::7%eth0`.
    pub(super) fn origin(&self) -> RawText {
        let zone = self.zone.iter().flat_map(|zone| [b"%", zone.as_bytes()].concat());
        self.address.to_string().into_bytes().into_iter().chain(zone).collect::<Vec<u8>>().into()
    }
}

/// Where someone came from.
struct Origin {
    address: IpAddr,
    zone: Option<RawText>,
    port: u16,
}

/// Reads `ADDRESS port PORT ssh2`, and what stands behind a colon after it; `None` for anything else, and where anything else follows.
fn origin(text: &[u8]) -> Option<(Origin, Option<&[u8]>)> {
    let (address, rest) = cut(text, b" port ")?;
    let mut parts = address.splitn(2, |b| *b == b'%');
    let address: IpAddr = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    let zone = parts.next().map(RawText::from);
    let (port, rest) = cut(rest, b" ssh2")?;
    let key = match rest {
        [] => None,
        _ => Some(rest.strip_prefix(b": ")?),
    };
    Some((Origin { address, zone, port: crate::sys::parse(port)? }, key))
}

/// Takes the time off the front of a line: RFC 3339 with a zone, or `Nov 23 10:00:00`, which names neither year nor zone.
fn time(line: &[u8]) -> Option<(Option<WallMicros>, &[u8])> {
    if line.first()?.is_ascii_digit() {
        let (time, rest) = cut(line, b" ")?;
        let time: Timestamp = std::str::from_utf8(time).ok()?.parse().ok()?;
        return Some((Some(WallMicros(time.as_microsecond())), rest));
    }
    let is_old = line.len() > 16 && line[3] == b' ' && line[6] == b' ' && line[15] == b' ';
    is_old.then(|| (None, &line[16..]))
}

/// Splits at the first `mark`.
fn cut<'a>(text: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(mark.len()).position(|w| w == mark)?;
    Some((&text[..at], &text[at + mark.len()..]))
}

/// What must hold of any line: nothing comes out that did not go in, and sshd is named.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(line: &[u8]) {
    let Some(accepted) = parse(line) else { return };
    assert!(line.windows(4).any(|w| w == b"sshd") && line.windows(10).any(|w| w == b" Accepted "));
    let texts = [accepted.method.as_bytes().len(), accepted.user.as_bytes().len()];
    let key = accepted.key.as_ref().map_or(0, |key| {
        key.kind.as_bytes().len()
            + key.fingerprint.as_bytes().len()
            + key.certificate.as_ref().map_or(0, |text| text.as_bytes().len())
    });
    assert!(texts.iter().sum::<usize>() + key <= line.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<String> {
        parse(line.as_bytes()).map(|a| {
            let key = a.key.as_ref().map(|k| format!(" {} {} {:?}", k.kind, k.fingerprint, k.certificate));
            let at = a.at.map(|at| at.0);
            format!(
                "{at:?} {} {} {} {} {}{}",
                a.pid,
                a.method,
                a.user,
                a.origin(),
                a.port,
                key.unwrap_or_default()
            )
        })
    }

    #[test]
    fn lines_of_every_age() {
        for (line, want) in [
            (
                "2026-11-23T10:00:00.123456+01:00 web sshd[812]: Accepted publickey for ann from 192.0.2.7 port 51234 ssh2: ED25519 SHA256:JfA",
                "Some(1795424400123456) 812 publickey ann 192.0.2.7 51234 ED25519 SHA256:JfA None",
            ),
            (
                "Nov  3 10:00:00 web sshd-session[812]: Accepted password for ann from 2001:db8::7 port 51234 ssh2",
                "None 812 password ann 2001:db8::7 51234",
            ),
            (
                "Nov 23 10:00:00 web sshd[7]: Accepted keyboard-interactive/pam for ann from fe80::1%eth0 port 22 ssh2",
                "None 7 keyboard-interactive/pam ann fe80::1%eth0 22",
            ),
            (
                "Nov 23 10:00:00 web sshd[7]: Accepted publickey for ann from 192.0.2.7 port 5 ssh2: ED25519-CERT SHA256:Jf ID ann (serial 0) CA ED25519 SHA256:Q",
                "None 7 publickey ann 192.0.2.7 5 ED25519-CERT SHA256:Jf Some(\"ID ann (serial 0) CA ED25519 SHA256:Q\")",
            ),
            (
                "Nov 23 10:00:00 web sshd[7]: Accepted password for a from 9.9.9.9 port 1 ssh2 from 192.0.2.7 port 5 ssh2",
                "None 7 password a from 9.9.9.9 port 1 ssh2 192.0.2.7 5",
            ),
        ] {
            assert_eq!(read(line).as_deref(), Some(want), "{line}");
        }
    }

    #[test]
    fn what_a_certificate_calls_itself_is_no_part_of_the_rest() {
        let line = |id: &str| {
            read(&format!(
                "Nov 23 10:00:00 web sshd[7]: Accepted publickey for ann from 192.0.2.9 port 5 ssh2: ED25519-CERT SHA256:abc ID {id} (serial 7) CA ED25519 SHA256:def"
            ))
        };
        for id in [
            "ann from her laptop",
            "x from 198.51.100.1 port 22 ssh2",
            "x from 198.51.100.1 port 22 ssh2: RSA SHA256:def",
            "x for root from 198.51.100.1 port 22 ssh2: RSA SHA256:def ID y",
            "Accepted password for root from 198.51.100.1 port 22 ssh2",
        ] {
            let want = format!(
                "None 7 publickey ann 192.0.2.9 5 ED25519-CERT SHA256:abc Some(\"ID {id} (serial 7) CA ED25519 SHA256:def\")"
            );
            assert_eq!(line(id), Some(want));
        }
        // What sshd says at a higher level of the same certificate lets nobody in.
        for said in [
            "certificate ID \"x for root from 198.51.100.1 port 22 ssh2: \" (serial 7) signed by ED25519 CA SHA256:def via /k",
            "key ED25519 SHA256:abc found at /home/x for root from 198.51.100.1 port 22 ssh2: /k:1",
        ] {
            assert_eq!(read(&format!("Nov 23 10:00:00 web sshd[7]: Accepted {said}")), None);
        }
    }

    #[test]
    fn other_lines_say_nothing() {
        for line in [
            "",
            "Nov 23 10:00:00 web sshd[7]: Failed password for ann from 192.0.2.7 port 5 ssh2",
            "Nov 23 10:00:00 web sshd[7]: Connection closed by 192.0.2.7 port 5",
            "Nov 23 10:00:00 web login[7]: Accepted password for ann from 192.0.2.7 port 5 ssh2",
            "Nov 23 10:00:00 web sshd[x]: Accepted password for ann from 192.0.2.7 port 5 ssh2",
            "Nov 23 10:00:00 web sshd[7]: Accepted password for ann from here port 5 ssh2",
            "Nov 23 10:00:00 web sshd[7]: Accepted password for ann from 192.0.2.7 port 99999 ssh2",
            "Nov 23 10:00:00 web su: x sshd[7]: Accepted password for ann from 192.0.2.7 port 5 ssh2",
            "2026-13-45 web sshd[7]: Accepted password for ann from 192.0.2.7 port 5 ssh2",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn anything_can_be_read(line in proptest::collection::vec(0..=255_u8, 0..200), cut in 0..130_usize) {
            let _ = parse(&line);
            let real = b"Nov 23 10:00:00 web sshd[7]: Accepted publickey for ann from 192.0.2.7 port 5 ssh2: ED25519 SHA256:JfA";
            let _ = parse(&real[..cut.min(real.len())]);
            let _ = parse(&[&real[..cut.min(real.len())], &line].concat());
        }
    }
}
