//! Lengths of time as people write them, and policies that have one in them.

use pofr_ingest::service::Keep;

/// Reads `30s`, `10m`, `2h`, `90d` or `4w`; returns µs.
pub(crate) fn length(text: &str) -> Result<i64, String> {
    let bad = || format!("{text:?} is no length of time: give 30s, 10m, 2h, 90d or 4w");
    let unit = text.chars().last().ok_or_else(bad)?;
    let seconds: i64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Err(bad()),
    };
    let number = &text[..text.len() - 1];
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let number: i64 = digits.then(|| number.parse().ok()).flatten().ok_or_else(bad)?;
    number.checked_mul(seconds * 1_000_000).ok_or_else(bad)
}

/// Reads how long bundles are kept.
pub(crate) fn keep(text: &str) -> Result<Keep, String> {
    match text {
        "no" => Ok(Keep::No),
        "forever" => Ok(Keep::Forever),
        other => length(other).map(Keep::For).map_err(|_| {
            format!("{text:?} says not how long bundles are kept: give forever, no, or a time such as 90d")
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_policies() {
        assert_eq!(length("10m"), Ok(600_000_000));
        assert_eq!(keep("4w"), Ok(Keep::For(28 * 86_400_000_000)));
        assert_eq!((keep("no"), keep("forever")), (Ok(Keep::No), Ok(Keep::Forever)));
        for bad in ["", "m", "10", "-1d", "1.5h", "99999999999999d", "1 d"] {
            length(bad).unwrap_err();
            keep(bad).unwrap_err();
        }
    }
}
