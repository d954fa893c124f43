//! Open files, by process.

use super::{Answer, Page, Shown};
use crate::output::{
    number,
    table::{Fit, Listing},
};
use pofr_core::{
    fact::{Fact, Files},
    identity::RunId,
};
use std::{collections::BTreeSet, io::Write};

/// Prints the files, by process and descriptor; and of how many processes they could not be read.
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
            fd.to_string(),
            file.key.mode.text().to_owned(),
            format!("{}{deleted}", file.key.path.escaped()),
        ]);
    }
    listing.print(out)?;
    let runs: BTreeSet<RunId> = shown.iter().map(|s| s.row.run).collect();
    let (unread, all) = unread(processes, &runs);
    if unread > 0 {
        writeln!(
            out,
            "of {} of {} the recorder could not read what files they had open",
            number::count(unread),
            format!("{} processes", number::count(all))
        )?;
    }
    Ok(())
}

/// Counts the processes whose files could not be read, and all; of `runs`, or of every run where there are none.
pub(crate) fn unread(processes: &Answer, runs: &BTreeSet<RunId>) -> (u64, u64) {
    let (mut unread, mut all) = (0, 0);
    for ((run, _), process) in processes.processes() {
        if runs.is_empty() || runs.contains(&run) {
            all += 1;
            unread += u64::from(process.key.files != Files::Read && !process.key.zombie);
        }
    }
    (unread, all)
}
