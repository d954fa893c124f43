//! psinfo: processes.

use super::{Column, Context, Details, Spec, Type, arguments, entity, marks};
use crate::db::{Cell, Values};
use pofr_core::{
    digest::{KeyDigest, Sha256},
    fact::{Fact, FactKind, Files, Ids, Namespaces, Process, ProcessDetails, ProcessKey, Totals},
    identity::Pid,
    raw::{RawText, Reading},
    store::StoreError,
    time::WallMicros,
};
use std::borrow::Cow;

const fn namespace(name: &'static str) -> Column {
    Column::opt(name, Type::U32, "inode of the namespace, 0 where the kernel has none; NULL: see unread")
}

/// How processes are stored.
pub(crate) const SPEC: Spec = Spec {
    kind: FactKind::Process,
    table: "psinfo",
    id: "psentity",
    digest: "shanorm",
    columns: &[
        Column::opt(
            "withfiles",
            Type::Ascii(40),
            "digest of the process and the files it had open; NULL unknown",
        ),
        Column::virt("shafull", Type::Ascii(40), "COALESCE(withfiles, shanorm)", "withfiles, else shanorm"),
        Column::virt("uid", Type::U32, "ruid", "the real user id"),
        Column::opt("ruid", Type::U32, "real user id; NULL unknown"),
        Column::opt("euid", Type::U32, "effective user id; NULL unknown"),
        Column::opt("rgid", Type::U32, "real group id; NULL unknown"),
        Column::opt("egid", Type::U32, "effective group id; NULL unknown"),
        Column::new("pid", Type::U32, "process id"),
        entity::COLUMNS[0],
        entity::COLUMNS[1],
        entity::COLUMNS[2],
        entity::COLUMNS[3],
        Column::new("ppid", Type::U32, "parent's process id"),
        Column::new("command", Type::Bytes, "name (comm)"),
        Column::opt(
            "arguments",
            Type::Bytes,
            "argument vector with a space for each NUL, the last NUL dropped, or its beginning (argbytes); empty for a kernel thread, NULL unknown",
        ),
        Column::opt(
            "argnuls",
            Type::Blob,
            "where the NULs of the vector are: differences of positions, LEB128",
        ),
        Column::opt("arglate", Type::Flag, "1: the vector was filled in later and is not in the key"),
        Column::opt(
            "exe",
            Type::Bytes,
            "path of the executable, and (deleted) where it was unlinked, but see exenamed; NULL: none, or see unread",
        ),
        Column::opt("cwd", Type::Bytes, "working directory; NULL: none, or see unread"),
        Column::new("session", Type::U32, "session id"),
        Column::new("tty", Type::U32, "device number of the controlling terminal, 0 for none"),
        Column::opt("loginuid", Type::U32, "audit login uid; NULL where never set"),
        Column::opt(
            "cgroup",
            Type::Bytes,
            "control groups as /proc/pid/cgroup lists them; NULL: none, or see unread",
        ),
        namespace("nscgroup"),
        namespace("nsipc"),
        namespace("nsmnt"),
        namespace("nsnet"),
        namespace("nspid"),
        namespace("nstime"),
        namespace("nsuser"),
        namespace("nsuts"),
        Column::opt(
            "unread",
            Type::Ascii(80),
            "which of exe, cwd, cgroup, namespaces could not be read: name=denied or name=unknown, separated by commas",
        ),
        Column::new("zombie", Type::Flag, "1: it has exited and waits for its parent"),
        Column::new(
            "files",
            Type::Ascii(10),
            "whether its descriptors could be read: read, denied, unknown, unreadable (no answer in time)",
        ),
        Column::opt("started", Type::Big, "the kernel's start time on the run's clock, µs, to 10 ms"),
        Column::opt("exitcode", Type::Big, "wait status of the exit, as waitpid(2) encodes it"),
        Column::opt("usermicros", Type::Big, "CPU time in user mode over its life, µs"),
        Column::opt("systemmicros", Type::Big, "CPU time in kernel mode over its life, µs"),
        Column::opt("readbytes", Type::Big, "bytes read from storage over its life"),
        Column::opt("writebytes", Type::Big, "bytes written to storage over its life"),
        Column::opt("exesha256", Type::Ascii(64), "SHA-256 of the executable"),
        marks::COLUMNS[0],
        marks::COLUMNS[1],
        marks::COLUMNS[2],
        marks::COLUMNS[3],
        marks::COLUMNS[4],
        marks::COLUMNS[5],
        marks::COLUMNS[6],
        marks::COLUMNS[7],
    ],
    indexes: &[("pid", &["pid"], None)],
    encode,
    decode,
    known: &["arguments", "started", "exitcode", "usermicros", "exesha256", "withfiles"],
    details,
};

