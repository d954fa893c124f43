//! Writing HTML: text goes in through one door, which lets nothing through that a browser would take for more than text.

use pofr_core::raw::RawText;
use std::fmt::{self, Display};

/// A text that may stand in an element or in a quoted attribute: control characters and what reorders text escaped as
/// everywhere, then HTML's own five.
pub(super) struct Text<T>(pub(super) T);

impl<T: Display> Display for Text<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in RawText::from(self.0.to_string().as_str()).escaped().chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}

/// Cuts a text to so many characters.
pub(super) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_its_place() {
        let hostile = "</script><svg onload='x(\"y\")'>&\u{1b}[2J\u{202e}";
        let text = Text(hostile).to_string();
        assert!(!text.contains(['<', '>', '"', '\'', '\u{1b}', '\u{202e}']), "{text}");
        assert!(text.starts_with("&lt;/script&gt;") && text.contains("&amp;\\x1b[2J"), "{text}");
    }
}
