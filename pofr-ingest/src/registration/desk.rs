//! The desk: where requests are handed in, wait, and are answered.
//!
//! ```text
//! requests/<cid>.json         a request that waits                        (the registration account writes)
//! requests/<cid>.conflict     a second key that came for a known client   (the registration account writes)
//! requests/<id>.used          which client used an invitation             (the registration account writes)
//! answers/<cid>.json          what was decided                            (root writes)
//! ```
//!
//! A session of the registration account does the writing in `requests`, under one lock, so that the caps are exact: however
//! many come at once, there is never more than [`Limits`] say.

use super::{
    answer::{Decision, Outcome},
    invitation::{Invite, is_id},
    key::ClientKey,
    request::{Conflict, Pending, RequestError, new_cid},
    shelf::{self, ShelfError, fail},
};
use pofr_core::{digest, identity::Cid, wire::link};
use rustix::fs::FlockOperation;
use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests without an invitation.
    pub waiting: usize,
    /// Of those from one address.
    pub waiting_per_source: usize,
    /// How long a request waits, µs; then it is as if it had never come.
    pub patience: i64,
    /// Sessions at a time.
    pub sessions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { waiting: 256, waiting_per_source: 8, patience: 14 * 86_400_000_000, sessions: 32 }
    }
}

/// Why a request is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeskError {
    /// It makes no sense.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The client is known with another key.
    #[error("the client is known with another key: a clone of the machine, or a key that was lost")]
    KeyDiffers,
    /// Another client has an id that differs in dashes or case alone.
    #[error("another client has that id, but for dashes or case")]
    TooAlike,
    /// As much waits as may.
    #[error("too many requests wait{0}")]
    TooMany(&'static str),
    /// The invitation has ended.
    #[error("the invitation has expired")]
    Expired,
    /// The invitation was used by another client.
    #[error("the invitation was used for another client")]
    Used,
    /// A file cannot be read or written.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
}

impl DeskError {
    /// Returns how the link names it, and whether trying again is useless.
    #[must_use]
    pub const fn refusal(&self) -> (link::Refusal, bool) {
        match self {
            Self::Request(RequestError::Key(_)) => (link::Refusal::BadKey, true),
            Self::Request(_) | Self::TooAlike => (link::Refusal::BadCid, true),
            Self::KeyDiffers => (link::Refusal::KeyDiffers, true),
            Self::TooMany(_) => (link::Refusal::TooMany, false),
            Self::Expired | Self::Used => (link::Refusal::Expired, true),
            Self::Shelf(_) => (link::Refusal::Busy, false),
        }
    }
}

/// What is known of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// It waits.
    Waiting(Pending),
    /// It was decided.
    Decided(Decision),
}

impl Known {
    /// Returns the request.
    #[must_use]
    pub const fn request(&self) -> &Pending {
        match self {
            Self::Waiting(request) | Self::Decided(Decision { request, .. }) => request,
        }
    }
}

/// The desk of a data directory.
#[derive(Clone, Debug)]
pub struct Desk {
    requests: PathBuf,
    answers: PathBuf,
    limits: Limits,
}

/// One of the seats for sessions; free again when this is dropped.
#[derive(Debug)]
pub struct Seat {
    _lock: File,
}

impl Desk {
    /// Names the directories.
    #[must_use]
    pub fn new(data_dir: &Path, limits: Limits) -> Self {
        Self { requests: data_dir.join("requests"), answers: data_dir.join("answers"), limits }
    }

