//! Recovery: what a recorder finds that did not end well, or whose spool is gone.

use super::{Spool, SpoolError, aside, durable, state::Why};
use pofr_core::{
    collector::Closing,
    digest::Sha256,
    wire::v2::{Header, Salvaged, WireError, salvage},
};
use std::path::Path;

impl Spool {
    /// Brings the spool to order: completes a bundle that was being sealed, seals what is there of an open one, and
    /// finds out what is lost. All of it is done, whatever of it there is no room for.
    pub(super) fn recover(&mut self) -> Result<(), SpoolError> {
        let mark = self.mark()?;
        if mark != self.state.spool {
            let dir = &self.settings.dir;
            self.state.lose_held(|held| dir.join(&held.name).exists());
            self.state.spool = mark;
        }
        self.state.lose_in_memory();
        let marked = self.write_mark();
        let saved = self.save();
        let named = self.finish_sealing();
        let sealed = self.state.head.as_ref().map_or(0, |head| head.seq);
        if self.state.assigned > sealed {
            self.salvage(self.state.assigned);
        }
        marked.and(saved).and(named)?;
        if !self.unsaved {
            // Else they may be all that there is.
            self.sweep()?;
        }
        self.forget_taken();
        self.save()?;
        self.remove_acked()
    }

    /// Gives bundles their names that were whole, and in the state, but not named yet. One that is damaged is sealed again, if its
    /// frames are there.
    fn finish_sealing(&mut self) -> Result<(), SpoolError> {
        let mut damaged = Vec::new();
        for held in &self.state.held {
            let (from, to) = (self.sealing_path(held.seq), self.settings.dir.join(&held.name));
            // Else it is being sealed again from its frames, or was moved already.
            let Ok(tar) = std::fs::read(&from) else { continue };
            if held.name.contains(&Sha256::of(&tar).to_string()) {
                durable::rename(&from, &to).map_err(|cause| SpoolError::io("name", &to, cause))?;
            } else if !to.exists() {
                damaged.push((held.seq, from, held.span));
            }
        }
        for (seq, path, span) in damaged {
            self.state.held.retain(|held| held.seq != seq);
            let said = aside::set_aside(&path, "its sha256 is another");
            self.state.set_aside(said, span);
            let is_head = self.state.head.as_ref().is_some_and(|head| head.seq == seq);
            if is_head && self.frames_path(seq).exists() {
                self.salvage(seq);
            } else {
                self.state.lose_known(seq, span, Why::Damaged);
            }
        }
        Ok(())
    }

    /// Seals what is there of the bundle `seq`, which was open when its recorder ended. What is damaged of it is set aside.
    fn salvage(&mut self, seq: u64) {
        let path = self.frames_path(seq);
        let frames = match std::fs::read(&path) {
            Ok(frames) => frames,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                // Without the mark that the spool has, the whole of it went; with it, this bundle never began.
                let why = if self.fresh { Why::Gone } else { Why::Unwritten };
                self.state.lose(seq, why);
                return;
            }
            Err(cause) => return self.lose_damaged(seq, &cause.to_string()),
        };
        let Salvaged { good, header, last, damage } = salvage(&frames);
        let Some(header) = header else {
            return match damage {
                Some(error) => self.lose_damaged(seq, &error.to_string()),
                None => self.state.lose(seq, Why::Unwritten),
            };
        };
        // Nothing is left to take.
        if last.is_none()
            && let Some(error) = &damage
        {
            return self.lose_damaged(seq, &error.to_string());
        }
        if header.seq.0 != seq {
            return self.lose_damaged(seq, &format!("it is said to be bundle {}", header.seq.0));
        }
        tracing::warn!("bundle {seq} was left open: {good} of {} bytes are whole", frames.len());
        match self.seal(&frames[..good], false, &Closing::default()) {
            Ok(sealed) => {
                if let Some(error) = damage {
                    // Up to when it went on nobody knows: the blind gap up to the next bundle covers that.
                    let last = last.unwrap_or(header.opened_wall).0;
                    let why = format!("{error}; {good} of {} bytes are in bundle {seq}", frames.len());
                    let said = aside::set_aside(&path, &why);
                    self.state.set_aside(said, Some((last, last)));
                }
                self.publish(&header, sealed);
            }
            Err(error) => self.give_up(&header, &error),
        }
    }

    /// Sets the frames of a bundle aside that cannot be sealed; the recording goes on.
    pub(super) fn give_up(&mut self, header: &Header, error: &WireError) {
        self.lose_damaged(header.seq.0, &error.to_string());
        self.unsaved = true;
        self.write_out(true);
    }

    fn lose_damaged(&mut self, seq: u64, why: &str) {
        let said = aside::set_aside(&self.frames_path(seq), why);
        let span = self.state.last_stamp.map(|last| (last, last.max(self.now.0)));
        self.state.set_aside(said, span);
        self.state.lose_known(seq, span, Why::Damaged);
    }

    /// Removes what is left of bundles that are sealed or lost.
    fn sweep(&self) -> Result<(), SpoolError> {
        let list = |dir: &Path| -> std::io::Result<Vec<_>> {
            std::fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path())).collect()
        };
        let dir = self.settings.open_dir();
        for path in list(&dir).map_err(|cause| SpoolError::io("list", &dir, cause))? {
            let is_leftover = path.extension().is_some_and(|e| e == "frames" || e == "sealing" || e == "new");
            if is_leftover {
                durable::remove(&path).map_err(|cause| SpoolError::io("remove", &path, cause))?;
            }
        }
        Ok(())
    }

    /// Reads the mark that tells this spool from the one before a boot, or makes one, still to be written.
    fn mark(&mut self) -> Result<String, SpoolError> {
        let path = self.settings.open_dir().join("mark");
        // One that cannot be read is none: what is held and is there is not lost by that.
        if let Ok(mark) = std::fs::read_to_string(&path)
            && !mark.trim().is_empty()
        {
            return Ok(mark.trim().to_owned());
        }
        self.fresh = true;
        let mark = if self.state.spool.is_empty() || self.state.assigned > 0 {
            crate::client_id::random_mark().map_err(|cause| SpoolError::io("make", &path, cause))?
        } else {
            self.state.spool.clone()
        };
        self.unmarked = Some(mark.clone());
        Ok(mark)
    }

    /// Writes the mark for which there was no room yet. Without it nothing is put into the spool, which the next recorder would take
    /// for another.
    pub(super) fn write_mark(&mut self) -> Result<(), SpoolError> {
        let Some(mark) = &self.unmarked else { return Ok(()) };
        let path = self.settings.open_dir().join("mark");
        durable::replace(&path, mark.as_bytes()).map_err(|cause| SpoolError::io("write", &path, cause))?;
        self.unmarked = None;
        Ok(())
    }
}
