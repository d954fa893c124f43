//! The list of the cases that a server has made: each names the one before.

use super::{CaseError, Previous, fail};
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// Below the data directory: one JSON object a line.
const NAME: &str = "cases.ndjson";

/// A line of it.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    number: u64,
    created: i64,
    title: String,
    sums: String,
}

/// The list, locked as long as this lives, so that no two cases follow the same one.
#[derive(Debug)]
pub struct CaseLog {
    path: PathBuf,
    file: File,
    previous: Option<Previous>,
}

impl CaseLog {
    /// Opens the list of a data directory, and waits for whoever makes a case.
    ///
    /// # Errors
    /// [`CaseError::Io`].
    pub fn open(data_dir: &Path) -> Result<Self, CaseError> {
        let path = data_dir.join(NAME);
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(fail("open", &path))?;
        file.lock().map_err(fail("lock", &path))?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(fail("read", &path))?;
        // A line that was cut off by a crash is of a case that was never finished.
        let last = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()).next_back();
        let previous = last.map(|line| Previous { number: line.number, sums: line.sums });
        Ok(Self { path, file, previous })
    }

    /// Returns the case that was made last.
    #[must_use]
    pub fn previous(&self) -> Option<&Previous> {
        self.previous.as_ref()
    }

    /// Returns the number of the next case.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.previous.as_ref().map_or(1, |previous| previous.number.saturating_add(1))
    }

    /// Adds a case that was made.
    ///
    /// # Errors
    /// [`CaseError::Io`].
    pub fn add(mut self, created: i64, title: &str, sums: String) -> Result<(), CaseError> {
        let line = Line { number: self.next(), created, title: title.to_owned(), sums };
        let mut text = serde_json::to_vec(&line).unwrap_or_default();
        text.push(b'\n');
        // One write, so that a line is there or is not.
        self.file.write_all(&text).and_then(|()| self.file.sync_all()).map_err(fail("write", &self.path))
    }
}
