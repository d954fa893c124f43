//! Recording for the demo: the recorder in this process, the actors beside it, a bar in between.

use super::stage::{BRIEF_MILLIS, BRIEF_TIMES, Cast, Stage};
use crate::output::progress;
use anyhow::Context as _;
use pofr_collect::{HostView, Recorder, Registry, Settings, Spool, SpoolSettings, Stop, Summary};
use pofr_core::identity::Cid;
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// The time between samples, µs.
const INTERVAL_MICROS: u64 = 100_000;

/// What was recorded.
#[derive(Debug)]
pub(super) struct Captured {
    /// Where the bundles are.
    pub(super) bundles: PathBuf,
    /// What the recorder counted.
    pub(super) summary: Summary,
    /// What the actors did.
    pub(super) cast: Cast,
}

/// Records for so many seconds into `work`.
pub(super) fn capture(seconds: u64, work: &Path, cid: &Cid) -> anyhow::Result<Captured> {
    let view = HostView::live()?.with_own_proc();
    let bundles = work.join("bundles");
    let settings = SpoolSettings { cid: Some(cid.clone()), ..SpoolSettings::beside(&bundles) };
    let spool = Spool::open(&view, settings)?;
    let registry = Registry::built_in(&view);
    // Some bundles, so that there is something to stitch; each costs a keyframe.
    let bundle_micros = (seconds * 1_000_000 / 4).clamp(1_000_000, 45_000_000);
    let settings = Settings { interval_micros: INTERVAL_MICROS, bundle_micros, ..Settings::default() };
    let mut recorder = Recorder::new(view, registry, settings, spool)?;

    let time = Duration::from_secs(seconds);
    let stop = Stop::new()?;
    let told = stop.clone();
    // Whoever is impatient gets a shorter demo, and nothing is left behind; the second Ctrl-C ends at once.
    ctrlc::set_handler(move || {
        if told.is_stopped() {
            std::process::exit(130);
        }
        told.stop();
    })?;
    let stages = work.join("stage");
    std::fs::create_dir(&stages).with_context(|| format!("cannot make {}", stages.display()))?;
    std::thread::scope(|scope| {
        let recording = scope.spawn(|| recorder.run(&stop, Some(time)));
        let cast = play(&stages, time, &stop);
        if cast.is_err() {
            stop.stop();
        }
        let summary = recording.join().map_err(|_| anyhow::anyhow!("the recorder panicked"))??;
        Ok(Captured { bundles: bundles.clone(), summary, cast: cast? })
    })
}

/// Directs the actors for `time`: the long parts over the middle three fifths, the brief ones scattered in them.
fn play(dir: &Path, time: Duration, stop: &Stop) -> anyhow::Result<Cast> {
    let start = Instant::now();
    let bar = progress::bar("recording", "ms");
    bar.set_length(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let until = |at: Duration| {
        while let left = at.saturating_sub(start.elapsed())
            && !left.is_zero()
            && !stop.is_stopped()
        {
            std::thread::sleep(left.min(Duration::from_millis(50)));
            bar.set_position(u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX));
        }
    };
    until(time / 5);
    let mut stage = Stage::open(dir, time)?;
    let brief = BRIEF_MILLIS.iter().cycle().take(BRIEF_MILLIS.len() * BRIEF_TIMES);
    let latest = time * 4 / 5;
    for (i, millis) in (1_u32..).zip(brief) {
        until(time / 5 + time * 3 / 5 * i / 12);
        // In a short demo the long ones would not end before the curtain falls.
        if start.elapsed() + Duration::from_millis(*millis) < latest && !stop.is_stopped() {
            stage.brief(*millis)?;
        }
    }
    until(latest);
    let cast = stage.close();
    until(time);
    bar.finish_and_clear();
    Ok(cast)
}
