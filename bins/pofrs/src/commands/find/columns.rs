//! What stands in the columns for each kind of fact: in a table of 80 columns, in a wide one, in CSV.

use crate::{
    commands::export::{is_unreadable, scope_id},
    output::{
        csv::Cell,
        fact,
        table::Fit,
        when::{self, Zones},
    },
};
use pofr_core::{
    fact::{Fact, FileKey, Keeper, Process},
    identity::Cid,
    raw::Reading,
    time::WallMicros,
};
use pofr_schema::query::{Bound, Direction, Found, Subject};

/// Columns of a table.
pub(super) type Columns = Vec<(&'static str, Fit)>;

/// Returns a table's columns.
pub(super) fn table(subject: Subject, wide: bool, several: bool) -> Columns {
    let mut columns = Vec::new();
    if several {
        columns.push(("CLIENT", Fit::Name(if wide { 59 } else { 12 })));
    }
    columns.push(("FROM", Fit::Whole));
    columns.push(if wide { ("UNTIL", Fit::Whole) } else { ("LASTED", Fit::Whole) });
    columns.extend([("PID", Fit::Number), ("USER", Fit::Name(if wide { 32 } else { 8 }))]);
    columns.extend(match (subject, wide) {
        (Subject::Processes, false) => vec![("COMMAND", Fit::Text)],
        (Subject::Processes, true) => {
            vec![
                ("PPID", Fit::Number),
                ("NAME", Fit::Whole),
                ("UNIT", Fit::Text),
                ("EXE", Fit::Text),
                ("COMMAND", Fit::Text),
            ]
        }
        (Subject::Files, false) => vec![("NAME", Fit::Name(10)), ("M", Fit::Whole), ("PATH", Fit::Text)],
        (Subject::Files, true) => {
            vec![("NAME", Fit::Whole), ("FD", Fit::Number), ("MODE", Fit::Whole), ("PATH", Fit::Text)]
        }
        (Subject::Endpoints, false) => {
            vec![("NAME", Fit::Name(10)), ("STATE", Fit::Name(11)), ("ENDPOINT", Fit::Text)]
        }
        (Subject::Endpoints, true) => vec![
            ("NAME", Fit::Whole),
            ("NET", Fit::Whole),
            ("STATE", Fit::Whole),
            ("ENDPOINT", Fit::Text),
            ("PLACE", Fit::Text),
            ("REMOTE NAME", Fit::Text),
        ],
    });
    columns
}

/// A table's page.
pub(super) struct Page {
    /// Whether there is room for all.
    pub(super) wide: bool,
    /// Whether a column says which client it is.
    pub(super) several: bool,
    /// Whether times are in UTC.
    pub(super) utc: bool,
    /// The server's clock.
    pub(super) now: WallMicros,
}

/// Returns what a table shows of a fact.
pub(super) fn cells(page: &Page, client: &Cid, found: &Found) -> Vec<String> {
    let row = found.row();
    let zones = Zones::of_row(row.zone, page.utc);
    let extent = found.extent();
    let mut cells = Vec::new();
    if page.several {
        cells.push(client.to_string());
    }
    if page.wide {
        cells.push(zones.full(extent.from));
        let more = if extent.ended == Bound::Open { " or later" } else { "" };
        cells.push(format!("{}{more}", zones.full(extent.until)));
    } else {
        cells.push(when::in_year(&zones, extent.from, page.now));
        cells.push(fact::lasted(&extent));
    }
    let process = process(found);
    let name = process.map_or_else(|| "-".to_owned(), |process| process.key.comm.escaped());
    cells.push(pid(found).map_or_else(|| "-".to_owned(), |pid| pid.to_string()));
    let no_user = if process.is_some() { "?" } else { "-" };
    cells.push(user(found).unwrap_or_else(|| no_user.to_owned()));
    match (&row.fact, page.wide) {
        (Fact::Process(process), false) => cells.push(fact::ran(process)),
        (Fact::Process(process), true) => cells.extend([
            process.key.ppid.to_string(),
            name,
            kept(process).unwrap_or_else(|| "-".to_owned()),
            text(&process.key.exe).unwrap_or_else(|| "-".to_owned()),
            fact::ran(process),
        ]),
        (Fact::File(file), wide) => {
            cells
                .push(file.details.comm.as_ref().filter(|_| name == "-").map_or(name, |comm| comm.escaped()));
            if wide {
                cells.push(if file.key.fd == FileKey::NO_FD {
                    "-".to_owned()
                } else {
                    file.key.fd.to_string()
                });
            }
            let shared = found.shared_by.map(|sharer| format!(" [shared by {}]", sharer.pid()));
            let path = format!("{}{}", fact::path(file), shared.unwrap_or_default());
            cells.extend([file.key.mode.text().to_owned(), path]);
        }
        (Fact::Endpoint(endpoint), wide) => {
            cells.push(name);
            let (transport, state) = (endpoint.key.transport.text(), endpoint.key.state.text());
            if wide {
                cells.extend([transport.to_owned(), state.to_owned()]);
            } else {
                // UDP has no states but the two that mean that there is a peer or none.
                cells.push(if transport == "tcp" { state.to_owned() } else { transport.to_owned() });
            }
            cells.push(fact::ends(endpoint, found.direction));
            let known = &endpoint.details;
            if wide {
                let place = [known.country.as_deref(), known.city.as_deref()];
                let place = place.into_iter().flatten().collect::<Vec<_>>().join(", ");
                let name = known.remote_name.as_ref().map(|name| name.escaped());
                cells.extend(
                    [Some(place).filter(|place| !place.is_empty()), name]
                        .map(|text| text.unwrap_or_else(|| "-".to_owned())),
                );
            } else if let (Some(country), Some(last)) = (&known.country, cells.last_mut()) {
                *last = format!("{last} ({country})");
            }
        }
        (other, _) => cells.push(fact::describe(other)),
    }
    cells
}

/// The columns that every CSV begins with.
const CSV: [&str; 8] = ["client", "from", "began", "until", "ended", "breaks", "user", "pid"];

/// Returns the names of the columns in CSV.
pub(super) fn csv(subject: Subject) -> Vec<&'static str> {
    let own: &[&str] = match subject {
        Subject::Processes => &[
            "ppid",
            "command",
            "arguments",
            "exe",
            "cwd",
            "ruid",
            "euid",
            "rgid",
            "egid",
            "login_uid",
            "session",
            "unit",
            "container",
            "zombie",
            "exit_code",
            "exe_sha256",
            "exe_deleted",
            "argument_bytes",
            "argument_sha256",
            "unreadable",
            "thread_of",
            "files_of",
        ],
        Subject::Files => &["command", "fd", "mode", "path", "deleted", "shared_by"],
        Subject::Endpoints => &[
            "command",
            "transport",
            "state",
            "direction",
            "local_ip",
            "local_port",
            "remote_ip",
            "remote_port",
            "country",
            "city",
            "local_name",
            "remote_name",
            "local_scope",
            "remote_scope",
        ],
    };
    CSV.iter().chain(own).copied().collect()
}

