//! What is exported: one row of the record with what is known around it, and what every format asks of it.

use crate::{commands::at::cut_mark, output::fact::unusual};
use jiff::Timestamp;
use pofr_core::{
    fact::{Fact, Process},
    identity::{Cid, Entity},
    lifetime::Row,
    raw::{RawText, Reading},
    time::WallMicros,
};
use pofr_schema::query::{Bound, Direction, Extent, Found};

/// One part of a fact that was found: what a gap splits is two records, each of which says how far it is known.
#[derive(Clone, Copy)]
pub(crate) struct Item<'a> {
    /// The client.
    pub(crate) client: &'a Cid,
    /// The fact.
    pub(crate) found: &'a Found,
    /// The part.
    pub(crate) row: &'a Row,
}

impl<'a> Item<'a> {
    /// Returns the parts of what was found, in the order of time.
    pub(crate) fn all(client: &'a Cid, found: &'a Found) -> impl Iterator<Item = Self> {
        found.parts.iter().map(move |row| Self { client, found, row })
    }

    /// Returns the process: the fact itself, or who holds it.
    pub(crate) fn process(&self) -> Option<&'a Process> {
        match &self.row.fact {
            Fact::Process(process) => Some(process),
            _ => self.found.process.as_deref(),
        }
    }

    /// Returns which process it is of.
    pub(crate) fn entity(&self) -> Option<Entity> {
        match &self.row.fact {
            Fact::Process(process) => Some(process.key.entity),
            Fact::File(file) => Some(file.key.entity),
            Fact::Endpoint(endpoint) => endpoint.key.holder,
            _ => None,
        }
    }

    /// Returns from when to when this part held.
    pub(crate) fn extent(&self) -> Extent {
        Extent::of(std::slice::from_ref(self.row))
    }

    /// Tells whether the record shows the begin: by an event, or between two samples.
    pub(crate) fn shows_begin(&self) -> bool {
        self.extent().began != Bound::Open
    }

    /// Tells whether the record shows the end.
    pub(crate) fn shows_end(&self) -> bool {
        self.extent().ended != Bound::Open
    }

    /// Returns a name that no other row of any client has and that stays the same from export to export, as long as what is
    /// learned of the row's begin does not change.
    pub(crate) fn id(&self) -> String {
        format!("{}:{}:{}:{}", self.client, self.row.run, self.row.digest, self.row.life.position().0)
    }

    /// Says in one line what the row is about: `process 812 vi notes, user ann`. Control characters are escaped.
    pub(crate) fn subject(&self) -> String {
        let holder = || {
            let pid = self.entity().map(|entity| format!(" by process {}", entity.pid())).unwrap_or_default();
            let name = self.process().map(|p| format!(" {}", p.key.comm.escaped())).unwrap_or_default();
            format!("{pid}{name}{}", self.user())
        };
        match &self.row.fact {
            Fact::Process(process) => {
                let line = command_line(process).escaped();
                let cut = process.key.marks.arguments_cut.as_ref().map(cut_mark).unwrap_or_default();
                let unusual: String = unusual(&process.key).iter().map(|what| format!(", {what}")).collect();
                format!("process {} {line}{cut}{}{unusual}", process.key.entity.pid(), self.user())
            }
            Fact::File(file) => {
                let deleted = if file.key.deleted { " (deleted)" } else { "" };
                let (path, mode) = (file.key.path.escaped(), file.key.mode.text());
                let shared =
                    self.found.shared_by.map(|sharer| format!(", shared by process {}", sharer.pid()));
                format!("file {path}{deleted} open for {mode}{}{}", holder(), shared.unwrap_or_default())
            }
            Fact::Endpoint(endpoint) => {
                let key = &endpoint.key;
                let (transport, state) = (key.transport.text(), key.state.text());
                let ends = match self.found.direction {
                    Some(Direction::Inbound) => format!("from {} to {}", key.remote, key.local),
                    Some(Direction::Outbound) => format!("from {} to {}", key.local, key.remote),
                    _ => format!("at {}", key.local),
                };
                format!("{transport} {ends} {state}{}", holder())
            }
            other => format!("{:?} {}", other.kind(), self.row.digest),
        }
    }

    fn user(&self) -> String {
        self.found.user.as_ref().map(|user| format!(", user {}", user.escaped())).unwrap_or_default()
    }
}

/// Returns the arguments with blanks between, as a command line; without any, the name in brackets, as ps(1) has it.
pub(crate) fn command_line(process: &Process) -> RawText {
    match process.arguments().map(vector) {
        Some(vector) if !vector.is_empty() => vector.join(&b' ').into(),
        _ => [b"[", process.key.comm.as_bytes(), b"]"].concat().into(),
    }
}

/// Splits an argument vector.
pub(crate) fn vector(arguments: &RawText) -> Vec<&[u8]> {
    let bytes = arguments.as_bytes();
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes.strip_suffix(b"\0").unwrap_or(bytes).split(|b| *b == 0).collect()
}

/// Returns what was read, where anything was.
pub(crate) fn known(reading: &Reading<RawText>) -> Option<&RawText> {
    reading.known()
}

/// Returns the text as it is where it is UTF-8, else escaped: what formats whose texts are Unicode can hold.
pub(crate) fn unicode(text: &RawText) -> String {
    unicode_bytes(text.as_bytes())
}

/// As [`unicode`], of bytes.
pub(crate) fn unicode_bytes(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| RawText::from(bytes).escaped(), str::to_owned)
}

/// Writes `2026-11-23T10:00:00.123456+00:00` (RFC 3339, in UTC); what no calendar holds as the nearest that one does.
pub(crate) fn rfc3339(at: WallMicros) -> String {
    let nearest = if at.0 < 0 { Timestamp::MIN } else { Timestamp::MAX };
    let time = Timestamp::from_microsecond(at.0).unwrap_or(nearest);
    time.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string()
}

/// Splits a wait status into exit code and signal (waitpid(2)).
pub(crate) fn exit(status: i32) -> (Option<i32>, Option<i32>) {
    match status & 0x7f {
        0 => (Some(status >> 8 & 0xff), None),
        signal => (None, Some(signal)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_split_as_the_shell_does() {
        assert_eq!(exit(0), (Some(0), None));
        assert_eq!(exit(0x0100), (Some(1), None));
        assert_eq!(exit(9), (None, Some(9)));
        assert_eq!(exit(0x8b), (None, Some(11)), "with a core");
    }

    #[test]
    fn arguments_keep_their_borders() {
        let text = RawText::from(&b"sh\0-c\0\0"[..]);
        assert_eq!(vector(&text), [&b"sh"[..], b"-c", b""]);
        assert!(vector(&RawText::default()).is_empty());
    }

    #[test]
    fn times_are_in_utc_to_the_microsecond() {
        assert_eq!(rfc3339(WallMicros(1_795_428_000_000_007)), "2026-11-23T10:00:00.000007+00:00");
        assert!(rfc3339(WallMicros(i64::MAX)).starts_with("9999-12-30T"));
    }
}
