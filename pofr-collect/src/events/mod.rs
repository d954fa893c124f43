//! Event sources: one file or folder each, and a line in [`BUILT_IN`]; waiting for them, draining them, counting what they lose.
//!
//! A source that the kernel refuses when it is made, or that breaks, is left out, and every bundle from then on says so at its head
//! in a thin gap: the samples go on without it.

pub mod files;
mod left_out;
pub(crate) mod login;
pub(crate) mod process;
pub mod sockets;

pub use files::{FileEvents, Watch};
pub use login::LoginEvents;
pub use process::ProcessEvents;
pub use sockets::SocketEvents;

use crate::HostView;
use pofr_core::{
    EventSource, Source,
    collector::{CollectError, Notice, Observation},
    gap::{Gap, Severity},
    time::WallMicros,
};
use std::{collections::BTreeMap, os::fd::BorrowedFd};

/// The event sources of this crate. Only a live host has any.
pub const BUILT_IN: [Make; 3] = [process::make, crate::programs::make, login::make];

/// Those that want a right when they are opened which a program may have given up before the others are: CAP_NET_BROADCAST.
pub const OPENED_FIRST: [Make; 1] = [sockets::make];

/// Makes an event source: its name, and the source or why there is none.
pub type Make = fn(&HostView) -> (&'static str, Result<Box<dyn EventSource>, CollectError>);

/// The event sources of a recorder.
pub(crate) struct EventSources {
    working: Vec<Box<dyn EventSource>>,
    /// Those that broke: name and what they said.
    broken: Vec<(String, String)>,
    losses: BTreeMap<String, u64>,
    losses_ever: BTreeMap<String, u64>,
}

impl EventSources {
    /// Makes them of those that work, and of the names of those that do not with what they said.
    pub(crate) fn new(working: Vec<Box<dyn EventSource>>, broken: Vec<(String, String)>) -> Self {
        Self { working, broken, losses: BTreeMap::new(), losses_ever: BTreeMap::new() }
    }

    /// Returns the descriptors to wait on.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.working.iter().map(|source| source.descriptor())
    }

    /// Takes all that is waiting, from all sources.
    pub(crate) fn drain(&mut self, now: WallMicros, out: &mut Vec<Notice>) {
        self.each(now, out, |source, out| source.drain(out));
    }

    /// Takes from all sources what must be told before what was read.
    pub(crate) fn settle(&mut self, now: WallMicros, of: &Source, seen: &Observation, out: &mut Vec<Notice>) {
        self.each(now, out, |source, out| source.settle(of, seen, out));
    }

    fn each(
        &mut self,
        now: WallMicros,
        out: &mut Vec<Notice>,
        ask: impl Fn(&mut dyn EventSource, &mut Vec<Notice>) -> Result<(), CollectError>,
    ) {
        let (broken, losses, ever) = (&mut self.broken, &mut self.losses, &mut self.losses_ever);
        self.working.retain_mut(|source| {
            let before = out.len();
            let result = ask(source.as_mut(), out);
            for notice in &out[before..] {
                if let Notice::Lost(gap) = notice {
                    // A loss that cannot be counted is one at least.
                    let lost = gap.lost.unwrap_or(1);
                    *losses.entry(source.name().to_owned()).or_default() += lost;
                    *ever.entry(source.name().to_owned()).or_default() += lost;
                }
            }
            let Err(error) = result else { return true };
            tracing::warn!("event source {} is broken: {error}", source.name());
            broken.push((source.name().to_owned(), error.to_string()));
            out.extend(broken.last().map(|(name, why)| Notice::Lost(standing(name, why, now))));
            false
        });
    }

    /// Returns what the head of a bundle must say of sources that broke before it.
    pub(crate) fn standing_gaps(&self, now: WallMicros) -> impl Iterator<Item = Gap> {
        self.broken.iter().map(move |(name, why)| standing(name, why, now))
    }

    /// Returns how the sources work that do not work as usual, by name.
    pub(crate) fn notes(&self) -> impl Iterator<Item = (String, String)> {
        let working = self.working.iter().filter_map(|s| Some((s.name().to_owned(), s.note()?)));
        working.chain(self.broken.iter().cloned()).map(|(name, note)| (name, crate::recorder::reason(note)))
    }

    /// Returns what was lost since the recorder was made, by the sources' names.
    pub(crate) const fn losses_ever(&self) -> &BTreeMap<String, u64> {
        &self.losses_ever
    }

    /// Returns what was lost since this was last asked, by the sources' names.
    pub(crate) fn take_losses(&mut self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.losses)
    }
}

/// Returns the real user of a process of which this is the `status`: `Uid: 1000 0 0 0`, with tabs (proc_pid_status(5)).
fn real_user(status: &[u8]) -> Option<u32> {
    let ids = status.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"Uid:\t"))?;
    crate::sys::parse(ids.split(|b| *b == b'\t').next()?)
}

fn standing(name: &str, why: &str, from: WallMicros) -> Gap {
    Gap {
        source: None,
        severity: Severity::Thin,
        reason: crate::recorder::reason(format!("event source {name} does not work: {why}")),
        from,
        to: None,
        lost: None,
    }
}
