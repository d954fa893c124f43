//! Open bundles that never came back: what a machine did in its last seconds, streamed and then nothing.
//!
//! A stream in which nothing has changed for a while becomes an incomplete bundle, unsigned, that says so; it goes into the
//! inbox and from there into the record like any other, in a run of its own ([`RunId::of_stream`]). If the whole bundle comes
//! after all, it takes that one's place.
//!
//! Who wrote the stream is not trusted: it is read like a file of the inbox, unpacked under the same caps, and what
//! follows its last good frame is left out.

use crate::{
    inbox::{Inbox, InboxError},
    receive::{Landing, LandingError, OPEN_DIR, Put, parse_stream_name},
};
use pofr_core::{
    identity::{BundleSeq, Cid, RunId},
    wire::v2::{self, Limits},
};
use rustix::fs::{FileType, Mode, OFlags};
use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Why streams could not be taken in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AbandonedError {
    /// The inbox cannot be read.
    #[error(transparent)]
    Inbox(#[from] InboxError),
    /// The inbox cannot be written.
    #[error(transparent)]
    Landing(#[from] LandingError),
}

/// What became of streams.
#[derive(Debug, Default)]
pub struct Report {
    /// The names of the bundles made of them.
    pub made: Vec<String>,
    /// Those of which nothing could be made, or not of all of it, and why; they lie in quarantine.
    pub refused: Vec<(String, String)>,
}

/// Returns the streams in an inbox in which nothing has changed for `still`, those of the lowest numbers first.
///
/// # Errors
/// Where the directory cannot be read; that it is not there means that there are none.
pub fn due(inbox: &Path, still: Duration) -> Result<Vec<PathBuf>, InboxError> {
    let dir = inbox.join(OPEN_DIR);
    let fail = |cause| InboxError::Io { action: "list", path: dir.clone(), cause };
    // A link in its place was made by nobody of us.
    if !fs::symlink_metadata(&dir).is_ok_and(|m| m.is_dir()) {
        return Ok(Vec::new());
    }
    let now = SystemTime::now();
    let mut found: Vec<(RunId, BundleSeq, PathBuf)> = Vec::new();
    for entry in fs::read_dir(&dir).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let Some((run, seq)) = entry.file_name().to_str().and_then(parse_stream_name) else { continue };
        let Ok(metadata) = entry.metadata() else { continue };
        // One of the future is as still as one can be: its client cannot make it so.
        let age = metadata.modified().map(|at| now.duration_since(at).unwrap_or(Duration::ZERO));
        if age.is_ok_and(|age| age >= still) {
            found.push((run, seq, entry.path()));
        }
    }
    found.sort_by_key(|(run, seq, _)| (*seq, *run));
    Ok(found.into_iter().map(|(.., path)| path).collect())
}

/// Makes bundles of the streams in a client's inbox in which nothing has changed for `still`.
///
/// # Errors
/// [`AbandonedError`]. A stream of which nothing can be made is none: it goes to quarantine.
pub fn take(cid: &Cid, inbox: &Inbox, still: Duration, limits: Limits) -> Result<Report, AbandonedError> {
    let mut report = Report::default();
    let due = due(inbox.dir(), still)?;
    if due.is_empty() {
        return Ok(report);
    }
    let refuse = |path: PathBuf, why: String, report: &mut Report| -> Result<(), InboxError> {
        let candidate = inbox.candidate(path);
        inbox.quarantine(&candidate, &why)?;
        report.refused.push((candidate.name(), why));
        Ok(())
    };
    let mut landing = Landing::open(inbox.dir())?;
    for path in due {
        match made(cid, &path, limits) {
            Ok(Some((sealed, damage))) => {
                if landing.add(&sealed.tar, &sealed.name)? == Put::Named {
                    report.made.push(sealed.name);
                }
                match damage {
                    None => remove(&path)?,
                    Some(why) => refuse(path, why, &mut report)?,
                }
            }
            // Nothing of it had come when it broke.
            Ok(None) => remove(&path)?,
            Err(Unusable::Gone) => {}
            Err(Unusable::Why(why)) => refuse(path, why, &mut report)?,
        }
    }
    Ok(report)
}

/// Why nothing can be made of a stream.
enum Unusable {
    /// The whole bundle has come meanwhile.
    Gone,
    /// What is wrong with it.
    Why(String),
}

/// Makes the bundle of a stream, and says what is wrong with the rest of it.
fn made(cid: &Cid, path: &Path, limits: Limits) -> Result<Option<(v2::Sealed, Option<String>)>, Unusable> {
    let frames = read(path, limits.tar)?;
    if frames.is_empty() {
        return Ok(None);
    }
    let v2::Salvaged { good, header, damage, .. } = v2::salvage_within(&frames, limits.records);
    let Some(header) = header else {
        return Err(Unusable::Why("no whole frame in what was streamed".to_owned()));
    };
    let named = path.file_name().and_then(|name| name.to_str()).and_then(parse_stream_name);
    if header.cid != *cid {
        return Err(Unusable::Why(format!("what was streamed is of client {}", header.cid)));
    }
    if named != Some((header.run, header.seq)) {
        let (seq, run) = (header.seq.0, header.run);
        return Err(Unusable::Why(format!(
            "what was streamed is bundle {seq} of run {run}, not what it was said to be"
        )));
    }
    let sealed = v2::seal_streamed(&frames[..good]).map_err(|error| Unusable::Why(error.to_string()))?;
    let damage =
        damage.map(|error| format!("what was streamed is damaged: {error}; what is before that is taken"));
    Ok(Some((sealed, damage)))
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Unusable> {
    let why = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Unusable::Gone,
        _ => Unusable::Why(format!("cannot be read: {error}")),
    };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| why(e.into()))?;
    let stat = rustix::fs::fstat(&file).map_err(|e| why(e.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink > 1 {
        return Err(Unusable::Why("not a regular file with one link".to_owned()));
    }
    let mut bytes = Vec::new();
    File::from(file).take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(why)?;
    if bytes.len() as u64 > limit {
        return Err(Unusable::Why(format!("more than the limit of {limit} bytes")));
    }
    Ok(bytes)
}

fn remove(path: &Path) -> Result<(), InboxError> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            Err(InboxError::Io { action: "remove", path: path.to_owned(), cause })
        }
        _ => Ok(()),
    }
}
