//! `pofrs ingest`: bundles into records; one directory for one client, or all inboxes of the data directory.

mod directory;
pub(crate) mod enrich;
mod service;
mod show;

pub(crate) use directory::take;

use crate::{cli::Global, config, exit::Exit, units};
use anyhow::Context as _;
use clap::Args;
use pofr_core::identity::Cid;
use pofr_ingest::{Stop, service::Keep};
use std::{io::Write, path::PathBuf};

/// Takes bundles in.
#[derive(Args, Debug)]
#[command(after_long_help = format!("\
Without DIR, all inboxes of the data directory: DATA_DIR/inbox/CLIENT/ holds what the client CLIENT has sent. What is stored \
goes to DATA_DIR/bundles/CLIENT/, see --keep-bundles. Clients take turns, so that none waits for the backlog of another. Slices are \
archived when there are more than the limits allow (level 2), and made periods where the configuration says so (level 3). It is \
harmless to run it twice, or at any time: two that meet at a client leave it to the first. With --watch it goes on until it is told \
to end (SIGTERM, SIGINT), which it does after the bundle that it is at.

With DIR, files that are stored stay where they are: ingesting again finds them to be duplicates.

A file that is no good bundle is moved to quarantine/ in its directory, with the reason in a file beside it, and changes \
nothing else; the exit code is then 4.

The configuration file, {}, can have:
{}
JSON: one object a client with client, stored, duplicates, samples, rows, first and last (µs since 1970, null where \
nothing was stored), halves_waiting, quarantined (a list of name and reason), quarantine (the directory).

Examples:
  pofrs ingest --watch
  pofrs ingest --watch --workers 4 --keep-bundles 90d
  pofrs ingest /srv/inbox --client web-1
  pofrs ingest backlog --client web-1 --workers 8
  pofrs ingest --watch --places /var/lib/GeoIP/GeoLite2-City.mmdb --names system", config::PATH, config::EXAMPLE))]
pub(crate) struct IngestArgs {
    /// A directory that bundles of one client are in
    #[arg(value_name = "DIR", requires = "client")]
    dir: Option<PathBuf>,
    /// The client: 1 to 59 letters, digits and dashes; added if it is not known. Needed with DIR; without, only that client's inbox
    #[arg(long, value_name = "NAME", value_parser = cid)]
    client: Option<Cid>,
    /// Go on, and take in what comes, until told to end
    #[arg(long, conflicts_with_all = ["dir", "json"])]
    watch: bool,
    /// Unpack so many bundles at a time; a backlog is then cut into slices [default: 1 with DIR, else one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
    /// How long bundles that are stored are kept, so that `pofrs rebuild` can make the record anew: forever, no, or a time
    /// such as 90d [default: forever; with DIR they are left where they are]
    #[arg(long, value_name = "POLICY", value_parser = units::keep)]
    keep_bundles: Option<Keep>,
    /// Take open bundles at once that clients streamed and did not finish, not only those of which nothing has come for a while
    #[arg(long, conflicts_with = "dir")]
    take_open: bool,
    #[command(flatten)]
    enrich: enrich::EnrichArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn cid(text: &str) -> Result<Cid, String> {
    Cid::parse(text).ok_or_else(|| "a client's name is 1 to 59 ASCII letters, digits and dashes".to_owned())
}

/// Runs the command.
pub(crate) fn run(args: &IngestArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    match (&args.dir, &args.client) {
        (Some(dir), Some(client)) => directory::run(args, dir, client, global, out),
        _ => service::run(args, global, out),
    }
}

/// Lets SIGTERM, SIGINT and SIGHUP tell `stop`; the second of them ends the program where it is, which harms nothing.
fn end_on_signal(stop: &Stop) -> anyhow::Result<()> {
    let stop = stop.clone();
    ctrlc::set_handler(move || {
        if stop.is_told() {
            std::process::exit(130);
        }
        stop.stop();
    })
    .context("cannot handle signals")
}
