//! Frames: the stream as a row of zstd frames, each good by itself.
//!
//! Whoever is killed between two frames has lost nothing before the gap: [`salvage`] finds the last good one.

use super::{Header, WireError, bulk, message::HeaderMessage, record, within};
use crate::{identity::BootId, limits, record::Record, time::WallMicros};
use prost::Message as _;
use std::io::Read;

/// zstd's level: on delta records 3 costs next to nothing and higher ones gain little (MEASURED figures in benches/runs).
const LEVEL: i32 = 3;

/// Writes a stream.
#[derive(Debug)]
pub struct Encoder {
    pending: Vec<u8>,
    /// Why a record could not be written.
    refused: Option<WireError>,
}

impl Encoder {
    /// Begins a stream.
    #[must_use]
    pub fn new(header: &Header) -> Self {
        let header = within::header(header);
        let pending = record::encode_header(&header).encode_length_delimited_to_vec();
        Self { pending, refused: None }
    }

    /// Adds a record to the frame that is being made. Facts that no reader would take are cut, which a
    /// [`Differ`](crate::diff::Differ) makes none of; a record of more bytes than a reader takes is refused, which
    /// [`flush`](Self::flush) says.
    pub fn push(&mut self, record: &Record) {
        let message = record::encode(&within::record(record));
        let length = message.encoded_len();
        if length as u64 > limits::MESSAGE.read {
            self.refused = Some(WireError::TooLarge { part: "record".into(), limit: limits::MESSAGE.read });
            return;
        }
        self.pending.extend(message.encode_length_delimited_to_vec());
    }

    /// Returns how many bytes wait, before compression.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Ends the frame: returns all that was added since the last one, compressed; empty if that is nothing.
    ///
    /// # Errors
    /// [`WireError::Compression`], or that a record was refused; what was added besides it can still be flushed.
    pub fn flush(&mut self) -> Result<Vec<u8>, WireError> {
        if let Some(refused) = self.refused.take() {
            return Err(refused);
        }
        if self.pending.is_empty() {
            return Ok(Vec::new());
        }
        let frame = compressed(&self.pending)
            .map_err(|cause| WireError::Compression { part: "frame".into(), cause })?;
        self.pending.clear();
        Ok(frame)
    }
}

/// Reads a stream, record by record, in memory bounded by its largest frame's window and message.
pub struct Decoder<'a> {
    header: Header,
    stream: Capped<'a>,
    boot: BootId,
    count: u64,
    failed: bool,
}

/// The decompressed stream, with a limit on all that it may yield: 512 MiB of zeros are 16 kB of zstd.
struct Capped<'a> {
    inner: std::io::BufReader<zstd::stream::read::Decoder<'a, &'a [u8]>>,
    left: u64,
    limit: u64,
}

impl Read for Capped<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| std::io::Error::other("too large"))?;
        Ok(n)
    }
}

impl std::fmt::Debug for Decoder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder")
            .field("header", &self.header)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl<'a> Decoder<'a> {
    /// Begins to read; `limit` bounds the bytes of the whole stream after decompression.
    ///
    /// # Errors
    /// [`WireError`] where there is no good header.
    pub fn new(frames: &'a [u8], limit: u64) -> Result<Self, WireError> {
        const PART: &str = "header";
        if frames.is_empty() {
            return Err(WireError::malformed(PART, "the stream is empty"));
        }
        let mut stream = Capped::new(frames, limit)?;
        let header = stream.header(PART)?;
        let boot = header.boot;
        Ok(Self { header, stream, boot, count: 0, failed: false })
    }

    /// Returns what the stream says of itself.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    fn read(&mut self) -> Result<Option<Record>, WireError> {
        let part = format!("record {}", self.count + 1);
        let Some(message) = self.stream.message(&part)? else { return Ok(None) };
        self.count += 1;
        record::read(&message, self.boot).map(Some).map_err(|detail| WireError::malformed(part, detail))
    }
}

impl Iterator for Decoder<'_> {
    type Item = Result<Record, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let record = self.read().transpose();
        self.failed = !matches!(record, Some(Ok(_)));
        record
    }
}

impl<'a> Capped<'a> {
    fn new(frames: &'a [u8], limit: u64) -> Result<Self, WireError> {
        const PART: &str = "header";
        let mut zstd =
            zstd::stream::read::Decoder::with_buffer(frames).map_err(|cause| compression(PART, cause))?;
        // The windows of our own frames are far smaller; a larger one is an attack on memory.
        zstd.window_log_max(27).map_err(|cause| compression(PART, cause))?;
        Ok(Self { inner: std::io::BufReader::with_capacity(1 << 16, zstd), left: limit, limit })
    }

    fn header(&mut self, part: &str) -> Result<Header, WireError> {
        let message = self.message(part)?.ok_or_else(|| WireError::malformed(part, "the stream is empty"))?;
        bulk::header(&message).map_err(|detail| WireError::malformed(part, detail))?;
        record::decode_header(HeaderMessage::decode(&*message).map_err(|e| WireError::malformed(part, e))?)
    }

