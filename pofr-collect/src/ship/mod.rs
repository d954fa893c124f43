//! The shipper: carries what is in a spool to the server, for as long as it takes.
//!
//! It runs beside the recorder, as a process and a user of its own: all it has in common with it is the spool, which it reads
//! ([`SpoolView`]), and where it says what the server has. One session at a time does two things in turns:
//!
//! - the *open* bundle is streamed as it grows, so that what a machine did in its last seconds is off it already;
//! - *sealed* bundles are sent one by one in the order of their numbers. What was streamed of one is not sent again (`Splice`).
//!   A bundle leaves the spool when the server says that it has it, and in no other case.
//!
//! After an outage the open bundle goes first and the others follow at a paced rate: a thousand clients that come back together
//! must not drown the server, nor one client its own line.
//!
//! A session that breaks is made again, after a time that grows and is different for each client ([`Backoff`]), for ever. Only
//! a word that trying again is useless ends that: the server's key is not the pinned one, ours is not taken any more, the
//! client was denied. Then nothing more is sent, and the recorder goes on.

mod backoff;
mod offer;
mod pace;
mod pipes;
mod report;
mod session;
mod stream;
mod view;

pub use backoff::Backoff;
pub use pipes::Pipes;
pub use report::{Acknowledged, ShipReport};
pub use session::Broken;
pub use view::{OpenBundleView, SpoolView, Waiting};

use crate::Stop;
use pofr_core::{Transport, identity::Cid, transport::Unreachable};
use report::Reporter;
use session::Session;
use std::{path::PathBuf, time::Duration};

/// How to ship.
#[derive(Clone, Debug)]
pub struct ShipSettings {
    /// The client, as it is registered.
    pub cid: Cid,
    /// Name and version of the program, for the server's log.
    pub software: String,
    /// Where the bundles are.
    pub spool: PathBuf,
    /// The least and the most time between two attempts.
    pub retry: (Duration, Duration),
    /// At most so many bytes a second, of everything; `None` for as many as go.
    pub bandwidth: Option<u64>,
    /// At most so many bytes a second of a backlog; `None` for as many as go.
    pub backlog: Option<u64>,
    /// How long to go on when told to stop, if there is still something to send.
    pub grace: Duration,
}

impl ShipSettings {
    /// The time between two attempts: from 1 s to 5 min.
    pub const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
    /// The pace of a backlog, bytes a second: a day of a moderate workstation in some ten seconds.
    pub const BACKLOG: u64 = 2 << 20;

    /// Ships the spool in `spool` as the client `cid`, with all else as it is by default.
    #[must_use]
    pub fn new(cid: Cid, spool: impl Into<PathBuf>) -> Self {
        Self {
            cid,
            software: concat!("pofr-collect ", env!("CARGO_PKG_VERSION")).to_owned(),
            spool: spool.into(),
            retry: Self::RETRY,
            bandwidth: None,
            backlog: Some(Self::BACKLOG),
            grace: Duration::from_secs(5),
        }
    }
}

/// What ends a shipper that nobody told to stop: trying again is useless before somebody has done something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing more is sent: {0}")]
pub struct Refused(
    /// Why, for people.
    pub String,
);

/// Ships a spool.
pub struct Shipper<T> {
    settings: ShipSettings,
    transport: T,
    reporter: Reporter,
}

impl<T: Transport> Shipper<T> {
    /// Makes a shipper of what `settings` names.
    pub fn new(settings: ShipSettings, transport: T) -> Self {
        Self { settings, transport, reporter: Reporter::default() }
    }

    /// Has `told` know how it goes: at every change, and now and then.
    #[must_use]
    pub fn telling(mut self, told: impl FnMut(&ShipReport) + Send + 'static) -> Self {
        self.reporter.tell(told);
        self
    }

    /// Ships until told to stop.
    ///
    /// # Errors
    /// [`Refused`] where trying again is useless. What waits in the spool stays there.
    pub fn run(&mut self, stop: &Stop) -> Result<(), Refused> {
        let mut backoff = Backoff::new(self.settings.retry);
        let mut view = SpoolView::new(&self.settings.spool);
        self.reporter.began();
        while !stop.is_stopped() {
            self.reporter.look_at(&mut view);
            let why = match self.session(&mut view, stop) {
                Ok(()) => break,
                Err(Ended::For(why)) => return Err(self.refused(why)),
                Err(Ended::Now(why)) => why,
            };
            if self.reporter.take_progress() {
                backoff.reset();
            }
            let wait = backoff.wait();
            tracing::warn!("{why}; trying again in {:.0} s", wait.as_secs_f64());
            self.reporter.broken(why, wait);
            if stop.wait(wait) {
                break;
            }
        }
        self.reporter.ended();
        Ok(())
    }

    /// Makes a session and keeps to it until it ends.
    fn session(&mut self, view: &mut SpoolView, stop: &Stop) -> Result<(), Ended> {
        let link = self.transport.connect().map_err(|error| match error {
            Unreachable::Final(why) => Ended::For(why),
            other => Ended::Now(other.to_string()),
        })?;
        let mut session = Session::new(link, &self.settings, view, &mut self.reporter, stop);
        session.keep().map_err(|broken| match broken {
            Broken::Refused { text, last: true } => Ended::For(format!("the server refuses: {text}")),
            other => Ended::Now(other.to_string()),
        })
    }

    fn refused(&mut self, why: String) -> Refused {
        tracing::error!("nothing more is sent: {why}");
        self.reporter.refused(why.clone());
        Refused(why)
    }
}

impl<T> std::fmt::Debug for Shipper<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shipper").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// How a session ended.
enum Ended {
    /// It may be made again.
    Now(String),
    /// For good.
    For(String),
}
