//! OCSF, version 1.5.0: Process Activity (1007), File System Activity (1001) and Network Activity (4001), one event for each row.
//!
//! OCSF's times are in ms; to the µs they stand, with all that the schema has no attribute for, in `unmapped`.

use super::{
    columns::{self, peer, scope_id},
    ecs::of_marks,
    item::{Item, command_line, exit, known, unicode, unicode_bytes},
    lines::about,
};
use pofr_core::{
    fact::{Endpoint, Fact, OpenFile, Process, Transport},
    gap::Gap,
    identity::{Cid, Entity},
    raw::RawText,
    time::WallMicros,
};
use pofr_schema::query::{Direction, Subject};
use serde_json::{Map, Value as Json, json};
use std::net::SocketAddr;

/// The version of the schema.
pub(crate) const VERSION: &str = "1.5.0";

/// Returns the event of a row.
pub(crate) fn event(subject: Subject, item: &Item<'_>) -> Json {
    let (row, extent) = (item.row, item.extent());
    let (class, class_name, category, category_name) = match subject {
        Subject::Processes => (1007, "Process Activity", 1, "System Activity"),
        Subject::Files => (1001, "File System Activity", 1, "System Activity"),
        Subject::Endpoints => (4001, "Network Activity", 4, "Network Activity"),
    };
    let (activity, activity_name) = match (subject, item.found.direction) {
        (Subject::Endpoints, Some(Direction::Listening)) => (7, "Listen"),
        // Nobody saw it begin: it was there.
        _ if !item.shows_begin() => (99, "Observed"),
        (Subject::Processes, _) => (1, "Launch"),
        (Subject::Files, _) => (14, "Open"),
        (Subject::Endpoints, _) => (1, "Open"),
    };
    let life = &row.life;
    let micros = |at: Option<WallMicros>| at.map(|at| at.0);
    let status = item.process().and_then(|p| p.details.exit_code);
    let mut event = json!({
        "class_uid": class, "class_name": class_name, "category_uid": category, "category_name": category_name,
        "activity_id": activity, "activity_name": activity_name, "type_uid": class * 100 + activity,
        "severity_id": 1, "severity": "Informational",
        "time": millis(extent.from), "start_time": millis(extent.from), "end_time": millis(extent.until),
        "duration": extent.until.since(extent.from) / 1000, "timezone_offset": row.zone.minutes(),
        "message": item.subject(),
        "metadata": {
            "version": VERSION, "uid": item.id(), "log_name": columns::word(subject), "profiles": ["host"],
            "product": { "name": "POFR", "vendor_name": "POFR", "version": env!("CARGO_PKG_VERSION") },
        },
        "device": { "type_id": 0, "uid": item.client.as_str(), "hostname": item.client.as_str() },
        "unmapped": {
            "run": row.run, "digest": row.digest, "begin_known": extent.began, "end_known": extent.ended,
            "from_micros": extent.from.0, "until_micros": extent.until.0,
            "appeared_after": micros(life.appeared_after), "gone_by": micros(life.gone_by),
            "cut_left": life.cut_left, "cut_right": life.cut_right,
        },
    });
    let holder = item.process().map_or_else(
        || item.entity().map(|entity| json!({ "pid": entity.pid(), "uid": entity.digest() })),
        |process| Some(of_process(process, item)),
    );
    if let Some(process) = item.process() {
        of_marks(&process.key, &mut event["unmapped"]);
    }
    match &row.fact {
        Fact::Process(process) => {
            event["process"] = holder.into();
            // Whoever launched it is its parent, of whom the row has the id alone.
            event["actor"] = json!({ "process": { "pid": process.key.ppid } });
            event["exit_code"] = status
                .map(|status| match exit(status) {
                    (Some(code), _) => code,
                    (None, signal) => 128 + signal.unwrap_or(0),
                })
                .into();
        }
        Fact::File(file) => {
            event["unmapped"]["shared_by"] = item.found.shared_by.map(|sharer| sharer.pid().0).into();
            event["file"] = of_file(file);
            event["actor"] = json!({ "process": holder });
            event["unmapped"]["mode"] = file.key.mode.text().into();
        }
        Fact::Endpoint(endpoint) => {
            of_endpoint(endpoint, item.found.direction, &mut event);
            event["actor"] = holder.map(|holder| json!({ "process": holder })).into();
        }
        _ => {}
    }
    pruned(event)
}

