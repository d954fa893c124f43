//! Moments as people write them on a command line, and what µs they mean on a client's clock.

use crate::output::when::Zones;
use jiff::{
    Timestamp, Zoned,
    civil::{Date, DateTime, Time},
    tz::{Offset, TimeZone},
};
use pofr_core::time::WallMicros;
use std::str::FromStr;

/// What is said of a time, for every help text.
pub(crate) const HELP: &str = "\
A TIME is one of
  2026-11-23T10:00:00Z             RFC 3339, with any offset and up to µs
  '2026-11-23 10:00' or 10:00:05   in the client's zone (in UTC with --utc); the latter is today
  -5m, -1h30m, -2d                 so long before now
  @1795413600000000                µs since 1970, as the database and JSON have it
  now";

/// Why a text is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum MomentError {
    /// It is none of the forms.
    #[error("not a time: give RFC 3339, 'YYYY-MM-DD hh:mm', hh:mm, -5m, @µs or now")]
    Form,
    /// Relative, but into the future or of no length.
    #[error("a relative time lies in the past: -5m, -1h30m, -2d")]
    NotPast,
    /// Beyond what can be stored.
    #[error("the time is out of range")]
    Range,
}

/// A moment as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Moment {
    /// A moment that needs no zone.
    Absolute(WallMicros),
    /// So long before now.
    Ago(jiff::SpanFieldwise),
    /// A date and a time of day in a zone that is not said.
    Local(DateTime),
    /// A time of day of today.
    Today(Time),
}

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, MomentError> {
        let text = text.trim();
        if text == "now" {
            return Ok(Self::Ago(jiff::Span::new().fieldwise()));
        }
        if let Some(micros) = text.strip_prefix('@') {
            let digits = !micros.is_empty() && micros.bytes().all(|b| b.is_ascii_digit());
            let micros = digits.then(|| micros.parse().map_err(|_| MomentError::Range));
            return micros.ok_or(MomentError::Form)?.map(|m| Self::Absolute(WallMicros(m)));
        }
        if text.starts_with(['-', '+']) {
            let span: jiff::Span = text.parse().map_err(|_| MomentError::Form)?;
            return if span.is_negative() {
                Ok(Self::Ago(span.fieldwise()))
            } else {
                Err(MomentError::NotPast)
            };
        }
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Self::Absolute(WallMicros(at.as_microsecond())));
        }
        // A civil time with an annotation such as [Europe/Oslo] would be read as if it had none.
        if !text.bytes().all(|b| b.is_ascii_digit() || b"-:. Tt".contains(&b)) {
            return Err(MomentError::Form);
        }
        if let Ok(date) = text.parse::<Date>()
            && text.len() == 10
        {
            return Ok(Self::Local(date.to_datetime(Time::midnight())));
        }
        if text.contains('-') {
            return text.parse().map(Self::Local).map_err(|_| MomentError::Form);
        }
        if !text.contains(':') {
            return Err(MomentError::Form);
        }
        text.parse().map(Self::Today).map_err(|_| MomentError::Form)
    }
}

impl Moment {
    /// Returns the moment in µs, by the zone that the record has there and the server's clock.
    pub(crate) fn resolve(&self, zones: &Zones, now: Timestamp) -> Result<WallMicros, MomentError> {
        let here = |at: Timestamp| {
            let offset = zones.offset(WallMicros(at.as_microsecond()));
            at.to_zoned(TimeZone::fixed(offset))
        };
        match self {
            Self::Absolute(at) => Ok(*at),
            Self::Ago(span) => {
                let then: Zoned = here(now).checked_add(span.0).map_err(|_| MomentError::Range)?;
                Ok(WallMicros(then.timestamp().as_microsecond()))
            }
            Self::Local(civil) => local(*civil, zones),
            Self::Today(time) => local(here(now).date().to_datetime(*time), zones),
        }
    }
}

