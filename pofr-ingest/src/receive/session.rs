//! The session: answers a client, message by message, until it leaves.

use super::{
    Account, Landing, LandingError, Put,
    arriving::Arriving,
    landing::charge,
    note::{NOTE, Note},
    stream::{OpenStream, Room},
    waiting::Ending,
};
use crate::registration::{
    key::KeyError,
    rotation::{self, Rotation},
};
use pofr_core::{
    raw::RawText,
    time::WallMicros,
    wire::{
        link::{
            Down, Goodbye, LINK_VERSION, LinkError, No, OpenAt, Reader, Refusal, Service, Splice, Up, Writer,
        },
        name::BundleName,
        v2,
    },
};
use std::{
    io::{self, Read, Write},
    net::IpAddr,
};

/// What a session keeps to.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// How large a bundle may be, in bytes.
    pub max_bundle: u64,
    /// The server's clock.
    pub now: fn() -> WallMicros,
    /// Where the client calls from.
    pub ip: Option<IpAddr>,
}

impl Default for Rules {
    fn default() -> Self {
        Self { max_bundle: v2::Limits::default().tar, now: crate::ingest::server_clock, ip: None }
    }
}

/// Why a session failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The link.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The inbox.
    #[error(transparent)]
    Landing(#[from] LandingError),
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The client left, or the link ended between two messages.
    Left,
    /// The client said that it was deregistered.
    Deregistered,
    /// The client was refused, and told why.
    Refused,
    /// Nothing came for too long, or another session began.
    Waiting(Ending),
}

/// Why something is not taken.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) code: No,
    pub(super) text: String,
    pub(super) retry: bool,
}

impl Trouble {
    pub(super) const fn new(code: No, text: String, retry: bool) -> Self {
        Self { code, text, retry }
    }

    fn answer(self) -> Down {
        Down::no(self.code, self.text, self.retry)
    }
}

/// Says what a failing disk means to the client: its bundle waits in its spool.
pub(super) fn no_room(cause: &io::Error) -> Trouble {
    Trouble::new(No::Disk, format!("the server's disk: {cause}"), true)
}

/// Serves one client until it leaves. `log` gets one line for each bundle, and for whatever else should be known.
///
/// # Errors
/// [`SessionError`] where the link breaks within a message, or the inbox fails. What was acknowledged is on the disk.
pub fn serve(
    up: impl Read,
    down: impl Write,
    account: &Account,
    landing: Landing,
    rules: Rules,
    log: &mut dyn FnMut(&str),
) -> Result<Ended, SessionError> {
    let mut session = Session {
        reader: Reader::new(up),
        writer: Writer::new(down),
        used: landing.used()?,
        account,
        landing,
        rules,
        log,
        software: String::new(),
        reserved: 0,
        arriving: None,
        stream: None,
    };
    let result = session.run();
    if let Some(arriving) = session.arriving.take() {
        arriving.abandon(&session.landing);
    }
    match result {
        Err(SessionError::Link(LinkError::Io(error))) if Ending::of(&error).is_some() => {
            let ending = Ending::of(&error).unwrap_or(Ending::Idle);
            // Whoever is still there may hear it; mostly nobody is.
            let _ = session.writer.write(&Down::refused(Refusal::Busy, ending.to_string(), false));
            Ok(Ended::Waiting(ending))
        }
        Err(SessionError::Link(
            error @ (LinkError::Length { .. } | LinkError::Kind(_) | LinkError::Malformed { .. }),
        )) => {
            let _ = session.writer.write(&Down::refused(Refusal::Other, error.to_string(), false));
            Err(error.into())
        }
        other => other,
    }
}

struct Session<'a, R, W> {
    reader: Reader<R>,
    writer: Writer<W>,
    account: &'a Account,
    landing: Landing,
    rules: Rules,
    log: &'a mut dyn FnMut(&str),
    /// The client's program, as it says.
    software: String,
    /// How many bytes the inbox takes, as far as is known.
    used: u64,
    /// What the bundle that is being received will take.
    reserved: u64,
    arriving: Option<Arriving>,
    stream: Option<OpenStream>,
}

