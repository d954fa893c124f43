//! A proc filesystem of our own: mounted nowhere, so that nothing can be mounted over what is in it, and with options of our own.
//!
//! Whoever is root can hide a process in the system's `/proc` by a mount over its directory, or with `hidepid` and `subset=pid`
//! (proc(5)). A mount that has no place in any tree (fsmount(2), Linux 5.2) cannot be mounted over: mount(2) only does so within a
//! mount namespace. To make it takes CAP_SYS_ADMIN; to read it takes what the system's takes.

use rustix::{
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen,
    },
};
use std::os::fd::{AsFd as _, OwnedFd};

/// Makes it, of the pid namespace that this process is in; returns its root.
///
/// # Errors
/// `EPERM` without the right, or in a container whose `/proc` hides something; `ENOSYS` from kernels that are too old.
pub(crate) fn mount() -> Result<OwnedFd, Errno> {
    let context = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "hidepid", "0")?;
    fsconfig_create(context.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}
