//! `pofrs who-opened`: who had a file open, and where that process comes from.

use super::find::{JSON, OutputArgs, Printer, Reach, reach, settle};
use crate::{
    across::{self, Event},
    cli::{Global, WhichClients},
    exit::Exit,
    filter::{self, FilterArgs, SpanArgs},
    moment, record,
};
use clap::Args;
use jiff::Timestamp;
use pofr_schema::{
    Access,
    query::{Opened, Subject, TextMatch, who_opened},
};
use std::{io::Write, ops::ControlFlow};

/// Shows who opened a file.
#[derive(Args, Debug)]
#[command(after_long_help = format!("\
{}

{}

As pofrs find files, with the ancestors of the process that had the file open. A recorder samples: what is opened and closed between two samples is seen where \
events of files are recorded (pofrc's file-events), and else only by chance.

{JSON} ancestors: the rows of the process's parent, that one's parent, and so on.

Examples:
  pofrs who-opened /etc/shadow --client web-1
  pofrs who-opened '/etc/cron*' --written --since -1d --all-clients
  pofrs who-opened re:\\.ssh/authorized_keys$ --json", moment::HELP, filter::HELP))]
pub(crate) struct WhoOpenedArgs {
    /// The file, or a pattern; a name that ends in / means everything below it
    #[arg(value_name = "PATH", value_parser = filter::whole())]
    file: TextMatch,
    #[command(flatten)]
    which: WhichClients,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    span: SpanArgs,
    #[command(flatten)]
    output: OutputArgs,
}

enum Answer {
    Opened(Box<Opened>),
    Reach(Reach),
}

/// Runs the command.
pub(crate) fn run(args: &WhoOpenedArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let mut filter = args.filter.filter();
    if filter.path.is_some() {
        anyhow::bail!("--path and PATH are the same: give one");
    }
    match args.file.only().map(|path| path.as_bytes()) {
        Some(dir) if dir.len() > 1 && dir.ends_with(b"/") && filter.under.is_none() => {
            filter.under = Some(dir[..dir.len() - 1].into());
        }
        _ => filter.path = Some(args.file.clone()),
    }
    let store = record::open(global, Access::Read)?;
    let clients = record::clients(&*store, &args.which)?;
    let now = Timestamp::now();
    let mut printer = Printer::new(Subject::Files, &args.output, &clients, global.utc, out)?;
    let mut reaches = Vec::new();
    let failures = across::ask(
        &*store,
        &clients,
        &|_, reader, hand_on| {
            let span = args.span.span(reader, global.utc, now)?;
            let gaps =
                who_opened(reader, &filter, span, &mut |opened| hand_on(Answer::Opened(Box::new(opened))))?;
            let _ = hand_on(Answer::Reach(reach(reader, span, gaps)?));
            Ok(())
        },
        &mut |event| {
            let mut more = true;
            match event {
                Event::Answer(client, Answer::Opened(opened)) => {
                    more = printer.found(client, &opened.found, &*opened, &opened.ancestors, out)?;
                }
                Event::Answer(client, Answer::Reach(reach)) => reaches.push((client, reach)),
                Event::Quiet => printer.quiet(out)?,
            }
            Ok(if more { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        },
    )?;
    reaches.sort_by_key(|(client, _)| *client);
    printer.end(&reaches, out)?;
    settle(failures, printer.printed() > 0)
}
