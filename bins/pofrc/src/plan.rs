//! The plan of a recording: what the command line says, else the configuration file, else what is built in.

use crate::{
    cli::{Start, Where},
    config::Config,
    places::Places,
    run_dir::RunDir,
    shipper::Place,
    squatted,
    state::StateDir,
    user::User,
};
use anyhow::Context as _;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// The bytes of bundles that are kept where nothing else is said: some weeks of a moderate machine.
pub(crate) const SPOOL_CAP: u64 = 256 << 20;
/// The share of a core where nothing else is said.
pub(crate) const MAX_CPU: f64 = 0.02;
/// The memory where nothing else is said, bytes.
pub(crate) const MAX_MEM: u64 = 96 << 20;

/// What to record, how, and where to.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) interval: Duration,
    pub(crate) bundle: Duration,
    pub(crate) spool: PathBuf,
    pub(crate) spool_cap: u64,
    pub(crate) state: PathBuf,
    pub(crate) run_dir: RunDir,
    pub(crate) log: Option<PathBuf>,
    /// Share of one core.
    pub(crate) max_cpu: f64,
    pub(crate) max_mem: u64,
    pub(crate) user: Option<String>,
    pub(crate) watch: Vec<PathBuf>,
    pub(crate) without: Vec<String>,
    /// Who sends the bundles.
    pub(crate) ship_user: Option<String>,
    /// Bytes a second.
    pub(crate) bandwidth: Option<u64>,
    pub(crate) backlog_rate: Option<u64>,
    /// What is to be said of where things are.
    pub(crate) notes: Vec<String>,
}

impl Plan {
    /// Puts the plan together.
    pub(crate) fn of(start: &Start) -> anyhow::Result<Self> {
        let (config, places) = read(&start.place)?;
        let list = |flags: &[PathBuf], file: Option<Vec<PathBuf>>| {
            if flags.is_empty() { file.unwrap_or_default() } else { flags.to_vec() }
        };
        let without = if start.without.is_empty() {
            config.without.clone().unwrap_or_default()
        } else {
            start.without.clone()
        };
        let watch = list(&start.watch, config.watch.clone());
        Ok(Self {
            interval: start.interval.or(config.interval).unwrap_or(Duration::from_millis(300)),
            bundle: start.bundle.or(config.bundle).unwrap_or(Duration::from_secs(45)),
            spool: absolute(start.spool.as_deref().or(config.spool.as_deref()), &places.spool)?,
            spool_cap: start.spool_cap.or(config.spool_cap).unwrap_or(SPOOL_CAP),
            state: absolute(start.state.as_deref().or(config.state.as_deref()), &places.state)?,
            run_dir: RunDir::new(run_dir(&start.place, &config, &places)?),
            log: start.log.clone().or_else(|| config.log.clone()).map(std::path::absolute).transpose()?,
            max_cpu: start.max_cpu.or(config.max_cpu).unwrap_or(MAX_CPU),
            max_mem: start.max_mem.or(config.max_mem).unwrap_or(MAX_MEM),
            user: start.user.clone().or_else(|| config.user.clone()),
            watch: watch.iter().map(std::path::absolute).collect::<Result<_, _>>()?,
            without,
            ship_user: start.ship_user.clone().or_else(|| config.ship_user.clone()),
            bandwidth: start.bandwidth.or(config.bandwidth),
            backlog_rate: start.backlog_rate.or(config.backlog_rate),
            notes: Vec::new(),
        })
    }

    /// Makes the directories, each for us or for `user`, and takes others for those that somebody else has taken.
    pub(crate) fn settle(&mut self, user: Option<u32>) -> anyhow::Result<()> {
        let notes = &mut self.notes;
        let run = settled(self.run_dir.path(), user, notes)?;
        let beside = run.join("spool");
        self.spool = match settled(if beside.exists() { &beside } else { &self.spool }, user, notes) {
            // There it may be full, and is open to everyone.
            Err(error) if is_full(&error) => {
                let spool = settled(&beside, user, notes)?;
                notes.push(format!("{error:#}: the spool is {}", spool.display()));
                spool
            }
            other => other?,
        };
        self.state = settled(&self.state, user, notes)?;
        self.run_dir = RunDir::new(run);
        Ok(())
    }
}

/// Makes a directory, or another in its place, of which it takes note.
fn settled(path: &Path, user: Option<u32>, notes: &mut Vec<String>) -> anyhow::Result<PathBuf> {
    let settled = squatted::settle(path, user)?;
    // Two may lie in the same place.
    let is_new = |note: &String| !notes.contains(note);
    let note = settled.note.filter(is_new);
    notes.extend(note);
    Ok(settled.path)
}

fn is_full(error: &anyhow::Error) -> bool {
    let io = |cause: &(dyn std::error::Error + 'static)| {
        let io = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
        io.or_else(|| cause.downcast_ref::<rustix::io::Errno>().map(|errno| errno.raw_os_error()))
    };
    let full = [rustix::io::Errno::NOSPC, rustix::io::Errno::DQUOT].map(rustix::io::Errno::raw_os_error);
    error.chain().filter_map(io).any(|errno| full.contains(&errno))
}

/// Returns the run directory of the recorder that a command is about.
pub(crate) fn find(place: &Where) -> anyhow::Result<RunDir> {
    let (config, places) = read(place)?;
    found_run_dir(place, &config, &places)
}

/// Returns what the shipper of that recorder is about; `state` and `spool` go before the configuration.
pub(crate) fn ship_place(place: &Where, state: Option<&Path>, spool: Option<&Path>) -> anyhow::Result<Place> {
    let (config, places) = read(place)?;
    let user = recorders(&config);
    let state = absolute(state.or(config.state.as_deref()), &places.state)?;
    Ok(Place {
        spool: squatted::find(&absolute(spool.or(config.spool.as_deref()), &places.spool)?, user),
        state: StateDir::new(squatted::find(&state, user)),
        run: found_run_dir(place, &config, &places)?,
        user: config.ship_user,
        recorder: config.user,
        bandwidth: config.bandwidth,
        backlog: config.backlog_rate,
    })
}

fn read(place: &Where) -> anyhow::Result<(Config, Places)> {
    let places = Places::of_this_user();
    let path = place.config.as_deref().unwrap_or(&places.config);
    Ok((Config::read(path, place.config.is_some())?, places))
}

fn run_dir(place: &Where, config: &Config, places: &Places) -> anyhow::Result<PathBuf> {
    absolute(place.run_dir.as_deref().or(config.run_dir.as_deref()), &places.run)
}

fn found_run_dir(place: &Where, config: &Config, places: &Places) -> anyhow::Result<RunDir> {
    let path = run_dir(place, config, places)?;
    Ok(RunDir::new(squatted::find(&path, recorders(config))))
}

/// Returns the user of a recorder that has one of its own.
fn recorders(config: &Config) -> Option<u32> {
    Some(User::find(config.user.as_deref()?).ok()??.uid)
}

/// Returns the path from the root on: a detached recorder works in `/`.
fn absolute(path: Option<&Path>, default: &Path) -> anyhow::Result<PathBuf> {
    let path = path.unwrap_or(default);
    std::path::absolute(path).with_context(|| format!("cannot find {}", path.display()))
}
