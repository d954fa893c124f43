//! The tar of a v1 bundle: which members it may have, and what they unpack to, under caps.
//!
//! Archive::Tar writes ustar with the name in the name field and `/dev/shm` in the prefix field. A client always
//! packs 384 slots of two files each; a slot that was never filled is a directory member `/dev/shm`, which
//! says nothing and is passed over. Everything that a client does not write is an error, and one bad member
//! condemns the tar: half a bundle would be a record with holes that nothing tells of.

use super::name::{HalfName, HalfNameError, Which, strip_spool};
use crate::{
    raw::RawText,
    time::{WallMicros, ZoneOffset},
};
use flate2::bufread::GzDecoder;
use std::{
    collections::BTreeMap,
    io::{self, Read as _},
};
use tar::{Archive, EntryType};

/// The size of a tar's blocks (tar(5)).
const BLOCK: usize = 512;

/// How much a tar may ask of its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Members, directories included. A client writes 768.
    pub members: usize,
    /// Bytes of one member as it lies in the tar.
    pub member_bytes: usize,
    /// Bytes of one half, unpacked. A machine with 62,000 open files makes some 5 MB.
    pub text_bytes: usize,
    /// Bytes of all halves together, unpacked: they are in memory at the same time.
    pub total_text_bytes: usize,
    /// How many times its packed size a half may be …
    pub ratio: usize,
    /// … once it is longer than this: a short one may well be all of a kind.
    pub ratio_from_bytes: usize,
}

impl Default for Caps {
    /// 4,096 members of at most 16 MiB, halves of at most 64 MiB, 1 GiB in all, 250 times from 4 MiB on.
    fn default() -> Self {
        Self {
            members: 4096,
            member_bytes: 16 << 20,
            text_bytes: 64 << 20,
            total_text_bytes: 1 << 30,
            ratio: 250,
            ratio_from_bytes: 4 << 20,
        }
    }
}

/// Why a tar is not taken. Sizes are in bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TarError {
    /// A header makes no sense, or the tar stops in the middle.
    #[error("cannot read the tar after byte {at}: {cause}")]
    Broken {
        /// How far the tar was in order.
        at: usize,
        /// What is wrong.
        cause: io::Error,
    },
    /// A member's data goes on beyond the end of the tar.
    #[error("tar is cut off inside member {member}")]
    CutOff {
        /// The member.
        member: RawText,
    },
    /// The two blocks of zeros that end a tar are not there.
    #[error("tar is cut off: no end mark at byte {at}")]
    NoEndMark {
        /// Where it should be.
        at: usize,
    },
    /// There is something after the end mark.
    #[error("tar has something after its end mark, at byte {at}")]
    Trailing {
        /// Where.
        at: usize,
    },
    /// More members than allowed.
    #[error("tar has more than {cap} members")]
    Members {
        /// The cap.
        cap: usize,
    },
    /// A link, a device, an extension header: nothing that a client writes.
    #[error("member {member} is {kind}, which has no place in a bundle")]
    Kind {
        /// The member.
        member: RawText,
        /// What it is.
        kind: &'static str,
    },
    /// A directory that is not the client's spool.
    #[error("member {member} is a directory other than /dev/shm")]
    Directory {
        /// The member.
        member: RawText,
    },
    /// A file that is not half a snapshot.
    #[error(transparent)]
    Name(#[from] HalfNameError),
    /// Two members of one name and different contents.
    #[error("member {member} is there twice, with different contents")]
    Duplicate {
        /// The member.
        member: RawText,
    },
    /// A member is too large as it lies in the tar.
    #[error("member {member} has {size} bytes, more than {cap}")]
    MemberSize {
        /// The member.
        member: RawText,
        /// Its size.
        size: u64,
        /// The cap.
        cap: usize,
    },
    /// A member does not unpack.
    #[error("cannot unpack member {member}: {cause}")]
    Gzip {
        /// The member.
        member: RawText,
        /// Why not.
        cause: io::Error,
    },
    /// There is something after a member's gzip stream.
    #[error("member {member} has {bytes} bytes after its gzip stream")]
    GzipTrailing {
        /// The member.
        member: RawText,
        /// How much.
        bytes: usize,
    },
    /// A half is too long.
    #[error("member {member} unpacks to more than {cap} bytes")]
    TextSize {
        /// The member.
        member: RawText,
        /// The cap.
        cap: usize,
    },
    /// A half is absurdly longer than it was packed.
    #[error("member {member} unpacks to more than {ratio} times its size")]
    Ratio {
        /// The member.
        member: RawText,
        /// The cap.
        ratio: usize,
    },
    /// All halves together are too long.
    #[error("tar unpacks to more than {cap} bytes, at member {member}")]
    TotalSize {
        /// The member with which it went over.
        member: RawText,
        /// The cap.
        cap: usize,
    },
}

/// Half a snapshot, unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Half {
    /// The snapshot's stamp.
    pub stamp: WallMicros,
    /// The zone of its name.
    pub zone: ZoneOffset,
    /// Which half.
    pub which: Which,
    /// The text.
    pub text: Vec<u8>,
}

