//! The hasher: a thread that has read what others wait for, the smallest file first, slowly.
//!
//! A file is opened as soon as the thread comes by, not when its turn to be read comes: so a program that runs shortly, or
//! whose file is removed, can be read at leisure. What changes while it is read is not answered.
//!
//! A [`probe`](crate::probe)'s child opens and reads, since a file may lie on a filesystem that never answers. What does not move for
//! [`PATIENCE`] gets no digest, and what else that child had open is asked for anew.

use super::{Asking, MOST_BYTES, Programs, State, file_id::FileId, open_asking};
use crate::{
    HostView,
    probe::{Answer, Ask, Probe, Reply, SLOTS},
};
use pofr_core::digest::Sha256;
use rustix::fs::{Mode, OFlags};
use std::{
    collections::HashMap,
    os::fd::{AsFd as _, OwnedFd},
    sync::PoisonError,
    time::{Duration, Instant},
};

/// Bytes a second at most, whatever they cost.
const BYTES_A_SECOND: u64 = 16 << 20;
/// How many turns to be read, each a piece, pass between looks at what else is asked for.
const LOOK_EVERY: u32 = 4;
/// How long opening a file, or reading a piece of it, may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// What became of a file.
enum Outcome {
    /// Its digest, or that it will have none.
    Known(Option<Sha256>),
    /// Nobody who asked is there any more, or it changed: whoever asks next asks anew.
    Lost,
}

/// A file on its way.
struct Reading {
    /// Under which number the child has it.
    slot: usize,
    /// Whose program it is.
    pid: u32,
    read: u64,
}

/// What is read, and by whom.
struct Desk {
    proc: OwnedFd,
    probe: Probe,
    open: HashMap<FileId, Reading>,
}

/// Reads for as long as `programs` has not been stopped.
pub(super) fn run(programs: &Programs, view: &HostView) {
    // The recorder's own thread may run at once; this one need not, and neither its child. What cannot be set stays.
    let _ = crate::sys::run_in_turn();
    let _ = rustix::process::nice(10);
    let Ok(proc) = view.open_proc(OFlags::PATH) else { return };
    let Ok(probe) = Probe::new(view, false) else { return };
    let mut desk = Desk { proc, probe, open: HashMap::new() };
    while let Some(asked) = wait(programs, &desk.open) {
        let found = desk.open_all(programs, asked);
        settle(programs, found);
        for _ in 0..LOOK_EVERY {
            let Some(smallest) = desk.open.keys().min_by_key(|file| file.size).copied() else { break };
            let began = Instant::now();
            let (outcome, bytes, cpu) = desk.read_on(programs, &smallest);
            if let Some(outcome) = outcome {
                desk.open.remove(&smallest);
                settle(programs, vec![(smallest, outcome)]);
            }
            rest(programs, began + due(programs.share(), cpu, bytes), &mut desk);
        }
    }
}

impl Desk {
    /// Asks the child; where it does not answer, forgets what it had open.
    fn ask(&mut self, programs: &Programs, ask: Ask<'_>) -> Option<Answer> {
        self.probe.begin();
        match self.probe.ask_one(ask, PATIENCE) {
            Reply::Answered(answer) => Some(answer),
            Reply::Unreadable => {
                let lost = std::mem::take(&mut self.open);
                settle(programs, lost.into_keys().map(|file| (file, Outcome::Lost)).collect());
                None
            }
        }
    }

    /// Reads the next piece of a file; returns what became of it if that was the last, how many bytes that were, and what CPU time it
    /// took, µs.
    fn read_on(&mut self, programs: &Programs, file: &FileId) -> (Option<Outcome>, u64, u64) {
        let Some(Reading { slot, pid, .. }) = self.open.get(file) else { return (Some(Outcome::Lost), 0, 0) };
        let (slot, pid) = (*slot, *pid);
        match self.ask(programs, Ask::Read { pid, slot }) {
            Some(Answer::Read(Ok(0), cpu)) => (Some(self.finish(programs, file, pid, slot)), 0, cpu),
            Some(Answer::Read(Ok(bytes), cpu)) => {
                let read = self.open.get_mut(file).map_or(0, |reading| {
                    reading.read += bytes;
                    reading.read
                });
                // It grows: then it is not what it was.
                let grows = (read > file.size).then(|| {
                    self.ask(programs, Ask::Finish { pid, slot });
                    Outcome::Lost
                });
                (grows, bytes, cpu)
            }
            Some(_) => {
                self.ask(programs, Ask::Finish { pid, slot });
                (Some(Outcome::Known(None)), 0, 0)
            }
            None => {
                programs.give_up();
                (Some(Outcome::Known(None)), 0, 0)
            }
        }
    }

