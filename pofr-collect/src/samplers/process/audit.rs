//! The rolling audit: every process is read within half a minute, though nothing says that it changed.
//!
//! That bounds how old the name of a file can be which another process renamed or removed, and it counts what skipping missed.
//! Where the reading differs from what was believed, three things may be behind it:
//!
//! - a *race*: the process, or one on which it depends, ran after the figures of this tick were asked for. The next tick would
//!   have found it;
//! - *others*: only names differ (of files, program, directory, control group), and what is behind the descriptors is the same;
//! - a *miss*: the rule for skipping was wrong.
//!
//! The last two may have been so since the process was last read, and are reported with that stamp and a thin gap from it.

use super::{
    files::Behind,
    incremental::{Incremental, Tick},
    known::{Due, Known},
    look::Seen,
    prints::Prints,
};
use crate::figures::Told;
use pofr_core::{
    Source,
    gap::{Gap, Severity},
    time::WallMicros,
};
use rustix::io::Errno;

/// Within this every process is read, µs.
const WITHIN: i64 = 30_000_000;
/// How long after it was last read a process is read at the latest, if ticks are frequent, µs; and how much earlier at the
/// earliest, so that not all that were read at once are again.
const AFTER: i64 = 29_800_000;
const SPREAD: i64 = 1_000_000;

/// What an audit found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Race,
    ByOthers,
    Miss,
}

/// What was found in one tick.
#[derive(Debug, Default)]
struct Findings {
    misses: u64,
    by_others: u64,
    /// The earliest of the stamps at which those processes were last read.
    since: Option<WallMicros>,
}

impl Known {
    /// Plans when to audit a process that is read now. Those seen for the first time, perhaps all at once, are spread over the
    /// whole time.
    pub(super) fn plan_audit(&mut self, now: i64, new: bool) {
        let spread = if new { AFTER } else { SPREAD };
        // Fibonacci hashing: neighbouring numbers come far apart.
        let turn = (i64::from(self.pid.wrapping_mul(0x9e37_79b9) >> 12) * spread) >> 20;
        (self.looked_boot, self.audit_at) = (now, now + AFTER - turn);
    }

    fn is_audit_due(&self, now: i64, next: i64) -> bool {
        self.due == Due::Not && !self.put_off && (now >= self.audit_at || next > self.looked_boot + WITHIN)
    }
}

impl Incremental {
    /// Reads those processes whose turn it is.
    pub(super) fn audit(&mut self, tick: &mut Tick<'_>) -> Result<(), Errno> {
        let next = tick.now + self.last.map_or(0, |last| tick.now - last);
        let mut findings = Findings::default();
        for at in 0..self.table.len() {
            if self.table[at].is_audit_due(tick.now, next) {
                self.audit_one(at, &mut findings, tick)?;
            }
        }
        tick.out.audit.misses += findings.misses;
        tick.out.audit.by_others += findings.by_others;
        if let Some(from) = findings.since {
            let Findings { misses, by_others, .. } = findings;
            tick.out.gaps.push(Gap {
                source: Some(Source::Process),
                severity: Severity::Thin,
                reason: format!(
                    "the audit found {} processes changed since they were last read: {by_others} renamed by others, {misses} missed",
                    misses + by_others
                ),
                from,
                to: Some(tick.stamp),
                lost: None,
            });
        }
        Ok(())
    }

