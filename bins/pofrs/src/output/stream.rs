//! Tables that are printed while they are still being found: nobody waits for the last row to see the first, and memory does
//! not grow with them.
//!
//! The first rows say how wide the columns are; what comes later keeps to that, or, where it is an id or a time, pushes its own
//! line aside.

use super::table::{Fit, Screen, cut};
use pofr_core::raw::RawText;
use std::{
    io::{self, Write},
    time::{Duration, Instant},
};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// How many rows decide about the widths.
const FIRST: usize = 200;
/// How long the first row waits for others.
const PATIENCE: Duration = Duration::from_millis(400);
/// Narrower than this, no text can be read.
const NARROWEST: usize = 8;

/// A line of a table.
enum Line {
    Row(Vec<String>),
    /// A remark on the row above it, across the columns.
    Note(String),
}

/// A table being printed.
pub(crate) struct Stream {
    screen: Screen,
    columns: Vec<(&'static str, Fit)>,
    /// Whether what is too long for its column is cut, not wrapped.
    single_lines: bool,
    waiting: Vec<Line>,
    since: Option<Instant>,
    widths: Option<Vec<usize>>,
}

impl Stream {
    /// Begins a table.
    pub(crate) fn new(screen: Screen, single_lines: bool, columns: Vec<(&'static str, Fit)>) -> Self {
        Self { screen, columns, single_lines, waiting: Vec::new(), since: None, widths: None }
    }

    /// Adds a row, one cell for each column. Every cell is escaped here once more, so that no caller can forget it.
    pub(crate) fn row(&mut self, cells: Vec<String>, out: &mut dyn Write) -> io::Result<()> {
        let cells = cells.iter().zip(&self.columns).map(|(text, (_, fit))| {
            let mut text = RawText::from(text.as_str()).escaped();
            if let Fit::Name(width) = fit
                && self.single_lines
            {
                cut(&mut text, usize::from(*width));
            }
            text
        });
        let line = Line::Row(cells.collect());
        self.push(line, out)
    }

    /// Adds a remark on the row before.
    pub(crate) fn note(&mut self, text: &str, out: &mut dyn Write) -> io::Result<()> {
        self.push(Line::Note(RawText::from(text).escaped()), out)
    }

    /// Prints what waits where it has waited long enough.
    pub(crate) fn tick(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let long = self.since.is_some_and(|since| since.elapsed() >= PATIENCE);
        if long { self.flush(out) } else { Ok(()) }
    }

    /// Prints what waits.
    pub(crate) fn flush(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.since = None;
        if self.waiting.is_empty() {
            return Ok(());
        }
        let lines = std::mem::take(&mut self.waiting);
        let widths = match self.widths.take() {
            Some(widths) => widths,
            None => {
                let widths = self.measure(&lines);
                let titles: Vec<String> = self.columns.iter().map(|(title, _)| (*title).to_owned()).collect();
                let bold = if self.screen.colour { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
                self.print(&titles, &widths, bold, out)?;
                widths
            }
        };
        for line in &lines {
            match line {
                Line::Row(cells) => self.print(cells, &widths, ("", ""), out)?,
                Line::Note(text) => {
                    let room = usize::from(self.screen.width).saturating_sub(2).max(NARROWEST);
                    for part in wrapped(text, room) {
                        writeln!(out, "  {part}")?;
                    }
                }
            }
        }
        self.widths = Some(widths);
        out.flush()
    }

    fn push(&mut self, line: Line, out: &mut dyn Write) -> io::Result<()> {
        self.waiting.push(line);
        let since = *self.since.get_or_insert_with(Instant::now);
        if self.waiting.len() >= FIRST || since.elapsed() >= PATIENCE { self.flush(out) } else { Ok(()) }
    }

    /// Gives each column what it wants, and where that is too much, takes it from the texts, the widest first.
    fn measure(&self, lines: &[Line]) -> Vec<usize> {
        let mut widths: Vec<usize> = self.columns.iter().map(|(title, _)| title.width()).collect();
        for line in lines {
            if let Line::Row(cells) = line {
                for (width, cell) in widths.iter_mut().zip(cells) {
                    *width = (*width).max(cell.width());
                }
            }
        }
        let room = usize::from(self.screen.width).saturating_sub(widths.len().saturating_sub(1));
        let wanted = widths.iter().sum::<usize>();
        if let (Some(last), Some((_, Fit::Text))) = (widths.last_mut(), self.columns.last()) {
            // What comes later may be longer, and nothing stands beside it.
            *last += room.saturating_sub(wanted);
        }
        let mut over = wanted.saturating_sub(room);
        while over > 0 {
            let texts = self.columns.iter().enumerate().filter(|(_, (_, fit))| *fit == Fit::Text);
            let widest = texts.max_by_key(|(i, _)| (widths[*i], *i)).map(|(i, _)| i);
            match widest {
                Some(i) if widths[i] > NARROWEST => {
                    widths[i] -= 1;
                    over -= 1;
                }
                _ => break,
            }
        }
        widths
    }

    fn print(
        &self,
        cells: &[String],
        widths: &[usize],
        (on, off): (&str, &str),
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let parts: Vec<Vec<String>> = cells
            .iter()
            .zip(&self.columns)
            .zip(widths)
            .map(|((cell, (_, fit)), width)| match fit {
                Fit::Text if self.single_lines => {
                    let mut cell = cell.clone();
                    cut(&mut cell, *width);
                    vec![cell]
                }
                Fit::Text => wrapped(cell, *width),
                _ => vec![cell.clone()],
            })
            .collect();
        let height = parts.iter().map(Vec::len).max().unwrap_or(0);
        for i in 0..height {
            let mut line = String::new();
            for ((part, (_, fit)), width) in parts.iter().zip(&self.columns).zip(widths) {
                let text = part.get(i).map_or("", String::as_str);
                let blanks = " ".repeat(width.saturating_sub(text.width()));
                if *fit == Fit::Number {
                    line = line + &blanks + text + " ";
                } else {
                    line = line + text + &blanks + " ";
                }
            }
            writeln!(out, "{on}{}{off}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Cuts a text into pieces of at most `width` columns, after a blank where there is one in the latter half.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while rest.width() > width {
        let mut used = 0;
        let too_far = |(_, c): &(usize, char)| {
            used += c.width().unwrap_or(0);
            used > width
        };
        // A character that alone is wider than the column still goes somewhere.
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let end = rest.char_indices().find(too_far).map_or(rest.len(), |(i, _)| i).max(first);
        let end = match rest[..end].rfind(' ') {
            _ if rest[end..].starts_with(' ') => end + 1,
            Some(blank) if blank >= end / 2 => blank + 1,
            _ => end,
        };
        pieces.push(rest[..end].trim_end().to_owned());
        rest = &rest[end..];
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(rest.to_owned());
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<(&'static str, Fit)> {
        vec![("FROM", Fit::Whole), ("PID", Fit::Number), ("USER", Fit::Name(9)), ("COMMAND", Fit::Text)]
    }

    fn printed(single_lines: bool, rows: &[[&str; 4]]) -> String {
        let mut stream = Stream::new(Screen { width: 80, colour: false }, single_lines, columns());
        let mut out = Vec::new();
        for row in rows {
            stream.row(row.iter().map(|cell| (*cell).to_owned()).collect(), &mut out).unwrap();
        }
        stream.note("… a gap", &mut out).unwrap();
        stream.flush(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let text = printed(true, &[["10:00:00", "812", "ann", "vi notes"], ["10:00:01", "7", "root", "sh"]]);
        assert_eq!(
            text,
            "FROM     PID USER COMMAND\n10:00:00 812 ann  vi notes\n10:00:01   7 root sh\n  … a gap\n"
        );
    }

    #[test]
    fn hostile_texts_keep_to_80_columns() {
        let long = "x\x1b[2J\n\u{202e} ".repeat(40);
        for single_lines in [true, false] {
            let text = printed(single_lines, &[["10:00:00", "812", "ann", &long]; 3]);
            assert!(text.lines().all(|line| line.width() <= 80), "{text}");
            assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
            assert_eq!(text.matches("\\x1b[2J").count() >= 100, !single_lines, "{text}");
        }
    }

    #[test]
    fn what_wraps_is_whole() {
        for (text, width, pieces) in [
            ("aaa bbb ccc", 7, &["aaa bbb", "ccc"][..]),
            ("aaaabbbb", 4, &["aaaa", "bbbb"]),
            ("\u{4e16}\u{754c}", 1, &["\u{4e16}", "\u{754c}"]),
            ("", 4, &[""]),
        ] {
            assert_eq!(wrapped(text, width), pieces, "{text}");
        }
    }

    #[test]
    fn the_first_rows_decide() {
        let mut stream = Stream::new(Screen { width: 80, colour: false }, true, columns());
        let mut out = Vec::new();
        let row = |command: &str| vec!["10:00:00".into(), "1".into(), "ann".into(), command.to_owned()];
        for _ in 0..FIRST {
            stream.row(row("sh"), &mut out).unwrap();
        }
        assert!(!out.is_empty(), "they are printed before the last has come");
        stream.row(row("longer than sh"), &mut out).unwrap();
        stream.flush(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 1 + FIRST + 1);
    }
}