    /// Returns the digest, where the file is still what was asked for.
    fn finish(&mut self, programs: &Programs, asked: &FileId, pid: u32, slot: usize) -> Outcome {
        let read = self.open.get(asked).map_or(0, |reading| reading.read);
        match self.ask(programs, Ask::Finish { pid, slot }) {
            Some(Answer::Finished(Some((now, sha256)))) if now == *asked && read == asked.size => {
                Outcome::Known(Some(sha256))
            }
            _ => Outcome::Lost,
        }
    }

    /// Opens what is asked for; returns the files of which the answer is known already: that there will be none.
    fn open_all(&mut self, programs: &Programs, asked: Vec<(FileId, Vec<Asking>)>) -> Vec<(FileId, Outcome)> {
        let open = |(file, asking): (FileId, Vec<Asking>)| {
            // Each who asks leads to the file; some may be gone, or run another by now.
            let tried = asking.iter().find_map(|asking| self.open_one(programs, &file, asking));
            tried.unwrap_or(Some(Outcome::Lost)).map(|outcome| (file, outcome))
        };
        asked.into_iter().filter_map(open).collect()
    }

    /// Opens the program of who asks. `None` where that does not lead to the file; else what became of it, if that is known.
    fn open_one(&mut self, programs: &Programs, file: &FileId, asking: &Asking) -> Option<Option<Outcome>> {
        let dir = open_asking(self.proc.as_fd(), asking)?;
        if file.size > MOST_BYTES || file.is_remote(&mounts(&dir)) {
            return Some(Some(Outcome::Known(None)));
        }
        let pid = asking.entity.pid().0;
        let slot = (0..SLOTS).find(|slot| self.open.values().all(|reading| reading.slot != *slot))?;
        match self.ask(programs, Ask::Open { pid, slot }) {
            Some(Answer::Opened(Ok(now))) if now == *file => {
                self.open.insert(*file, Reading { slot, pid, read: 0 });
                Some(None)
            }
            Some(_) => None,
            None => {
                programs.give_up();
                Some(Some(Outcome::Known(None)))
            }
        }
    }
}

/// Waits until there is something to do; returns who waits for files that are not open yet, as many as there is room for.
/// `None`: stop.
fn wait(programs: &Programs, open: &HashMap<FileId, Reading>) -> Option<Vec<(FileId, Vec<Asking>)>> {
    let mut state = programs.state();
    loop {
        if state.stopped {
            return None;
        }
        let asked = new(&state, open);
        if !asked.is_empty() || !open.is_empty() {
            return Some(asked);
        }
        state = programs.0.wanted.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Rests until then, but for opening what is asked for meanwhile: who asks may be gone soon.
fn rest(programs: &Programs, until: Instant, desk: &mut Desk) {
    loop {
        let state = programs.state();
        let asked = new(&state, &desk.open);
        if state.stopped || Instant::now() >= until {
            return;
        }
        if asked.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            let woken = programs.0.wanted.wait_timeout(state, left);
            drop(woken.unwrap_or_else(PoisonError::into_inner));
            continue;
        }
        drop(state);
        let found = desk.open_all(programs, asked);
        settle(programs, found);
    }
}

/// Returns who waits for files that are not open yet, as many as there is room for.
fn new(state: &State, open: &HashMap<FileId, Reading>) -> Vec<(FileId, Vec<Asking>)> {
    let room = SLOTS.saturating_sub(open.len());
    let new = state.waiting.iter().filter(|(file, _)| !open.contains_key(*file));
    new.take(room).map(|(file, asking)| (*file, asking.clone())).collect()
}

fn mounts(dir: &OwnedFd) -> Vec<u8> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let mut text = Vec::new();
    if let Ok(file) = rustix::fs::openat(dir, c"mountinfo", flags, Mode::empty()) {
        // Unread, it names no device: local.
        let _ = std::io::Read::read_to_end(&mut std::fs::File::from(file), &mut text);
    }
    text
}

/// Writes down what came out.
fn settle(programs: &Programs, settled: Vec<(FileId, Outcome)>) {
    let mut state = programs.state();
    for (file, outcome) in settled {
        match outcome {
            Outcome::Known(sha256) => state.answer(file, sha256),
            Outcome::Lost => {
                state.waiting.remove(&file);
            }
        }
    }
}

/// Returns how long after a piece was begun the next may be, so that CPU time is within its share of a core, millionths, and the
/// bytes within theirs.
fn due(share: u64, cpu: u64, bytes: u64) -> Duration {
    let for_cpu = cpu.saturating_mul(1_000_000) / share.max(1);
    let for_bytes = bytes.saturating_mul(1_000_000) / BYTES_A_SECOND;
    // A clock of CPU time that jumps must not put it to sleep for good.
    Duration::from_micros(for_cpu.max(for_bytes)).min(Duration::from_secs(1))
}