    /// Reads one length-delimited message; `None` at the end of the stream.
    fn message(&mut self, part: &str) -> Result<Option<Vec<u8>>, WireError> {
        let mut length = 0u64;
        for shift in (0..).step_by(7) {
            let mut byte = [0];
            if self.read(&mut byte).map_err(|cause| self.failure(part, cause))? == 0 {
                if shift == 0 {
                    return Ok(None);
                }
                return Err(WireError::malformed(part, "the stream ends within a length"));
            }
            if shift > 28 {
                return Err(WireError::malformed(part, "a length of more than five bytes"));
            }
            length |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] & 0x80 == 0 {
                break;
            }
        }
        if length > limits::MESSAGE.read || length > self.left {
            return Err(WireError::TooLarge {
                part: part.into(),
                limit: self.limit.min(limits::MESSAGE.read),
            });
        }
        // Grown as bytes arrive, so that an announced length alone costs nothing.
        let mut message = Vec::with_capacity(usize::try_from(length).unwrap_or(0).min(1 << 16));
        let got = self
            .by_ref()
            .take(length)
            .read_to_end(&mut message)
            .map_err(|cause| self.failure(part, cause))?;
        if got as u64 != length {
            return Err(WireError::malformed(
                part,
                format!("the stream ends {} bytes early", length - got as u64),
            ));
        }
        Ok(Some(message))
    }

    fn failure(&self, part: &str, cause: std::io::Error) -> WireError {
        if cause.kind() == std::io::ErrorKind::Other && cause.to_string() == "too large" {
            WireError::TooLarge { part: part.into(), limit: self.limit }
        } else if cause.kind() == std::io::ErrorKind::UnexpectedEof {
            WireError::malformed(part, "the stream ends within a frame")
        } else {
            compression(part, cause)
        }
    }
}

/// Makes a frame, with a checksum: a damaged one must not be taken for another.
fn compressed(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    compressor.include_checksum(true)?;
    compressor.compress(bytes)
}

fn compression(part: &str, cause: std::io::Error) -> WireError {
    WireError::Compression { part: part.into(), cause }
}

/// What can be kept of a stream that may have been cut off or damaged.
#[derive(Debug, Default)]
pub struct Salvaged {
    /// So many leading bytes are whole frames in which every record can be read.
    pub good: usize,
    /// The header, if they hold one.
    pub header: Option<Header>,
    /// The stamp of the last sample in them.
    pub last: Option<WallMicros>,
    /// What is wrong with the next frame; `None` where it merely ends too early, as one does that was being written.
    pub damage: Option<WireError>,
}

/// Finds what can be kept of a stream that may have been cut off or damaged.
#[must_use]
pub fn salvage(frames: &[u8]) -> Salvaged {
    salvage_within(frames, u64::MAX)
}

/// Does what [`salvage`] does with a stream that somebody else wrote: keeps no frame beyond `limit` bytes, all frames together and
/// unpacked, and holds no more than a window and a message of it.
#[must_use]
pub fn salvage_within(frames: &[u8], limit: u64) -> Salvaged {
    let mut kept = Salvaged::default();
    let (mut left, mut count) = (limit, 0);
    while kept.good < frames.len() {
        let rest = &frames[kept.good..];
        let Some(length) = zstd::zstd_safe::find_frame_compressed_size(rest).ok().filter(|n| *n > 0) else {
            if !is_cut_off(rest) {
                kept.damage = Some(WireError::malformed(format!("byte {}", kept.good), "no zstd frame"));
            }
            break;
        };
        match frame(&rest[..length], left, &kept, &mut count) {
            Ok(Frame { header, last, left: still }) => {
                left = still;
                kept.good += length;
                kept.header = kept.header.or(header);
                kept.last = kept.last.max(last);
            }
            Err(error) => {
                kept.damage = Some(error);
                break;
            }
        }
    }
    if kept.header.is_none() {
        kept.good = 0;
    }
    kept
}

/// What one frame holds.
struct Frame {
    header: Option<Header>,
    last: Option<WallMicros>,
    left: u64,
}

/// Reads all messages of the frame that follows what is `kept`.
fn frame(frame: &[u8], left: u64, kept: &Salvaged, count: &mut u64) -> Result<Frame, WireError> {
    let mut stream = Capped::new(frame, left)?;
    let header = if kept.header.is_none() { Some(stream.header("header")?) } else { None };
    let mut last = None;
    while let Some(boot) = header.as_ref().or(kept.header.as_ref()).map(|header| header.boot) {
        *count += 1;
        let part = format!("record {count}");
        let Some(message) = stream.message(&part)? else {
            *count -= 1;
            break;
        };
        let record = record::read(&message, boot).map_err(|detail| WireError::malformed(part, detail))?;
        last = last.max(stamp(&record));
    }
    Ok(Frame { header, last, left: stream.left })
}

/// Tells whether bytes are the beginning of one frame and nothing else, or zeros: what was being written when the writer ended, or
/// the power went.
fn is_cut_off(rest: &[u8]) -> bool {
    const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    if rest.iter().all(|byte| *byte == 0) {
        return true;
    }
    let begins = rest.iter().zip(MAGIC).all(|(byte, magic)| *byte == magic);
    begins && !rest[1..].windows(4).any(|bytes| bytes == MAGIC)
}

/// Returns the ends of the zstd frames in a whole stream, in bytes.
#[must_use]
pub fn frame_ends(frames: &[u8]) -> Vec<usize> {
    let (mut ends, mut at) = (Vec::new(), 0);
    while let Ok(n) = zstd::zstd_safe::find_frame_compressed_size(&frames[at..])
        && n > 0
        && at + n <= frames.len()
    {
        at += n;
        ends.push(at);
    }
    ends
}

/// Returns the time that a record speaks of.
pub(super) fn stamp(record: &Record) -> Option<WallMicros> {
    match record {
        Record::Sample(sample) => Some(sample.stamp),
        Record::Event(_) | Record::Gap(_) => None,
    }
}
