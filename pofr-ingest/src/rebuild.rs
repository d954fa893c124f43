//! Rebuilding: a record made anew from kept bundles.
//!
//! The bundles are ingested into a scratch store, merged there as the limits say, and the whole is then copied into new triads
//! of the client's record, which do not count yet. One transaction makes them count in the place of everything that did.
//! Whoever is killed before that has changed nothing; readers see the old record or the new one.
//!
//! What the bundles themselves do not hold is taken from the old ledger: when the server received them, what was forgotten, what
//! was done to the record.

use crate::{
    inbox::{Inbox, InboxError},
    ingest::{self, IngestError, Options},
    kept::Kept,
    levels::{self, Policy},
    service,
    urls::{self, Users},
};
use pofr_core::{
    digest::Sha256,
    fact::FactKind,
    identity::Cid,
    lifetime::Row,
    store::{
        Action, ActionKind, Change, ClientStore, Ledger, PendingHalf, RowId, Store, StoreError, StoredBundle,
        TableRef, TriadId,
    },
    wire::name::BundleName,
};
use std::collections::{HashMap, HashSet};

/// Why a record was not rebuilt. It is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RebuildError {
    /// Bundles that the record has are not kept.
    #[error("{} bundles of the record are not among those kept, the first of them {}\nhint: --partial makes it anew without them", .0.len(), .0.first().map_or("", |name| name.as_str()))]
    NotKept(Vec<String>),
    /// Nothing is kept.
    #[error("no bundle of client {0} is kept")]
    Nothing(Cid),
    /// Ingesting failed.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The kept bundles cannot be read.
    #[error(transparent)]
    Kept(#[from] InboxError),
}

/// What rebuilding came to.
#[derive(Debug, Default)]
pub struct Report {
    /// Bundles that the record now has.
    pub bundles: u64,
    /// Rows that it now has.
    pub rows: u64,
    /// Bundles that it had and has no more, by their names.
    pub lost: Vec<String>,
    /// Kept files that turned out to be bad: name and reason.
    pub quarantined: Vec<(String, String)>,
}

/// How far it has come: bundles ingested of all that are kept; then rows copied of all that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ingesting.
    Bundles(u64, u64),
    /// Copying.
    Rows(u64, u64),
}

/// What to rebuild, and how.
pub struct Rebuild<'a> {
    /// The client.
    pub cid: &'a Cid,
    /// Its kept bundles.
    pub kept: &'a Kept,
    /// An empty store, to be thrown away afterwards.
    pub scratch: &'a dyn Store,
    /// How to ingest.
    pub options: Options,
    /// When to merge.
    pub policy: Policy,
    /// Whether to go on without bundles that are not kept.
    pub partial: bool,
    /// Who does it.
    pub who: String,
    /// Why.
    pub why: String,
}

