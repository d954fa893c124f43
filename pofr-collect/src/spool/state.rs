//! The state: what a recorder must know of those before it. A JSON file, replaced as a whole and fsynced before what it says
//! can be seen anywhere else.

use super::{SpoolError, SpoolSettings, aside, durable, remains::Remains};
use pofr_core::{
    digest::Sha256,
    gap::{Gap, Severity},
    identity::{BundleSeq, Cid},
    limits,
    time::WallMicros,
    wire::{name::BundleName, v2::Header},
};
use serde::{Deserialize, Serialize};
use std::{
    io,
    path::{Path, PathBuf},
};

/// The version of the file that this program writes.
const VERSION: u32 = 1;

/// What is remembered.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    version: u32,
    /// The client's id.
    cid: String,
    /// The mark of the spool that this state goes with.
    pub(super) spool: String,
    /// The number of the last bundle begun, 0 for none.
    pub(super) assigned: u64,
    /// The last bundle sealed: the head of the chain.
    pub(super) head: Option<Head>,
    /// The last stamp that any bundle has, µs.
    pub(super) last_stamp: Option<i64>,
    /// Sealed bundles that were in the spool when last looked at, the oldest first.
    pub(super) held: Vec<Held>,
    /// Sealed bundles that no medium has had room for, the oldest first: the recorder has them in memory, and who ends before it has
    /// written them has lost them.
    #[serde(default)]
    pub(super) in_memory: Vec<Held>,
    /// Bundles that are lost, and that no later bundle names yet.
    pub(super) missing: Vec<Missing>,
    /// What was set aside, and is in no sealed bundle yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) aside: Vec<Aside>,
    #[serde(skip)]
    path: PathBuf,
}

/// A file that was set aside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Aside {
    reason: String,
    /// The time that it may have been about, µs.
    span: Option<(i64, i64)>,
    /// The bundle that says so, 0 for none yet.
    told_in: u64,
}

/// The head of the chain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) seq: u64,
    sha256: String,
    /// Its file name.
    pub(super) name: String,
}

/// A bundle in the spool.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) seq: u64,
    pub(super) name: String,
    pub(super) bytes: u64,
    /// First and last stamp, µs; `None` for one without a sample.
    pub(super) span: Option<(i64, i64)>,
}

/// A bundle that is lost.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Missing {
    pub(super) seq: u64,
    /// First and last stamp, µs, where they are known.
    span: Option<(i64, i64)>,
    why: Why,
}

/// Why a bundle is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Why {
    /// It was the oldest when the spool was full.
    Full,
    /// The spool was gone, as `/dev/shm` is after a boot.
    Gone,
    /// The recorder ended before anything of it was written.
    Unwritten,
    /// There was no room to write it, until it had to go or the recorder ended.
    Room,
    /// It could not be read any more.
    Damaged,
}

