//! `login`: who came in, from where, and by which key: a custom fact of the moment, with the process to which the session belongs.
//!
//! Two sources tell. sshd writes to the authentication log whom it let in ([`accepted`], [`follow`]): user, address, port,
//! method, key. systemd-logind keeps its sessions in `/run` ([`session`]): also those at the console, with user id and
//! terminal. Both name the same process, so what sshd said of it goes into the session's fact, too.
//!
//! ```text
//! ssh 812      address=192.0.2.7 fingerprint=SHA256:… key=ED25519 method=publickey pid=812 port=51234 sshd=yes user=ann
//! session 3    address=192.0.2.7 … pid=812 service=sshd tty=pts/0 uid=1000 user=ann
//! ```
//!
//! A log can be written to by anybody: `sshd=yes` where, when the line was read, the process it names was there, ran as root,
//! and was called so; `no` where it was another; `gone` where it had ended. A machine that keeps its log in the journal alone
//! has no such lines.

pub(crate) mod accepted;
mod follow;
mod session;

use super::left_out::LeftOut;
use crate::{HostView, limits, sys};
use accepted::Accepted;
use follow::Log;
use pofr_core::{
    EventSource, Source,
    collector::{CollectError, Notice},
    fact::{Custom, Fact},
    gap::{Gap, Severity},
    raw::RawText,
    time::WallMicros,
};
use rustix::event::{EventfdFlags, eventfd};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// The source's name, and that of its facts' source.
const NAME: &str = "login";
/// Where syslog daemons write what sshd says: Debian's way, and Red Hat's.
const LOGS: [&str; 2] = ["/var/log/auth.log", "/var/log/secure"];
/// How long to wait between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// So many of those let in are kept in mind, for their sessions.
const MOST_ACCEPTED: usize = 1000;
/// A time that is further from now is not taken at its word, µs.
const FAR_MICROS: i64 = 60_000_000;

/// Makes the source for the registry.
pub(super) fn make(view: &HostView) -> (&'static str, Result<Box<dyn EventSource>, CollectError>) {
    let made = LoginEvents::new(view, LOGS.map(PathBuf::from).into());
    (NAME, made.map(|source| Box::new(source) as Box<dyn EventSource>))
}

/// Tells who came in.
#[derive(Debug)]
pub struct LoginEvents {
    view: HostView,
    source: Source,
    /// Never readable: there is a look about once a second.
    quiet: OwnedFd,
    logs: Vec<Log>,
    looked: Option<Instant>,
    /// Those let in last.
    accepted: VecDeque<Accepted>,
    /// The sessions that were there.
    sessions: BTreeSet<String>,
    /// What cannot be read.
    note: Option<String>,
    /// Lines that were only counted.
    left: LeftOut,
}

