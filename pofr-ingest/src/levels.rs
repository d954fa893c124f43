//! Keeping up: what a record needs when bundles have come. Level 2 past its limits, level 3 where the policy wants it.
//!
//! ```text
//! archives   [-a-][-b-][-c-]|[-d-][-e-]|[-f-]        | midnight where the client is
//! daily      [----period----][--period-][-f-]        f: its day is not over
//! ```
//!
//! An archive belongs to the day, or week, in which it begins. That is over when something that counts begins in a later one and
//! no slice of it is left to archive.

use crate::merge::{self, Report};
use pofr_core::{
    store::{ClientStore, Level, StoreError, Triad, TriadState},
    time::WallMicros,
};
use std::collections::BTreeMap;

/// What a period is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Calendar {
    /// A day, from midnight on.
    Day,
    /// A week, from Monday on.
    Week,
}

/// When triads are merged by themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policy {
    /// Level 2.
    pub archive: merge::Options,
    /// Level 3; never where there is none.
    pub period: Option<Calendar>,
}

impl Policy {
    /// Returns the policy for when there is no time: twice the limits, and no periods.
    #[must_use]
    pub fn patient(&self) -> Self {
        let merge::Options { max_triads, max_file_rows, .. } = self.archive;
        let (max_triads, max_file_rows) = (max_triads.saturating_mul(2), max_file_rows.saturating_mul(2));
        Self { archive: merge::Options { max_triads, max_file_rows, ..self.archive }, period: None }
    }
}

impl Calendar {
    /// Returns the number of the day or week in which a triad begins, where the client is.
    fn number(self, triad: &Triad) -> i64 {
        const DAY: i64 = 86_400_000_000;
        let day = (triad.from.0 + i64::from(triad.zone.minutes()) * 60_000_000).div_euclid(DAY);
        match self {
            Self::Day => day,
            // 1970 began on a Thursday.
            Self::Week => (day + 3).div_euclid(7),
        }
    }
}

/// Tells whether [`keep_up`] would have something to do.
///
/// # Errors
/// Where the store fails.
pub fn is_due(store: &mut dyn ClientStore, policy: &Policy) -> Result<bool, StoreError> {
    let triads = store.triads()?;
    let has_period = |calendar| !due(&triads, calendar).is_empty();
    Ok(merge::is_due(&triads, &policy.archive) || policy.period.is_some_and(has_period))
}

/// Merges what the policy says is due; `progress` is told at which level.
///
/// # Errors
/// Where the store fails.
pub fn keep_up(
    store: &mut dyn ClientStore,
    policy: &Policy,
    progress: &mut dyn FnMut(Level, u64, u64),
) -> Result<Vec<Report>, StoreError> {
    let mut reports = Vec::new();
    let report =
        merge::archive(store, &policy.archive, &mut |done, all| progress(Level::Archive, done, all))?;
    if report.inputs > 0 {
        reports.push(report);
    }
    let Some(calendar) = policy.period else { return Ok(reports) };
    for range in due(&store.triads()?, calendar) {
        let report = merge::period(store, Some(range), &mut |done, all| progress(Level::Period, done, all))?;
        if report.inputs > 0 {
            reports.push(report);
        }
    }
    Ok(reports)
}

/// Returns the times of the archives that are to become one period each.
#[must_use]
pub fn due(triads: &[Triad], calendar: Calendar) -> Vec<(WallMicros, WallMicros)> {
    let mut by_number: BTreeMap<i64, Vec<&Triad>> = BTreeMap::new();
    for triad in triads.iter().filter(|t| t.state == TriadState::Live) {
        by_number.entry(calendar.number(triad)).or_default().push(triad);
    }
    let latest = by_number.keys().next_back().copied();
    by_number
        .into_iter()
        .filter(|(number, triads)| {
            Some(*number) < latest
                && triads.iter().all(|t| t.level != Level::Slice)
                // One archive alone has nothing to be merged with.
                && triads.len() > 1
                && triads.iter().any(|t| t.level == Level::Archive)
        })
        .map(|(_, triads)| {
            let from = triads.iter().map(|t| t.from).min().unwrap_or_default();
            (from, triads.iter().map(|t| t.from).max().unwrap_or(from))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pofr_core::{store::TriadId, time::ZoneOffset};

    const HOUR: i64 = 3_600_000_000;

    fn triad(level: Level, from_hours: i64, to_hours: i64) -> Triad {
        Triad {
            id: TriadId(from_hours + 1),
            level,
            state: TriadState::Live,
            open: false,
            tables: Default::default(),
            from: WallMicros(from_hours * HOUR),
            to: WallMicros(to_hours * HOUR - 1),
            zone: ZoneOffset::UTC,
            rows: [1; 3],
            sorted: true,
        }
    }

    fn due_hours(triads: Vec<Triad>, calendar: Calendar) -> Vec<(i64, i64)> {
        due(&triads, calendar).into_iter().map(|(from, to)| (from.0 / HOUR, to.0 / HOUR)).collect()
    }

    #[test]
    fn a_day_is_merged_when_it_is_over() {
        let mut triads = vec![triad(Level::Archive, 2, 12), triad(Level::Archive, 12, 26)];
        assert_eq!(due_hours(triads.clone(), Calendar::Day), [], "nothing says that it is over");
        triads.push(triad(Level::Slice, 26, 27));
        assert_eq!(due_hours(triads.clone(), Calendar::Day), [(2, 12)]);
        triads.push(triad(Level::Slice, 13, 14));
        assert_eq!(due_hours(triads.clone(), Calendar::Day), [], "a late slice is to be archived first");
        triads.pop();
        assert_eq!(due_hours(triads, Calendar::Week), []);
        let merged = vec![triad(Level::Period, 2, 26), triad(Level::Slice, 26, 27)];
        assert_eq!(due_hours(merged, Calendar::Day), [], "once is enough");
    }

    #[test]
    fn days_are_the_clients() {
        let mut triads =
            vec![triad(Level::Archive, 20, 22), triad(Level::Archive, 23, 25), triad(Level::Archive, 26, 27)];
        assert_eq!(due_hours(triads.clone(), Calendar::Day), [(20, 23)]);
        for triad in &mut triads {
            triad.zone = ZoneOffset::parse("+0100").unwrap();
        }
        assert_eq!(due_hours(triads.clone(), Calendar::Day), [], "23 h is the next day already");
        // Monday the 5th of January 1970.
        let weeks =
            vec![triad(Level::Archive, 0, 24), triad(Level::Archive, 95, 97), triad(Level::Slice, 97, 98)];
        assert_eq!(due_hours(weeks, Calendar::Week), [(0, 95)]);
    }
}
