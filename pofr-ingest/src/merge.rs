//! Levels 2 and 3: many triads become one.
//!
//! Rows come sorted out of every input and go sorted into the new triad. Slices are sorted in memory, no more of them at a time
//! than it is to hold: each such part becomes an archive, which is the sorted run of the merge to come. That holds a page of each
//! archive, two rows in the stitcher, some batches on their way; so memory does not grow with the data. The new triad is filled
//! while it does not count yet; one transaction makes it live and the old ones dead. Whoever is killed before that has changed
//! nothing.

mod plan;
mod stitched;

use crossbeam::channel;
use pofr_core::{
    coverage::Coverage,
    source::Source,
    store::{Change, ClientStore, Level, Replacement, StoreError, TableRef, Triad, TriadId, TriadState},
    time::WallMicros,
};
use std::collections::HashSet;
use stitched::Batch;

/// Batches that wait to be written, so that reading and writing do not wait for each other.
const BATCHES: usize = 2;

/// When slices are archived.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// When there are more slices than this …
    pub max_triads: usize,
    /// … or more file rows in them.
    pub max_file_rows: u64,
    /// Archive now, whatever the limits, and seal the open slice for it.
    pub force: bool,
    /// How many rows of a kind are sorted in memory; more slices than hold these become several archives.
    pub sort_rows: u64,
}

impl Default for Options {
    /// The first POFR's limits: 191 triads, 130,000 file rows; 400,000 rows are sorted at a time.
    fn default() -> Self {
        Self { max_triads: 191, max_file_rows: 130_000, force: false, sort_rows: 400_000 }
    }
}

/// What a merge came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many triads went in.
    pub inputs: usize,
    /// How many rows went in.
    pub rows_in: u64,
    /// How many rows came out.
    pub rows_out: u64,
    /// The tables made: processes, files, endpoints of each new triad.
    pub tables: Vec<String>,
}

/// Tells whether a limit is passed, so that [`archive`] would have something to do.
#[must_use]
pub fn is_due(triads: &[Triad], options: &Options) -> bool {
    let is_slice = |t: &Triad| t.level == Level::Slice && t.state == TriadState::Live;
    let slices = || triads.iter().filter(|t| is_slice(t) && (options.force || !t.open));
    let (count, file_rows) = (slices().count(), slices().map(|t| t.rows[1]).sum::<u64>());
    count > 0 && (options.force || count > options.max_triads || file_rows > options.max_file_rows)
}

/// How far it has come: rows read, rows to read.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// Level 2: archives the slices if a limit is passed. A slice that lies within the time of an archive or period
/// (its bundles came late) is merged into that; the others become one new archive, or several where they are too many to be sorted
/// in memory.
///
/// # Errors
/// Where the store fails; what had not been swapped in by then is cleaned up by the next writer.
pub fn archive(
    store: &mut dyn ClientStore,
    options: &Options,
    progress: Progress<'_>,
) -> Result<Report, StoreError> {
    let mut live = live(store)?;
    let slices = |live: &[Triad]| -> Vec<Triad> {
        live.iter().filter(|t| t.level == Level::Slice && (options.force || !t.open)).cloned().collect()
    };
    if !is_due(&live, options) {
        return Ok(Report::default());
    }
    let due = slices(&live);
    let seal: Vec<TriadId> = due.iter().filter(|t| t.open).map(|t| t.id).collect();
    if !seal.is_empty() {
        store.commit(&Change { seal, ..Change::default() })?;
        live = self::live(store)?;
    }
    let jobs = plan::archives(slices(&live), live, options.sort_rows);
    merge_all(store, jobs, options.sort_rows, progress)
}

/// Level 3: makes one period of all archives and periods, or of those that `range` (first and last time) touches.
///
/// # Errors
/// Where the store fails; what had not been swapped in by then is cleaned up by the next writer.
pub fn period(
    store: &mut dyn ClientStore,
    range: Option<(WallMicros, WallMicros)>,
    progress: Progress<'_>,
) -> Result<Report, StoreError> {
    let touches = |t: &Triad| range.is_none_or(|(from, to)| t.from <= to && from <= t.to);
    let mut due = live(store)?;
    due.retain(|t| t.level != Level::Slice && touches(t));
    if due.is_empty() || matches!(due.as_slice(), [only] if only.level == Level::Period) {
        return Ok(Report::default());
    }
    merge_all(store, vec![(Level::Period, due)], Options::default().sort_rows, progress)
}

/// Returns the triads that count.
fn live(store: &mut dyn ClientStore) -> Result<Vec<Triad>, StoreError> {
    let mut triads = store.triads()?;
    triads.retain(|t| t.state == TriadState::Live);
    Ok(triads)
}

fn merge_all(
    store: &mut dyn ClientStore,
    jobs: Vec<(Level, Vec<Triad>)>,
    sort_rows: u64,
    progress: Progress<'_>,
) -> Result<Report, StoreError> {
    let total = jobs.iter().flat_map(|(_, triads)| triads).flat_map(|t| t.rows).sum();
    let mut report = Report::default();
    for (level, triads) in jobs {
        let new = merge_triads(store, (level, &triads), sort_rows, &mut report, (total, progress))?;
        let old = triads.iter().map(|t| t.id).collect();
        store.commit(&Change { replace: Some(Replacement { new, old }), ..Change::default() })?;
        report.inputs += triads.len();
        if let Some(made) = store.triad(new)? {
            report.tables.extend(made.tables);
        }
    }
    Ok(report)
}

/// Fills a new triad with the stitched rows of `triads`: one thread reads and stitches, this one writes.
fn merge_triads(
    store: &mut dyn ClientStore,
    (level, triads): (Level, &[Triad]),
    sort_rows: u64,
    report: &mut Report,
    (total, progress): (u64, Progress<'_>),
) -> Result<TriadId, StoreError> {
    let ids: HashSet<i64> = triads.iter().map(|t| t.id.0).collect();
    let from = triads.iter().map(|t| t.from).min().unwrap_or_default();
    let to = triads.iter().map(|t| t.to).max().unwrap_or_default();
    let zone = triads.iter().min_by_key(|t| t.from).map_or_else(Default::default, |t| t.zone);
    let mut spans = Vec::new();
    for source in [Source::Process, Source::Endpoint] {
        spans.extend(store.spans_within(&source, from, to)?);
    }
    // Each border was settled when its bundles were stored; what is left is to join the rows on both sides.
    let coverage = Coverage::of_part(&spans, |group| ids.contains(&group));
    drop(spans);
    let new = store.create_triad(level, false, from, to, zone)?;
    let reader = store.row_reader()?;
    let (send, receive) = channel::bounded(BATCHES);
    std::thread::scope(|scope| {
        // It ends where there is nobody left to send to.
        scope.spawn(|| stitched::send(reader, triads, sort_rows, &coverage, send));
        for batch in receive {
            let Batch { kind, rows, rows_in } = batch?;
            store.fill(TableRef { triad: Some(new), kind }, &rows)?;
            report.rows_in += rows_in;
            report.rows_out += rows.len() as u64;
            progress(report.rows_in, total);
        }
        Ok(new)
    })
}
