//! How the shipping goes, for whoever asks.

use super::SpoolView;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// How often at most is told what changes all the time.
const OFTEN: Duration = Duration::from_secs(1);

/// How the shipping goes. Times are µs since 1970 by this machine's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShipReport {
    /// Whether there is a session.
    pub connected: bool,
    /// What the server runs, as of the last session.
    pub server_software: Option<String>,
    /// What the server has said last that it has.
    pub acknowledged: Option<Acknowledged>,
    /// Up to where the open bundle is on the server's disk: number, bytes.
    pub streamed: Option<(u64, u64)>,
    /// Bundles acknowledged since the shipper began.
    pub bundles: u64,
    /// Bytes sent since then, streamed ones included.
    pub bytes: u64,
    /// Sealed bundles that wait.
    pub backlog: u64,
    /// Their bytes.
    pub backlog_bytes: u64,
    /// What is wrong, if anything.
    pub trouble: Option<String>,
    /// Whether nothing more is sent before somebody has done something.
    pub refused: bool,
    /// Since when there is no session.
    pub broken_since_us: Option<u64>,
    /// When the next attempt is made.
    pub next_attempt_us: Option<u64>,
    /// Bundles that the server will not have, and why. They stay in the spool.
    pub not_taken: BTreeMap<String, String>,
    /// When this was written.
    pub at_us: u64,
}

/// The last acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// When.
    pub at_us: u64,
    /// The bundle's number.
    pub seq: u64,
    /// Its file name.
    pub name: String,
}

/// Who is told.
type Tell = dyn FnMut(&ShipReport) + Send;

/// Keeps the report and tells of it.
#[derive(Default)]
pub(super) struct Reporter {
    report: ShipReport,
    tell: Option<Box<Tell>>,
    told: Option<Instant>,
    /// Whether the server has acknowledged anything since last asked.
    progress: bool,
}

impl Reporter {
    pub(super) fn tell(&mut self, tell: impl FnMut(&ShipReport) + Send + 'static) {
        self.tell = Some(Box::new(tell));
    }

    /// Says that there is a shipper, whatever one before it said.
    pub(super) fn began(&mut self) {
        self.changed();
    }

    /// Tells whether the last session came to something.
    pub(super) fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.progress)
    }

    /// Counts what waits.
    pub(super) fn look_at(&mut self, view: &mut SpoolView) {
        match view.sealed() {
            Ok(waiting) => self.waits(waiting.len() as u64, waiting.iter().map(|w| w.size).sum()),
            Err(error) => self.trouble(format!("cannot read the spool: {error}")),
        }
    }

    pub(super) fn waits(&mut self, bundles: u64, bytes: u64) {
        if (self.report.backlog, self.report.backlog_bytes) != (bundles, bytes) {
            (self.report.backlog, self.report.backlog_bytes) = (bundles, bytes);
            self.changed();
        }
    }

    pub(super) fn welcomed(&mut self, software: String) {
        tracing::info!("the server takes bundles: {software}");
        let report = &mut self.report;
        (report.connected, report.server_software) = (true, Some(software));
        (report.trouble, report.broken_since_us, report.next_attempt_us) = (None, None, None);
        report.not_taken.clear();
        self.changed();
    }

    pub(super) fn acknowledged(&mut self, seq: u64, name: &str) {
        let at_us = now();
        self.report.acknowledged = Some(Acknowledged { at_us, seq, name: name.to_owned() });
        self.report.bundles += 1;
        self.report.trouble = None;
        self.progress = true;
        self.changed();
    }

    pub(super) fn streamed(&mut self, seq: u64, bytes: u64) {
        self.report.streamed = Some((seq, bytes));
        self.progress = true;
        self.changed();
    }

    pub(super) fn sent(&mut self, bytes: u64) {
        self.report.bytes += bytes;
        if self.told.is_none_or(|told| told.elapsed() >= OFTEN) {
            self.changed();
        }
    }

    /// Says what is wrong while the session goes on.
    pub(super) fn trouble(&mut self, what: String) {
        tracing::warn!("{what}");
        self.report.trouble = Some(what);
        self.changed();
    }

    pub(super) fn not_taken(&mut self, name: &str, why: String) {
        tracing::error!("the server does not take {name}: {why}");
        self.report.not_taken.insert(name.to_owned(), why);
        self.changed();
    }

    pub(super) fn broken(&mut self, why: String, wait: Duration) {
        let next = now().saturating_add(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX));
        self.report.broken_since_us.get_or_insert_with(now);
        self.report.next_attempt_us = Some(next);
        (self.report.connected, self.report.trouble) = (false, Some(why));
        self.changed();
    }

    pub(super) fn refused(&mut self, why: String) {
        (self.report.connected, self.report.refused) = (false, true);
        (self.report.trouble, self.report.next_attempt_us) = (Some(why), None);
        self.report.broken_since_us.get_or_insert_with(now);
        self.changed();
    }

    pub(super) fn ended(&mut self) {
        self.report.connected = false;
        self.changed();
    }

    fn changed(&mut self) {
        self.report.at_us = now();
        self.told = Some(Instant::now());
        if let Some(tell) = &mut self.tell {
            tell(&self.report);
        }
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
