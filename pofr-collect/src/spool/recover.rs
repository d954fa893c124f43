//! Recovery: what a recorder finds that did not end well, or whose spool is gone.

use super::{Spool, SpoolError, durable, state::Why};
use pofr_core::{collector::Closing, digest::Sha256, wire::v2::{Salvaged, salvage}};
use std::path::Path;

impl Spool {
    /// Brings the spool to order: completes a bundle that was being sealed, seals what is there of an open one, and
    /// finds out what is lost. All of it is done, whatever of it there is no room for.
    pub(super) fn recover(&mut self) -> Result<(), SpoolError> {
        let mark = self.mark()?;
        if mark != self.state.spool {
            self.state.lose_held();
            self.state.spool = mark;
        }
        self.state.lose_in_memory();
        let marked = self.write_mark();
        let saved = self.save();
        let named = self.finish_sealing();
        let sealed = self.state.head.as_ref().map_or(0, |head| head.seq);
        if self.state.assigned > sealed {
            self.salvage(self.state.assigned)?;
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

    /// Gives bundles their names that were whole, and in the state, but not named yet.
    fn finish_sealing(&mut self) -> Result<(), SpoolError> {
        for held in &self.state.held {
            let from = self.sealing_path(held.seq);
            // Else it is being sealed again from its frames, or was moved already.
            if std::fs::read(&from).is_ok_and(|tar| held.name.contains(&Sha256::of(&tar).to_string())) {
                let to = self.settings.dir.join(&held.name);
                durable::rename(&from, &to).map_err(|cause| SpoolError::io("name", &to, cause))?;
            }
        }
        Ok(())
    }

    /// Seals what is there of the bundle `seq`, which was open when its recorder ended.
    fn salvage(&mut self, seq: u64) -> Result<(), SpoolError> {
        let path = self.frames_path(seq);
        let frames = match std::fs::read(&path) {
            Ok(frames) => frames,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                // Without the mark that the spool has, the whole of it went; with it, this bundle never began.
                let why = if self.fresh { Why::Gone } else { Why::Unwritten };
                self.state.lose(seq, why);
                return Ok(());
            }
            Err(cause) => return Err(SpoolError::io("read", &path, cause)),
        };
        let Salvaged { good, header, .. } = salvage(&frames);
        let Some(header) = header else {
            self.state.lose(seq, Why::Unwritten);
            return Ok(());
        };
        tracing::warn!("bundle {seq} was left open: {good} of {} bytes are whole", frames.len());
        let sealed = self.seal(&frames[..good], false, &Closing::default())?;
        self.publish(&header, sealed);
        Ok(())
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
        match std::fs::read_to_string(&path) {
            Ok(mark) if !mark.trim().is_empty() => return Ok(mark.trim().to_owned()),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(cause) => return Err(SpoolError::io("read", &path, cause)),
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
