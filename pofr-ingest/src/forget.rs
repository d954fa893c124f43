//! Forgetting: everything before a time goes for good, and the ledger says so.
//!
//! ```text
//! bundles      [---1---][---2---][---3---][---4---]
//! before                    ^                        1 goes; 2 holds that time, so it stays whole
//! afterwards   tombstone[---2---][---3---][---4---]
//! ```
//!
//! Whole bundles go, so that every time that stays is a stamp of a sample that stays: the record is what it would be if the
//! bundles that went had never come, but for their entries in the ledger, by which they are known if they come again. Whole
//! triads are dropped; one that has bundles of both kinds is written anew without the rows that go. One transaction swaps all
//! of it. Kept bundles go too, before the transaction ends the matter: a forgetting that was killed is to be said again.

use crate::{
    inbox::InboxError,
    kept::Kept,
    urls::{self, Users},
};
use pofr_core::{
    digest::Sha256,
    fact::FactKind,
    identity::RunId,
    lifetime::Row,
    source::Source,
    store::{
        Action, ActionKind, Change, ClientStore, Forgetting, Ledger, Replacement, RowId, RowUpdate,
        StoreError, StoredBundle, TableRef, Triad, TriadId, UrlUse,
    },
    time::WallMicros,
    wire::name::BundleName,
};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Why nothing was forgotten.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForgetError {
    /// A hold forbids it.
    #[error("a hold forbids it since {since}: {why}\nhint: pofrs hold --release lifts it")]
    Held {
        /// Since when, by the server's clock.
        since: WallMicros,
        /// Why it was laid on.
        why: String,
    },
    /// Kept bundles cannot be removed.
    #[error(transparent)]
    Kept(#[from] InboxError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What forgetting comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// The time before which nothing is left: at or before the one asked for, where a bundle begins. `None` where nothing is.
    pub before: Option<WallMicros>,
    /// Bundles that go.
    pub bundles: u64,
    /// Rows that go.
    pub rows: u64,
    /// Kept files that go.
    pub files: u64,
}

/// Returns what the ledger keeps of a bundle whose time has been forgotten.
#[must_use]
pub fn tombstone(bundle: &StoredBundle) -> StoredBundle {
    StoredBundle { spans: Vec::new(), triad: TriadId::NONE, ..bundle.clone() }
}

/// What goes, and where the record of each run and source begins then.
#[derive(Debug, Default)]
pub struct Plan {
    /// The time before which nothing will be left.
    pub before: Option<WallMicros>,
    /// The bundles that go.
    pub bundles: Vec<Sha256>,
    names: Vec<BundleName>,
    /// Of each run that stays in part: the first stamp that stays.
    from: HashMap<RunId, WallMicros>,
    /// Runs of which nothing stays.
    gone: HashSet<RunId>,
    /// The first stamp of each source that stays.
    begins: HashMap<(RunId, Source), WallMicros>,
    drop: Vec<TriadId>,
    rewrite: Vec<Triad>,
}

/// Works out what goes where everything before `before` is to be forgotten.
#[must_use]
pub fn plan(ledger: &Ledger, before: WallMicros) -> Plan {
    let there = |b: &&StoredBundle| b.triad != TriadId::NONE;
    let (go, stay): (Vec<&StoredBundle>, Vec<&StoredBundle>) =
        ledger.bundles.iter().filter(there).partition(|b| b.entry.last < before);
    let mut plan = Plan::default();
    if go.is_empty() {
        return plan;
    }
    for bundle in &stay {
        if go.iter().any(|b| b.entry.run == bundle.entry.run) {
            let from = plan.from.entry(bundle.entry.run).or_insert(bundle.entry.first);
            *from = bundle.entry.first.min(*from);
        }
        for span in &bundle.spans {
            let begin = plan.begins.entry((bundle.entry.run, span.source.clone())).or_insert(span.first);
            *begin = span.first.min(*begin);
        }
    }
    let stays: HashSet<RunId> = stay.iter().map(|b| b.entry.run).collect();
    plan.gone = go.iter().map(|b| b.entry.run).filter(|run| !stays.contains(run)).collect();
    // Where two runs claim one time, the later one may begin within what the earlier one keeps.
    let last_gone = go.iter().map(|b| b.entry.last).max().unwrap_or_default();
    plan.before =
        Some(stay.iter().map(|b| b.entry.first).min().unwrap_or(before).min(before).max(last_gone.plus(1)));
    plan.bundles = go.iter().map(|b| b.entry.sha256).collect();
    plan.names = go.iter().filter_map(|b| b.entry.name.parse().ok()).collect();
    let losing: HashSet<TriadId> = go.iter().map(|b| b.triad).collect();
    let keeping: HashSet<TriadId> = stay.iter().map(|b| b.triad).collect();
    // The rows at a new beginning know of the sample before it.
    let first = |b: &StoredBundle| {
        b.spans.iter().any(|s| plan.begins.get(&(b.entry.run, s.source.clone())) == Some(&s.first))
    };
    let beginning: HashSet<TriadId> = stay.iter().filter(|b| first(b)).map(|b| b.triad).collect();
    for triad in ledger.live() {
        if losing.contains(&triad.id) && !keeping.contains(&triad.id) {
            plan.drop.push(triad.id);
        } else if losing.contains(&triad.id) || beginning.contains(&triad.id) {
            plan.rewrite.push(triad.clone());
        }
    }
    plan
}

/// Forgets everything before `before`; `who` and `why` go into the ledger.
///
/// # Errors
/// [`ForgetError::Held`], or where the store or the directory of kept bundles fails; then the record is as it was, but some kept
/// files may be gone.
pub fn forget(
    store: &mut dyn ClientStore,
    kept: &Kept,
    before: WallMicros,
    now: WallMicros,
    who: &str,
    why: &str,
) -> Result<Report, ForgetError> {
    let mut ledger = store.ledger()?;
    if let Some(hold) = ledger.hold() {
        return Err(ForgetError::Held { since: hold.at, why: hold.why.clone() });
    }
    // An open slice has rows that only the ledger ends.
    let open: Vec<TriadId> = ledger.live().filter(|t| t.open && t.from < before).map(|t| t.id).collect();
    if !open.is_empty() {
        store.commit(&Change { seal: open, ..Change::default() })?;
        ledger = store.ledger()?;
    }
    let plan = plan(&ledger, before);
    if plan.before.is_none() {
        return Ok(Report::default());
    }
    let action = Action {
        at: now,
        kind: ActionKind::Forget,
        before: plan.before,
        bundles: 0,
        rows: 0,
        who: who.to_owned(),
        why: why.to_owned(),
    };
    carry_out(store, Some(kept), &ledger, &plan, action)
}

/// Takes a bundle out of the record whose run is its own: what was streamed of one that has come whole after all.
///
/// # Errors
/// As [`forget`], but a hold does not forbid it: all that goes is in the bundle that takes its place.
pub fn withdraw(
    store: &mut dyn ClientStore,
    kept: Option<&Kept>,
    streamed: &StoredBundle,
    now: WallMicros,
) -> Result<Report, ForgetError> {
    let ledger = store.ledger()?;
    let mut plan = Plan {
        bundles: vec![streamed.entry.sha256],
        names: streamed.entry.name.parse().ok().into_iter().collect(),
        gone: HashSet::from([streamed.entry.run]),
        ..Plan::default()
    };
    let shared =
        ledger.bundles.iter().any(|b| b.triad == streamed.triad && b.entry.sha256 != streamed.entry.sha256);
    if let Some(triad) = ledger.live().find(|t| t.id == streamed.triad) {
        if shared { plan.rewrite.push(triad.clone()) } else { plan.drop.push(triad.id) }
    }
    let action = Action {
        at: now,
        kind: ActionKind::Withdraw,
        before: None,
        bundles: 0,
        rows: 0,
        who: "pofrs ingest".to_owned(),
        why: format!("bundle {} has come whole", streamed.entry.seq.0),
    };
    carry_out(store, kept, &ledger, &plan, action)
}

/// Does what is planned, in one transaction, and says so in the ledger.
fn carry_out(
    store: &mut dyn ClientStore,
    kept: Option<&Kept>,
    ledger: &Ledger,
    plan: &Plan,
    action: Action,
) -> Result<Report, ForgetError> {
    let mut report = Report { before: plan.before, bundles: plan.bundles.len() as u64, ..Report::default() };
    let dropped: BTreeSet<TriadId> = plan.drop.iter().copied().collect();
    report.rows = ledger.live().filter(|t| dropped.contains(&t.id)).flat_map(|t| t.rows).sum();
    let mut change = Change::default();
    let mut forgetting =
        Forgetting { bundles: plan.bundles.clone(), drop: plan.drop.clone(), ..Forgetting::default() };
    forgetting.urls = plan.gone.iter().map(|run| (*run, None)).collect();
    forgetting.urls.extend(plan.from.iter().map(|(run, from)| (*run, Some(*from))));
    for triad in &plan.rewrite {
        let new = rewrite(store, triad, plan, &mut report, &mut forgetting.urls_stay)?;
        forgetting.replace.push(Replacement { new, old: vec![triad.id] });
    }
    for triad in ledger.live() {
        let is_untouched = !dropped.contains(&triad.id) && plan.rewrite.iter().all(|t| t.id != triad.id);
        let of_clipped = |b: &StoredBundle| b.triad == triad.id && plan.from.contains_key(&b.entry.run);
        if is_untouched && ledger.bundles.iter().any(of_clipped) {
            keep_urls(store, triad.id, plan, &mut forgetting.urls_stay)?;
        }
    }
    for kind in FactKind::ALL.into_iter().filter(|kind| !kind.in_triad()) {
        clip_table(store, TableRef { triad: None, kind }, plan, &mut change, &mut report)?;
    }
    // The files first: whoever is killed in between says it again, and the ledger still knows which.
    report.files = kept.map_or(Ok(0), |kept| kept.remove(&plan.names))?;
    change.forget = Some(forgetting);
    change.actions.push(Action { bundles: report.bundles, rows: report.rows, ..action });
    store.commit(&change)?;
    Ok(report)
}

/// Rows read and written at a time.
const PAGE: u32 = 5_000;

/// Writes what stays of a triad into a new one.
fn rewrite(
    store: &mut dyn ClientStore,
    triad: &Triad,
    plan: &Plan,
    report: &mut Report,
    urls: &mut Vec<UrlUse>,
) -> Result<TriadId, StoreError> {
    let new = store.create_triad(
        triad.level,
        false,
        triad.from.max(plan.before.unwrap_or_default()),
        triad.to,
        triad.zone,
    )?;
    for kind in FactKind::TRIAD {
        let (old, target) = (TableRef { triad: Some(triad.id), kind }, TableRef { triad: Some(new), kind });
        let mut after = RowId(0);
        loop {
            let page = store.page(old, after, PAGE)?;
            let Some((last, _)) = page.last() else { break };
            after = *last;
            let all = page.len();
            let stay: Vec<Row> = page.into_iter().filter_map(|(_, row)| plan.clip(row)).collect();
            report.rows += (all - stay.len()) as u64;
            // Their users are known already.
            urls.extend(urls::used(&stay, &Users::default()));
            store.fill(target, &stay)?;
        }
    }
    Ok(new)
}

/// Finds the URLs that processes of a triad which stays as it is still have: those that also have rows in what is forgotten are
/// listed at a time that goes.
fn keep_urls(
    store: &mut dyn ClientStore,
    triad: TriadId,
    plan: &Plan,
    urls: &mut Vec<UrlUse>,
) -> Result<(), StoreError> {
    let table = TableRef { triad: Some(triad), kind: FactKind::Process };
    let mut after = RowId(0);
    loop {
        let page = store.page(table, after, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = *last;
        let of_clipped = page.iter().map(|(_, row)| row).filter(|row| plan.from.contains_key(&row.run));
        urls.extend(urls::used(of_clipped, &Users::default()));
    }
}

/// Plans what becomes of the rows of a table that is in no triad.
fn clip_table(
    store: &mut dyn ClientStore,
    table: TableRef,
    plan: &Plan,
    change: &mut Change,
    report: &mut Report,
) -> Result<(), StoreError> {
    let mut after = RowId(0);
    loop {
        let page = store.page(table, after, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = *last;
        for (id, row) in page {
            let life = row.life;
            match plan.clip(row) {
                None => {
                    report.rows += 1;
                    change.delete.push((table, id));
                }
                Some(row) if row.life != life => {
                    change.update.push(RowUpdate { table, id, life: row.life, learned: None });
                }
                Some(_) => {}
            }
        }
    }
}

impl Plan {
    /// Returns what stays of a row.
    fn clip(&self, row: Row) -> Option<Row> {
        if self.gone.contains(&row.run) {
            return None;
        }
        let Some(from) = self.from.get(&row.run) else { return Some(row) };
        let begin = self.begins.get(&(row.run, row.fact.source())).copied();
        row.life.clipped(*from, begin).map(|life| Row { life, ..row })
    }
}
