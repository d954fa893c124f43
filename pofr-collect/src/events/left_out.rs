//! Left out: what a source counts and does not tell, since there is too much of it, until a gap says so.

use crate::limits;
use pofr_core::time::WallMicros;

/// What was counted lately.
#[derive(Debug, Default)]
pub(super) struct LeftOut(Option<Span>);

/// From when to when, and how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: WallMicros,
    pub(super) to: WallMicros,
    pub(super) count: u64,
}

impl LeftOut {
    /// Counts so much; true if it is the first.
    pub(super) fn add(&mut self, count: u64, at: WallMicros) -> bool {
        let is_first = self.0.is_none();
        let span = self.0.get_or_insert(Span { from: at, to: at, count: 0 });
        (span.to, span.count) = (at, span.count.saturating_add(count));
        is_first
    }

    /// Returns what was counted, once it is some seconds old.
    pub(super) fn take_due(&mut self, now: WallMicros) -> Option<Span> {
        self.0.take_if(|span| now.since(span.from) >= limits::TELL_MICROS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_taken_once_for_some_seconds() {
        let (mut left, at) = (LeftOut::default(), WallMicros);
        assert_eq!((left.add(2, at(5)), left.add(3, at(9))), (true, false));
        assert_eq!(left.take_due(at(10)), None);
        let due = left.take_due(at(5 + limits::TELL_MICROS));
        assert_eq!(due, Some(Span { from: at(5), to: at(9), count: 5 }));
        assert_eq!(left.take_due(at(i64::MAX)), None);
    }
}
