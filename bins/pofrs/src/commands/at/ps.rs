//! Processes, as ps(1) would show them.

use super::{Page, People, Shown};
use crate::output::{
    fact,
    table::{Fit, Listing},
};
use pofr_core::{
    fact::{Cut, Fact, Process},
    raw::RawText,
    time::WallMicros,
};
use std::io::Write;

/// Prints the processes, the youngest last.
pub(crate) fn print(
    page: &Page<'_>,
    shown: &[Shown<'_>],
    people: &People,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let columns = [
        ("", Fit::Whole),
        ("PID", Fit::Number),
        ("PPID", Fit::Number),
        ("USER", Fit::Name(12)),
        ("STARTED", Fit::Whole),
        ("COMMAND", Fit::Text),
    ];
    let mut listing = Listing::new(page.screen, !page.wide, &columns);
    let mut rows: Vec<(Option<WallMicros>, u32, [String; 6])> = Vec::new();
    for shown in shown {
        let Fact::Process(process) = &shown.row.fact else { continue };
        let started = started(shown);
        let pid = process.key.entity.pid().0;
        let cells = [
            shown.mark(),
            pid.to_string(),
            process.key.ppid.to_string(),
            people.name(process.key.ids.euid),
            started.map_or_else(|| "-".to_owned(), |t| page.zones.short(t, page.at)),
            fact::ran(process),
        ];
        rows.push((started, pid, cells));
    }
    rows.sort();
    for (_, _, cells) in rows {
        listing.row(cells);
    }
    listing.print(out)?;
    Ok(())
}

/// Returns when the process started: as the kernel or an event tells; for v1, which tells nothing, nobody knows.
pub(crate) fn started(shown: &Shown<'_>) -> Option<WallMicros> {
    match &shown.row.fact {
        Fact::Process(process) => process.details.started.or(shown.row.life.began),
        _ => None,
    }
}

/// Writes a process as ps(1) does: its arguments, else its name in brackets. Arguments that were cut say so.
pub(crate) fn command(process: &Process) -> String {
    let name = process.key.comm.escaped();
    if process.key.zombie {
        return format!("{name} <defunct>");
    }
    match process.arguments().map(arguments) {
        Some(text) if !text.is_empty() => match &process.key.marks.arguments_cut {
            Some(cut) => format!("{text}{}", cut_mark(cut)),
            None => text,
        },
        _ => format!("[{name}]"),
    }
}

/// Says what was cut.
pub(crate) fn cut_mark(cut: &Cut) -> String {
    let sha256 = cut.sha256.map(|sha256| format!(", sha256 {sha256}")).unwrap_or_default();
    format!("… (cut: {} bytes{sha256})", cut.bytes)
}

/// Writes an argument vector with blanks between; an argument that has blanks itself, or nothing, is put in quotes.
fn arguments(vector: &RawText) -> String {
    let bytes = vector.as_bytes();
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    if bytes.is_empty() {
        return String::new();
    }
    let one = |argument: &[u8]| {
        let text = RawText::from(argument).escaped();
        if argument.is_empty() || argument.contains(&b' ') { format!("'{text}'") } else { text }
    };
    bytes.split(|b| *b == 0).map(one).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_is_said() {
        let sha256 = Some(pofr_core::digest::Sha256([0xab; 32]));
        assert_eq!(cut_mark(&Cut { bytes: 9_437_184, sha256: None }), "… (cut: 9437184 bytes)");
        let whole = format!("… (cut: 7 bytes, sha256 {})", "ab".repeat(32));
        assert_eq!(cut_mark(&Cut { bytes: 7, sha256 }), whole);
    }

    #[test]
    fn arguments_keep_their_borders() {
        for (bytes, text) in [
            (&b"sh\0-c\0echo a b\0"[..], "sh -c 'echo a b'"),
            (b"a\0\0b\0", "a '' b"),
            (b"a\nb\0\xff\0", "a\\nb \\xff"),
            (b"no nul at the end", "'no nul at the end'"),
            (b"\0", ""),
            (b"", ""),
        ] {
            assert_eq!(arguments(&RawText::from(bytes)), text);
        }
    }
}
