//! The machine as it was at one moment in the middle of the recording.

use super::report::Known;
use crate::{
    commands::at::{self, Answer, Page, People, Shown},
    output::{number, table::Screen},
};
use pofr_core::{
    fact::{Fact, FactKind, TcpState},
    identity::Pid,
    raw::Reading,
    store::ClientReader,
    time::WallMicros,
};
use std::io::Write;

/// How many processes are shown.
const PROCESSES_SHOWN: usize = 12;

/// Returns the moment: in the middle of what the actors played, and within the record.
pub(super) fn moment(known: &Known<'_>) -> WallMicros {
    let (first, last) = known.span();
    let (opened, closed) = known.captured.cast.during;
    opened.plus(closed.since(opened) / 2).clamp(first, last)
}

/// Prints the youngest processes, and what the actors held.
pub(super) fn print(
    known: &Known<'_>,
    reader: &mut dyn ClientReader,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let (at, zones) = (moment(known), known.zones());
    let page = Page { at, zones: &zones, screen: Screen::detect(), wide: false };
    let cast = &known.captured.cast;
    let processes = Answer::ask(reader, &[FactKind::Process], at)?;
    let mut files = Answer::ask(reader, &[FactKind::File], at)?;
    let mut net = Answer::ask(reader, &[FactKind::Endpoint], at)?;
    writeln!(out, "\nThe machine in the middle, replayed from the database:")?;
    writeln!(out, "{} ({at})", zones.full(at))?;
    writeln!(
        out,
        "{} processes, {} open files, {} network endpoints; the youngest processes:",
        number::count(processes.processes().len() as u64),
        number::count(files.rows.len() as u64),
        number::count(net.rows.len() as u64)
    )?;
    let young = youngest(&processes);
    at::print_ps(&page, &young, &People::at(reader, at)?, out)?;
    at::explain_marks(&young, out)?;
    let blind = unseen(&processes, &net);

    let deleted = cast.deleted.as_os_str().as_encoded_bytes();
    files.keep(|fact| matches!(fact, Fact::File(f) if f.key.path.as_bytes() == deleted && f.key.entity.pid() == Pid(cast.file_pid)));
    writeln!(out, "\nThe file that was unlinked while process {} had it open:", cast.file_pid)?;
    found(&page, &files, &processes, at::print_files, out)?;

    let port = cast.listener.1;
    net.keep(
        |fact| matches!(fact, Fact::Endpoint(e) if e.key.local.port() == port || e.key.remote.port() == port),
    );
    let (listener, connector) = (cast.listener.0, cast.connector);
    writeln!(out, "\nThe loopback connection of processes {listener} and {connector}:")?;
    found(&page, &net, &processes, at::print_net, out)?;
    if !blind.is_empty() {
        writeln!(out, "\nWhat the recorder could not see{}:", as_whom())?;
        for line in blind {
            writeln!(out, "  {line}")?;
        }
    }
    Ok(())
}

fn as_whom() -> &'static str {
    if rustix::process::geteuid().is_root() { ", though it ran as root" } else { " as an ordinary user" }
}

type Print = fn(&Page<'_>, &[Shown<'_>], &Answer, &mut dyn Write) -> anyhow::Result<()>;

fn found(
    page: &Page<'_>,
    answer: &Answer,
    processes: &Answer,
    print: Print,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let shown: Vec<Shown<'_>> = answer.shown().collect();
    if shown.is_empty() {
        writeln!(out, "  not in the record of that moment")?;
        return Ok(());
    }
    print(page, &shown, processes, out)?;
    at::explain_marks(&shown, out)?;
    Ok(())
}

/// Returns the processes that started last, without the kernel's own threads, which have no arguments.
fn youngest(processes: &Answer) -> Vec<Shown<'_>> {
    let is_thread = |fact: &Fact| match fact {
        Fact::Process(p) => !p.key.zombie && p.arguments().is_some_and(|a| a.as_bytes().is_empty()),
        _ => true,
    };
    let mut shown: Vec<Shown<'_>> = processes.shown().filter(|s| !is_thread(&s.row.fact)).collect();
    shown.sort_by_key(at::started);
    shown.split_off(shown.len().saturating_sub(PROCESSES_SHOWN))
}

/// Says what was kept from the recorder; nothing where that is nothing.
fn unseen(processes: &Answer, net: &Answer) -> Vec<String> {
    let mut lines = Vec::new();
    let (unread, all) = at::unread(processes, |_| true);
    let programs =
        processes.processes().values().filter(|p| p.key.exe == Reading::Denied && !p.key.zombie).count()
            as u64;
    for (what, count) in [("the open files", unread), ("the program", programs)] {
        if count > 0 {
            lines.push(format!("{what} of {} of {} processes", number::count(count), number::count(all)));
        }
    }
    // A socket that waits for its time to be over belongs to nobody any more.
    let held = |s: &Shown<'_>| match &s.row.fact {
        Fact::Endpoint(e) => (e.key.state != TcpState::TimeWait).then_some(e.key.holder.is_some()),
        _ => None,
    };
    let holders: Vec<bool> = net.shown().filter_map(|s| held(&s)).collect();
    let nobody = holders.iter().filter(|held| !**held).count();
    if nobody > 0 {
        lines.push(format!("who held {nobody} of {} network endpoints", holders.len()));
    }
    lines
}
