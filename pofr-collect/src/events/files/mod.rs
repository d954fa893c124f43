//! `file-events`: what processes do to files that matter, from fanotify(7).
//!
//! | what | how it is told |
//! |---|---|
//! | opened to read, and closed | a file fact that passed, mode `r` (only where openings are watched) |
//! | closed after it was open for writing | a file fact that passed, mode `w`; it may have been open for reading as well. When it was opened is known only where openings are watched |
//! | opened to be executed | a file fact that passed, mode `-`, at the moment at which it was opened |
//! | created, deleted, renamed | a custom fact of the source `file-events` that passed |
//! | found in a directory that was watched only when it was there | the same, without a process |
//!
//! A file fact of an event has no descriptor ([`FileKey::NO_FD`]). A custom fact is named by the path and has the attributes
//! `action` (`create`, `delete`, `rename`, `found`), `pid`, `start` (ticks since boot), `comm`, `kind` (`file`, `directory`)
//! and, of a renaming, `to`. Where only one of the two names lies in what is watched, the other may be missing. Who was gone
//! before it could be asked for its start time is named by its pid alone, in a custom fact whose action is then `read`, `write`
//! or `execute`, too.
//!
//! The kernel gives no times: an event is told with the time at which it was received, on the run's clock. Events of one process
//! about one name that are not read at once may be told as one, and their order is then that of the table above.
//!
//! How much is told of one directory or file, and of all, is bounded (`throttle`): what goes beyond is counted in a gap that begins
//! with `flood:`, and then marks are set anew, since what was made meanwhile may need one. So much is read at once, and so many
//! entries of a directory that appears.

pub(crate) mod event;
mod group;
mod opens;
mod places;
mod throttle;
mod watch;

pub use watch::Watch;

use super::real_user;
use crate::{HostView, limits, samplers::process_start};
use event::{Entry, Event, Handle};
use group::Group;
use nix::sys::fanotify::MaskFlags;
use opens::Opens;
use places::{Batch, Places};
use pofr_core::{
    EventSource, Source,
    collector::{CollectError, Notice},
    fact::{Custom, Fact, FileDetails, FileKey, FileMode, OpenFile},
    gap::{Gap, Severity},
    identity::{Entity, Pid, StartTicks},
    raw::RawText,
    time::WallMicros,
};
use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsStr,
    os::{fd::BorrowedFd, unix::ffi::OsStrExt as _},
    path::Path,
};
use throttle::{Left, Throttle};
use watch::Watches;

/// The name of this source, and of the source of its custom facts.
pub const NAME: &str = "file-events";

/// Tells what is done to files.
///
/// By default a recorder watches [`Watch::sensitive`], which costs nobody anything that can be measured; [`Watch::secrets`] and
/// what else someone names costs those who open such files 2 to 3 µs each time.
#[derive(Debug)]
pub struct FileEvents {
    view: HostView,
    source: Source,
    group: Group,
    places: Places,
    watches: Watches,
    opens: Opens,
    own: Pid,
    /// When it was last known that nothing waits.
    empty: WallMicros,
    /// Whether the kernel kept back who it was.
    nameless: bool,
    throttle: Throttle,
    /// Whether marks are to be set anew, and when that was done last.
    stale: bool,
    marked: WallMicros,
}

/// A process as it was when it was asked, at once.
#[derive(Clone, Debug)]
struct Who {
    pid: Pid,
    start: Option<StartTicks>,
    comm: Option<RawText>,
}

/// What is read at once is told with one time, and nobody is asked twice.
struct Reading {
    at: WallMicros,
    batch: Batch,
    people: HashMap<Pid, Who>,
}

impl FileEvents {
    /// Watches. It takes CAP_SYS_ADMIN to begin, and CAP_DAC_READ_SEARCH from then on.
    ///
    /// # Errors
    /// Where the kernel has no fanotify, or not for us.
    pub fn open(view: &HostView, watches: Vec<Watch>) -> Result<Self, CollectError> {
        if !view.live {
            let what = "fanotify: cannot watch a captured tree".to_owned();
            return Err(CollectError::Unavailable { what, cause: std::io::ErrorKind::Unsupported.into() });
        }
        Ok(Self::with(view, watches, Group::new()?))
    }