impl Rebuild<'_> {
    /// Rebuilds the record that `target` writes.
    ///
    /// # Errors
    /// [`RebuildError`]; then the record is as it was.
    pub fn run(
        &self,
        target: &mut dyn ClientStore,
        progress: &mut dyn FnMut(Step),
    ) -> Result<Report, RebuildError> {
        let old = target.ledger()?;
        let waiting = target.pending_halves()?;
        let mut report = Report::default();
        service::add_client(self.scratch, self.cid, (self.options.now)())?;
        let mut scratch = self.scratch.write(self.cid)?;
        self.ingest(&mut *scratch, &old, &waiting, &mut report, progress)?;
        let open: Vec<TriadId> = scratch.ledger()?.live().filter(|t| t.open).map(|t| t.id).collect();
        if !open.is_empty() {
            scratch.commit(&Change { seal: open, ..Change::default() })?;
        }
        let ledger = scratch.ledger()?;
        let found: HashSet<Sha256> = ledger.bundles.iter().map(|b| b.entry.sha256).collect();
        let there = |b: &&StoredBundle| b.triad != TriadId::NONE && !found.contains(&b.entry.sha256);
        report.lost = old.bundles.iter().filter(there).map(|b| b.entry.name.clone()).collect();
        if !report.lost.is_empty() && !self.partial {
            return Err(RebuildError::NotKept(report.lost));
        }
        self.adopt(target, &mut *scratch, &old, &ledger, waiting, &mut report, progress)?;
        Ok(report)
    }

    /// Takes all kept bundles into the scratch store.
    fn ingest(
        &self,
        scratch: &mut dyn ClientStore,
        old: &Ledger,
        waiting: &[PendingHalf],
        report: &mut Report,
        progress: &mut dyn FnMut(Step),
    ) -> Result<(), RebuildError> {
        // What was forgotten stays so, whatever is still kept of it.
        let gone: Vec<BundleName> = old
            .bundles
            .iter()
            .filter(|b| b.triad == TriadId::NONE)
            .filter_map(|b| b.entry.name.parse().ok())
            .collect();
        self.kept.remove(&gone)?;
        let forgotten = old.actions.iter().filter(|a| a.kind == ActionKind::Forget).cloned().collect();
        scratch.commit(&Change { actions: forgotten, ..Change::default() })?;
        let all = self.kept.all()?.len() as u64;
        if all == 0 {
            return Err(RebuildError::Nothing(self.cid.clone()));
        }
        // Halves wait until the end: when they came is not known any more.
        let mut options = Options { half_wait_micros: i64::MAX, ..self.options.clone() };
        let mut before = 0;
        for day in self.kept.days(options.limits.tar)? {
            let ingested = ingest::ingest(scratch, self.cid, &day, &options, &mut |done, _| {
                progress(Step::Bundles(before + done as u64, all));
            })?;
            before += ingested.stored + ingested.duplicates + ingested.quarantined.len() as u64;
            report.quarantined.extend(ingested.quarantined);
            levels::keep_up(scratch, &self.policy, &mut |_, _, _| {})?;
        }
        if !old.bundles.is_empty() {
            // Those that the record no longer waited for were given up.
            let still = |half: &&PendingHalf| {
                waiting.iter().any(|w| (w.stamp, w.is_proc) == (half.stamp, half.is_proc))
            };
            let halves = scratch.pending_halves()?;
            let drop_halves = halves.iter().filter(still).map(|h| (h.stamp, h.is_proc)).collect();
            scratch.commit(&Change { drop_halves, ..Change::default() })?;
            if halves.iter().any(|half| !still(&half)) {
                options.half_wait_micros = i64::MIN;
                let nothing = empty_inbox(self.kept);
                ingest::ingest(scratch, self.cid, &nothing, &options, &mut |_, _| {})?;
            }
        }
        Ok(())
    }

    /// Copies what the scratch store has into new triads, and makes them the record.
    #[expect(clippy::too_many_arguments, reason = "two stores, two ledgers, and what is reported")]
    fn adopt(
        &self,
        target: &mut dyn ClientStore,
        scratch: &mut dyn ClientStore,
        old: &Ledger,
        ledger: &Ledger,
        waiting: Vec<PendingHalf>,
        report: &mut Report,
        progress: &mut dyn FnMut(Step),
    ) -> Result<(), StoreError> {
        let all: u64 = ledger.live().flat_map(|t| t.rows).sum();
        let mut change = Change { anew: true, ..Change::default() };
        let mut users = Users::default();
        each_page(scratch, TableRef { triad: None, kind: FactKind::User }, |rows| {
            users.add(&rows);
            Ok(())
        })?;
        let mut moved: HashMap<TriadId, TriadId> = HashMap::from([(TriadId::NONE, TriadId::NONE)]);
        for triad in ledger.live() {
            let new = target.create_triad(triad.level, false, triad.from, triad.to, triad.zone)?;
            moved.insert(triad.id, new);
            change.make_live.push(new);
            for kind in FactKind::TRIAD {
                let from = TableRef { triad: Some(triad.id), kind };
                each_page(scratch, from, |rows| {
                    report.rows += rows.len() as u64;
                    progress(Step::Rows(report.rows, all));
                    change.urls.extend(urls::used(&rows, &users));
                    target.fill(TableRef { triad: Some(new), kind }, &rows)
                })?;
            }
        }
        for kind in FactKind::ALL.into_iter().filter(|kind| !kind.in_triad()) {
            let table = TableRef { triad: None, kind };
            each_page(scratch, table, |rows| {
                report.rows += rows.len() as u64;
                change.insert.push((table, rows));
                Ok(())
            })?;
        }
        let known: HashMap<Sha256, &StoredBundle> = old.bundles.iter().map(|b| (b.entry.sha256, b)).collect();
        for bundle in &ledger.bundles {
            let mut bundle = bundle.clone();
            bundle.triad = moved[&bundle.triad];
            if let Some(before) = known.get(&bundle.entry.sha256) {
                // Some gaps are between the client's clock and ours when it came.
                bundle.entry.received = before.entry.received;
                bundle.gaps.clone_from(&before.gaps);
            }
            change.bundles.push(bundle);
        }
        let buried = old.bundles.iter().filter(|b| b.triad == TriadId::NONE);
        change.bundles.extend(buried.cloned());
        report.bundles = change.bundles.len() as u64;
        change.keep_halves = if old.bundles.is_empty() { scratch.pending_halves()? } else { waiting };
        change.actions.push(Action {
            at: (self.options.now)(),
            kind: ActionKind::Rebuild,
            before: None,
            bundles: report.bundles,
            rows: report.rows,
            who: self.who.clone(),
            why: self.why.clone(),
        });
        target.commit(&change)
    }
}

/// Rows read at a time.
const PAGE: u32 = 5_000;

fn each_page(
    store: &mut dyn ClientStore,
    table: TableRef,
    mut each: impl FnMut(Vec<Row>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut after = RowId(0);
    loop {
        let page = store.page(table, after, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = *last;
        each(page.into_iter().map(|(_, row)| row).collect())?;
    }
}

/// An inbox in which nothing waits.
fn empty_inbox(kept: &Kept) -> Inbox {
    // Only days lie directly in it, and directories are no candidates.
    Inbox::new(kept.dir(), 0)
}
