//! The page: one file with everything in it, and a policy that lets nothing else in: no script, no image, no request to anywhere.

use super::{forest, gathered::Gathered, html::Text, picture};
use crate::output::{fact, number};
use base64ct::{Base64, Encoding as _};
use pofr_core::{
    digest::Sha256,
    fact::{Fact, FileKey, Keeper},
    gap::Severity,
    raw::Reading,
};
use pofr_schema::query::Found;
use std::fmt::Write as _;

const STYLE: &str = include_str!("style.css");

/// Makes the page.
pub(super) fn page(gathered: &Gathered, title: &str, made: &str) -> String {
    let mut out = String::new();
    let hash = Base64::encode_string(&Sha256::of(STYLE.as_bytes()).0);
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n",
        Text(title)
    );
    head(gathered, title, made, &mut out);
    section(&mut out, "timeline", "Timeline");
    picture::draw(gathered, &mut out);
    gaps(gathered, &mut out);
    section(&mut out, "tree", "Process tree");
    forest::write(gathered, &mut out);
    left_out(&gathered.processes, gathered.counts[0], &mut out);
    section(&mut out, "processes", "Processes");
    processes(gathered, &mut out);
    section(&mut out, "endpoints", "Network endpoints");
    endpoints(gathered, &mut out);
    section(&mut out, "files", "Open files");
    files(gathered, &mut out);
    out.push_str("</body>\n</html>\n");
    out
}

fn section(out: &mut String, id: &str, title: &str) {
    let _ = writeln!(out, "<h2 id=\"{id}\">{title}</h2>");
}

fn head(gathered: &Gathered, title: &str, made: &str, out: &mut String) {
    let _ = writeln!(out, "<h1>{}</h1>", Text(title));
    let _ = writeln!(out, "<p class=\"soft\">{}</p>", Text(made));
    out.push_str("<dl>\n");
    let mut entry = |name: &str, value: String| {
        let _ = writeln!(out, "<dt>{name}</dt><dd>{}</dd>", Text(value));
    };
    entry("Client", gathered.client.to_string());
    if let Some(host) = &gathered.host {
        entry(
            "Host",
            [&host.hostname, &host.os, &host.os_version, &host.kernel].map(|t| t.escaped()).join(" "),
        );
    }
    entry("From", gathered.zones.full(gathered.from));
    entry("Until", gathered.zones.full(gathered.until));
    let (bundles, range) = gathered.bundles;
    let range = range.map(|(a, b)| format!(", numbers {a} to {b}")).unwrap_or_default();
    entry("Made of", format!("{}{range}", number::counted(bundles, "bundle")));
    let [processes, files, endpoints] = gathered.counts.map(number::count);
    entry("Found", format!("{processes} processes, {files} open files, {endpoints} network endpoints"));
    out.push_str("</dl>\n");
    let blind = gathered.gaps.iter().filter(|gap| gap.severity == Severity::Blind).count();
    if !gathered.gaps.is_empty() {
        let _ = writeln!(
            out,
            "<p class=\"warn\">The record of this time has {} ({blind} blind). In a blind one nothing is known: what is not \
             shown there may have been all the same. <a href=\"#gaps\">Gaps</a></p>",
            number::counted(gathered.gaps.len() as u64, "gap")
        );
    }
    out.push_str("<nav>");
    for (id, name) in [
        ("timeline", "Timeline"),
        ("tree", "Process tree"),
        ("processes", "Processes"),
        ("endpoints", "Network endpoints"),
        ("files", "Open files"),
    ] {
        let _ = write!(out, "<a href=\"#{id}\">{name}</a>");
    }
    out.push_str("</nav>\n");
    out.push_str(
        "<p class=\"soft\">LASTED is how long something held; with ~ as samples tell, with &gt; at least, where the record begins or ends.</p>\n",
    );
}

fn gaps(gathered: &Gathered, out: &mut String) {
    section(out, "gaps", "Gaps");
    if gathered.gaps.is_empty() {
        out.push_str("<p>None: the record of this time is whole.</p>\n");
        return;
    }
    table(out, &["FROM", "UNTIL", "", "SOURCE", "WHY"]);
    for gap in &gathered.gaps {
        let until = gap.to.map_or_else(|| "?".to_owned(), |to| gathered.zones.full(to));
        let severity = if gap.severity == Severity::Blind { "blind" } else { "thin" };
        let source = gap.source.as_ref().map_or("all", |source| source.name());
        row(out, &[&gathered.zones.full(gap.from), &until, severity, source], &[&gap.reason]);
    }
    end(out);
}

