//! Frames: length (4 bytes, big-endian, of what follows), kind (1 byte), message.

use super::{LinkError, MAX_FRAME};
use prost::bytes::Bytes;
use std::io::{ErrorKind, Read, Write};

/// What goes into a frame: [`super::Up`] or [`super::Down`].
pub trait LinkMessage: Sized {
    /// Returns the kind and appends the message to `out`.
    fn encode(&self, out: &mut Vec<u8>) -> u8;

    /// Reads the message of a frame.
    ///
    /// # Errors
    /// [`LinkError::Kind`], [`LinkError::Malformed`].
    fn decode(kind: u8, message: Bytes) -> Result<Self, LinkError>;
}

/// Reads frames.
#[derive(Debug)]
pub struct Reader<R> {
    inner: R,
    limit: usize,
}

impl<R: Read> Reader<R> {
    /// Reads from `inner` frames of up to [`MAX_FRAME`] bytes.
    pub const fn new(inner: R) -> Self {
        Self { inner, limit: MAX_FRAME }
    }

    /// Changes how large a frame may be, in bytes of kind and message.
    pub const fn limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Waits for the next message; `None` where the stream ends between two frames.
    ///
    /// # Errors
    /// [`LinkError`]. After one, nothing more can be read: where a frame begins is not known any more.
    pub fn read<M: LinkMessage>(&mut self) -> Result<Option<M>, LinkError> {
        let mut head = [0; 4];
        match self.fill(&mut head)? {
            0 => return Ok(None),
            4 => {}
            _ => return Err(LinkError::Truncated),
        }
        let length = u32::from_be_bytes(head);
        let bounded = usize::try_from(length).ok().filter(|n| (1..=self.limit).contains(n));
        let Some(length) = bounded else {
            return Err(LinkError::Length { length: length.into(), limit: self.limit });
        };
        // Grown as bytes arrive, so that an announced length alone costs nothing.
        let mut body = Vec::with_capacity(length.min(1 << 16));
        if self.inner.by_ref().take(length as u64).read_to_end(&mut body)? != length {
            return Err(LinkError::Truncated);
        }
        let body = Bytes::from(body);
        M::decode(body[0], body.slice(1..)).map(Some)
    }

    /// Returns what is read from.
    pub const fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    /// Reads until `buf` is full or the stream ends; returns how much was read.
    fn fill(&mut self, buf: &mut [u8]) -> Result<usize, LinkError> {
        let mut got = 0;
        while got < buf.len() {
            match self.inner.read(&mut buf[got..]) {
                Ok(0) => break,
                Ok(n) => got += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(got)
    }
}

/// Writes frames.
#[derive(Debug)]
pub struct Writer<W> {
    inner: W,
    frame: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Writes to `inner`.
    pub const fn new(inner: W) -> Self {
        Self { inner, frame: Vec::new() }
    }

    /// Writes a message as one frame, and flushes.
    ///
    /// # Errors
    /// [`LinkError::Io`]; [`LinkError::Length`] where the message is larger than a frame, of which nothing was written.
    pub fn write<M: LinkMessage>(&mut self, message: &M) -> Result<(), LinkError> {
        self.frame.clear();
        self.frame.extend([0; 5]);
        let kind = message.encode(&mut self.frame);
        let length = self.frame.len() - 4;
        let announced = u32::try_from(length).ok().filter(|_| length <= MAX_FRAME);
        let Some(announced) = announced else {
            return Err(LinkError::Length { length: length as u64, limit: MAX_FRAME });
        };
        self.frame[..4].copy_from_slice(&announced.to_be_bytes());
        self.frame[4] = kind;
        self.inner.write_all(&self.frame)?;
        Ok(self.inner.flush()?)
    }

    /// Returns what is written to.
    pub const fn get_mut(&mut self) -> &mut W {
        &mut self.inner
    }
}
