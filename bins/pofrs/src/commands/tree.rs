//! `pofrs tree`: a process with its ancestors and descendants, over all of their lives.
//!
//! What a client sent may be anything, chains of any length included: nothing here recurses.

use super::find::{print_reach, reach};
use crate::{
    cli::{Global, WhichClient},
    exit::Exit,
    filter,
    moment::{self, Moment, MomentError},
    output::{
        fact, json,
        table::{Screen, cut},
        when::{self, Zones},
    },
    record,
};
use clap::Args;
use jiff::Timestamp;
use pofr_core::{
    fact::{Fact, FactKind, Process},
    identity::{Cid, Pid},
    raw::RawText,
    store::ClientReader,
    time::WallMicros,
};
use pofr_schema::{
    Access,
    query::{Bound, Extent, Filter, Node, Span, Subject, find, tree},
};
use serde::Serialize;
use std::{io::Write, ops::ControlFlow, str::FromStr};

/// Deeper than this, a line has no room left for the process itself.
const MAX_BRANCHES: usize = 10;

/// Shows a process with where it comes from.
#[derive(Args, Debug)]
#[command(after_long_help = format!("\
{}

Without a time, the last at which a process had that id is meant. LASTED is how long a process lived; with ~ as samples tell, with > at least. Below a process stands what it was \
before it became what it was last, and which other parent it was given; a child is with its first parent. * is the process that was asked for.

JSON: one object a line for each process: client, at, role (ancestor, process, descendant), depth (from the topmost ancestor, 0), from, began, until, ended (see \
find), entity (boot, pid, start), user, parents (since, pid, entity), facts (rows as pofrs at prints them). Behind them the gaps that its life touches, each \
an object with client and gap. Where there was no such process, exit code 7, and 3 where there is no record of that time.

Examples:
  pofrs tree 812@'2026-11-23 10:00' --client web-1
  pofrs tree 812 --at -5m --wide
  pofrs tree 812@@1795413600000000 --json | jq -r .facts[0].fact.comm", moment::HELP))]
pub(crate) struct TreeArgs {
    /// The process id, and when it had it: PID@TIME, or --at
    #[arg(value_name = "PID[@TIME]")]
    process: PidAt,
    /// When
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<Moment>,
    #[command(flatten)]
    which: WhichClient,
    /// Do not shorten what is too long for a line
    #[arg(long)]
    wide: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// A process id, and when a process had it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PidAt {
    /// The id.
    pub(crate) pid: u32,
    /// When.
    pub(crate) at: Option<Moment>,
}

/// Why a text names no process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PidAtError {
    /// It does not begin with a number.
    #[error("give a process id, or PID@TIME")]
    Pid,
    /// Behind the @ there is no time.
    #[error("{0}")]
    Time(#[from] MomentError),
}

impl FromStr for PidAt {
    type Err = PidAtError;

    fn from_str(text: &str) -> Result<Self, PidAtError> {
        let (pid, at) = text.split_once('@').map_or((text, None), |(pid, at)| (pid, Some(at)));
        let digits = !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit());
        let pid = digits.then(|| pid.parse().ok()).flatten().ok_or(PidAtError::Pid)?;
        // µs as JSON has them, with their own @ or without.
        let micros = |at: &str| at.len() > 10 && at.bytes().all(|b| b.is_ascii_digit());
        let at = at.map(|at| if micros(at) { format!("@{at}").parse() } else { at.parse() }).transpose()?;
        Ok(Self { pid, at })
    }
}

impl PidAt {
    /// Returns the time that is meant: its own, else `at`, else the last at which a process had that id, else the end of the
    /// record.
    pub(crate) fn when(
        &self,
        at: Option<&Moment>,
        reader: &mut dyn ClientReader,
        utc: bool,
    ) -> anyhow::Result<WallMicros> {
        if self.at.is_some() && at.is_some() {
            anyhow::bail!("give one time: PID@TIME or --at");
        }
        if let Some(at) = self.at.as_ref().or(at) {
            return when(Some(at), reader, utc);
        }
        let filter = Filter { pids: [Pid(self.pid)].into(), ..Filter::default() };
        let mut last = None;
        find(reader, Subject::Processes, &filter, Span::ALL, &mut |found| {
            let Extent { from, until, ended, .. } = found.extent();
            // At an exact end it is gone.
            let until = if ended == Bound::Exact { until.plus(-1).max(from) } else { until };
            last = last.max(Some(until));
            ControlFlow::Continue(())
        })?;
        last.map_or_else(|| when(None, reader, utc), Ok)
    }
}

/// Returns the time that is meant, else the end of the record.
pub(crate) fn when(
    at: Option<&Moment>,
    reader: &mut dyn ClientReader,
    utc: bool,
) -> anyhow::Result<WallMicros> {
    if let Some(at) = at {
        return filter::moment(reader, at, utc);
    }
    let recent = reader.recent(WallMicros(i64::MAX))?;
    let last = recent.bundles.iter().map(|bundle| bundle.entry.last).max();
    Ok(last.unwrap_or(WallMicros(Timestamp::now().as_microsecond())))
}

