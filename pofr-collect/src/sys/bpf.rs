//! The calls that make and read an iterator of the kernel's (bpf(2), Documentation/bpf/bpf_iterators.rst).

use rustix::io::Errno;
use std::{
    ffi::CStr,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
};

/// `BPF_MAP_CREATE`, `BPF_PROG_LOAD`, `BPF_LINK_CREATE` and `BPF_ITER_CREATE` of `enum bpf_cmd` in include/uapi/linux/bpf.h.
const MAP_CREATE: libc::c_long = 0;
const PROG_LOAD: libc::c_long = 5;
const LINK_CREATE: libc::c_long = 28;
const ITER_CREATE: libc::c_long = 33;
/// `BPF_PROG_TYPE_TRACING`.
const TRACING: u32 = 26;
/// `BPF_TRACE_ITER`.
const ITERATOR: u32 = 28;

/// `BPF_MAP_TYPE_ARRAY`.
const ARRAY: u32 = 2;

/// As much of `union bpf_attr` as making a map takes; the kernel takes what is not given as zeros.
#[repr(C, align(8))]
#[derive(Default)]
struct Map {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
}

/// As much of `union bpf_attr` as loading a program takes.
#[repr(C, align(8))]
#[derive(Default)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
    prog_btf_fd: u32,
    func_info_rec_size: u32,
    func_info: u64,
    func_info_cnt: u32,
    line_info_rec_size: u32,
    line_info: u64,
    line_info_cnt: u32,
    attach_btf_id: u32,
}

/// The same for making a link.
#[repr(C, align(8))]
#[derive(Default)]
struct Link {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
    iter_info: u64,
    iter_info_len: u32,
    pad: u32,
}

/// The same for beginning an iteration.
#[repr(C, align(8))]
#[derive(Default)]
struct Begin {
    link_fd: u32,
    flags: u32,
}

/// Whose files an iteration goes through: `task` of `union bpf_iter_link_info`, as long as that.
#[repr(C, align(8))]
#[derive(Default)]
struct Whose {
    tid: u32,
    pid: u32,
    pid_fd: u32,
    pad: u32,
}

/// Makes a map of one value, of so many bytes, for a program to put something together in.
pub(crate) fn one_value(bytes: u32) -> Result<OwnedFd, Errno> {
    let attr = Map { map_type: ARRAY, key_size: 4, value_size: bytes, max_entries: 1 };
    #[expect(unsafe_code, reason = "the kernel would follow an address in the structure")]
    // SAFETY: there is no address in it.
    unsafe {
        descriptor(MAP_CREATE, &attr)
    }
}

/// Has the kernel check a program and keep it, to be run for each thing that the iterator with the BTF number `target` shows. It takes
/// CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN).
///
/// # Errors
/// `EPERM` without them; `EACCES` or `EINVAL` for a program that the kernel's verifier does not take.
pub(crate) fn load_iterator(
    program: &[u64],
    license: &CStr,
    name: &CStr,
    target: u32,
) -> Result<OwnedFd, Errno> {
    let mut attr = Load {
        prog_type: TRACING,
        insn_cnt: u32::try_from(program.len()).map_err(|_| Errno::TOOBIG)?,
        insns: program.as_ptr().expose_provenance() as u64,
        license: license.as_ptr().expose_provenance() as u64,
        expected_attach_type: ITERATOR,
        attach_btf_id: target,
        ..Load::default()
    };
    let name = name.to_bytes();
    attr.prog_name.get_mut(..name.len()).ok_or(Errno::INVAL)?.copy_from_slice(name);
    #[expect(unsafe_code, reason = "the kernel follows the addresses in the structure")]
    // SAFETY: `insns` is the address of `insn_cnt` instructions of eight bytes and `license` that of a text that ends in zero; both
    // outlive the call, which only reads them.
    unsafe {
        descriptor(PROG_LOAD, &attr)
    }
}

/// Binds a program that is loaded to its iterator: for all, or, since Linux 6.1, for what the process alone has whose number in our pid
/// namespace is `pid`.
pub(crate) fn link_iterator(program: BorrowedFd<'_>, pid: Option<u32>) -> Result<OwnedFd, Errno> {
    let whose = pid.map(|tid| Whose { tid, ..Whose::default() });
    let (iter_info, iter_info_len) = match &whose {
        Some(whose) => (std::ptr::from_ref(whose).expose_provenance() as u64, size_of::<Whose>() as u32),
        None => (0, 0),
    };
    let attr =
        Link { prog_fd: number(program), attach_type: ITERATOR, iter_info, iter_info_len, ..Link::default() };
    #[expect(unsafe_code, reason = "the kernel follows the address in the structure")]
    // SAFETY: `iter_info` is the address of `whose`, which is as long as said and outlives the call, which only reads it, or nothing.
    unsafe {
        descriptor(LINK_CREATE, &attr)
    }
}

/// Begins an iteration, which is what reading the descriptor yields.
pub(crate) fn begin_iteration(link: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let attr = Begin { link_fd: number(link), ..Begin::default() };
    #[expect(unsafe_code, reason = "the kernel would follow an address in the structure")]
    // SAFETY: there is no address in it.
    unsafe {
        descriptor(ITER_CREATE, &attr)
    }
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

/// Makes a call of bpf(2) that returns a descriptor.
///
/// # Safety
/// `A` is the beginning of `union bpf_attr` as `command` reads it, without bytes that are not initialized, and every address in it is
/// that of as much live memory as it says.
#[expect(unsafe_code, reason = "neither rustix nor nix has this call")]
unsafe fn descriptor<A>(command: libc::c_long, attr: &A) -> Result<OwnedFd, Errno> {
    // SAFETY: the structure is live, and the kernel is told its size; the rest is the caller's word.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attr), size_of::<A>()) };
    match i32::try_from(fd) {
        // SAFETY: the kernel has just returned this descriptor to us, and nobody else knows of it. It closes itself at execve(2),
        // as all of bpf(2) do.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
    }
}
