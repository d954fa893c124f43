//! Carrying out a change: all of it in one transaction, or nothing.

use super::{
    insert::insert_rows,
    order::Orders,
    place::{Place, current_name, table_index},
    triads::{free_names, prefixes},
    update::{delete_row, extremes, goes_on, update_row},
};
use crate::{
    db::{Db, Doing as _, Statement, failure},
    ledger::{
        Ends, Names, TriadRow, bump_generation, drop_halves, find_triad, insert_actions, insert_bundles,
        keep_halves, triad_ends,
    },
    tables::{LIVE, spec},
};
use pofr_core::{
    fact::FactKind,
    identity::RunId,
    lifetime::Row,
    store::{Change, Level, StoreError, TableRef, TriadId, TriadState},
};
use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    rc::Rc,
};

/// What a change works on.
pub(super) struct Work<'a> {
    pub(super) db: &'a mut Db,
    names: &'a mut Names,
    orders: &'a mut Orders,
    /// Those that this change has to do with, as they become; saved at its end.
    triads: BTreeMap<TriadId, TriadRow>,
    /// The tables that it has to do with.
    places: BTreeMap<TableRef, Rc<Place>>,
    ends: BTreeMap<TriadId, Ends>,
}

/// Carries out `change` within a transaction; tells whether the set of triads changed.
pub(super) fn apply(
    db: &mut Db,
    names: &mut Names,
    orders: &mut Orders,
    change: &Change,
) -> Result<bool, StoreError> {
    let mut work = Work::new(db, names, orders);
    if change.anew {
        work.begin_anew()?;
    }
    // The spans first: 'the end' of an open slice is the one after this change.
    insert_bundles(work.db, work.names, &change.bundles)?;
    for (table, rows) in &change.insert {
        work.insert(*table, rows)?;
    }
    for update in &change.update {
        work.update(update)?;
    }
    for (table, row) in &change.delete {
        let place = work.place(*table)?;
        delete_row(work.db, &place, *row)?;
        if let Some(id) = table.triad {
            work.get(id)?.add_rows(table_index(*table)?, -1);
        }
    }
    for triad in &change.make_live {
        work.get(*triad)?.set_state(TriadState::Live);
    }
    if let Some(replacement) = &change.replace {
        work.replace(replacement)?;
    }
    if let Some(forgetting) = &change.forget {
        work.forget(forgetting)?;
    }
    let forgetting = change.forget.iter().flat_map(|f| f.replace.iter().map(|r| r.new));
    let widened = change.bundles.iter().map(|bundle| bundle.triad).filter(|triad| *triad != TriadId::NONE);
    let widened: BTreeSet<TriadId> =
        widened.chain(change.replace.iter().map(|r| r.new)).chain(forgetting).collect();
    for id in widened {
        let mut triad = work.get(id)?.clone();
        triad.measure(work.db)?;
        *work.get(id)? = triad;
    }
    for triad in &change.seal {
        work.seal(*triad)?;
    }
    work.add_urls(&change.urls)?;
    work.learn_names(&change.named)?;
    keep_halves(work.db, &change.keep_halves)?;
    drop_halves(work.db, &change.drop_halves)?;
    work.save()?;
    insert_actions(work.db, &change.actions)?;
    let changed = !change.make_live.is_empty()
        || change.replace.is_some()
        || !change.seal.is_empty()
        || change.anew
        || change.forget.is_some();
    if changed {
        bump_generation(work.db)?;
    }
    Ok(changed)
}

/// Adds rows to a triad that does not count yet.
pub(super) fn fill(
    db: &mut Db,
    names: &mut Names,
    orders: &mut Orders,
    table: TableRef,
    rows: &[Row],
) -> Result<(), StoreError> {
    let mut work = Work::new(db, names, orders);
    let creating = match table.triad {
        Some(id) => work.get(id)?.state() == Some(TriadState::Creating),
        None => false,
    };
    if !creating {
        return Err(failure("fill a table", "only a triad that does not count yet can be filled"));
    }
    work.insert(table, rows)?;
    work.save()
}

impl<'a> Work<'a> {
    fn new(db: &'a mut Db, names: &'a mut Names, orders: &'a mut Orders) -> Self {
        let (triads, places, ends) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { db, names, orders, triads, places, ends }
    }

    /// Returns the number of a run, giving it one where it has none.
    pub(super) fn run_number(&mut self, run: RunId) -> Result<i64, StoreError> {
        self.names.run(self.db, run)
    }

    fn save(&mut self) -> Result<(), StoreError> {
        self.triads.values().try_for_each(|triad| triad.save(self.db))
    }

