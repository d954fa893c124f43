//! The spool: where the record waits to be sent, and what it survives.
//!
//! A directory holds sealed bundles under their names, and in `.open` the one that is being written, as a file that grows by whole
//! zstd frames, at least one a second. The state directory, which may be on another medium, holds the numbers:
//!
//! 1. `state.json` says "bundle 7 is begun"; then `.open/7.frames` is made and grows.
//! 2. The finished tar is written to `.open/7.sealing`.
//! 3. `state.json` says "bundle 7 is the head of the chain, its sha256 is …"; then the tar gets its name, the frames go.
//!
//! Each step is on the medium before the next begins, so whoever is killed anywhere leaves either a number without a bundle, which
//! the next bundle names as missing, or frames, which the next recorder seals as an incomplete bundle. In both cases its first
//! record is a blind gap from the last stamp there is to its own first. The open file is not fsynced while it grows: a kill loses a
//! second at most, a power cut what the medium had not yet written.
//!
//! Where a step finds no room, in the spool or for the state, the record goes on in memory (`room`), and nothing later is done
//! before it:
//!
//! - While `state.json` does not say that bundle 7 is begun, nothing of it is written, so nobody has seen it, and after a kill its
//!   number can be used for another.
//! - A bundle that is sealed and has no room is in `state.json` as one in memory: then its frames go, which makes room for it. After
//!   a kill it is named as missing. While `state.json` cannot say that, its frames stay, and after a kill they are sealed.
//! - It is said to be in the spool when all of it is written to `.open/7.sealing`; after a kill between that and its name, the next
//!   recorder gives it its name.
//! - A bundle that goes from a full spool goes once `state.json` says so, and stays while it cannot.
//!
//! The spool may be bounded; then one bundle after the other goes (`eviction`), and the next bundle names it.
//!
//! Whoever ships the bundles, perhaps as another user, reads them where they are and says in `.acked` which the server has;
//! those are removed. With a [`Signer`] every manifest is signed, also of a bundle that was left open.

mod acked;
mod aside;
mod durable;
mod eviction;
mod identity;
mod open_bundle;
mod recover;
mod remains;
mod room;
mod sealing;
mod signer;
mod state;
mod status;

pub(crate) use acked::ACKED;
pub use acked::share_spool;
pub use identity::own_client_id;
pub use signer::Signer;
pub use status::{LastBundle, SpoolStatus};

