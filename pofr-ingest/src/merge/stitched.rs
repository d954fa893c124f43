//! The stitched rows of many triads, in batches: sorted inputs, merged, in memory that does not grow with them.
//!
//! The tables of archives and periods are in the order of merging by their primary keys, and are read a page at a time. Those of
//! slices are not: they are read whole and sorted here. One that is by itself larger than memory is to hold is read by its keys,
//! which the database sorts.

use crossbeam::channel::Sender;
use pofr_core::{
    coverage::Coverage,
    fact::FactKind,
    lifetime::Row,
    merge::{Merge, Stitcher, order},
    store::{RowId, RowReader, StoreError, TableRef, Triad},
};
use std::{cell::RefCell, vec};

/// Rows held in memory in pages of all inputs together.
const PAGE_ROWS: usize = 100_000;
/// Rows in a batch.
const BATCH_ROWS: usize = 5_000;

/// Rows of one kind that are ready to be written.
pub(super) struct Batch {
    pub(super) kind: FactKind,
    pub(super) rows: Vec<Row>,
    /// How many rows were read for these.
    pub(super) rows_in: u64,
}

/// Reads and stitches all rows of `triads`, kind by kind, and sends them in batches; `sort_rows` of a kind are sorted in
/// memory. Stops at the first error, which is sent last, and where nobody receives any more.
pub(super) fn send(
    reader: Box<dyn RowReader>,
    triads: &[Triad],
    sort_rows: u64,
    coverage: &Coverage,
    to: Sender<Result<Batch, StoreError>>,
) {
    let reader = RefCell::new(reader);
    for (index, kind) in FactKind::TRIAD.into_iter().enumerate() {
        match send_kind(&reader, triads, (index, kind), sort_rows, coverage, &to) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                let _ = to.send(Err(error));
                return;
            }
        }
    }
}

/// Sends the rows of one kind; tells whether somebody still receives.
fn send_kind(
    reader: &RefCell<Box<dyn RowReader>>,
    triads: &[Triad],
    (index, kind): (usize, FactKind),
    sort_rows: u64,
    coverage: &Coverage,
    to: &Sender<Result<Batch, StoreError>>,
) -> Result<bool, StoreError> {
    let page = u32::try_from(PAGE_ROWS / triads.len().max(1)).unwrap_or(u32::MAX).clamp(100, 10_000);
    let mut whole = sort_rows;
    let mut inputs = Vec::with_capacity(triads.len());
    for triad in triads {
        let table = TableRef { triad: Some(triad.id), kind };
        let rows = triad.rows[index];
        let how = match whole.checked_sub(rows) {
            _ if triad.sorted => How::Sorted,
            Some(left) => {
                whole = left;
                How::Whole(rows)
            }
            None => How::Listed,
        };
        inputs.push(Input::open(reader, table, how, page)?);
    }
    let mut stitcher = Stitcher::new(coverage);
    let mut batch = Batch::new(kind);
    for row in Merge::new(inputs)? {
        batch.rows.extend(stitcher.push(row?));
        batch.rows_in += 1;
        if batch.rows.len() >= BATCH_ROWS
            && to.send(Ok(std::mem::replace(&mut batch, Batch::new(kind)))).is_err()
        {
            return Ok(false);
        }
    }
    batch.rows.extend(stitcher.finish());
    Ok(batch.rows.is_empty() || to.send(Ok(batch)).is_ok())
}

impl Batch {
    fn new(kind: FactKind) -> Self {
        Self { kind, rows: Vec::with_capacity(BATCH_ROWS), rows_in: 0 }
    }
}

/// How an input's rows come into the order of merging.
enum How {
    /// The primary key has that order.
    Sorted,
    /// So many of them, which are all, are sorted in memory.
    Whole(u64),
    /// The database lists their keys in that order.
    Listed,
}

/// One table's rows in the order of merging.
struct Input<'a> {
    reader: &'a RefCell<Box<dyn RowReader>>,
    table: TableRef,
    page: u32,
    next: Next,
    rows: vec::IntoIter<Row>,
}

/// Where the next page comes from.
enum Next {
    /// Behind this row.
    After(RowId),
    /// These rows, one after the other.
    Listed(vec::IntoIter<RowId>),
    /// There is none.
    Nothing,
}

impl<'a> Input<'a> {
    fn open(
        reader: &'a RefCell<Box<dyn RowReader>>,
        table: TableRef,
        how: How,
        page: u32,
    ) -> Result<Self, StoreError> {
        let mut rows = Vec::new();
        let next = match how {
            How::Sorted => Next::After(RowId(0)),
            How::Listed => Next::Listed(reader.borrow_mut().sorted_ids(table)?.into_iter()),
            How::Whole(count) => {
                // Grown little by little, it would be half as large again at the end.
                rows.reserve_exact(usize::try_from(count).unwrap_or(0));
                let mut after = RowId(0);
                loop {
                    let some = reader.borrow_mut().page(table, after, 10_000)?;
                    let Some((last, _)) = some.last() else { break };
                    after = *last;
                    rows.extend(some.into_iter().map(|(_, row)| row));
                }
                rows.sort_by_cached_key(order);
                Next::Nothing
            }
        };
        Ok(Self { reader, table, page, next, rows: rows.into_iter() })
    }

    fn fetch(&mut self) -> Result<(), StoreError> {
        let mut reader = self.reader.borrow_mut();
        let rows: Vec<Row> = match &mut self.next {
            Next::After(after) => {
                let page = reader.page(self.table, *after, self.page)?;
                if let Some((last, _)) = page.last() {
                    *after = *last;
                }
                page.into_iter().map(|(_, row)| row).collect()
            }
            Next::Listed(ids) => {
                let wanted: Vec<RowId> = ids.by_ref().take(self.page as usize).collect();
                if wanted.is_empty() { Vec::new() } else { reader.rows(self.table, &wanted)? }
            }
            Next::Nothing => Vec::new(),
        };
        self.rows = rows.into_iter();
        Ok(())
    }
}

impl Iterator for Input<'_> {
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
