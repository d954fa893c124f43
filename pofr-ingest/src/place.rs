//! Placing: in which slice new bundles live, and what they and their neighbours learn of each other.
//!
//! Pure planning: reads what the ledger has next to the new bundles and the rows at the edges, and returns a [`Change`]. What
//! that costs depends on the bundles and their neighbours, not on how long the record is.
//!
//! New bundles either extend the open slice in place, where they are the next of its run, or get a slice of their own. Either way
//! every border between a new span and a stored one is settled at once, whatever level the stored one has reached: so a
//! reader always sees rows that know all that their neighbours can tell, and merging later has only to join.

mod boots;
mod fit;
mod fresh;

pub use fit::{check, follows};

use crate::{
    track::TrackedBundle,
    urls::{self, Users},
};
use fresh::Fresh;
use pofr_core::{
    coverage::{Border, Coverage, Neighbour, PlacedSpan},
    digest::KeyDigest,
    fact::FactKind,
    identity::{BootId, RunId},
    lifetime::Lifetime,
    merge,
    source::Source,
    store::{
        Change, ClientStore, Edge, EdgeRow, RowId, RowUpdate, RunOrder, StoreError, StoredBundle, TableRef,
        TriadId,
    },
    time::WallMicros,
};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Where new bundles go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Into the open slice, whose last bundle they follow.
    Extend(TriadId),
    /// Into a slice of their own.
    New {
        /// Which.
        id: TriadId,
        /// Whether it stays open for those that follow.
        open: bool,
    },
}

impl Target {
    const fn id(self) -> TriadId {
        match self {
            Self::Extend(id) | Self::New { id, .. } => id,
        }
    }
}

/// Plans how `bundles`, all of one run and new to the ledger, become part of the record. `near` are the stored bundles next to
/// each of them, each once, and `runs` all stored runs.
///
/// # Errors
/// Where the store cannot be read.
pub fn plan(
    store: &mut dyn ClientStore,
    mut near: Vec<StoredBundle>,
    runs: &[RunOrder],
    bundles: Vec<TrackedBundle>,
    target: Target,
) -> Result<Change, StoreError> {
    let mut plan = Plan { store, target, change: Change::default(), updates: BTreeMap::new() };
    let mut rows = Vec::new();
    let mut users = Users::default();
    for mut bundle in bundles {
        users.add(&bundle.rows);
        bundle.stored.triad = target.id();
        rows.append(&mut bundle.rows);
        plan.change.bundles.push(bundle.stored);
    }
    let boots_matter = boots::matter(runs, &near, &plan.change.bundles);
    if boots_matter {
        for run in runs {
            near.extend(plan.store.ends(run.run)?);
        }
        near.sort_by_key(|b| b.entry.sha256);
        near.dedup_by_key(|b| b.entry.sha256);
    }
    // The label tells new spans from stored ones, even within the slice that they extend.
    let relabel = |mut span: PlacedSpan| {
        span.group = NEW;
        span
    };
    let stored: Vec<PlacedSpan> = near.iter().flat_map(StoredBundle::placed_spans).collect();
    let new: Vec<PlacedSpan> =
        plan.change.bundles.iter().flat_map(StoredBundle::placed_spans).map(relabel).collect();
    let spans = [stored.as_slice(), new.as_slice()].concat();
    let is_sorted = matches!(target, Target::New { open: false, .. });
    if is_sorted || boots_matter || !is_unbroken(&new) {
        rows = merge::stitch(rows, &Coverage::among(&spans, |group| group == NEW));
    }
    // Before anything is joined to what is stored: a process that is stored has its URLs, and keeps the earlier time.
    plan.change.urls = urls::used(&rows, &users);
    let mut fresh = Fresh::new(rows);
    let coverage = Coverage::new(&spans);
    for span in &new {
        if let Some(Neighbour::Border(border)) = coverage.before(span.run, &span.span.source, span.span.first)
            && let Some(group) = ending_at(&stored, span, border.left)
        {
            plan.settle_left(&mut fresh, span, &border, group)?;
        }
        if let Some(Neighbour::Border(border)) = coverage.after(span.run, &span.span.source, span.span.last)
            && let Some(group) = beginning_at(&stored, span, border.right)
        {
            plan.settle_right(&mut fresh, span, &border, group)?;
        }
    }
    if boots_matter {
        plan.settle_boots(&stored, &Coverage::new(&stored), &coverage)?;
    }
    let mut change = plan.change;
    change.update = plan.updates.into_values().collect();
    change.insert = fresh.into_tables(target.id());
    if let Target::New { id, .. } = target {
        change.make_live.push(id);
    }
    Ok(change)
}