use crate::{HostView, client_id};
use open_bundle::OpenBundle;
use pofr_core::{
    Sink,
    collector::{Closing, Opening},
    gap::{Gap, Severity},
    identity::{BundleSeq, Cid},
    limits,
    record::Record,
    time::WallMicros,
    wire::v2::{Header, WireError},
};
use room::{Reserve, Spare, Trouble, at, is_room};
use sealing::Unwritten;
use state::{Missing, State};
use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// What goes wrong with a spool.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// A file or directory.
    #[error("cannot {action} {path}: {cause}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        cause: io::Error,
    },
    /// Another recorder is at work.
    #[error("{0} is in use by another recorder")]
    Locked(PathBuf),
    /// The state file is newer than this program.
    #[error("{path} is not the state of a recorder: {detail}")]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The machine has no id that could name a client.
    #[error(transparent)]
    ClientId(#[from] client_id::ClientIdError),
    /// A bundle could not be made.
    #[error("bundle: {0}")]
    Wire(#[from] WireError),
    /// A record came while no bundle was open.
    #[error("no bundle is open")]
    NotOpen,
    /// The last of the record could not be written.
    #[error("no room to the last: {bundles} bundles could not be written: {why}")]
    NoRoom {
        /// How many sealed bundles were in memory.
        bundles: usize,
        /// What failed.
        why: String,
    },
}

impl SpoolError {
    fn io(action: &'static str, path: &Path, cause: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), cause }
    }
}

/// Where and how much to keep.
#[derive(Clone, Debug)]
pub struct SpoolSettings {
    /// Where sealed bundles are.
    pub dir: PathBuf,
    /// Where numbers and chain head are kept; it must survive a boot if the record is to say what did not.
    pub state_dir: PathBuf,
    /// How many bytes of bundles to keep, and no more than half of the file system; `None` for any number. The newest bundle stays in
    /// any case.
    pub max_bytes: Option<u64>,
    /// The client's id, where it has been registered; else one is made and kept in the state.
    pub cid: Option<Cid>,
    /// Who signs the bundles; `None` leaves them unsigned.
    pub signer: Option<Arc<dyn Signer>>,
}

impl SpoolSettings {
    /// Keeps everything in `dir`, the state below it in `.state`.
    #[must_use]
    pub fn beside(dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        Self { state_dir: dir.join(".state"), dir, max_bytes: None, cid: None, signer: None }
    }

    fn open_dir(&self) -> PathBuf {
        self.dir.join(".open")
    }
}

/// A spool, locked for as long as this lives.
#[derive(Debug)]
pub struct Spool {
    settings: SpoolSettings,
    state: State,
    /// Whether the state is newer than what the medium has of it.
    unsaved: bool,
    open: Option<OpenBundle>,
    /// Sealed bundles for which there was no room yet, the oldest first: `state.in_memory`.
    memory: VecDeque<Unwritten>,
    /// Files that go when the state is saved.
    leftovers: Vec<PathBuf>,
    trouble: Option<Trouble>,
    /// What is to be said at the beginning of the next bundle.
    to_say: Vec<String>,
    /// The last stamp.
    now: WallMicros,
    reserve: Reserve,
    spare: Spare,
    /// How many bytes the spool may have.
    max: Option<u64>,
    /// Up to where a recorder before this one got; told with the first bundle.
    before: Option<WallMicros>,
    /// Whether the spool had no mark: it is new, or was lost.
    fresh: bool,
    /// The mark that there was no room for yet.
    unmarked: Option<String>,
    bytes_sealed: u64,
    /// Bundles dropped because the spool was full.
    dropped: u64,
    /// Of the state and, once there is room for it, of the spool.
    locks: Vec<durable::Lock>,
}

impl Spool {
    /// Opens a spool, makes it where there is none, and recovers what an earlier recorder left.
    ///
    /// # Errors
    /// [`SpoolError`] where it is in use, cannot be written, or a later version wrote its state. That there is no room in the spool is
    /// no error: then the record is held in memory. Nor is a damaged file: it is set aside, and the next bundle says so.
    pub fn open(view: &HostView, settings: SpoolSettings) -> Result<Self, SpoolError> {
        let lock = lock(&settings.state_dir)?;
        let state = State::load(
            &settings,
            || client_id::random_mark().map_err(|cause| SpoolError::io("make", &settings.state_dir, cause)),
            || settings.cid.clone().map_or_else(|| Ok(client_id::make(view)?), Ok),
        )?;
        let mut spool = Self {
            reserve: Reserve::new(&settings.open_dir(), settings.max_bytes),
            max: settings.max_bytes,
            settings,
            state,
            unsaved: true,
            open: None,
            memory: VecDeque::new(),
            leftovers: Vec::new(),
            trouble: None,
            to_say: Vec::new(),
            now: view.clock.now(),
            spare: Spare::default(),
            before: None,
            fresh: false,
            unmarked: None,
            bytes_sealed: 0,
            dropped: 0,
            locks: vec![lock],
        };
        for step in [Self::prepare, Self::recover] {
            match step(&mut spool) {
                Err(error) if is_room(&error) => spool.no_room(&error),
                other => other?,
            }
        }
        spool.before = spool.state.last_stamp.map(WallMicros);
        spool.bytes_sealed = 0;
        spool.reserve.take();
        Ok(spool)
    }

    /// Makes and locks the directories of the spool, where that has not been done.
    fn prepare(&mut self) -> Result<(), SpoolError> {
        if self.locks.len() < 2 {
            let lock = lock(&self.settings.open_dir())?;
            let acked = self.settings.dir.join(ACKED);
            durable::make_dir(&acked).map_err(at("make", &acked))?;
            self.locks.push(lock);
            self.max = room::cap(&self.settings.dir, self.settings.max_bytes);
        }
        self.write_mark()
    }

    /// Has the next bundle say something about the recording that is no loss: a thin gap of no length.
    pub fn say(&mut self, what: String) {
        self.to_say.push(what);
    }

    /// Returns the client's id.
    #[must_use]
    pub fn cid(&self) -> Cid {
        self.settings.cid.clone().unwrap_or_else(|| self.state.cid())
    }

    /// Returns the bytes of all bundles sealed since the spool was opened.
    #[must_use]
    pub const fn bytes_sealed(&self) -> u64 {
        self.bytes_sealed
    }

    /// Returns the sealed bundles that wait here, the oldest first.
    pub fn bundles(&self) -> impl Iterator<Item = PathBuf> {
        self.state.held.iter().map(|held| self.settings.dir.join(&held.name)).filter(|path| path.exists())
    }

    fn frames_path(&self, seq: u64) -> PathBuf {
        self.settings.open_dir().join(format!("{seq}.frames"))
    }

    fn sealing_path(&self, seq: u64) -> PathBuf {
        self.settings.open_dir().join(format!("{seq}.sealing"))
    }

    /// Makes a frame of what waits, and writes it if there is room.
    fn flush(&mut self) -> Result<(), SpoolError> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.frame()?;
        self.write_out(false);
        Ok(())
    }

    /// Forgets bundles that somebody has taken out of the spool.
    fn forget_taken(&mut self) {
        let dir = &self.settings.dir;
        self.state.held.retain(|held| dir.join(&held.name).exists());
    }

    /// Drops bundles as long as there is more than may be.
    fn shrink(&mut self) -> Result<(), SpoolError> {
        let Some(max) = self.max else { return Ok(()) };
        let open = open_bytes(self.open.as_ref());
        while let Some(at) = eviction::next(&self.state.held, open, max) {
            self.drop_one(at)?;
        }
        Ok(())
    }

    fn drop_one(&mut self, at: usize) -> Result<(), SpoolError> {
        let held = self.state.drop_held(at);
        // It is lost once the state says so: a kill in between leaves a bundle too many, not one that nobody misses.
        if let Err(error) = self.save() {
            self.state.keep_held(at, held);
            self.unsaved = true;
            return Err(error);
        }
        tracing::warn!("the spool is full: bundle {} is dropped", held.seq);
        self.dropped += 1;
        let path = self.settings.dir.join(&held.name);
        durable::remove(&path).map_err(|cause| SpoolError::io("remove", &path, cause))
    }

    /// Says what is not recorded of the time before this bundle.
    fn gaps(&mut self, now: WallMicros) -> Vec<Gap> {
        let down = self.before.take().map(|before| Gap {
            source: None,
            severity: Severity::Blind,
            reason: if before <= now {
                "the recorder was not running".to_owned()
            } else {
                format!(
                    "the recorder was not running; the wall clock was set back, the last stamp was {before}"
                )
            },
            from: before.min(now),
            to: Some(now),
            lost: None,
        });
        let said = std::mem::take(&mut self.to_say).into_iter().map(|what| Gap {
            source: None,
            severity: Severity::Thin,
            reason: crate::recorder::reason(what),
            from: now,
            to: Some(now),
            lost: None,
        });
        let aside = self.state.tell_aside(now);
        let missing = self.state.missing.iter().map(|missing| missing.gap(now));
        down.into_iter().chain(missing).chain(aside).chain(said).collect()
    }
}

