//! Durations, sizes and shares as a person writes and reads them.

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

/// Reads `2%` or `0.5%` as a share of one core: 0.02, 0.005.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').and_then(|number| number.trim_end().parse::<f64>().ok());
    percent
        .filter(|percent| (0.01..=100_000.0).contains(percent))
        .map(|percent| percent / 100.0)
        .ok_or_else(|| "a share of one core is wanted, 0.01% or more, such as 2%".to_owned())
}

/// Writes a number of bytes: `812 B`, `3.1 KiB`, `256 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        if value < 1_024.0 {
            break;
        }
        (value, unit) = (value / 1_024.0, larger);
    }
    if value.fract() < 0.05 || value >= 100.0 {
        format!("{value:.0} {unit}")
    } else {
        format!("{value:.1} {unit}")
    }
}

/// Writes a span: `500 µs`, `300 ms`, `1.2 s`, `12 min`, `3 h 5 min`, `2 d 4 h`.
pub(crate) fn span(span: Duration) -> String {
    let (micros, seconds) = (span.as_micros(), span.as_secs());
    let tenths = |value: f64| (value * 10.0).round() / 10.0;
    match seconds {
        0 if micros == 0 => "0 s".to_owned(),
        0 if micros < 1_000 => format!("{micros} µs"),
        0 => format!("{} ms", tenths(micros as f64 / 1e3)),
        1..60 => format!("{} s", tenths(span.as_secs_f64())),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// Writes a share of a core: `0.42 %`, `12.3 %`.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent < 10.0 { format!("{percent:.2} %") } else { format!("{percent:.1} %") }
}

/// Writes a share that somebody has chosen: `2 %`, `0.5 %`.
pub(crate) fn limit(share: f64) -> String {
    format!("{} %", (share * 1e4).round() / 1e2)
}

/// Writes a count of things: `1 bundle`, `1,204 bundles`.
pub(crate) fn many(number: u64, thing: &str) -> String {
    let plural = match (number, thing.ends_with('s')) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{} {thing}{plural}", count(number))
}

/// Writes a count: `1,204`.
pub(crate) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
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
        assert_eq!((share("2%"), share("0.5 %")), (Ok(0.02), Ok(0.005)));
        assert!(["2", "0%", "-1%", "NaN%", "%", "x%"].iter().all(|bad| share(bad).is_err()));
    }

    #[test]
    fn what_is_written_can_be_read() {
        let written = [812, 3_200, 256 << 20, 1_500 << 20, u64::MAX].map(bytes);
        assert_eq!(written, ["812 B", "3.1 KiB", "256 MiB", "1.5 GiB", "16777216 TiB"]);
        let spans = [500, 300_000, 1_240_000, 750_000_000, 11_100_000_000, 187_200_000_000];
        let written = spans.map(|micros| span(Duration::from_micros(micros)));
        assert_eq!(written, ["500 µs", "300 ms", "1.2 s", "12 min", "3 h 5 min", "2 d 4 h"]);
        assert_eq!([1, 999, 1_000, 1_234_567].map(count), ["1", "999", "1,000", "1,234,567"]);
        assert_eq!([0.02, 0.005].map(limit), ["2 %", "0.5 %"]);
        assert_eq!([1, 2].map(|n| many(n, "process")), ["1 process", "2 processes"]);
        assert_eq!([0.004_2, 0.123].map(percent), ["0.42 %", "12.3 %"]);
    }
}
