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
//! The spool may be bounded; then the oldest bundle goes first, and the next bundle names it.
//!
//! Whoever ships the bundles, perhaps as another user, reads them where they are and says in `.acked` which the server has;
//! those are removed. With a [`Signer`] every manifest is signed, also of a bundle that was left open.

mod acked;
mod durable;
mod identity;
mod open_bundle;
mod recover;
mod signer;
mod state;
mod status;

pub(crate) use acked::ACKED;
pub use acked::share_spool;
pub use identity::own_client_id;
pub use signer::Signer;
pub use status::{LastBundle, SpoolStatus};

use crate::{HostView, client_id};
use open_bundle::{FlushError, OpenBundle};
use pofr_core::{
    Sink,
    collector::{Closing, Opening},
    gap::{Gap, Severity},
    identity::{BundleSeq, Cid},
    record::Record,
    time::WallMicros,
    wire::v2::{Header, Sealed, WireError, seal_signed},
};
use state::{Held, Missing, State};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// A bundle may have so many bytes of frames; then it is closed whatever its age.
const BUNDLE_BYTES: u64 = 64 << 20;

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
    /// The state file is damaged or newer than this program.
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
    /// How many bytes of bundles to keep; `None` for any number. The newest bundle stays in any case.
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
    open: Option<OpenBundle>,
    /// Up to where a recorder before this one got; told with the first bundle.
    before: Option<WallMicros>,
    /// Whether the spool had no mark: it is new, or was lost.
    fresh: bool,
    bytes_sealed: u64,
    /// Bundles dropped because the spool was full.
    dropped: u64,
    _locks: [durable::Lock; 2],
}

