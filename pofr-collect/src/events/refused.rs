//! Refused: what stands in for an event source that the kernel does not let us have, and says so.

use pofr_core::{
    EventSource,
    collector::{CollectError, Notice},
};
use rustix::event::{EventfdFlags, eventfd};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

/// An event source that breaks when it is first asked: the recorder then says in every bundle what is missing.
#[derive(Debug)]
pub struct Refused {
    name: &'static str,
    error: Option<CollectError>,
    descriptor: OwnedFd,
}

impl Refused {
    /// Makes a stand-in for the source `name`, which cannot be had because of `error`.
    ///
    /// # Errors
    /// `error` itself, where there is no descriptor left to wait on.
    pub fn new(name: &'static str, error: CollectError) -> Result<Self, CollectError> {
        // Readable from the start, so that the recorder asks at once.
        match eventfd(1, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK) {
            Ok(descriptor) => Ok(Self { name, error: Some(error), descriptor }),
            Err(_) => Err(error),
        }
    }
}

impl EventSource for Refused {
    fn name(&self) -> &str {
        self.name
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    fn drain(&mut self, _: &mut Vec<Notice>) -> Result<(), CollectError> {
        // Whoever asks again after an error is told the same, as far as an error can be said twice.
        Err(self.error.take().unwrap_or_else(|| CollectError::Malformed {
            what: format!("event source {}", self.name),
            detail: "it is broken".to_owned(),
        }))
    }
}
