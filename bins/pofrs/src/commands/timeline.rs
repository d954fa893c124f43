//! `pofrs timeline`: what a process and its descendants did, or a user, or what befell a file or an address, in order.

use super::{
    find::{Reach, print_reach, reach, settle},
    tree::PidAt,
};
use crate::{
    across::{self, Event},
    cli::{Global, WhichClients},
    exit::Exit,
    filter::{self, SpanArgs},
    moment,
    output::{
        csv::{self, Cell},
        fact, json,
        stream::Stream,
        table::{Fit, Screen},
        when::Zones,
    },
    record,
};
use clap::Args;
use jiff::Timestamp;
use pofr_core::{
    fact::Fact,
    gap::Gap,
    identity::{Cid, Pid},
    raw::RawText,
};
use pofr_schema::{
    Access,
    query::{IpNet, Moment, TextMatch, TimelineOf, timeline},
};
use serde::Serialize;
use std::{io::Write, ops::ControlFlow};

/// Shows what happened.
#[derive(Args, Debug)]
#[command(after_long_help = format!("\
{}

{}

Times with ~ are those of the first sample that shows it or the last that showed it, the others are exact. What was there before --since and went on is not \
told of.

JSON: one object a line with client, at (µs since 1970), exact (whether an event told the time), what (began, changed, exited, ended; opened, closed; listened, \
connected, disconnected) and row (as pofrs at prints them). Behind them, one object for each gap in that time with client and gap. CSV has the same in columns.

Examples:
  pofrs timeline --pid 812@'2026-11-23 10:00' --client web-1
  pofrs timeline --user ann --since -1h --wide
  pofrs timeline --path '/etc/cron*' --all-clients --csv > cron.csv
  pofrs timeline --address 192.0.2.7 --json | jq -c '[.at, .what]'", moment::HELP, filter::HELP))]
pub(crate) struct TimelineArgs {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    which: WhichClients,
    #[command(flatten)]
    span: SpanArgs,
    /// Do not shorten what is too long for a line
    #[arg(long)]
    wide: bool,
    /// Print JSON, one object a line
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV, with formulas defused
    #[arg(long)]
    csv: bool,
    /// End after so many
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

/// Whose timeline it is.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
struct Whose {
    /// A process and all of its descendants: its id, and when it had it; without a time, the last process that had it
    #[arg(long, value_name = "PID[@TIME]")]
    pid: Option<PidAt>,
    /// A user's processes: a number, or a name that the client's own accounts had
    #[arg(long)]
    user: Option<String>,
    /// Files of that path, with who had them open
    #[arg(long, value_name = "PATTERN", value_parser = filter::whole())]
    path: Option<TextMatch>,
    /// Network endpoints with that address or network at either end
    #[arg(long, value_name = "NET", value_parser = filter::network)]
    address: Option<IpNet>,
}

#[derive(Serialize)]
struct Line<'a> {
    client: &'a Cid,
    #[serde(flatten)]
    moment: &'a Moment,
}

#[derive(Serialize)]
struct GapLine<'a> {
    client: &'a Cid,
    gap: &'a Gap,
}

enum Answer {
    Moment(Box<Moment>),
    Reach(Reach),
}