    /// Watches as on a kernel older than 5.9, which tells of openings and closings alone.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_as_before_names(view: &HostView, watches: Vec<Watch>) -> Result<Self, CollectError> {
        let group = Group::with(false).map_err(|errno| CollectError::Unavailable {
            what: "fanotify".to_owned(),
            cause: errno.into(),
        })?;
        Ok(Self::with(view, watches, group))
    }

    fn with(view: &HostView, watches: Vec<Watch>, mut group: Group) -> Self {
        let mut places = Places::default();
        let watches = Watches::new(watches, &mut group, &mut places);
        for failed in &watches.failed {
            tracing::warn!("{NAME}: not watched: {failed}");
        }
        Self {
            source: Source::Custom(NAME.into()),
            group,
            places,
            watches,
            opens: Opens::default(),
            own: Pid(std::process::id()),
            empty: view.clock.now(),
            throttle: Throttle::new(view.effort.clone(), view.clock.now()),
            stale: false,
            marked: view.clock.now(),
            nameless: false,
            view: view.clone(),
        }
    }

    fn tell(&mut self, event: Event, reading: &mut Reading, out: &mut Vec<Notice>) {
        let Event { mask, pid, at, old, new, file } = event;
        if mask.contains(MaskFlags::FAN_Q_OVERFLOW) {
            return self.lose(reading.at, out);
        }
        if pid == self.own {
            return;
        }
        let Some(who) = self.who(pid, reading) else { return };
        let mut path = |entry: Option<&Entry>| entry.map(|entry| self.path(entry, reading));
        let (at, old, new) = (path(at.as_ref()), path(old.as_ref()), path(new.as_ref()));
        let is_dir = mask.contains(MaskFlags::FAN_ONDIR);
        if let Some(path) = &at {
            if mask.contains(MaskFlags::FAN_CREATE) {
                self.entry("create", is_dir, &who, path, None, reading.at, out);
                self.appeared(path, is_dir, reading.at, out);
            }
            if !is_dir && let Some(file) = file {
                self.file(mask, &who, path, file, reading.at, out);
            }
            // Before Linux 5.17 the two names of a renaming come apart.
            if mask.contains(MaskFlags::FAN_MOVED_FROM) {
                self.entry("rename", is_dir, &who, path, None, reading.at, out);
            }
            if mask.contains(MaskFlags::FAN_MOVED_TO) {
                self.entry("rename", is_dir, &who, b"", Some(path), reading.at, out);
                self.appeared(path, is_dir, reading.at, out);
            }
            if mask.contains(MaskFlags::FAN_DELETE) {
                self.entry("delete", is_dir, &who, path, None, reading.at, out);
            }
        }
        if old.is_some() || new.is_some() {
            let from = old.as_deref().unwrap_or_default();
            self.entry("rename", is_dir, &who, from, new.as_deref(), reading.at, out);
            if let Some(path) = &new {
                self.appeared(path, is_dir, reading.at, out);
            }
        }
    }

    /// Returns who it was; `None` for who is left out of the record.
    fn who(&mut self, pid: Pid, reading: &mut Reading) -> Option<Who> {
        self.nameless |= pid == Pid(0);
        let who = reading.people.entry(pid).or_insert_with(|| {
            let comm = std::fs::read(self.view.proc_root.join(pid.to_string()).join("comm"));
            let comm = comm.ok().map(|comm| comm.strip_suffix(b"\n").unwrap_or(&comm).into());
            Who { pid, start: process_start(&self.view, pid), comm }
        });
        let left_out = who.start.is_some_and(|start| self.view.is_excluded(pid, start));
        (!left_out).then(|| who.clone())
    }

    /// Returns a path, with `?` for a directory that cannot be found.
    fn path(&mut self, entry: &Entry, reading: &mut Reading) -> Vec<u8> {
        self.places.path(entry, &mut reading.batch).unwrap_or_else(|| [b"?/", entry.name.as_slice()].concat())
    }

    /// Tells what was done to a file.
    fn file(
        &mut self,
        mask: MaskFlags,
        who: &Who,
        path: &[u8],
        file: Handle,
        at: WallMicros,
        out: &mut Vec<Notice>,
    ) {
        let (told, opens) = self.watches.tells_files(path);
        if mask.contains(MaskFlags::FAN_OPEN) {
            self.opens.opened(who.pid, file.clone(), at);
        }
        if !told {
            return;
        }
        if mask.contains(MaskFlags::FAN_OPEN_EXEC) {
            // It is closed when the process ends, which says nothing more.
            self.opens.closed(who.pid, file.clone());
            self.passed(FileMode::Neither, who, path, Some(at), at, out);
        }
        // Openings that were not read apart from their closings are told as one, whatever came of them.
        let at_once = mask & (MaskFlags::FAN_OPEN | MaskFlags::FAN_OPEN_EXEC) == MaskFlags::FAN_OPEN;
        let mut closed = |how| match mask.contains(how) {
            true => (true, self.opens.closed(who.pid, file.clone()).or(at_once.then_some(at))),
            false => (false, None),
        };
        let (_, read) = closed(MaskFlags::FAN_CLOSE_NOWRITE);
        let (is_written, written) = closed(MaskFlags::FAN_CLOSE_WRITE);
        if opens && read.is_some() {
            self.passed(FileMode::Read, who, path, read, at, out);
        }
        if is_written {
            self.passed(FileMode::Write, who, path, written, at, out);
        }
    }

    fn passed(
        &self,
        mode: FileMode,
        who: &Who,
        path: &[u8],
        began: Option<WallMicros>,
        ended: WallMicros,
        out: &mut Vec<Notice>,
    ) {
        let Some(start) = who.start else {
            let action = match mode {
                FileMode::Write => "write",
                FileMode::Neither => "execute",
                _ => "read",
            };
            let fact = self.custom(action, false, Some(who), path, None);
            return out.push(Notice::Passed { fact, began, ended });
        };
        let key = FileKey {
            entity: Entity::Started { boot: self.view.boot, pid: who.pid, start },
            fd: FileKey::NO_FD,
            path: path.into(),
            mode,
            deleted: false,
        };
        let fact = Fact::File(OpenFile { key, details: FileDetails::default() });
        out.push(Notice::Passed { fact, began, ended });
    }

    /// Tells what was done to a name, if it is watched under either.
    #[expect(clippy::too_many_arguments, reason = "each is a part of the one thing that is told")]
    fn entry(
        &self,
        action: &str,
        is_dir: bool,
        who: &Who,
        path: &[u8],
        to: Option<&[u8]>,
        at: WallMicros,
        out: &mut Vec<Notice>,
    ) {
        if self.watches.covers(path) || to.is_some_and(|to| self.watches.covers(to)) {
            let fact = self.custom(action, is_dir, Some(who), path, to);
            out.push(Notice::Passed { fact, began: Some(at), ended: at });
        }
    }

    fn custom(&self, action: &str, is_dir: bool, who: Option<&Who>, path: &[u8], to: Option<&[u8]>) -> Fact {
        let mut attributes = BTreeMap::from([
            ("action".to_owned(), RawText::from(action)),
            ("kind".to_owned(), if is_dir { "directory".into() } else { "file".into() }),
        ]);
        let mut add = |name: &str, value: Option<RawText>| {
            attributes.extend(value.map(|value| (name.to_owned(), value)));
        };
        add("to", to.map(RawText::from));
        if let Some(Who { pid, start, comm }) = who {
            add("pid", (*pid != Pid(0)).then(|| pid.to_string().as_str().into()));
            add("start", start.map(|start| start.0.to_string().as_str().into()));
            add("comm", comm.clone());
        }
        // A name that came from outside of what is watched is called by what it is now.
        let name = if path.is_empty() { to.unwrap_or_default() } else { path };
        Fact::Custom(Custom { source: self.source.clone(), name: name.into(), attributes })
    }

    /// Watches what has appeared, where it takes a mark of its own.
    fn appeared(&mut self, path: &[u8], is_dir: bool, at: WallMicros, out: &mut Vec<Notice>) {
        let mut found = Vec::new();
        let mut more = 0_u64;
        let mut find = |path: &Path| match found.len() {
            0..limits::FOUND => found.push(path.to_owned()),
            _ => more += 1,
        };
        let path = Path::new(OsStr::from_bytes(path));
        self.watches.appeared(path, is_dir, &mut self.group, &mut self.places, &mut find);
        for path in found {
            let fact = self.custom("found", path.is_dir(), None, places::bytes(&path), None);
            out.push(Notice::Passed { fact, began: Some(at), ended: at });
        }
        if more > 0 {
            let reason = format!("flood: {} has more in it than is told: {more} more", path.display());
            out.push(self.gap(reason, at, at, Some(more)));
        }
    }

    fn gap(&self, reason: String, from: WallMicros, to: WallMicros, lost: Option<u64>) -> Notice {
        let (source, reason) = (Some(self.source.clone()), crate::recorder::reason(reason));
        Notice::Lost(Gap { source, severity: Severity::Thin, reason, from, to: Some(to), lost })
    }

    /// Says what was left out, by whom as far as it can still be asked.
    fn flooded(&mut self, left: &Left, reading: &mut Reading) -> Notice {
        let Left { span, of } = left;
        let user = of.as_ref().and_then(|(_, pid)| {
            let status = std::fs::read(self.view.proc_root.join(pid.0.to_string()).join("status"));
            real_user(&status.ok()?)
        });
        let who = user.map_or_else(|| "an unknown user".to_owned(), |user| format!("user {user}"));
        let place = match of {
            Some((entry, _)) => {
                let dir = Entry { dir: entry.dir.clone(), name: Vec::new() };
                String::from_utf8_lossy(&self.path(&dir, reading)).into_owned()
            }
            None => "a directory".to_owned(),
        };
        let reason = format!(
            "flood: {who} did more in {} than is told: {} events were only counted",
            RawText::from(place.as_str()).escaped(),
            span.count
        );
        self.gap(reason, span.from, span.to, Some(span.count))
    }

    /// Sets marks anew where that is needed and was not done lately.
    fn mark_anew(&mut self, now: WallMicros) {
        if self.stale && now.since(self.marked) >= limits::TELL_MICROS {
            self.watches.mark_all(&mut self.group, &mut self.places);
            (self.stale, self.marked) = (false, now);
        }
    }

    /// Says that the queue was full, and begins anew: directories may have been made that nothing was told of.
    fn lose(&mut self, at: WallMicros, out: &mut Vec<Notice>) {
        self.opens.clear();
        self.stale = true;
        out.push(Notice::Lost(Gap {
            source: Some(self.source.clone()),
            severity: Severity::Thin,
            reason: "file-events: the queue was full, and what came then is lost".to_owned(),
            from: self.empty,
            to: Some(at),
            // The kernel does not count.
            lost: None,
        }));
    }
}

