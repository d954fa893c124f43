//! How the sending goes, as a person reads it: trouble first, and loud.

use super::text::Text;
use crate::{registration::shown, shipper::Account, units};
use pofr_collect::ShipReport;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

impl Account {
    /// Writes it for a person.
    pub(super) fn describe(&self, text: &mut Text) {
        let pid = self.pid.map_or_else(String::new, |pid| format!(", process {pid}"));
        let report = self.report.as_ref();
        let connected = match report {
            Some(report) if report.connected && self.pid.is_some() => "connected",
            _ => "NOT CONNECTED",
        };
        text.line("server", &format!("{}, {}, {connected}{pid}", self.server, self.registration));
        if let Some(trouble) = &self.trouble {
            text.line("TROUBLE", trouble);
        }
        let Some(report) = report else { return };
        text.line("", &acknowledged(report));
        if report.backlog > 0 {
            let (bundles, bytes) =
                (units::many(report.backlog, "bundle"), units::bytes(report.backlog_bytes));
            text.line("backlog", &format!("{bundles}, {bytes}"));
        }
        if let Some(since) = report.broken_since_us {
            let next = report.next_attempt_us.map_or_else(String::new, |next| {
                format!(", next attempt in {}", span(next.saturating_sub(now())))
            });
            text.line("", &format!("broken for {}{next}", span(now().saturating_sub(since))));
        }
        for (name, why) in &report.not_taken {
            text.line("TROUBLE", &format!("the server does not take {}: {}", shown(name), shown(why)));
        }
    }
}

fn acknowledged(report: &ShipReport) -> String {
    match &report.acknowledged {
        Some(last) => {
            let ago = span(now().saturating_sub(last.at_us));
            format!("acknowledged bundle {} {ago} ago, {} sent", last.seq, units::bytes(report.bytes))
        }
        None => format!("no bundle is acknowledged yet, {} sent", units::bytes(report.bytes)),
    }
}

/// Writes a time in whole seconds.
fn span(micros: u64) -> String {
    units::span(Duration::from_secs(micros / 1_000_000))
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
