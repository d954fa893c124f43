//! Open files, by process.

use super::{Answer, Page, Shown};
use crate::output::{
    number,
    table::{Fit, Listing},
};
use pofr_core::{
    fact::{Fact, FileKey, Files},
    identity::{Pid, RunId},
};
use std::io::Write;

/// Prints the files, by process and descriptor.
pub(crate) fn print(
    page: &Page<'_>,
    shown: &[Shown<'_>],
    processes: &Answer,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let columns = [
        ("", Fit::Whole),
        ("PID", Fit::Number),
        ("NAME", Fit::Name(15)),
        ("FD", Fit::Number),
        ("MODE", Fit::Whole),
        ("PATH", Fit::Text),
    ];
    let mut listing = Listing::new(page.screen, false, &columns);
    let names = processes.processes();
    let mut rows: Vec<_> = shown
        .iter()
        .filter_map(|shown| match &shown.row.fact {
            Fact::File(file) => Some((file.key.entity.pid(), file.key.fd, shown, file)),
            _ => None,
        })
        .collect();
    rows.sort_by_key(|(pid, fd, shown, _)| (*pid, *fd, !shown.certain));
    for (pid, fd, shown, file) in rows {
        let holder = names.get(&(shown.row.run, file.key.entity)).map(|p| &p.key.comm);
        let deleted = if file.key.deleted { " (deleted)" } else { "" };
        listing.row([
            shown.mark(),
            pid.to_string(),
            holder.or(file.details.comm.as_ref()).map_or_else(|| "-".to_owned(), |c| c.escaped()),
            if fd == FileKey::NO_FD { "-".to_owned() } else { fd.to_string() },
            file.key.mode.text().to_owned(),
            format!("{}{deleted}", file.key.path.escaped()),
        ]);
    }
    listing.print(out)?;
    Ok(())
}

/// Says of how many processes of `run` the files could not be read: unknown is not the same as none.
pub(super) fn print_unread(processes: &Answer, run: RunId, out: &mut dyn Write) -> anyhow::Result<()> {
    let (unread, all) = unread(processes, |r| r == run);
    if unread > 0 {
        let (unread, all) = (number::count(unread), number::count(all));
        writeln!(out, "the open files of {unread} of {all} processes could not be read")?;
    }
    Ok(())
}

/// Says whose files are told with another process of `run`.
pub(super) fn print_shared(processes: &Answer, run: RunId, out: &mut dyn Write) -> anyhow::Result<()> {
    let sharers = processes.processes().into_iter().filter(|((r, _), _)| *r == run);
    let mut pairs: Vec<(Pid, Pid)> = sharers
        .filter_map(|((_, entity), process)| Some((entity.pid(), process.key.marks.files_of?.pid())))
        .collect();
    pairs.sort_unstable();
    for (sharer, holder) in pairs {
        writeln!(out, "the open files of {sharer} are those of {holder}: both have one descriptor table")?;
    }
    Ok(())
}

/// Counts the processes whose files could not be read, and all, of the runs that are wanted.
pub(crate) fn unread(processes: &Answer, wanted: impl Fn(RunId) -> bool) -> (u64, u64) {
    let (mut unread, mut all) = (0, 0);
    for ((_, _), process) in processes.processes().into_iter().filter(|((run, _), _)| wanted(*run)) {
        all += 1;
        // The files of who has another's table are told with that one.
        let told = process.key.files == Files::Read || process.key.marks.files_of.is_some();
        unread += u64::from(!told && !process.key.zombie);
    }
    (unread, all)
}
