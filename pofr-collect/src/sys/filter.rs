//! Filters of sockets: classic ones (socket(7), linux/filter.h), which the kernel asks before it queues a message.

use rustix::io::Errno;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// Drops every message that has one of a few numbers at a place, in the machine's own byte order; all others pass.
///
/// # Errors
/// As `SO_ATTACH_FILTER` has them: `ENOMEM` where the filter finds no room.
pub(crate) fn drop_where(socket: BorrowedFd<'_>, at: u32, numbers: &[u32]) -> Result<(), Errno> {
    let one = |code: u32, jt: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf: 0, k };
    let mut program = vec![one(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, at)];
    for (index, number) in numbers.iter().enumerate() {
        // A filter reads a word as the network has it.
        let number = u32::from_be_bytes(number.to_ne_bytes());
        let drop = u8::try_from(numbers.len() - index).map_err(|_| Errno::INVAL)?;
        program.push(one(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, drop, number));
    }
    program.extend([one(libc::BPF_RET | libc::BPF_K, 0, u32::MAX), one(libc::BPF_RET | libc::BPF_K, 0, 0)]);
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| Errno::INVAL)?,
        filter: program.as_mut_ptr(),
    };
    set(socket, libc::SO_ATTACH_FILTER, &program)
}

/// Lets all messages pass again.
///
/// # Errors
/// As `SO_DETACH_FILTER` has them; that there is no filter is none.
pub(crate) fn let_all_pass(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    match set(socket, libc::SO_DETACH_FILTER, &0_i32) {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

#[expect(unsafe_code, reason = "neither rustix nor nix has these options")]
fn set<T>(socket: BorrowedFd<'_>, option: libc::c_int, value: &T) -> Result<(), Errno> {
    let length = libc::socklen_t::try_from(size_of::<T>()).map_err(|_| Errno::INVAL)?;
    // SAFETY: the value is live and of the length that is said; what it points to, the filter's program, lives as long as the caller.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            std::ptr::from_ref(value).cast(),
            length,
        )
    };
    if done == 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL))
}