/// Finds the moment at which the client's clock showed `civil`; the earlier one where the zone changed in between.
fn local(civil: DateTime, zones: &Zones) -> Result<WallMicros, MomentError> {
    let at = |offset: Offset| offset.to_timestamp(civil).map(|t| WallMicros(t.as_microsecond())).ok();
    let shown = zones.all().filter_map(|offset| at(offset).filter(|t| zones.offset(*t) == offset)).min();
    // In the hour that a clock skips, any offset is as good as the other.
    shown.or_else(|| zones.all().last().and_then(at)).ok_or(MomentError::Range)
}

#[cfg(test)]
#[path = "../../../fuzz/checks/moment.rs"]
mod hostile;

#[cfg(test)]
mod tests {
    use super::*;
    use pofr_core::time::ZoneOffset;

    fn now() -> Timestamp {
        "2026-11-23T10:00:00Z".parse().unwrap()
    }

    fn utc(text: &str) -> WallMicros {
        WallMicros(text.parse::<Timestamp>().unwrap().as_microsecond())
    }

    fn resolved(text: &str, zones: &Zones) -> WallMicros {
        text.parse::<Moment>().unwrap().resolve(zones, now()).unwrap()
    }

    #[test]
    fn every_form_is_read() {
        let oslo = Zones::fixed(ZoneOffset::parse("+0100").unwrap());
        for (text, is) in [
            ("2026-11-23T08:00:00Z", "2026-11-23T08:00:00Z"),
            ("2026-11-23T08:00:00.000007+02:00", "2026-11-23T06:00:00.000007Z"),
            ("2026-11-23 08:00:00-03:30", "2026-11-23T11:30:00Z"),
            ("2026-11-23T08:00", "2026-11-23T07:00:00Z"),
            ("2026-11-23 08:00:01.5", "2026-11-23T07:00:01.5Z"),
            ("2026-11-23", "2026-11-22T23:00:00Z"),
            ("08:00", "2026-11-23T07:00:00Z"),
            ("-5m", "2026-11-23T09:55:00Z"),
            ("-1h30m", "2026-11-23T08:30:00Z"),
            ("-2d", "2026-11-21T10:00:00Z"),
            ("-250ms", "2026-11-23T09:59:59.75Z"),
            ("now", "2026-11-23T10:00:00Z"),
        ] {
            assert_eq!(resolved(text, &oslo), utc(is), "{text}");
        }
        assert_eq!(resolved("@1795413600000007", &oslo), WallMicros(1_795_413_600_000_007));
    }

    #[test]
    fn nonsense_is_none() {
        for text in [
            "",
            "@",
            "@-5",
            "@1.5",
            "-",
            "-5",
            "5m",
            "yesterday",
            "2026-13-01",
            "2026-11-23 25:00",
            "10",
            "2026-11-23T10:00[Europe/Oslo]",
            "--client",
            "-5m ago",
            "@99999999999999999999",
        ] {
            assert!(text.parse::<Moment>().is_err(), "{text}: {:?}", text.parse::<Moment>());
        }
        assert_eq!("+5m".parse::<Moment>(), Err(MomentError::NotPast));
    }

    #[test]
    fn a_local_time_follows_the_clients_zone_through_the_year() {
        // Oslo until and from 2026-10-25T01:00Z.
        let change = utc("2026-10-25T01:00:00Z");
        let zone = |text| ZoneOffset::parse(text).unwrap();
        let zones = Zones::new([(WallMicros(0), zone("+0200")), (change, zone("+0100"))]);
        assert_eq!(resolved("2026-10-24 12:00", &zones), utc("2026-10-24T10:00:00Z"));
        assert_eq!(resolved("2026-10-25 12:00", &zones), utc("2026-10-25T11:00:00Z"));
        assert_eq!(resolved("2026-10-25 02:30", &zones), utc("2026-10-25T00:30:00Z"), "the earlier one");
    }

    #[test]
    fn anything_can_be_read() {
        pofr_tests::mutate::attack(18, &hostile::seeds(), 20_000, hostile::time);
    }
}