impl Spool {
    /// Opens a spool, makes it where there is none, and recovers what an earlier recorder left.
    ///
    /// # Errors
    /// [`SpoolError`] where it is in use, cannot be read or written, or its state is damaged.
    pub fn open(view: &HostView, settings: SpoolSettings) -> Result<Self, SpoolError> {
        let lock = |dir: &Path| {
            durable::make_dir(dir).map_err(|cause| SpoolError::io("make", dir, cause))?;
            let path = dir.join("lock");
            let lock = durable::lock(&path).map_err(|cause| SpoolError::io("lock", &path, cause))?;
            lock.ok_or_else(|| SpoolError::Locked(dir.to_owned()))
        };
        let locks = [lock(&settings.state_dir)?, lock(&settings.open_dir())?];
        let acked = settings.dir.join(ACKED);
        durable::make_dir(&acked).map_err(|cause| SpoolError::io("make", &acked, cause))?;
        let state = State::load(
            &settings.state_dir,
            || client_id::random_mark().map_err(|cause| SpoolError::io("make", &settings.state_dir, cause)),
            || settings.cid.clone().map_or_else(|| Ok(client_id::make(view)?), Ok),
        )?;
        let mut spool = Self {
            settings,
            state,
            open: None,
            before: None,
            fresh: false,
            bytes_sealed: 0,
            dropped: 0,
            _locks: locks,
        };
        spool.recover()?;
        spool.remove_acked()?;
        spool.before = spool.state.last_stamp.map(WallMicros);
        spool.bytes_sealed = 0;
        Ok(spool)
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

    /// Writes what waits; makes room as long as there is none.
    fn flush(&mut self) -> Result<(), SpoolError> {
        loop {
            let Some(open) = &mut self.open else { return Ok(()) };
            match open.flush() {
                Ok(()) => {
                    self.remove_acked()?;
                    return self.shrink(open_bytes(self.open.as_ref()));
                }
                Err(FlushError::Wire(error)) => return Err(error.into()),
                Err(FlushError::Io(cause)) => {
                    let error = SpoolError::io("write", &open.path, cause);
                    self.make_room(error)?;
                }
            }
        }
    }

    /// Seals the open bundle.
    fn close(&mut self, complete: bool, closing: &Closing) -> Result<(), SpoolError> {
        self.flush()?;
        let Some(open) = self.open.take() else { return Err(SpoolError::NotOpen) };
        let frames = std::fs::read(&open.path).map_err(|cause| SpoolError::io("read", &open.path, cause))?;
        let sealed = self.seal(&frames, complete, closing)?;
        self.publish(&open.header, &sealed)?;
        durable::remove(&open.path).map_err(|cause| SpoolError::io("remove", &open.path, cause))
    }

    /// Makes the bundle of a whole stream, signed where there is somebody to sign.
    fn seal(&self, frames: &[u8], complete: bool, closing: &Closing) -> Result<Sealed, WireError> {
        let sign = |manifest: &[u8]| match self.settings.signer.as_ref()?.sign(manifest) {
            Ok(signature) => Some(signature),
            Err(error) => {
                tracing::error!("a bundle stays unsigned: {error}");
                None
            }
        };
        seal_signed(frames, complete, closing, sign)
    }

    /// Puts a sealed bundle into the spool, the state first.
    fn publish(&mut self, header: &Header, sealed: &Sealed) -> Result<(), SpoolError> {
        let seq = header.seq.0;
        let bytes = sealed.tar.len() as u64;
        let sealing = self.sealing_path(seq);
        while let Err(cause) = durable::write(&sealing, &sealed.tar) {
            self.make_room(SpoolError::io("write", &sealing, cause))?;
        }
        let held = Held { seq, name: sealed.name.clone(), bytes, span: sealed.manifest.wall };
        self.state.sealed(held, sealed.sha256, header);
        self.state.save()?;
        let name = self.settings.dir.join(&sealed.name);
        durable::rename(&sealing, &name).map_err(|cause| SpoolError::io("name", &name, cause))?;
        self.bytes_sealed += bytes;
        self.forget_taken();
        self.shrink(0)
    }

    /// Forgets bundles that somebody has taken out of the spool.
    fn forget_taken(&mut self) {
        let dir = &self.settings.dir;
        self.state.held.retain(|held| dir.join(&held.name).exists());
    }

    /// Drops the oldest bundles as long as there is more than may be, `more` bytes besides them counted.
    fn shrink(&mut self, more: u64) -> Result<(), SpoolError> {
        let Some(max) = self.settings.max_bytes else { return Ok(()) };
        while self.state.held.len() > 1
            && self.state.held.iter().map(|held| held.bytes).sum::<u64>().saturating_add(more) > max
        {
            self.drop_oldest()?;
        }
        Ok(())
    }

    /// Drops the oldest bundle if it was room that lacked, and there is one; else returns the error.
    fn make_room(&mut self, error: SpoolError) -> Result<(), SpoolError> {
        let is_full = matches!(
            &error,
            SpoolError::Io { cause, .. }
                if matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        );
        if self.settings.max_bytes.is_none() || !is_full || self.state.held.is_empty() {
            return Err(error);
        }
        self.drop_oldest()
    }

    fn drop_oldest(&mut self) -> Result<(), SpoolError> {
        let before = self.state.held.len();
        self.remove_acked()?;
        if self.state.held.len() < before {
            return Ok(());
        }
        let Some(held) = self.state.drop_oldest() else { return Ok(()) };
        tracing::warn!("the spool is full: bundle {} is dropped", held.seq);
        // It is lost once the state says so: a kill in between leaves a bundle too many, not one that nobody misses.
        self.state.save()?;
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
        down.into_iter().chain(self.state.missing.iter().map(|missing| missing.gap(now))).collect()
    }
}

fn open_bytes(open: Option<&OpenBundle>) -> u64 {
    open.map_or(0, |open| open.bytes)
}

impl Sink for Spool {
    type Error = SpoolError;

    fn begin(&mut self, opening: &Opening) -> Result<Vec<Gap>, SpoolError> {
        if self.open.is_some() {
            // The recorder that wrote it ended with an error; another goes on with this spool.
            self.close(false, &Closing::default())?;
            self.before = self.state.last_stamp.map(WallMicros);
        }
        self.state.assigned += 1;
        self.state.save()?;
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
            missing: self.state.missing.iter().map(|Missing { seq, .. }| BundleSeq(*seq)).collect(),
        };
        let path = self.frames_path(self.state.assigned);
        let open = OpenBundle::create(&path, header).map_err(|cause| SpoolError::io("make", &path, cause))?;
        self.open = Some(open);
        self.flush()?;
        Ok(self.gaps(opening.opened_wall))
    }

    fn accept(&mut self, record: &Record) -> Result<(), SpoolError> {
        let open = self.open.as_mut().ok_or(SpoolError::NotOpen)?;
        if open.push(record) { self.flush() } else { Ok(()) }
    }

    fn idle(&mut self, micros: u64) -> Result<(), SpoolError> {
        match &self.open {
            Some(open) if open.is_urgent(Duration::from_micros(micros)) => self.flush(),
            Some(_) => Ok(()),
            None => self.remove_acked(),
        }
    }

    fn is_full(&self) -> bool {
        open_bytes(self.open.as_ref()) >= BUNDLE_BYTES
    }

    fn finish(&mut self, closing: &Closing) -> Result<(), SpoolError> {
        self.close(true, closing)
    }
}
