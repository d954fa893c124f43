//! The process that a signal is for: held by a pidfd, so that a reused id never gets it.

use crate::run_dir::Instance;
use anyhow::Context as _;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal},
};
use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

/// How often a process is looked at where the kernel has no pidfd (before 5.3).
const LOOK: Duration = Duration::from_millis(50);

/// A recorder that is to end.
#[derive(Debug)]
pub(crate) struct Target {
    instance: Instance,
    pid: Pid,
    held: Option<OwnedFd>,
}

impl Target {
    /// Takes hold of the process; `None` where it has ended meanwhile.
    pub(crate) fn hold(instance: Instance) -> anyhow::Result<Option<Self>> {
        let Some(pid) = Pid::from_raw(instance.pid) else { return Ok(None) };
        let held = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(held) => Some(held),
            Err(Errno::SRCH) => return Ok(None),
            Err(Errno::NOSYS) => None,
            Err(error) => return Err(error).with_context(|| format!("cannot hold process {pid}")),
        };
        // Only now is it certain whom the pidfd holds.
        Ok(instance.is_alive().then_some(Self { instance, pid, held }))
    }

    /// Asks the process to end, and wakes it if it is stopped, since it could not even hear that.
    pub(crate) fn end(&self) -> anyhow::Result<()> {
        for signal in [Signal::TERM, Signal::CONT] {
            let sent = match &self.held {
                Some(held) => pidfd_send_signal(held, signal),
                None => kill_process(self.pid, signal),
            };
            match sent {
                // It has ended just now.
                Ok(()) | Err(Errno::SRCH) => {}
                Err(error) => return Err(error).with_context(|| format!("cannot end process {}", self.pid)),
            }
        }
        Ok(())
    }

    /// Waits until the process has ended; tells whether it has within `timeout`.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let until = Instant::now().checked_add(timeout);
        loop {
            let left = until.map_or(LOOK, |until| until.saturating_duration_since(Instant::now()));
            let gone = match &self.held {
                Some(held) => {
                    let time = Timespec::try_from(left).ok();
                    let mut fds = [PollFd::new(held, PollFlags::IN)];
                    matches!(poll(&mut fds, time.as_ref()), Ok(1..))
                }
                None => {
                    std::thread::sleep(left.min(LOOK));
                    !self.instance.is_alive()
                }
            };
            if gone || left.is_zero() {
                return gone;
            }
        }
    }
}
