//! Durations and sizes as a person writes them.

use std::time::Duration;

/// Reads `30s`, `100ms`, `500us`, `2m`, `1h`, `1d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let micros = match unit {
        "us" | "µs" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" | "min" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return Err("a number with us, ms, s, m, h or d is wanted, such as 100ms".to_owned()),
    };
    let total = number.ok_or("the number is missing or too large")?.checked_mul(micros);
    total.map(Duration::from_micros).ok_or_else(|| "too long".to_owned())
}

/// Reads `1048576`, `64KiB`, `512MiB`, `2GiB`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let shift = match unit {
        "" | "B" => 0,
        "KiB" | "K" => 10,
        "MiB" | "M" => 20,
        "GiB" | "G" => 30,
        _ => return Err("a number of bytes is wanted, also with KiB, MiB or GiB, such as 512MiB".to_owned()),
    };
    number
        .ok_or("the number is missing or too large")?
        .checked_mul(1 << shift)
        .ok_or_else(|| "too large".to_owned())
}

fn split(text: &str) -> (Option<u64>, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (text[..digits].parse().ok(), text[digits..].trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_asked_for() {
        for (text, micros) in [("500us", 500), ("100ms", 100_000), ("30s", 30_000_000), ("2m", 120_000_000)] {
            assert_eq!(duration(text), Ok(Duration::from_micros(micros)), "{text}");
        }
        for bad in ["", "5", "s", "-1s", "1.5s", "1 fortnight", "99999999999999999999s", "9999999999999999d"]
        {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert_eq!((size("64KiB"), size("7")), (Ok(65_536), Ok(7)));
        assert!(size("99999999999GiB").is_err() && size("x").is_err());
    }
}
