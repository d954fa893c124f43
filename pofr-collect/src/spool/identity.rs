//! The client's id, for who must know it before anything is recorded.

use super::{SpoolError, durable, state::State};
use crate::{HostView, client_id};
use pofr_core::identity::Cid;
use std::path::Path;

/// Returns the client's id in the state directory `dir`; makes both where they are not there. A recorder may be at work.
///
/// # Errors
/// [`SpoolError`] where the state cannot be read or written. One that is damaged is for the next recorder to set aside.
pub fn own_client_id(view: &HostView, dir: &Path) -> Result<Cid, SpoolError> {
    durable::make_dir(dir).map_err(|cause| SpoolError::io("make", dir, cause))?;
    let path = dir.join("lock");
    // Who has the lock has a state.
    let lock = durable::lock(&path).map_err(|cause| SpoolError::io("lock", &path, cause))?;
    if let Some(state) = State::look(dir)? {
        return Ok(state.cid());
    }
    let mark = client_id::random_mark().map_err(|cause| SpoolError::io("make", dir, cause))?;
    let state = State::new(client_id::make(view)?, mark, dir.join("state.json"));
    if lock.is_some() {
        state.save()?;
    }
    Ok(state.cid())
}
