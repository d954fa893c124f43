//! Clipping: what stays of a lifetime when everything before a stamp is forgotten.
//!
//! ```text
//! samples          s1    s2  │ s3    s4        s3: the first stamp of the first bundle that stays
//! a                [---------│-------]         first_seen s3, cut_left
//! b                [-----]   │                 gone
//! c                          │       [--…      stays as it is
//! ```
//!
//! What stays is what the bundles from there on say, as if those before had never come.

use super::Lifetime;
use crate::time::WallMicros;

impl Lifetime {
    /// Returns what stays of it where the record of its run and source begins at the stamp `begin`; `None` where nothing does.
    #[must_use]
    pub fn clipped(mut self, begin: WallMicros) -> Option<Self> {
        let before = |time: Option<WallMicros>| time.is_some_and(|t| t < begin);
        match (self.first_seen, self.last_seen) {
            (Some(_), Some(last)) if last < begin => return None,
            (Some(first), _) if first <= begin => {
                self.first_seen = Some(begin);
                self.cut_left = true;
            }
            (Some(_), _) => {}
            // Known by events alone.
            (None, _) if self.began.max(self.ended).is_none_or(|t| t < begin) => return None,
            (None, _) => {}
        }
        if before(self.began) || (self.cut_left && self.first_seen == Some(begin)) {
            self.began = None;
        }
        if before(self.appeared_after) {
            self.appeared_after = None;
        }
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(first: i64, last: i64) -> Lifetime {
        Lifetime {
            first_seen: Some(WallMicros(first)),
            last_seen: Some(WallMicros(last)),
            ..Lifetime::default()
        }
    }

    const BEGIN: WallMicros = WallMicros(30);

    #[test]
    fn what_reaches_over_the_cut_begins_there() {
        let life = Lifetime {
            appeared_after: Some(WallMicros(5)),
            began: Some(WallMicros(7)),
            gone_by: Some(WallMicros(50)),
            ..seen(10, 40)
        };
        let clipped = Lifetime { cut_left: true, gone_by: Some(WallMicros(50)), ..seen(30, 40) };
        assert_eq!(life.clipped(BEGIN), Some(clipped));
        assert_eq!(clipped.clipped(BEGIN), Some(clipped), "twice is once");
    }

    #[test]
    fn what_was_last_seen_before_goes_and_what_came_after_stays() {
        assert_eq!(Lifetime { gone_by: Some(WallMicros(35)), ..seen(10, 29) }.clipped(BEGIN), None);
        let later = Lifetime { appeared_after: Some(BEGIN), ..seen(31, 40) };
        assert_eq!(later.clipped(BEGIN), Some(later));
    }

    #[test]
    fn an_event_is_kept_by_when_it_happened() {
        let event = |began: Option<i64>, ended: Option<i64>| Lifetime {
            began: began.map(WallMicros),
            ended: ended.map(WallMicros),
            ..Lifetime::default()
        };
        assert_eq!(event(Some(10), Some(20)).clipped(BEGIN), None);
        assert_eq!(event(Some(10), None).clipped(BEGIN), None);
        assert_eq!(event(Some(10), Some(35)).clipped(BEGIN), Some(event(None, Some(35))));
        assert_eq!(event(Some(32), Some(35)).clipped(BEGIN), Some(event(Some(32), Some(35))));
    }
}