/// Returns the event of a gap: a Base Event (0), since no class is about what nobody saw.
pub(crate) fn gap(client: &Cid, gap: &Gap) -> Json {
    pruned(json!({
        "class_uid": 0, "class_name": "Base Event", "category_uid": 0, "category_name": "Uncategorized",
        "activity_id": 99, "activity_name": "Record Incomplete", "type_uid": 99,
        "severity_id": 1, "severity": "Informational",
        "time": millis(gap.from), "start_time": millis(gap.from), "end_time": gap.to.map(millis),
        "duration": gap.to.map(|to| to.since(gap.from) / 1000),
        "message": about(gap),
        "metadata": {
            "version": VERSION, "log_name": "gap",
            "product": { "name": "POFR", "vendor_name": "POFR", "version": env!("CARGO_PKG_VERSION") },
        },
        "unmapped": {
            "client": client.as_str(), "source": gap.source, "severity": gap.severity, "reason": gap.reason, "lost": gap.lost,
            "from_micros": gap.from.0, "to_micros": gap.to.map(|to| to.0),
        },
    }))
}

/// OCSF's timestamp_t: ms since 1970.
fn millis(at: WallMicros) -> i64 {
    at.0.div_euclid(1000)
}

fn of_process(process: &Process, item: &Item<'_>) -> Json {
    let (key, details) = (&process.key, &process.details);
    let entity: &Entity = &key.entity;
    let exe = known(&key.exe).map(|exe| {
        let hash = details
            .exe_sha256
            .map(|hash| json!([{ "algorithm": "SHA-256", "algorithm_id": 3, "value": hash }]));
        let name = exe.as_bytes().rsplit(|b| *b == b'/').next().unwrap_or_default();
        json!({ "name": unicode_bytes(name), "path": unicode(exe), "type_id": 1, "hashes": hash })
    });
    let ended = if matches!(item.row.fact, Fact::Process(_)) { item.row.life.ended } else { None };
    json!({
        "pid": entity.pid(), "uid": entity.digest(), "name": unicode(&key.comm),
        "cmd_line": process.arguments().map(|_| unicode(&command_line(process))),
        "working_directory": known(&key.cwd).map(unicode), "file": exe,
        "created_time": details.started.map(millis), "terminated_time": ended.map(millis),
        "parent_process": { "pid": key.ppid }, "session": { "uid": key.session.to_string() },
        // Without the extension for Linux a process has no group of its own.
        "user": {
            "uid": key.ids.euid.map(|uid| uid.to_string()), "name": item.found.user.as_ref().map(unicode),
            "groups": key.ids.egid.map(|gid| json!([{ "uid": gid.to_string() }])),
        },
    })
}

fn of_file(file: &OpenFile) -> Json {
    let path = file.key.path.as_bytes();
    let (kind, word) = match path {
        [b'/', ..] => (0, "Unknown"),
        _ if path.starts_with(b"socket:") => (5, "Local Socket"),
        _ if path.starts_with(b"pipe:") => (6, "Named Pipe"),
        _ => (99, "Other"),
    };
    let last = path.rsplit(|b| *b == b'/').next().filter(|last| !last.is_empty());
    let name = if kind == 0 { last.unwrap_or(path) } else { path };
    json!({
        "name": unicode_bytes(name), "path": unicode(&file.key.path), "type_id": kind, "type": word,
        "is_deleted": file.key.deleted,
    })
}

fn of_endpoint(endpoint: &Endpoint, direction: Option<Direction>, event: &mut Json) {
    let key = &endpoint.key;
    let details = &endpoint.details;
    let end = |at: SocketAddr, name: &Option<RawText>| json!({ "ip": at.ip().to_string(), "port": at.port(), "hostname": name.as_ref().map(unicode) });
    let local = end(key.local, &details.local_name);
    let remote = peer(endpoint).map(|peer| {
        let mut remote = end(peer, &details.remote_name);
        remote["location"] = json!({ "country": details.country, "city": details.city });
        remote
    });
    // Who listens is where connections go to.
    let (from, to) = match direction {
        Some(Direction::Outbound) => (Some(local), remote),
        _ => (remote, Some(local)),
    };
    event["src_endpoint"] = from.into();
    event["dst_endpoint"] = to.into();
    let (way, word) = match direction {
        Some(Direction::Inbound) => (1, "Inbound"),
        Some(Direction::Outbound) => (2, "Outbound"),
        _ => (0, "Unknown"),
    };
    event["connection_info"] = json!({
        "direction_id": way, "direction": word, "protocol_name": key.transport.text(),
        "protocol_num": match key.transport { Transport::Tcp => 6, Transport::Udp => 17 },
        "protocol_ver_id": if key.local.is_ipv4() { 4 } else { 6 },
    });
    event["unmapped"]["state"] = key.state.text().into();
    event["unmapped"]["local_scope"] = scope_id(&key.local).into();
    event["unmapped"]["remote_scope"] = scope_id(&key.remote).into();
}

/// Leaves out what is not known: OCSF has no nulls.
fn pruned(value: Json) -> Json {
    match value {
        Json::Object(map) => {
            let kept: Map<String, Json> = map
                .into_iter()
                .map(|(name, value)| (name, pruned(value)))
                .filter(|(_, value)| !value.is_null() && value.as_object().is_none_or(|o| !o.is_empty()))
                .collect();
            kept.into()
        }
        other => other,
    }
}