const FILES: [(Files, &str); 4] = [
    (Files::Read, "read"),
    (Files::Denied, "denied"),
    (Files::Unknown, "unknown"),
    (Files::Unreadable, "unreadable"),
];

fn encode<'a>(fact: &'a Fact, context: &Context, cells: &mut Vec<Cell<'a>>) -> Option<()> {
    let Fact::Process(process) = fact else { return None };
    let Process { key, details } = &**process;
    cells.push(Cell::Text(details.with_files.map(|d| d.to_string().into())));
    cells.extend(id_cells(key.ids));
    entity::encode(Some(&key.entity), context, cells)?;
    cells.push(Cell::int(key.ppid.0));
    cells.push(Cell::bytes(&key.comm));
    // The details hold the vector only where the key does not.
    let late = key.arguments.is_none();
    cells.extend(vector(key.arguments.as_ref().or(details.arguments.as_ref()), late));
    cells.extend([reading(&key.exe), reading(&key.cwd)]);
    cells.extend([Cell::int(key.session), Cell::int(key.tty), Cell::Int(key.login_uid.map(i64::from))]);
    cells.push(reading(&key.cgroup));
    match key.namespaces.known() {
        Some(n) => {
            let Namespaces { cgroup, ipc, mnt, net, pid, time, user, uts } = *n;
            cells.extend([cgroup, ipc, mnt, net, pid, time, user, uts].map(Cell::int));
        }
        None => cells.extend([const { Cell::Int(None) }; 8]),
    }
    cells.push(Cell::Text(unread(key).map(Cow::Owned)));
    cells.push(Cell::int(i64::from(key.zombie)));
    cells.push(Cell::text(FILES.iter().find(|(f, _)| *f == key.files)?.1));
    cells.push(Cell::Int(details.started.map(|t| t.0)));
    cells.push(Cell::Int(details.exit_code.map(i64::from)));
    cells.extend(totals(details.totals));
    cells.push(Cell::Text(details.exe_sha256.map(|d| d.to_string().into())));
    marks::encode(key, cells)
}

/// Returns the values of ruid, euid, rgid and egid.
pub(super) fn id_cells(ids: Ids) -> [Cell<'static>; 4] {
    [ids.ruid, ids.euid, ids.rgid, ids.egid].map(|id| Cell::Int(id.map(i64::from)))
}

/// Reads ruid, euid, rgid and egid.
pub(super) fn read_ids(values: &mut Values<'_>) -> Result<Ids, StoreError> {
    Ok(Ids {
        ruid: values.opt_int("ruid")?,
        euid: values.opt_int("euid")?,
        rgid: values.opt_int("rgid")?,
        egid: values.opt_int("egid")?,
    })
}

fn vector(arguments: Option<&RawText>, late: bool) -> [Cell<'static>; 3] {
    match arguments.map(|a| arguments::split(a.as_bytes())) {
        Some((text, nuls)) => {
            [Cell::Bytes(Some(text.into())), Cell::Blob(Some(nuls.into())), Cell::int(i64::from(late))]
        }
        None => [Cell::Bytes(None), Cell::Blob(None), Cell::Int(None)],
    }
}

fn totals(totals: Option<Totals>) -> [Cell<'static>; 4] {
    match totals {
        Some(Totals { user_micros, system_micros, read_bytes, write_bytes }) => {
            [user_micros, system_micros, read_bytes, write_bytes].map(Cell::wide)
        }
        None => [const { Cell::Int(None) }; 4],
    }
}

fn reading(reading: &Reading<RawText>) -> Cell<'_> {
    Cell::Bytes(reading.known().map(|text| text.as_bytes().into()))
}

/// Names the attributes that could not be read; what is merely not there is not named.
fn unread(key: &ProcessKey) -> Option<String> {
    fn why<T>(reading: &Reading<T>) -> Option<&'static str> {
        match reading {
            Reading::Known(_) | Reading::Absent => None,
            Reading::Denied => Some("denied"),
            Reading::Unknown => Some("unknown"),
        }
    }
    let all = [
        ("exe", why(&key.exe)),
        ("cwd", why(&key.cwd)),
        ("cgroup", why(&key.cgroup)),
        ("namespaces", why(&key.namespaces)),
    ];
    let parts: Vec<String> =
        all.iter().filter_map(|(name, why)| Some(format!("{name}={}", (*why)?))).collect();
    (!parts.is_empty()).then(|| parts.join(","))
}