/// Runs the command.
pub(crate) fn run(args: &TimelineArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let store = record::open(global, Access::Read)?;
    let clients = record::clients(&*store, &args.which)?;
    let now = Timestamp::now();
    let mut lines = Lines::new(args, &clients, global.utc);
    lines.begin(out)?;
    let mut reaches = Vec::new();
    let failures = across::ask(
        &*store,
        &clients,
        &|_, reader, hand_on| {
            let span = args.span.span(reader, global.utc, now)?;
            let whose = &args.whose;
            let of = match (&whose.pid, &whose.user, &whose.path, &whose.address) {
                (Some(process), ..) => {
                    TimelineOf::Subtree(Pid(process.pid), process.when(None, reader, global.utc)?)
                }
                (_, Some(user), ..) => TimelineOf::User(RawText::from(user.as_str())),
                (.., Some(path), _) => TimelineOf::Path(path.clone()),
                (.., Some(address)) => TimelineOf::Address(*address),
                _ => anyhow::bail!("give one of --pid, --user, --path and --address"),
            };
            let gaps = timeline(reader, &of, span, &mut |moment| hand_on(Answer::Moment(Box::new(moment))))?;
            let _ = hand_on(Answer::Reach(reach(reader, span, gaps)?));
            Ok(())
        },
        &mut |event| {
            let mut more = true;
            match event {
                Event::Answer(client, Answer::Moment(moment)) => more = lines.moment(client, &moment, out)?,
                Event::Answer(client, Answer::Reach(reach)) => reaches.push((client, reach)),
                Event::Quiet => match &mut lines.table {
                    Some(table) => table.tick(out)?,
                    None => out.flush()?,
                },
            }
            Ok(if more { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        },
    )?;
    reaches.sort_by_key(|(client, _)| *client);
    lines.end(&reaches, out)?;
    settle(failures, lines.printed > 0)
}

/// The lines being printed.
struct Lines<'a> {
    args: &'a TimelineArgs,
    clients: &'a [Cid],
    utc: bool,
    table: Option<Stream>,
    printed: u64,
}

impl<'a> Lines<'a> {
    fn new(args: &'a TimelineArgs, clients: &'a [Cid], utc: bool) -> Self {
        let table = (!args.json && !args.csv).then(|| {
            let screen = Screen::detect();
            let screen = if args.wide { Screen { width: u16::MAX, ..screen } } else { screen };
            let mut columns = vec![
                ("TIME", Fit::Whole),
                ("", Fit::Whole),
                ("WHAT", Fit::Whole),
                ("PID", Fit::Number),
                ("", Fit::Text),
            ];
            if clients.len() > 1 {
                columns.insert(0, ("CLIENT", Fit::Name(if args.wide { 59 } else { 12 })));
            }
            Stream::new(screen, false, columns)
        });
        Self { args, clients, utc, table, printed: 0 }
    }

    fn begin(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        if self.args.csv {
            let columns = ["client", "time", "exact", "what", "pid", "kind", "fact"];
            csv::line(out, columns.map(Cell::from))?;
        }
        Ok(())
    }

    /// Prints a moment; tells whether there may be more.
    fn moment(&mut self, client: usize, moment: &Moment, out: &mut dyn Write) -> anyhow::Result<bool> {
        let limit = self.args.limit.unwrap_or(u64::MAX);
        if self.printed >= limit {
            return Ok(false);
        }
        let cid = &self.clients[client];
        let row = &moment.row;
        let zones = Zones::of_row(row.zone, self.utc);
        let pid = super::at::pid_of(&row.fact).map(|pid| pid.0);
        // As JSON writes it.
        let what = serde_json::to_value(moment.what)?;
        let what = what.as_str().unwrap_or_default().to_owned();
        if let Some(table) = &mut self.table {
            let time = if self.args.wide { zones.full(moment.at) } else { zones.micros(moment.at) };
            let mark = if moment.exact { "" } else { "~" };
            let pid = pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
            let mut text = fact::describe(&row.fact);
            if !self.args.wide && matches!(row.fact, Fact::Process(_)) {
                crate::output::table::cut(&mut text, 200);
            }
            let mut cells = vec![time, mark.to_owned(), what, pid, text];
            if self.clients.len() > 1 {
                cells.insert(0, cid.to_string());
            }
            table.row(cells, out)?;
        } else if self.args.csv {
            let kind = serde_json::to_value(row.fact.kind())?;
            let cells = [
                Cell::from(cid.to_string()),
                zones.rfc3339(moment.at).into(),
                Cell::Flag(moment.exact),
                what.into(),
                pid.into(),
                kind.as_str().unwrap_or_default().into(),
                fact::describe(&row.fact).into(),
            ];
            csv::line(out, cells)?;
        } else {
            json::line(out, &Line { client: cid, moment })?;
        }
        self.printed += 1;
        Ok(self.printed < limit)
    }

    fn end(&mut self, reaches: &[(usize, Reach)], out: &mut dyn Write) -> anyhow::Result<()> {
        if let Some(table) = &mut self.table {
            table.flush(out)?;
            if self.printed == 0 {
                writeln!(out, "nothing found")?;
            }
        }
        for (client, reach) in reaches {
            let client = &self.clients[*client];
            if self.args.json {
                for gap in &reach.gaps {
                    json::line(out, &GapLine { client, gap })?;
                }
            } else if self.args.csv {
                print_reach(client, reach, self.utc, &mut std::io::stderr())?;
            } else {
                print_reach(client, reach, self.utc, out)?;
            }
        }
        Ok(())
    }
}
