//! The hasher: a thread that reads what others wait for, the smallest file first, slowly.
//!
//! A file is opened as soon as the thread comes by, not when its turn to be read comes: so a program that runs shortly, or
//! whose file is removed, can be read at leisure. What changes while it is read is not answered.

use super::{Asking, MOST_BYTES, Programs, State, file_id, file_id::FileId, open_asking};
use pofr_core::digest::Sha256;
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    time::{ClockId, clock_gettime},
};
use sha2::{Digest as _, Sha256 as Digest};
use std::{
    collections::HashMap,
    os::fd::{AsFd as _, OwnedFd},
    sync::PoisonError,
    time::{Duration, Instant},
};

/// Bytes a second at most, whatever they cost.
const BYTES_A_SECOND: u64 = 16 << 20;
/// Bytes read at a time.
const CHUNK: usize = 128 << 10;
/// Files that are kept open at a time.
const MOST_OPEN: usize = 32;
/// How many turns to be read, each a chunk, pass between looks at what else is asked for.
const LOOK_EVERY: u32 = 4;

/// What became of a file.
enum Outcome {
    /// Its digest, or that it will have none.
    Known(Option<Sha256>),
    /// Nobody who asked is there any more, or it changed: whoever asks next asks anew.
    Lost,
}

/// A file on its way.
struct Reading {
    file: OwnedFd,
    digest: Digest,
    read: u64,
}

/// Reads for as long as `programs` has not been stopped.
pub(super) fn run(programs: &Programs, proc: &OwnedFd) {
    // The recorder's own thread may run at once; this one need not. What cannot be set stays.
    let _ = crate::sys::run_in_turn();
    let _ = rustix::process::nice(10);
    let mut open: HashMap<FileId, Reading> = HashMap::new();
    let mut buffer = vec![0; CHUNK];
    while let Some(asked) = wait(programs, &open) {
        let found = open_all(proc, asked, &mut open);
        settle(programs, found);
        for _ in 0..LOOK_EVERY {
            let Some(smallest) = open.keys().min_by_key(|file| file.size).copied() else { break };
            let turn = Turn::begin();
            let reading = open.get_mut(&smallest).expect("it is among them");
            let read = rustix::io::read(&reading.file, &mut buffer);
            let outcome = match read {
                Ok(0) => Some(finish(&smallest, open.remove(&smallest).expect("it is among them"))),
                Ok(n) => {
                    reading.digest.update(&buffer[..n]);
                    reading.read += n as u64;
                    // It grows: then it is not what it was.
                    (reading.read > smallest.size).then_some(Outcome::Lost)
                }
                Err(Errno::INTR) => None,
                Err(_) => Some(Outcome::Known(None)),
            };
            if let Some(outcome) = outcome {
                open.remove(&smallest);
                settle(programs, vec![(smallest, outcome)]);
            }
            rest(programs, turn.over(programs.share(), read.unwrap_or(0)), proc, &mut open);
        }
    }
}

/// Returns the digest, where the file is still what was asked for.
fn finish(asked: &FileId, reading: Reading) -> Outcome {
    let same = FileId::of_open(&reading.file).is_ok_and(|now| now == *asked);
    if same && reading.read == asked.size {
        Outcome::Known(Some(Sha256(reading.digest.finalize().into())))
    } else {
        Outcome::Lost
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
fn rest(programs: &Programs, until: Instant, proc: &OwnedFd, open: &mut HashMap<FileId, Reading>) {
    loop {
        let state = programs.state();
        let asked = new(&state, open);
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
        let found = open_all(proc, asked, open);
        settle(programs, found);
    }
}

/// Returns who waits for files that are not open yet, as many as there is room for.
fn new(state: &State, open: &HashMap<FileId, Reading>) -> Vec<(FileId, Vec<Asking>)> {
    let room = MOST_OPEN.saturating_sub(open.len());
    let new = state.waiting.iter().filter(|(file, _)| !open.contains_key(*file));
    new.take(room).map(|(file, asking)| (*file, asking.clone())).collect()
}

/// Opens what is asked for; returns the files of which the answer is known already: that there will be none.
fn open_all(
    proc: &OwnedFd,
    asked: Vec<(FileId, Vec<Asking>)>,
    open: &mut HashMap<FileId, Reading>,
) -> Vec<(FileId, Outcome)> {
    let mut settled = Vec::new();
    for (file, asking) in asked {
        let opened = asking.iter().find_map(|asking| {
            let dir = open_asking(proc.as_fd(), asking)?;
            if file.size > MOST_BYTES || file.is_remote(&mounts(&dir)) {
                return Some(None);
            }
            let opened = file_id::open_program(dir.as_fd()).ok()?;
            FileId::of_open(&opened).is_ok_and(|now| now == file).then_some(Some(opened))
        });
        match opened {
            Some(Some(opened)) => {
                open.insert(file, Reading { file: opened, digest: Digest::new(), read: 0 });
            }
            Some(None) => settled.push((file, Outcome::Known(None))),
            None => settled.push((file, Outcome::Lost)),
        }
    }
    settled
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

/// One turn of reading, and the rest after it.
struct Turn {
    began: Instant,
    cpu: Duration,
}

impl Turn {
    fn begin() -> Self {
        Self { began: Instant::now(), cpu: cpu() }
    }

    /// Returns when what was used is within the share of a core, millionths, and the bytes within theirs.
    fn over(self, share: u64, bytes: usize) -> Instant {
        let used = cpu().saturating_sub(self.cpu).as_micros();
        let for_cpu = used.saturating_mul(1_000_000) / u128::from(share.max(1));
        let for_bytes = bytes as u128 * 1_000_000 / u128::from(BYTES_A_SECOND);
        let due = Duration::from_micros(u64::try_from(for_cpu.max(for_bytes)).unwrap_or(u64::MAX));
        // A clock of CPU time that jumps must not put it to sleep for good.
        self.began + due.min(Duration::from_secs(1))
    }
}

/// Returns the CPU time of this thread.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
