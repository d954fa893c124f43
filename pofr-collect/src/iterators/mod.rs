//! The kernel's iterators: what it tells of all tasks, or of all that one process has open, in one read (bpf(2),
//! Documentation/bpf/bpf_iterators.rst).
//!
//! A program that the kernel runs for each of them writes down what is wanted. It is loaded while we have CAP_BPF and CAP_PERFMON; to
//! read takes no right any more.

mod btf;
mod code;
mod files;
mod tasks;

use crate::{netlink::u32_at, sys};
use btf::Btf;
pub(crate) use files::FileIterator;
use rustix::io::Errno;
use std::{os::fd::OwnedFd, path::Path};
pub(crate) use tasks::TaskIterator;

/// The programs' license: some functions of the kernel are only for programs that GPL permits.
const LICENSE: &std::ffi::CStr = c"Dual MIT/GPL";
/// What is read at once: the kernel fills eight pages at most.
const CHUNK: usize = 32 << 10;

/// The iterators that could be had.
#[derive(Debug, Default)]
pub(crate) struct Iterators {
    /// What every task ran.
    pub(crate) tasks: Option<TaskIterator>,
    /// What a process has open.
    pub(crate) files: Option<FileIterator>,
}

impl Iterators {
    /// Has the kernel take the programs, as far as it does.
    pub(crate) fn open(sys_root: &Path) -> Self {
        let btf = Btf::of_kernel(sys_root).inspect_err(|why| tracing::debug!("no iterator: {why}"));
        let Ok(btf) = btf else { return Self::default() };
        let tasks =
            TaskIterator::open(&btf).inspect_err(|why| tracing::debug!("taskstats must tell who ran: {why}"));
        let files = FileIterator::open(&btf)
            .inspect_err(|why| tracing::debug!("/proc must tell what is open: {why}"));
        Self { tasks: tasks.ok(), files: files.ok() }
    }
}

/// Reads an iteration up to the mark at its end. `each` is given what is there and takes the first record off it: it returns its
/// length, or `None` where there is not all of it yet. Each record begins with a number that is not the mark.
fn read_all(
    iteration: &OwnedFd,
    buffer: &mut [u8],
    mut each: impl FnMut(&[u8]) -> Option<usize>,
) -> Result<(), Errno> {
    let mut kept = 0;
    loop {
        let length = match rustix::io::read(iteration, &mut buffer[kept..]) {
            Ok(0) => return Err(Errno::BADMSG),
            Ok(length) => kept + length,
            Err(Errno::INTR | Errno::AGAIN) => continue,
            Err(error) => return Err(error),
        };
        let mut at = 0;
        loop {
            let rest = &buffer[at..length];
            if u32_at(rest, 0) == Some(code::END_MARK.cast_unsigned()) {
                return Ok(());
            }
            let Some(taken) = each(rest) else { break };
            at += taken;
        }
        buffer.copy_within(at..length, 0);
        kept = length - at;
    }
}

/// Loads a program for the iterator that the kernel's types name so.
fn load(program: &[u64], name: &std::ffi::CStr, iterator: &str, btf: &Btf) -> Result<OwnedFd, String> {
    let target = btf.function(iterator)?;
    sys::bpf::load_iterator(program, LICENSE, name, target).map_err(refused)
}

fn refused(error: Errno) -> String {
    format!("bpf: {}", std::io::Error::from(error))
}
