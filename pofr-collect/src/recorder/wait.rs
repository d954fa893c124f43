//! Waiting: for the next tick on `CLOCK_BOOTTIME`, for an event source to speak, for the end.

use super::Stop;
use crate::events::EventSources;
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    },
};
use std::{io, os::fd::OwnedFd};

/// What ended the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// The time has come.
    Due,
    /// An event source has something to tell.
    Events,
    /// The recorder is to end.
    Stopped,
}

/// A timer set to absolute times, so that no delay adds up (timerfd_create(2)).
#[derive(Debug)]
pub(super) struct Alarm(OwnedFd);

impl Alarm {
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self(timerfd_create(TimerfdClockId::Boottime, flags)?))
    }

    /// Waits until `boot_micros`, or until something else happens; where there are no `events`, they are not waited for.
    pub(super) fn wait(
        &self,
        boot_micros: i64,
        stop: &Stop,
        events: Option<&EventSources>,
    ) -> io::Result<Woken> {
        // A time of zero would disarm the timer.
        let at = boot_micros.max(1);
        let it_value = Timespec { tv_sec: at / 1_000_000, tv_nsec: at % 1_000_000 * 1_000 };
        let time = Itimerspec { it_interval: Timespec::default(), it_value };
        timerfd_settime(&self.0, TimerfdTimerFlags::ABSTIME, &time)?;
        let mut fds = vec![
            PollFd::new(&self.0, PollFlags::IN),
            PollFd::from_borrowed_fd(stop.descriptor(), PollFlags::IN),
        ];
        fds.extend(
            events
                .into_iter()
                .flat_map(EventSources::descriptors)
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)),
        );
        loop {
            match poll(&mut fds, None) {
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        Ok(if ready(&fds[1]) {
            Woken::Stopped
        } else if ready(&fds[0]) {
            Woken::Due
        } else {
            Woken::Events
        })
    }
}
