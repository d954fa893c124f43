//! What the server says.

use super::{
    LinkError,
    frame::LinkMessage,
    message::{
        AnswerMessage, BareMessage, BytesMessage, NumberMessage, OpenMessage, TextMessage, TroubleMessage,
        WelcomeMessage,
    },
    up::{MAX_NAME, get, put, run, short},
};
use crate::{
    digest::Sha256,
    identity::{BundleSeq, RunId},
    time::WallMicros,
};
use prost::bytes::Bytes;

/// A reason, written for people, may have so many bytes.
const MAX_TEXT: usize = 2_000;

/// Why a session, or a registration, is refused. A number that this program does not know reads as `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    /// For a reason that only the text gives.
    Other = 0,
    /// The administrator denied the client.
    Denied = 1,
    /// The client was removed, or its key replaced.
    Revoked = 2,
    /// The session's account is another client's.
    WrongClient = 3,
    /// The versions of the link do not fit.
    Version = 4,
    /// Something of the server's is missing or full for a while.
    Busy = 5,
    /// The client's id is none.
    BadCid = 6,
    /// The client is known with another key: a clone, or a key that was lost.
    KeyDiffers = 7,
    /// Too many requests wait, or come too fast.
    TooMany = 8,
    /// The public key is none, or of a kind that is not taken.
    BadKey = 9,
    /// The invitation has expired, or was used.
    Expired = 10,
    /// The nonce's signature is not by the client's key.
    BadSignature = 11,
}

/// Why a bundle or a stream is not taken. A number that this program does not know reads as `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum No {
    /// For a reason that only the text gives.
    Other = 0,
    /// The name is none of a bundle.
    Name = 1,
    /// It is larger than may be, or not as large as announced.
    Size = 2,
    /// The client's share of the disk is used up until the server has ingested.
    Quota = 3,
    /// The server's disk is full or fails.
    Disk = 4,
    /// The bytes are not those that the name says: send all of it again, without a splice.
    Digest = 5,
    /// The stream does not continue what the server has: begin it again.
    Chain = 6,
    /// The server cannot at the moment.
    Busy = 7,
}

/// How far the server has an open bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenAt {
    /// The bundle's run.
    pub run: RunId,
    /// Its number.
    pub seq: BundleSeq,
    /// How many bytes of its stream the server has.
    pub bytes: u64,
}

/// What became of a request to be registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nobody has decided yet.
    Pending,
    /// The client may send.
    Granted {
        /// The client's name on the server, 32 hex digits.
        ciduser: String,
        /// The registration's id.
        registration_id: String,
        /// The account to log in as: the ciduser, unless the server has one account for all.
        account: String,
    },
    /// The client may not.
    Denied {
        /// What the administrator says.
        reason: String,
    },
}

/// Returns the line that the first POFR's scripts look for.
#[must_use]
pub fn status_line(ciduser: &str, registration_id: &str) -> String {
    format!("Status:GRANTED#{ciduser}#{registration_id}")
}

/// What the server says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Down {
    /// The session begins.
    Welcome {
        /// The version that the session speaks.
        version: u32,
        /// Name and version of the program.
        software: String,
        /// The server's clock.
        time: WallMicros,
        /// How large a bundle may be.
        max_bundle_bytes: u64,
        /// How much more the client may send before the server has ingested.
        quota_left_bytes: u64,
        /// The open bundle that the server has something of, if one: the newest.
        open: Option<OpenAt>,
    },
    /// There is no session, or it ends.
    Refused {
        /// Why.
        code: Refusal,
        /// The same for people.
        text: String,
        /// Whether trying again is useless until somebody has done something.
        last: bool,
    },
    /// Send the bundle.
    Send {
        /// How many bytes of the spliced records the server has: they need not be sent.
        have: u64,
    },
    /// The server has the bundle already.
    Have,
    /// The bundle, or the stream, is not taken.
    No {
        /// Why.
        code: No,
        /// The same for people.
        text: String,
        /// Whether it may be taken later.
        retry: bool,
    },
    /// The bundle is on the server's disk.
    Stored {
        /// What was stored.
        sha256: Sha256,
    },
    /// The stream may go on.
    From {
        /// From this byte.
        bytes: u64,
    },
    /// What was streamed is on the server's disk.
    Kept(OpenAt),
    /// The request was taken.
    Requested {
        /// Its id, for people.
        request_id: String,
    },
    /// Sign this.
    Nonce([u8; 32]),
    /// What became of the request.
    Answer(Answer),
}

