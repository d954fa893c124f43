//! The audit of skipping: belief against fresh readings through a mixed load.

use crate::{
    Size,
    load::Running,
    ways::{Samplers, Writer},
};
use pofr_collect::HostView;
use std::time::{Duration, Instant};

/// Samples for so long and prints what the audit found.
pub(crate) fn run(size: Size, seconds: u64, interval: u64, taskstats: bool) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let machine = Running::start(&[
        "machine".to_owned(),
        format!("--processes={}", size.processes),
        format!("--files={}", size.files),
        format!("--connections={}", size.connections),
        format!("--active={}", size.active),
    ])?;
    let mixed = Running::start(&["mixed".to_owned(), dir.path().display().to_string()])?;
    let view = HostView::live()?;
    view.exclude_self();
    let (mut samplers, mut writer) = (Samplers::incremental(&view, taskstats), Writer::new());
    let start = Instant::now();
    let mut told = 0;
    for turn in 1_u64.. {
        let due = start + Duration::from_millis(interval * turn);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let elapsed = start.elapsed().as_secs();
        writer.write(samplers.sample()?)?;
        if elapsed >= told + 60 || elapsed >= seconds {
            told = elapsed;
            writer.flush()?;
            println!("{elapsed:5} s {turn:6} samples {:?}", writer.audit);
        }
        if elapsed >= seconds {
            break;
        }
    }
    for gap in &writer.gaps {
        println!("gap: {} ({:.1} s)", gap.reason, gap.to.map_or(0, |to| to.since(gap.from)) as f64 / 1e6);
    }
    if let Some(note) = samplers.note() {
        println!("not incremental: {note}");
    }
    drop((mixed, machine));
    anyhow::ensure!(writer.audit.misses == 0, "{} changes were missed", writer.audit.misses);
    Ok(())
}
