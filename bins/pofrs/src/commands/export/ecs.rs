//! Elastic Common Schema, version 8.17: one document for each row, with `event.start` and `event.end`.
//!
//! What the schema has no field for stands under `pofr`, where ECS wants a producer's own fields: how well begin and end are
//! known, above all.

use super::{
    columns::{self, is_unreadable, peer, scope_id},
    item::{Item, command_line, exit, known, rfc3339, unicode, unicode_bytes, vector},
    lines::about,
};
use pofr_core::{
    fact::{Endpoint, Fact, Keeper, OpenFile, Process, ProcessKey},
    gap::Gap,
    identity::Cid,
    raw::RawText,
    time::WallMicros,
};
use pofr_schema::query::{Direction, Subject};
use serde_json::{Map, Value as Json, json};
use std::net::SocketAddr;

/// The version of the schema.
pub(crate) const VERSION: &str = "8.17.0";

/// Returns the document of a row.
pub(crate) fn document(subject: Subject, item: &Item<'_>) -> Json {
    let (row, extent) = (item.row, item.extent());
    let life = &row.life;
    let (category, mut types, action) = match (subject, item.found.direction) {
        (Subject::Processes, _) => ("process", vec![], "process-ran"),
        (Subject::Files, _) => ("file", vec!["access"], "file-open"),
        (Subject::Endpoints, Some(Direction::Listening)) => ("network", vec!["info"], "network-listen"),
        (Subject::Endpoints, _) => ("network", vec!["connection"], "network-connection"),
    };
    // Of a file these would be kinds of event that ECS does not have.
    if subject != Subject::Files {
        types.extend(item.shows_begin().then_some("start"));
        types.extend(item.shows_end().then_some("end"));
        if types.is_empty() {
            types.push("info");
        }
    }
    let mut document = json!({
        "@timestamp": rfc3339(extent.from),
        "ecs": { "version": VERSION },
        "message": item.subject(),
        "event": {
            "kind": "event", "category": [category], "type": types, "action": action, "id": item.id(),
            "module": "pofr", "provider": "pofr", "dataset": format!("pofr.{}", columns::word(subject)),
            "start": rfc3339(extent.from), "end": rfc3339(extent.until),
            "duration": extent.until.since(extent.from).saturating_mul(1000),
        },
        "host": { "id": item.client.as_str(), "name": item.client.as_str() },
        "pofr": {
            "run": row.run, "digest": row.digest, "begin_known": extent.began, "end_known": extent.ended,
            "first_seen": time(life.first_seen), "last_seen": time(life.last_seen),
            "appeared_after": time(life.appeared_after), "gone_by": time(life.gone_by),
            "cut_left": life.cut_left, "cut_right": life.cut_right,
        },
    });
    let mut ips = Vec::new();
    match &row.fact {
        Fact::File(file) => document["file"] = of_file(file),
        Fact::Endpoint(endpoint) => of_endpoint(endpoint, item.found.direction, &mut document, &mut ips),
        _ => {}
    }
    if let Fact::File(file) = &row.fact {
        document["pofr"]["deleted"] = file.key.deleted.into();
        document["pofr"]["shared_by"] = item.found.shared_by.map(|sharer| sharer.pid().0).into();
    }
    if let Some(process) = item.process() {
        of_process(process, item, &mut document);
    } else if let Some(entity) = item.entity() {
        document["process"] = json!({ "pid": entity.pid(), "entity_id": entity.digest() });
    }
    let users: Vec<String> = item.found.user.iter().map(unicode).collect();
    let related = json!({ "user": users, "ip": ips });
    document["related"] = related;
    pruned(document)
}

/// Returns the document of a gap.
pub(crate) fn gap(client: &Cid, gap: &Gap) -> Json {
    pruned(json!({
        "@timestamp": rfc3339(gap.from),
        "ecs": { "version": VERSION },
        "message": about(gap),
        "event": {
            "kind": "event", "category": ["host"], "type": ["info"], "action": "record-incomplete",
            "module": "pofr", "provider": "pofr", "dataset": "pofr.gap", "reason": gap.reason,
            "start": rfc3339(gap.from), "end": time(gap.to),
            "duration": gap.to.map(|to| to.since(gap.from).saturating_mul(1000)),
        },
        "host": { "id": client.as_str(), "name": client.as_str() },
        "pofr": { "gap_source": gap.source, "gap_severity": gap.severity, "gap_lost": gap.lost },
    }))
}

fn time(at: Option<WallMicros>) -> Option<String> {
    at.map(rfc3339)
}

/// Returns an id as a keyword; nothing where it is not known.
fn id(id: Option<u32>) -> Option<String> {
    id.map(|id| id.to_string())
}

