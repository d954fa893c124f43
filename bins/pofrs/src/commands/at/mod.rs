//! `pofrs at`: a machine as it was at a moment.
//!
//! Where two runs claim that moment (the clock was set back), both answer, each under its own heading. Where none
//! has a record of it, that is said, with the nearest stamps that there are.

mod accounts;
mod answer;
mod custom;
mod devices;
mod files;
mod host;
mod interfaces;
mod listing;
mod modules;
mod net;
mod people;
mod ps;
mod routes;
mod silence;
mod tree;

pub(crate) use answer::{Answer, Shown, pid_of};
pub(crate) use files::{print as print_files, unread};
pub(crate) use net::{address, print as print_net};
pub(crate) use people::People;
pub(crate) use ps::{command, cut_mark, print as print_ps, started};
pub(crate) use silence::print as print_silence;

use crate::{
    cli::{Global, WhichClient},
    exit::Exit,
    moment::{self, Moment},
    output::{table::Screen, when::Zones},
    record,
};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use pofr_core::{
    fact::{Fact, FactKind},
    identity::{Pid, RunId},
    store::ClientReader,
    time::WallMicros,
};
use pofr_schema::Access;
use std::{
    collections::{BTreeSet, HashSet},
    io::Write,
};

/// Shows a moment.
#[derive(Args, Debug)]
#[command(after_long_help = format!("\
{}

What is marked with ? held just before or just after, and no sample tells whether it did at that moment.

JSON: one object a line with standing (certain or maybe), run, zone (minutes east of UTC), digest, the lifetime \
(first_seen, last_seen, appeared_after, gone_by, began, ended: µs since 1970 or null; cut_left, cut_right) and fact, an \
object with kind and what is known of it. Text that is no UTF-8 is {{\"hex\": \"…\"}}; what could not be read is \
{{\"unread\": \"denied\"}}, an id that is not known is null. A process may have unreadable (something of it did not answer in time), arguments_cut (bytes, sha256: of \
the whole of which the arguments are the beginning), exe_named_deleted (the name of its program ends so; else (deleted) is the kernel's mark), thread_of (it is a thread of \
that process) and files_of (its files are told with that process: both have one descriptor table). A file that is shown for such a process has shared_by. Where there is no record of that moment, there is one line with standing \"no record\" (or \
\"forgotten\", and forgotten_before), and for each run the nearest stamps; the exit code is then 3.

Examples:
  pofrs at -5m ps --client web-1
  pofrs at '2026-11-23 10:00' files --client web-1 --pid 812
  pofrs at 2026-11-23T10:00:00Z net --client web-1 --json | jq -c .fact.remote
  pofrs at @1795413600000000 tree --client web-1", moment::HELP))]
pub(crate) struct AtArgs {
    /// When; see the end of --help
    #[arg(value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) time: Moment,
    /// What to show
    #[arg(value_enum)]
    pub(crate) view: View,
    #[command(flatten)]
    pub(crate) which: WhichClient,
    /// Only this process, and what it holds
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Option<u32>,
    /// Do not shorten what is too long for a line
    #[arg(long)]
    pub(crate) wide: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is shown of a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum View {
    /// Processes, the youngest last
    Ps,
    /// Open files, by process
    Files,
    /// Network endpoints, with the processes that hold them
    Net,
    /// Processes as a tree of parents and children
    Tree,
    /// Network interfaces and their addresses
    Interfaces,
    /// Routes of the main table
    Routes,
    /// USB, PCI and block devices, with who was logged in when they appeared
    Devices,
    /// Kernel modules
    Modules,
    /// Users and groups
    Accounts,
    /// The host: name, system, kernel, machine
    Host,
    /// What third parties' collectors saw
    Custom,
}

impl View {
    const fn kinds(self) -> &'static [FactKind] {
        match self {
            Self::Ps | Self::Tree => &[FactKind::Process],
            Self::Files => &[FactKind::File],
            Self::Net => &[FactKind::Endpoint],
            Self::Interfaces => &[FactKind::Interface],
            Self::Routes => &[FactKind::Route],
            Self::Devices => &[FactKind::Device],
            Self::Modules => &[FactKind::Module],
            Self::Accounts => &[FactKind::User, FactKind::Group],
            Self::Host => &[FactKind::Host],
            Self::Custom => &[FactKind::Custom],
        }
    }

