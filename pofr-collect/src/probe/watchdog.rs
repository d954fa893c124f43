//! The watchdog: says, for as long as it is so, which processes are unreadable.

use super::Probe;
use pofr_core::{
    Source,
    gap::{Gap, Severity},
    time::WallMicros,
};

/// After how long the next piece of a gap is told, µs: a crash hides no more than one.
const PIECE: i64 = 10_000_000;
/// How many processes are named.
const NAMED: usize = 12;

/// Tells of unreadable processes.
#[derive(Debug, Default)]
pub(crate) struct Watchdog {
    /// The last moment at which it was asked.
    last: Option<WallMicros>,
    /// What is told of, and up to when it has been.
    open: Option<(String, WallMicros)>,
}

impl Watchdog {
    /// Looks at the moment of a sample; returns the gaps that are to be told.
    pub(crate) fn look(&mut self, probe: &Probe, now: WallMicros) -> Vec<Gap> {
        let reason = reason(probe);
        let mut gaps = Vec::new();
        if let Some((told, until)) = &mut self.open
            && (reason.as_ref() != Some(told) || now.0 - until.0 >= PIECE)
        {
            gaps.push(gap(told.clone(), *until, now));
            *until = now;
            if reason.as_ref() != Some(told) {
                self.open = None;
            }
        }
        if self.open.is_none()
            && let Some(reason) = reason
        {
            // It has been so since the last sample at most.
            gaps.push(gap(reason.clone(), self.last.unwrap_or(now), now));
            self.open = Some((reason, now));
        }
        self.last = Some(now);
        gaps.retain(|gap| gap.to.is_none_or(|to| gap.from <= to));
        gaps
    }

    /// Forgets the moments: another run begins, on another clock.
    pub(crate) fn restart(&mut self) {
        *self = Self::default();
    }
}

/// Names who is unreadable.
fn reason(probe: &Probe) -> Option<String> {
    let entries = probe.unreadable();
    if entries.is_empty() {
        return None;
    }
    let name =
        |entry: &super::Entry| format!("{} ({})", entry.who.pid.0, entry.comm.as_bytes().escape_ascii());
    let names: Vec<_> = entries.iter().take(NAMED).map(name).collect();
    let more = match entries.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!("unreadable: processes {}{more} did not answer in time", names.join(", ")))
}

fn gap(reason: String, from: WallMicros, to: WallMicros) -> Gap {
    let source = Some(Source::Process);
    Gap { source, severity: Severity::Thin, reason, from, to: Some(to), lost: None }
}
