//! `pofrs find`: processes, open files and network endpoints by what people know of them, over one client or all.

mod columns;
mod follow;
mod printer;

pub(crate) use printer::{OutputArgs, Printer, Reach, lineage, print_reach};

use crate::{
    across::{self, Event, Failure},
    cli::{Global, WhichClients},
    exit::Exit,
    filter::{self, FilterArgs, SpanArgs},
    moment, record,
};
use anyhow::bail;
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use pofr_core::{
    gap::Gap,
    store::{ClientReader, StoreError},
    time::{WallMicros, ZoneOffset},
};
use pofr_schema::{
    Access,
    query::{Filter, Found, Span, Subject, find},
};
use std::{
    io::Write,
    ops::ControlFlow,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

/// What JSON has, for the help of every command that prints found facts.
pub(crate) const JSON: &str = "\
JSON: one object a line with client; from and until (µs since 1970: the first and the last time at which it is known to have held), began and ended (how \
well these are known: exact, sampled or open); parts, its rows as pofrs at prints them: more than one where gaps split it, and breaks (from, to, why) \
between them; process (who holds it, null for a process), user (by the client's accounts at that time) and direction (listening, inbound, outbound); shared_by (boot, pid, \
start) where the process that was asked for has the descriptor table of the one that holds the file. Behind them, one object for each gap in that time with client and gap (source, severity, reason, from, to, lost), and for a record that ends before it with client and \
record_ends.";

/// Finds facts.
#[derive(Args, Debug)]
#[command(after_long_help = format!("\
{}

{}

LASTED is how long it held; with ~ as samples tell, with > at least, where the record begins or ends. Facts that gaps split are shown as one, with the gaps \
below. Where the record is incomplete in the time that was asked for, that is said behind the table (with --csv on standard error). Clients answer as they \
find: rows of one client are in the order of time, clients are mixed. Nothing found is exit code 7.

CSV: one line with the names of the columns, then one a fact; times are RFC 3339. Cells that a spreadsheet would take for formulas begin with a quote.

--follow prints what begins from then on, and once more when it has ended; with --cursor, all that began or ended since the file was written, at first all that there \
is. It goes on until it is stopped, looking once a second for new bundles. The file is written after each turn, so that nothing is left out if it is stopped \
and started again; what was printed after the last turn then comes again. A fact is the same where client, run, digest and from are; the later line is the \
better one.

{JSON}

Examples:
  pofrs find ps --user toma --args 'nmap -P0 192.168.18.34'
  pofrs find files --command httpd --under /usr --since -1d
  pofrs find net --port 137,22 --country NO --between 01:00-04:00 --since -1d --all-clients
  pofrs find files --path '/etc/cron*' --written --json
  pofrs find net --from-ip 10.0.0.0/8 --listen --csv > listeners.csv
  pofrs find ps --all-clients --follow --cursor /var/lib/forward/ps.json --json", moment::HELP, filter::HELP))]
pub(crate) struct FindArgs {
    /// What to find
    #[arg(value_enum)]
    pub(crate) what: What,
    #[command(flatten)]
    pub(crate) which: WhichClients,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    #[command(flatten)]
    pub(crate) span: SpanArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Go on printing what begins and ends
    #[arg(long, conflicts_with_all = ["until", "limit"])]
    pub(crate) follow: bool,
    /// With --follow: the file that says how far it came
    #[arg(long, value_name = "FILE", requires = "follow")]
    pub(crate) cursor: Option<PathBuf>,
    /// With --follow: end when all is printed that there is
    #[arg(long, requires = "follow")]
    pub(crate) once: bool,
}

/// What to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// Processes
    Ps,
    /// Open files, with who has them open
    Files,
    /// Network endpoints, with who holds them
    Net,
}

impl What {
    pub(crate) const fn subject(self) -> Subject {
        match self {
            Self::Ps => Subject::Processes,
            Self::Files => Subject::Files,
            Self::Net => Subject::Endpoints,
        }
    }
}

/// What comes from a client.
enum Answer {
    Found(Box<Found>),
    Reach(Reach),
}

