//! The stream of an open bundle: what a client flushes, as it flushes it, so that a machine's last seconds are off it.
//!
//! A stream only grows. What is in it cannot be changed or taken back by the client: it goes when the whole bundle, which
//! begins with it, is stored, or becomes an incomplete bundle if that never comes (`crate::abandoned`).

use super::{
    Landing, LandingError,
    session::{Trouble, no_room},
};
use pofr_core::{
    identity::{BundleSeq, RunId},
    wire::link::{No, OpenAt},
};
use std::{fs::File, os::unix::fs::FileExt as _};

/// So many open bundles of a client may wait: one that grows, and what its crashes have left.
const MAX_STREAMS: usize = 16;

/// The stream that is being added to.
pub(super) struct OpenStream {
    run: RunId,
    seq: BundleSeq,
    file: File,
    bytes: u64,
    trouble: Option<Trouble>,
}

impl OpenStream {
    /// Begins a stream, or takes one up again.
    pub(super) fn open(landing: &Landing, run: RunId, seq: BundleSeq) -> Result<Self, Trouble> {
        let io = |error: LandingError| Trouble { text: error.to_string(), ..no_room(&error.cause) };
        let streams = landing.streams().map_err(io)?;
        let known = streams.iter().any(|(r, s, _)| (*r, *s) == (run, seq));
        if !known && streams.len() >= MAX_STREAMS {
            let text = format!("{} open bundles wait to be taken in already", streams.len());
            return Err(Trouble::new(No::Quota, text, true));
        }
        let file = landing.stream(run, seq, true).map_err(io)?;
        let bytes = file.metadata().map_err(|cause| no_room(&cause))?.len();
        Ok(Self { run, seq, file, bytes, trouble: None })
    }

    /// Returns how far it is.
    pub(super) const fn at(&self) -> OpenAt {
        OpenAt { run: self.run, seq: self.seq, bytes: self.bytes }
    }

    /// Adds frames, at most `room` bytes; what is wrong is said at the next flush. Returns how many bytes were added.
    pub(super) fn push(&mut self, offset: u64, bytes: &[u8], room: Room) -> u64 {
        if self.trouble.is_some() {
            return 0;
        }
        let length = bytes.len() as u64;
        let result = if offset != self.bytes {
            let text = format!("frames at byte {offset}, where {} was next", self.bytes);
            Err(Trouble::new(No::Chain, text, true))
        } else if self.bytes + length > room.bundle {
            Err(Trouble::new(No::Size, format!("an open bundle of more than {} bytes", room.bundle), false))
        } else if length > room.quota {
            Err(Trouble::new(No::Quota, "the quota is used up".into(), true))
        } else {
            self.file.write_all_at(bytes, offset).map_err(|cause| {
                // A part of a frame would be in the way of its repetition.
                let _ = self.file.set_len(self.bytes);
                no_room(&cause)
            })
        };
        match result {
            Ok(()) => {
                self.bytes += length;
                length
            }
            Err(trouble) => {
                self.trouble = Some(trouble);
                0
            }
        }
    }

    /// Makes sure that all of it is on the disk.
    pub(super) fn flush(&mut self, landing: &Landing) -> Result<OpenAt, Trouble> {
        if let Some(trouble) = self.trouble.clone() {
            return Err(trouble);
        }
        self.file.sync_data().map_err(|cause| no_room(&cause))?;
        landing.sync_streams().map_err(|error| no_room(&error.cause))?;
        Ok(self.at())
    }
}

/// How much may be added.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// To any one bundle in all, in bytes.
    pub(super) bundle: u64,
    /// To the inbox now, in bytes.
    pub(super) quota: u64,
}
