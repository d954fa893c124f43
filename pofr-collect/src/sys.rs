//! System calls: thin safe calls relative to open directories, into buffers that are used again and again.
//!
//! This is the one module of the workspace that may hold `unsafe`; rustix makes it possible that it holds very little.

pub(crate) mod area;
pub(crate) mod bpf;
pub(crate) mod child;
pub(crate) mod filter;
pub(crate) mod nsfs;

use pofr_core::raw::{RawText, Reading};
use rustix::{
    fs::{Mode, OFlags, RawDir},
    io::Errno,
    path::DecInt,
};
use std::{
    ffi::CStr,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
};

/// A path that the kernel tells in a link is shorter than a page: `do_proc_readlink` in fs/proc/base.c.
const LINK_BYTES: usize = 4096;
/// Room for the entries of one getdents64(2) call.
const LISTING_BYTES: usize = 32 << 10;
/// What a file of `/proc` is first read into; an argument vector of 2 MB makes it grow, once.
const TEXT_BYTES: usize = 16 << 10;

/// Buffers for reading a process, allocated once.
#[derive(Debug)]
pub(crate) struct Buffers {
    text: Vec<u8>,
    link: Vec<u8>,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { text: vec![0; TEXT_BYTES], link: vec![0; LINK_BYTES] }
    }
}