fn of_process(process: &Process, item: &Item<'_>, document: &mut Json) {
    let (key, details) = (&process.key, &process.details);
    let arguments: Option<Vec<String>> =
        process.arguments().map(|arguments| vector(arguments).into_iter().map(unicode_bytes).collect());
    let is_subject = matches!(item.row.fact, Fact::Process(_));
    let (code, signal) = details.exit_code.map_or((None, None), exit);
    // A device number as the kernel has it: minor in bits 31 to 20 and 7 to 0, major in 15 to 8 (proc_pid_stat(5)).
    let tty = (key.tty != 0)
        .then(|| json!({ "major": key.tty >> 8 & 0xff, "minor": key.tty >> 12 & 0xfff00 | key.tty & 0xff }));
    document["process"] = json!({
        "pid": key.entity.pid(), "entity_id": key.entity.digest(), "name": unicode(&key.comm),
        "args_count": arguments.as_ref().map(Vec::len), "args": arguments,
        "command_line": process.arguments().map(|_| unicode(&command_line(process))),
        "executable": known(&key.exe).map(unicode), "working_directory": known(&key.cwd).map(unicode),
        "hash": { "sha256": details.exe_sha256 },
        "start": time(details.started.or(if is_subject { item.row.life.began } else { None })),
        "end": if is_subject { time(item.row.life.ended) } else { None },
        "exit_code": code,
        "parent": { "pid": key.ppid }, "session_leader": { "pid": key.session },
        "tty": { "char_device": tty },
        "real_user": { "id": id(key.ids.ruid) }, "user": { "id": id(key.ids.euid) },
        "real_group": { "id": id(key.ids.rgid) }, "group": { "id": id(key.ids.egid) },
    });
    document["user"] = json!({ "id": id(key.ids.euid), "name": item.found.user.as_ref().map(unicode) });
    document["pofr"]["login_uid"] = id(key.login_uid).into();
    document["pofr"]["exit_signal"] = signal.into();
    of_marks(key, &mut document["pofr"]);
    if let Some(container) = Keeper::of(key).and_then(|keeper| keeper.container) {
        document["container"] = json!({ "id": unicode(&container.id), "runtime": container.engine.text() });
    }
    document["pofr"]["cgroup"] = known(&key.cgroup).map(unicode).into();
}

/// Adds what is unusual about a process, and nothing where nothing is.
pub(crate) fn of_marks(key: &ProcessKey, own: &mut Json) {
    let marks = &key.marks;
    own["unreadable"] = is_unreadable(key).then_some(true).into();
    if let Some(cut) = marks.arguments_cut {
        own["arguments_cut"] = json!({ "bytes": cut.bytes, "sha256": cut.sha256 });
    }
    own["exe_deleted"] = key.program().filter(|(_, deleted)| *deleted).map(|_| true).into();
    own["thread_of"] = marks.thread_of.map(|pid| pid.0).into();
    own["files_of"] = marks.files_of.map(|holder| holder.pid().0).into();
}

fn of_file(file: &OpenFile) -> Json {
    let path = file.key.path.as_bytes();
    let cut = path.starts_with(b"/").then(|| path.iter().rposition(|b| *b == b'/')).flatten();
    let (directory, name) = match cut {
        Some(0) => (Some(&b"/"[..]), &path[1..]),
        Some(cut) => (Some(&path[..cut]), &path[cut + 1..]),
        None => (None, path),
    };
    json!({ "path": unicode(&file.key.path), "directory": directory.map(unicode_bytes), "name": unicode_bytes(name) })
}

fn of_endpoint(
    endpoint: &Endpoint,
    direction: Option<Direction>,
    document: &mut Json,
    ips: &mut Vec<String>,
) {
    let key = &endpoint.key;
    let end = |at: SocketAddr, name: &Option<RawText>| {
        let ip = at.ip().to_string();
        // What ECS calls an address may be any text, an IP has no scope.
        let address = scope_id(&at).map_or_else(|| ip.clone(), |scope| format!("{ip}%{scope}"));
        json!({ "address": address, "ip": ip, "port": at.port(), "domain": name.as_ref().map(unicode) })
    };
    document["network"] = json!({
        "transport": key.transport.text(),
        "type": if key.local.is_ipv4() { "ipv4" } else { "ipv6" },
        "direction": match direction {
            Some(Direction::Inbound) => Some("ingress"),
            Some(Direction::Outbound) => Some("egress"),
            _ => None,
        },
    });
    document["pofr"]["state"] = key.state.text().into();
    ips.push(key.local.ip().to_string());
    ips.extend(peer(endpoint).map(|peer| peer.ip().to_string()));
    let details = &endpoint.details;
    let local = end(key.local, &details.local_name);
    let remote = peer(endpoint).map(|peer| {
        let mut remote = end(peer, &details.remote_name);
        // A database may give a code or a name.
        let is_code = |country: &&String| country.len() == 2 && country.bytes().all(|b| b.is_ascii_uppercase());
        let country = details.country.as_ref();
        remote["geo"] = json!({
            "country_iso_code": country.filter(is_code), "country_name": country.filter(|c| !is_code(c)), "city_name": details.city,
        });
        remote
    });
    match direction {
        Some(Direction::Outbound) => {
            document["source"] = local;
            document["destination"] = remote.into();
        }
        Some(Direction::Inbound) => {
            document["source"] = remote.into();
            document["destination"] = local;
        }
        _ => document["server"] = local,
    }
}

/// Leaves out what is not known: ECS has no nulls.
fn pruned(value: Json) -> Json {
    let empty = |value: &Json| match value {
        Json::Null => true,
        Json::Object(map) => map.is_empty(),
        Json::Array(list) => list.is_empty(),
        _ => false,
    };
    match value {
        Json::Object(map) => {
            let kept: Map<String, Json> = map
                .into_iter()
                .map(|(name, value)| (name, pruned(value)))
                .filter(|(name, value)| name == "args" || !empty(value))
                .filter(|(_, value)| !value.is_null())
                .collect();
            kept.into()
        }
        other => other,
    }
}

/// Returns the texts of a document's fields by their dotted names, for tests.
#[cfg(test)]
pub(crate) fn fields(document: &Json) -> Vec<String> {
    fn walk(value: &Json, name: &str, into: &mut Vec<String>) {
        match value {
            Json::Object(map) => {
                for (key, value) in map {
                    let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                    walk(value, &name, into);
                }
            }
            _ => into.push(name.to_owned()),
        }
    }
    let mut into = Vec::new();
    walk(document, "", &mut into);
    into
}
