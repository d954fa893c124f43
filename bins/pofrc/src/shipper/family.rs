//! The shipper and every `ssh` that it runs are left out of the record, whoever started it and however often.
//!
//! Which process is the shipper stands in `ship.pid`, which who starts it writes and the shipper cannot. It is left out while it
//! runs this very program, and its children while they run `ssh`: whatever else its user runs is recorded.

use crate::run_dir::{Instance, RunDir};
use anyhow::Context as _;
use pofr_collect::{HostView, ProgramFile};
use pofr_core::identity::{Pid, StartTicks};
use rustix::process::{WaitOptions, waitpid};
use std::{path::PathBuf, time::Duration};

/// How often is looked for a shipper that a later `start` has started. That one waits longer before it runs `ssh`.
const LOOK: Duration = Duration::from_millis(500);

/// Leaves it out from now on, in a thread of its own.
pub(crate) fn leave_out(view: &HostView, run: &RunDir) -> anyhow::Result<()> {
    let ours = ProgramFile::of_this_process().context("cannot find out which program this is")?;
    look(view, run, &ours);
    let (view, run) = (view.clone(), run.clone());
    let watch = move || {
        loop {
            std::thread::sleep(LOOK);
            look(&view, &run, &ours);
        }
    };
    std::thread::Builder::new().name("shipper".to_owned()).spawn(watch).context("cannot start a thread")?;
    Ok(())
}

/// Finds the `ssh` that the shipper runs: by the same search path.
fn ssh() -> Option<ProgramFile> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let named: Vec<PathBuf> = std::env::split_paths(&path).map(|dir| dir.join("ssh")).collect();
    named.iter().find_map(|path| ProgramFile::find(path).ok())
}

/// Waits for a shipper of our own that has ended: nobody else can.
fn reap(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = waitpid(Some(pid), WaitOptions::NOHANG);
    }
}

fn look(view: &HostView, run: &RunDir, ours: &ProgramFile) {
    view.excluded().into_iter().filter(|pid| pid.0 != std::process::id()).for_each(|pid| reap(pid.0));
    if let Ok(Some(Instance { pid, start })) = run.shipper()
        && let Ok(pid) = u32::try_from(pid)
    {
        let programs: Vec<_> = [ours.clone()].into_iter().chain(ssh()).collect();
        view.exclude_family(Pid(pid), StartTicks(start), &programs);
    }
    // The number of one that has ended may be another's soon.
    view.release_gone();
}
