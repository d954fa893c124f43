//! One client's record: the reader, the writer, and what both do alike.

use super::{commit, lock::Lock, order::Orders, place::Place, read, recover, triads};
use crate::{
    db::{Db, Dialect, Pools, Rights, is_vanished},
    ledger::{
        Names, TriadRow, border_at, find_triad, gaps_touching, load_halves, load_triads, open_triad,
        spans_within, vicinity,
    },
    query,
};
use pofr_core::{
    coverage::{Border, PlacedSpan},
    digest::Sha256,
    fact::FactKind,
    gap::Gap,
    identity::{Cid, RunId},
    lifetime::Row,
    source::Source,
    store::{
        Change, ClientReader, ClientStore, Edge, EdgeRow, Ledger, Level, PendingHalf, RowId, RowReader,
        RunOrder, Search, StateAt, StoreError, StoredBundle, TableRef, Triad, TriadId, Vicinity,
    },
    time::{WallMicros, ZoneOffset},
};
use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    ops::ControlFlow,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

/// How often a read begins again because tables changed underneath it.
const ATTEMPTS: u32 = 50;

/// A connection to one client's database.
pub(super) struct Session {
    pub(super) db: Db,
    pub(super) cid: Cid,
    /// The SQLite file; `None` on MariaDB.
    pub(super) file: Option<PathBuf>,
    /// Where more connections come from.
    pub(super) pools: Arc<Pools>,
}

impl Session {
    /// Reads one state of the database; begins again where a table was renamed or dropped underneath.
    fn consistent<T>(
        &mut self,
        action: &str,
        mut body: impl FnMut(&mut Db, &Names) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut attempt = 0;
        loop {
            let cid = &self.cid;
            let result = self.db.snapshot(action, |db| {
                let names = Names::load(db, cid)?;
                body(db, &names)
            });
            match result {
                Err(error) if attempt < ATTEMPTS && is_vanished(&error) => {
                    attempt += 1;
                    std::thread::sleep(Duration::from_millis(20));
                }
                other => return other,
            }
        }
    }

    /// Hands out the rows of a search; begins again where a table was renamed or dropped before the first one was told.
    fn search(
        &mut self,
        search: &Search,
        each: &mut dyn FnMut(Row) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut told = false;
        let mut failed = None;
        self.consistent("search the record", |db, names| {
            match query::search(db, names, search, &mut told, each) {
                // Whoever begins again would tell it again.
                Err(error) if told => {
                    failed = Some(error);
                    Ok(())
                }
                other => other,
            }
        })?;
        failed.map_or(Ok(()), Err)
    }
}

macro_rules! read_alike {
    ($name:ident) => {
        impl ClientReader for $name {
            fn ledger(&mut self) -> Result<Ledger, StoreError> {
                self.session.consistent("read the ledger", read::ledger)
            }

            fn recent(&mut self, since: WallMicros) -> Result<Ledger, StoreError> {
                self.session.consistent("read the ledger", |db, names| read::recent(db, names, since))
            }

            fn state_at(&mut self, kind: FactKind, t: WallMicros) -> Result<StateAt, StoreError> {
                self.session
                    .consistent("read the state at a moment", |db, names| query::state_at(db, names, kind, t))
            }

            fn search(
                &mut self,
                search: &Search,
                each: &mut dyn FnMut(Row) -> ControlFlow<()>,
            ) -> Result<(), StoreError> {
                self.session.search(search, each)
            }

            fn border(
                &mut self,
                run: RunId,
                source: &Source,
                edge: Edge,
            ) -> Result<Option<Border>, StoreError> {
                let border = |db: &mut Db, names: &Names| border_at(db, names, run, source, edge);
                self.session.consistent("read a border", border)
            }

            fn beside(&self) -> Result<Box<dyn ClientReader>, StoreError> {
                let Session { cid, file, pools, .. } = &self.session;
                let (cid, file, pools) = (cid.clone(), file.clone(), Arc::clone(pools));
                let db = pools.get(&cid.database(), Rights::Read)?;
                Ok(Box::new(Reader { session: Session { db, cid, file, pools } }))
            }

            fn gaps(
                &mut self,
                from: Option<WallMicros>,
                until: Option<WallMicros>,
            ) -> Result<Vec<Gap>, StoreError> {
                self.session.consistent("read the gaps", |db, names| gaps_touching(db, names, (from, until)))
            }

            fn page(
                &mut self,
                table: TableRef,
                after: RowId,
                limit: u32,
            ) -> Result<Vec<(RowId, Row)>, StoreError> {
                self.session.consistent("read a page of rows", |db, names| {
                    let place = Place::find(db, names, table)?;
                    read::page(db, names, &place, after, limit)
                })
            }

            fn sql(
                &mut self,
                statement: &str,
                each: &mut dyn FnMut(serde_json::Map<String, serde_json::Value>) -> ControlFlow<()>,
            ) -> Result<(), StoreError> {
                query::sql(&mut self.session.db, statement, each)
            }

            fn forgotten_before(&mut self) -> Result<Option<WallMicros>, StoreError> {
                crate::ledger::forgotten_before(&mut self.session.db)
            }

            fn stored_bytes(&mut self) -> Result<u64, StoreError> {
                read::stored_bytes(&mut self.session.db, self.session.file.as_deref())
            }
        }
    };
}

