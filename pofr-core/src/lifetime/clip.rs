//! Clipping: what stays of a lifetime when everything before a stamp is forgotten.
//!
//! ```text
//! samples          s1    s2  │ s3    s4        │: where the first bundle that stays begins; s3: the first sample in it
//! a                [---------│-------]         first_seen s3, cut_left
//! b                [-----]   │                 gone
//! c                          │       [--…      stays as it is
//! d                [-----]   │e                only its end stays, which an event told from there on
//! ```
//!
//! What stays is what the bundles from there on say, as if those before had never come; but an event between two bundles
//! goes, whichever of the two told of it.

use super::Lifetime;
use crate::time::WallMicros;

impl Lifetime {
    /// Returns what stays of it where the record of its run begins at `from`, and the first sample of its source that stays
    /// has the stamp `begin`, if there is one; `None` where nothing stays.
    #[must_use]
    pub fn clipped(mut self, from: WallMicros, begin: Option<WallMicros>) -> Option<Self> {
        let begin = begin.unwrap_or(WallMicros(i64::MAX));
        let told = |time: Option<WallMicros>| time.is_some_and(|t| t >= from);
        if self.last_seen.is_some_and(|last| last < begin) {
            if !told(self.ended) {
                return None;
            }
            self = Self { ended: self.ended, ..Self::default() };
        }
        match self.first_seen {
            Some(first) if first <= begin => {
                self.first_seen = Some(begin);
                self.cut_left = true;
                // What is seen by the first sample needs no other word for its begin.
                self.began = None;
            }
            None if !told(self.began.max(self.ended)) => return None,
            _ => {}
        }
        // A begin before the first sample counts only for what had ended by then.
        let passed = told(self.began) && self.ended.is_some_and(|ended| ended < begin);
        if self.began.is_some_and(|began| began < begin) && !passed {
            self.began = None;
        }
        if self.began.is_none() && self.ended.is_none() && self.first_seen.is_none() {
            return None;
        }
        self.appeared_after = self.appeared_after.filter(|t| *t >= begin);
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
    const FROM: WallMicros = WallMicros(25);

    #[test]
    fn what_reaches_over_the_cut_begins_there() {
        let life = Lifetime {
            appeared_after: Some(WallMicros(5)),
            began: Some(WallMicros(7)),
            gone_by: Some(WallMicros(50)),
            ..seen(10, 40)
        };
        let clipped = Lifetime { cut_left: true, gone_by: Some(WallMicros(50)), ..seen(30, 40) };
        assert_eq!(life.clipped(FROM, Some(BEGIN)), Some(clipped));
        assert_eq!(clipped.clipped(FROM, Some(BEGIN)), Some(clipped), "twice is once");
    }

    #[test]
    fn what_was_last_seen_before_goes_and_what_came_after_stays() {
        assert_eq!(
            Lifetime { gone_by: Some(WallMicros(35)), ..seen(10, 29) }.clipped(FROM, Some(BEGIN)),
            None
        );
        let later = Lifetime { appeared_after: Some(BEGIN), ..seen(31, 40) };
        assert_eq!(later.clipped(FROM, Some(BEGIN)), Some(later));
    }

    #[test]
    fn an_event_is_kept_by_when_it_happened() {
        let event = |began: Option<i64>, ended: Option<i64>| Lifetime {
            began: began.map(WallMicros),
            ended: ended.map(WallMicros),
            ..Lifetime::default()
        };
        assert_eq!(event(Some(10), Some(20)).clipped(FROM, Some(BEGIN)), None);
        assert_eq!(event(Some(10), None).clipped(FROM, Some(BEGIN)), None);
        assert_eq!(event(Some(10), Some(35)).clipped(FROM, Some(BEGIN)), Some(event(None, Some(35))));
        assert_eq!(event(Some(32), Some(35)).clipped(FROM, Some(BEGIN)), Some(event(Some(32), Some(35))));
        assert_eq!(event(Some(26), Some(28)).clipped(FROM, Some(BEGIN)), Some(event(Some(26), Some(28))));
        assert_eq!(
            event(Some(26), None).clipped(FROM, Some(BEGIN)),
            None,
            "no sample was there to begin after"
        );
        let ended = Lifetime { ended: Some(WallMicros(27)), ..seen(10, 24) };
        assert_eq!(ended.clipped(FROM, None), Some(event(None, Some(27))));
    }
}
