//! `program-digests`: tells what came out of reading programs, as late details of the processes that run them.

use super::hasher;
use crate::HostView;
use pofr_core::{
    EventSource,
    collector::{CollectError, Notice},
};
use rustix::event::{EventfdFlags, eventfd};
use std::{
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    thread,
};

/// The source's name.
const NAME: &str = "program-digests";

/// Makes the source for the registry.
pub(crate) fn make(view: &HostView) -> (&'static str, Result<Box<dyn EventSource>, CollectError>) {
    (NAME, ProgramEvents::new(view).map(|source| Box::new(source) as Box<dyn EventSource>))
}

/// Tells of programs. While there is one, looks at the processes of its view ask for digests.
#[derive(Debug)]
pub struct ProgramEvents {
    view: HostView,
    /// Never readable: what comes out is told at the next tick, and no tick comes sooner for it.
    quiet: OwnedFd,
    /// Whether the thread that reads has been started.
    started: bool,
}

impl ProgramEvents {
    /// Lets looks ask; the reading begins when the recorder first asks, with what privileges are left then.
    ///
    /// # Errors
    /// Where the kernel gives no descriptor.
    pub fn new(view: &HostView) -> Result<Self, CollectError> {
        let quiet = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).map_err(|error| {
            CollectError::Unavailable {
                what: "cannot make a descriptor for events".into(),
                cause: error.into(),
            }
        })?;
        view.programs.begin();
        Ok(Self { view: view.clone(), quiet, started: false })
    }

    fn start(&self) -> std::io::Result<()> {
        let view = self.view.clone();
        let work = move || hasher::run(&view.programs, &view);
        thread::Builder::new().name("pofr-programs".into()).spawn(work).map(drop)
    }
}

impl EventSource for ProgramEvents {
    fn name(&self) -> &str {
        NAME
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.quiet.as_fd()
    }

    fn drain(&mut self, out: &mut Vec<Notice>) -> Result<(), CollectError> {
        if !self.started {
            self.start().map_err(|cause| CollectError::Unavailable {
                what: "cannot start the thread that reads programs".into(),
                cause,
            })?;
            self.started = true;
        }
        out.extend(self.view.programs.take_answers().into_iter().map(|answer| Notice::Program {
            entity: answer.asking.entity,
            exe: answer.asking.exe,
            sha256: answer.sha256,
        }));
        Ok(())
    }

    fn note(&self) -> Option<String> {
        match self.view.programs.given_up() {
            0 => None,
            files => Some(format!("{files} programs did not answer in time and have no digest")),
        }
    }
}

impl Drop for ProgramEvents {
    fn drop(&mut self) {
        self.view.programs.stop();
    }
}
