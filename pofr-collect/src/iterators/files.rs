//! The iterator of open files: what a process has open, in one read.
//!
//! It tells what `/proc/PID/fd` does, by the same functions of the kernel: d_path() from the root of whoever reads, and the rights to
//! read and write that the file was opened with. Device and inode number, which `/proc` has elsewhere, come with it, and before the
//! first file the namespaces of its holder. It takes Linux 6.1, the first that goes through one process's files alone.
//!
//! The kernel asks nobody whether we may see them: who reads must have made sure that `/proc` would show them
//! (`PTRACE_MODE_READ_FSCREDS`, ptrace(2), and the right to list the directory), and that it is that of our pid namespace.

use super::{
    CHUNK,
    btf::Btf,
    code::{
        self, D_PATH, META, R, SEQ, SEQ_NUM, SEQ_WRITE, add_number, call, copy, load32, load64, set,
        skip_if_at_most, skip_if_zero, skip_unless, skip_unless_equal, store32, store64, value_of,
    },
    load, read_all, refused,
};
use crate::{
    namespaces,
    netlink::{u32_at, u64_at},
    sys,
};
use pofr_core::{fact::Namespaces, raw::Reading};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};
use std::{
    fs::File,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

const NAME: &std::ffi::CStr = c"pofr_open";
/// The iterator, as the kernel's BTF names it.
const ITERATOR: &str = "bpf_iter_task_file";
/// `FMODE_READ` and `FMODE_WRITE` of include/linux/fs.h.
const READ: u32 = 1;
const WRITE: u32 = 2;

/// Lists the open files of a process.
#[derive(Debug)]
pub(crate) struct FileIterator {
    program: OwnedFd,
    buffer: Vec<u8>,
}

/// What an open file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Described<'a> {
    /// The descriptor.
    pub(crate) fd: u32,
    /// Whether it is open for reading, and for writing.
    pub(crate) reads: bool,
    pub(crate) writes: bool,
    /// The device, as the kernel has it, and the inode number.
    pub(crate) device: u32,
    pub(crate) inode: u64,
    /// What the link in `/proc/PID/fd` says; `None` where that is a page or more, which no link says.
    pub(crate) text: Option<&'a [u8]>,
}

impl FileIterator {
    /// Has the kernel take the program, and makes sure that it tells of this very process what `/proc` does, and of nobody where there
    /// is nobody.
    ///
    /// # Errors
    /// Why it cannot be had, in words.
    pub(super) fn open(btf: &Btf) -> Result<Self, String> {
        let fields = Fields::of(btf)?;
        let record = sys::bpf::one_value(RECORD).map_err(refused)?;
        let program = load(&program(fields, record.as_fd()), NAME, ITERATOR, btf)?;
        let mut this = Self { program, buffer: vec![0; CHUNK] };
        // Before Linux 6.1 the kernel takes no notice of whose files are asked for.
        let mut others = 0;
        this.of_process(u32::MAX >> 1, |_| others += 1).map_err(refused)?;
        if others > 0 {
            return Err("all files are told of".to_owned());
        }
        this.is_right_about_us()
            .map_err(|error| error.to_string())?
            .then_some(this)
            .ok_or_else(|| "it does not tell what /proc does".to_owned())
    }

    /// Compares what it tells of a file of ours with its link and what `/proc` says of its inode, and our namespaces with their links.
    fn is_right_about_us(&mut self) -> std::io::Result<bool> {
        use std::os::{fd::AsRawFd as _, unix::ffi::OsStrExt as _};
        let file = File::open("/proc/self/exe")?;
        let fd = file.as_raw_fd().cast_unsigned();
        let link = std::fs::read_link(format!("/proc/self/fd/{fd}"))?;
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}"))?;
        let inode = info.lines().find_map(|line| line.strip_prefix("ino:")?.trim().parse().ok());
        let mut is_right = false;
        let namespaces = self.of_process(std::process::id(), |told| {
            if told.fd == fd {
                is_right = told.text == Some(link.as_os_str().as_bytes()) && told.reads && !told.writes;
                is_right &= inode == Some(told.inode);
            }
        })?;
        let process = rustix::fs::open("/proc/self", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let links = namespaces::read(&mut sys::Buffers::default(), process.as_fd());
        Ok(is_right && namespaces.map(Reading::Known) == Some(links))
    }