fn open_bytes(open: Option<&OpenBundle>) -> u64 {
    open.map_or(0, OpenBundle::bytes)
}

/// Makes a directory and locks it.
fn lock(dir: &Path) -> Result<durable::Lock, SpoolError> {
    durable::make_dir(dir).map_err(at("make", dir))?;
    let path = dir.join("lock");
    let lock = durable::lock(&path).map_err(at("lock", &path))?;
    lock.ok_or_else(|| SpoolError::Locked(dir.to_owned()))
}

impl Sink for Spool {
    type Error = SpoolError;

    fn begin(&mut self, opening: &Opening) -> Result<Vec<Gap>, SpoolError> {
        if self.open.is_some() {
            // The recorder that wrote it ended with an error; another goes on with this spool.
            self.close(false, &Closing::default())?;
            self.before = self.state.last_stamp.map(WallMicros);
        }
        self.now = opening.opened_wall;
        self.state.assigned += 1;
        self.unsaved = true;
        if self.trouble.is_none() {
            self.reserve.take();
        }
        let opening = opening.clone();
        let header = Header {
            cid: self.cid(),
            run: opening.run,
            boot: opening.boot,
            seq: BundleSeq(self.state.assigned),
            previous: self.state.head_sha256(),
            zone: opening.zone,
            interval_micros: opening.interval_micros,
            opened_wall: opening.opened_wall,
            opened_boot_micros: opening.opened_boot_micros,
            recorder_pids: opening.recorder_pids,
            sources: opening.sources,
            // Those that have no room are named by the next.
            missing: (self.state.missing.iter().take(limits::MISSING.most()))
                .map(|Missing { seq, .. }| BundleSeq(*seq))
                .collect(),
        };
        self.open = Some(OpenBundle::new(&self.frames_path(self.state.assigned), header));
        self.flush()?;
        Ok(self.gaps(opening.opened_wall))
    }

    fn accept(&mut self, record: &Record) -> Result<(), SpoolError> {
        let open = self.open.as_mut().ok_or(SpoolError::NotOpen)?;
        if let Record::Sample(sample) = record {
            self.now = self.now.max(sample.stamp);
        }
        if open.push(record) { self.flush() } else { Ok(()) }
    }

    fn idle(&mut self, micros: u64) -> Result<(), SpoolError> {
        match &self.open {
            Some(open) if open.is_urgent(Duration::from_micros(micros)) => self.flush(),
            Some(_) => Ok(()),
            // What was acknowledged can go though nothing is recorded.
            None => {
                self.write_out(false);
                Ok(())
            }
        }
    }

    fn is_full(&self) -> bool {
        let in_memory = self.open.as_ref().map_or(0, OpenBundle::bytes_in_memory);
        // What waits in memory must not have to go because it is one bundle.
        open_bytes(self.open.as_ref()) >= eviction::largest_bundle(self.max) || in_memory >= room::MEMORY / 4
    }

    fn finish(&mut self, closing: &Closing) -> Result<(), SpoolError> {
        self.close(true, closing)
    }
}
