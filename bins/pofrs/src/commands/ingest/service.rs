//! All inboxes of the data directory, once or for good.

use super::{IngestArgs, directory::Line, end_on_signal, show::Show};
use crate::{
    cli::Global,
    exit::Exit,
    output::{json, number, when},
    record, who,
};
use anyhow::{Context as _, bail};
use pofr_ingest::{
    Options,
    ingest::server_clock,
    service::{Service, Until},
};
use pofr_schema::Access;
use std::io::Write;

/// Runs the service.
pub(super) fn run(args: &IngestArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let config = record::config(global)?;
    let layout = record::layout(global)?;
    let root = layout.inbox_root();
    if !args.watch && !root.exists() {
        bail!(
            "there is no {}\nhint: pofrs ingest DIR --client NAME takes bundles from any directory",
            root.display()
        );
    }
    record::make_private(&root).with_context(|| format!("cannot make {}", root.display()))?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = args.workers.or(config.ingest.workers).map_or(processors, usize::from);
    let keep = args.keep_bundles.or(config.ingest.keep_bundles.map(|keep| keep.0)).unwrap_or_default();
    let store = record::open(global, Access::Write)?;
    let options = Options { workers, ..Options::default() };
    let stop = options.stop.clone();
    end_on_signal(&stop)?;
    let service = Service {
        store: &*store,
        layout: layout.clone(),
        options,
        policy: config.levels.policy(),
        keep,
        who: who::am_i(),
        only: args.client.clone(),
    };
    let show = Show::new(args.watch);
    show.say(&format!("taking in what comes to {}", root.display()));
    let until = if args.watch { Until::Stopped } else { Until::Empty };
    service.run(until, &stop, &show);
    let told = stop.is_told();
    let done = show.finish();
    if args.watch {
        return Ok(Exit::Done);
    }
    for (cid, report) in &done.reports {
        if args.json {
            json::line(out, &Line::new(cid, &layout.inbox_dir(cid).join("quarantine"), report))?;
            continue;
        }
        let bundles = number::counted(report.stored, "bundle");
        let (samples, rows) =
            (number::counted(report.samples, "sample"), number::counted(report.rows, "new row"));
        write!(out, "{cid}: {bundles} stored: {samples}, {rows}")?;
        if let Some((_, last)) = report.span {
            write!(out, "; {} behind", when::length(server_clock().since(last)))?;
        }
        if !report.quarantined.is_empty() {
            write!(out, "; {} in quarantine", number::counted(report.quarantined.len() as u64, "file"))?;
        }
        writeln!(out)?;
    }
    Ok(match done {
        _ if done.failed > 0 || told => Exit::Failed,
        _ if done.busy > 0 => Exit::Busy,
        _ if done.reports.values().any(|r| !r.quarantined.is_empty()) => Exit::Quarantined,
        _ => Exit::Done,
    })
}
