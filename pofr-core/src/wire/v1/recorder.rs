//! The tag that opens every v1 record: the pids of the recorder itself, `scanpid,sendpid`.

use crate::identity::Pid;

/// The two processes of a v1 client, which it leaves to the reader to exclude.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Recorder {
    /// The one that reads `/proc`.
    pub scan: Pid,
    /// The one that sends.
    pub send: Pid,
}

impl Recorder {
    /// Reads `69,70`; `None` where that is not two pids.
    #[must_use]
    pub fn parse(tag: &[u8]) -> Option<Self> {
        let comma = tag.iter().position(|b| *b == b',')?;
        Some(Self { scan: Pid(number(&tag[..comma])?), send: Pid(number(&tag[comma + 1..])?) })
    }

    /// Tells whether `pid` is one of the recorder's own.
    #[must_use]
    pub fn is(&self, pid: Pid) -> bool {
        pid == self.scan || pid == self.send
    }
}

/// Reads a decimal number of up to 32 bit, digits only.
pub(super) fn number(text: &[u8]) -> Option<u32> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_pids_and_nothing_else() {
        let tag = Recorder::parse(b"69,999999").unwrap();
        assert!(tag.is(Pid(69)) && tag.is(Pid(999_999)) && !tag.is(Pid(6)));
        for bad in [&b""[..], b"69", b",", b"69,", b"69,+7", b"69,7,8", b"69,99999999999", b" 69,7"] {
            assert_eq!(Recorder::parse(bad), None, "{bad:?}");
        }
    }
}
