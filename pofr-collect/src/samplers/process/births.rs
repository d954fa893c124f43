//! Births: whether a process can have come since `/proc` was last listed.
//!
//! Listing it costs the kernel about 1.5 µs for each process, which is a fifth of a sample of a quiet machine. But the kernel
//! gives out numbers in turn, and tells the last one that it gave in our pid namespace, to threads too (the fifth field of
//! `/proc/loadavg`, proc(5); loadavg_proc_show in fs/proc/loadavg.c). While that is what it was before the last listing nobody
//! came, and who went is told with the figures.
//!
//! Only a process whose maker chose its number comes unannounced (`set_tid` of clone3(2), or `kernel.ns_last_pid` set back;
//! either takes CAP_CHECKPOINT_RESTORE). But the kernel also tells how many processes it has, in all namespaces, as the links to
//! `/proc` (proc_root_getattr in fs/proc/root.c). So `/proc` is listed once a second in any case where their number is not what
//! it was, and else every ten seconds, since one may have come as another went. Whoever is then found so is told as one that may
//! have been there since the last time. Where another came in between, such a process is taken to be of that moment: as much
//! late, and not said to be.

use crate::HostView;
use pofr_core::time::WallMicros;
use rustix::fs::fstat;
use std::{
    fs::{self, File},
    os::{fd::BorrowedFd, unix::fs::FileExt as _},
};

/// How long a listing may stand for the next ones, µs.
const STANDS: i64 = 1_000_000;
/// The same while there are as many processes as then.
const AS_MANY_STAND: i64 = 10_000_000;

/// What is known of who comes.
#[derive(Debug, Default)]
pub(super) struct Births {
    /// `None` where it has not been opened yet; within, where it does not tell of our namespace.
    counter: Option<Option<File>>,
    /// The number last given out when it was last asked.
    given: Option<u32>,
    /// How many links `/proc` then had.
    links: u64,
    listing: Option<Listing>,
}

/// The last listing.
#[derive(Clone, Copy, Debug)]
struct Listing {
    /// The number last given out before it.
    given: u32,
    /// How many links `/proc` had before it.
    links: u64,
    /// When, on `CLOCK_BOOTTIME`, µs, and the stamp.
    at: (i64, WallMicros),
    /// Whether it stood for a later one, too.
    stood: bool,
}

impl Births {
    /// Tells whether the last listing stands for one made `now`, as it does until the tick after. Must be asked before each
    /// listing.
    ///
    /// `proc` is the open directory.
    pub(super) fn none_since(
        &mut self,
        view: &HostView,
        proc: BorrowedFd<'_>,
        now: i64,
        last: Option<i64>,
    ) -> bool {
        self.given = self.read(view);
        self.links = fstat(proc).map(|stat| stat.st_nlink).unwrap_or_default();
        let next = now + last.map_or(0, |last| now - last);
        match &mut self.listing {
            Some(listing) if Some(listing.given) == self.given => {
                let within = if listing.links == self.links { AS_MANY_STAND } else { STANDS };
                let stands = next <= listing.at.0 + within;
                listing.stood |= stands;
                stands
            }
            _ => false,
        }
    }

    /// Takes note of a listing. Returns since when whoever is new in it may have been there, where that is not the tick before.
    pub(super) fn listed(&mut self, at: (i64, WallMicros)) -> Option<WallMicros> {
        let before = self.listing.take();
        self.listing = self.given.map(|given| Listing { given, links: self.links, at, stood: false });
        before.filter(|before| before.stood && Some(before.given) == self.given).map(|before| before.at.1)
    }

    /// Has the next tick list them in any case.
    pub(super) fn forget(&mut self) {
        self.listing = None;
    }

    fn read(&mut self, view: &HostView) -> Option<u32> {
        let counter = self.counter.get_or_insert_with(|| open(view)).as_ref()?;
        let mut line = [0; 128];
        let length = counter.read_at(&mut line, 0).ok()?;
        parse(&line[..length])
    }
}

/// Opens the counter, which is that of the reader's namespace, where `/proc` shows that very namespace: there we have one number.
fn open(view: &HostView) -> Option<File> {
    let status = fs::read_to_string(view.proc_root.join("self/status")).ok()?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    let own = numbers.split_whitespace().eq([std::process::id().to_string()]);
    File::open(view.proc_root.join("loadavg")).ok().filter(|_| own)
}

/// Reads the last number of `0.20 0.18 0.12 1/80 11206`.
fn parse(line: &[u8]) -> Option<u32> {
    crate::sys::parse(line.trim_ascii_end().rsplit(|byte| *byte == b' ').next()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd as _;

    #[test]
    fn the_last_field_is_the_number_last_given() {
        assert_eq!(parse(b"0.20 0.18 0.12 1/80 11206\n"), Some(11_206));
        assert_eq!(parse(b"0.20 0.18 0.12 1/80 \n"), None);
        assert_eq!(parse(b""), None);
    }

    fn births(given: u32, at: i64) -> Births {
        let mut births = Births { counter: Some(None), given: Some(given), ..Births::default() };
        assert_eq!(births.listed((at, WallMicros(at))), None);
        births
    }

    #[test]
    fn who_is_new_though_no_number_was_given_may_have_been_there_before() {
        let mut births = births(7, 0);
        // As if it had stood for a tick.
        births.listing.as_mut().unwrap().stood = true;
        assert_eq!(births.listed((900_000, WallMicros(900_000))), Some(WallMicros(0)));
        // It has not stood for another since.
        assert_eq!(births.listed((1_000_000, WallMicros(1_000_000))), None);
    }

    #[test]
    fn who_is_new_after_a_number_was_given_is_new() {
        let mut births = births(7, 0);
        births.listing.as_mut().unwrap().stood = true;
        births.given = Some(8);
        assert_eq!(births.listed((900_000, WallMicros(900_000))), None);
    }

    #[test]
    fn a_live_listing_stands_until_somebody_comes_or_time_is_over() {
        let view = HostView::live().unwrap();
        let proc = File::open(&view.proc_root).unwrap();
        let mut births = Births::default();
        let ask = |births: &mut Births, now, last| births.none_since(&view, proc.as_fd(), now, last);
        assert!(!ask(&mut births, 0, None), "there is no listing yet");
        assert!(births.given.is_some() && births.links > 2, "the kernel tells");
        let stands = |births: &mut Births, at, one_went| {
            // Others make processes too; in some try nobody does.
            (0..1000).any(|_| {
                ask(births, 0, None);
                births.links += u64::from(one_went);
                births.listed((0, WallMicros(0)));
                ask(births, at, Some(at - 300_000))
            })
        };
        assert!(stands(&mut births, 300_000, true));
        assert!(!stands(&mut births, 800_000, true), "the next tick comes after a second");
        assert!(stands(&mut births, 9_600_000, false));
        assert!(!stands(&mut births, 9_800_000, false), "the next tick comes after ten seconds");
        ask(&mut births, 0, None);
        births.listed((0, WallMicros(0)));
        std::process::Command::new("true").status().unwrap();
        assert!(!ask(&mut births, 300_000, Some(0)), "one came");
    }
}
