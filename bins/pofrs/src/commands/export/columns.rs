//! Columns: what CSV, Parquet and Timesketch have of a row, under one name each.

use super::item::{Item, known};
use pofr_core::{
    fact::{Endpoint, Fact, Files, Keeper, OpenFile, Process, ProcessKey, SocketId, scope},
    identity::StartTicks,
    raw::RawText,
    time::WallMicros,
};
use pofr_schema::query::{Direction, Subject};
use std::net::SocketAddr;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Bytes that a client's programs chose.
    Text,
    /// A word of ours: a digest, an address, a state.
    Word,
    /// A whole number.
    Number,
    /// µs since 1970.
    Time,
    /// Yes or no.
    Flag,
}

/// A value of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// Of [`Kind::Text`].
    Text(RawText),
    /// Of [`Kind::Word`].
    Word(String),
    /// Of [`Kind::Number`].
    Number(i64),
    /// Of [`Kind::Time`].
    Time(WallMicros),
    /// Of [`Kind::Flag`].
    Flag(bool),
}

/// A column.
pub(crate) struct Column {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it holds.
    pub(crate) kind: Kind,
    /// Takes its value out of a row; `None` where that is not known.
    pub(crate) value: fn(&Item<'_>) -> Option<Value>,
}

/// Returns the word for a subject in data sets' and directories' names.
pub(crate) const fn word(subject: Subject) -> &'static str {
    match subject {
        Subject::Processes => "process",
        Subject::Files => "file",
        Subject::Endpoints => "endpoint",
    }
}

/// Returns the columns of a subject.
pub(crate) fn of(subject: Subject) -> impl Iterator<Item = &'static Column> {
    let own = match subject {
        Subject::Processes => PROCESS,
        Subject::Files => FILE,
        Subject::Endpoints => ENDPOINT,
    };
    IDENTITY.iter().chain(own).chain(OF_PROCESS).chain(LIFE)
}

impl Value {
    fn text(text: &RawText) -> Option<Self> {
        Some(Self::Text(text.clone()))
    }

    fn word(word: impl ToString) -> Option<Self> {
        Some(Self::Word(word.to_string()))
    }

    fn number(number: impl Into<i64>) -> Option<Self> {
        Some(Self::Number(number.into()))
    }

    /// A number that takes 64 bits: one that i64 cannot hold is none that a kernel gives.
    fn big(number: u64) -> Option<Self> {
        i64::try_from(number).ok().map(Self::Number)
    }
}

fn process(item: &Item<'_>, of: impl FnOnce(&Process) -> Option<Value>) -> Option<Value> {
    item.process().and_then(of)
}

fn file(item: &Item<'_>, of: impl FnOnce(&OpenFile) -> Option<Value>) -> Option<Value> {
    if let Fact::File(file) = &item.row.fact { of(file) } else { None }
}

fn endpoint(item: &Item<'_>, of: impl FnOnce(&Endpoint) -> Option<Value>) -> Option<Value> {
    if let Fact::Endpoint(endpoint) = &item.row.fact { of(endpoint) } else { None }
}

/// Returns the peer, where there is one.
pub(crate) fn peer(endpoint: &Endpoint) -> Option<SocketAddr> {
    let remote = endpoint.key.remote;
    (!remote.ip().is_unspecified() || remote.port() != 0).then_some(remote)
}

/// Returns the scope id of an address, where it has one: the index of the interface of a link-local address.
pub(crate) fn scope_id(address: &SocketAddr) -> Option<u32> {
    Some(scope(address)).filter(|scope| *scope != 0)
}

/// Tells whether something of a process did not answer in time.
pub(crate) fn is_unreadable(key: &ProcessKey) -> bool {
    key.marks.unreadable || key.files == Files::Unreadable
}

/// Returns the word for how a descriptor table was read.
const fn files(files: Files) -> &'static str {
    match files {
        Files::Read => "read",
        Files::Denied => "denied",
        Files::Unknown => "unknown",
        Files::Unreadable => "unreadable",
    }
}