/// Tells whether no source has two spans, so that there is nothing to stitch among the new rows themselves.
fn is_unbroken(new: &[PlacedSpan]) -> bool {
    let mut lines = HashSet::new();
    new.iter().all(|span| lines.insert((span.run, &span.span.source)))
}

/// The label of spans that are about to be stored.
const NEW: i64 = i64::MIN;

/// Returns the label of the stored span of the same line that ends at `stamp`.
fn ending_at(stored: &[PlacedSpan], like: &PlacedSpan, stamp: WallMicros) -> Option<i64> {
    let same =
        |s: &&PlacedSpan| s.run == like.run && s.span.source == like.span.source && s.span.last == stamp;
    stored.iter().find(same).map(|s| s.group)
}

/// Returns the label of the stored span of the same line that begins at `stamp`.
fn beginning_at(stored: &[PlacedSpan], like: &PlacedSpan, stamp: WallMicros) -> Option<i64> {
    let same =
        |s: &&PlacedSpan| s.run == like.run && s.span.source == like.span.source && s.span.first == stamp;
    stored.iter().find(same).map(|s| s.group)
}

/// Returns the kinds of facts that a source reports.
#[must_use]
pub fn kinds_of(source: &Source) -> &'static [FactKind] {
    match source {
        Source::Process => &[FactKind::Process, FactKind::File],
        Source::Endpoint => &[FactKind::Endpoint],
        Source::Host => &[FactKind::Host],
        Source::Account => &[FactKind::User, FactKind::Group],
        Source::Interface => &[FactKind::Interface],
        Source::Route => &[FactKind::Route],
        Source::Device => &[FactKind::Device],
        Source::Module => &[FactKind::Module],
        Source::Custom(_) => &[FactKind::Custom],
    }
}

fn table(triad: TriadId, kind: FactKind) -> TableRef {
    TableRef { triad: kind.in_triad().then_some(triad), kind }
}

struct Plan<'a> {
    store: &'a mut dyn ClientStore,
    target: Target,
    change: Change,
    /// Stored rows that change; one may be settled at both of its ends.
    updates: BTreeMap<(TableRef, RowId), RowUpdate>,
}