impl LoginEvents {
    /// Follows these logs, and the sessions of `view`.
    ///
    /// # Errors
    /// Where the kernel gives no descriptor. A log that is not there may come.
    pub fn new(view: &HostView, logs: Vec<PathBuf>) -> Result<Self, CollectError> {
        let quiet = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).map_err(|error| {
            CollectError::Unavailable {
                what: "cannot make a descriptor for events".into(),
                cause: error.into(),
            }
        })?;
        Ok(Self {
            view: view.clone(),
            source: Source::Custom(NAME.into()),
            quiet,
            logs: logs.into_iter().map(Log::new).collect(),
            looked: None,
            accepted: VecDeque::new(),
            sessions: BTreeSet::new(),
            note: None,
            left: LeftOut::default(),
        })
    }

    fn follow(&mut self, now: WallMicros, out: &mut Vec<Notice>) {
        let mut new = Vec::new();
        self.note = None;
        for log in &mut self.logs {
            let result =
                log.look(|line, old| new.extend(accepted::parse(line).map(|accepted| (accepted, old))));
            if let Err(error) = result {
                self.note = Some(format!("cannot read {}: {error}", log.path().display()));
            }
        }
        let mut told = 0;
        for (accepted, old) in new {
            if !old && told < limits::LOGINS {
                told += 1;
                out.push(self.let_in(&accepted, now));
            } else if !old {
                self.left.add(1, now);
            }
            self.accepted.push_back(accepted);
            if self.accepted.len() > MOST_ACCEPTED {
                self.accepted.pop_front();
            }
        }
    }

    fn let_in(&self, accepted: &Accepted, now: WallMicros) -> Notice {
        let mut attributes = BTreeMap::from([("user".to_owned(), accepted.user.clone())]);
        let pid = RawText::from(accepted.pid.to_string().as_str());
        attributes.insert("pid".to_owned(), pid.clone());
        attributes.insert("sshd".to_owned(), is_sshd(&self.view.proc_root, accepted.pid).into());
        describe(accepted, &mut attributes);
        let name = [b"ssh ", pid.as_bytes()].concat();
        self.moment(name.into(), attributes, accepted.at, now)
    }

    fn sessions(&mut self, first: bool, now: WallMicros, out: &mut Vec<Notice>) {
        let dir = self.view.run_root.join("systemd/sessions");
        let mut there = BTreeSet::new();
        for name in session::names(&dir) {
            if self.sessions.contains(&name) {
                there.insert(name);
                continue;
            }
            // One that is not whole yet is looked at again.
            let Some(session) = session::read(&dir, &name) else { continue };
            let mut attributes = session.attributes;
            if let Some(accepted) =
                session.leader.and_then(|pid| self.accepted.iter().rfind(|a| a.pid == pid))
            {
                describe(accepted, &mut attributes);
            }
            if let Some(since) = session.since.filter(|_| first) {
                attributes.insert("since".to_owned(), since.to_string().as_str().into());
            }
            let at = session.since.map(WallMicros);
            out.push(self.moment(format!("session {name}").as_str().into(), attributes, at, now));
            there.insert(name);
        }
        self.sessions = there;
    }

    /// Makes a fact of the moment; `at` is when, if that is near enough to be so.
    fn moment(
        &self,
        name: RawText,
        attributes: BTreeMap<String, RawText>,
        at: Option<WallMicros>,
        now: WallMicros,
    ) -> Notice {
        let at = at.filter(|at| at.since(now).abs() <= FAR_MICROS).unwrap_or(now);
        let fact = Fact::Custom(Custom { source: self.source.clone(), name, attributes });
        Notice::Passed { fact, began: Some(at), ended: at }
    }
}

/// Adds what sshd said.
fn describe(accepted: &Accepted, attributes: &mut BTreeMap<String, RawText>) {
    let mut add = |name: &str, value: RawText| attributes.insert(name.to_owned(), value);
    add("address", accepted.origin());
    add("port", accepted.port.to_string().as_str().into());
    add("method", accepted.method.clone());
    if let Some(key) = &accepted.key {
        add("key", key.kind.clone());
        add("fingerprint", key.fingerprint.clone());
        if let Some(certificate) = &key.certificate {
            add("certificate", certificate.clone());
        }
    }
}

/// Tells whether a process is one of root's that is called as sshd's are.
fn is_sshd(proc_root: &Path, pid: u32) -> &'static str {
    let dir = proc_root.join(pid.to_string());
    let Ok(status) = std::fs::read(dir.join("status")) else { return "gone" };
    let value = |name: &[u8]| status.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(name));
    let called = value(b"Name:\t").is_some_and(|name| name.starts_with(b"sshd"));
    // `Uid:	0	0	0	0`: the real one, which sshd has until the session's own process.
    let uid = value(b"Uid:\t").and_then(|uids| sys::parse::<u32>(uids.split(|b| *b == b'\t').next()?));
    if called && uid == Some(0) { "yes" } else { "no" }
}

impl EventSource for LoginEvents {
    fn name(&self) -> &str {
        NAME
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.quiet.as_fd()
    }

    fn drain(&mut self, out: &mut Vec<Notice>) -> Result<(), CollectError> {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return Ok(());
        }
        let first = self.looked.replace(Instant::now()).is_none();
        let now = self.view.clock.now();
        self.follow(now, out);
        self.sessions(first, now, out);
        if let Some(span) = self.left.take_due(now) {
            out.push(Notice::Lost(Gap {
                source: Some(self.source.clone()),
                severity: Severity::Thin,
                reason: format!(
                    "flood: the log of logins grew faster than is told: {} were only counted",
                    span.count
                ),
                from: span.from,
                to: Some(span.to),
                lost: Some(span.count),
            }));
        }
        Ok(())
    }

    fn note(&self) -> Option<String> {
        self.note.clone()
    }
}
