//! The state at a moment.
//!
//! SQL fetches a superset through the index on `term`, `earliest` and `reach`; then [`Lifetime::at`] classifies exactly.
//! What lies at a border between two triads needs more than one row knows:
//!
//! ```text
//!            T1: …  s1        s2 │ s3        s4  … :T2        the border s2, s3 is joined
//! a          [-------------------]                            cut_right; T2 has it from s3 on
//! b                               [----------------]          cut_left
//! ```
//!
//! Between s2 and s3 the fact of `a` and `b` held for certain, since both samples show it and nothing can be missing between
//! them. Row `a` answers for it, so that each fact is told once: a row with `cut_right` whose right edge is the
//! left stamp of a joined border, and of which no end is known, holds up to the border's right stamp. Where the
//! neighbour has a row of the same fact that `ended` in between, it holds up to then.
//!
//! A fact that an event says has begun, that no sample has shown and no event has ended when the record ends (`began`,
//! `cut_right`) holds from `began` to the right stamp of its border where that is joined. Else nothing is known of it but that it
//! held at `began`.
//!
//! Where two rows of one fact hold at once, as when an event told of it and a sample shows it, the one that a sample shows
//! answers.

use crate::{
    db::{Db, Dialect, Doing as _, Record, Statement},
    ledger::{Names, TriadRow, custom_sources, forgotten_before, load_triads, spans_around},
    store::{Place, read},
    tables::{TERMS, spec},
};
use pofr_core::{
    coverage::{Coverage, Neighbour, PlacedSpan},
    digest::KeyDigest,
    fact::FactKind,
    identity::RunId,
    lifetime::{Lifetime, Row, Standing},
    source::Source,
    store::{RecordAt, RowId, StateAt, StoreError, TableRef, TriadId},
    time::WallMicros,
};
use std::collections::{BTreeMap, BTreeSet};

/// What one run's record of one source looks like around the moment.
#[derive(Clone, Copy, Debug)]
struct Around {
    /// The joined border that the moment lies in: strictly between its two stamps.
    border: Option<(WallMicros, WallMicros)>,
}

/// All runs' records around the moment.
type Lines = BTreeMap<(RunId, Source), Around>;

/// Returns the rows of `kind` that hold at `t`.
pub(crate) fn state_at(
    db: &mut Db,
    names: &Names,
    kind: FactKind,
    t: WallMicros,
) -> Result<StateAt, StoreError> {
    let sources = match spec(kind).source() {
        Some(source) => vec![source],
        None => custom_sources(db)?,
    };
    let forgotten = forgotten_before(db)?.filter(|before| t < *before);
    let mut state = StateAt { forgotten, ..StateAt::default() };
    let mut lines = Lines::new();
    let mut at_border: BTreeSet<i64> = BTreeSet::new();
    for source in sources {
        let spans = spans_around(db, names, &source, t)?;
        look_around(&source, &spans, t, &mut state.record, &mut lines, &mut at_border);
    }
    let mut found = Found::default();
    if kind.in_triad() {
        let near = |triad: &TriadRow| {
            triad.lowest.is_some_and(|lowest| lowest <= t.0)
                && (triad.is_open != 0 || triad.highest.is_some_and(|highest| t.0 <= highest))
                || at_border.contains(&triad.id)
        };
        for triad in load_triads(db)?.into_iter().filter(|triad| triad.is_live() && near(triad)) {
            let table = TableRef { triad: Some(TriadId(triad.id)), kind };
            let place = Place::of_triad(db, names, &triad, table)?;
            found.add_table(db, names, &place, t, &lines)?;
        }
    } else {
        let place = Place::find(db, names, TableRef { triad: None, kind })?;
        found.add_table(db, names, &place, t, &lines)?;
    }
    found.tell(&mut state);
    Ok(state)
}

/// Works out what each run's record of a source is around `t`.
fn look_around(
    source: &Source,
    spans: &[PlacedSpan],
    t: WallMicros,
    record: &mut Vec<RecordAt>,
    lines: &mut Lines,
    at_border: &mut BTreeSet<i64>,
) {
    let coverage = Coverage::new(spans);
    let runs: BTreeSet<RunId> = spans.iter().map(|s| s.run).collect();
    for run in runs {
        let of_run = || spans.iter().filter(move |s| s.run == run);
        let here = of_run().filter(|s| s.span.first <= t).max_by_key(|s| (s.span.first, s.span.last));
        let next = of_run().filter(|s| s.span.first > t).min_by_key(|s| s.span.first);
        let inside = here.is_some_and(|s| t <= s.span.last);
        let border = here.filter(|_| !inside).and_then(|s| match coverage.after(run, source, s.span.last) {
            Some(Neighbour::Border(b)) if b.joined && b.left < t && t < b.right => Some((b.left, b.right)),
            _ => None,
        });
        if border.is_some() {
            at_border.extend(here.into_iter().chain(next).map(|s| s.group));
        }
        // Of the stamps within a span the ledger has the first and the last.
        let stamps: Vec<WallMicros> =
            here.iter().flat_map(|s| [s.span.first, s.span.last]).chain(next.map(|s| s.span.first)).collect();
        record.push(RecordAt {
            run,
            source: source.clone(),
            covered: inside || border.is_some(),
            nearest: (
                stamps.iter().copied().filter(|s| *s <= t).max(),
                stamps.iter().copied().filter(|s| *s >= t).min(),
            ),
        });
        lines.insert((run, source.clone()), Around { border });
    }
}