impl EventSource for FileEvents {
    fn name(&self) -> &str {
        NAME
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.group.descriptor()
    }

    fn drain(&mut self, out: &mut Vec<Notice>) -> Result<(), CollectError> {
        let mut reading =
            Reading { at: self.view.clock.now(), batch: Batch::default(), people: HashMap::new() };
        let (mut read, mut is_all) = (0, false);
        while read < limits::FILE_EVENTS_AT_ONCE {
            let mut events = Vec::new();
            let more = if self.group.named {
                self.group.read(|event| events.push((event, RawText::default())))?
            } else {
                self.group.read_unnamed(|event, path| events.push((event, path)))?
            };
            if !more {
                is_all = true;
                break;
            }
            reading.at = self.view.clock.now();
            read += events.len();
            for (event, path) in events {
                let is_lost = event.mask.contains(MaskFlags::FAN_Q_OVERFLOW);
                if event.pid != self.own && !is_lost && !self.throttle.admits(&event, reading.at) {
                    continue;
                }
                if self.group.named || is_lost {
                    self.tell(event, &mut reading, out);
                } else if event.pid != self.own
                    && let Some(file) = event.file
                    && let Some(who) = self.who(event.pid, &mut reading)
                {
                    self.file(event.mask, &who, path.as_bytes(), file, reading.at, out);
                }
            }
        }
        if is_all {
            self.empty = reading.at;
        }
        for left in self.throttle.take_due(reading.at) {
            self.stale = true;
            let gap = self.flooded(&left, &mut reading);
            out.push(gap);
        }
        self.mark_anew(reading.at);
        Ok(())
    }

    fn note(&self) -> Option<String> {
        let mut notes = Vec::new();
        if !self.group.named {
            notes.push("this kernel tells of openings and closings alone".to_owned());
        }
        if self.nameless {
            notes.push("the kernel does not tell who it was".to_owned());
        }
        if !self.watches.failed.is_empty() {
            notes.push(format!("not watched: {}", self.watches.failed.join("; ")));
        }
        (!notes.is_empty()).then(|| notes.join("; "))
    }
}