impl Plan<'_> {
    /// Reads the stored rows at an edge, as they will be.
    fn edge_rows(
        &mut self,
        table: TableRef,
        span: &PlacedSpan,
        edge: Edge,
    ) -> Result<Vec<EdgeRow>, StoreError> {
        let mut rows = self.store.edge_rows(table, span.run, &span.span.source, edge)?;
        for row in &mut rows {
            if let Some(update) = self.updates.get(&(table, row.id)) {
                row.life = update.life;
            }
        }
        Ok(rows)
    }

    fn update(&mut self, update: RowUpdate) {
        let slot = self.updates.entry((update.table, update.id));
        let known = slot.or_insert_with(|| update.clone());
        known.life = update.life;
        known.learned = known.learned.take().or(update.learned);
    }

    /// Tells whether rows on both sides of a border live in one table, so that two that are one become one at once.
    fn one_table(&self, kind: FactKind, group: i64) -> bool {
        !kind.in_triad() || matches!(self.target, Target::Extend(id) if id.0 == group)
    }

    /// Settles the border between a stored span and a new one that follows it.
    fn settle_left(
        &mut self,
        fresh: &mut Fresh,
        span: &PlacedSpan,
        border: &Border,
        group: i64,
    ) -> Result<(), StoreError> {
        let last = self.last_stamp(span);
        for &kind in kinds_of(&span.span.source) {
            let table = table(TriadId(group), kind);
            let old = self.edge_rows(table, span, Edge::EndingAt(border.left))?;
            let new = fresh.at(kind, span, |life| life.begins_at(border));
            let settled = merge::settle(border, &keyed(&old), &dropped(&new));
            let mut partner = HashMap::new();
            if border.joined && self.one_table(kind, group) {
                partner.extend(settled.pairs.iter().copied());
            }
            for (i, old) in old.iter().enumerate() {
                match partner.get(&i) {
                    Some(&j) => {
                        let life = settled.left[i].joined(&settled.right[j]);
                        let fact = &fresh.rows[new[j].0].fact;
                        let learned = old.known.lacks_what(fact.known()).then(|| fact.clone());
                        let update = RowUpdate { table, id: old.id, life, learned };
                        if !goes_on_unchanged(&old.life, &update, last) {
                            self.update(update.clone());
                        }
                        fresh.joined.insert(new[j].0, update);
                    }
                    None if self.must_write(&old.life, &settled.left[i], group) => {
                        let life = settled.left[i];
                        self.update(RowUpdate { table, id: old.id, life, learned: None });
                    }
                    None => {}
                }
            }
            for (j, (i, ..)) in new.iter().enumerate() {
                if !fresh.joined.contains_key(i) {
                    fresh.set(*i, settled.right[j]);
                }
            }
        }
        Ok(())
    }

    /// Settles the border between a new span and a stored one that follows it.
    fn settle_right(
        &mut self,
        fresh: &mut Fresh,
        span: &PlacedSpan,
        border: &Border,
        group: i64,
    ) -> Result<(), StoreError> {
        for &kind in kinds_of(&span.span.source) {
            let table = table(TriadId(group), kind);
            let old = self.edge_rows(table, span, Edge::BeginningAt(border.right))?;
            let mut new = fresh.at(kind, span, |life| life.ends_at(border));
            for (i, _, life) in &mut new {
                if let Some(update) = fresh.joined.get(i) {
                    *life = update.life;
                }
            }
            let settled = merge::settle(border, &dropped(&new), &keyed(&old));
            let mut taken = BTreeSet::new();
            for (j, (i, ..)) in new.iter().enumerate() {
                let mut life = settled.left[j];
                let partner = settled.pairs.iter().find(|(left, _)| *left == j).map(|(_, right)| *right);
                if let Some(right) = partner
                    && border.joined
                    && self.one_table(kind, group)
                {
                    // Kinds without triads have no details, so nothing but the lifetime has to move.
                    life = life.joined(&settled.right[right]);
                    taken.insert(right);
                    self.change.delete.push((table, old[right].id));
                }
                match fresh.joined.get_mut(i) {
                    Some(update) => {
                        update.life = life;
                        self.update(update.clone());
                    }
                    None => fresh.set(*i, life),
                }
            }
            for (right, old) in old.iter().enumerate().filter(|(right, _)| !taken.contains(right)) {
                if settled.right[right] != old.life {
                    let life = settled.right[right];
                    self.update(RowUpdate { table, id: old.id, life, learned: None });
                }
            }
        }
        Ok(())
    }

    /// Tells whether a stored row that nothing new is joined to must be written. Where its open slice goes on without it,
    /// its last stamp must be made explicit, even if nothing else changes.
    fn must_write(&self, old: &Lifetime, new: &Lifetime, group: i64) -> bool {
        old != new || matches!(self.target, Target::Extend(id) if id.0 == group)
    }

    /// Returns the last stamp that the new bundles have of a span's source.
    fn last_stamp(&self, span: &PlacedSpan) -> WallMicros {
        let spans = self.change.bundles.iter().flat_map(|b| &b.spans);
        spans.filter(|s| s.source == span.span.source).map(|s| s.last).max().unwrap_or(span.span.last)
    }

    /// Where a new boot is known now that was not before, or an earlier one: what the old boot left open is gone by then.
    fn settle_boots(
        &mut self,
        stored: &[PlacedSpan],
        before: &Coverage,
        after: &Coverage,
    ) -> Result<(), StoreError> {
        let mut ends: BTreeMap<(RunId, &Source), &PlacedSpan> = BTreeMap::new();
        for span in stored.iter().filter(|s| s.boot != BootId::UNKNOWN && s.span.source.dies_with_boot()) {
            let end = ends.entry((span.run, &span.span.source)).or_insert(span);
            if end.span.last < span.span.last {
                *end = span;
            }
        }
        for ((run, source), span) in ends {
            let last = span.span.last;
            let Some(Neighbour::NewBoot(first)) = after.after(run, source, last) else { continue };
            if before.after(run, source, last) == Some(Neighbour::NewBoot(first)) {
                continue;
            }
            for &kind in kinds_of(source) {
                let table = table(TriadId(span.group), kind);
                for row in self.edge_rows(table, span, Edge::EndingAt(last))? {
                    let life = Lifetime { gone_by: Some(first).filter(|first| *first >= last), ..row.life };
                    if life != row.life {
                        self.update(RowUpdate { table, id: row.id, life, learned: None });
                    }
                }
            }
        }
        Ok(())
    }
}

/// Tells whether a stored row at the end of an open slice merely lives on up to `last`: then the ledger's new last stamp says
/// it all.
fn goes_on_unchanged(old: &Lifetime, update: &RowUpdate, last: WallMicros) -> bool {
    let same = Lifetime { last_seen: update.life.last_seen, ..*old } == update.life;
    update.table.triad.is_some()
        && same
        && old.last_seen.is_some()
        && update.life.last_seen == Some(last)
        && update.learned.is_none()
}

fn keyed(rows: &[EdgeRow]) -> Vec<(KeyDigest, Lifetime)> {
    rows.iter().map(|row| (row.digest, row.life)).collect()
}

fn dropped(rows: &[(usize, KeyDigest, Lifetime)]) -> Vec<(KeyDigest, Lifetime)> {
    rows.iter().map(|(_, digest, life)| (*digest, *life)).collect()
}