impl<R: Read, W: Write> Session<'_, R, W> {
    fn run(&mut self) -> Result<Ended, SessionError> {
        let Some(first) = self.reader.read::<Up>()? else { return Ok(Ended::Left) };
        if let Err((code, text)) = self.greet(first)? {
            (self.log)(&format!("refused: {}", RawText::from(&*text).escaped()));
            self.writer.write(&Down::refused(code, text, true))?;
            return Ok(Ended::Refused);
        }
        while let Some(message) = self.reader.read::<Up>()? {
            let answer = match message {
                Up::Offer { name, size, splice } => Some(self.offer(&name, size, splice)?),
                Up::Data(bytes) => match &mut self.arriving {
                    Some(arriving) => {
                        arriving.push(&bytes);
                        None
                    }
                    None => return self.lost("data"),
                },
                Up::End => match self.arriving.take() {
                    Some(arriving) => Some(self.end(arriving)),
                    None => return self.lost("end"),
                },
                Up::Open { run, seq } => Some(match OpenStream::open(&self.landing, run, seq) {
                    Ok(stream) => {
                        let bytes = stream.at().bytes;
                        self.stream = Some(stream);
                        Down::From { bytes }
                    }
                    Err(trouble) => self.refuse("the open bundle", trouble),
                }),
                Up::Frames { offset, bytes } => {
                    self.frames(offset, &bytes)?;
                    None
                }
                Up::Flush => Some(match self.stream.as_mut().map(|stream| stream.flush(&self.landing)) {
                    Some(Ok(at)) => Down::Kept(at),
                    Some(Err(trouble)) => {
                        self.stream = None;
                        self.refuse("the open bundle", trouble)
                    }
                    None => Down::no(No::Chain, "no bundle is open", true),
                }),
                Up::Bye(Goodbye::Stopping) => return Ok(Ended::Left),
                Up::Bye(Goodbye::Deregistered) => {
                    let software = std::mem::take(&mut self.software);
                    self.note(&software, true);
                    return Ok(Ended::Deregistered);
                }
                Up::Rotate { public_key, signature } => Some(self.rotate(&public_key, &signature)),
                other => return self.lost(other.kind()),
            };
            if let Some(answer) = answer {
                self.writer.write(&answer)?;
            }
        }
        Ok(Ended::Left)
    }

    /// Answers the first message; an inner error says why there is no session.
    fn greet(&mut self, first: Up) -> Result<Result<(), (Refusal, String)>, SessionError> {
        let Up::Hello { version, service, cid, software } = first else {
            return Ok(Err((Refusal::Other, format!("{} before hello", first.kind()))));
        };
        if version == 0 {
            return Ok(Err((Refusal::Version, format!("version 0; this server speaks {LINK_VERSION}"))));
        }
        if service != Service::Receive {
            return Ok(Err((Refusal::WrongClient, "this account takes bundles only".to_owned())));
        }
        if cid != self.account.cid {
            let text = format!("this account is not of client {}", RawText::from(&*cid).escaped());
            return Ok(Err((Refusal::WrongClient, text)));
        }
        self.note(&software, false);
        self.software = software;
        let newest = self.landing.streams()?.into_iter().max_by_key(|(_, seq, _)| *seq);
        self.writer.write(&Down::Welcome {
            version: LINK_VERSION,
            software: concat!("pofrs ", env!("CARGO_PKG_VERSION")).to_owned(),
            time: (self.rules.now)(),
            max_bundle_bytes: self.rules.max_bundle,
            quota_left_bytes: self.account.quota_bytes.saturating_sub(self.used),
            open: newest.map(|(run, seq, bytes)| OpenAt { run, seq, bytes }),
        })?;
        Ok(Ok(()))
    }

    /// Writes down where the session comes from; that it cannot be is no reason to take no bundles.
    fn note(&mut self, software: &str, deregistered: bool) {
        let (ip, since) = (self.rules.ip, (self.rules.now)().0);
        let note = Note { ip, since, software: software.to_owned(), deregistered };
        let written = serde_json::to_vec(&note)
            .map_err(|e| e.to_string())
            .and_then(|text| self.landing.replace(NOTE, &text).map_err(|e| e.to_string()));
        if let Err(error) = written {
            (self.log)(&format!("the session's note is not written: {error}"));
        }
    }

    /// Leaves the wish for another key in the inbox, where the administrator finds it.
    fn rotate(&mut self, public_key: &str, signature: &str) -> Down {
        let now = (self.rules.now)().0;
        let wish = match Rotation::wished(&self.account.public_key, public_key, signature, now) {
            Ok((wish, _)) => wish,
            Err(error) => {
                let code = match error {
                    KeyError::Signature => Refusal::BadSignature,
                    _ => Refusal::BadKey,
                };
                return Down::refused(code, error.to_string(), true);
            }
        };
        let written = serde_json::to_vec(&wish)
            .map_err(|e| e.to_string())
            .and_then(|text| self.landing.replace(rotation::FILE, &text).map_err(|e| e.to_string()));
        match written {
            Ok(()) => {
                (self.log)("the client's key names another in its place: pofrs requests");
                Down::Requested { request_id: self.account.ciduser.clone() }
            }
            Err(error) => {
                (self.log)(&format!("the wish for another key is not written: {error}"));
                Down::refused(Refusal::Busy, "the server cannot take it now", false)
            }
        }
    }

    /// Ends a session whose client has lost its place.
    fn lost(&mut self, kind: &str) -> Result<Ended, SessionError> {
        self.writer.write(&Down::refused(Refusal::Other, format!("{kind} is not expected here"), false))?;
        Ok(Ended::Refused)
    }

    fn offer(&mut self, name: &str, size: u64, splice: Option<Splice>) -> Result<Down, SessionError> {
        if let Some(old) = self.arriving.take() {
            old.abandon(&self.landing);
            self.reserved = 0;
        }
        let parsed = match name.parse::<BundleName>() {
            Ok(parsed) => parsed,
            Err(error) => {
                return Ok(self.refuse("a bundle", Trouble::new(No::Name, error.to_string(), false)));
            }
        };
        if self.landing.has(name) {
            return Ok(Down::Have);
        }
        let outside = |s: &Splice| s.records_at.checked_add(s.records_len).is_none_or(|end| end > size);
        let trouble = if size == 0 || size > self.rules.max_bundle {
            let text = format!("{size} bytes, not 1 to {}", self.rules.max_bundle);
            Some(Trouble::new(No::Size, text, false))
        } else if splice.as_ref().is_some_and(outside) {
            Some(Trouble::new(No::Size, "the records reach beyond the tar".into(), false))
        } else if !self.has_room(size)? {
            let text = format!("{size} bytes do not fit the quota of {}", self.account.quota_bytes);
            // What is larger than the whole quota never will fit.
            Some(Trouble::new(No::Quota, text, charge(size) <= self.account.quota_bytes))
        } else {
            None
        };
        if let Some(trouble) = trouble {
            return Ok(self.refuse(name, trouble));
        }
        match Arriving::begin(&mut self.landing, parsed, size, splice) {
            Ok((arriving, have)) => {
                self.arriving = Some(arriving);
                self.reserved = charge(size);
                Ok(Down::Send { have })
            }
            Err(error) => Ok(self.refuse(name, Trouble { text: error.to_string(), ..no_room(&error.cause) })),
        }
    }

    /// Tells whether so many bytes fit the quota; looks again before it says that they do not, for ingest makes room.
    fn has_room(&mut self, size: u64) -> Result<bool, SessionError> {
        let taken = self.reserved.saturating_add(charge(size));
        let fits = |used: u64| used.saturating_add(taken) <= self.account.quota_bytes;
        if fits(self.used) {
            return Ok(true);
        }
        self.used = self.landing.used()?;
        Ok(fits(self.used))
    }

    fn end(&mut self, arriving: Arriving) -> Down {
        self.reserved = 0;
        match arriving.finish(&self.landing) {
            Ok(stored) if stored.put == Put::Named => {
                self.used = self.used.saturating_add(charge(stored.bytes));
                (self.log)(&format!("stored {} of {} bytes", stored.name, stored.bytes));
                Down::Stored { sha256: stored.sha256 }
            }
            Ok(stored) => Down::Stored { sha256: stored.sha256 },
            Err(trouble) => self.refuse("a bundle", trouble),
        }
    }

    fn frames(&mut self, offset: u64, bytes: &[u8]) -> Result<(), SessionError> {
        let fits = self.has_room(bytes.len() as u64)?;
        let quota = if fits { u64::MAX } else { 0 };
        if let Some(stream) = &mut self.stream {
            let room = Room { bundle: self.rules.max_bundle, quota };
            self.used = self.used.saturating_add(stream.push(offset, bytes, room));
        }
        Ok(())
    }

    fn refuse(&mut self, what: &str, trouble: Trouble) -> Down {
        let text = RawText::from(&*trouble.text).escaped();
        (self.log)(&format!("not taken: {}: {text}", RawText::from(what).escaped()));
        trouble.answer()
    }
}
