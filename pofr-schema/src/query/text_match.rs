//! Patterns over bytes: names, paths and arguments are bytes, so patterns are, too.

use pofr_core::raw::RawText;
use regex::bytes::{Regex, RegexBuilder};

/// How large a compiled pattern may grow, bytes.
const SIZE: usize = 1 << 20;

/// What a text must be like. Upper and lower case differ, unless a regular expression begins with `(?i)`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TextMatch {
    /// Exactly this.
    Is(RawText),
    /// This somewhere in it.
    Contains(RawText),
    /// A shell's pattern that fits all of it: `*` any bytes, `/` too, `?` one, `[a-z]`, `{a,b}`, `\` before a character that is
    /// meant.
    Glob(Regex),
    /// A regular expression that fits somewhere in it.
    Regex(Regex),
}

/// A pattern that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{pattern:?} is no {what}: {cause}")]
pub struct BadPattern {
    what: &'static str,
    pattern: String,
    cause: Box<dyn std::error::Error + Send + Sync>,
}

impl TextMatch {
    /// Reads a shell's pattern.
    ///
    /// # Errors
    /// Where it is none.
    pub fn glob(pattern: &str) -> Result<Self, BadPattern> {
        let bad = |cause| BadPattern { what: "shell pattern", pattern: pattern.to_owned(), cause };
        let glob = globset::GlobBuilder::new(pattern)
            .literal_separator(false)
            .backslash_escape(true)
            .build()
            .map_err(|cause| bad(cause.into()))?;
        compile(glob.regex()).map(Self::Glob).map_err(|cause| bad(cause.into()))
    }

    /// Reads a regular expression, as the crate `regex` has them.
    ///
    /// # Errors
    /// Where it is none, or takes more than a megabyte.
    pub fn regex(pattern: &str) -> Result<Self, BadPattern> {
        compile(pattern).map(Self::Regex).map_err(|cause| BadPattern {
            what: "regular expression",
            pattern: pattern.to_owned(),
            cause: cause.into(),
        })
    }

    /// Tells whether a text is like that.
    #[must_use]
    pub fn fits(&self, text: &[u8]) -> bool {
        match self {
            Self::Is(wanted) => wanted.as_bytes() == text,
            Self::Contains(part) => contains(text, part.as_bytes()),
            Self::Glob(regex) | Self::Regex(regex) => regex.is_match(text),
        }
    }

    /// Returns the one text that fits, where there is no other.
    #[must_use]
    pub const fn only(&self) -> Option<&RawText> {
        match self {
            Self::Is(text) => Some(text),
            _ => None,
        }
    }
}

fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    // A name may hold line ends: with one it must not slip through.
    RegexBuilder::new(pattern).size_limit(SIZE).dot_matches_new_line(true).build()
}

/// Tells whether `part` lies somewhere in `text`.
fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_over_bytes() {
        let glob = TextMatch::glob("/usr/*/\u{e9}?[ab]").unwrap();
        assert!(glob.fits("/usr/x/y/\u{e9}zb".as_bytes()));
        assert!(!glob.fits("/usr/x/y/\u{e9}zbb".as_bytes()));
        assert!(TextMatch::glob("*.conf").unwrap().fits(b"/etc/\xff\n.conf"));
        assert!(TextMatch::regex(r"^nmap\x00-P0(?-u:\xff)").unwrap().fits(b"nmap\0-P0\xff10.0.0.1"));
        assert!(TextMatch::Contains("P0".into()).fits(b"nmap\0-P0"));
        assert!(!TextMatch::Contains("P0 ".into()).fits(b"nmap\0-P0"));
        assert!(TextMatch::Is("a".into()).fits(b"a") && !TextMatch::Is("a".into()).fits(b"A"));
        assert!(TextMatch::glob("[").is_err() && TextMatch::regex("(").is_err());
        assert!(TextMatch::regex(r"\w{1000}{1000}").is_err(), "too large");
    }
}
