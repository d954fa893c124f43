//! What must be said for as long as it is so, in pieces: a gap at once, one every while, and one when it is over. A crash hides no
//! more than one piece, and what is over does not stand for ever.

use pofr_core::{
    Source,
    gap::{Gap, Severity},
    time::WallMicros,
};
use std::collections::{BTreeMap, BTreeSet};

/// Names of so many are told; of the others, how many there are.
const NAMED: usize = 16;

/// Namespaces of which something has to be said.
#[derive(Debug)]
pub(super) struct Pieces {
    /// How often it is said again, µs.
    every: i64,
    /// The namespaces, and since when it was not said of each.
    since: BTreeMap<u32, WallMicros>,
    said: Option<i64>,
}

impl Pieces {
    pub(super) const fn new(every: i64) -> Self {
        Self { every, since: BTreeMap::new(), said: None }
    }

    /// Takes what to say, with `{}` where the namespaces are named, of which it is so, since when of those that are new, and how to
    /// name them. Returns what has to be said now.
    pub(super) fn say(
        &mut self,
        reason: &str,
        of: &BTreeMap<u32, WallMicros>,
        (now, stamp): (i64, WallMicros),
        name: impl Fn(u32) -> String,
    ) -> Option<Gap> {
        let is_over: BTreeSet<u32> = self.since.keys().filter(|one| !of.contains_key(one)).copied().collect();
        let is_due = self.is_due(now);
        let is_new = of.keys().any(|one| !self.since.contains_key(one));
        for (one, since) in of {
            self.since.entry(*one).or_insert(*since);
        }
        if self.since.is_empty() || !(is_due || is_new || !is_over.is_empty()) {
            return None;
        }
        let from = self.since.values().min().copied().unwrap_or(stamp);
        let mut names: Vec<String> = self.since.keys().take(NAMED).map(|one| name(*one)).collect();
        if let Some(more @ 1..) = self.since.len().checked_sub(NAMED) {
            names.push(format!("{more} more"));
        }
        self.said = Some(now);
        self.since.retain(|one, _| !is_over.contains(one));
        self.since.values_mut().for_each(|since| *since = stamp);
        Some(Gap {
            source: Some(Source::Endpoint),
            severity: Severity::Thin,
            reason: crate::recorder::reason(reason.replace("{}", &names.join(", "))),
            from: from.min(stamp),
            to: Some(stamp),
            lost: None,
        })
    }

    /// Tells whether it is time to say something again.
    pub(super) fn is_due(&self, now: i64) -> bool {
        self.said.is_none_or(|said| now >= said + self.every)
    }

    /// Takes note that what was said is over.
    pub(super) fn forget(&mut self) {
        self.since.clear();
    }

    pub(super) fn clear(&mut self) {
        self.since.clear();
        self.said = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_leave_nothing_between_them_and_end_when_it_is_over() {
        let mut pieces = Pieces::new(10);
        let mut say = |of: &[u32], now: i64| {
            let of = of.iter().map(|one| (*one, WallMicros(now - 1))).collect();
            let gap = pieces.say("{} in the dark", &of, (now, WallMicros(now)), |one| format!("N{one}"))?;
            Some((gap.reason, gap.from.0, gap.to.unwrap().0))
        };
        assert_eq!(say(&[], 5), None);
        assert_eq!(say(&[1], 10), Some(("N1 in the dark".to_owned(), 9, 10)));
        assert_eq!(say(&[1], 15), None);
        assert_eq!(say(&[1, 2], 17), Some(("N1, N2 in the dark".to_owned(), 10, 17)));
        assert_eq!(say(&[1, 2], 27), Some(("N1, N2 in the dark".to_owned(), 17, 27)));
        assert_eq!(say(&[2], 30), Some(("N1, N2 in the dark".to_owned(), 27, 30)));
        assert_eq!(say(&[], 31), Some(("N2 in the dark".to_owned(), 30, 31)));
        assert_eq!(say(&[], 99), None);
        let many: Vec<u32> = (0..20).collect();
        assert!(say(&many, 100).unwrap().0.ends_with("N15, 4 more in the dark"));
    }
}