impl LinkMessage for Down {
    fn encode(&self, out: &mut Vec<u8>) -> u8 {
        match self {
            Self::Welcome { version, software, time, max_bundle_bytes, quota_left_bytes, open } => {
                let message = WelcomeMessage {
                    version: *version,
                    software: software.clone(),
                    time_micros: time.0,
                    max_bundle_bytes: *max_bundle_bytes,
                    quota_left_bytes: *quota_left_bytes,
                    open: open.as_ref().map(OpenAt::message),
                };
                put(65, &message, out)
            }
            Self::Refused { code, text, last } => put(66, &trouble(*code as u8, text, *last), out),
            Self::Send { have } => put(67, &NumberMessage { number: *have }, out),
            Self::Have => put(68, &BareMessage {}, out),
            Self::No { code, text, retry } => put(69, &trouble(*code as u8, text, *retry), out),
            Self::Stored { sha256 } => put(70, &BytesMessage { bytes: sha256.0.to_vec() }, out),
            Self::From { bytes } => put(71, &NumberMessage { number: *bytes }, out),
            Self::Kept(open) => put(72, &open.message(), out),
            Self::Requested { request_id } => put(73, &TextMessage { text: request_id.clone() }, out),
            Self::Nonce(nonce) => put(74, &BytesMessage { bytes: nonce.to_vec() }, out),
            Self::Answer(answer) => put(75, &answer.message(), out),
        }
    }

    fn decode(kind: u8, message: Bytes) -> Result<Self, LinkError> {
        Ok(match kind {
            65 => {
                let m: WelcomeMessage = get("welcome", message)?;
                short("welcome", MAX_NAME, [&m.software])?;
                Self::Welcome {
                    version: m.version,
                    software: m.software,
                    time: WallMicros(m.time_micros),
                    max_bundle_bytes: m.max_bundle_bytes,
                    quota_left_bytes: m.quota_left_bytes,
                    open: m.open.map(|open| OpenAt::read("welcome", open)).transpose()?,
                }
            }
            66 => {
                let m: TroubleMessage = get("refused", message)?;
                short("refused", MAX_TEXT, [&m.text])?;
                Self::Refused { code: Refusal::read(m.code), text: m.text, last: m.flag }
            }
            67 => Self::Send { have: get::<NumberMessage>("send", message)?.number },
            68 => {
                let BareMessage {} = get("have", message)?;
                Self::Have
            }
            69 => {
                let m: TroubleMessage = get("no", message)?;
                short("no", MAX_TEXT, [&m.text])?;
                Self::No { code: No::read(m.code), text: m.text, retry: m.flag }
            }
            70 => Self::Stored { sha256: Sha256(array("stored", message)?) },
            71 => Self::From { bytes: get::<NumberMessage>("from", message)?.number },
            72 => Self::Kept(OpenAt::read("kept", get("kept", message)?)?),
            73 => {
                let m: TextMessage = get("requested", message)?;
                short("requested", MAX_NAME, [&m.text])?;
                Self::Requested { request_id: m.text }
            }
            74 => Self::Nonce(array("nonce", message)?),
            75 => Self::Answer(Answer::read(get("answer", message)?)?),
            kind => return Err(LinkError::Kind(kind)),
        })
    }
}

