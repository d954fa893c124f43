//! What tells one state of a file from another.

use rustix::{
    fs::{AtFlags, Mode, OFlags, Statx, StatxFlags},
    io::Errno,
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A file as it was when its program was started: whoever changes its bytes changes one of these, the time of change (ctime)
/// even where the time of modification is put back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    device: (u32, u32),
    inode: u64,
    /// Bytes.
    pub(super) size: u64,
    modified: (i64, u32),
    changed: (i64, u32),
}

impl FileId {
    /// Looks at the program of the process in `dir`. The filesystem is not asked anew: one over the network, or one that a process
    /// serves (FUSE), might take its time.
    pub(crate) fn of_program(dir: BorrowedFd<'_>) -> Result<Self, Errno> {
        let flags = AtFlags::STATX_DONT_SYNC;
        rustix::fs::statx(dir, c"exe", flags, StatxFlags::BASIC_STATS).map(|stat| Self::of(&stat))
    }

    /// Looks at an open file.
    pub(crate) fn of_open(file: impl AsFd) -> Result<Self, Errno> {
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        rustix::fs::statx(file, c"", flags, StatxFlags::BASIC_STATS).map(|stat| Self::of(&stat))
    }

    /// Returns it as words, to be handed from a child to its parent.
    pub(crate) fn words(&self) -> [u64; 8] {
        let ((modified, modified_nanos), (changed, changed_nanos)) = (self.modified, self.changed);
        [
            self.device.0.into(),
            self.device.1.into(),
            self.inode,
            self.size,
            modified.cast_unsigned(),
            modified_nanos.into(),
            changed.cast_unsigned(),
            changed_nanos.into(),
        ]
    }

    /// Reads what [`Self::words`] returned.
    pub(crate) fn of_words(words: [u64; 8]) -> Self {
        let small = |word: u64| u32::try_from(word).unwrap_or(u32::MAX);
        let [major, minor, inode, size, modified, modified_nanos, changed, changed_nanos] = words;
        Self {
            device: (small(major), small(minor)),
            inode,
            size,
            modified: (modified.cast_signed(), small(modified_nanos)),
            changed: (changed.cast_signed(), small(changed_nanos)),
        }
    }

    fn of(stat: &Statx) -> Self {
        Self {
            device: (stat.stx_dev_major, stat.stx_dev_minor),
            inode: stat.stx_ino,
            size: stat.stx_size,
            modified: (stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
            changed: (stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec),
        }
    }

    /// Tells whether the file's filesystem may keep a reader waiting for ever. `mounts` is `/proc/PID/mountinfo`
    /// (proc_pid_mountinfo(5)): `36 35 0:32 / /mnt rw,noatime master:1 - fuse.sshfs host: rw`. A device that it does not name
    /// (btrfs has such) is local.
    pub(super) fn is_remote(&self, mounts: &[u8]) -> bool {
        // What lies on a device of its own has a major number.
        if self.device.0 != 0 {
            return false;
        }
        let device = format!("0:{}", self.device.1);
        mounts.split(|b| *b == b'\n').any(|line| {
            let mut fields = line.split(|b| *b == b' ');
            fields.nth(2) == Some(device.as_bytes())
                && fields.skip_while(|field| *field != b"-").nth(1).is_some_and(is_remote)
        })
    }
}

/// Tells whether a filesystem's answers come from another machine or from a process.
fn is_remote(kind: &[u8]) -> bool {
    const KINDS: [&[u8]; 13] = [
        b"9p",
        b"afs",
        b"ceph",
        b"cifs",
        b"coda",
        b"gfs2",
        b"lustre",
        b"ncpfs",
        b"nfs",
        b"nfs4",
        b"ocfs2",
        b"smb3",
        b"virtiofs",
    ];
    KINDS.contains(&kind) || kind.starts_with(b"fuse")
}

/// Opens the program of the process in `dir` to read it, without leaving a time of access behind where that is allowed.
pub(crate) fn open_program(dir: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    match rustix::fs::openat(dir, c"exe", flags | OFlags::NOATIME, Mode::empty()) {
        // It is for the file's owner to ask for that.
        Err(Errno::PERM) => rustix::fs::openat(dir, c"exe", flags, Mode::empty()),
        other => other,
    }
}

/// What must hold of any mountinfo: a device of its own is local, whatever stands there.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(mounts: &[u8]) {
    let of = |device| FileId { device, inode: 1, size: 1, modified: (0, 0), changed: (0, 0) };
    assert!(!of((8, 1)).is_remote(mounts));
    if of((0, 32)).is_remote(mounts) {
        assert!(mounts.windows(4).any(|w| w == b"0:32"), "a device that is not named is local");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_filesystems_are_known_by_their_mounts() {
        let mounts = b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            36 22 0:32 / /mnt rw,noatime master:1 - fuse.sshfs host: rw\n\
            37 22 0:33 / /tmp rw shared:2 master:3 - tmpfs tmpfs rw\n\
            38 22 0:34 / /home rw - nfs4 server:/home rw\n0:40 garbage\n";
        let of = |major, minor| FileId {
            device: (major, minor),
            inode: 1,
            size: 1,
            modified: (0, 0),
            changed: (0, 0),
        };
        let remote = |major, minor| of(major, minor).is_remote(mounts);
        assert!(remote(0, 32) && remote(0, 34));
        assert!(!remote(0, 33) && !remote(8, 1) && !remote(8, 32) && !remote(0, 99) && !remote(0, 40));
    }

    #[test]
    fn a_file_is_another_once_it_is_written_to_even_if_its_time_is_put_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        std::fs::write(&path, "one").unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        let before = FileId::of_open(&file).unwrap();
        assert_eq!(before, FileId::of_open(&file).unwrap());
        let modified = file.metadata().unwrap().modified().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(&path, "two").unwrap();
        file.set_modified(modified).unwrap();
        let after = FileId::of_open(&file).unwrap();
        assert_eq!((after.size, after.modified), (before.size, before.modified));
        assert_ne!(after, before);
    }
}
