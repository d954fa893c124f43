//! A bundle that is being received: written under a hidden name while it is hashed, and named only when it is what its name says.

use super::{
    Landing, LandingError, Put,
    session::{Trouble, no_room},
};
use pofr_core::{
    digest::{Hashing, Sha256},
    wire::{
        link::{No, Splice},
        name::BundleName,
    },
};
use std::{
    fs::File,
    io::{self, Read as _, Write as _},
};

/// The part of a bundle that was streamed before.
struct Streamed {
    file: File,
    /// Where it stands in the tar.
    at: u64,
    /// How many bytes of it are used.
    have: u64,
    /// Whether the stream has no more than these.
    whole: bool,
    splice: Splice,
}

/// A bundle on its way.
pub(super) struct Arriving {
    name: BundleName,
    size: u64,
    part: String,
    file: File,
    hash: Hashing,
    /// How many bytes of the tar are written.
    written: u64,
    streamed: Option<Streamed>,
    /// What is wrong; the rest is not written then, and said at the end.
    trouble: Option<Trouble>,
}

impl Arriving {
    /// Begins to receive a bundle that there is room for; returns it, and how many bytes of its records need not be sent.
    pub(super) fn begin(
        landing: &mut Landing,
        name: BundleName,
        size: u64,
        splice: Option<Splice>,
    ) -> Result<(Self, u64), LandingError> {
        let streamed = splice.and_then(|splice| Streamed::find(landing, splice));
        let have = streamed.as_ref().map_or(0, |s| s.have);
        let (part, file) = landing.part()?;
        let hash = Hashing::default();
        Ok((Self { name, size, part, file, hash, written: 0, streamed, trouble: None }, have))
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        if self.trouble.is_some() {
            return;
        }
        let result = (|| {
            if let Some(streamed) = &self.streamed {
                let before = usize::try_from(streamed.at.saturating_sub(self.written)).unwrap_or(usize::MAX);
                let (head, rest) = bytes.split_at(before.min(bytes.len()));
                self.write(head)?;
                bytes = rest;
                if bytes.is_empty() {
                    return Ok(());
                }
                self.splice()?;
            }
            self.write(bytes)
        })();
        if let Err(trouble) = result {
            self.trouble = Some(trouble);
            // Its room may be what others lack.
            let _ = self.file.set_len(0);
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        if self.written + bytes.len() as u64 > self.size {
            return Err(Trouble::new(No::Size, format!("more than the {} bytes announced", self.size), true));
        }
        self.file.write_all(bytes).map_err(|cause| no_room(&cause))?;
        self.hash.add(bytes);
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Writes what was streamed, once.
    fn splice(&mut self) -> Result<(), Trouble> {
        let Some(mut streamed) = self.streamed.take_if(|s| s.have > 0) else { return Ok(()) };
        let mut left = streamed.have;
        let mut buf = vec![0; 64 << 10];
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(buf.len()).min(buf.len());
            let n = streamed.file.read(&mut buf[..most]).map_err(|cause| no_room(&cause))?;
            if n == 0 {
                return Err(digest("the streamed part is shorter than it was"));
            }
            self.write(&buf[..n])?;
            left -= n as u64;
        }
        // Beyond its place from now on, for `at` is never after what is written.
        streamed.have = 0;
        streamed.at = 0;
        self.streamed = Some(streamed);
        Ok(())
    }

    /// Ends it: checks what came, and gives it its name.
    pub(super) fn finish(mut self, landing: &Landing) -> Result<Stored, Trouble> {
        // A tar may end with what was streamed; none of ours does.
        if self.trouble.is_none()
            && self.streamed.as_ref().is_some_and(|s| s.have > 0 && s.at == self.written)
            && let Err(trouble) = self.splice()
        {
            self.trouble = Some(trouble);
        }
        let result = self.settle(landing);
        if result.is_err() {
            landing.discard(&self.part);
        }
        result
    }

    fn settle(&mut self, landing: &Landing) -> Result<Stored, Trouble> {
        if let Some(trouble) = self.trouble.take() {
            return Err(trouble);
        }
        if self.written != self.size {
            let text = format!("{} bytes came, {} were announced", self.written, self.size);
            return Err(Trouble::new(No::Size, text, true));
        }
        let sha256 = std::mem::take(&mut self.hash).finish();
        if sha256 != self.name.sha256 {
            return Err(digest(&format!("the bytes' sha256 is {sha256}")));
        }
        let name = self.name.to_string();
        let put =
            landing.put(&self.part, &self.file, &name).map_err(|error| no_room_for(&error.cause, &error))?;
        if let Some(streamed) = self.streamed.take().filter(|s| s.whole) {
            // Its bytes are in the bundle, as the digest has shown.
            landing.drop_stream(streamed.splice.run, streamed.splice.seq);
        }
        Ok(Stored { name, sha256, bytes: self.size, put })
    }

    /// Gives it up.
    pub(super) fn abandon(self, landing: &Landing) {
        landing.discard(&self.part);
    }
}

/// A bundle that has its name.
pub(super) struct Stored {
    pub(super) name: String,
    pub(super) sha256: Sha256,
    pub(super) bytes: u64,
    pub(super) put: Put,
}

impl Streamed {
    /// Finds what of a bundle was streamed; `None` where that is nothing, or cannot be read: then all of it is sent.
    fn find(landing: &Landing, splice: Splice) -> Option<Self> {
        let file = landing.stream(splice.run, splice.seq, false).ok()?;
        let length = file.metadata().ok()?.len();
        let have = length.min(splice.records_len);
        let whole = length == have;
        (have > 0).then_some(Self { file, at: splice.records_at, have, whole, splice })
    }
}

fn digest(what: &str) -> Trouble {
    Trouble::new(No::Digest, format!("not the bundle that the name says: {what}"), true)
}

fn no_room_for(cause: &io::Error, error: &LandingError) -> Trouble {
    Trouble { text: error.to_string(), ..no_room(cause) }
}
