//! Levels 2 and 3: many triads become one.
//!
//! Rows come sorted out of every input and go sorted into the new triad, so memory does not grow with the data: a page
//! of each input, two rows in the stitcher, one batch on its way. The new triad is filled while it does not count yet; one
//! transaction makes it live and the old ones dead. Whoever is killed before that has changed nothing.

use pofr_core::{
    coverage::Coverage,
    fact::FactKind,
    lifetime::Row,
    merge::{Merge, Stitcher},
    store::{Change, ClientStore, Ledger, Level, Replacement, RowId, StoreError, TableRef, Triad, TriadId},
    time::WallMicros,
};
use std::{cell::RefCell, collections::HashSet, vec};

/// When slices are archived.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// When there are more slices than this …
    pub max_triads: usize,
    /// … or more file rows in them.
    pub max_file_rows: u64,
    /// Archive now, whatever the limits, and seal the open slice for it.
    pub force: bool,
}

impl Default for Options {
    /// The first POFR's limits: 191 triads, 130,000 file rows.
    fn default() -> Self {
        Self { max_triads: 191, max_file_rows: 130_000, force: false }
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

/// How far it has come: rows read, rows to read.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// Rows held in memory for all inputs together.
const PAGE_ROWS: usize = 40_000;
/// Rows written at a time.
const BATCH_ROWS: usize = 5_000;

/// Level 2: archives the slices if a limit is passed. A slice that lies within the time of an archive or period
/// (its bundles came late) is merged into that; the others become one new archive.
///
/// # Errors
/// Where the store fails; what had not been swapped in by then is cleaned up by the next writer.
pub fn archive(
    store: &mut dyn ClientStore,
    options: &Options,
    progress: Progress<'_>,
) -> Result<Report, StoreError> {
    let mut ledger = store.ledger()?;
    let slices = |ledger: &Ledger| -> Vec<Triad> {
        ledger.live().filter(|t| t.level == Level::Slice && (options.force || !t.open)).cloned().collect()
    };
    let due = slices(&ledger);
    let file_rows: u64 = due.iter().map(|t| t.rows[1]).sum();
    if due.is_empty()
        || !(options.force || due.len() > options.max_triads || file_rows > options.max_file_rows)
    {
        return Ok(Report::default());
    }
    let seal: Vec<TriadId> = due.iter().filter(|t| t.open).map(|t| t.id).collect();
    if !seal.is_empty() {
        store.commit(&Change { seal, ..Change::default() })?;
        ledger = store.ledger()?;
    }
    let merged: Vec<Triad> = ledger.live().filter(|t| t.level != Level::Slice).cloned().collect();
    let (late, fresh): (Vec<Triad>, Vec<Triad>) =
        slices(&ledger).into_iter().partition(|s| merged.iter().any(|m| m.from <= s.from && s.to <= m.to));
    let mut jobs: Vec<(Level, Vec<Triad>)> = Vec::new();
    if !fresh.is_empty() {
        jobs.push((Level::Archive, fresh));
    }
    for whole in merged {
        let mine: Vec<Triad> =
            late.iter().filter(|s| whole.from <= s.from && s.to <= whole.to).cloned().collect();
        // Where two merged triads overlap (two runs claim one time), the first takes it.
        let taken: HashSet<TriadId> = jobs.iter().flat_map(|(_, t)| t.iter().map(|t| t.id)).collect();
        let mut mine: Vec<Triad> = mine.into_iter().filter(|s| !taken.contains(&s.id)).collect();
        if !mine.is_empty() {
            let level = whole.level;
            mine.push(whole);
            jobs.push((level, mine));
        }
    }
    merge_all(store, jobs, progress)
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
    let ledger = store.ledger()?;
    let touches = |t: &Triad| range.is_none_or(|(from, to)| t.from <= to && from <= t.to);
    let due: Vec<Triad> = ledger.live().filter(|t| t.level != Level::Slice && touches(t)).cloned().collect();
    if due.is_empty() || matches!(due.as_slice(), [only] if only.level == Level::Period) {
        return Ok(Report::default());
    }
    merge_all(store, vec![(Level::Period, due)], progress)
}

fn merge_all(
    store: &mut dyn ClientStore,
    jobs: Vec<(Level, Vec<Triad>)>,
    progress: Progress<'_>,
) -> Result<Report, StoreError> {
    let total = jobs.iter().flat_map(|(_, triads)| triads).flat_map(|t| t.rows).sum();
    let mut report = Report::default();
    for (level, triads) in jobs {
        let ledger = store.ledger()?;
        let new = merge_triads(store, &ledger, level, &triads, &mut report, total, progress)?;
        let old = triads.iter().map(|t| t.id).collect();
        store.commit(&Change { replace: Some(Replacement { new, old }), ..Change::default() })?;
        report.inputs += triads.len();
        if let Some(made) = store.ledger()?.triads.iter().find(|t| t.id == new) {
            report.tables.extend(made.tables.iter().cloned());
        }
    }
    Ok(report)
}

/// Fills a new triad with the stitched rows of `triads`.
fn merge_triads(
    store: &mut dyn ClientStore,
    ledger: &Ledger,
    level: Level,
    triads: &[Triad],
    report: &mut Report,
    total: u64,
    progress: Progress<'_>,
) -> Result<TriadId, StoreError> {
    let ids: HashSet<i64> = triads.iter().map(|t| t.id.0).collect();
    let coverage = Coverage::among(&ledger.spans(), |group| ids.contains(&group));
    let from = triads.iter().map(|t| t.from).min().unwrap_or_default();
    let to = triads.iter().map(|t| t.to).max().unwrap_or_default();
    let zone = triads.iter().min_by_key(|t| t.from).map_or_else(Default::default, |t| t.zone);
    let new = store.create_triad(level, false, from, to, zone)?;
    let store = RefCell::new(store);
    let page = u32::try_from(PAGE_ROWS / triads.len().max(1)).unwrap_or(u32::MAX).clamp(100, 10_000);
    for kind in FactKind::TRIAD {
        let target = TableRef { triad: Some(new), kind };
        let inputs = triads
            .iter()
            .map(|triad| Input::open(&store, TableRef { triad: Some(triad.id), kind }, triad.sorted, page))
            .collect::<Result<Vec<_>, _>>()?;
        let mut stitcher = Stitcher::new(&coverage);
        let mut batch = Vec::with_capacity(BATCH_ROWS);
        for row in Merge::new(inputs)? {
            batch.extend(stitcher.push(row?));
            report.rows_in += 1;
            if batch.len() >= BATCH_ROWS {
                flush(&store, target, &mut batch, report)?;
                progress(report.rows_in, total);
            }
        }
        batch.extend(stitcher.finish());
        flush(&store, target, &mut batch, report)?;
        progress(report.rows_in, total);
    }
    Ok(new)
}

fn flush(
    store: &RefCell<&mut dyn ClientStore>,
    table: TableRef,
    batch: &mut Vec<Row>,
    report: &mut Report,
) -> Result<(), StoreError> {
    store.borrow_mut().fill(table, batch)?;
    report.rows_out += batch.len() as u64;
    batch.clear();
    Ok(())
}

/// One table's rows in the order of merging, a page at a time.
struct Input<'a, 'b> {
    store: &'a RefCell<&'b mut dyn ClientStore>,
    table: TableRef,
    page: u32,
    next: Next,
    rows: vec::IntoIter<Row>,
}

/// Where the next page comes from.
enum Next {
    /// The primary key has the order: go on behind this row.
    After(RowId),
    /// The primary key has not: these rows, one after the other.
    Listed(vec::IntoIter<RowId>),
}

impl<'a, 'b> Input<'a, 'b> {
    fn open(
        store: &'a RefCell<&'b mut dyn ClientStore>,
        table: TableRef,
        sorted: bool,
        page: u32,
    ) -> Result<Self, StoreError> {
        let next = if sorted {
            Next::After(RowId(0))
        } else {
            Next::Listed(store.borrow_mut().sorted_ids(table)?.into_iter())
        };
        Ok(Self { store, table, page, next, rows: Vec::new().into_iter() })
    }

    fn fetch(&mut self) -> Result<(), StoreError> {
        let mut store = self.store.borrow_mut();
        let rows: Vec<Row> = match &mut self.next {
            Next::After(after) => {
                let page = store.page(self.table, *after, self.page)?;
                if let Some((last, _)) = page.last() {
                    *after = *last;
                }
                page.into_iter().map(|(_, row)| row).collect()
            }
            Next::Listed(ids) => {
                let wanted: Vec<RowId> = ids.by_ref().take(self.page as usize).collect();
                if wanted.is_empty() { Vec::new() } else { store.rows(self.table, &wanted)? }
            }
        };
        self.rows = rows.into_iter();
        Ok(())
    }
}

impl Iterator for Input<'_, '_> {
    type Item = Result<Row, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rows.len() == 0
            && let Err(error) = self.fetch()
        {
            return Some(Err(error));
        }
        self.rows.next().map(Ok)
    }
}