fn decode(values: &mut Values<'_>, context: &Context) -> Result<Fact, StoreError> {
    let with_files = values.opt_parsed("withfiles", KeyDigest::parse)?;
    let ids = read_ids(values)?;
    let entity = entity::decode(values, context)?.ok_or_else(|| values.corrupt("pid is NULL"))?;
    let ppid = Pid(values.int("ppid")?);
    let comm = values.bytes("command")?.into();
    let text = values.opt_bytes("arguments")?;
    let nuls = values.opt_bytes("argnuls")?;
    let late = values.opt_int::<i64>("arglate")? == Some(1);
    let vector = match (text, nuls) {
        (Some(text), nuls) => Some(RawText::from(
            arguments::join(text.to_vec(), nuls.unwrap_or_default())
                .ok_or_else(|| values.corrupt("argnuls does not go with arguments"))?,
        )),
        (None, _) => None,
    };
    let exe = values.opt_bytes("exe")?;
    let cwd = values.opt_bytes("cwd")?;
    let session = values.int("session")?;
    let tty = values.int("tty")?;
    let login_uid = values.opt_int("loginuid")?;
    let cgroup = values.opt_bytes("cgroup")?;
    let mut inodes = [None::<u32>; 8];
    for inode in &mut inodes {
        *inode = values.opt_int("ns…")?;
    }
    let namespaces = match inodes {
        [Some(cgroup), Some(ipc), Some(mnt), Some(net), Some(pid), Some(time), Some(user), Some(uts)] => {
            Some(Namespaces { cgroup, ipc, mnt, net, pid, time, user, uts })
        }
        _ => None,
    };
    let unread = values.opt_bytes("unread")?.unwrap_or_default();
    let unread = std::str::from_utf8(unread).unwrap_or_default();
    let zombie = values.flag("zombie")?;
    let files =
        values.parsed("files", |t| FILES.iter().find(|(_, name)| *name == t).map(|(files, _)| *files))?;
    let started = values.opt_int("started")?.map(WallMicros);
    let exit_code = values.opt_int("exitcode")?;
    let mut used = [None; 4];
    for number in &mut used {
        *number = values.opt_wide("usermicros, systemmicros, readbytes or writebytes")?;
    }
    let totals = match used {
        [Some(user_micros), Some(system_micros), Some(read_bytes), Some(write_bytes)] => {
            Some(Totals { user_micros, system_micros, read_bytes, write_bytes })
        }
        _ => None,
    };
    let exe_sha256 = values.opt_parsed("exesha256", Sha256::parse)?;
    let marks = marks::decode(values, &entity)?;
    let (in_key, in_details) = if late { (None, vector) } else { (vector, None) };
    Ok(Fact::from(Process {
        key: ProcessKey {
            entity,
            ppid,
            ids,
            comm,
            arguments: in_key,
            exe: as_reading("exe", exe.map(RawText::from), unread),
            cwd: as_reading("cwd", cwd.map(RawText::from), unread),
            session,
            tty,
            login_uid,
            cgroup: as_reading("cgroup", cgroup.map(RawText::from), unread),
            namespaces: as_reading("namespaces", namespaces, unread),
            zombie,
            files,
            marks,
        },
        details: ProcessDetails { arguments: in_details, started, exit_code, totals, exe_sha256, with_files },
    }))
}

fn as_reading<T>(name: &str, value: Option<T>, unread: &str) -> Reading<T> {
    let why = unread.split(',').filter_map(|part| part.split_once('=')).find(|(n, _)| *n == name);
    match (value, why) {
        (Some(value), _) => Reading::Known(value),
        (None, Some((_, "denied"))) => Reading::Denied,
        (None, Some(_)) => Reading::Unknown,
        (None, None) => Reading::Absent,
    }
}

fn details(fact: &Fact) -> Details<'_> {
    let Fact::Process(process) = fact else { return Vec::new() };
    let d = &process.details;
    let mut known: Details<'_> = Vec::new();
    if d.arguments.is_some() {
        known.extend(["arguments", "argnuls", "arglate"].into_iter().zip(vector(d.arguments.as_ref(), true)));
    }
    known.extend(d.started.map(|t| ("started", Cell::int(t.0))));
    known.extend(d.exit_code.map(|code| ("exitcode", Cell::int(code))));
    if d.totals.is_some() {
        known.extend(
            ["usermicros", "systemmicros", "readbytes", "writebytes"].into_iter().zip(totals(d.totals)),
        );
    }
    known.extend(d.exe_sha256.map(|sha| ("exesha256", Cell::text(sha.to_string()))));
    known.extend(d.with_files.map(|sha| ("withfiles", Cell::text(sha.to_string()))));
    known
}