/// A process in its place.
struct Placed<'a> {
    node: &'a Node,
    role: &'static str,
    depth: usize,
    /// For each of its ancestors below the topmost, as far as they are drawn, whether it is the last child.
    above: Vec<bool>,
    last: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    client: &'a Cid,
    at: WallMicros,
    role: &'static str,
    depth: usize,
    #[serde(flatten)]
    extent: Extent,
    entity: pofr_core::identity::Entity,
    user: Option<&'a RawText>,
    parents: &'a [pofr_schema::query::Parent],
    facts: &'a [pofr_core::lifetime::Row],
}

#[derive(Serialize)]
struct GapLine<'a> {
    client: &'a Cid,
    gap: &'a pofr_core::gap::Gap,
}

/// Runs the command.
pub(crate) fn run(args: &TreeArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let store = record::open(global, Access::Read)?;
    let cid = record::client(&*store, args.which.client.as_deref())?;
    let mut reader = store.read(&cid)?;
    let at = args.process.when(args.at.as_ref(), &mut *reader, global.utc)?;
    let Some(tree) = tree(&mut *reader, Pid(args.process.pid), at)? else {
        let what = format!("process {}", args.process.pid);
        return nothing(&cid, &what, FactKind::Process, at, &mut *reader, args.json, global, out);
    };
    let placed = place(&tree.ancestors, &tree.root);
    if args.json {
        for Placed { node, role, depth, .. } in &placed {
            let Node { entity, facts, extent, user, parents, .. } = node;
            let line = Line {
                client: &cid,
                at,
                role,
                depth: *depth,
                extent: *extent,
                entity: *entity,
                user: user.as_ref(),
                parents,
                facts,
            };
            json::line(out, &line)?;
        }
        for gap in &tree.gaps {
            json::line(out, &GapLine { client: &cid, gap })?;
        }
        return Ok(Exit::Done);
    }
    print(args, &cid, &placed, at, global, out)?;
    let reach = reach(&mut *reader, Span::at(at), tree.gaps)?;
    print_reach(&cid, &reach, global.utc, out)?;
    Ok(Exit::Done)
}

/// Says that there was nothing of that kind, or that there is no record of that time.
#[expect(clippy::too_many_arguments, reason = "each is a part of one sentence")]
pub(crate) fn nothing(
    cid: &Cid,
    what: &str,
    kind: FactKind,
    at: WallMicros,
    reader: &mut dyn ClientReader,
    json: bool,
    global: &Global,
    out: &mut dyn Write,
) -> anyhow::Result<Exit> {
    use super::at::{Answer, print_silence};
    let kinds: &'static [FactKind] = match kind {
        FactKind::Endpoint => &[FactKind::Endpoint],
        _ => &[FactKind::Process],
    };
    let answer = Answer::ask(reader, kinds, at)?;
    let covered = !answer.covered.is_empty();
    if !json {
        let ledger = reader.ledger()?;
        let zones = Zones::of(&ledger, global.utc);
        if covered {
            writeln!(out, "{cid}: no {what} at {}", zones.full(at))?;
        } else {
            print_silence(&answer, &ledger, &zones, Screen::detect(), out)?;
        }
    } else if !covered {
        Answer { rows: Vec::new(), ..answer }.print_json(out)?;
    }
    Ok(if covered { Exit::NothingFound } else { Exit::NoRecord })
}

/// Puts ancestors, the process and its descendants in the order in which they are printed.
fn place<'a>(ancestors: &'a [Node], root: &'a Node) -> Vec<Placed<'a>> {
    let mut placed: Vec<Placed<'a>> = Vec::new();
    for (depth, node) in ancestors.iter().rev().enumerate() {
        let above = vec![true; depth.saturating_sub(1).min(MAX_BRANCHES)];
        placed.push(Placed { node, role: "ancestor", depth, above, last: true });
    }
    let top = placed.len();
    let mut path = vec![true; top.saturating_sub(1)];
    let mut stack = vec![(root, top, true)];
    while let Some((node, depth, last)) = stack.pop() {
        path.truncate(depth.saturating_sub(1));
        let role = if depth == top { "process" } else { "descendant" };
        placed.push(Placed { node, role, depth, above: path[..path.len().min(MAX_BRANCHES)].to_vec(), last });
        if depth > 0 {
            path.push(last);
        }
        let count = node.children.len();
        let children = node.children.iter().enumerate().rev();
        stack.extend(children.map(|(i, child)| (child, depth + 1, i + 1 == count)));
    }
    placed
}