/// Reads a client's record.
pub(super) struct Reader {
    pub(super) session: Session,
}
read_alike!(Reader);

/// Writes a client's record.
pub(super) struct Writer {
    pub(super) session: Session,
    lock: Lock,
    names: Names,
    orders: Orders,
    /// Whether views and names still lag behind the ledger (MariaDB alone).
    unfinished: bool,
}
read_alike!(Writer);

impl Writer {
    /// Makes a writer of a session whose lock is held: recovers first.
    pub(super) fn new(mut session: Session, lock: Lock) -> Result<Self, StoreError> {
        let finished = recover::recover(&mut session.db)?;
        let names = Names::load(&mut session.db, &session.cid)?;
        Ok(Self { session, lock, names, orders: Orders::default(), unfinished: !finished })
    }

    /// Runs a change of the tables in one transaction, and takes back in memory what a failure took back on disk.
    fn transact<T>(
        &mut self,
        action: &str,
        body: impl FnOnce(&mut Db, &mut Names, &mut Orders) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let Self { session, names, orders, .. } = self;
        let before = names.clone();
        let result = session.db.write(action, |db| body(db, names, orders));
        if result.is_err() {
            self.names = before;
            // What was added last is not known any more.
            self.orders = Orders::default();
        }
        result
    }

    /// Brings MariaDB's names and views in line with the ledger. The change itself is done, so a failure is not its failure: the
    /// next change or the next writer makes up for it.
    fn catch_up(&mut self) {
        match recover::finish(&mut self.session.db) {
            Ok(()) => self.unfinished = false,
            Err(error) => {
                tracing::warn!(client = %self.session.cid, %error, "the merged views lag behind the ledger");
                self.unfinished = true;
            }
        }
    }
}

impl ClientStore for Writer {
    fn create_triad(
        &mut self,
        level: Level,
        open: bool,
        from: WallMicros,
        to: WallMicros,
        zone: ZoneOffset,
    ) -> Result<TriadId, StoreError> {
        let triad = TriadId(triads::create(&mut self.session.db, level, open, (from, to), zone)?.id);
        self.orders.begin(triad);
        Ok(triad)
    }

    fn fill(&mut self, table: TableRef, rows: &[Row]) -> Result<(), StoreError> {
        self.transact("fill a triad", |db, names, orders| commit::fill(db, names, orders, table, rows))
    }

    fn edge_rows(
        &mut self,
        table: TableRef,
        run: RunId,
        source: &Source,
        edge: Edge,
    ) -> Result<Vec<EdgeRow>, StoreError> {
        read::edge_rows(&mut self.session.db, &self.names, table, run, source, edge)
    }

    fn row_reader(&mut self) -> Result<Box<dyn RowReader>, StoreError> {
        let db = self.session.pools.get(&self.session.cid.database(), Rights::Read)?;
        Ok(Box::new(Rows { db, names: self.names.clone(), places: HashMap::new() }))
    }

    fn pending_halves(&mut self) -> Result<Vec<PendingHalf>, StoreError> {
        load_halves(&mut self.session.db)
    }

