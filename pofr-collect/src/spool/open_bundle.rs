//! The open bundle: a file that grows by whole zstd frames.

use pofr_core::{
    record::Record,
    wire::v2::{Encoder, Header, WireError},
};
use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// No record waits longer than this to be written, but for what the machine delays.
const PATIENCE: Duration = Duration::from_millis(900);
/// So many bytes, before compression, do not wait.
const FRAME_BYTES: usize = 4 << 20;

/// A bundle that is being written.
#[derive(Debug)]
pub(super) struct OpenBundle {
    pub(super) header: Header,
    pub(super) path: PathBuf,
    encoder: Encoder,
    file: File,
    /// Bytes in the file that are whole frames.
    pub(super) bytes: u64,
    /// A frame that could not be written yet.
    unwritten: Vec<u8>,
    /// When the oldest record that waits was pushed.
    waiting: Option<Instant>,
}

impl OpenBundle {
    /// Begins the file; nothing is in it before the first [`flush`](Self::flush).
    pub(super) fn create(path: &Path, header: Header) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        // What a bundle of this number might have left is none of ours.
        file.set_len(0)?;
        super::acked::share_as_its_directory(&file, path)?;
        Ok(Self {
            encoder: Encoder::new(&header),
            header,
            path: path.to_owned(),
            file,
            bytes: 0,
            unwritten: Vec::new(),
            waiting: None,
        })
    }

    /// Adds a record; tells whether it is time to flush.
    pub(super) fn push(&mut self, record: &Record) -> bool {
        self.encoder.push(record);
        self.waiting.get_or_insert_with(Instant::now);
        self.encoder.pending() >= FRAME_BYTES
    }

    /// Tells whether what waits would wait too long if nothing were done for `idle`.
    pub(super) fn is_urgent(&self, idle: Duration) -> bool {
        self.waiting.is_some_and(|since| since.elapsed().saturating_add(idle) >= PATIENCE)
    }

    /// Writes what waits as one frame. It may be called again after an error.
    pub(super) fn flush(&mut self) -> Result<(), FlushError> {
        if self.unwritten.is_empty() {
            self.unwritten = self.encoder.flush()?;
            self.waiting = None;
        }
        if let Err(error) = self.file.write_all(&self.unwritten) {
            // A part of a frame would make all that follows unreadable.
            self.file.set_len(self.bytes)?;
            return Err(error.into());
        }
        self.bytes += self.unwritten.len() as u64;
        self.unwritten.clear();
        Ok(())
    }
}

/// Why what waits could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum FlushError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error(transparent)]
    Io(#[from] io::Error),
}