    /// Returns a triad to be changed.
    pub(super) fn get(&mut self, id: TriadId) -> Result<&mut TriadRow, StoreError> {
        match self.triads.entry(id) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => {
                let missing = || failure(format_args!("change triad {}", id.0), "it is not in pofr_triads");
                Ok(unknown.insert(find_triad(self.db, id)?.ok_or_else(missing)?))
            }
        }
    }

    /// Finds a table, and for an open slice the end of each source's record after this change.
    fn place(&mut self, table: TableRef) -> Result<Rc<Place>, StoreError> {
        if let Some(place) = self.places.get(&table) {
            return Ok(Rc::clone(place));
        }
        let place = match table.triad {
            None => Place::find(self.db, self.names, table)?,
            Some(id) => {
                let triad = self.get(id)?.clone();
                let name = current_name(self.db, &triad, table_index(table)?)?;
                let ends = if triad.is_open == 0 { None } else { Some(self.ends(id)?.clone()) };
                Place { spec: spec(table.kind), name, ends }
            }
        };
        let place = Rc::new(place);
        self.places.insert(table, Rc::clone(&place));
        Ok(place)
    }

    fn ends(&mut self, id: TriadId) -> Result<&Ends, StoreError> {
        if !self.ends.contains_key(&id) {
            let ends = triad_ends(self.db, self.names, id.0)?;
            self.ends.insert(id, ends);
        }
        Ok(&self.ends[&id])
    }

    fn insert(&mut self, table: TableRef, rows: &[Row]) -> Result<(), StoreError> {
        let place = self.place(table)?;
        self.names.number_all(self.db, rows)?;
        let live = |row: &Row| goes_on(&row.life, place.row_end(row.run));
        insert_rows(self.db, self.names, place.spec, &place.name, rows, live)?;
        let Some(id) = table.triad else { return Ok(()) };
        let in_order = self.orders.follow(id, table.kind, rows);
        let index = table_index(table)?;
        let triad = self.get(id)?;
        triad.add_rows(index, i64::try_from(rows.len()).unwrap_or(i64::MAX));
        if !in_order {
            triad.sorted = 0;
        }
        for row in rows {
            let (lowest, highest) = extremes(&row.life);
            triad.widen(lowest, highest);
        }
        Ok(())
    }

    fn update(&mut self, update: &pofr_core::store::RowUpdate) -> Result<(), StoreError> {
        let place = self.place(update.table)?;
        let sorted = match update.table.triad {
            Some(id) => self.get(id)?.sorted != 0,
            None => false,
        };
        let moved = update_row(self.db, self.names, &place, update, sorted)?;
        if let Some(id) = update.table.triad {
            let triad = self.get(id)?;
            if moved {
                triad.sorted = 0;
            }
            let (lowest, highest) = extremes(&update.life);
            triad.widen(lowest, highest);
        }
        Ok(())
    }

    /// Writes down what the ledger filled in so far, and notes the final names.
    fn seal(&mut self, id: TriadId) -> Result<(), StoreError> {
        let ends = self.ends(id)?.clone();
        let triad = self.get(id)?.clone();
        if triad.is_open == 0 {
            return Ok(());
        }
        for (kind, name) in FactKind::TRIAD.iter().zip(triad.tables()) {
            let spec = spec(*kind);
            let action = format!("seal table {name}");
            let of_kind = ends.iter().filter(|((_, source), _)| spec.source().as_ref() == Some(source));
            for ((run, _), end) in of_kind {
                let Some(run) = self.names.runs.get(run) else { continue };
                let statement = Statement::new("UPDATE ")
                    .name(name)
                    .sql(" SET last_seen = ")
                    .int(end.0)
                    .sql(" WHERE right_edge = ")
                    .int(LIVE)
                    .sql(" AND first_seen IS NOT NULL AND last_seen IS NULL AND run = ")
                    .int(*run);
                self.db.execute(statement).doing(&action)?;
            }
        }
        let row = triad.triad()?;
        let old = triad.psname[prefixes(Level::Slice)[0].len()..].to_owned();
        let names = free_names(self.db, row.level, false, (row.from, row.to), row.zone)?;
        // Its rows are read by other names, and without ends, from now on.
        self.places.retain(|table, _| table.triad != Some(id));
        let last = ends.values().map(|end| end.0).max();
        let triad = self.get(id)?;
        triad.is_open = 0;
        triad.highest = triad.highest.max(last);
        triad.renamed_from = Some(old);
        triad.set_tables(names);
        Ok(())
    }
}
