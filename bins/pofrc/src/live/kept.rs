//! The spool, with what it holds written into the account.

use super::Live;
use crate::{detach, own_file};
use pofr_collect::{Spool, SpoolError};
use pofr_core::{
    Sink,
    collector::{Closing, Opening},
    gap::Gap,
    record::Record,
};
use std::path::PathBuf;

/// A spool under observation.
#[derive(Debug)]
pub(crate) struct Kept {
    spool: Spool,
    live: Live,
    /// The log of a detached recorder, kept short.
    log: Option<PathBuf>,
    /// Whether the account says that there is no room.
    no_room: bool,
}

impl Kept {
    pub(crate) fn new(spool: Spool, live: Live, log: Option<PathBuf>) -> Self {
        live.spool(spool.status());
        Self { no_room: spool.has_no_room(), spool, live, log }
    }

    /// Returns the file name of the last bundle sealed.
    pub(crate) fn last_bundle(&self) -> Option<String> {
        self.spool.status().last.map(|last| last.name)
    }

    /// Writes what still waits in memory; an error where it is lost.
    pub(crate) fn settle(&mut self) -> Result<(), SpoolError> {
        self.spool.settle()
    }
}

impl Sink for Kept {
    type Error = SpoolError;

    fn begin(&mut self, opening: &Opening) -> Result<Vec<Gap>, SpoolError> {
        self.spool.begin(opening)
    }

    fn accept(&mut self, record: &Record) -> Result<(), SpoolError> {
        self.spool.accept(record)
    }

    fn idle(&mut self, micros: u64) -> Result<(), SpoolError> {
        self.spool.idle(micros)?;
        if self.spool.has_no_room() || self.no_room {
            self.no_room = self.spool.has_no_room();
            self.live.spool(self.spool.status());
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.spool.is_full()
    }

    fn finish(&mut self, closing: &Closing) -> Result<(), SpoolError> {
        self.spool.finish(closing)?;
        self.live.spool(self.spool.status());
        if let Some(log) = &self.log {
            // The log is where a detached recorder's standard error goes.
            if let Ok(file) = own_file::open_to_write(log, true) {
                detach::trim(log, &file);
            }
        }
        Ok(())
    }
}
