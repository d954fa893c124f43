//! What the client says.

use super::{
    LinkError, MAX_DATA, MAX_REQUEST,
    frame::LinkMessage,
    message::{
        BareMessage, DataMessage, FramesMessage, HelloMessage, NumberMessage, OfferMessage, OpenMessage,
        RequestMessage, RotateMessage, SpliceMessage, TextMessage,
    },
};
use crate::identity::{BundleSeq, Cid, RunId};
use prost::{Message, bytes::Bytes};

/// A name, a version, a host may have so many bytes.
pub(super) const MAX_NAME: usize = 255;

/// What the client wants of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// To send bundles.
    Receive,
    /// To be registered.
    Register,
}

/// Why the client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goodbye {
    /// It was stopped, and will be back.
    Stopping,
    /// It was deregistered, and will not.
    Deregistered,
}

/// Where the records stand in a bundle's tar, so that what was streamed of them need not be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Splice {
    /// The bundle's run.
    pub run: RunId,
    /// The bundle's number.
    pub seq: BundleSeq,
    /// Where the member's bytes begin in the tar.
    pub records_at: u64,
    /// How many there are.
    pub records_len: u64,
}

/// A client asks to be registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The client's id, not checked yet: what is wrong with it is answered.
    pub cid: String,
    /// The machine's own id (system UUID, else machine-id): the same in a clone.
    pub uuid: String,
    /// The client's public key, one line as in `authorized_keys`.
    pub public_key: String,
    /// The machine's name.
    pub host_name: String,
    /// What else helps the administrator to know the machine: system, kernel.
    pub about: String,
}

/// What the client says. [`Data`](Self::Data), [`Frames`](Self::Frames) and [`Bye`](Self::Bye) have no answer, everything else
/// exactly one, in the order asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Up {
    /// Begins a session. Answer: `Welcome` or `Refused`.
    Hello {
        /// [`super::LINK_VERSION`].
        version: u32,
        /// What is wanted.
        service: Service,
        /// The client; not checked yet.
        cid: String,
        /// Name and version of the program.
        software: String,
    },
    /// Offers a sealed bundle. Answer: `Send`, `Have` or `No`.
    Offer {
        /// The bundle's name; not checked yet.
        name: String,
        /// Bytes of the tar.
        size: u64,
        /// What may be left out of it.
        splice: Option<Splice>,
    },
    /// The next bytes of the bundle that is being sent, at most [`MAX_DATA`].
    Data(Bytes),
    /// The bundle is sent. Answer: `Stored` or `No`.
    End,
    /// Begins, or takes up again, the stream of the bundle that is open. Answer: `From` or `No`.
    Open {
        /// The bundle's run.
        run: RunId,
        /// Its number.
        seq: BundleSeq,
    },
    /// The next whole zstd frames of the open bundle, at most [`MAX_DATA`] bytes.
    Frames {
        /// Where they stand in the stream, in bytes.
        offset: u64,
        /// They themselves.
        bytes: Bytes,
    },
    /// Asks that what was streamed be written to disk. Answer: `Kept` or `No`.
    Flush,
    /// Leaves.
    Bye(Goodbye),
    /// Asks to be registered. Answer: `Requested` or `Refused`.
    Request(Request),
    /// Asks for the answer. Answer: `Nonce` or `Refused`.
    Ask {
        /// The client; not checked yet.
        cid: String,
    },
    /// Proves that the key is the client's: an SSHSIG, armored, of the nonce. Answer: `Answer` or `Refused`.
    Signed {
        /// The signature's text.
        signature: String,
    },
    /// In a session that sends bundles: asks that another key take this one's place. Answer: `Requested`, once the
    /// administrator has something to decide, or `Refused`.
    Rotate {
        /// The new key, one line as in `authorized_keys`.
        public_key: String,
        /// An SSHSIG of that line's bytes by the old key, armored.
        signature: String,
    },
}

impl LinkMessage for Up {
    fn encode(&self, out: &mut Vec<u8>) -> u8 {
        let text = |text: &String| TextMessage { text: text.clone() };
        match self {
            Self::Hello { version, service, cid, software } => {
                let service = match service {
                    Service::Receive => 1,
                    Service::Register => 2,
                };
                let (cid, software) = (cid.clone(), software.clone());
                put(1, &HelloMessage { version: *version, service, cid, software }, out)
            }
            Self::Offer { name, size, splice } => {
                let splice = splice.map(|s| SpliceMessage {
                    run: s.run.0.to_vec(),
                    seq: s.seq.0,
                    records_at: s.records_at,
                    records_len: s.records_len,
                });
                put(2, &OfferMessage { name: name.clone(), size: *size, splice }, out)
            }
            Self::Data(bytes) => put(3, &DataMessage { bytes: bytes.clone() }, out),
            Self::End => put(4, &BareMessage {}, out),
            Self::Open { run, seq } => {
                put(5, &OpenMessage { run: run.0.to_vec(), seq: seq.0, bytes: 0 }, out)
            }
            Self::Frames { offset, bytes } => {
                put(6, &FramesMessage { offset: *offset, bytes: bytes.clone() }, out)
            }
            Self::Flush => put(7, &BareMessage {}, out),
            Self::Bye(why) => {
                let number = match why {
                    Goodbye::Stopping => 1,
                    Goodbye::Deregistered => 2,
                };
                put(8, &NumberMessage { number }, out)
            }
            Self::Request(r) => {
                let Request { cid, uuid, public_key, host_name, about } = r.clone();
                put(9, &RequestMessage { cid, uuid, public_key, host_name, about }, out)
            }
            Self::Ask { cid } => put(10, &text(cid), out),
            Self::Signed { signature } => put(11, &text(signature), out),
            Self::Rotate { public_key, signature } => {
                let (public_key, signature) = (public_key.clone(), signature.clone());
                put(12, &RotateMessage { public_key, signature }, out)
            }
        }
    }

