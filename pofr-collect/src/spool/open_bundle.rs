//! The open bundle: a file that grows by whole zstd frames. What cannot be written stays in memory, and is written later.

use pofr_core::{
    record::Record,
    wire::v2::{Encoder, Header, WireError},
};
use rustix::fs::{FallocateFlags, fallocate};
use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// No record waits longer than this to be written, but for what the machine delays.
const PATIENCE: Duration = Duration::from_millis(900);
/// So many bytes, before compression, do not wait.
const FRAME_BYTES: usize = 4 << 20;
/// So much room is reserved behind the end, bytes: some minutes of a moderate machine.
const AHEAD: u64 = 256 << 10;

/// A bundle that is being written.
#[derive(Debug)]
pub(super) struct OpenBundle {
    pub(super) header: Header,
    pub(super) path: PathBuf,
    encoder: Encoder,
    /// `None` before there was room for it.
    file: Option<File>,
    /// Bytes in the file that are whole frames.
    written: u64,
    /// Up to where room is reserved.
    reserved: u64,
    /// Frames that are not written yet.
    unwritten: Vec<u8>,
    /// When the oldest record that waits was pushed.
    waiting: Option<Instant>,
}

impl OpenBundle {
    /// Begins a bundle; there is no file before the first [`write`](Self::write).
    pub(super) fn new(path: &Path, header: Header) -> Self {
        Self {
            encoder: Encoder::new(&header),
            header,
            path: path.to_owned(),
            file: None,
            written: 0,
            reserved: 0,
            unwritten: Vec::new(),
            waiting: None,
        }
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

    /// Returns its bytes, written or not.
    pub(super) fn bytes(&self) -> u64 {
        self.written + self.bytes_in_memory()
    }

    /// Returns the bytes that are not written yet.
    pub(super) fn bytes_in_memory(&self) -> u64 {
        self.unwritten.len() as u64
    }

    /// Makes a frame of the records that wait.
    pub(super) fn frame(&mut self) -> Result<(), WireError> {
        self.unwritten.extend_from_slice(&self.encoder.flush()?);
        self.waiting = None;
        Ok(())
    }

    /// Writes the frames that wait. It may be called again after an error.
    pub(super) fn write(&mut self) -> io::Result<()> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => create(&self.path)?,
        };
        let end = self.written + self.bytes_in_memory();
        if end > self.reserved {
            // Where that is not possible the write will tell.
            let reserves =
                fallocate(&file, FallocateFlags::KEEP_SIZE, self.written, end - self.written + AHEAD);
            self.reserved = reserves.map_or(self.reserved, |()| end + AHEAD);
        }
        let written = file.write_all_at(&self.unwritten, self.written);
        if written.is_err() {
            // A part of a frame would make all that follows unreadable; where it stays it is written over.
            let _ = file.set_len(self.written);
            self.reserved = self.written;
        }
        self.file = Some(file);
        written?;
        self.written = end;
        self.unwritten = Vec::new();
        Ok(())
    }

    /// Returns all frames.
    pub(super) fn frames(&mut self) -> io::Result<Vec<u8>> {
        let written = usize::try_from(self.written).map_err(io::Error::other)?;
        let mut frames = Vec::with_capacity(written + self.unwritten.len());
        if let Some(file) = &self.file {
            frames.resize(written, 0);
            file.read_exact_at(&mut frames, 0)?;
        }
        frames.append(&mut self.unwritten);
        Ok(frames)
    }
}

fn create(path: &Path) -> io::Result<File> {
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
    super::acked::share_as_its_directory(&file, path)?;
    Ok(file)
}
