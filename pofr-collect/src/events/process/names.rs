//! Names: whether we hear of processes that rename themselves.
//!
//! A process can rename itself two million times a second (prctl(2)), and each time is an event that takes room in our queue: those of
//! others would find none. So while there are that many, a filter on our socket drops them in the kernel: a classic one (socket(7),
//! `SO_ATTACH_FILTER`). A gap says so, the samples show the names, and after some seconds we listen again.
//!
//! The kernel numbers what it drops as well. So numbers that are missing from a time in which names were dropped say nothing.

use super::{moment::Moment, sequence::Loss};

/// If more names than this are heard in a span, µs, they are dropped for a while, µs.
const MANY: usize = 1_000;
const SPAN: i64 = 100_000;
const WHILE: i64 = 5_000_000;

/// Decides when names are heard.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// When the present span began, and how many names were heard in it.
    span: Moment,
    heard: usize,
    /// Until when they are dropped, where they are.
    dropped: Option<Moment>,
    /// When they were last dropped.
    last: Option<Moment>,
}

impl Names {
    /// Takes note that so many names were heard; tells whether there are too many.
    pub(super) fn hear(&mut self, names: usize, now: Moment) -> bool {
        if now > self.span.plus(SPAN) {
            (self.span, self.heard) = (now, 0);
        }
        self.heard += names;
        self.heard > MANY && self.dropped.is_none()
    }

    /// Takes note that they are dropped from now on; returns the span in which they are.
    pub(super) fn drop_from(&mut self, now: Moment) -> Loss {
        let to = now.plus(WHILE);
        (self.dropped, self.heard) = (Some(to), 0);
        Loss { from: now, to, events: None }
    }

    /// Returns when they are to be heard again, where they are dropped.
    pub(super) const fn due(&self) -> Option<Moment> {
        self.dropped
    }

    /// Takes note that they are heard again.
    pub(super) const fn hear_from(&mut self, now: Moment) {
        (self.dropped, self.last) = (None, Some(now));
    }

    /// Tells whether the messages that are missing may be names that were dropped.
    pub(super) fn explain(&self, loss: Loss) -> bool {
        self.dropped.is_some() || self.last.is_some_and(|last| loss.from <= last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_names_are_dropped_for_a_while() {
        let mut names = Names::default();
        let lost = |from| Loss { from: Moment(from), to: Moment(from + 1), events: Some(1) };
        for turn in 0..100 {
            assert!(!names.hear(MANY / 2, Moment(turn * SPAN)), "slow enough");
        }
        let now = Moment(200 * SPAN);
        assert!(!names.hear(MANY, now) && names.hear(1, now));
        assert!(!names.explain(lost(now.0)));
        assert_eq!(names.drop_from(now), Loss { from: now, to: now.plus(WHILE), events: None });
        assert!(names.explain(lost(now.0)) && !names.hear(2 * MANY, now.plus(1)));
        let again = names.due().unwrap();
        names.hear_from(again);
        assert_eq!(names.due(), None);
        assert!(names.explain(lost(again.0)) && !names.explain(lost(again.0 + 1)));
    }
}
