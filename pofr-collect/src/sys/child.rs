//! Children without a program of their own: a copy of this process that runs one function and ends.

use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitOptions, kill_process, waitpid},
};
use std::os::fd::RawFd;

/// Waits for children of every kind: `__WALL` of wait(2). A child without an exit signal is not found without it.
const ALL: u32 = 0x4000_0000;

/// Makes a child that runs `work` and then ends, whatever `work` returns or does.
///
/// The child has one thread, a copy of all memory, and all signals blocked. Another thread may hold a lock in the copy for ever, the
/// allocator's too: `work` must allocate nothing and take no lock. The child tells nobody of its end (it has no exit signal), so a
/// program that waits for its children does not find it.
///
/// # Errors
/// `EAGAIN` and `ENOMEM` as clone(2) has them.
pub(crate) fn make(work: impl FnOnce()) -> Result<Pid, Errno> {
    let before = block_signals();
    #[expect(unsafe_code, reason = "rustix has no call that makes a process")]
    // SAFETY: without flags clone(2) copies this process as fork(2) does; it reads and writes no memory that is passed. All
    // arguments are zero, so their order, which differs between machines, does not matter.
    let made = unsafe { libc::syscall(libc::SYS_clone, 0_u64, 0_u64, 0_u64, 0_u64, 0_u64) };
    let error = std::io::Error::last_os_error();
    if made == 0 {
        let _end = End;
        work();
    }
    restore_signals(&before);
    match i32::try_from(made).ok().and_then(Pid::from_raw) {
        Some(pid) => Ok(pid),
        None => Err(Errno::from_io_error(&error).unwrap_or(Errno::AGAIN)),
    }
}

/// Ends the child, also where its work panics: nothing of the parent's code may run in it.
struct End;

impl Drop for End {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "rustix has no stable call for this")]
        // SAFETY: _exit(2) ends the process; it runs no handlers and touches no memory.
        unsafe {
            libc::_exit(0)
        }
    }
}

#[expect(unsafe_code, reason = "neither rustix nor nix does this without another feature")]
fn block_signals() -> libc::sigset_t {
    let mut before = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: both sets are live and of the right size; a set of zeros is a valid one on Linux.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        before.assume_init()
    }
}

#[expect(unsafe_code, reason = "neither rustix nor nix does this without another feature")]
fn restore_signals(before: &libc::sigset_t) {
    // SAFETY: the set is live and was filled by the same call.
    unsafe {
        libc::pthread_sigmask(libc::SIG_SETMASK, before, std::ptr::null_mut());
    }
}

/// Tells a child of ours to end; one that waits without a way out does not yet.
pub(crate) fn kill(child: Pid) {
    let _ = kill_process(child, Signal::KILL);
}

/// Tells whether a child of ours has ended, and lets its number go. It does not wait.
pub(crate) fn has_ended(child: Pid) -> bool {
    let options = WaitOptions::from_bits_retain(ALL) | WaitOptions::NOHANG;
    !matches!(waitpid(Some(child), options), Ok(None) | Err(Errno::INTR))
}

/// Closes every descriptor of this process but these.
pub(crate) fn close_all_but(mut kept: [RawFd; 3]) {
    kept.sort_unstable();
    let mut from = 0_i64;
    for fd in kept.into_iter().map(i64::from).chain([1 << 32]) {
        close_range(from, fd - 1);
        from = fd + 1;
    }
}

#[expect(unsafe_code, reason = "neither rustix nor nix has this call")]
fn close_range(first: i64, last: i64) {
    if last < first {
        return;
    }
    // SAFETY: only the child that makes.rs has just copied calls this, by `close_all_but`: it uses no descriptor but those it keeps.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if done != 0 {
        // Before Linux 5.9: no process has more than fs.nr_open descriptors, and ours has a limit.
        let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(1 << 20);
        for fd in first..=last.min(i64::try_from(most).unwrap_or(1 << 20)) {
            // SAFETY: as above.
            unsafe {
                libc::syscall(libc::SYS_close, fd);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn a_child_ends_with_its_work_even_if_that_panics() {
        let before = std::thread::available_parallelism();
        let child = make(|| std::panic::resume_unwind(Box::new(()))).unwrap();
        let until = Instant::now() + Duration::from_secs(30);
        while !has_ended(child) {
            assert!(Instant::now() < until, "it did not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(before.is_ok(), std::thread::available_parallelism().is_ok());
    }
}
