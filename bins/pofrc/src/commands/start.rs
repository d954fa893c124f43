//! `pofrc start`: records into the spool until asked to end.

use crate::{
    cli::Start,
    detach,
    exit::Exit,
    facilities,
    key::ClientKey,
    live::{Kept, Live, serve},
    plan::Plan,
    privileges,
    report::{short, wrapped},
    run_dir::{Ended, Instance, Lock, RunDir, remove},
    shipper::{self, Begun, Place},
    signals,
    state::StateDir,
    units,
    user::User,
};
use anyhow::Context as _;
use pofr_collect::{
    Budget, HostView, RealTime, Recorder, Registry, Settings, Signer, Spool, SpoolSettings, Stop, Summary,
    events::{FileEvents, Watch, files::NAME as FILE_EVENTS},
};
use pofr_core::{EventSource, collector::CollectError, identity::Cid};
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Records, unless a recorder runs already.
pub(super) fn run(args: &Start) -> anyhow::Result<Exit> {
    facilities::require()?;
    if args.detach && !args.detached {
        return Ok(match detach::spawn()? {
            None | Some(0) => Exit::Done,
            Some(code) => Exit::from_code(code),
        });
    }
    let mut plan = Plan::of(args)?;
    let user = plan.user.as_deref().map(User::named).transpose()?;
    if args.detached {
        detach::leave()?;
    }
    let Some(lock) = prepare(&mut plan, user.as_ref())? else {
        println!("{}", already(&plan.run_dir)?);
        ship_again(&plan);
        return Ok(Exit::Done);
    };
    signals::block()?;
    let identity = Identity::read(&StateDir::new(&plan.state)).unwrap_or_else(|error| {
        tracing::error!("this client cannot be who it is registered as, and records all the same: {error:#}");
        Identity::default()
    });
    let shipping = ship(&plan, args.detached);
    let opening = privileges::drop_most(user.as_ref())?;
    let log = plan.log.clone().unwrap_or_else(|| plan.run_dir.log());
    let run_dir = plan.run_dir.clone();
    let result = record(plan, opening, args.detached.then_some(log), identity, shipping);
    end(&run_dir, result, lock, args.detached)
}

/// Makes the directories and takes the lock; `None` where a recorder runs.
fn prepare(plan: &mut Plan, user: Option<&User>) -> anyhow::Result<Option<Lock>> {
    plan.settle(user.map(|user| user.uid))?;
    let dirs = [plan.run_dir.path(), &plan.spool, &plan.state];
    let Some(lock) = plan.run_dir.lock()? else { return Ok(None) };
    if let Some(user) = user {
        dirs.iter().try_for_each(|dir| user.own(dir))?;
        user.own_file(lock.file())?;
    }
    Ok(Some(lock))
}

/// Says that a recorder runs.
fn already(run: &RunDir) -> anyhow::Result<String> {
    Ok(match run.instance()? {
        Some(instance) => format!("a recorder runs already: process {}", instance.pid),
        None => format!("a recorder is just starting or ending in {}", run.path().display()),
    })
}

/// As whom a client records, where it is registered.
#[derive(Default)]
struct Identity {
    cid: Option<Cid>,
    key: Option<ClientKey>,
}

impl Identity {
    fn read(state: &StateDir) -> anyhow::Result<Self> {
        let cid = state.registration()?.and_then(|registration| Cid::parse(&registration.cid));
        Ok(Self { cid, key: ClientKey::read(&state.key())? })
    }
}

/// Starts the shipper, where a server is registered; returns what is to be said of it. A recorder that cannot send records all
/// the same.
fn ship(plan: &Plan, detached: bool) -> Vec<String> {
    let waits = format!("bundles wait in {}", plan.spool.display());
    match shipper::begin(&Place::of(plan), false, detached) {
        Ok(Begun::Runs { pid, server, note, .. }) => {
            let note = note.map(|note| format!("note: {note}"));
            [format!("bundles go to {server}: process {pid}")].into_iter().chain(note).collect()
        }
        Ok(Begun::NotYet(None)) => vec![format!("no server is registered: {waits}")],
        Ok(Begun::NotYet(Some(server))) => {
            vec![format!("the registration at {server} is not granted: {waits}")]
        }
        Ok(Begun::Refused { server, why }) => vec![format!("nothing is sent to {server}: {why}; {waits}")],
        Err(error) => vec![format!("NOTHING IS SENT: {error:#}; {waits}")],
    }
}

/// Starts the shipper again where it is gone, beside a recorder that is at work.
fn ship_again(plan: &Plan) {
    match shipper::begin(&Place::of(plan), true, true) {
        Ok(Begun::Runs { pid, server, new: true, .. }) => {
            println!("bundles go to {server} again: process {pid}");
        }
        Ok(Begun::Refused { server, why }) => println!("nothing is sent to {server}: {why}"),
        Ok(Begun::Runs { new: false, .. } | Begun::NotYet(_)) => {}
        Err(error) => eprintln!("pofrc: the shipper was not started: {error:#}"),
    }
}

