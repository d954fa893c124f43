//! The protobuf messages, as docs/format/records-v2.proto publishes them.
//!
//! Field numbers are for ever. A reader skips fields it does not know, so a field can be added; a record or a fact of an
//! unknown kind is an error, since leaving it out would be a silent loss. Samples and open files are written with these
//! messages and read without ([`super::fields`]).

use prost::{Message, Oneof, bytes::Bytes};

/// The version that this program writes.
pub const FORMAT_VERSION: u32 = 2;

#[derive(Clone, PartialEq, Message)]
pub(super) struct HeaderMessage {
    #[prost(uint32, tag = "1")]
    pub(super) version: u32,
    #[prost(string, tag = "2")]
    pub(super) cid: String,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) run: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) boot: Vec<u8>,
    #[prost(uint64, tag = "5")]
    pub(super) seq: u64,
    #[prost(bytes = "vec", tag = "6")]
    pub(super) previous: Vec<u8>,
    #[prost(sint32, tag = "7")]
    pub(super) zone_minutes: i32,
    #[prost(uint64, tag = "8")]
    pub(super) interval_micros: u64,
    #[prost(int64, tag = "9")]
    pub(super) opened_wall: i64,
    #[prost(int64, tag = "10")]
    pub(super) opened_boot: i64,
    #[prost(uint32, repeated, tag = "11")]
    pub(super) recorder_pids: Vec<u32>,
    #[prost(string, repeated, tag = "12")]
    pub(super) sources: Vec<String>,
    #[prost(uint64, repeated, tag = "13")]
    pub(super) missing: Vec<u64>,
}