    fn decode(kind: u8, message: Bytes) -> Result<Self, LinkError> {
        Ok(match kind {
            1 => {
                let m: HelloMessage = get("hello", message)?;
                let service = match m.service {
                    1 => Service::Receive,
                    2 => Service::Register,
                    n => return Err(LinkError::malformed("hello", format!("unknown service {n}"))),
                };
                short("hello", MAX_NAME, [&m.cid, &m.software])?;
                Self::Hello { version: m.version, service, cid: m.cid, software: m.software }
            }
            2 => {
                let m: OfferMessage = get("offer", message)?;
                short("offer", MAX_NAME, [&m.name])?;
                let splice = |s: SpliceMessage| -> Result<Splice, LinkError> {
                    Ok(Splice {
                        run: run("offer", s.run)?,
                        seq: BundleSeq(s.seq),
                        records_at: s.records_at,
                        records_len: s.records_len,
                    })
                };
                Self::Offer { name: m.name, size: m.size, splice: m.splice.map(splice).transpose()? }
            }
            3 => Self::Data(bounded("data", get::<DataMessage>("data", message)?.bytes)?),
            4 => {
                let BareMessage {} = get("end", message)?;
                Self::End
            }
            5 => {
                let m: OpenMessage = get("open", message)?;
                Self::Open { run: run("open", m.run)?, seq: BundleSeq(m.seq) }
            }
            6 => {
                let m: FramesMessage = get("frames", message)?;
                Self::Frames { offset: m.offset, bytes: bounded("frames", m.bytes)? }
            }
            7 => {
                let BareMessage {} = get("flush", message)?;
                Self::Flush
            }
            8 => match get::<NumberMessage>("bye", message)?.number {
                2 => Self::Bye(Goodbye::Deregistered),
                _ => Self::Bye(Goodbye::Stopping),
            },
            9 => {
                let m: RequestMessage = get("request", message)?;
                short("request", MAX_NAME, [&m.cid, &m.uuid, &m.host_name, &m.about])?;
                short("request", MAX_REQUEST, [&m.public_key])?;
                Self::Request(Request {
                    cid: m.cid,
                    uuid: m.uuid,
                    public_key: m.public_key,
                    host_name: m.host_name,
                    about: m.about,
                })
            }
            10 => {
                let m: TextMessage = get("ask", message)?;
                short("ask", MAX_NAME, [&m.text])?;
                Self::Ask { cid: m.text }
            }
            11 => {
                let m: TextMessage = get("signed", message)?;
                short("signed", MAX_REQUEST, [&m.text])?;
                Self::Signed { signature: m.text }
            }
            12 => {
                let m: RotateMessage = get("rotate", message)?;
                short("rotate", MAX_REQUEST, [&m.public_key, &m.signature])?;
                Self::Rotate { public_key: m.public_key, signature: m.signature }
            }
            kind => return Err(LinkError::Kind(kind)),
        })
    }
}

impl Up {
    /// Begins a session, in this program's version of the link.
    #[must_use]
    pub fn hello(service: Service, cid: &Cid, software: &str) -> Self {
        let (cid, software) = (cid.as_str().to_owned(), software.to_owned());
        Self::Hello { version: super::LINK_VERSION, service, cid, software }
    }

    /// Returns the kind's name, for messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Hello { .. } => "hello",
            Self::Offer { .. } => "offer",
            Self::Data(_) => "data",
            Self::End => "end",
            Self::Open { .. } => "open",
            Self::Frames { .. } => "frames",
            Self::Flush => "flush",
            Self::Bye(_) => "bye",
            Self::Request(_) => "request",
            Self::Ask { .. } => "ask",
            Self::Signed { .. } => "signed",
            Self::Rotate { .. } => "rotate",
        }
    }
}

/// Appends a message and returns its kind.
pub(super) fn put(kind: u8, message: &impl Message, out: &mut Vec<u8>) -> u8 {
    out.reserve(message.encoded_len());
    // A vector grows as it needs; prost's only error is a buffer that does not.
    message.encode(out).expect("a vector has room");
    kind
}

/// Reads a message.
pub(super) fn get<M: Message + Default>(kind: &'static str, message: Bytes) -> Result<M, LinkError> {
    M::decode(message).map_err(|e| LinkError::malformed(kind, e))
}

/// Checks that texts are no longer than they may be.
pub(super) fn short<const N: usize>(
    kind: &'static str,
    limit: usize,
    texts: [&String; N],
) -> Result<(), LinkError> {
    match texts.iter().find(|text| text.len() > limit) {
        Some(text) => {
            Err(LinkError::malformed(kind, format!("a text of {} bytes, not up to {limit}", text.len())))
        }
        None => Ok(()),
    }
}

pub(super) fn run(kind: &'static str, bytes: Vec<u8>) -> Result<RunId, LinkError> {
    let id = bytes.try_into().map_err(|_| LinkError::malformed(kind, "a run id that is not 16 bytes"))?;
    Ok(RunId(id))
}

fn bounded(kind: &'static str, bytes: Bytes) -> Result<Bytes, LinkError> {
    if bytes.len() > MAX_DATA {
        let detail = format!("{} bytes of a bundle in one frame, not up to {MAX_DATA}", bytes.len());
        return Err(LinkError::malformed(kind, detail));
    }
    Ok(bytes)
}
