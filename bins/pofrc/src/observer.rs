//! What watches the recorder while it works: the file of snapshots, the progress bar.

use indicatif::{ProgressBar, ProgressStyle};
use pofr_collect::recorder::Observer;
use pofr_core::{
    Source,
    diff::{Shown, Snapshot},
    time::WallMicros,
};
use std::{
    fs::File,
    io::{IsTerminal as _, Write as _},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Why the file of snapshots is not whole, where that is so.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failure(Arc<Mutex<Option<String>>>);

impl Failure {
    /// Takes the reason.
    pub(crate) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, reason: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }
}

/// Watches.
pub(crate) struct Watch {
    snapshots: Option<File>,
    failure: Failure,
    bar: ProgressBar,
    started: Instant,
    line: Vec<u8>,
}

impl Watch {
    /// Makes the file of snapshots, where one is wanted, and the bar, where there is a terminal.
    pub(crate) fn new(snapshots: Option<&Path>, limit: Option<Duration>) -> std::io::Result<(Self, Failure)> {
        let failure = Failure::default();
        let bar = match limit {
            _ if !std::io::stderr().is_terminal() => ProgressBar::hidden(),
            Some(limit) => ProgressBar::new(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX))
                .with_style(style("{wide_bar} {msg} {eta}")),
            None => ProgressBar::new_spinner().with_style(style("{spinner} {elapsed} {msg}")),
        };
        let snapshots = snapshots.map(File::create).transpose()?;
        let watch =
            Self { snapshots, failure: failure.clone(), bar, started: Instant::now(), line: Vec::new() };
        Ok((watch, failure))
    }

    /// Writes one line: source, stamp and facts as the sampler believed them.
    fn write(&mut self, snapshot: &Snapshot) {
        let Some(file) = &mut self.snapshots else { return };
        self.line.clear();
        let written =
            serde_json::to_writer(&mut self.line, snapshot).map_err(std::io::Error::from).and_then(|()| {
                self.line.push(b'\n');
                file.write_all(&self.line)
            });
        if let Err(error) = written {
            // The recording goes on: it is worth more than its own account.
            self.failure.set(error.to_string());
            self.snapshots = None;
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("a constant template is good")
}

impl Observer for Watch {
    fn saw(&mut self, source: &Source, stamp: WallMicros, shown: Shown<'_>) {
        if *source == Source::Process {
            self.bar.set_position(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX));
            self.bar.set_message(format!("{} processes and files", shown.count()));
        }
        if self.snapshots.is_some() {
            self.write(&Snapshot { source: source.clone(), stamp, facts: shown.facts().cloned().collect() });
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
