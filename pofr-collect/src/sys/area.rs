//! Memory that a process and its children have in common.

use rustix::io::Errno;
use std::{ops::Deref, ptr::NonNull, sync::atomic::AtomicU64};

/// Words that a child made later shares with this process. They are zero at first, and take memory only once they are written.
#[derive(Debug)]
pub(crate) struct Area {
    at: NonNull<AtomicU64>,
    words: usize,
}

#[expect(unsafe_code, reason = "a pointer is not Send by itself")]
// SAFETY: the mapping belongs to the value alone, and is used only as atomic words.
unsafe impl Send for Area {}

#[expect(unsafe_code, reason = "a pointer is not Sync by itself")]
// SAFETY: as above.
unsafe impl Sync for Area {}

impl Area {
    /// Maps so many words.
    ///
    /// # Errors
    /// `ENOMEM` as mmap(2) has it.
    #[expect(unsafe_code, reason = "rustix's call is unsafe too")]
    pub(crate) fn new(words: usize) -> Result<Self, Errno> {
        let (protection, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
        );
        // SAFETY: a new mapping at a place of the kernel's choice touches no memory that is in use.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), words * 8, protection, flags, -1, 0) };
        if at == libc::MAP_FAILED {
            return Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::NOMEM));
        }
        NonNull::new(at.cast()).map(|at| Self { at, words }).ok_or(Errno::NOMEM)
    }
}

impl Deref for Area {
    type Target = [AtomicU64];

    #[expect(unsafe_code, reason = "mapped memory is no allocation of Rust's")]
    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, as long as that, zeroed by the kernel and lives as long as the value; whoever else
        // has it writes atomic words too.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.words) }
    }
}

impl Drop for Area {
    #[expect(unsafe_code, reason = "rustix's call is unsafe too")]
    fn drop(&mut self) {
        // SAFETY: nothing borrows the mapping any more, and no other value has it.
        unsafe {
            libc::munmap(self.at.as_ptr().cast(), self.words * 8);
        }
    }
}
