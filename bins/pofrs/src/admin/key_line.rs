//! Lines of an authorised keys file (sshd(8)): each ends with a comment by which POFR knows it again.

use super::{file, plan::Step};
use anyhow::{Context as _, bail};
use std::path::{Path, PathBuf};

/// Puts a line into a file of authorised keys, or takes one out; other lines stay as they are.
pub(crate) struct KeyLine {
    path: PathBuf,
    /// The comment.
    tag: String,
    /// Options and key; `None` takes the line out.
    line: Option<String>,
    mode: u32,
    before: Option<Option<file::Found>>,
}

impl KeyLine {
    /// Puts it in, in place of the one with that tag.
    pub(crate) fn put(path: impl Into<PathBuf>, tag: impl Into<String>, line: String, mode: u32) -> Self {
        Self { path: path.into(), tag: tag.into(), line: Some(line), mode, before: None }
    }

    /// Takes it out.
    pub(crate) fn take_out(path: impl Into<PathBuf>, tag: impl Into<String>, mode: u32) -> Self {
        Self { path: path.into(), tag: tag.into(), line: None, mode, before: None }
    }

    fn new_text(&self, old: &str) -> String {
        let mut text = String::new();
        for line in old.lines().filter(|line| !has_tag(line, &self.tag)) {
            text = text + line + "\n";
        }
        if let Some(line) = &self.line {
            text = text + line + " " + &self.tag + "\n";
        }
        text
    }
}

fn has_tag(line: &str, tag: &str) -> bool {
    line.split_whitespace().next_back() == Some(tag)
}

fn text_of(path: &Path) -> anyhow::Result<(String, Option<file::Found>)> {
    let before = file::found(path)?;
    let text = before.as_ref().map_or(Ok(""), |(bytes, _)| std::str::from_utf8(bytes));
    let text = text.with_context(|| format!("{} is not UTF-8", path.display()))?.to_owned();
    Ok((text, before))
}

impl Step for KeyLine {
    fn says(&self) -> String {
        let (path, tag) = (self.path.display(), &self.tag);
        match self.line {
            Some(_) => format!("let key {tag} in: {path}"),
            None => format!("let key {tag} in no more: {path}"),
        }
    }

    fn shows(&self) -> Vec<String> {
        self.line.clone().into_iter().collect()
    }

    fn is_done(&self) -> anyhow::Result<bool> {
        let (text, _) = text_of(&self.path)?;
        let wanted = self.line.as_ref().map(|line| format!("{line} {}", self.tag));
        let mut found = text.lines().filter(|line| has_tag(line, &self.tag));
        Ok(found.next() == wanted.as_deref() && found.next().is_none())
    }

    fn act(&mut self) -> anyhow::Result<()> {
        let (text, before) = text_of(&self.path)?;
        let new = self.new_text(&text);
        self.before = Some(before);
        file::replace(&self.path, new.as_bytes(), self.mode)
    }

    fn undo(&mut self) -> anyhow::Result<()> {
        match self.before.take() {
            None => Ok(()),
            Some(before) => file::put_back(&self.path, before.as_ref()),
        }
    }
}

/// Writes the options before a key: nothing but this command.
pub(crate) fn options(command: &str) -> anyhow::Result<String> {
    if command.contains(['"', '\\', '\n']) {
        bail!("a forced command must hold no quotes: {command}");
    }
    Ok(format!("restrict,command=\"{command}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_and_goes_and_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        std::fs::write(&path, "# mine\nssh-ed25519 AAAA ann\n").unwrap();
        let put = |key: &str| KeyLine::put(&path, "pofr:x", format!("restrict ssh-ed25519 {key}"), 0o644);
        for key in ["B", "C"] {
            let mut step = put(key);
            assert!(!step.is_done().unwrap());
            step.act().unwrap();
            assert!(step.is_done().unwrap());
        }
        let read = || std::fs::read_to_string(&path).unwrap();
        assert_eq!(read(), "# mine\nssh-ed25519 AAAA ann\nrestrict ssh-ed25519 C pofr:x\n");
        let mut again = put("D");
        again.act().unwrap();
        again.undo().unwrap();
        assert!(read().contains(" C pofr:x"), "undone");
        let mut out = KeyLine::take_out(&path, "pofr:x", 0o644);
        out.act().unwrap();
        assert!(out.is_done().unwrap());
        assert_eq!(read(), "# mine\nssh-ed25519 AAAA ann\n");
        options("a\" b").unwrap_err();
    }
}