    fn commit(&mut self, change: &Change) -> Result<(), StoreError> {
        if self.unfinished {
            self.catch_up();
        }
        for id in change.make_live.iter().chain(change.replace.iter().map(|r| &r.new)) {
            triads::create_missing_indexes(&mut self.session.db, *id)?;
        }
        let sqlite = self.session.db.dialect() == Dialect::Sqlite;
        let changed = self.transact("commit a change", |db, names, orders| {
            let changed = commit::apply(db, names, orders, change)?;
            if changed && sqlite {
                recover::finish(db)?;
            }
            Ok(changed)
        })?;
        if changed {
            if !sqlite {
                self.catch_up();
            }
            self.session.db.forget_statements();
        }
        Ok(())
    }
}

/// Reads rows while the writer, which holds the lock, leaves their triads alone: so names and tables are looked up once.
struct Rows {
    db: Db,
    names: Names,
    places: HashMap<TableRef, Place>,
}

impl Rows {
    /// Returns a table's place; the first look for it asks the ledger.
    fn place(&mut self, table: TableRef) -> Result<(&mut Db, &Names, &Place), StoreError> {
        let Self { db, names, places } = self;
        let place = match places.entry(table) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(Place::find(db, names, table)?),
        };
        Ok((db, names, place))
    }
}

impl RowReader for Rows {
    fn page(&mut self, table: TableRef, after: RowId, limit: u32) -> Result<Vec<(RowId, Row)>, StoreError> {
        let (db, names, place) = self.place(table)?;
        read::page(db, names, place, after, limit)
    }

    fn sorted_ids(&mut self, table: TableRef) -> Result<Vec<RowId>, StoreError> {
        let (db, _, place) = self.place(table)?;
        read::sorted_ids(db, place)
    }

    fn rows(&mut self, table: TableRef, ids: &[RowId]) -> Result<Vec<Row>, StoreError> {
        let (db, names, place) = self.place(table)?;
        read::rows(db, names, place, ids)
    }
}

/// Only the one writer asks these, so there is nothing that could change in between.
impl Vicinity for Writer {
    fn stored(&mut self, bundles: &[Sha256]) -> Result<HashSet<Sha256>, StoreError> {
        vicinity::stored(&mut self.session.db, bundles)
    }

    fn owner(&mut self) -> Result<Option<Cid>, StoreError> {
        vicinity::owner(&mut self.session.db)
    }

    fn open_slice(&mut self) -> Result<Option<Triad>, StoreError> {
        open_triad(&mut self.session.db)?.map(|triad| triad.triad()).transpose()
    }

    fn last_stamp(&mut self) -> Result<Option<WallMicros>, StoreError> {
        vicinity::last_stamp(&mut self.session.db)
    }

    fn near(&mut self, bundle: &StoredBundle) -> Result<Vec<StoredBundle>, StoreError> {
        vicinity::near(&mut self.session.db, &self.names, bundle)
    }

    fn beside(&mut self, run: RunId, t: WallMicros) -> Result<Vec<(WallMicros, WallMicros)>, StoreError> {
        vicinity::beside(&mut self.session.db, &self.names, run, t)
    }

    fn runs(&mut self) -> Result<Vec<RunOrder>, StoreError> {
        vicinity::runs(&mut self.session.db, &self.names)
    }

    fn ends(&mut self, run: RunId) -> Result<Vec<StoredBundle>, StoreError> {
        vicinity::ends(&mut self.session.db, &self.names, run)
    }

    fn spans_within(
        &mut self,
        source: &Source,
        from: WallMicros,
        to: WallMicros,
    ) -> Result<Vec<PlacedSpan>, StoreError> {
        spans_within(&mut self.session.db, &self.names, source, (from, to))
    }

    fn triads(&mut self) -> Result<Vec<Triad>, StoreError> {
        load_triads(&mut self.session.db)?.iter().map(TriadRow::triad).collect()
    }

    fn triad(&mut self, id: TriadId) -> Result<Option<Triad>, StoreError> {
        find_triad(&mut self.session.db, id)?.map(|triad| triad.triad()).transpose()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.session.db.forget_statements();
        self.lock.release(&mut self.session.db);
    }
}
