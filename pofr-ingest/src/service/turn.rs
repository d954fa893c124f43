//! One client's turn: some of its bundles, then what its levels need, then what need not be kept any longer.

use super::{Keep, Observer, Service, seats::Seats};
use crate::{
    abandoned::{self, AbandonedError},
    inbox::InboxError,
    ingest::{self, IngestError, Options},
    levels, merge, prune,
    receive::Note,
};
use pofr_core::{
    digest::{self, Sha256},
    identity::Cid,
    store::{ClientEntry, Store, StoreError},
    time::WallMicros,
};

/// What a turn came to.
#[derive(Debug, Default)]
pub struct Turn {
    /// What became of the files.
    pub ingested: ingest::Report,
    /// What was made of open bundles that never came back.
    pub abandoned: abandoned::Report,
    /// Whether merging was put off, since others wait.
    pub put_off: bool,
    /// What was merged.
    pub merged: Vec<merge::Report>,
    /// How many kept bundles were removed.
    pub pruned: u64,
}

/// Why a turn failed. What it had stored by then is stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TurnError {
    /// The inbox cannot be read.
    #[error(transparent)]
    Inbox(#[from] InboxError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Ingesting failed.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// Open bundles could not be taken in.
    #[error(transparent)]
    Abandoned(#[from] AbandonedError),
}

/// Gives a client its turn.
pub(super) fn take(
    service: &Service<'_>,
    cid: &Cid,
    options: &Options,
    seats: &Seats,
    observer: &dyn Observer,
) -> Result<Turn, TurnError> {
    let taken = || {
        seats.taken(cid);
        observer.taken(cid);
    };
    let now = (options.now)();
    let inbox = service.layout.inbox(cid, options.limits.tar, service.keep != Keep::No);
    let mut writer = match service.store.write(cid) {
        Err(StoreError::NoClient(_)) => {
            add_client(service.store, cid, now)?;
            service.store.write(cid)?
        }
        other => other?,
    };
    note_session(service, cid)?;
    let mut turn = Turn {
        ingested: ingest::ingest(&mut *writer, cid, &inbox, options, &mut |_, _| taken())?,
        ..Turn::default()
    };
    // After all that has come whole, for that may be among it.
    if turn.ingested.left == 0 && !options.stop.is_told() {
        turn.abandoned = abandoned::take(cid, &inbox, service.give_up, options.limits)?;
        if !turn.abandoned.made.is_empty() {
            let more = ingest::ingest(&mut *writer, cid, &inbox, options, &mut |_, _| taken())?;
            turn.ingested.add(&more);
        }
        turn.ingested.quarantined.extend(turn.abandoned.refused.iter().cloned());
    }
    if options.stop.is_told() {
        return Ok(turn);
    }
    // An archive takes as long as many bundles: while others wait, only what has piled up twice as high is merged.
    let others_wait = seats.is_anybody_waiting();
    let policy = if others_wait { service.policy.patient() } else { service.policy };
    turn.merged = levels::keep_up(&mut *writer, &policy, &mut |level, done, all| {
        observer.merging(cid, level, done, all);
    })?;
    turn.put_off = others_wait && levels::is_due(&mut *writer, &service.policy)?;
    if let Keep::For(micros) = service.keep
        && turn.ingested.left == 0
    {
        turn.pruned =
            prune::prune(&mut *writer, &service.layout.kept(cid), now.plus(-micros), now, &service.who)?;
    }
    Ok(turn)
}

/// Writes down where the client's last session came from.
fn note_session(service: &Service<'_>, cid: &Cid) -> Result<(), StoreError> {
    match Note::read(&service.layout.inbox_dir(cid)).and_then(|note| note.ip) {
        Some(ip) => service.store.set_last_ip(cid, &ip.to_string()),
        None => Ok(()),
    }
}

/// Adds the client if it is not known. Nobody registered it, so its account's name is made of its id.
///
/// # Errors
/// Where the store fails.
pub fn add_client(store: &dyn Store, cid: &Cid, now: WallMicros) -> Result<(), StoreError> {
    let known = store.clients()?.iter().any(|c| c.cid == *cid);
    if known {
        return Ok(());
    }
    let digest = Sha256::of(format!("pofr/ciduser/{cid}").as_bytes());
    let entry = ClientEntry {
        cid: cid.clone(),
        uuid: cid.as_str().chars().take(36).collect(),
        ciduser: digest::hex(&digest.0[..16]),
        last_ip: None,
        registered: now,
    };
    match store.add_client(&entry) {
        // Another ingest was quicker.
        Err(StoreError::ClientExists(_)) => Ok(()),
        other => other,
    }
}