    /// Takes a seat for a session; `None` where all are taken.
    ///
    /// # Errors
    /// Where the seats cannot be looked at.
    pub fn seat(&self) -> Result<Option<Seat>, ShelfError> {
        for number in 0..self.limits.sessions {
            let file = self.open(&format!(".seat-{number}"))?;
            if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                return Ok(Some(Seat { _lock: file }));
            }
        }
        Ok(None)
    }

    /// Takes a request in, or recognises it: returns its id.
    ///
    /// # Errors
    /// [`DeskError`]; a key that differs from the one that is known is noted for the administrator.
    pub fn hand_in(
        &self,
        request: &link::Request,
        source: &str,
        invite: Option<&Invite>,
        now: i64,
    ) -> Result<String, DeskError> {
        let id = super::random::<8>().map_err(fail("name a request in", &self.requests))?;
        let pending =
            Pending::check(request, digest::hex(&id), source, invite.map(|invite| invite.id.clone()), now)?;
        if invite.is_some_and(|invite| invite.expires <= now / 1_000_000) {
            return Err(DeskError::Expired);
        }
        let _lock = self.lock()?;
        let cid = new_cid(&pending.cid)?;
        self.clear_old(now)?;
        if let Some(known) = self.known(&cid)? {
            if known.request().public_key != pending.public_key {
                self.note_conflict(&pending, now)?;
                return Err(DeskError::KeyDiffers);
            }
            return Ok(known.request().request_id.clone());
        }
        if self.too_alike(&cid)? {
            return Err(DeskError::TooAlike);
        }
        match invite {
            Some(invite) => self.use_up(invite, &pending)?,
            None => self.room(&pending.source)?,
        }
        shelf::write(&self.waiting_path(&cid), &pending, 0o640)?;
        Ok(pending.request_id)
    }

    /// Returns what is known of a client.
    ///
    /// # Errors
    /// Where a file cannot be read or is none of ours.
    pub fn known(&self, cid: &Cid) -> Result<Option<Known>, ShelfError> {
        if let Some(decision) = self.decision(cid)? {
            return Ok(Some(Known::Decided(decision)));
        }
        Ok(self.waiting(cid)?.map(Known::Waiting))
    }

    /// Returns what was decided about a client.
    ///
    /// # Errors
    /// As [`Self::known`].
    pub fn decision(&self, cid: &Cid) -> Result<Option<Decision>, ShelfError> {
        shelf::read(&self.answer_path(cid))
    }

    /// Returns a client's waiting request. The file is a stranger's account's: it counts only if it says what its name says.
    ///
    /// # Errors
    /// As [`Self::known`].
    pub fn waiting(&self, cid: &Cid) -> Result<Option<Pending>, ShelfError> {
        let read: Option<Pending> = shelf::read(&self.waiting_path(cid))?;
        let sound = |p: &Pending| {
            p.cid == cid.as_str()
                && ClientKey::parse(&p.public_key).is_ok_and(|key| key.fingerprint() == p.fingerprint)
        };
        Ok(read.filter(sound))
    }

    /// Returns a second key that came for a client.
    ///
    /// # Errors
    /// As [`Self::known`].
    pub fn conflict(&self, cid: &Cid) -> Result<Option<Conflict>, ShelfError> {
        shelf::read(&self.conflict_path(cid))
    }

    /// Lists the clients that wait, or of which a second key came.
    ///
    /// # Errors
    /// Where the directory cannot be read.
    pub fn at_the_desk(&self) -> Result<Vec<Cid>, ShelfError> {
        let mut names = shelf::names(&self.requests, ".json")?;
        names.extend(shelf::names(&self.requests, ".conflict")?);
        names.sort();
        names.dedup();
        Ok(names.iter().filter_map(|name| new_cid(name).ok()).collect())
    }

    /// Lists the clients about which something was decided.
    ///
    /// # Errors
    /// Where the directory cannot be read.
    pub fn decided(&self) -> Result<Vec<Cid>, ShelfError> {
        let names = shelf::names(&self.answers, ".json")?;
        Ok(names.iter().filter_map(|name| new_cid(name).ok()).collect())
    }

    /// Writes a decision, for the registration account to read.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn decide(&self, cid: &Cid, decision: &Decision) -> Result<(), ShelfError> {
        shelf::write(&self.answer_path(cid), decision, 0o644)
    }

    /// Takes a decision back.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn undecide(&self, cid: &Cid) -> Result<(), ShelfError> {
        shelf::remove(&self.answer_path(cid))
    }

    /// Takes a request, and what was noted with it, from the desk.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn clear(&self, cid: &Cid) -> Result<(), ShelfError> {
        shelf::remove(&self.waiting_path(cid))?;
        shelf::remove(&self.conflict_path(cid))
    }

    /// Forgets who used an invitation that is no more.
    ///
    /// # Errors
    /// Where the file cannot be removed.
    pub fn forget_use(&self, invite: &str) -> Result<(), ShelfError> {
        if is_id(invite) { shelf::remove(&self.requests.join(format!("{invite}.used"))) } else { Ok(()) }
    }

    /// Returns which client used an invitation.
    ///
    /// # Errors
    /// As [`Self::known`].
    pub fn used_by(&self, invite: &str) -> Result<Option<String>, ShelfError> {
        let used: Option<(String, String)> = shelf::read(&self.requests.join(format!("{invite}.used")))?;
        Ok(used.map(|(cid, _)| cid))
    }

    fn waiting_path(&self, cid: &Cid) -> PathBuf {
        self.requests.join(format!("{cid}.json"))
    }

    fn conflict_path(&self, cid: &Cid) -> PathBuf {
        self.requests.join(format!("{cid}.conflict"))
    }

    fn answer_path(&self, cid: &Cid) -> PathBuf {
        self.answers.join(format!("{cid}.json"))
    }

    fn open(&self, name: &str) -> Result<File, ShelfError> {
        let path = self.requests.join(name);
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        options.open(&path).map_err(fail("open", &path))
    }

    fn lock(&self) -> Result<File, ShelfError> {
        let file = self.open(".lock")?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive)
            .map_err(|e| fail("lock", &self.requests)(e.into()))?;
        Ok(file)
    }

    /// An invitation is for one client with one key.
    fn use_up(&self, invite: &Invite, pending: &Pending) -> Result<(), DeskError> {
        let path = self.requests.join(format!("{}.used", invite.id));
        let by = (pending.cid.clone(), pending.public_key.clone());
        if shelf::create(&path, &by, 0o640)? {
            return Ok(());
        }
        match shelf::read::<(String, String)>(&path)? {
            Some(used) if used == by => Ok(()),
            _ => Err(DeskError::Used),
        }
    }

    fn room(&self, source: &str) -> Result<(), DeskError> {
        let (mut all, mut same) = (0, 0);
        for cid in self.at_the_desk()? {
            if let Some(pending) = self.waiting(&cid)?
                && pending.invite.is_none()
            {
                all += 1;
                same += usize::from(pending.source == source);
            }
        }
        if same >= self.limits.waiting_per_source {
            return Err(DeskError::TooMany(" from this address"));
        }
        if all >= self.limits.waiting { Err(DeskError::TooMany("")) } else { Ok(()) }
    }

    /// Tells whether another client's database would be the same.
    fn too_alike(&self, cid: &Cid) -> Result<bool, ShelfError> {
        let database = cid.database();
        let alike = |other: &Cid| other != cid && other.database().eq_ignore_ascii_case(&database);
        Ok(self.at_the_desk()?.iter().any(alike) || self.decided()?.iter().any(alike))
    }

    fn clear_old(&self, now: i64) -> Result<(), ShelfError> {
        for cid in self.at_the_desk()? {
            if let Some(pending) = self.waiting(&cid)?
                && now.saturating_sub(pending.at) > self.limits.patience
            {
                self.clear(&cid)?;
            }
        }
        Ok(())
    }

    fn note_conflict(&self, pending: &Pending, now: i64) -> Result<(), ShelfError> {
        let Ok(cid) = new_cid(&pending.cid) else { return Ok(()) };
        let times = self.conflict(&cid)?.map_or(0, |conflict| conflict.times).saturating_add(1);
        let (fingerprint, source) = (pending.fingerprint.clone(), pending.source.clone());
        shelf::write(&self.conflict_path(&cid), &Conflict { fingerprint, source, at: now, times }, 0o640)
    }
}

/// Tells whether a decision is that the client may send.
#[must_use]
pub const fn is_granted(known: &Known) -> bool {
    matches!(known, Known::Decided(Decision { outcome: Outcome::Granted { .. }, .. }))
}
