//! `pofrs demo`: records this machine for some seconds in this process, stores that, and looks around in it.
//!
//! What there is to find is played by child processes ([`actor`]): the recorder leaves out its own process, so nothing that
//! this one does would be seen.

mod actor;
mod capture;
mod middle;
mod raw_size;
mod report;
mod stage;

pub(crate) use actor::{ActorArgs, act};

use crate::{cli::Global, commands::ingest, exit::Exit, record};
use anyhow::Context as _;
use clap::Args;
use pofr_core::identity::Cid;
use pofr_ingest::{Inbox, Options};
use pofr_schema::Access;
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

/// The client's name in the demo's store.
const CLIENT: &str = "demo";

/// Runs the demo.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Samples ten times a second. As an ordinary user it works as well, and says what it then cannot see. The store is always \
the embedded one; it is removed at the end unless --data-dir says where to keep it.

Examples:
  pofrs demo
  pofrs demo --seconds 60 --data-dir /tmp/pofr-demo")]
pub(crate) struct DemoArgs {
    /// How long to record, 1 to 3600 s
    #[arg(long, value_name = "S", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
}

/// Where the demo puts its things; what is temporary goes when this does.
struct Place {
    /// The store.
    store: PathBuf,
    /// Bundles, and what the actors touch.
    work: tempfile::TempDir,
    /// Whether the store stays.
    kept: bool,
}

impl Place {
    fn new(data_dir: Option<&Path>) -> anyhow::Result<Self> {
        let temporary = |dir: &Path| {
            tempfile::Builder::new()
                .prefix("pofr-demo-")
                .tempdir_in(dir)
                .with_context(|| format!("cannot make a directory in {}", dir.display()))
        };
        let Some(dir) = data_dir else {
            let work = temporary(&std::env::temp_dir())?;
            return Ok(Self { store: work.path().join("store"), work, kept: false });
        };
        record::make_private(dir)?;
        Ok(Self { store: dir.to_owned(), work: temporary(dir)?, kept: true })
    }
}

/// Runs the command.
pub(crate) fn run(args: &DemoArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let place = Place::new(global.data_dir.as_deref())?;
    let cid = Cid::parse(CLIENT).context("the demo's client has a good name")?;
    writeln!(
        out,
        "Recording this machine for {} s, ten times a second{}.",
        args.seconds,
        if rustix::process::geteuid().is_root() { "" } else { ", as an ordinary user" }
    )?;
    out.flush()?;
    let captured = capture::capture(args.seconds, place.work.path(), &cid)?;

    let url = format!("sqlite:{}", place.store.to_str().context("the directory's name is not UTF-8")?);
    let store = pofr_schema::open(&url, Access::Write)?;
    let options = Options::default();
    pofr_ingest::service::add_client(&*store, &cid, (options.now)())?;
    let inbox = Inbox::new(&captured.bundles, options.limits.tar);
    let ingested = ingest::take(&*store, &cid, &inbox, &options, &mut |_, _| {})?;
    if let Some((name, reason)) = ingested.quarantined.first() {
        anyhow::bail!("the demo's own bundle {name} was not taken: {reason}");
    }
    drop(store);

    let store = pofr_schema::open(&url, Access::Read)?;
    let mut reader = store.read(&cid)?;
    let raw = raw_size::of_bundles(&captured.bundles)?;
    let ledger = reader.ledger()?;
    let known =
        report::Known { captured: &captured, ingested: &ingested, raw, ledger: &ledger, utc: global.utc };
    report::print(&known, &mut *reader, out)?;
    middle::print(&known, &mut *reader, out)?;
    report::what_next(&known, place.kept.then_some(&*place.store), out)?;
    out.flush()?;
    let work = place.work.path().to_owned();
    if let Err(error) = place.work.close() {
        writeln!(io::stderr(), "pofrs: cannot remove {}: {error}", work.display())?;
    }
    Ok(Exit::Done)
}