/// Returns the word for a direction.
pub(crate) const fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Listening => "listening",
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    }
}

macro_rules! columns {
    ($(#[$doc:meta])* $table:ident: $($name:literal $kind:ident $value:expr),+ $(,)?) => {
        $(#[$doc])*
        const $table: &[Column] = &[$(Column { name: $name, kind: Kind::$kind, value: $value }),+];
    };
}

columns! {
    /// Whose row it is.
    IDENTITY:
    "client" Word |i| Value::word(i.client),
    "run" Word |i| Value::word(i.row.run),
    "digest" Word |i| Value::word(i.row.digest),
    "entity" Word |i| Value::word(i.entity()?.digest()),
    "pid" Number |i| Value::number(i.entity()?.pid().0),
}

columns! {
    /// What only processes have.
    PROCESS:
    "zombie" Flag |i| process(i, |p| Some(Value::Flag(p.key.zombie))),
    "exitstatus" Number |i| process(i, |p| Value::number(p.details.exit_code?)),
    "usermicros" Number |i| process(i, |p| Value::big(p.details.totals?.user_micros)),
    "systemmicros" Number |i| process(i, |p| Value::big(p.details.totals?.system_micros)),
    "readbytes" Number |i| process(i, |p| Value::big(p.details.totals?.read_bytes)),
    "writebytes" Number |i| process(i, |p| Value::big(p.details.totals?.write_bytes)),
    "files" Word |i| process(i, |p| Value::word(files(p.key.files))),
    "filesof" Word |i| process(i, |p| Value::word(p.key.marks.files_of?.digest())),
    "filesofpid" Number |i| process(i, |p| Value::number(p.key.marks.files_of?.pid().0)),
}

columns! {
    /// What only files have.
    FILE:
    "fd" Number |i| file(i, |f| (f.key.fd != pofr_core::fact::FileKey::NO_FD).then_some(Value::Number(f.key.fd.into()))),
    "filename" Text |i| file(i, |f| Value::text(&f.key.path)),
    "mode" Word |i| file(i, |f| Value::word(f.key.mode.text())),
    "deleted" Flag |i| file(i, |f| Some(Value::Flag(f.key.deleted))),
    "sharedbypid" Number |i| Value::number(i.found.shared_by?.pid().0),
}

columns! {
    /// What only endpoints have.
    ENDPOINT:
    "transport" Word |i| endpoint(i, |e| Value::word(e.key.transport.text())),
    "localip" Word |i| endpoint(i, |e| Value::word(e.key.local.ip())),
    "localport" Number |i| endpoint(i, |e| Value::number(e.key.local.port())),
    "localscope" Number |i| endpoint(i, |e| Value::number(scope_id(&e.key.local)?)),
    "remoteip" Word |i| endpoint(i, |e| Value::word(peer(e)?.ip())),
    "remoteport" Number |i| endpoint(i, |e| Value::number(peer(e)?.port())),
    "remotescope" Number |i| endpoint(i, |e| Value::number(scope_id(&peer(e)?)?)),
    "state" Word |i| endpoint(i, |e| Value::word(e.key.state.text())),
    "direction" Word |i| Value::word(direction(i.found.direction?)),
    "cookie" Word |i| endpoint(i, |e| match e.key.socket {
        SocketId::Cookie(cookie) => Value::word(cookie),
        _ => None,
    }),
    "inode" Number |i| endpoint(i, |e| Value::big(e.details.inode?)),
    "netns" Number |i| endpoint(i, |e| Value::number(e.key.netns?)),
    "localname" Text |i| endpoint(i, |e| Value::text(e.details.local_name.as_ref()?)),
    "remotename" Text |i| endpoint(i, |e| Value::text(e.details.remote_name.as_ref()?)),
    "country" Word |i| endpoint(i, |e| Value::word(e.details.country.as_ref()?)),
    "city" Word |i| endpoint(i, |e| Value::word(e.details.city.as_ref()?)),
    "socketuid" Number |i| endpoint(i, |e| Value::number(e.details.uid?)),
}

columns! {
    /// Of the process, or of who holds the file or the endpoint.
    OF_PROCESS:
    "ppid" Number |i| process(i, |p| Value::number(p.key.ppid.0)),
    "command" Text |i| process(i, |p| Value::text(&p.key.comm)),
    // With a blank for each NUL between, as the database has them.
    "arguments" Text |i| process(i, |p| {
        let bytes = p.arguments()?.as_bytes();
        let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
        let blanks: Vec<u8> = bytes.iter().map(|b| if *b == 0 { b' ' } else { *b }).collect();
        Some(Value::Text(blanks.into()))
    }),
    "argbytes" Number |i| process(i, |p| Value::big(p.key.marks.arguments_cut?.bytes)),
    "argsha256" Word |i| process(i, |p| Value::word(p.key.marks.arguments_cut?.sha256?)),
    "exe" Text |i| process(i, |p| Value::text(known(&p.key.exe)?)),
    "exedeleted" Flag |i| process(i, |p| Some(Value::Flag(p.key.program()?.1))),
    "exesha256" Word |i| process(i, |p| Value::word(p.details.exe_sha256?)),
    "cwd" Text |i| process(i, |p| Value::text(known(&p.key.cwd)?)),
    "user" Text |i| Value::text(i.found.user.as_ref()?),
    "ruid" Number |i| process(i, |p| Value::number(p.key.ids.ruid?)),
    "euid" Number |i| process(i, |p| Value::number(p.key.ids.euid?)),
    "rgid" Number |i| process(i, |p| Value::number(p.key.ids.rgid?)),
    "egid" Number |i| process(i, |p| Value::number(p.key.ids.egid?)),
    "loginuid" Number |i| process(i, |p| Value::number(p.key.login_uid?)),
    "session" Number |i| process(i, |p| Value::number(p.key.session)),
    "tty" Number |i| process(i, |p| Value::number(p.key.tty)),
    "cgroup" Text |i| process(i, |p| Value::text(known(&p.key.cgroup)?)),
    "unit" Text |i| process(i, |p| Value::text(&Keeper::of(&p.key)?.unit?)),
    "container" Text |i| process(i, |p| Value::text(&Keeper::of(&p.key)?.container?.id)),
    "started" Time |i| process(i, |p| Some(Value::Time(p.details.started?))),
    "startticks" Number |i| process(i, |p| {
        let StartTicks(ticks) = p.key.entity.start()?;
        Value::big(ticks)
    }),
    "unreadable" Flag |i| process(i, |p| Some(Value::Flag(is_unreadable(&p.key)))),
    "threadof" Number |i| process(i, |p| Value::number(p.key.marks.thread_of?.0)),
}

columns! {
    /// From when to when.
    LIFE:
    "zone" Number |i| Value::number(i.row.zone.minutes()),
    "first_seen" Time |i| i.row.life.first_seen.map(Value::Time),
    "last_seen" Time |i| i.row.life.last_seen.map(Value::Time),
    "appeared_after" Time |i| i.row.life.appeared_after.map(Value::Time),
    "gone_by" Time |i| i.row.life.gone_by.map(Value::Time),
    "began" Time |i| i.row.life.began.map(Value::Time),
    "ended" Time |i| i.row.life.ended.map(Value::Time),
    "cut_left" Flag |i| Some(Value::Flag(i.row.life.cut_left)),
    "cut_right" Flag |i| Some(Value::Flag(i.row.life.cut_right)),
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_columns_have_one_name() {
        for subject in [Subject::Processes, Subject::Files, Subject::Endpoints] {
            let names: Vec<&str> = of(subject).map(|c| c.name).collect();
            let apart: BTreeSet<&str> = names.iter().copied().collect();
            assert_eq!(names.len(), apart.len(), "{subject:?}");
        }
    }
}
