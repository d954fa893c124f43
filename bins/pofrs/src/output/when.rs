//! Times on the screen: in the client's zone, which a record knows from bundle to bundle, or in UTC.

use jiff::{Timestamp, civil::DateTime, tz::Offset};
use pofr_core::{
    store::Ledger,
    time::{WallMicros, ZoneOffset},
};
use std::collections::BTreeMap;

/// Which offset from UTC a client had when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Zones {
    /// From which time on which offset holds; never empty.
    changes: BTreeMap<WallMicros, Offset>,
}

impl Zones {
    /// Makes zones of the offsets that hold from the times given on.
    pub(crate) fn new(changes: impl IntoIterator<Item = (WallMicros, ZoneOffset)>) -> Self {
        let offset =
            |zone: ZoneOffset| Offset::from_seconds(i32::from(zone.minutes()) * 60).unwrap_or(Offset::UTC);
        let mut changes: BTreeMap<WallMicros, Offset> =
            changes.into_iter().map(|(from, zone)| (from, offset(zone))).collect();
        if changes.is_empty() {
            changes.insert(WallMicros(0), Offset::UTC);
        }
        Self { changes }
    }

    /// Makes zones that never change.
    pub(crate) fn fixed(zone: ZoneOffset) -> Self {
        Self::new([(WallMicros(0), zone)])
    }

    /// Makes the zones of a record: each bundle says its own. `utc` overrides them.
    pub(crate) fn of(ledger: &Ledger, utc: bool) -> Self {
        if utc {
            return Self::fixed(ZoneOffset::UTC);
        }
        Self::new(ledger.bundles.iter().map(|b| (b.entry.first, b.entry.zone)))
    }

    /// Makes the zones by which one row is shown: the client's offset when its fact was first known, or UTC.
    pub(crate) fn of_row(zone: ZoneOffset, utc: bool) -> Self {
        Self::fixed(if utc { ZoneOffset::UTC } else { zone })
    }

    /// Returns the offset that holds at `at`: that of the last change before, else of the first.
    pub(crate) fn offset(&self, at: WallMicros) -> Offset {
        let before = self.changes.range(..=at).next_back();
        before.or_else(|| self.changes.first_key_value()).map_or(Offset::UTC, |(_, offset)| *offset)
    }

    /// Returns every offset that ever holds, in the order of time, repeats included.
    pub(crate) fn all(&self) -> impl Iterator<Item = Offset> + '_ {
        self.changes.values().copied()
    }

    fn civil(&self, at: WallMicros) -> Option<(DateTime, Offset)> {
        let offset = self.offset(at);
        Timestamp::from_microsecond(at.0).ok().map(|t| (offset.to_datetime(t), offset))
    }

    /// Writes `2026-11-23 10:00:00.123456 +0100`.
    pub(crate) fn full(&self, at: WallMicros) -> String {
        self.civil(at).map_or_else(
            || at.to_string(),
            |(civil, offset)| format!("{} {}", civil.strftime("%Y-%m-%d %H:%M:%S%.6f"), zone_text(offset)),
        )
    }

    /// Writes `2026-11-23 10:00:00.123456`, without the zone.
    pub(crate) fn micros(&self, at: WallMicros) -> String {
        let text = |(civil, _): (DateTime, Offset)| civil.strftime("%Y-%m-%d %H:%M:%S%.6f").to_string();
        self.civil(at).map_or_else(|| at.to_string(), text)
    }

    /// Writes `2026-11-23T10:00:00.123456+01:00` (RFC 3339), for programs.
    pub(crate) fn rfc3339(&self, at: WallMicros) -> String {
        self.civil(at).map_or_else(
            || at.to_string(),
            |(civil, offset)| {
                let zone = zone_text(offset);
                format!("{}{}:{}", civil.strftime("%Y-%m-%dT%H:%M:%S%.6f"), &zone[..3], &zone[3..])
            },
        )
    }

    /// Writes `2026-11-23 10:00:00`, to the second, without the zone.
    pub(crate) fn second(&self, at: WallMicros) -> String {
        self.civil(at)
            .map_or_else(|| at.to_string(), |(civil, _)| civil.strftime("%Y-%m-%d %H:%M:%S").to_string())
    }

    /// Writes `10:00:00` where `at` is of the same day as `day`, else `2026-11-22`: 8 or 10 characters.
    pub(crate) fn short(&self, at: WallMicros, day: WallMicros) -> String {
        match (self.civil(at), self.civil(day)) {
            (Some((at, _)), Some((day, _))) if at.date() == day.date() => at.strftime("%H:%M:%S").to_string(),
            (Some((at, _)), _) => at.date().to_string(),
            _ => at.to_string(),
        }
    }
}

/// Writes `11-23 10:00:00` where `at` is of the same year as `now`, else with the year.
pub(crate) fn in_year(zones: &Zones, at: WallMicros, now: WallMicros) -> String {
    match (zones.civil(at), zones.civil(now)) {
        (Some((at, _)), Some((now, _))) if at.year() == now.year() => {
            at.strftime("%m-%d %H:%M:%S").to_string()
        }
        _ => zones.second(at),
    }
}

fn zone_text(offset: Offset) -> String {
    ZoneOffset::from_minutes(offset.seconds() / 60).unwrap_or_default().to_string()
}

/// Writes a length of time in the unit that suits it: `120 ms`, `4.5 s`, `12 min`, `3 h 20 min`, `4 d 2 h`.
pub(crate) fn length(micros: i64) -> String {
    let micros = micros.max(0);
    let (ms, s) = (micros / 1000, micros / 1_000_000);
    match s {
        0 if ms == 0 => format!("{micros} µs"),
        0 => format!("{ms} ms"),
        1..60 => format!("{}.{} s", s, ms % 1000 / 100),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        3600..86_400 => format!("{} h {} min", s / 3600, s % 3600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3600),
    }
}

/// Writes a length of time in at most six characters: `12 s`, `3 min`, `20 h`, `41 d`.
pub(crate) fn brief(micros: i64) -> String {
    let s = micros.max(0) / 1_000_000;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min", s / 60),
        3600..172_800 => format!("{} h", s / 3600),
        _ => format!("{} d", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_the_clients_zone() {
        let zones = Zones::fixed(ZoneOffset::parse("-0330").unwrap());
        let at = WallMicros(1_795_413_600_123_456);
        assert_eq!(zones.full(at), "2026-11-23 02:30:00.123456 -0330");
        assert_eq!(zones.second(at), "2026-11-23 02:30:00");
        assert_eq!(zones.rfc3339(at), "2026-11-23T02:30:00.123456-03:30");
        assert_eq!(in_year(&zones, at, at), "11-23 02:30:00");
        assert_eq!(in_year(&zones, at, at.plus(-366 * 86_400_000_000)), "2026-11-23 02:30:00");
        assert_eq!(zones.short(at, at), "02:30:00");
        assert_eq!(zones.short(at.plus(-7 * 3_600_000_000), at), "2026-11-22");
    }

    #[test]
    fn what_no_calendar_holds_is_shown_in_micros() {
        assert_eq!(Zones::fixed(ZoneOffset::UTC).full(WallMicros(i64::MAX)), "@9223372036854775807");
    }

    #[test]
    fn lengths() {
        for (micros, text) in [
            (7, "7 µs"),
            (120_000, "120 ms"),
            (4_560_000, "4.5 s"),
            (90_000_000, "1 min 30 s"),
            (12_000_000_000, "3 h 20 min"),
            (353_000_000_000, "4 d 2 h"),
        ] {
            assert_eq!(length(micros), text);
        }
    }
}