    /// Tells whether what is shown belongs to processes.
    const fn is_of_processes(self) -> bool {
        matches!(self, Self::Ps | Self::Tree | Self::Files | Self::Net)
    }
}

/// Runs the command.
pub(crate) fn run(args: &AtArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let store = record::open(global, Access::Read)?;
    let cid = record::client(&*store, args.which.client.as_deref())?;
    let mut reader = store.read(&cid)?;
    let ledger = reader.ledger()?;
    let zones = Zones::of(&ledger, global.utc);
    let at = args.time.resolve(&zones, Timestamp::now())?;
    if args.pid.is_some() && !args.view.is_of_processes() {
        anyhow::bail!("--pid goes with ps, files, net and tree: nothing else belongs to a process");
    }
    let mut answer = Answer::ask(&mut *reader, args.view.kinds(), at)?;
    let is_of_pid = |fact: &Fact| args.pid.is_none_or(|pid| answer::pid_of(fact) == Some(Pid(pid)));
    if args.pid.is_some() {
        // The files of who has another's descriptor table are told with that one.
        let mut holders = HashSet::new();
        if args.view == View::Files {
            let mut processes = Answer::ask(&mut *reader, &[FactKind::Process], at)?;
            processes.keep(is_of_pid);
            holders.extend(processes.processes().into_values().filter_map(|p| p.key.marks.files_of));
        }
        let is_shared = |fact: &Fact| matches!(fact, Fact::File(f) if holders.contains(&f.key.entity));
        answer.keep(|fact| is_of_pid(fact) || is_shared(fact));
        answer.asked = args.pid.map(Pid);
    }
    if args.json {
        answer.print_json(out)?;
        return Ok(if answer.covered.is_empty() { Exit::NoRecord } else { Exit::Done });
    }
    let screen = Screen::detect();
    let screen = if args.wide { Screen { width: u16::MAX, ..screen } } else { screen };
    if answer.covered.is_empty() {
        silence::print(&answer, &ledger, &zones, screen, out)?;
    }
    let runs: BTreeSet<RunId> = answer.runs();
    for run in &runs {
        let label = if runs.len() > 1 { format!(", run {run}") } else { String::new() };
        writeln!(out, "{cid} at {}{label}", zones.full(at))?;
        let page = Page { at, zones: &zones, screen, wide: args.wide };
        let shown = answer.of_run(*run);
        if shown.is_empty() {
            writeln!(out, "none")?;
        } else {
            print(args.view, &page, &shown, &mut *reader, out)?;
            explain_marks(&shown, out)?;
        }
        if args.view == View::Files {
            let mut processes = Answer::ask(&mut *reader, &[FactKind::Process], at)?;
            processes.keep(is_of_pid);
            files::print_shared(&processes, *run, out)?;
            files::print_unread(&processes, *run, out)?;
        }
        if runs.len() > 1 {
            writeln!(out)?;
        }
    }
    Ok(if answer.covered.is_empty() { Exit::NoRecord } else { Exit::Done })
}

/// Says what the mark means, where it stands.
pub(crate) fn explain_marks(shown: &[Shown<'_>], out: &mut dyn Write) -> std::io::Result<()> {
    if shown.iter().all(|s| s.certain) {
        return Ok(());
    }
    writeln!(out, "? held just before or just after; no sample tells whether at this moment")
}

/// What a view needs to know of the page that it is printed on.
pub(crate) struct Page<'a> {
    /// The moment.
    pub(crate) at: WallMicros,
    /// The client's zones.
    pub(crate) zones: &'a Zones,
    /// What it is printed on.
    pub(crate) screen: Screen,
    /// Whether nothing may be cut.
    pub(crate) wide: bool,
}

fn print(
    view: View,
    page: &Page<'_>,
    shown: &[Shown<'_>],
    reader: &mut dyn ClientReader,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    match view {
        View::Ps => ps::print(page, shown, &People::at(reader, page.at)?, out),
        View::Tree => tree::print(page, shown, out),
        View::Files => {
            let processes = Answer::ask(reader, &[FactKind::Process], page.at)?;
            files::print(page, shown, &processes, out)
        }
        View::Net => {
            let processes = Answer::ask(reader, &[FactKind::Process], page.at)?;
            net::print(page, shown, &processes, out)
        }
        View::Interfaces => listing::print(&interfaces::LAYOUT, page, shown, out),
        View::Routes => listing::print(&routes::LAYOUT, page, shown, out),
        View::Devices => listing::print(&devices::LAYOUT, page, shown, out),
        View::Modules => listing::print(&modules::LAYOUT, page, shown, out),
        View::Accounts => listing::print(&accounts::LAYOUT, page, shown, out),
        View::Host => listing::print(&host::LAYOUT, page, shown, out),
        View::Custom => listing::print(&custom::LAYOUT, page, shown, out),
    }
}
