//! Frames: the stream as a row of zstd frames, each good by itself.
//!
//! Whoever is killed between two frames has lost nothing before the gap: [`salvage`] finds the last whole one.

use super::{Header, WireError, bulk, message::HeaderMessage, record};
use crate::{identity::BootId, record::Record, time::WallMicros};
use prost::Message as _;
use std::io::Read;

/// One message may be so large: a keyframe of 100,000 files with long paths has 30 MB.
const MAX_MESSAGE: usize = 256 << 20;
/// zstd's level: on delta records 3 costs next to nothing and higher ones gain little (MEASURED figures in benches/runs).
const LEVEL: i32 = 3;

/// Writes a stream.
#[derive(Debug)]
pub struct Encoder {
    pending: Vec<u8>,
}

impl Encoder {
    /// Begins a stream.
    #[must_use]
    pub fn new(header: &Header) -> Self {
        Self { pending: record::encode_header(header).encode_length_delimited_to_vec() }
    }

    /// Adds a record to the frame that is being made.
    pub fn push(&mut self, record: &Record) {
        self.pending.extend(record::encode(record).encode_length_delimited_to_vec());
    }

    /// Returns how many bytes wait, before compression.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Ends the frame: returns all that was added since the last one, compressed; empty if that is nothing.
    ///
    /// # Errors
    /// [`WireError::Compression`].
    pub fn flush(&mut self) -> Result<Vec<u8>, WireError> {
        if self.pending.is_empty() {
            return Ok(Vec::new());
        }
        let frame = zstd::bulk::compress(&self.pending, LEVEL)
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
        let mut zstd =
            zstd::stream::read::Decoder::with_buffer(frames).map_err(|cause| compression(PART, cause))?;
        // The windows of our own frames are far smaller; a larger one is an attack on memory.
        zstd.window_log_max(27).map_err(|cause| compression(PART, cause))?;
        let mut stream =
            Capped { inner: std::io::BufReader::with_capacity(1 << 16, zstd), left: limit, limit };
        let message =
            stream.message(PART)?.ok_or_else(|| WireError::malformed(PART, "the stream is empty"))?;
        bulk::header(&message).map_err(|detail| WireError::malformed(PART, detail))?;
        let message = HeaderMessage::decode(&*message).map_err(|e| WireError::malformed(PART, e))?;
        let header = record::decode_header(message)?;
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

impl Capped<'_> {
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
        if length > MAX_MESSAGE as u64 || length > self.left {
            return Err(WireError::TooLarge { part: part.into(), limit: self.limit.min(MAX_MESSAGE as u64) });
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

fn compression(part: &str, cause: std::io::Error) -> WireError {
    WireError::Compression { part: part.into(), cause }
}

/// Finds what can be kept of a stream that may have been cut off: how many leading bytes are whole frames, the header
/// if those hold one, and the stamp of the last sample or event in them.
#[must_use]
pub fn salvage(frames: &[u8]) -> (usize, Option<Header>, Option<WallMicros>) {
    salvage_within(frames, u64::MAX)
}

/// Does what [`salvage`] does with a stream that somebody else wrote: keeps no frame beyond `limit` bytes, all frames together and
/// unpacked, and holds no more than a window and a message of it.
#[must_use]
pub fn salvage_within(frames: &[u8], limit: u64) -> (usize, Option<Header>, Option<WallMicros>) {
    let (mut good, mut left) = (0, limit);
    while good < frames.len() {
        match zstd::zstd_safe::find_frame_compressed_size(&frames[good..]) {
            Ok(n) if n > 0 && good + n <= frames.len() => match unpacked(&frames[good..good + n], left) {
                Some(bytes) => (good, left) = (good + n, left - bytes),
                None => break,
            },
            _ => break,
        }
    }
    let Ok(decoder) = Decoder::new(&frames[..good], limit) else { return (0, None, None) };
    let header = decoder.header().clone();
    let last = decoder.flatten().filter_map(|record| stamp(&record)).max();
    (good, Some(header), last)
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

/// Returns how many bytes a frame unpacks to, without keeping them; `None` where it is damaged or that is more than `limit`.
fn unpacked(frame: &[u8], limit: u64) -> Option<u64> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(frame).ok()?;
    decoder.window_log_max(27).ok()?;
    let bytes = std::io::copy(&mut decoder.take(limit.saturating_add(1)), &mut std::io::sink()).ok()?;
    (bytes <= limit).then_some(bytes)
}

/// Returns the time that a record speaks of.
pub(super) fn stamp(record: &Record) -> Option<WallMicros> {
    match record {
        Record::Sample(sample) => Some(sample.stamp),
        Record::Event(_) | Record::Gap(_) => None,
    }
}
