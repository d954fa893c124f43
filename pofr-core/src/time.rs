//! Times and zones, with their units in the type.

use serde::Serialize;
use std::fmt;

/// Microseconds since 1970-01-01 UTC on a run's clock: wall clock at the run's start, advanced by
/// `CLOCK_BOOTTIME` (clock_gettime(2)), so that it never jumps within a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct WallMicros(pub i64);

impl WallMicros {
    /// Returns the time `micros` later.
    #[must_use]
    pub const fn plus(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Returns the microseconds from `earlier` to `self`; negative where `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for WallMicros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}

/// A zone's offset from UTC in minutes east; prints as `+hhmm`, the way bundle names carry it.
///
/// Range: -24:00 to +24:00, exclusive (strftime(3) `%z`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ZoneOffset(i16);

impl ZoneOffset {
    /// UTC.
    pub const UTC: Self = Self(0);

    /// Makes an offset of `minutes` east of UTC; `None` outside ±1439.
    #[must_use]
    pub const fn from_minutes(minutes: i32) -> Option<Self> {
        if minutes.abs() < 24 * 60 { Some(Self(minutes as i16)) } else { None }
    }

    /// Returns the minutes east of UTC.
    #[must_use]
    pub const fn minutes(self) -> i16 {
        self.0
    }

    /// Reads `+hhmm` or `-hhmm`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (sign, digits) = match text.as_bytes() {
            [b'+', rest @ ..] => (1, rest),
            [b'-', rest @ ..] => (-1, rest),
            _ => return None,
        };
        if digits.len() != 4 || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let n = |i: usize| i32::from(digits[i] - b'0') * 10 + i32::from(digits[i + 1] - b'0');
        let (hours, minutes) = (n(0), n(2));
        (minutes < 60).then(|| Self::from_minutes(sign * (hours * 60 + minutes)))?
    }
}

impl fmt::Display for ZoneOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { '-' } else { '+' };
        write!(f, "{sign}{:02}{:02}", self.0.abs() / 60, self.0.abs() % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zone_text_and_back() {
        for text in ["+0000", "-0330", "+1245", "-2359"] {
            assert_eq!(ZoneOffset::parse(text).unwrap().to_string(), text);
        }
        for bad in ["0000", "+00", "+0060", "+2400", "+00000", "+0é0", ""] {
            assert_eq!(ZoneOffset::parse(bad), None, "{bad}");
        }
    }
}
