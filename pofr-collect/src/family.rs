//! Families: processes that are left out of the record together with their children, as long as they run known programs.
//!
//! A family begins with one process, the shipper say. Nothing that such a process says of itself is believed: a member is left
//! out while the kernel names a member as its parent, or named one when it joined, and while the file that it executes is one of
//! the family's programs, by device and inode. Who runs anything else, be it by fork(2) and execve(2) or in place of a member, is
//! recorded.

use crate::{HostView, samplers::process_start};
use pofr_core::identity::{Pid, StartTicks};
use rustix::fs::{AtFlags, CWD, StatxFlags, readlink, statx};
use std::{
    collections::BTreeMap,
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

/// What the kernel puts behind the name of a program whose file is gone, as after an upgrade.
const DELETED: &[u8] = b" (deleted)";

/// A program, by the file that is executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramFile {
    path: PathBuf,
    id: FileId,
}

/// Device (major, minor) and inode.
type FileId = (u32, u32, u64);

impl ProgramFile {
    /// Looks at the file that `path` leads to.
    ///
    /// # Errors
    /// Where there is none.
    pub fn find(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize()?;
        Ok(Self { id: identify(&path)?, path })
    }

    /// Returns the program that this process runs.
    ///
    /// # Errors
    /// Where `/proc` is not mounted.
    pub fn of_this_process() -> io::Result<Self> {
        let link = Path::new("/proc/self/exe");
        Ok(Self { path: std::fs::read_link(link)?, id: identify(link)? })
    }
}

/// Which program a process runs.
enum Runs {
    /// One of these.
    One,
    /// None of them.
    Other,
    /// None at all: it has ended, but for its exit code.
    Nothing,
}

/// The members, by pid and start.
type Members = BTreeMap<(Pid, StartTicks), Arc<[ProgramFile]>>;

/// All families of a view.
#[derive(Debug, Default)]
pub(crate) struct Families(RwLock<Members>);

impl Families {
    fn read(&self) -> RwLockReadGuard<'_, Members> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Members> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whether the process that has the number, or had it, is a member.
    pub(crate) fn has(&self, pid: Pid) -> bool {
        self.read().range((pid, StartTicks(0))..).next().is_some_and(|((member, _), _)| *member == pid)
    }

    pub(crate) fn has_exactly(&self, pid: Pid, start: StartTicks) -> bool {
        self.read().contains_key(&(pid, start))
    }

    pub(crate) fn members(&self) -> Vec<(Pid, StartTicks)> {
        self.read().keys().copied().collect()
    }

    pub(crate) fn retain(&self, is_kept: impl Fn(Pid, StartTicks) -> bool) {
        self.write().retain(|(pid, start), _| is_kept(*pid, *start));
    }

    /// Begins a family, if the process runs one of the programs.
    pub(crate) fn begin(
        &self,
        view: &HostView,
        pid: Pid,
        start: StartTicks,
        programs: &[ProgramFile],
    ) -> bool {
        let is_one =
            matches!(runs(view, pid, programs), Runs::One) && process_start(view, pid) == Some(start);
        if is_one && self.read().get(&(pid, start)).is_none_or(|known| **known != *programs) {
            self.write().insert((pid, start), programs.into());
        }
        is_one
    }

    /// Tells whether the process is left out: as a member that still runs one of the programs, or as a child of a member that
    /// does. One that runs something else is a member no more.
    pub(crate) fn leave_out(&self, view: &HostView, pid: Pid, start: StartTicks, parent: Pid) -> bool {
        let member = self.read().get(&(pid, start)).cloned();
        if let Some(programs) = member {
            let is_one = !matches!(runs(view, pid, &programs), Runs::Other);
            if !is_one {
                self.write().remove(&(pid, start));
            }
            return is_one;
        }
        let above = {
            let members = self.read();
            let above = members.range((parent, StartTicks(0))..).next();
            above.filter(|((above, _), _)| *above == parent).map(|((_, start), of)| (*start, of.clone()))
        };
        let Some((parent_start, programs)) = above else { return false };
        let joins = matches!(runs(view, pid, &programs), Runs::One)
            && process_start(view, parent) == Some(parent_start);
        if joins {
            self.write().insert((pid, start), programs);
        }
        joins
    }

    /// Tells whether the process with this number runs a program of any family now, or none at all any more.
    pub(crate) fn runs_a_program(&self, view: &HostView, pid: Pid) -> bool {
        let all: Vec<_> = self.read().values().cloned().collect();
        all.iter().any(|programs| !matches!(runs(view, pid, programs), Runs::Other))
    }
}

/// Finds out which program a process runs. A name alone proves nothing, since a mount namespace can put another file under it; the
/// file alone would be asked of a file system that may belong to the process. So the file is looked at only where the name fits, and
/// so that no file system is asked anew.
fn runs(view: &HostView, pid: Pid, programs: &[ProgramFile]) -> Runs {
    let link = view.proc_root.join(pid.0.to_string()).join("exe");
    let name = match readlink(&link, Vec::new()) {
        Ok(name) => name.into_bytes(),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::SRCH) => return Runs::Nothing,
        Err(_) => return Runs::Other,
    };
    let name = name.strip_suffix(DELETED).unwrap_or(&name);
    let named = || programs.iter().filter(|program| program.path.as_os_str().as_bytes() == name);
    if named().next().is_none() {
        return Runs::Other;
    }
    match identify(&link) {
        Ok(id) if named().any(|program| program.id == id) => Runs::One,
        _ => Runs::Other,
    }
}

fn identify(path: &Path) -> io::Result<FileId> {
    let found = statx(CWD, path, AtFlags::STATX_DONT_SYNC, StatxFlags::INO)?;
    Ok((found.stx_dev_major, found.stx_dev_minor, found.stx_ino))
}
