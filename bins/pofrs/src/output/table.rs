//! Tables: as wide as the terminal, 80 columns where there is none, with nothing in them that could move a cursor.

use comfy_table::{
    Attribute, Cell, CellAlignment, ColumnConstraint, ContentArrangement, Row, Table, Width, presets,
};
use pofr_core::raw::RawText;
use std::io::{self, IsTerminal, Write};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// The width where there is no terminal to ask.
const PLAIN_WIDTH: u16 = 80;

/// What the output goes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    /// Characters in a line.
    pub(crate) width: u16,
    /// Whether it may be coloured: a terminal, and `NO_COLOR` is not set (no-color.org).
    pub(crate) colour: bool,
}

impl Screen {
    /// Looks at what standard output is.
    pub(crate) fn detect() -> Self {
        let stdout = io::stdout();
        if !stdout.is_terminal() {
            return Self { width: PLAIN_WIDTH, colour: false };
        }
        let width = rustix::termios::tcgetwinsize(&stdout).map_or(0, |size| size.ws_col);
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        Self { width: if width < 40 { PLAIN_WIDTH } else { width }, colour: !plain }
    }
}

/// How a column takes what is too long for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It never is: ids, times.
    Whole,
    /// The same, and flush right: numbers.
    Number,
    /// Goes on in the next line, or is cut where the table keeps to single lines.
    Text,
    /// Is cut after so many characters: names that a client chose.
    Name(u16),
}

/// A table being made.
#[derive(Debug)]
pub(crate) struct Listing {
    table: Table,
    fits: Vec<Fit>,
    single_lines: bool,
}

impl Listing {
    /// Begins a table with these columns; `single_lines` cuts what does not fit in one line.
    pub(crate) fn new(screen: Screen, single_lines: bool, columns: &[(&str, Fit)]) -> Self {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(screen.width).set_truncation_indicator("…");
        if screen.colour {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        table.set_header(columns.iter().map(|(title, fit)| {
            let cell = align(Cell::new(title), *fit);
            if screen.colour { cell.add_attribute(Attribute::Bold) } else { cell }
        }));
        for (i, (_, fit)) in columns.iter().enumerate() {
            if let Some(column) = table.column_mut(i) {
                column.set_padding((0, 1));
                match fit {
                    Fit::Whole | Fit::Number => {
                        column.set_constraint(ColumnConstraint::ContentWidth);
                    }
                    Fit::Name(width) => {
                        column.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(width + 1)));
                    }
                    Fit::Text => {}
                }
            }
        }
        Self { table, fits: columns.iter().map(|(_, fit)| *fit).collect(), single_lines }
    }

    /// Adds a row. Every cell is escaped here once more, so that no caller can forget it.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter().zip(&self.fits).map(|(text, fit)| {
            let mut text = RawText::from(text.as_str()).escaped();
            if let Fit::Name(width) = fit {
                cut(&mut text, usize::from(*width));
            }
            align(Cell::new(text), *fit)
        });
        let mut row = Row::from(cells.collect::<Vec<_>>());
        if self.single_lines {
            row.max_height(1);
        }
        self.table.add_row(row);
    }

    /// Writes the table, without blanks at the ends of lines.
    pub(crate) fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        for line in self.table.lines() {
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

fn align(cell: Cell, fit: Fit) -> Cell {
    cell.set_alignment(if fit == Fit::Number { CellAlignment::Right } else { CellAlignment::Left })
}

/// Cuts a text to `width` columns, the last of which then says that it was cut.
pub(crate) fn cut(text: &mut String, width: usize) {
    if text.width() <= width {
        return;
    }
    let mut used = 1;
    let fits = |(_, c): &(usize, char)| {
        used += c.width().unwrap_or(0);
        used > width
    };
    let keep = text.char_indices().find(fits).map_or(0, |(i, _)| i);
    text.truncate(keep);
    text.push('…');
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: [&[u8]; 5] = [
        b"it's; DROP TABLE x--",
        b"\x1b[2J\x1b]0;owned\x07",
        b"a\nb\tc\r",
        b"\xff\xfe",
        "\u{202e}gnp.exe \u{4e16}\u{754c}\u{4e16}\u{754c}".as_bytes(),
    ];

    fn printed(single_lines: bool, width: u16) -> String {
        let screen = Screen { width, colour: false };
        let columns =
            [("PID", Fit::Number), ("NAME", Fit::Name(15)), ("STATE", Fit::Whole), ("PATH", Fit::Text)];
        let mut listing = Listing::new(screen, single_lines, &columns);
        for (i, name) in HOSTILE.into_iter().enumerate() {
            let name = RawText::from(name).escaped();
            let path = format!("/{}", name.repeat(20));
            listing.row([i.to_string(), name, "ESTAB".to_owned(), path]);
        }
        let mut out = Vec::new();
        listing.print(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn hostile_names_stay_in_their_80_columns() {
        for single_lines in [true, false] {
            let text = printed(single_lines, 80);
            for line in text.lines() {
                assert!(line.width() <= 80, "{line}");
            }
            assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
            assert!(!text.contains('\u{202e}'), "{text}");
            assert!(text.starts_with("PID NAME"), "{text}");
            if single_lines {
                assert_eq!(text.lines().count(), 1 + HOSTILE.len(), "{text}");
            }
        }
    }

    #[test]
    fn cutting_counts_columns() {
        for (text, width, cut_to) in
            [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("\u{4e16}\u{754c}", 3, "\u{4e16}…"), ("ab", 1, "…")]
        {
            let mut text = text.to_owned();
            cut(&mut text, width);
            assert_eq!(text, cut_to);
        }
    }

    #[test]
    fn what_wraps_is_whole() {
        let text: String = printed(false, 80).split_whitespace().collect();
        assert!(text.contains("TABLEx--"), "{text}");
    }

    #[test]
    fn an_escape_that_a_caller_forgot_is_made_up_for() {
        let mut listing = Listing::new(Screen { width: 80, colour: false }, true, &[("NAME", Fit::Text)]);
        listing.row(["\x1b[31m".to_owned()]);
        let mut out = Vec::new();
        listing.print(&mut out).unwrap();
        assert_eq!(out, b"NAME\n\\x1b[31m\n");
    }
}
