//! The client's id, for who must know it before anything is recorded.

use super::{SpoolError, durable, state::State};
use crate::{HostView, client_id};
use pofr_core::identity::Cid;
use std::path::Path;

/// Returns the client's id in the state directory `dir`; makes both where they are not there. A recorder may be at work.
///
/// # Errors
/// [`SpoolError`] where the state cannot be read or written.
pub fn own_client_id(view: &HostView, dir: &Path) -> Result<Cid, SpoolError> {
    durable::make_dir(dir).map_err(|cause| SpoolError::io("make", dir, cause))?;
    let path = dir.join("lock");
    // Who has the lock has a state.
    let lock = durable::lock(&path).map_err(|cause| SpoolError::io("lock", &path, cause))?;
    let state = State::load(
        dir,
        || client_id::random_mark().map_err(|cause| SpoolError::io("make", dir, cause)),
        || Ok(client_id::make(view)?),
    )?;
    if lock.is_some() && !dir.join("state.json").exists() {
        state.save()?;
    }
    Ok(state.cid())
}