/// Runs the command.
pub(crate) fn run(args: &FindArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let subject = args.what.subject();
    let filter = args.filter.filter();
    refuse_what_cannot_be(subject, &filter)?;
    let store = record::open(global, Access::Read)?;
    let clients = record::clients(&*store, &args.which)?;
    if args.follow {
        return follow::run(args, &*store, &clients, &filter, global, out);
    }
    let now = Timestamp::now();
    let mut printer = Printer::new(subject, &args.output, &clients, global.utc, out)?;
    let mut reaches = Vec::new();
    let enough = AtomicBool::new(false);
    let failures = across::ask(
        &*store,
        &clients,
        &|_, reader, hand_on| {
            let span = args.span.span(reader, global.utc, now)?;
            let gaps = find(reader, subject, &filter, span, &mut |found| {
                if enough.load(Ordering::Relaxed) {
                    return ControlFlow::Break(());
                }
                hand_on(Answer::Found(Box::new(found)))
            })?;
            let reach = reach(reader, span, gaps)?;
            let _ = hand_on(Answer::Reach(reach));
            Ok(())
        },
        &mut |event| {
            Ok(match event {
                Event::Answer(client, Answer::Found(found)) => {
                    let more = printer.found(client, &found, &*found, &[], out)?;
                    // One client still says where its record is incomplete; many are not waited for.
                    enough.store(!more, Ordering::Relaxed);
                    if more || clients.len() == 1 {
                        ControlFlow::Continue(())
                    } else {
                        ControlFlow::Break(())
                    }
                }
                Event::Answer(client, Answer::Reach(reach)) => {
                    reaches.push((client, reach));
                    ControlFlow::Continue(())
                }
                Event::Quiet => {
                    printer.quiet(out)?;
                    ControlFlow::Continue(())
                }
            })
        },
    )?;
    reaches.sort_by_key(|(client, _)| *client);
    printer.end(&reaches, out)?;
    settle(failures, printer.printed() > 0)
}

/// Says which clients failed, and what comes of the command.
pub(crate) fn settle(failures: Vec<Failure>, some: bool) -> anyhow::Result<Exit> {
    if failures.is_empty() {
        return Ok(if some { Exit::Done } else { Exit::NothingFound });
    }
    let lines = failures.iter().map(|Failure { cid, error }| format!("{cid}: {error:#}"));
    bail!("{}", lines.collect::<Vec<_>>().join("\n"))
}

/// Says how far a client's answer goes.
pub(crate) fn reach(reader: &mut dyn ClientReader, span: Span, gaps: Vec<Gap>) -> Result<Reach, StoreError> {
    // The bundles that came last, whenever that was.
    let recent = reader.recent(WallMicros(i64::MAX))?;
    let last = recent.bundles.iter().max_by_key(|bundle| bundle.entry.last);
    let end = last.map(|bundle| bundle.entry.last);
    Ok(Reach {
        gaps,
        zone: last.map_or(ZoneOffset::UTC, |bundle| bundle.entry.zone),
        ended: end.filter(|end| span.from.is_some_and(|from| *end < from)),
    })
}

/// Refuses conditions that no such fact can satisfy: an answer of nothing would be taken for one.
pub(crate) fn refuse_what_cannot_be(subject: Subject, filter: &Filter) -> anyhow::Result<()> {
    let of_files = filter.path.is_some() || filter.under.is_some() || filter.written;
    let of_endpoints = !filter.ports.is_empty()
        || filter.listening
        || !(filter.from_ip.is_empty() && filter.to_ip.is_empty() && filter.ip.is_empty())
        || filter.transport.is_some()
        || !filter.states.is_empty()
        || !filter.countries.is_empty()
        || filter.names.is_some();
    if of_files && subject != Subject::Files {
        bail!("--path, --under and --written go with files: pofrs find files");
    }
    if filter.deleted && subject == Subject::Endpoints {
        bail!("--deleted goes with files, and with processes for their executables");
    }
    if of_endpoints && subject != Subject::Endpoints {
        bail!("ports, addresses, states and countries go with network endpoints: pofrs find net");
    }
    Ok(())
}