fn print(
    args: &TreeArgs,
    cid: &Cid,
    placed: &[Placed<'_>],
    at: WallMicros,
    global: &Global,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let now = WallMicros(Timestamp::now().as_microsecond());
    let width = if args.wide { usize::MAX } else { usize::from(Screen::detect().width) };
    let rows: Vec<[String; 4]> = placed
        .iter()
        .map(|Placed { node, .. }| {
            let zones = Zones::of_row(node.facts.first().map(|row| row.zone).unwrap_or_default(), global.utc);
            let ids = process(node).and_then(|process| process.key.ids.euid);
            let mut user = node
                .user
                .as_ref()
                .map(RawText::escaped)
                .or(ids.map(|uid| uid.to_string()))
                .unwrap_or_else(|| "?".to_owned());
            cut(&mut user, 8);
            let from = when::in_year(&zones, node.extent.from, now);
            [node.entity.pid().to_string(), user, from, fact::lasted(&node.extent)]
        })
        .collect();
    let widest = |i: usize, title: &str| {
        rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0).max(title.len())
    };
    let (w0, w1, w2, w3) = (widest(0, "PID"), widest(1, "USER"), widest(2, "FROM"), widest(3, "LASTED"));
    let zone = placed.last().and_then(|p| p.node.facts.first()).map(|row| row.zone).unwrap_or_default();
    writeln!(out, "{cid}, process {} at {}", args.process.pid, Zones::of_row(zone, global.utc).full(at))?;
    writeln!(out, "  {:>w0$} {:w1$} {:w2$} {:w3$} COMMAND", "PID", "USER", "FROM", "LASTED")?;
    for (placed, [pid, user, from, lasted]) in placed.iter().zip(&rows) {
        let mark = if placed.role == "process" { '*' } else { ' ' };
        let branches = drawn(placed);
        let command = process(placed.node).map(fact::ran).unwrap_or_default();
        let mut line = format!("{mark} {pid:>w0$} {user:w1$} {from:w2$} {lasted:w3$} {branches}{command}");
        cut(&mut line, width);
        writeln!(out, "{line}")?;
        let indent = w0 + w1 + w2 + w3 + 6;
        let below: String = placed.above.iter().map(|last| if *last { "   " } else { "│  " }).collect();
        let zones = |zone| Zones::of_row(zone, global.utc);
        for note in notes(placed.node, &zones) {
            let own = if placed.depth > 0 { if placed.last { "   " } else { "│  " } } else { "" };
            let mut line = format!("{:indent$}{below}{own}· {note}", "");
            cut(&mut line, width);
            writeln!(out, "{}", RawText::from(line.as_str()).escaped())?;
        }
    }
    Ok(())
}

/// Says what a process was before it became what it was last, and which other parents it was given.
fn notes(node: &Node, zones: &dyn Fn(pofr_core::time::ZoneOffset) -> Zones) -> Vec<String> {
    let shown = process(node).map(|process| (fact::ran(process), process.key.ids));
    let day = node.extent.from;
    let mut before = None;
    let mut notes = Vec::new();
    for row in &node.facts {
        let Fact::Process(process) = &row.fact else { continue };
        let what = (fact::ran(process), process.key.ids);
        if process.key.zombie || before.as_ref() == Some(&what) || shown.as_ref() == Some(&what) {
            continue;
        }
        let at = zones(row.zone).short(row.life.position(), day);
        let uid = what.1.euid.map_or_else(|| "?".to_owned(), |uid| uid.to_string());
        notes.push(format!("{at} as uid {uid}: {}", what.0));
        before = Some(what);
    }
    let zone = node.facts.first().map(|row| row.zone).unwrap_or_default();
    for parent in node.parents.iter().skip(1) {
        notes.push(format!("{} new parent: {}", zones(zone).short(parent.since, day), parent.pid));
    }
    notes
}

/// Returns what a process was last, before it was a zombie.
fn process(node: &Node) -> Option<&Process> {
    let facts = node.facts.iter().rev().filter_map(|row| match &row.fact {
        Fact::Process(process) => Some(&**process),
        _ => None,
    });
    facts.clone().find(|process| !process.key.zombie).or_else(|| facts.clone().next())
}

/// Draws the lines from a process up to its ancestors.
fn drawn(placed: &Placed<'_>) -> String {
    let mut text: String = placed.above.iter().map(|last| if *last { "   " } else { "│  " }).collect();
    if placed.depth > MAX_BRANCHES + 1 {
        text.push_str(&format!("…{} ", placed.depth));
    }
    match (placed.depth, placed.last) {
        (0, _) => {}
        (_, true) => text.push_str("└─ "),
        (_, false) => text.push_str("├─ "),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_named_by_its_id_and_a_time() {
        let read = |text: &str| text.parse::<PidAt>();
        assert_eq!(read("812"), Ok(PidAt { pid: 812, at: None }));
        assert_eq!(read("812@-5m").unwrap().at, Some("-5m".parse().unwrap()));
        let micros = Some(Moment::Absolute(WallMicros(1_795_413_600_000_000)));
        assert_eq!(read("812@@1795413600000000").unwrap().at, micros);
        assert_eq!(read("812@1795413600000000").unwrap().at, micros);
        assert_eq!(read("812@2026-11-23 10:00").unwrap().at, Some("2026-11-23 10:00".parse().unwrap()));
        for bad in ["", "@-5m", "-5", "x", "812@", "812@yesterday", "99999999999"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