fn processes(gathered: &Gathered, out: &mut String) {
    table(out, &["FROM", "LASTED", "PID", "PPID", "USER", "UNIT", "COMMAND", "EXECUTABLE"]);
    for found in &gathered.processes {
        let Fact::Process(process) = &found.row().fact else { continue };
        let unit = Keeper::of(&process.key).and_then(|keeper| keeper.unit.or(keeper.container.map(|c| c.id)));
        let mut exe = match &process.key.exe {
            Reading::Known(exe) => exe.escaped(),
            Reading::Absent => "-".to_owned(),
            _ => "not readable".to_owned(),
        };
        if let Some(sha256) = process.details.exe_sha256 {
            let _ = write!(exe, " sha256:{sha256}");
        }
        let (pid, ppid) = (process.key.entity.pid().to_string(), process.key.ppid.to_string());
        let unit = unit.map(|unit| unit.escaped()).unwrap_or_default();
        let [from, lasted] = times(gathered, found);
        row(out, &[&from, &lasted, &pid, &ppid, &user(found), &unit], &[&fact::ran(process), &exe]);
        breaks(gathered, found, 8, out);
    }
    end(out);
    left_out(&gathered.processes, gathered.counts[0], out);
}

fn endpoints(gathered: &Gathered, out: &mut String) {
    table(out, &["FROM", "LASTED", "PID", "USER", "NAME", "", "STATE", "ENDPOINT", "PEER"]);
    for found in &gathered.endpoints {
        let Fact::Endpoint(endpoint) = &found.row().fact else { continue };
        let [from, lasted] = times(gathered, found);
        let pid = endpoint.key.holder.map_or_else(|| "-".to_owned(), |holder| holder.pid().to_string());
        let peer = [&endpoint.details.country, &endpoint.details.city].into_iter().flatten().cloned();
        let peer: Vec<String> =
            endpoint.details.remote_name.iter().map(|name| name.escaped()).chain(peer).collect();
        let (transport, state) = (endpoint.key.transport.text(), endpoint.key.state.text());
        let ends = fact::ends(endpoint, found.direction);
        row(
            out,
            &[&from, &lasted, &pid, &user(found), &holder(found), transport, state],
            &[&ends, &peer.join(", ")],
        );
        breaks(gathered, found, 9, out);
    }
    end(out);
    left_out(&gathered.endpoints, gathered.counts[2], out);
}

fn files(gathered: &Gathered, out: &mut String) {
    table(out, &["FROM", "LASTED", "PID", "USER", "NAME", "FD", "MODE", "PATH"]);
    for found in &gathered.files {
        let Fact::File(file) = &found.row().fact else { continue };
        let [from, lasted] = times(gathered, found);
        let pid = file.key.entity.pid().to_string();
        let fd = if file.key.fd == FileKey::NO_FD { "-".to_owned() } else { file.key.fd.to_string() };
        let mode = file.key.mode.text();
        row(out, &[&from, &lasted, &pid, &user(found), &holder(found), &fd, mode], &[&fact::path(file)]);
        breaks(gathered, found, 8, out);
    }
    end(out);
    left_out(&gathered.files, gathered.counts[1], out);
}

fn times(gathered: &Gathered, found: &Found) -> [String; 2] {
    let extent = found.extent();
    [gathered.zones.full(extent.from), fact::lasted(&extent)]
}

fn user(found: &Found) -> String {
    found.user.as_ref().map_or_else(|| "-".to_owned(), |user| user.escaped())
}

fn holder(found: &Found) -> String {
    found.process.as_ref().map_or_else(|| "-".to_owned(), |process| process.key.comm.escaped())
}

fn table(out: &mut String, columns: &[&str]) {
    out.push_str("<div class=\"wide\"><table>\n<thead><tr>");
    for column in columns {
        let _ = write!(out, "<th>{column}</th>");
    }
    out.push_str("</tr></thead>\n<tbody>\n");
}

/// Writes a row: cells that stay on one line, then cells that are as long as they are.
fn row(out: &mut String, cells: &[&str], texts: &[&str]) {
    out.push_str("<tr>");
    for cell in cells {
        let _ = write!(out, "<td>{}</td>", Text(cell));
    }
    for text in texts {
        let _ = write!(out, "<td class=\"t\">{}</td>", Text(text));
    }
    out.push_str("</tr>\n");
}

/// Says what lies between the parts of a fact.
fn breaks(gathered: &Gathered, found: &Found, columns: usize, out: &mut String) {
    for gap in &found.breaks {
        let (from, to) = (gathered.zones.second(gap.from), gathered.zones.second(gap.to));
        let text = format!("not known from {from} to {to}: {}", gap.why);
        let _ = writeln!(
            out,
            "<tr><td></td><td class=\"t when\" colspan=\"{}\">{}</td></tr>",
            columns - 1,
            Text(text)
        );
    }
}

fn end(out: &mut String) {
    out.push_str("</tbody></table></div>\n");
}

fn left_out(shown: &[Found], count: u64, out: &mut String) {
    let shown = shown.len() as u64;
    if shown < count {
        let _ = writeln!(
            out,
            "<p class=\"warn\">{} more are not shown: the report was limited to {}.</p>",
            number::count(count - shown),
            number::count(shown)
        );
    } else if count == 0 {
        out.push_str("<p>None.</p>\n");
    }
}