/// Tells how a row stands at `t`, its run's record around it considered.
fn standing(life: &Lifetime, t: WallMicros, around: Option<&Around>) -> (Standing, bool) {
    let own = life.at(t);
    let open_ended = life.cut_right && life.ended.is_none() && life.gone_by.is_none();
    let from = life.began.into_iter().chain(life.first_seen).min();
    if own == Standing::Certain || !open_ended || from.is_none_or(|from| t < from) {
        return (own, false);
    }
    if let Some((left, _)) = around.and_then(|a| a.border)
        && life.right_edge() == Some(left)
    {
        return (Standing::Certain, true);
    }
    if life.first_seen.is_none() && life.began == Some(t) {
        return (Standing::Certain, false);
    }
    (own, false)
}

/// Selects every row that may hold at `t` as far as it knows itself: `earliest` ≤ t ≤ `reach`.
///
/// Neither bound alone narrows this down in a table of months. But a row of term n takes no longer than [`TERMS`] says, so
/// only those can hold that begin within as long before `t`: a short stretch of the index for each term. What tells whether a
/// row of it does stands in the index, too, so that no other row is read.
pub(crate) fn reaching(place: &Place, t: WallMicros, dialect: Dialect) -> Statement<'_> {
    let mut keys = Statement::new("");
    for term in 0..=TERMS.len() {
        let from = TERMS.get(term).map(|longest| t.0.saturating_sub(*longest));
        keys = keys
            .sql(if term > 0 { " UNION ALL SELECT " } else { "SELECT " })
            .name(place.spec.id)
            .sql(" AS wanted FROM ")
            .name(&place.name)
            .sql(format!(" WHERE term = {term} AND earliest BETWEEN "))
            .int(from.unwrap_or(i64::MIN))
            .sql(" AND ")
            .int(t.0)
            .sql(" AND reach >= ")
            .int(t.0);
    }
    // The keys first, whatever the database thinks of it.
    let then = match dialect {
        Dialect::Sqlite => ") k CROSS JOIN ",
        Dialect::Mariadb => ") k STRAIGHT_JOIN ",
    };
    Statement::new("SELECT ")
        .name(place.spec.id)
        .sql(",")
        .names(place.spec.stored())
        .sql(" FROM (")
        .append(keys)
        .sql(then)
        .name(&place.name)
        .sql(" ON ")
        .name(place.spec.id)
        .sql(" = wanted")
}

/// Selects the rows that are cut at the left stamp of a border.
pub(crate) fn cut_at(place: &Place, run: i64, left: WallMicros) -> Statement<'_> {
    read::select_rows(place).sql(" WHERE right_edge = ").int(left.0).sql(" AND run = ").int(run)
}

/// Selects the digests of facts that ended between the left stamp of a border and `t`, told by their rows on its right, which
/// know of no other time.
pub(crate) fn ended_within(place: &Place, run: i64, left: WallMicros, t: WallMicros) -> Statement<'_> {
    Statement::new("SELECT ")
        .name(place.spec.digest)
        .sql(" FROM ")
        .name(&place.name)
        .sql(" WHERE term = 0 AND earliest > ")
        .int(left.0)
        .sql(" AND earliest <= ")
        .int(t.0)
        .sql(" AND reach <= ")
        .int(t.0)
        .sql(" AND cut_left = 1 AND ended IS NOT NULL AND run = ")
        .int(run)
}

/// Tells whether a sample shows the fact at `t`, or samples around it.
fn is_shown(life: &Lifetime, t: WallMicros) -> bool {
    life.first_seen.is_some_and(|first| first <= t) && life.last_seen >= Some(t)
}

/// Rows that hold, each fact once in a run.
#[derive(Default)]
struct Found {
    rows: BTreeMap<(RunId, KeyDigest), (Standing, bool, Row)>,
    /// Facts that ended between the border's left stamp and the moment, as their rows on the right tell.
    ended: BTreeSet<(RunId, KeyDigest)>,
}

impl Found {
    fn add_table(
        &mut self,
        db: &mut Db,
        names: &Names,
        place: &Place,
        t: WallMicros,
        lines: &Lines,
    ) -> Result<(), StoreError> {
        let mut seen: BTreeSet<RowId> = BTreeSet::new();
        let mut rows: Vec<Row> = Vec::new();
        let action = || format!("read table {}", place.name);
        let mut take = |records: Vec<Record>| -> Result<(), StoreError> {
            for record in records {
                let (id, row) = read::decode(names, place, &record)?;
                if seen.insert(id) {
                    rows.push(row);
                }
            }
            Ok(())
        };
        let dialect = db.dialect();
        take(db.query(reaching(place, t, dialect)).doing(action())?)?;
        for ((run, _), around) in lines {
            let (Some((left, _)), Some(number)) = (around.border, names.runs.get(run)) else { continue };
            take(db.query(cut_at(place, *number, left)).doing(action())?)?;
            for record in db.query(ended_within(place, *number, left, t)).doing(action())? {
                let digest = record.reader(&place.name).parsed(place.spec.digest, KeyDigest::parse)?;
                self.ended.insert((*run, digest));
            }
        }
        for row in rows {
            let around = lines.get(&(row.run, row.fact.source()));
            let (standing, by_border) = standing(&row.life, t, around);
            if standing == Standing::No {
                continue;
            }
            let key = (row.run, row.digest);
            let rank = |standing, life| (standing == Standing::Certain, is_shown(life, t));
            let better = self.rows.get(&key).is_none_or(|(known, _, row_known)| {
                rank(*known, &row_known.life) < rank(standing, &row.life)
            });
            if better {
                self.rows.insert(key, (standing, by_border, row));
            }
        }
        Ok(())
    }

    fn tell(self, state: &mut StateAt) {
        for (key, (standing, by_border, row)) in self.rows {
            if by_border && self.ended.contains(&key) {
                continue;
            }
            match standing {
                Standing::Certain => state.certain.push(row),
                Standing::Maybe => state.maybe.push(row),
                Standing::No => {}
            }
        }
    }
}
