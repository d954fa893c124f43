//! Facts in a line each, for tables in which several kinds stand together, and how long they held.

use crate::{
    commands::at::{address, command},
    output::when,
};
use pofr_core::{
    fact::{Endpoint, Fact, Files, OpenFile, Process, ProcessKey},
    raw::RawText,
};
use pofr_schema::query::{Bound, Direction, Extent};

/// Says what a fact is.
pub(crate) fn describe(fact: &Fact) -> String {
    match fact {
        Fact::Process(process) => ran(process),
        Fact::File(file) => format!("{} {}", file.key.mode.text(), path(file)),
        Fact::Endpoint(e) => {
            let state = format!("{} {}", e.key.transport.text(), e.key.state.text());
            format!("{state} {}", ends(e, None))
        }
        Fact::Host(h) => [&h.hostname, &h.os, &h.os_version, &h.kernel].map(RawText::escaped).join(" "),
        Fact::User(u) => {
            let (name, home, shell) = (u.name.escaped(), u.home.escaped(), u.shell.escaped());
            format!("{name}: uid {}, gid {}, home {home}, shell {shell}", u.uid, u.gid)
        }
        Fact::Group(g) => {
            let members = g.members.escaped();
            let members = if members.is_empty() { "nobody".to_owned() } else { members };
            format!("{}: gid {}, members {members}", g.name.escaped(), g.gid)
        }
        Fact::Interface(i) => {
            let address = i.address.map(|address| format!(" {address}/{}", i.prefix)).unwrap_or_default();
            let state = if i.up { "up" } else { "down" };
            format!("{}{address} {state} {}", i.name.escaped(), i.mac.escaped()).trim_end().to_owned()
        }
        Fact::Route(r) => {
            let gateway = r.gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
            let interface = r.interface.escaped();
            format!("{}/{}{gateway} dev {interface} metric {}", r.destination, r.prefix, r.metric)
        }
        Fact::Device(d) => {
            let key = &d.key;
            let words = [&key.bus, &key.address, &key.id, &key.vendor, &key.product, &key.serial];
            let words: Vec<String> =
                words.iter().filter(|w| !w.as_bytes().is_empty()).map(|w| w.escaped()).collect();
            words.join(" ")
        }
        Fact::Module(m) => {
            format!("{}, {} bytes {}", m.name.escaped(), m.size, m.taint.escaped()).trim_end().to_owned()
        }
        Fact::Custom(c) => {
            let pairs = c.attributes.iter().map(|(name, value)| format!("{name}={}", value.escaped()));
            format!("{} {} {}", c.source.name(), c.name.escaped(), pairs.collect::<Vec<_>>().join(" "))
        }
    }
}

/// Says what a process ran: its arguments, its executable where that is gone, and what is unusual about it.
pub(crate) fn ran(process: &Process) -> String {
    let key = &process.key;
    let deleted = key.program().is_some_and(|(_, deleted)| deleted);
    let exe = key.exe.known().filter(|_| deleted).map(|exe| format!(" [exe {}]", exe.escaped()));
    let unusual: String = unusual(key).iter().map(|what| format!(" [{what}]")).collect();
    format!("{}{}{unusual}", command(process), exe.unwrap_or_default())
}

/// Says what is unusual about a process: each in a few words.
pub(crate) fn unusual(key: &ProcessKey) -> Vec<String> {
    let marks = &key.marks;
    let thread = marks.thread_of.map(|pid| format!("thread of {pid}"));
    let files = marks.files_of.map(|holder| format!("files: those of {}", holder.pid()));
    let unreadable = match (marks.unreadable, key.files == Files::Unreadable) {
        (_, true) => Some("unreadable: its files did not answer in time"),
        (true, false) => Some("unreadable: something did not answer in time"),
        (false, false) => None,
    };
    [thread, files, unreadable.map(str::to_owned)].into_iter().flatten().collect()
}

/// Writes a file's path, and whether it was unlinked.
pub(crate) fn path(file: &OpenFile) -> String {
    let deleted = if file.key.deleted { " (deleted)" } else { "" };
    format!("{}{deleted}", file.key.path.escaped())
}

/// Writes both ends of an endpoint with an arrow from who connected, where that is known.
pub(crate) fn ends(endpoint: &Endpoint, direction: Option<Direction>) -> String {
    let (local, remote) = (address(endpoint.key.local), address(endpoint.key.remote));
    let arrow = match direction {
        Some(Direction::Inbound) => "←",
        Some(Direction::Outbound) => "→",
        _ => "-",
    };
    if remote == "*" || direction == Some(Direction::Listening) {
        local
    } else {
        format!("{local} {arrow} {remote}")
    }
}

/// Says how long something held: `~` where samples bound it, `>` where the record does not show it all.
pub(crate) fn lasted(extent: &Extent) -> String {
    let micros = extent.until.since(extent.from);
    let text = match micros {
        0 => "0 s".to_owned(),
        1..60_000_000 => when::length(micros),
        _ => when::brief(micros),
    };
    let mark = match (extent.began, extent.ended) {
        (Bound::Open, _) | (_, Bound::Open) => ">",
        (Bound::Exact, Bound::Exact) => "",
        _ => "~",
    };
    format!("{mark}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use pofr_core::time::WallMicros;

    #[test]
    fn how_long_it_held() {
        let extent = |micros: i64, began, ended| Extent {
            from: WallMicros(5),
            began,
            until: WallMicros(5 + micros),
            ended,
        };
        for (micros, began, ended, text) in [
            (1_200, Bound::Exact, Bound::Exact, "1 ms"),
            (4_560_000, Bound::Sampled, Bound::Exact, "~4.5 s"),
            (90_000_000, Bound::Exact, Bound::Open, ">1 min"),
            (0, Bound::Sampled, Bound::Sampled, "~0 s"),
        ] {
            assert_eq!(lasted(&extent(micros, began, ended)), text);
        }
    }
}
