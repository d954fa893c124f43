//! Recovery: what a recorder finds that did not end well, or whose spool is gone.

use super::{Spool, SpoolError, durable, state::Why};
use pofr_core::{collector::Closing, digest::Sha256, wire::v2::salvage};
use std::path::Path;

impl Spool {
    /// Brings the spool to order: completes a bundle that was being sealed, seals what is there of an open one, and
    /// finds out what is lost.
    pub(super) fn recover(&mut self) -> Result<(), SpoolError> {
        let mark = self.mark()?;
        if mark != self.state.spool {
            self.state.lose_held();
            self.state.spool = mark;
        }
        self.finish_sealing()?;
        let sealed = self.state.head.as_ref().map_or(0, |head| head.seq);
        if self.state.assigned > sealed {
            self.salvage(self.state.assigned)?;
        }
        self.sweep()?;
        self.forget_taken();
        self.state.save()
    }

    /// Gives a bundle its name that was whole, and in the state, but not named yet.
    fn finish_sealing(&mut self) -> Result<(), SpoolError> {
        let Some(head) = &self.state.head else { return Ok(()) };
        let from = self.sealing_path(head.seq);
        match std::fs::read(&from) {
            Ok(tar) if Some(Sha256::of(&tar)) == self.state.head_sha256() => {
                let to = self.settings.dir.join(&head.name);
                durable::rename(&from, &to).map_err(|cause| SpoolError::io("name", &to, cause))
            }
            // It is being sealed again from its frames, or was moved already.
            _ => Ok(()),
        }
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
        let (good, header, _) = salvage(&frames);
        let Some(header) = header else {
            self.state.lose(seq, Why::Unwritten);
            return Ok(());
        };
        tracing::warn!("bundle {seq} was left open: {good} of {} bytes are whole", frames.len());
        let sealed = self.seal(&frames[..good], false, &Closing::default())?;
        self.publish(&header, &sealed)
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

    /// Reads the mark that tells this spool from the one before a boot, or makes one.
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
        durable::replace(&path, mark.as_bytes()).map_err(|cause| SpoolError::io("write", &path, cause))?;
        Ok(mark)
    }
}