    fn audit_one(&mut self, at: usize, findings: &mut Findings, tick: &mut Tick<'_>) -> Result<(), Errno> {
        let before = tick.out.facts.len();
        let Some((_, seen)) = self.read(at, tick)? else {
            self.lose(at, tick);
            return Ok(());
        };
        if self.table[at].left_out || seen.process.is_none() || seen.start != self.table[at].start {
            self.take(at, seen, before, None, tick);
            return Ok(());
        }
        tick.out.audit.looks += 1;
        let mut since = None;
        let mut seen = seen;
        let is_same = self.prints(&seen, before, tick).whole == self.table[at].prints.whole;
        // What is behind names that have not changed is what was.
        let behind = match self.table[at].behind {
            Some(behind) if is_same => Some(behind),
            _ => seen.behind.or_else(|| self.look.answers.behind(tick.view, seen.speaker)),
        };
        if !is_same {
            if self.has_moved(at) {
                // A race; the figures of this tick stay, so that it is read again in the next.
            } else {
                tick.out.facts.truncate(before);
                let Some((_, second)) = self.read(at, tick)? else {
                    self.lose(at, tick);
                    return Ok(());
                };
                seen = second;
                let verdict = self.judge_finding(at, &seen, before, behind, tick);
                tracing::debug!(pid = self.table[at].pid, ?verdict, "the audit found a change");
                if verdict != Verdict::Race {
                    since = Some(self.table[at].looked);
                    findings.add(verdict, self.table[at].looked);
                }
            }
        }
        self.take(at, seen, before, since, tick);
        self.table[at].behind = behind;
        Ok(())
    }

    fn prints(&self, seen: &Seen, before: usize, tick: &Tick<'_>) -> Prints {
        let files = &tick.out.facts[before..];
        seen.process.as_ref().map(|process| self.printer.take(process, files)).unwrap_or_default()
    }

    /// Says what is behind a finding that a second look confirms.
    fn judge_finding(
        &mut self,
        at: usize,
        seen: &Seen,
        before: usize,
        behind: Option<Behind>,
        tick: &Tick<'_>,
    ) -> Verdict {
        if self.has_moved(at) {
            return Verdict::Race;
        }
        let prints = self.prints(seen, before, tick);
        let known = &self.table[at];
        if prints.whole == known.prints.whole || seen.moving {
            return Verdict::Race;
        }
        let other_parent = seen.ppid.0 != known.ppid;
        let other_terminal = seen.process.as_ref().is_some_and(|p| p.key.tty != known.tty);
        let (own, ppid, session) = (known.prints.own, known.ppid, known.session);
        let (was_behind, pid) = (known.behind, known.pid);
        // A parent that has ended since, or a session's leader that has run, explains itself.
        if other_parent && !self.have_moved(&[ppid]) {
            return Verdict::Miss;
        }
        if other_terminal && (session == pid || !self.have_moved(&[session])) {
            return Verdict::Miss;
        }
        let is_replaced = || was_behind.zip(behind).is_some_and(|(was, is)| was.is_not(is));
        match () {
            () if prints.own != own || is_replaced() => Verdict::Miss,
            () if other_parent || other_terminal => Verdict::Race,
            () => Verdict::ByOthers,
        }
    }

    /// Tells whether a process, or one that it shares something with, has run since it was asked for in this tick.
    fn has_moved(&mut self, at: usize) -> bool {
        let known = &self.table[at];
        let (pid, group) = (known.pid, known.group);
        let of_group = self.table.iter().filter(|k| k.pid == pid || (group != 0 && k.group == group));
        let mut pids: Vec<u32> = of_group.map(Known::counted).collect();
        pids.sort_unstable();
        pids.dedup();
        self.have_moved(&pids)
    }

    /// Tells whether one of these has run since it was asked for in this tick, or ended.
    fn have_moved(&mut self, pids: &[u32]) -> bool {
        let mut told = Vec::new();
        if self.ran.of_processes(pids, &mut told).is_err() {
            return false;
        }
        pids.iter().zip(told).any(|(pid, told)| {
            let known = self.table.binary_search_by_key(pid, |known| known.pid).map(|at| &self.table[at]);
            match (known, told) {
                (Ok(known), Told::Figures(figures)) => figures != known.figures || known.gone,
                (_, Told::Gone) => true,
                _ => false,
            }
        })
    }
}

impl Findings {
    fn add(&mut self, verdict: Verdict, looked: WallMicros) {
        match verdict {
            Verdict::Miss => self.misses += 1,
            Verdict::ByOthers => self.by_others += 1,
            Verdict::Race => return,
        }
        self.since = Some(self.since.map_or(looked, |since| since.min(looked)));
    }
}
