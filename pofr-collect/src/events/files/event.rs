//! What a fanotify group with names tells: the bytes of fanotify(7), understood.

use nix::sys::fanotify::{FANOTIFY_METADATA_VERSION, MaskFlags};
use pofr_core::identity::Pid;

/// `struct fanotify_event_metadata`, bytes.
const METADATA_BYTES: usize = 24;
/// `struct fanotify_event_info_header` and the id of the filesystem, bytes.
const INFO_BYTES: usize = 12;

// The kinds of information (include/uapi/linux/fanotify.h).
const FID: u8 = 1;
const DFID_NAME: u8 = 2;
const OLD_DFID_NAME: u8 = 10;
const NEW_DFID_NAME: u8 = 12;

/// What names a file or directory in its filesystem for as long as that is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Handle {
    /// The filesystem, as statfs(2) names it.
    pub(super) filesystem: [u8; 8],
    /// `struct file_handle` (open_by_handle_at(2)): its length, its type, and what only the filesystem understands.
    pub(super) bytes: Vec<u8>,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) dir: Handle,
    pub(super) name: Vec<u8>,
}

/// An event, or several of one process about one name that were not read in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) mask: MaskFlags,
    /// 0 where the kernel does not say.
    pub(super) pid: Pid,
    /// Where it happened.
    pub(super) at: Option<Entry>,
    /// Of a renaming: what it was called, as far as that directory is watched.
    pub(super) old: Option<Entry>,
    /// What it is called now, likewise.
    pub(super) new: Option<Entry>,
    /// The file itself; of a creation, deletion or renaming, the directory.
    pub(super) file: Option<Handle>,
}

/// Reads all events of what one read(2) returned.
pub(super) fn parse(mut bytes: &[u8], mut each: impl FnMut(Event)) -> Result<(), String> {
    while !bytes.is_empty() {
        let metadata = bytes.get(..METADATA_BYTES).ok_or("an event that is cut off")?;
        let length = u32_at(metadata, 0)? as usize;
        if metadata[4] != FANOTIFY_METADATA_VERSION {
            return Err(format!("events of version {}", metadata[4]));
        }
        let head = usize::from(u16_at(metadata, 6)?);
        let event = bytes.get(..length).filter(|_| (METADATA_BYTES..=length).contains(&head));
        let event = event.ok_or_else(|| format!("an event of {length} bytes"))?;
        let mut told = Event {
            mask: MaskFlags::from_bits_retain(u64::from_ne_bytes(chunk(metadata, 8)?)),
            pid: Pid(u32::try_from(i32::from_ne_bytes(chunk(metadata, 20)?)).unwrap_or(0)),
            at: None,
            old: None,
            new: None,
            file: None,
        };
        let mut rest = &event[head..];
        while !rest.is_empty() {
            let length = usize::from(u16_at(rest, 2)?);
            let info = rest.get(..length).filter(|info| info.len() >= 4);
            let info = info.ok_or_else(|| format!("information of {length} bytes"))?;
            match info[0] {
                FID => told.file = Some(handle(info)?.0),
                DFID_NAME => told.at = Some(entry(info)?),
                OLD_DFID_NAME => told.old = Some(entry(info)?),
                NEW_DFID_NAME => told.new = Some(entry(info)?),
                _ => {}
            }
            rest = &rest[length..];
        }
        each(told);
        bytes = &bytes[length..];
    }
    Ok(())
}

/// Reads a handle, and returns what follows it.
fn handle(info: &[u8]) -> Result<(Handle, &[u8]), String> {
    let filesystem = chunk(info, 4)?;
    let length = u32_at(info, INFO_BYTES)? as usize;
    let bytes = info.get(INFO_BYTES..).and_then(|rest| rest.split_at_checked(8 + length));
    let (bytes, rest) = bytes.ok_or_else(|| format!("a handle of {length} bytes"))?;
    Ok((Handle { filesystem, bytes: bytes.to_vec() }, rest))
}

fn entry(info: &[u8]) -> Result<Entry, String> {
    let (dir, rest) = handle(info)?;
    // The name ends with a NUL, and after it come more, for alignment.
    let name = rest.split(|b| *b == 0).next().unwrap_or_default();
    Ok(Entry { dir, name: name.to_vec() })
}

fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], String> {
    let chunk = bytes.get(at..).and_then(|rest| rest.first_chunk());
    chunk.copied().ok_or_else(|| "information that is cut off".to_owned())
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, String> {
    chunk(bytes, at).map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, String> {
    chunk(bytes, at).map(u32::from_ne_bytes)
}

/// What must hold of any bytes: what is told is no more than what came.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let (mut events, mut told) = (0, 0);
    let _ = parse(bytes, |event| {
        events += 1;
        let entries = [&event.at, &event.old, &event.new];
        told += event.file.iter().map(|file| file.bytes.len()).sum::<usize>();
        for entry in entries.into_iter().flatten() {
            assert!(!entry.name.contains(&0));
            told += entry.name.len() + entry.dir.bytes.len();
        }
    });
    assert!(events * METADATA_BYTES + told <= bytes.len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::{file_event, file_info};

    /// One event with a directory and a name, and the file itself, as the kernel lays them out.
    fn bytes() -> Vec<u8> {
        let infos =
            [file_info(DFID_NAME, b"pass\xffwd\0"), file_info(FID, b""), file_info(99, b"later kernels")];
        file_event(MaskFlags::FAN_OPEN.bits(), &infos)
    }

    #[test]
    fn names_and_handles_are_read_and_what_is_unknown_is_skipped() {
        let mut told = Vec::new();
        parse(&[bytes(), bytes()].concat(), |event| told.push(event)).unwrap();
        assert_eq!(told.len(), 2);
        let Event { mask, pid, at, old, new, file } = &told[0];
        assert_eq!((*mask, *pid, old, new), (MaskFlags::FAN_OPEN, Pid(812), &None, &None));
        let at = at.as_ref().unwrap();
        assert_eq!((at.name.as_slice(), at.dir.filesystem), (&b"pass\xffwd"[..], [1; 8]));
        assert_eq!(file.as_ref().unwrap().bytes[8..], [FID; 8]);
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        let whole = bytes();
        for length in 1..whole.len() {
            assert!(parse(&whole[..length], |_| ()).is_err(), "{length}");
        }
        for (at, value) in [(0, 0xff), (0, 0), (6, 0), (26, 0), (26, 0xff), (36, 0xff)] {
            let mut wrong = whole.clone();
            wrong[at] = value;
            assert!(parse(&wrong, |_| ()).is_err(), "{at} {value}");
        }
    }
}
