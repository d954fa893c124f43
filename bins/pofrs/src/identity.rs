//! As whom to run: root becomes the account that owns the record for whatever touches the record.
//!
//! Bundles come from machines that may be in the wrong hands. What reads them, and what writes the database, needs no power of
//! root's.

use crate::{cli::Global, record};
use anyhow::Context as _;
use nix::unistd::{User, initgroups, setgid, setuid};

/// Becomes the account that the configuration names, where root runs this and it names one.
pub(crate) fn settle(global: &Global) -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let Some(name) = record::config(global)?.server.user else { return Ok(()) };
    let user = User::from_name(&name)?.with_context(|| {
        format!("there is no user {name}, which the configuration names\nhint: pofrs init")
    })?;
    let group = std::ffi::CString::new(name.clone())?;
    let become_it = || -> nix::Result<()> {
        initgroups(&group, user.gid)?;
        setgid(user.gid)?;
        setuid(user.uid)
    };
    become_it().with_context(|| format!("cannot become user {name}"))
}