/// Begins to watch the files that matter on every machine, and those that were named.
fn watch_files(plan: &Plan, view: &HostView) -> (&'static str, Result<Box<dyn EventSource>, CollectError>) {
    let named = plan.watch.iter().map(Watch::changes);
    let watches = Watch::sensitive(view).into_iter().chain(named).collect();
    let source = FileEvents::open(view, watches);
    (FILE_EVENTS, source.map(|source| Box::new(source) as Box<dyn EventSource>))
}

/// What a recording came to: its counts, and the last bundle's name.
type Outcome = (Summary, Option<String>);

/// Records until asked to end.
fn record(
    plan: Plan,
    opening: privileges::Opening,
    log: Option<PathBuf>,
    identity: Identity,
    shipping: Vec<String>,
) -> anyhow::Result<Outcome> {
    let view = HostView::live()?.with_own_proc();
    let (name, files) = watch_files(&plan, &view);
    let samplers = Registry::samplers_only(&view).hearing_first(&view);
    // The thread that must be quick inherits its priority; made after the last right is given up, it has none to give up.
    let priority = RealTime::take();
    let mut kept = opening.drop_rest()?;
    shipper::leave_out(&view, &plan.run_dir)?;
    let registry = samplers.hearing(&view).offer(name, files).without(&plan.without)?;
    drop(priority);
    kept.missing.extend(facilities::missing());
    kept.missing.extend(plan.notes.iter().cloned());
    let stop = Stop::new().context("cannot make a stop")?;
    signals::tell(stop.clone())?;
    let spool = SpoolSettings {
        state_dir: plan.state.clone(),
        max_bytes: Some(plan.spool_cap),
        cid: identity.cid,
        signer: identity.key.map(|key| Arc::new(key) as Arc<dyn Signer>),
        ..SpoolSettings::beside(&plan.spool)
    };
    let mut spool = Spool::open(&view, spool)?;
    plan.notes.iter().for_each(|note| spool.say(format!("squatted: {note}")));
    let settings = Settings {
        interval_micros: micros(plan.interval),
        bundle_micros: micros(plan.bundle),
        budget: Budget { max_cpu: Some(plan.max_cpu), max_memory: Some(plan.max_mem), ..Budget::default() },
        ..Settings::default()
    };
    let pid = i32::try_from(std::process::id()).context("a process id that is none")?;
    let instance = Instance::of(pid).context("cannot look at this process")?;
    let run_dir = plan.run_dir.clone();
    let live = Live::new(plan, instance, spool.cid().to_string(), kept);
    if let Err(error) = serve(&run_dir, live.clone()) {
        tracing::error!("`pofrc status` will get no answer: {error:#}");
    }
    let (told, log_here) = (live.clone(), log.clone());
    let begun = move || {
        begun(&told, &shipping);
        let Some(log) = log_here else { return };
        match detach::let_go(&log) {
            Ok(()) => tracing::info!("recording: process {}", std::process::id()),
            Err(error) => tracing::error!("{error:#}"),
        }
    };
    let mut recorder = Recorder::new(view, registry, settings, Kept::new(spool, live.clone(), log))?
        .observed_by(live.observer(begun));
    let summary = recorder.run(&stop, None)?;
    // The sources are closed by then, so that a lack of descriptors is over.
    let mut kept = recorder.into_sink();
    kept.settle()?;
    Ok((summary, kept.last_bundle()))
}

/// Says that it records, and what it lacks.
fn begun(live: &Live, shipping: &[String]) {
    let report = live.report();
    let interval = units::span(Duration::from_micros(report.samples.interval_asked_us));
    println!("recording: process {}, a sample every {interval}", report.pid);
    shipping.iter().for_each(|said| println!("{said}"));
    println!("beyond {} the oldest go", units::bytes(report.spool.bytes_max));
    report.notes.iter().for_each(|note| print!("{}", wrapped("note:", note)));
}

/// Writes down how it ended.
fn end(run: &RunDir, result: anyhow::Result<Outcome>, lock: Lock, detached: bool) -> anyhow::Result<Exit> {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (summary, last_bundle) = result.as_ref().map(Clone::clone).unwrap_or_default();
    let ended = Ended {
        pid: i32::try_from(std::process::id()).unwrap_or(0),
        at_us: i64::try_from(at.as_micros()).unwrap_or(i64::MAX),
        error: result.as_ref().err().map(|error| format!("{error:#}")),
        bundles: summary.bundles,
        gaps: summary.gaps,
        last_bundle,
    };
    let written = run.ended(&ended).and_then(|()| remove(&run.socket()));
    if let Err(error) = written {
        tracing::warn!("{error:#}");
    }
    // Only now may another begin.
    drop(lock);
    result?;
    let last = ended.last_bundle.as_deref().map_or("none".to_owned(), short);
    let said = format!("ended: {}, the last is {last}", units::many(ended.bundles, "bundle"));
    if detached {
        tracing::info!("{said}");
    } else {
        println!("{said}");
    }
    Ok(Exit::Done)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
