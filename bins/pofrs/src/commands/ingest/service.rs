//! All inboxes of the data directory, once or for good.

use super::{IngestArgs, directory::Line, end_on_signal, enrich, show::Show};
use crate::{
    cli::Global,
    commands::status::{Hook, Looker, SILENCE, Watchman},
    exit::Exit,
    output::{json, number, when},
    record, who,
};
use anyhow::{Context as _, bail};
use pofr_ingest::{
    Options, Stop,
    ingest::server_clock,
    service::{Service, Until},
};
use pofr_schema::Access;
use std::{
    io::Write,
    time::{Duration, Instant},
};

/// How long forks and losses are told of, µs.
const DAY: i64 = 86_400_000_000;

/// Runs the service.
pub(super) fn run(args: &IngestArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let stop = Stop::default();
    end_on_signal(&stop)?;
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
    let patience = if args.watch { Duration::ZERO } else { enrich::PATIENCE };
    let enrich = enrich::make(&args.enrich, &config.enrich)?;
    let options = Options { workers, stop: stop.clone(), enrich, patience, ..Options::default() };
    let service = Service {
        store: &*store,
        layout: layout.clone(),
        options,
        policy: config.levels.policy(),
        keep,
        give_up: if args.take_open { Duration::ZERO } else { config.receive.give_up() },
        who: who::am_i(),
        only: args.client.clone(),
    };
    let show = Show::new(args.watch);
    show.say(&format!("taking in what comes to {}", root.display()));
    let until = if args.watch { Until::Stopped } else { Until::Empty };
    let hook = Hook::new(config.status.hook.clone()).filter(|_| args.watch);
    std::thread::scope(|scope| {
        if let Some(hook) = hook {
            let (service, stop, show) = (&service, &stop, &show);
            let silence = config.status.silence.map_or(SILENCE, |s| s.0);
            scope.spawn(move || watch_over(service, Watchman::new(hook), silence, stop, show));
        }
        service.run(until, &stop, &show);
    });
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

/// Looks once a minute for trouble, and has the hook told.
fn watch_over(service: &Service<'_>, mut watchman: Watchman, silence: i64, stop: &Stop, show: &Show) {
    const EVERY: Duration = Duration::from_secs(60);
    let mut next = Instant::now();
    while !stop.is_told() {
        if Instant::now() >= next {
            next = Instant::now() + EVERY;
            let now = server_clock();
            let layout = service.layout.clone();
            let looker = Looker { layout, silence, since: now.plus(-DAY), now };
            match watchman.round(service.store, &looker) {
                Ok(0) => {}
                Ok(new) => {
                    show.say(&format!("the hook was told of {}", number::counted(new as u64, "trouble")));
                }
                Err(error) => show.warn(&format!("{error:#}")),
            }
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