impl State {
    /// Reads the state, or makes a new one of what the two functions return. One that cannot be read is set aside, and a new one is
    /// made of what the spool shows.
    pub(super) fn load(
        settings: &SpoolSettings,
        spool: impl FnOnce() -> Result<String, SpoolError>,
        cid: impl FnOnce() -> Result<Cid, SpoolError>,
    ) -> Result<Self, SpoolError> {
        let path = settings.state_dir.join("state.json");
        let (text, why) = match std::fs::read(&path) {
            Ok(text) => match parse(&text) {
                Ok(state) => return Ok(Self { path, ..state }),
                Err(Unusable::Newer(detail)) => return Err(SpoolError::State { path, detail }),
                Err(Unusable::Damaged(why)) => (text, why),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self::new(cid()?, spool()?, path));
            }
            // Then it may be whole.
            Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied => {
                return Err(SpoolError::io("read", &path, cause));
            }
            Err(cause) => (Vec::new(), cause.to_string()),
        };
        let found = Remains::of(settings, &text);
        let new =
            Self::new(found.cid.map_or_else(cid, Ok)?, found.mark.map_or_else(spool, Ok)?, path.clone());
        let head = found.held.last().and_then(|held| {
            let sha256 = held.name.parse::<BundleName>().ok()?.sha256.to_string();
            Some(Head { seq: held.seq, sha256, name: held.name.clone() })
        });
        let mut state =
            Self { assigned: found.assigned, head, last_stamp: found.last_stamp, held: found.held, ..new };
        let said = aside::set_aside(&path, &why);
        let what = "; of bundles that were lost and not named yet nothing is known";
        state.set_aside(said + what, None);
        Ok(state)
    }

    /// Reads the state in `dir`, and changes nothing; `None` where there is none.
    pub(super) fn look(dir: &Path) -> Result<Option<Self>, SpoolError> {
        let path = dir.join("state.json");
        match std::fs::read(&path) {
            Ok(text) => match parse(&text) {
                Ok(state) => Ok(Some(Self { path, ..state })),
                Err(Unusable::Newer(detail) | Unusable::Damaged(detail)) => {
                    Err(SpoolError::State { path, detail })
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(SpoolError::io("read", &path, cause)),
        }
    }

    pub(super) fn new(cid: Cid, spool: String, path: PathBuf) -> Self {
        Self {
            version: VERSION,
            cid: cid.as_str().to_owned(),
            spool,
            assigned: 0,
            head: None,
            last_stamp: None,
            held: Vec::new(),
            in_memory: Vec::new(),
            missing: Vec::new(),
            aside: Vec::new(),
            path,
        }
    }

    /// Takes note that a file was set aside.
    pub(super) fn set_aside(&mut self, reason: String, span: Option<(i64, i64)>) {
        self.aside.push(Aside { reason, span, told_in: 0 });
    }

    /// Returns the gaps that say what was set aside, for the bundle that is begun.
    pub(super) fn tell_aside(&mut self, now: WallMicros) -> Vec<Gap> {
        let assigned = self.assigned;
        let gap = |aside: &mut Aside| {
            aside.told_in = assigned;
            let (from, to) = aside.span.map_or((now, now), |(a, b)| (WallMicros(a), WallMicros(b)));
            let reason = limits::reason(aside.reason.clone());
            Gap { source: None, severity: Severity::Thin, reason, from, to: Some(to), lost: None }
        };
        self.aside.iter_mut().map(gap).collect()
    }

    /// Writes the state; once this returns it survives a power cut.
    pub(super) fn save(&self) -> Result<(), SpoolError> {
        let json = serde_json::to_vec_pretty(self)
            .map_err(|e| SpoolError::State { path: self.path.clone(), detail: e.to_string() })?;
        let json = checked(json);
        durable::replace(&self.path, &json).map_err(|cause| SpoolError::io("write", &self.path, cause))
    }

    /// Returns the client's id.
    pub(super) fn cid(&self) -> Cid {
        Cid::parse(&self.cid).expect("checked when it was read")
    }

    /// Returns the digest of the head of the chain.
    pub(super) fn head_sha256(&self) -> Option<Sha256> {
        self.head.as_ref().and_then(|head| Sha256::parse(&head.sha256))
    }

    /// Makes a bundle the head of the chain, for now in memory, and forgets the missing that it names.
    pub(super) fn sealed(&mut self, held: Held, sha256: Sha256, header: &Header) {
        self.head = Some(Head { seq: held.seq, sha256: sha256.to_string(), name: held.name.clone() });
        // A bundle that was cut off before its first sample was written lost that one and what came after it.
        let just_before = || header.opened_wall.0.saturating_sub(1);
        self.last_stamp = held.span.map(|(_, last)| last).or(self.last_stamp).or_else(|| Some(just_before()));
        self.missing.retain(|missing| !header.missing.contains(&BundleSeq(missing.seq)));
        self.aside.retain(|aside| aside.told_in != held.seq);
        self.in_memory.push(held);
    }

    /// Says that a bundle is in the spool now.
    pub(super) fn is_written(&mut self, seq: u64) {
        shift(seq, &mut self.in_memory, &mut self.held);
    }

    /// Takes that back.
    pub(super) fn is_not_written(&mut self, seq: u64) {
        shift(seq, &mut self.held, &mut self.in_memory);
    }

    /// Takes a bundle off the held ones; it is missing from now on.
    pub(super) fn drop_held(&mut self, at: usize) -> Held {
        let held = self.held.remove(at);
        self.missing.push(Missing { seq: held.seq, span: held.span, why: Why::Full });
        held
    }

    /// Takes that back.
    pub(super) fn keep_held(&mut self, at: usize, held: Held) {
        self.missing.retain(|missing| missing.seq != held.seq);
        self.held.insert(at, held);
    }

    /// Counts the oldest bundle in memory as lost.
    pub(super) fn lose_oldest_in_memory(&mut self) {
        if !self.in_memory.is_empty() {
            let held = self.in_memory.remove(0);
            self.missing.push(Missing { seq: held.seq, span: held.span, why: Why::Room });
        }
    }

    /// Counts what an earlier recorder had in memory as lost.
    pub(super) fn lose_in_memory(&mut self) {
        while !self.in_memory.is_empty() {
            self.lose_oldest_in_memory();
        }
    }

    /// Counts held bundles as lost, those left out that are there.
    pub(super) fn lose_held(&mut self, is_there: impl Fn(&Held) -> bool) {
        let (there, lost): (Vec<_>, Vec<_>) = self.held.drain(..).partition(is_there);
        self.held = there;
        self.missing.extend(lost.into_iter().map(|held| Missing {
            seq: held.seq,
            span: held.span,
            why: Why::Gone,
        }));
    }

    /// Counts a bundle of which nothing is there as lost.
    pub(super) fn lose(&mut self, seq: u64, why: Why) {
        self.lose_known(seq, None, why);
    }

    /// Counts a bundle as lost of which the time is known.
    pub(super) fn lose_known(&mut self, seq: u64, span: Option<(i64, i64)>, why: Why) {
        if !self.missing.iter().any(|missing| missing.seq == seq) {
            self.missing.push(Missing { seq, span, why });
        }
    }
}

/// Why a file is not the state.
enum Unusable {
    /// A later version wrote it.
    Newer(String),
    /// It is damaged.
    Damaged(String),
}

fn parse(text: &[u8]) -> Result<State, Unusable> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let damaged = |detail: &str| Unusable::Damaged(detail.to_owned());
    if !is_whole(text) {
        return Err(damaged("its checksum is another"));
    }
    let json = |e: serde_json::Error| Unusable::Damaged(e.to_string());
    let Version { version } = serde_json::from_slice(text).map_err(json)?;
    if version > VERSION {
        return Err(Unusable::Newer(format!("version {version}, this program knows {VERSION}")));
    }
    let state: State = serde_json::from_slice(text).map_err(json)?;
    if Cid::parse(&state.cid).is_none() {
        return Err(damaged("no client id"));
    }
    if state.head.as_ref().is_some_and(|head| Sha256::parse(&head.sha256).is_none()) {
        return Err(damaged("the head's sha256 is none"));
    }
    Ok(state)
}