/// Of what is read without its message: the fields' numbers.
pub(super) mod sample {
    pub(crate) const SOURCE: u64 = 1;
    pub(crate) const STAMP: u64 = 2;
    pub(crate) const SPAN: u64 = 3;
    pub(crate) const KEYFRAME: u64 = 4;
    pub(crate) const REMOVED: u64 = 5;
    pub(crate) const LOST: u64 = 6;
    pub(crate) const LEARNED: u64 = 7;
    pub(crate) const ADDED: u64 = 8;
    pub(crate) const UNSURE: u64 = 9;
    pub(crate) const SINCE: u64 = 10;
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RecordMessage {
    #[prost(oneof = "RecordKind", tags = "1, 2, 3, 4, 5, 6")]
    pub(super) kind: Option<RecordKind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum RecordKind {
    #[prost(message, tag = "1")]
    Sample(SampleMessage),
    #[prost(message, tag = "2")]
    Began(BeganMessage),
    #[prost(message, tag = "3")]
    Ended(EndedMessage),
    #[prost(message, tag = "4")]
    Passed(PassedMessage),
    #[prost(message, tag = "5")]
    Learned(LearnedMessage),
    #[prost(message, tag = "6")]
    Gap(GapMessage),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SampleMessage {
    #[prost(string, tag = "1")]
    pub(super) source: String,
    #[prost(int64, tag = "2")]
    pub(super) stamp: i64,
    #[prost(uint32, tag = "3")]
    pub(super) span_micros: u32,
    #[prost(bool, tag = "4")]
    pub(super) keyframe: bool,
    #[prost(uint32, repeated, tag = "5")]
    pub(super) removed: Vec<u32>,
    #[prost(uint32, repeated, tag = "6")]
    pub(super) lost: Vec<u32>,
    #[prost(message, repeated, tag = "7")]
    pub(super) learned: Vec<LearnedMessage>,
    /// A [`FactMessage`] each, as wherever a fact stands in a record.
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub(super) added: Vec<Vec<u8>>,
    /// Positions in `added` of the facts that are `unsure`.
    #[prost(uint32, repeated, tag = "9")]
    pub(super) unsure: Vec<u32>,
    #[prost(message, repeated, tag = "10")]
    pub(super) since: Vec<SinceMessage>,
}

/// When a fact added was last known not to be there, where that is not the sample before.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SinceMessage {
    /// The position in `added`.
    #[prost(uint32, tag = "1")]
    pub(super) position: u32,
    #[prost(int64, tag = "2")]
    pub(super) at: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct BeganMessage {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) fact: Vec<u8>,
    #[prost(int64, tag = "2")]
    pub(super) at: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EndedMessage {
    #[prost(uint32, tag = "1")]
    pub(super) id: u32,
    #[prost(int64, tag = "2")]
    pub(super) at: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PassedMessage {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) fact: Vec<u8>,
    #[prost(int64, optional, tag = "2")]
    pub(super) began: Option<i64>,
    #[prost(int64, tag = "3")]
    pub(super) ended: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LearnedMessage {
    #[prost(uint32, tag = "1")]
    pub(super) id: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) fact: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct GapMessage {
    /// Empty means all sources.
    #[prost(string, tag = "1")]
    pub(super) source: String,
    #[prost(bool, tag = "2")]
    pub(super) blind: bool,
    #[prost(string, tag = "3")]
    pub(super) reason: String,
    #[prost(int64, tag = "4")]
    pub(super) from: i64,
    #[prost(int64, optional, tag = "5")]
    pub(super) to: Option<i64>,
    #[prost(uint64, optional, tag = "6")]
    pub(super) lost: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FactMessage {
    #[prost(oneof = "FactOneof", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11")]
    pub(super) kind: Option<FactOneof>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum FactOneof {
    #[prost(message, tag = "1")]
    Process(Box<ProcessMessage>),
    #[prost(message, tag = "2")]
    File(FileMessage),
    #[prost(message, tag = "3")]
    Endpoint(Box<EndpointMessage>),
    #[prost(message, tag = "4")]
    Host(TextsMessage),
    #[prost(message, tag = "5")]
    User(AccountMessage),
    #[prost(message, tag = "6")]
    Group(AccountMessage),
    #[prost(message, tag = "7")]
    Interface(InterfaceMessage),
    #[prost(message, tag = "8")]
    Route(RouteMessage),
    #[prost(message, tag = "9")]
    Device(TextsMessage),
    #[prost(message, tag = "10")]
    Module(ModuleMessage),
    #[prost(message, tag = "11")]
    Custom(CustomMessage),
}

/// A process; the boot stands in the header.
#[derive(Clone, PartialEq, Message)]
pub(super) struct EntityMessage {
    #[prost(uint32, tag = "1")]
    pub(super) pid: u32,
    #[prost(uint64, tag = "2")]
    pub(super) start: u64,
    /// 20 bytes where the process has no start time (v1), else empty.
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) tag: Bytes,
}

/// Bytes, or why there are none: 0 known, 1 absent, 2 denied, 3 unknown.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ReadingMessage {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) bytes: Bytes,
    #[prost(uint32, tag = "2")]
    pub(super) why: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ProcessMessage {
    #[prost(message, optional, tag = "1")]
    pub(super) entity: Option<EntityMessage>,
    #[prost(uint32, tag = "2")]
    pub(super) ppid: u32,
    #[prost(uint32, tag = "3")]
    pub(super) ruid: u32,
    #[prost(uint32, tag = "4")]
    pub(super) euid: u32,
    #[prost(uint32, tag = "5")]
    pub(super) rgid: u32,
    #[prost(uint32, tag = "6")]
    pub(super) egid: u32,
    #[prost(bytes = "bytes", tag = "7")]
    pub(super) comm: Bytes,
    #[prost(bytes = "bytes", optional, tag = "8")]
    pub(super) arguments: Option<Bytes>,
    #[prost(message, optional, tag = "9")]
    pub(super) exe: Option<ReadingMessage>,
    #[prost(message, optional, tag = "10")]
    pub(super) cwd: Option<ReadingMessage>,
    #[prost(uint32, tag = "11")]
    pub(super) session: u32,
    #[prost(uint32, tag = "12")]
    pub(super) tty: u32,
    #[prost(uint32, optional, tag = "13")]
    pub(super) login_uid: Option<u32>,
    #[prost(message, optional, tag = "14")]
    pub(super) cgroup: Option<ReadingMessage>,
    /// The eight inode numbers in alphabetic order of the namespaces' names, or none.
    #[prost(uint32, repeated, tag = "15")]
    pub(super) namespaces: Vec<u32>,
    /// Why there are none.
    #[prost(uint32, tag = "16")]
    pub(super) namespaces_why: u32,
    #[prost(bool, tag = "17")]
    pub(super) zombie: bool,
    /// 0 read, 1 denied, 2 unknown.
    #[prost(uint32, tag = "18")]
    pub(super) files: u32,
    #[prost(bytes = "bytes", optional, tag = "19")]
    pub(super) arguments_later: Option<Bytes>,
    #[prost(int64, optional, tag = "20")]
    pub(super) started: Option<i64>,
    #[prost(sint32, optional, tag = "21")]
    pub(super) exit_code: Option<i32>,
    /// User and system µs, bytes read and written.
    #[prost(uint64, repeated, tag = "22")]
    pub(super) totals: Vec<u64>,
    #[prost(bytes = "bytes", optional, tag = "23")]
    pub(super) exe_sha256: Option<Bytes>,
    /// None where nothing is unusual.
    #[prost(message, optional, boxed, tag = "24")]
    pub(super) marks: Option<Box<MarksMessage>>,
}

/// What is unusual about a process.
#[derive(Clone, PartialEq, Message)]
pub(super) struct MarksMessage {
    #[prost(bool, tag = "1")]
    pub(super) unreadable: bool,
    #[prost(bool, tag = "2")]
    pub(super) files_unreadable: bool,
    #[prost(uint64, optional, tag = "3")]
    pub(super) arguments_bytes: Option<u64>,
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) arguments_sha256: Bytes,
    #[prost(bool, tag = "5")]
    pub(super) exe_named_deleted: bool,
    #[prost(uint32, optional, tag = "6")]
    pub(super) thread_of: Option<u32>,
    #[prost(message, optional, tag = "7")]
    pub(super) files_of: Option<EntityMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FileMessage {
    #[prost(message, optional, tag = "1")]
    pub(super) entity: Option<EntityMessage>,
    #[prost(uint32, tag = "2")]
    pub(super) fd: u32,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) path: Bytes,
    /// 0 r, 1 w, 2 rw, 3 neither, 4 unknown.
    #[prost(uint32, tag = "4")]
    pub(super) mode: u32,
    #[prost(bool, tag = "5")]
    pub(super) deleted: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EndpointMessage {
    /// 0 tcp, 1 udp.
    #[prost(uint32, tag = "1")]
    pub(super) transport: u32,
    /// 4 or 16 bytes in network order.
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) local: Bytes,
    #[prost(uint32, tag = "3")]
    pub(super) local_port: u32,
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) remote: Bytes,
    #[prost(uint32, tag = "5")]
    pub(super) remote_port: u32,
    /// The kernel's number.
    #[prost(uint32, tag = "6")]
    pub(super) state: u32,
    #[prost(uint64, optional, tag = "7")]
    pub(super) cookie: Option<u64>,
    #[prost(uint64, optional, tag = "8")]
    pub(super) key_inode: Option<u64>,
    #[prost(uint32, optional, tag = "9")]
    pub(super) netns: Option<u32>,
    #[prost(message, optional, tag = "10")]
    pub(super) holder: Option<EntityMessage>,
    #[prost(uint32, optional, tag = "11")]
    pub(super) uid: Option<u32>,
    #[prost(uint64, optional, tag = "12")]
    pub(super) inode: Option<u64>,
    #[prost(uint32, tag = "13")]
    pub(super) local_scope: u32,
    #[prost(uint32, tag = "14")]
    pub(super) remote_scope: u32,
}

/// The texts of a host or a device, in the order in which the model declares them.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TextsMessage {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub(super) texts: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AccountMessage {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) name: Bytes,
    #[prost(uint32, tag = "2")]
    pub(super) uid: u32,
    #[prost(uint32, tag = "3")]
    pub(super) gid: u32,
    /// A user's comment, home and shell; a group's members.
    #[prost(bytes = "bytes", repeated, tag = "4")]
    pub(super) texts: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct InterfaceMessage {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) name: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) mac: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) address: Bytes,
    #[prost(uint32, tag = "4")]
    pub(super) prefix: u32,
    #[prost(bool, tag = "5")]
    pub(super) up: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RouteMessage {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) destination: Bytes,
    #[prost(uint32, tag = "2")]
    pub(super) prefix: u32,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) gateway: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) interface: Bytes,
    #[prost(uint32, tag = "5")]
    pub(super) metric: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ModuleMessage {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) name: Bytes,
    #[prost(uint64, tag = "2")]
    pub(super) size: u64,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) taint: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CustomMessage {
    #[prost(string, tag = "1")]
    pub(super) source: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) name: Bytes,
    #[prost(string, repeated, tag = "3")]
    pub(super) names: Vec<String>,
    #[prost(bytes = "bytes", repeated, tag = "4")]
    pub(super) values: Vec<Bytes>,
}
