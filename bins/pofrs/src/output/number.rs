//! Numbers for people: counts with their thousands apart, sizes in the unit that suits them.

/// Writes `1,234,567`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Writes `1 bundle`, `1,234 bundles`.
pub(crate) fn counted(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

/// Writes a count in at most six characters: `999`, `12.3k`, `1.2M`.
pub(crate) fn brief(n: u64) -> String {
    let mut unit = 1_u64;
    for name in ["", "k", "M", "G"] {
        if n < unit.saturating_mul(1000) || name == "G" {
            return if unit == 1 {
                n.to_string()
            } else {
                format!("{}.{}{name}", n / unit, n % unit / (unit / 10))
            };
        }
        unit *= 1000;
    }
    n.to_string()
}

/// Writes a size in powers of 1000: `999 B`, `1.2 kB`, `34.5 MB`.
pub(crate) fn bytes(n: u64) -> String {
    let mut unit = 1_u64;
    for name in ["B", "kB", "MB", "GB"] {
        if n < unit.saturating_mul(1000) {
            return tenths(n, unit, name);
        }
        unit = unit.saturating_mul(1000);
    }
    tenths(n, unit, "TB")
}

fn tenths(n: u64, unit: u64, name: &str) -> String {
    if unit == 1 { format!("{n} {name}") } else { format!("{}.{} {name}", n / unit, n % unit / (unit / 10)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_sizes() {
        assert_eq!([count(0), count(999), count(1000), count(1_234_567)], ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([counted(1, "row"), counted(2000, "row")], ["1 row", "2,000 rows"]);
        assert_eq!([bytes(999), bytes(1000), bytes(34_567_890)], ["999 B", "1.0 kB", "34.5 MB"]);
        assert_eq!([brief(999), brief(12_345), brief(1_234_567)], ["999", "12.3k", "1.2M"]);
        assert_eq!(bytes(u64::MAX), "18446744.0 TB");
    }
}