impl Down {
    /// Refuses the session; `last` where trying again is useless. A text that is too long is cut.
    #[must_use]
    pub fn refused(code: Refusal, text: impl Into<String>, last: bool) -> Self {
        Self::Refused { code, text: cut(text.into()), last }
    }

    /// Does not take what was offered; `retry` where it may be taken later. A text that is too long is cut.
    #[must_use]
    pub fn no(code: No, text: impl Into<String>, retry: bool) -> Self {
        Self::No { code, text: cut(text.into()), retry }
    }

    /// Returns the kind's name, for messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Welcome { .. } => "welcome",
            Self::Refused { .. } => "refused",
            Self::Send { .. } => "send",
            Self::Have => "have",
            Self::No { .. } => "no",
            Self::Stored { .. } => "stored",
            Self::From { .. } => "from",
            Self::Kept(_) => "kept",
            Self::Requested { .. } => "requested",
            Self::Nonce(_) => "nonce",
            Self::Answer(_) => "answer",
        }
    }
}

impl Refusal {
    fn read(number: u32) -> Self {
        const ALL: [Refusal; 12] = [
            Refusal::Other,
            Refusal::Denied,
            Refusal::Revoked,
            Refusal::WrongClient,
            Refusal::Version,
            Refusal::Busy,
            Refusal::BadCid,
            Refusal::KeyDiffers,
            Refusal::TooMany,
            Refusal::BadKey,
            Refusal::Expired,
            Refusal::BadSignature,
        ];
        ALL.into_iter().find(|code| u32::from(*code as u8) == number).unwrap_or(Self::Other)
    }
}

impl No {
    fn read(number: u32) -> Self {
        const ALL: [No; 8] =
            [No::Other, No::Name, No::Size, No::Quota, No::Disk, No::Digest, No::Chain, No::Busy];
        ALL.into_iter().find(|code| u32::from(*code as u8) == number).unwrap_or(Self::Other)
    }
}

impl OpenAt {
    fn message(&self) -> OpenMessage {
        OpenMessage { run: self.run.0.to_vec(), seq: self.seq.0, bytes: self.bytes }
    }

    fn read(kind: &'static str, m: OpenMessage) -> Result<Self, LinkError> {
        Ok(Self { run: run(kind, m.run)?, seq: BundleSeq(m.seq), bytes: m.bytes })
    }
}

impl Answer {
    fn message(&self) -> AnswerMessage {
        let empty = AnswerMessage::default();
        match self.clone() {
            Self::Pending => AnswerMessage { answer: 1, ..empty },
            Self::Granted { ciduser, registration_id, account } => {
                AnswerMessage { answer: 2, ciduser, registration_id, account, ..empty }
            }
            Self::Denied { reason } => AnswerMessage { answer: 3, reason: cut(reason), ..empty },
        }
    }

    fn read(m: AnswerMessage) -> Result<Self, LinkError> {
        short("answer", MAX_NAME, [&m.ciduser, &m.registration_id, &m.account])?;
        short("answer", MAX_TEXT, [&m.reason])?;
        match m.answer {
            1 => Ok(Self::Pending),
            2 => Ok(Self::Granted {
                ciduser: m.ciduser,
                registration_id: m.registration_id,
                account: m.account,
            }),
            3 => Ok(Self::Denied { reason: m.reason }),
            n => Err(LinkError::malformed("answer", format!("unknown answer {n}"))),
        }
    }
}

fn trouble(code: u8, text: &str, flag: bool) -> TroubleMessage {
    TroubleMessage { code: code.into(), text: text.to_owned(), flag }
}

/// Cuts a text that is too long at a character.
fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text
}

fn array<const N: usize>(kind: &'static str, message: Bytes) -> Result<[u8; N], LinkError> {
    let bytes = get::<BytesMessage>(kind, message)?.bytes;
    let found = bytes.len();
    bytes.try_into().map_err(|_| LinkError::malformed(kind, format!("{found} bytes, not {N}")))
}
