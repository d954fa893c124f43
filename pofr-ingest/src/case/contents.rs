//! `case.json`: what is in a case. Times are µs since 1970; digests are hex.

use serde::{Deserialize, Serialize};

/// The format's name.
pub const FORMAT: &str = "pofr-case/1";

/// What is in a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// [`FORMAT`].
    pub format: String,
    /// The how-manieth case of this server it is, from 1.
    pub number: u64,
    /// What it is called.
    pub title: String,
    /// When it was made, by the server's clock.
    pub created: i64,
    /// By which program.
    pub program: String,
    /// On which host.
    pub host: String,
    /// The fingerprint of the key that signed it.
    pub signer: String,
    /// The case before it.
    pub previous: Option<Previous>,
    /// The begin of the time that it is about; `None`: of the record.
    pub from: Option<i64>,
    /// The end; `None`: of the record.
    pub until: Option<i64>,
    /// The clients.
    pub clients: Vec<ClientPart>,
    /// The questions that were asked.
    pub questions: Vec<Question>,
}

/// The case that was made before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// Its number.
    pub number: u64,
    /// The SHA-256 of its list of digests.
    pub sums: String,
}

/// What there is of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientPart {
    /// Its id: the name of its directory.
    pub client: String,
    /// Its keys, the one in use first; none where it is not registered on this server.
    pub keys: Vec<KeyLine>,
    /// Its bundles that touch the time, in the order of the chain.
    pub bundles: Vec<BundleLine>,
}

/// A client's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyLine {
    /// The public key, as in `authorized_keys`.
    pub key: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// When it was replaced; `None` while it is in use.
    pub until: Option<i64>,
}

/// A bundle as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleLine {
    /// Its number in the chain; for bundles of the first POFR a stamp.
    pub seq: u64,
    /// 1 or 2.
    pub format: u8,
    /// The run.
    pub run: String,
    /// Its file's name.
    pub name: String,
    /// Its file's digest.
    pub sha256: String,
    /// The digest of the bundle before it.
    pub previous: Option<String>,
    /// Its first stamp.
    pub first: i64,
    /// Its last stamp.
    pub last: i64,
    /// When the server took it in.
    pub received: i64,
    /// Whether the server made it of what was streamed: nobody signed it.
    pub streamed: bool,
    /// Whether its file is in the case; else it is no longer kept.
    pub packed: bool,
}

/// A question that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The command line.
    pub asked: String,
    /// How it ended: the command's exit code.
    pub exit: u8,
    /// The member that has the answer.
    pub answer: String,
}