/// What stands before the checksum, which is the last field.
const CHECKSUM: &str = ",\n  \"checksum\": \"";

/// Adds a checksum of all that stands before it, so that a damaged number is not taken for another.
fn checked(mut json: Vec<u8>) -> Vec<u8> {
    json.truncate(json.trim_ascii_end().len().saturating_sub(1));
    json.truncate(json.trim_ascii_end().len());
    let sum = Sha256::of(&json);
    json.extend(format!("{CHECKSUM}{sum}\"\n}}\n").bytes());
    json
}

/// Tells whether a file is what was written; one of an earlier version has no checksum.
fn is_whole(text: &[u8]) -> bool {
    let mark = CHECKSUM.as_bytes();
    let Some(at) = text.windows(mark.len()).rposition(|bytes| bytes == mark) else { return true };
    text[at + mark.len()..].starts_with(Sha256::of(&text[..at]).to_string().as_bytes())
}

/// Puts the bundle `seq` from one list into the other, which stays in the order of the numbers.
fn shift(seq: u64, from: &mut Vec<Held>, to: &mut Vec<Held>) {
    if let Some(at) = from.iter().position(|held| held.seq == seq) {
        let held = from.remove(at);
        to.insert(to.partition_point(|other| other.seq < seq), held);
    }
}

impl Missing {
    /// Says that the bundle is lost. The gap is thin, since it is told later than the time it speaks of and must not cut what holds
    /// now; that the bundle's own span is blind follows from its number missing in the chain.
    pub(super) fn gap(&self, now: WallMicros) -> Gap {
        let (from, to) = self.span.map_or((now, now), |(first, last)| (WallMicros(first), WallMicros(last)));
        let why = match self.why {
            Why::Full => "the spool was full",
            Why::Gone => "the spool was gone",
            Why::Unwritten => "nothing of it had been written",
            Why::Room => "there was no room to write it",
            Why::Damaged => "it could not be read any more",
        };
        Gap {
            source: None,
            severity: Severity::Thin,
            reason: format!("bundle {} is lost: {why}", self.seq),
            from,
            to: Some(to),
            lost: None,
        }
    }
}