/// Reads all halves of a tar, in its own order: all proc halves, then all net halves.
///
/// A tar may hold no half at all. Whether its SHA-256 is the one in its name is not looked at
/// ([`crate::wire::name::BundleName::names`]).
///
/// # Errors
/// Where anything about the tar is not as a client writes it, or it goes over one of the `caps`.
pub fn read_tar(tar: &[u8], caps: &Caps) -> Result<Vec<Half>, TarError> {
    let mut packed: BTreeMap<HalfName, &[u8]> = BTreeMap::new();
    let mut halves = Vec::new();
    let mut total = 0;
    for member in members(tar, caps)? {
        if *packed.entry(member.name).or_insert(member.data) != member.data {
            return Err(TarError::Duplicate { member: member.path });
        }
        if packed.len() == halves.len() {
            continue; // The same bytes once more.
        }
        let text = unpack(&member, caps, caps.total_text_bytes - total)?;
        total += text.len();
        let HalfName { stamp, zone, which } = member.name;
        halves.push(Half { stamp, zone, which, text });
    }
    Ok(halves)
}

/// A regular member.
struct Member<'a> {
    path: RawText,
    name: HalfName,
    data: &'a [u8],
}

/// Walks the tar from end to end and returns the members that are halves.
fn members<'a>(tar: &'a [u8], caps: &Caps) -> Result<Vec<Member<'a>>, TarError> {
    let mut found = Vec::new();
    let mut end = 0;
    let mut count = 0;
    let mut archive = Archive::new(tar);
    let broken = |at: usize| move |cause: io::Error| TarError::Broken { at, cause };
    // Raw, so that extension headers come as what they are instead of renaming the member after them.
    for entry in archive.entries().map_err(broken(0))?.raw(true) {
        let entry = entry.map_err(broken(end))?;
        count += 1;
        if count > caps.members {
            return Err(TarError::Members { cap: caps.members });
        }
        let path = RawText::from(&*entry.path_bytes());
        let size = entry.header().entry_size().map_err(broken(end))?;
        if size > caps.member_bytes as u64 {
            return Err(TarError::MemberSize { member: path, size, cap: caps.member_bytes });
        }
        let cut_off = || TarError::CutOff { member: path.clone() };
        let from = usize::try_from(entry.raw_file_position()).map_err(|_| cut_off())?;
        let to = usize::try_from(size).ok().and_then(|size| from.checked_add(size)).ok_or_else(cut_off)?;
        let data = tar.get(from..to).ok_or_else(cut_off)?;
        end = to.next_multiple_of(BLOCK);
        match entry.header().entry_type() {
            EntryType::Directory => {
                let trimmed = path.as_bytes().strip_suffix(b"/").unwrap_or(path.as_bytes());
                if strip_spool(&[trimmed, b"/"].concat()) != b"" || size != 0 {
                    return Err(TarError::Directory { member: path });
                }
            }
            // Meant by the client's authors to be inside: the time of the last boot. Nothing is read from it.
            EntryType::Regular if strip_spool(path.as_bytes()) == b"lastreb.proc" => {}
            EntryType::Regular => {
                found.push(Member { name: HalfName::parse(path.as_bytes())?, path, data });
            }
            other => return Err(TarError::Kind { member: path, kind: describe(other) }),
        }
    }
    check_end(tar, end)?;
    Ok(found)
}

/// Checks that nothing but the end mark, two blocks of zeros or more, follows the last member.
fn check_end(tar: &[u8], end: usize) -> Result<(), TarError> {
    let rest = tar.get(end..).unwrap_or_default();
    if let Some(at) = rest.iter().position(|b| *b != 0) {
        return Err(TarError::Trailing { at: end + at });
    }
    if rest.len() < 2 * BLOCK { Err(TarError::NoEndMark { at: end }) } else { Ok(()) }
}

/// Unpacks a member to at most what the caps and `left`, the rest of the total, allow.
fn unpack(member: &Member<'_>, caps: &Caps, left: usize) -> Result<Vec<u8>, TarError> {
    let by_ratio = member.data.len().saturating_mul(caps.ratio).max(caps.ratio_from_bytes);
    let limit = caps.text_bytes.min(by_ratio).min(left);
    let path = || member.path.clone();
    let mut text = Vec::new();
    // One byte more than allowed, so that reading to the cap also reads, and checks, the gzip trailer.
    let mut unpacked = GzDecoder::new(member.data).take(limit as u64 + 1);
    unpacked.read_to_end(&mut text).map_err(|cause| TarError::Gzip { member: path(), cause })?;
    if text.len() > limit {
        return Err(match limit {
            _ if limit == caps.text_bytes => TarError::TextSize { member: path(), cap: limit },
            _ if limit == by_ratio => TarError::Ratio { member: path(), ratio: caps.ratio },
            _ => TarError::TotalSize { member: path(), cap: caps.total_text_bytes },
        });
    }
    match unpacked.into_inner().into_inner().len() {
        0 => Ok(text),
        bytes => Err(TarError::GzipTrailing { member: path(), bytes }),
    }
}

/// Names a kind of member for a person.
fn describe(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Link => "a hard link",
        EntryType::Symlink => "a symbolic link",
        EntryType::Char => "a character device",
        EntryType::Block => "a block device",
        EntryType::Fifo => "a fifo",
        EntryType::XHeader | EntryType::XGlobalHeader => "a pax extension header",
        EntryType::GNULongName | EntryType::GNULongLink => "a GNU long name",
        EntryType::GNUSparse => "a sparse file",
        _ => "of an unknown kind",
    }
}
