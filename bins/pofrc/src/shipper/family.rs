//! The shipper and every `ssh` that it runs are left out of the record, whoever started it and however often.

use crate::run_dir::{Instance, RunDir};
use anyhow::Context as _;
use pofr_collect::HostView;
use pofr_core::identity::{Pid, StartTicks};
use std::time::Duration;

/// How often is looked for a shipper that a later `start` has started. That one waits longer before it runs `ssh`.
const LOOK: Duration = Duration::from_millis(500);

/// Leaves it out from now on, in a thread of its own.
pub(crate) fn leave_out(view: &HostView, run: &RunDir) -> anyhow::Result<()> {
    look(view, run);
    let (view, run) = (view.clone(), run.clone());
    let watch = move || {
        loop {
            std::thread::sleep(LOOK);
            look(&view, &run);
        }
    };
    std::thread::Builder::new().name("shipper".to_owned()).spawn(watch).context("cannot start a thread")?;
    Ok(())
}

fn look(view: &HostView, run: &RunDir) {
    if let Ok(Some(Instance { pid, start })) = run.shipper()
        && let Ok(pid) = u32::try_from(pid)
    {
        view.exclude_family(Pid(pid), StartTicks(start));
    }
    // The number of one that has ended may be another's soon.
    view.release_gone();
}
