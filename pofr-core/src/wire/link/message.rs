//! The protobuf messages within the frames. Field numbers are for ever; a reader skips fields that it does not know.

use prost::{Message, bytes::Bytes};

#[derive(Clone, PartialEq, Message)]
pub(super) struct HelloMessage {
    #[prost(uint32, tag = "1")]
    pub(super) version: u32,
    #[prost(uint32, tag = "2")]
    pub(super) service: u32,
    #[prost(string, tag = "3")]
    pub(super) cid: String,
    #[prost(string, tag = "4")]
    pub(super) software: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SpliceMessage {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) run: Vec<u8>,
    #[prost(uint64, tag = "2")]
    pub(super) seq: u64,
    #[prost(uint64, tag = "3")]
    pub(super) records_at: u64,
    #[prost(uint64, tag = "4")]
    pub(super) records_len: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct OfferMessage {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(uint64, tag = "2")]
    pub(super) size: u64,
    #[prost(message, optional, tag = "3")]
    pub(super) splice: Option<SpliceMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DataMessage {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) bytes: Bytes,
}

/// End, and whatever else says nothing but its kind.
#[derive(Clone, PartialEq, Message)]
pub(super) struct BareMessage {}

#[derive(Clone, PartialEq, Message)]
pub(super) struct OpenMessage {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) run: Vec<u8>,
    #[prost(uint64, tag = "2")]
    pub(super) seq: u64,
    /// How many bytes the server has; 0 in a question.
    #[prost(uint64, tag = "3")]
    pub(super) bytes: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FramesMessage {
    #[prost(uint64, tag = "1")]
    pub(super) offset: u64,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) bytes: Bytes,
}

/// A number: Bye's reason, how much of a bundle there is.
#[derive(Clone, PartialEq, Message)]
pub(super) struct NumberMessage {
    #[prost(uint64, tag = "1")]
    pub(super) number: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RequestMessage {
    #[prost(string, tag = "1")]
    pub(super) cid: String,
    #[prost(string, tag = "2")]
    pub(super) uuid: String,
    #[prost(string, tag = "3")]
    pub(super) public_key: String,
    #[prost(string, tag = "4")]
    pub(super) host_name: String,
    #[prost(string, tag = "5")]
    pub(super) about: String,
}

/// A text: Ask's cid, Signed's signature, Requested's id.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TextMessage {
    #[prost(string, tag = "1")]
    pub(super) text: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct WelcomeMessage {
    #[prost(uint32, tag = "1")]
    pub(super) version: u32,
    #[prost(string, tag = "2")]
    pub(super) software: String,
    #[prost(int64, tag = "3")]
    pub(super) time_micros: i64,
    #[prost(uint64, tag = "4")]
    pub(super) max_bundle_bytes: u64,
    #[prost(uint64, tag = "5")]
    pub(super) quota_left_bytes: u64,
    #[prost(message, optional, tag = "6")]
    pub(super) open: Option<OpenMessage>,
}

/// Refused and No: `last` says "do not try again by yourself" in the one, "try again later" is `retry` in the other.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TroubleMessage {
    #[prost(uint32, tag = "1")]
    pub(super) code: u32,
    #[prost(string, tag = "2")]
    pub(super) text: String,
    #[prost(bool, tag = "3")]
    pub(super) flag: bool,
}

/// Bytes of a known length: a digest, a nonce.
#[derive(Clone, PartialEq, Message)]
pub(super) struct BytesMessage {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) bytes: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AnswerMessage {
    #[prost(uint32, tag = "1")]
    pub(super) answer: u32,
    #[prost(string, tag = "2")]
    pub(super) reason: String,
    #[prost(string, tag = "3")]
    pub(super) ciduser: String,
    #[prost(string, tag = "4")]
    pub(super) registration_id: String,
    #[prost(string, tag = "5")]
    pub(super) account: String,
}

/// Rotate.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RotateMessage {
    #[prost(string, tag = "1")]
    pub(super) public_key: String,
    #[prost(string, tag = "2")]
    pub(super) signature: String,
}
