//! CSV (RFC 4180), for spreadsheets and for programs.
//!
//! A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula, and formulas can start programs and send
//! data away. What a client's programs chose (names, arguments, paths) is therefore defused as OWASP's "CSV Injection" says: a
//! quote in front. Programs that want the bytes take JSON.

use pofr_core::raw::RawText;
use std::io::{self, Write};

/// What a cell may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    /// A text, from wherever: escaped and defused.
    Text(String),
    /// A number of ours.
    Number(i64),
    /// Yes or no: 1 or 0.
    Flag(bool),
    /// Not known.
    Empty,
}

impl From<&RawText> for Cell {
    fn from(text: &RawText) -> Self {
        Self::Text(text.escaped())
    }
}
impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
impl From<u32> for Cell {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}
impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(cell: Option<T>) -> Self {
        cell.map_or(Self::Empty, Into::into)
    }
}

impl Cell {
    fn written(&self) -> String {
        match self {
            Self::Text(text) => defused(RawText::from(text.as_str()).escaped()),
            Self::Number(number) => number.to_string(),
            Self::Flag(flag) => u8::from(*flag).to_string(),
            Self::Empty => String::new(),
        }
    }
}

/// Writes one line: the names of the columns, or a row with a cell for each of them.
pub(crate) fn line(out: &mut dyn Write, cells: impl IntoIterator<Item = Cell>) -> io::Result<()> {
    let mut writer = csv::WriterBuilder::new().buffer_capacity(1024).from_writer(out);
    writer.write_record(cells.into_iter().map(|cell| cell.written()))?;
    writer.flush()
}

/// Puts a quote before what a spreadsheet would run. Full-width forms of the signs count too: some read them as the plain ones.
fn defused(mut text: String) -> String {
    let first = text.chars().find(|c| !c.is_whitespace());
    if matches!(
        first,
        Some('=' | '+' | '-' | '@' | '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}' | '|' | '%')
    ) {
        text.insert(0, '\'');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(cells: &[&[u8]]) -> String {
        let mut out = Vec::new();
        line(&mut out, ["a".into(), "b".into()]).unwrap();
        for pair in cells.chunks(2) {
            line(&mut out, pair.iter().map(|bytes| Cell::from(&RawText::from(*bytes)))).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn formulas_are_defused() {
        let formulas: [&[u8]; 10] = [
            b"=HYPERLINK(\"http://x\")",
            b"+1",
            b"-2+3",
            b"@SUM(A1)",
            b"\t=1",
            b"\r=1",
            b"  =1",
            "\u{ff1d}1".as_bytes(),
            b"|cmd",
            b"\n@x",
        ];
        let text = written(&formulas);
        let cells = csv::ReaderBuilder::new().from_reader(text.as_bytes()).into_records();
        let cells: Vec<String> =
            cells.flat_map(|record| record.unwrap().iter().map(str::to_owned).collect::<Vec<_>>()).collect();
        assert_eq!(cells.len(), formulas.len());
        for cell in cells {
            // Tabs and line ends are shown as escapes, with which no formula begins.
            assert!(cell.starts_with('\'') || cell.starts_with('\\'), "{cell}");
        }
    }

    #[test]
    fn quotes_commas_and_lines_stay_in_their_cell() {
        let text = written(&[b"a,b", b"it \"is\"", b"two\nlines", b"\xff\x1b[31m"]);
        assert_eq!(text, "a,b\n\"a,b\",\"it \"\"is\"\"\"\ntwo\\nlines,\\xff\\x1b[31m\n");
    }

    #[test]
    fn our_own_numbers_are_numbers() {
        let cells = [Cell::Number(-5), Cell::Flag(true), Cell::from(None::<u32>), Cell::from(7_u32)];
        assert_eq!(cells.map(|cell| cell.written()), ["-5", "1", "", "7"]);
    }
}
