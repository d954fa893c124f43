//! Bytes as the kernel gave them, and what is said where they could not be had.
//!
//! Paths, process names and arguments are bytes from end to end; they become text only in
//! [`RawText::escaped`], where nothing a client sent can move a terminal's cursor.

use serde::{Serialize, Serializer, ser::SerializeMap};
use std::{fmt, sync::Arc};

/// Bytes of a path, a name or an argument vector: any value, cheap to clone.
///
/// Serializes as a string where it is UTF-8 without loss, else as `{"hex": "…"}`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RawText(Arc<[u8]>);

impl RawText {
    /// Returns the bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the text as a person may see it: control characters, backslashes' look-alikes and
    /// invalid UTF-8 as `\xNN`, `\n`, `\t`; printable Unicode as it is.
    #[must_use]
    pub fn escaped(&self) -> String {
        let mut out = String::with_capacity(self.0.len());
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\n' => out.push_str("\\n"),
                    '\r' => out.push_str("\\r"),
                    '\t' => out.push_str("\\t"),
                    c if c.is_control() || is_invisible(c) => {
                        let mut buf = [0; 4];
                        for b in c.encode_utf8(&mut buf).bytes() {
                            push_hex_escape(&mut out, b);
                        }
                    }
                    c => out.push(c),
                }
            }
            for b in chunk.invalid() {
                push_hex_escape(&mut out, *b);
            }
        }
        out
    }
}

/// Characters that reorder or hide what stands around them (Unicode UTS #36, 3.7).
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

fn push_hex_escape(out: &mut String, b: u8) {
    use fmt::Write as _;
    let _ = write!(out, "\\x{b:02x}");
}

impl From<&[u8]> for RawText {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}
impl From<Vec<u8>> for RawText {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}
impl From<&str> for RawText {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().into())
    }
}
impl Default for RawText {
    fn default() -> Self {
        Self(Arc::from([]))
    }
}
impl fmt::Debug for RawText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escaped())
    }
}
impl fmt::Display for RawText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.escaped())
    }
}
impl Serialize for RawText {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => s.serialize_str(text),
            Err(_) => {
                let mut map = s.serialize_map(Some(1))?;
                map.serialize_entry("hex", &crate::digest::hex(&self.0))?;
                map.end()
            }
        }
    }
}

/// An attribute that may not have been readable: "could not read" is not "was not there".
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reading<T> {
    /// Read.
    Known(T),
    /// Not there (`ENOENT`): a kernel thread has no executable.
    Absent,
    /// There, but not for us (`EACCES`, `EPERM`).
    Denied,
    /// Not looked at, or gone before it could be.
    Unknown,
}

impl<T> Reading<T> {
    /// Returns the value where it was read.
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            _ => None,
        }
    }
}

impl<T: Serialize> Serialize for Reading<T> {
    /// The value; `null` for absent; `{"unread": "denied"|"unknown"}` else.
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let why = match self {
            Self::Known(value) => return value.serialize(s),
            Self::Absent => return s.serialize_none(),
            Self::Denied => "denied",
            Self::Unknown => "unknown",
        };
        let mut map = s.serialize_map(Some(1))?;
        map.serialize_entry("unread", why)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_bytes_print_escaped() {
        let text = RawText::from(&b"a\x1b[2J\n\xff\xc3\xa9\xe2\x80\xae"[..]);
        assert_eq!(text.escaped(), "a\\x1b[2J\\n\\xff\u{e9}\\xe2\\x80\\xae");
    }

    #[test]
    fn json_is_lossless() {
        let json = |b: &[u8]| serde_json::to_string(&RawText::from(b)).unwrap();
        assert_eq!(json(b"a\0b"), r#""a\u0000b""#);
        assert_eq!(json(b"\xff"), r#"{"hex":"ff"}"#);
    }
}
