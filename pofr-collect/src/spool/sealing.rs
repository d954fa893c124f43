//! Sealing: from frames to a bundle in the spool, by way of memory where there is no room.

use super::{
    Spool, SpoolError, durable,
    room::{at, is_room},
    state::{Held, Why},
};
use pofr_core::{
    collector::Closing,
    wire::v2::{Header, Sealed, WireError, seal_signed},
};

/// A sealed bundle that is not written yet.
#[derive(Debug)]
pub(super) struct Unwritten {
    pub(super) seq: u64,
    pub(super) name: String,
    pub(super) tar: Vec<u8>,
}

impl Spool {
    /// Seals the open bundle.
    pub(super) fn close(&mut self, complete: bool, closing: &Closing) -> Result<(), SpoolError> {
        self.tell_of_trouble();
        self.flush()?;
        let Some(mut open) = self.open.take() else { return Err(SpoolError::NotOpen) };
        let frames = match open.frames() {
            Ok(frames) => frames,
            Err(cause) => {
                // The medium has lost what was written already: nobody can tell what the rest of it means.
                self.no_room(&SpoolError::io("read", &open.path, cause));
                self.state.lose(open.header.seq.0, Why::Room);
                self.leftovers.push(open.path);
                self.unsaved = true;
                self.write_out(true);
                return Ok(());
            }
        };
        match self.seal(&frames, complete, closing) {
            Ok(sealed) => self.publish(&open.header, sealed),
            Err(error) => self.give_up(&open.header, &error),
        }
        Ok(())
    }

    /// Makes the bundle of a whole stream, signed where there is somebody to sign.
    pub(super) fn seal(&self, frames: &[u8], complete: bool, closing: &Closing) -> Result<Sealed, WireError> {
        let sign = |manifest: &[u8]| match self.settings.signer.as_ref()?.sign(manifest) {
            Ok(signature) => Some(signature),
            Err(error) => {
                tracing::error!("a bundle stays unsigned: {error}");
                None
            }
        };
        seal_signed(frames, complete, closing, sign)
    }

    /// Puts a sealed bundle into the spool, the state first, or into memory. Its frames go when the state says what became of it.
    pub(super) fn publish(&mut self, header: &Header, sealed: Sealed) {
        let seq = header.seq.0;
        let bytes = sealed.tar.len() as u64;
        let held = Held { seq, name: sealed.name.clone(), bytes, span: sealed.manifest.wall };
        let frames = self.frames_path(seq);
        let goes_straight = self.memory.is_empty() && !self.unsaved;
        self.state.sealed(held, sealed.sha256, header);
        self.unsaved = true;
        self.memory.push_back(Unwritten { seq, name: sealed.name, tar: sealed.tar });
        self.spare.lend();
        if goes_straight {
            let mut result = self.write_oldest();
            if result.as_ref().is_err_and(is_room) && self.reserve.give_up() {
                result = self.write_oldest();
            }
            if let Err(error) = result {
                self.no_room(&error);
            }
        }
        if self.unsaved {
            self.leftovers.push(frames);
        } else if let Err(cause) = durable::remove(&frames) {
            tracing::warn!("cannot remove {}: {cause}", frames.display());
        }
        self.write_out(true);
    }

    /// Writes what waits, as far as there is room. Where there was none just before, that is not tried again unless `at_once`.
    pub(super) fn write_out(&mut self, at_once: bool) {
        if !at_once && !self.is_worth_a_try() {
            return self.bound_memory();
        }
        self.spare.lend();
        let mut result = self.try_to_write();
        if result.as_ref().is_err_and(is_room) && self.reserve.give_up() {
            result = self.try_to_write();
        }
        match result {
            Ok(()) => self.all_is_written(),
            Err(error) => self.no_room(&error),
        }
        self.spare.take(self.locks[0].file());
        self.bound_memory();
    }

    /// The state first: what it does not know of must not be seen, lest a number be used twice.
    fn try_to_write(&mut self) -> Result<(), SpoolError> {
        self.prepare()?;
        if self.unsaved {
            self.save()?;
        }
        let sealed = self.write_all_sealed();
        if let Some(open) = &mut self.open {
            open.write().map_err(at("write", &open.path))?;
        }
        sealed?;
        self.remove_acked()?;
        self.shrink()
    }

    fn write_all_sealed(&mut self) -> Result<(), SpoolError> {
        while !self.memory.is_empty() {
            self.write_oldest()?;
        }
        Ok(())
    }

    /// Makes the state durable, and removes what only it made needless.
    pub(super) fn save(&mut self) -> Result<(), SpoolError> {
        self.state.save()?;
        self.unsaved = false;
        for path in std::mem::take(&mut self.leftovers) {
            if let Err(cause) = durable::remove(&path) {
                tracing::warn!("cannot remove {}: {cause}", path.display());
            }
        }
        Ok(())
    }

    /// Writes the oldest bundle in memory.
    fn write_oldest(&mut self) -> Result<(), SpoolError> {
        let Some(oldest) = self.memory.front() else { return Ok(()) };
        let (seq, bytes) = (oldest.seq, oldest.tar.len() as u64);
        let (sealing, name) = (self.sealing_path(seq), self.settings.dir.join(&oldest.name));
        if let Err(cause) = durable::write(&sealing, &oldest.tar) {
            let _ = std::fs::remove_file(&sealing);
            return Err(SpoolError::io("write", &sealing, cause));
        }
        self.state.is_written(seq);
        let named = self.save().and_then(|()| durable::rename(&sealing, &name).map_err(at("name", &name)));
        if let Err(error) = named {
            // The file stays: the medium may have kept a state that says that it is there.
            self.state.is_not_written(seq);
            self.unsaved = true;
            return Err(error);
        }
        self.memory.pop_front();
        self.bytes_sealed += bytes;
        self.forget_taken();
        Ok(())
    }
}