    /// Calls `each` with every file that the process has open, in the order of descriptors. Returns its namespaces; `None` where that
    /// was not told: it has nothing open, or was about to change them, or is four pid namespaces deep.
    ///
    /// # Errors
    /// Where the kernel does not begin or end the iteration.
    pub(crate) fn of_process(
        &mut self,
        pid: u32,
        mut each: impl FnMut(Described<'_>),
    ) -> Result<Option<Namespaces>, Errno> {
        let link = sys::bpf::link_iterator(self.program.as_fd(), Some(pid))?;
        let iteration = sys::bpf::begin_iteration(link.as_fd())?;
        let mut namespaces = None;
        read_all(&iteration, &mut self.buffer, |bytes| {
            if u32_at(bytes, 0)? == HOLDER_MARK.cast_unsigned() {
                namespaces = holder_namespaces(bytes.get(..HOLDER)?);
                return Some(HOLDER);
            }
            let (described, length) = Described::parse(bytes)?;
            each(described);
            Some(length)
        })?;
        Ok(namespaces)
    }
}

impl<'a> Described<'a> {
    fn parse(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let (mode, length) = (u32_at(bytes, 4)?, u32_at(bytes, 20)? as usize);
        let text = bytes.get(HEAD..HEAD + length)?;
        let described = Self {
            fd: u32_at(bytes, 0)?,
            reads: mode & READ != 0,
            writes: mode & WRITE != 0,
            inode: u64_at(bytes, 8)?,
            device: u32_at(bytes, 16)?,
            text: text.strip_suffix(&[0]),
        };
        Some((described, HEAD + length))
    }
}

/// Reads what is told of whoever has the files open.
fn holder_namespaces(record: &[u8]) -> Option<Namespaces> {
    let number = |place: usize| u32_at(record, 8 + 4 * place).filter(|number| *number != 0);
    (u32_at(record, 4)? == 1).then_some(())?;
    Some(Namespaces {
        cgroup: number(0)?,
        ipc: number(1)?,
        mnt: number(2)?,
        net: number(3)?,
        time: number(4)?,
        uts: number(5)?,
        user: number(USER)?,
        pid: number(PID)?,
    })
}

/// What begins a record of whoever has the files open: a number that no descriptor has.
const HOLDER_MARK: i32 = -2;
/// Its bytes: the mark, 1 where the rest can be relied upon, and the numbers of eight namespaces: six that `struct nsproxy` has, that
/// of users and that of processes.
const HOLDER: usize = 40;
const USER: usize = 6;
const PID: usize = 7;
/// How many pid namespaces deep a process may be to be told of: the program cannot take a place in an array from a register.
const LEVELS: i16 = 4;

/// Bytes that are written of each file: descriptor, mode, inode number, device and the length of the text that follows, with the zero
/// at its end.
const HEAD: usize = 24;
/// The text takes a page at most, as a link in `/proc` (do_proc_readlink in fs/proc/base.c).
const TEXT: i32 = 4096;
const RECORD: u32 = HEAD as u32 + TEXT as u32;

/// `struct bpf_iter__task_file`: the iteration, the task, the descriptor and the file.
const TASK: i16 = 8;
const FD: i16 = 16;
const FILE: i16 = 24;

/// Where the fields stand that are needed.
#[derive(Clone, Copy, Debug)]
struct Fields {
    mode: i16,
    path: i16,
    inode: i16,
    number: i16,
    superblock: i16,
    device: i16,
    nsproxy: i16,
    /// Where `struct nsproxy` has a namespace, and where that has its number.
    namespaces: [(i16, i16); 6],
    credentials: i16,
    user: (i16, i16),
    pid: i16,
    level: i16,
    levels: i16,
    pid_number: i16,
}

impl Fields {
    fn of(btf: &Btf) -> Result<Self, String> {
        let (file, inode) = (btf.structure("file")?, btf.structure("inode")?);
        let (task, pid) = (btf.structure("task_struct")?, btf.structure("pid")?);
        let nsproxy = btf.structure("nsproxy")?;
        let number = |namespace| btf.structure(namespace)?.offset(&["ns", "inum"]);
        let namespace = |field, structure| Ok::<_, String>((nsproxy.offset(&[field])?, number(structure)?));
        Ok(Self {
            nsproxy: task.offset(&["nsproxy"])?,
            namespaces: [
                namespace("cgroup_ns", "cgroup_namespace")?,
                namespace("ipc_ns", "ipc_namespace")?,
                namespace("mnt_ns", "mnt_namespace")?,
                namespace("net_ns", "net")?,
                namespace("time_ns", "time_namespace")?,
                namespace("uts_ns", "uts_namespace")?,
            ],
            credentials: task.offset(&["real_cred"])?,
            user: (btf.structure("cred")?.offset(&["user_ns"])?, number("user_namespace")?),
            pid: task.offset(&["thread_pid"])?,
            level: pid.offset(&["level"])?,
            levels: pid.offset(&["numbers"])?,
            pid_number: number("pid_namespace")?,
            mode: file.offset(&["f_mode"])?,
            path: file.offset(&["f_path"])?,
            inode: file.offset(&["f_inode"])?,
            number: inode.offset(&["i_ino"])?,
            superblock: inode.offset(&["i_sb"])?,
            device: btf.structure("super_block")?.offset(&["s_dev"])?,
        })
    }
}

/// Puts the program together. Each record is made in the one value of a map, since a name does not go onto the stack.
fn program(fields: Fields, map: BorrowedFd<'_>) -> Vec<u64> {
    let [context, file, record, task] = [R(6), R(7), R(8), R(9)];
    let (head, most) = (HEAD as i32, TEXT);
    let holder = holder(&fields, context, record, task);
    let mut body = value_of(record, map).to_vec();
    body.extend([
        load64(R(1), context, META),
        load64(R(1), R(1), SEQ_NUM),
        skip_unless(R(1), 0, holder.len() as i16),
    ]);
    body.extend(holder);
    body.extend([
        load32(R(1), context, FD),
        store32(record, 0, R(1)),
        load32(R(1), file, fields.mode),
        store32(record, 4, R(1)),
        load64(R(1), file, fields.inode),
        load64(R(2), R(1), fields.number),
        store64(record, 8, R(2)),
        load64(R(1), R(1), fields.superblock),
        load32(R(1), R(1), fields.device),
        store32(record, 16, R(1)),
        copy(R(1), file),
        add_number(R(1), i32::from(fields.path)),
        copy(R(2), record),
        add_number(R(2), head),
        set(R(3), most),
        call(D_PATH),
        // An error is a large number, and no text.
        skip_if_at_most(R(0), most, 1),
        set(R(0), 0),
        store32(record, 20, R(0)),
        // Out with it.
        load64(R(1), context, META),
        load64(R(1), R(1), SEQ),
        copy(R(2), record),
        copy(R(3), R(0)),
        add_number(R(3), head),
        call(SEQ_WRITE),
    ]);
    code::program(context, file, FILE, &body)
}

/// The part that tells of whoever has the files open.
///
/// The kernel changes `task_struct.nsproxy` under a lock and then forgets the one before, which is never changed itself. So it is
/// looked at again in the end: if it is still the same it was there all the time.
fn holder(fields: &Fields, context: R, record: R, task: R) -> Vec<u64> {
    let at = |place: usize| 8 + 4 * place as i16;
    let mut body = vec![set(R(1), HOLDER_MARK), store32(record, 0, R(1)), load64(R(1), task, fields.nsproxy)];
    for (place, (field, number)) in fields.namespaces.into_iter().enumerate() {
        body.extend([
            load64(R(2), R(1), field),
            load32(R(2), R(2), number),
            store32(record, at(place), R(2)),
        ]);
    }
    body.extend([
        load64(R(2), task, fields.credentials),
        load64(R(2), R(2), fields.user.0),
        load32(R(2), R(2), fields.user.1),
        store32(record, at(USER), R(2)),
        load64(R(2), task, fields.pid),
        load32(R(3), R(2), fields.level),
        set(R(4), 0),
    ]);
    for level in 0..LEVELS {
        // `struct upid` has 16 bytes, and the namespace in the second half.
        let namespace = fields.levels + 16 * level + 8;
        body.extend([
            skip_unless(R(3), level.into(), 2),
            load64(R(4), R(2), namespace),
            load32(R(4), R(4), fields.pid_number),
        ]);
    }
    body.extend([
        store32(record, at(PID), R(4)),
        set(R(3), 0),
        load64(R(2), task, fields.nsproxy),
        skip_unless_equal(R(1), R(2), 1),
        set(R(3), 1),
        store32(record, 4, R(3)),
        load64(R(1), context, META),
        load64(R(1), R(1), SEQ),
        copy(R(2), record),
        set(R(3), HOLDER as i32),
        call(SEQ_WRITE),
    ]);
    let skip = skip_if_zero(task, body.len() as i16);
    [load64(task, context, TASK), skip].into_iter().chain(body).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Opens the iterator, where the kernel and our rights allow.
    fn open() -> Option<FileIterator> {
        let btf = Btf::of_kernel(Path::new("/sys"));
        btf.and_then(|btf| FileIterator::open(&btf)).inspect_err(|why| eprintln!("not run: {why}")).ok()
    }

    #[test]
    fn each_file_is_told_with_the_number_of_its_inode_and_device() {
        use rustix::fs::{fstat, major, minor};
        use std::os::fd::AsRawFd as _;
        let Some(mut files) = open() else { return };
        let (reader, writer) = std::io::pipe().unwrap();
        let mut told = Vec::new();
        let ours = [reader.as_raw_fd(), writer.as_raw_fd()].map(i32::cast_unsigned);
        let listed = files.of_process(std::process::id(), |open| {
            if ours.contains(&open.fd) {
                told.push((open.fd, open.inode, open.device, open.reads, open.writes));
            }
        });
        listed.unwrap();
        told.sort_by_key(|(fd, ..)| ours.iter().position(|ours| ours == fd));
        let stat = fstat(&reader).unwrap();
        // The kernel's own form of a device's number has 12 bits for the greater half and 20 for the smaller.
        let device = major(stat.st_dev) << 20 | minor(stat.st_dev);
        let expected =
            [(ours[0], stat.st_ino, device, true, false), (ours[1], stat.st_ino, device, false, true)];
        assert_eq!(told, expected);
    }

    #[test]
    fn who_is_not_there_has_nothing_open() {
        let Some(mut files) = open() else { return };
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        child.wait().unwrap();
        let mut count = 0;
        files.of_process(child.id(), |_| count += 1).unwrap();
        assert_eq!(count, 0);
    }
}