impl Buffers {
    /// Reads the whole file `name` in `dir`.
    pub(crate) fn read(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<&[u8], Errno> {
        let file = rustix::fs::openat(dir, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let mut length = 0;
        loop {
            if length == self.text.len() {
                self.text.resize(2 * length, 0);
            }
            let room = self.text.len() - length;
            match rustix::io::read(&file, &mut self.text[length..]) {
                Ok(n) => {
                    length += n;
                    // The files of /proc that are read here are made as a whole at the first read, so a short read is the last.
                    if n < room {
                        return Ok(&self.text[..length]);
                    }
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads where the link `name` in `dir` leads.
    pub(crate) fn read_link(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<&[u8], Errno> {
        let n = rustix::fs::readlinkat_raw(dir, name, self.link.as_mut_slice())?;
        Ok(&self.link[..n])
    }

    /// Reads a link as an attribute.
    pub(crate) fn link(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Reading<RawText> {
        reading(self.read_link(dir, name).map(RawText::from))
    }
}

/// Room for directory listings.
#[derive(Debug)]
pub(crate) struct ListingBuffer(Vec<MaybeUninit<u8>>);

impl Default for ListingBuffer {
    fn default() -> Self {
        Self::of_bytes(LISTING_BYTES)
    }
}

impl ListingBuffer {
    /// Makes a buffer that takes so many bytes of entries at a time.
    pub(crate) fn of_bytes(bytes: usize) -> Self {
        Self(vec![MaybeUninit::uninit(); bytes])
    }

    /// Calls `each` for every entry of `dir` whose name is a number, with the name and that number.
    pub(crate) fn numbers(
        &mut self,
        dir: impl AsFd,
        mut each: impl FnMut(&CStr, u32) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        self.inodes(dir, |name, number, _| each(name, number))
    }

    /// The same, with the entry's inode number.
    pub(crate) fn inodes(
        &mut self,
        dir: impl AsFd,
        mut each: impl FnMut(&CStr, u32, u64) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let mut entries = RawDir::new(dir, &mut self.0);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            if let Some(number) = parse(entry.file_name().to_bytes()) {
                each(entry.file_name(), number, entry.ino())?;
            }
        }
        Ok(())
    }
}

/// Reads a decimal number; `None` for anything else.
pub(crate) fn parse<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    // FromStr would take a sign, which no number of /proc that is read here has.
    if !digits.first()?.is_ascii_digit() {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Says what an answer of the kernel means for one attribute.
pub(crate) fn reading<T>(result: Result<T, Errno>) -> Reading<T> {
    match result {
        Ok(value) => Reading::Known(value),
        Err(Errno::NOENT) => Reading::Absent,
        Err(error) if is_denied(error) => Reading::Denied,
        Err(_) => Reading::Unknown,
    }
}

/// Tells whether the kernel said: there, but not for you.
pub(crate) fn is_denied(error: Errno) -> bool {
    matches!(error, Errno::ACCESS | Errno::PERM)
}

/// Tells whether the kernel said: not there any more.
pub(crate) fn is_gone(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::SRCH)
}

/// Opens the directory `name` in `dir` to list it.
pub(crate) fn open_listing(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(dir, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Opens the directory `name` in `dir` as a place to start from.
pub(crate) fn open_place(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(dir, name, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Most bytes of a handle: `MAX_HANDLE_SZ` in include/linux/exportfs.h.
const HANDLE_BYTES: usize = 128;

/// Opens the directory of which `handle` is the `struct file_handle`, in the filesystem of `mount`, as a place to start from
/// (open_by_handle_at(2)). It takes CAP_DAC_READ_SEARCH.
pub(crate) fn open_by_handle(mount: BorrowedFd<'_>, handle: &[u8]) -> Result<OwnedFd, Errno> {
    // The structure begins with two 32-bit numbers, the first of which says how long the rest is.
    let mut aligned = [0_u32; 2 + HANDLE_BYTES / 4];
    let said = handle.first_chunk().map(|length| u32::from_ne_bytes(*length) as usize);
    if said.is_none_or(|said| said > HANDLE_BYTES || handle.len() != 8 + said) {
        return Err(Errno::INVAL);
    }
    for (word, bytes) in aligned.iter_mut().zip(handle.chunks(4)) {
        let mut whole = [0; 4];
        whole[..bytes.len()].copy_from_slice(bytes);
        *word = u32::from_ne_bytes(whole);
    }
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    #[expect(unsafe_code, reason = "no crate of ours has this call")]
    // SAFETY: the pointer is to a live buffer, aligned for the structure, that holds as many bytes after its head as the head says
    // (checked above); the kernel reads no more than those.
    let fd = unsafe { libc::open_by_handle_at(mount.as_raw_fd(), aligned.as_mut_ptr().cast(), flags) };
    if fd < 0 {
        return Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO));
    }
    #[expect(unsafe_code, reason = "the descriptor comes from a call that only libc has")]
    // SAFETY: the kernel has just returned this descriptor to us, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Returns the bytes of a filesystem's id (`f_fsid` of fstatfs(2)), as fanotify(7) names it.
pub(crate) fn filesystem_id(dir: impl AsFd) -> Result<[u8; 8], Errno> {
    let id = rustix::fs::fstatfs(dir)?.f_fsid;
    #[expect(unsafe_code, reason = "the id is opaque to rustix")]
    // SAFETY: `Fsid` is `repr(C)` and nothing but two ints, so that every one of its bytes is initialized; if it ever has another
    // size, this does not compile.
    Ok(unsafe { std::mem::transmute::<rustix::fs::Fsid, [u8; 8]>(id) })
}

/// Opens the directory of a process in `proc` as a place to start from.
pub(crate) fn open_process(proc: BorrowedFd<'_>, pid: u32) -> Result<OwnedFd, Errno> {
    open_place(proc, DecInt::new(pid).as_c_str())
}

/// Opens the directory of a thread of a process in `proc`.
pub(crate) fn open_thread(proc: BorrowedFd<'_>, pid: u32, thread: u32) -> Result<OwnedFd, Errno> {
    let path = std::ffi::CString::new(format!("{pid}/task/{thread}")).map_err(|_| Errno::INVAL)?;
    open_place(proc, &path)
}

/// Opens whatever has a process's number for its name in `proc`.
pub(crate) fn open_any(proc: BorrowedFd<'_>, pid: u32) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(proc, DecInt::new(pid).as_c_str(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

/// Returns the inode number of the socket that a descriptor of this process is; `None` where it is something else.
///
/// # Errors
/// `EBADF` where it is not open.
pub(crate) fn own_socket(fd: u32) -> Result<Option<u64>, Errno> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    #[expect(unsafe_code, reason = "rustix asks for a descriptor that is known to stay open")]
    // SAFETY: fstat(2) takes any number, and fills the structure, which is as large as it expects, where it returns 0.
    let stat = unsafe {
        match libc::fstat(fd.cast_signed(), stat.as_mut_ptr()) {
            0 => stat.assume_init(),
            _ => return Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::BADF)),
        }
    };
    Ok((stat.st_mode & libc::S_IFMT == libc::S_IFSOCK).then_some(stat.st_ino))
}

/// What two processes may share without being threads of one: `enum kcmp_type` in include/uapi/linux/kcmp.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shared {
    /// Memory: what one writes over its arguments the other has.
    Memory = 1,
    /// The descriptor table.
    Files = 2,
    /// Root and working directory.
    Directory = 3,
}

/// Tells whether two processes share a resource (kcmp(2)).
///
/// # Errors
/// `ESRCH` where one of them is gone, `EPERM` where we may not trace both, `ENOSYS` where the kernel cannot tell.
#[expect(unsafe_code, reason = "neither rustix nor nix has this call")]
pub(crate) fn share(one: u32, other: u32, what: Shared) -> Result<bool, Errno> {
    let (one, other) = (libc::c_long::from(one.cast_signed()), libc::c_long::from(other.cast_signed()));
    // SAFETY: kcmp(2) with one of these types takes numbers only: no memory of ours is read or written.
    let order = unsafe { libc::syscall(libc::SYS_kcmp, one, other, what as libc::c_long, 0_u64, 0_u64) };
    match order {
        0 => Ok(true),
        1.. => Ok(false),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)),
    }
}

/// The lowest real-time priority: above everything that has none (sched(7)).
const REAL_TIME: i32 = 1;

/// Gives the calling thread real-time priority: it runs as soon as it has something to do, and no process that it makes does.
///
/// # Errors
/// `EPERM` without CAP_SYS_NICE or an RLIMIT_RTPRIO, or where the control group has no real-time share. A thread that has it may
/// take it again.
pub(crate) fn run_at_once() -> std::io::Result<()> {
    schedule(libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, REAL_TIME)
}

/// Gives the calling thread real-time priority, and all threads and processes that it makes.
///
/// # Errors
/// As [`run_at_once`].
pub(crate) fn run_at_once_with_heirs() -> std::io::Result<()> {
    schedule(libc::SCHED_FIFO, REAL_TIME)
}

/// Takes the calling thread's real-time priority away.
pub(crate) fn run_in_turn() -> std::io::Result<()> {
    schedule(libc::SCHED_OTHER, 0)
}

#[expect(unsafe_code, reason = "neither rustix nor nix has this call")]
fn schedule(policy: libc::c_int, priority: i32) -> std::io::Result<()> {
    let priority = libc::sched_param { sched_priority: priority };
    // SAFETY: `priority` lives through the call, which only reads it; thread 0 is the calling one.
    let result = unsafe { libc::sched_setscheduler(0, policy, &priority) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// The name of the thread that listens.
pub(crate) const LISTENER: &CStr = c"pofr-listener";

/// Has the kernel tell of something on every CPU that the calling thread may run on: that the thread takes the name that it has.
/// Where it is not let onto a CPU, that one speaks another time.
pub(crate) fn speak_on_each_cpu() {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity, set_name};
    let Ok(all) = sched_getaffinity(None) else { return };
    for cpu in (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu)) {
        let mut one = CpuSet::new();
        one.set(cpu);
        if sched_setaffinity(None, &one).is_ok() {
            let _ = set_name(LISTENER);
        }
    }
    let _ = sched_setaffinity(None, &all);
}

/// Takes from the calling thread all capabilities but those for reading `/proc` (capabilities(7)); one that has none keeps none.
pub(crate) fn keep_reading_only() -> Result<(), Errno> {
    use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
    let now = capabilities(None)?;
    let reading = CapabilitySet::SYS_PTRACE | CapabilitySet::DAC_READ_SEARCH;
    let sets = CapabilitySets {
        effective: now.effective & reading,
        permitted: now.permitted & reading,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets)
}

/// Tells whether the calling thread may list every directory, whoever owns it (capabilities(7)).
pub(crate) fn may_list_all() -> bool {
    use rustix::thread::{CapabilitySet, capabilities};
    let listing = CapabilitySet::DAC_READ_SEARCH | CapabilitySet::DAC_OVERRIDE;
    capabilities(None).is_ok_and(|ours| ours.effective.intersects(listing))
}

/// Tells whether the calling thread may enter namespaces (setns(2)).
pub(crate) fn may_enter_namespaces() -> bool {
    use rustix::thread::{CapabilitySet, capabilities};
    capabilities(None).is_ok_and(|ours| ours.effective.contains(CapabilitySet::SYS_ADMIN))
}

/// Gives memory that is free in the heap back to the kernel (malloc_trim(3)), where the C library can.
pub(crate) fn trim_heap() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "only libc has this call")]
    // SAFETY: it takes a number, and may be called at any time by any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Returns random bytes (getrandom(2)).
pub(crate) fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_are_a_number() {
        assert_eq!(parse::<u32>(b"4294967295"), Some(u32::MAX));
        for bad in ["", "+1", "-1", "4294967296", "1a", "self"] {
            assert_eq!(parse::<u32>(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_process_shares_all_with_itself_and_no_memory_with_a_child() {
        let own = std::process::id();
        let mut child = std::process::Command::new("/bin/sleep").arg("1000").spawn().unwrap();
        for what in [Shared::Memory, Shared::Files, Shared::Directory] {
            assert_eq!(share(own, own, what), Ok(true), "{what:?}");
            assert_eq!(share(own, child.id(), what), Ok(false), "{what:?}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(share(own, child.id(), Shared::Files), Err(Errno::SRCH));
    }

    #[test]
    fn a_socket_of_ours_has_the_number_that_its_link_tells() {
        use std::os::unix::net::UnixStream;
        let (one, _other) = UnixStream::pair().unwrap();
        let fd = u32::try_from(one.as_raw_fd()).unwrap();
        let link = std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap();
        let inode = own_socket(fd).unwrap().unwrap();
        assert_eq!(link.to_str().unwrap(), format!("socket:[{inode}]"));
        let file = std::fs::File::open("/").unwrap();
        assert_eq!(own_socket(u32::try_from(file.as_raw_fd()).unwrap()), Ok(None));
        assert_eq!(own_socket(u32::MAX / 2), Err(Errno::BADF));
    }

    #[test]
    fn a_file_longer_than_the_buffer_is_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        let long = vec![b'x'; 5 * TEXT_BYTES + 1];
        std::fs::write(dir.path().join("f"), &long).unwrap();
        let place =
            open_place(rustix::fs::CWD, &std::ffi::CString::new(dir.path().to_str().unwrap()).unwrap())
                .unwrap();
        let mut buffers = Buffers::default();
        assert_eq!(buffers.read(place.as_fd(), c"f").unwrap(), long);
        assert_eq!(buffers.read(place.as_fd(), c"g"), Err(Errno::NOENT));
    }
}