/// Returns what CSV has of a fact.
pub(super) fn csv_cells(client: &Cid, found: &Found, utc: bool) -> Vec<Cell> {
    let row = found.row();
    let zones = Zones::of_row(row.zone, utc);
    let extent = found.extent();
    let bound = |bound| match bound {
        Bound::Exact => "exact",
        Bound::Sampled => "sampled",
        Bound::Open => "open",
    };
    let mut cells: Vec<Cell> = vec![
        client.to_string().into(),
        zones.rfc3339(extent.from).into(),
        bound(extent.began).into(),
        zones.rfc3339(extent.until).into(),
        bound(extent.ended).into(),
        Cell::Number(found.breaks.len() as i64),
        user(found).into(),
        pid(found).into(),
    ];
    let name = process(found).map(|process| process.key.comm.escaped());
    match &row.fact {
        Fact::Process(process) => {
            let (key, details) = (&process.key, &process.details);
            let keeper = Keeper::of(key).unwrap_or_default();
            let container = keeper.container.as_ref().map(|container| &container.id);
            cells.extend([
                key.ppid.0.into(),
                name.into(),
                Cell::from(process.arguments().map(|_| crate::commands::at::command(process))),
            ]);
            cells.extend([text(&key.exe).into(), text(&key.cwd).into()]);
            cells.extend([key.ids.ruid, key.ids.euid, key.ids.rgid, key.ids.egid].map(Cell::from));
            cells.extend([
                key.login_uid.into(),
                key.session.into(),
                keeper.unit.as_ref().into(),
                container.into(),
            ]);
            cells.extend([
                Cell::Flag(key.zombie),
                details.exit_code.map_or(Cell::Empty, |code| Cell::Number(code.into())),
                details.exe_sha256.map(|sha256| sha256.to_string()).into(),
            ]);
            let marks = &key.marks;
            let sha256 = marks.arguments_cut.and_then(|cut| cut.sha256);
            cells.extend([
                key.program().map_or(Cell::Empty, |(_, deleted)| Cell::Flag(deleted)),
                // More than a number holds is none that a kernel gives.
                marks
                    .arguments_cut
                    .and_then(|cut| i64::try_from(cut.bytes).ok())
                    .map_or(Cell::Empty, Cell::Number),
                sha256.map(|sha256| sha256.to_string()).into(),
                Cell::Flag(is_unreadable(key)),
                marks.thread_of.map(|pid| pid.0).into(),
                marks.files_of.map(|holder| holder.pid().0).into(),
            ]);
        }
        Fact::File(file) => {
            let name = name.or_else(|| file.details.comm.as_ref().map(|comm| comm.escaped()));
            let fd = (file.key.fd != FileKey::NO_FD).then_some(file.key.fd);
            cells.extend([name.into(), fd.into(), file.key.mode.text().into()]);
            cells.extend([Cell::from(&file.key.path), Cell::Flag(file.key.deleted)]);
            cells.push(found.shared_by.map(|sharer| sharer.pid().0).into());
        }
        Fact::Endpoint(endpoint) => {
            let key = &endpoint.key;
            let direction = found.direction.map(|direction| match direction {
                Direction::Listening => "listening",
                Direction::Inbound => "inbound",
                Direction::Outbound => "outbound",
            });
            cells.extend([
                name.into(),
                key.transport.text().into(),
                key.state.text().into(),
                direction.into(),
            ]);
            for end in [key.local, key.remote] {
                cells.extend([end.ip().to_string().into(), u32::from(end.port()).into()]);
            }
            let known = &endpoint.details;
            cells.extend([known.country.clone().into(), known.city.clone().into()]);
            cells.extend([known.local_name.as_ref().into(), known.remote_name.as_ref().into()]);
            cells.extend([&key.local, &key.remote].map(|end| Cell::from(scope_id(end))));
        }
        _ => {}
    }
    cells
}

/// Returns the process that a fact is about.
fn process(found: &Found) -> Option<&Process> {
    match &found.row().fact {
        Fact::Process(process) => Some(process),
        _ => found.process.as_deref(),
    }
}

/// Returns the container that a process runs in, else its unit.
fn kept(process: &Process) -> Option<String> {
    let keeper = Keeper::of(&process.key)?;
    match (keeper.container, keeper.user_unit, keeper.unit) {
        (Some(container), ..) => Some(format!("{} {}", container.engine.text(), container.id.escaped())),
        (_, Some(unit), _) | (.., Some(unit)) => Some(unit.escaped()),
        _ => None,
    }
}

fn pid(found: &Found) -> Option<u32> {
    crate::commands::at::pid_of(&found.row().fact).map(|pid| pid.0)
}

/// Returns the user's name, else the number.
fn user(found: &Found) -> Option<String> {
    let uid = match &found.row().fact {
        Fact::Endpoint(endpoint) => endpoint.details.uid,
        Fact::File(file) => file.details.ids.and_then(|ids| ids.euid),
        _ => None,
    };
    let uid = process(found).and_then(|process| process.key.ids.euid).or(uid);
    found.user.as_ref().map(|user| user.escaped()).or(uid.map(|uid| uid.to_string()))
}

fn text(reading: &Reading<pofr_core::raw::RawText>) -> Option<String> {
    reading.known().map(|text| text.escaped())
}
