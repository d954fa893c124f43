//! Searching rows over all levels: a superset of what was asked for, through indexes, in pages.
//!
//! Of each triad, in the order of time, the keys are found first and put in order (as many as [`KEYS`] at a time, so memory is
//! bounded), then the rows are read by their keys. On MariaDB, where a table may be renamed or dropped in the middle of a
//! transaction, all tables are opened before the first row is told: from then on none of them can go until the search is over.
//! So there is one list of triads from beginning to end, and nothing is told twice.

use crate::{
    db::{Cell, Db, Dialect, Doing as _, Statement},
    ledger::{Names, TriadRow, custom_sources, load_triads, spans_around},
    store::{Place, read},
    tables::{Column, TERMS, spec},
};
use pofr_core::{
    coverage::{Coverage, Neighbour},
    fact::ProcessKey,
    lifetime::Row,
    raw::RawText,
    store::{Narrow, RowId, Search, StoreError, TableRef, TriadId},
    time::WallMicros,
};
use std::{collections::BTreeSet, net::IpAddr, ops::ControlFlow};

/// How many keys are held at a time.
const KEYS: i64 = 65_536;
/// How many rows are read at a time.
const ROWS: usize = 500;
/// More process ids than this are not worth a look each.
const PIDS: usize = 5_000;

/// The left stamps of joined borders in which the search's first moment lies, by the run's number, and the triads beside them.
#[derive(Debug, Default)]
pub(crate) struct Borders {
    lefts: Vec<(i64, WallMicros)>,
    triads: BTreeSet<i64>,
}

/// Hands out the rows that a search asks for. `told` is set before the first one is.
pub(crate) fn search(
    db: &mut Db,
    names: &Names,
    search: &Search,
    told: &mut bool,
    each: &mut dyn FnMut(Row) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let borders = match search.from {
        Some(from) => borders_at(db, names, search, from)?,
        None => Borders::default(),
    };
    let mut places = Vec::new();
    if search.kind.in_triad() {
        let mut triads: Vec<TriadRow> = load_triads(db)?
            .into_iter()
            .filter(|triad| triad.is_live() && near(triad, search, &borders))
            .collect();
        triads.sort_by_key(|triad| (triad.lowest, triad.id));
        for triad in triads {
            let table = TableRef { triad: Some(TriadId(triad.id)), kind: search.kind };
            places.push(Place::of_triad(db, names, &triad, table)?);
        }
    } else {
        places.push(Place::find(db, names, TableRef { triad: None, kind: search.kind })?);
    }
    if db.dialect() == Dialect::Mariadb {
        for place in &places {
            let open = Statement::new("SELECT 1 FROM ").name(&place.name).sql(" LIMIT 0");
            db.query(open).doing(format_args!("open table {}", place.name))?;
        }
    }
    for place in &places {
        if search_table(db, names, place, search, &borders, told, each)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// Tells whether a triad has rows of the time that is searched.
fn near(triad: &TriadRow, search: &Search, borders: &Borders) -> bool {
    let Some(lowest) = triad.lowest else { return false };
    search.until.is_none_or(|until| lowest <= until.0)
        && (triad.is_open != 0
            || search.from.is_none_or(|from| triad.highest.is_some_and(|highest| from.0 <= highest))
            || borders.triads.contains(&triad.id))
}

/// Finds the joined borders that a moment lies in, see [`super::state_at`].
fn borders_at(db: &mut Db, names: &Names, search: &Search, t: WallMicros) -> Result<Borders, StoreError> {
    let sources = match spec(search.kind).source() {
        Some(source) => vec![source],
        None => custom_sources(db)?,
    };
    let mut borders = Borders::default();
    for source in sources {
        let spans = spans_around(db, names, &source, t)?;
        let coverage = Coverage::new(&spans);
        for span in spans.iter().filter(|span| span.span.last < t) {
            let Some(Neighbour::Border(border)) = coverage.after(span.run, &source, span.span.last) else {
                continue;
            };
            if border.joined && t < border.right {
                borders.lefts.extend(names.runs.get(&span.run).map(|run| (*run, border.left)));
                borders.triads.insert(span.group);
            }
        }
    }
    Ok(borders)
}

/// Hands out what is found in one table.
fn search_table(
    db: &mut Db,
    names: &Names,
    place: &Place,
    search: &Search,
    borders: &Borders,
    told: &mut bool,
    each: &mut dyn FnMut(Row) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, StoreError> {
    let mut after = None;
    loop {
        let statement = select_keys(place, search, borders, after, db.dialect());
        let records = db.query(statement).doing(format_args!("search table {}", place.name))?;
        let keys = records
            .iter()
            .map(|record| {
                let mut values = record.reader(&place.name);
                Ok((
                    RowId(values.int(place.spec.id)?),
                    values.opt_int::<i64>("earliest")?.unwrap_or(i64::MIN),
                ))
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        drop(records);
        for some in keys.chunks(ROWS) {
            let ids: Vec<RowId> = some.iter().map(|(id, _)| *id).collect();
            for row in read::rows(db, names, place, &ids)? {
                // What goes on in an open slice reaches as far as the ledger says.
                let number = names.runs.get(&row.run);
                let at_border = || {
                    let is_cut = |(run, left): &(i64, WallMicros)| {
                        Some(run) == number && row.life.cut_right && row.life.right_edge() == Some(*left)
                    };
                    borders.lefts.iter().any(is_cut)
                };
                if search.from.is_some_and(|from| row.life.reach() < from && !at_border()) {
                    continue;
                }
                *told = true;
                if each(row).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        match keys.last() {
            Some(last) if keys.len() as i64 == KEYS => after = Some(*last),
            _ => return Ok(ControlFlow::Continue(())),
        }
    }
}

/// A condition on a table: pieces of SQL with values between them.
type Condition<'a> = Box<dyn Fn(Statement<'a>) -> Statement<'a> + 'a>;

/// Selects keys and earliest times, in the order of both.
pub(crate) fn select_keys<'a>(
    place: &'a Place,
    search: &'a Search,
    borders: &'a Borders,
    after: Option<(RowId, i64)>,
    dialect: Dialect,
) -> Statement<'a> {
    let id = place.spec.id;
    let begin =
        || Statement::new("SELECT ").name(id).sql(" AS wanted, earliest AS since FROM ").name(&place.name);
    let (indexed, conditions) = conditions(place, &search.narrow, dialect);
    // What lies behind the page before, where there was one.
    let least = after.map_or(i64::MIN, |(_, earliest)| earliest);
    let mut branches = Vec::new();
    if indexed {
        for condition in &conditions {
            let statement = condition(begin().sql(" WHERE ")).sql(" AND ");
            branches.push(in_time(statement, search, borders, least));
        }
    } else {
        // At most one.
        let also = |statement: Statement<'a>| match conditions.first() {
            Some(condition) => condition(statement.sql(" AND ")),
            None => statement,
        };
        if search.from.is_none() && search.until.is_none() {
            branches.push(also(begin().sql(" WHERE earliest >= ").int(least)));
        } else {
            branches.extend(terms(search, least).map(|term| also(term.onto(begin()))));
            if let Some(from) = search.from {
                let border = |(run, left): &(i64, WallMicros)| {
                    let statement =
                        begin().sql(" WHERE right_edge = ").int(left.0).sql(" AND run = ").int(*run);
                    also(statement.sql(" AND reach < ").int(from.0).sql(" AND earliest >= ").int(least))
                };
                branches.extend(borders.lefts.iter().map(border));
            }
        }
    }
    // Several ways into one table may lead to the same row.
    let union = if indexed { " UNION " } else { " UNION ALL " };
    let mut keys = Statement::new("SELECT wanted, since FROM (");
    for (i, branch) in branches.into_iter().enumerate() {
        keys = if i > 0 { keys.sql(union) } else { keys }.append(branch);
    }
    keys = keys.sql(") k");
    if let Some((RowId(id), earliest)) = after {
        keys = keys
            .sql(" WHERE since > ")
            .int(earliest)
            .sql(" OR since = ")
            .int(earliest)
            .sql(" AND wanted > ")
            .int(id);
    }
    keys.sql(" ORDER BY since, wanted LIMIT ").int(KEYS)
}

/// Adds that a row may hold within the time that is searched.
fn in_time<'a>(statement: Statement<'a>, search: &Search, borders: &Borders, least: i64) -> Statement<'a> {
    let mut statement = statement.sql("earliest >= ").int(least);
    if let Some(until) = search.until {
        statement = statement.sql(" AND earliest <= ").int(until.0);
    }
    if let Some(from) = search.from {
        statement = statement.sql(" AND (reach >= ").int(from.0);
        for (run, left) in &borders.lefts {
            statement = statement.sql(" OR right_edge = ").int(left.0).sql(" AND run = ").int(*run);
        }
        statement = statement.sql(")");
    }
    statement
}

/// One stretch of the index on `term`, `earliest`, `reach`, see [`super::state_at::reaching`].
struct Term {
    term: usize,
    earliest: (i64, i64),
    reach: Option<i64>,
}

impl Term {
    fn onto<'a>(&self, statement: Statement<'a>) -> Statement<'a> {
        let statement = statement.sql(format!(" WHERE term = {} AND earliest BETWEEN ", self.term));
        let statement = statement.int(self.earliest.0).sql(" AND ").int(self.earliest.1);
        match self.reach {
            Some(reach) => statement.sql(" AND reach >= ").int(reach),
            None => statement,
        }
    }
}

/// Returns the stretches that a search must look at: a row of term n that reaches into it begins at most as long before it as
/// such rows take.
fn terms(search: &Search, least: i64) -> impl Iterator<Item = Term> + use<> {
    let (from, until) = (search.from, search.until);
    (0..=TERMS.len()).map(move |term| {
        let longest =
            TERMS.get(term).zip(from).map_or(i64::MIN, |(longest, from)| from.0.saturating_sub(*longest));
        Term {
            term,
            earliest: (longest.max(least), until.map_or(i64::MAX, |until| until.0)),
            reach: from.map(|from| from.0),
        }
    })
}

/// Returns whether a narrowing goes by indexes, and its conditions, each for a select of its own where it does.
fn conditions<'a>(place: &Place, narrow: &'a Narrow, dialect: Dialect) -> (bool, Vec<Condition<'a>>) {
    let has =
        |wanted: &str| place.spec.columns.iter().any(|c: &Column| c.name == wanted && c.generated.is_none());
    let none = (false, Vec::new());
    match narrow {
        Narrow::Pids(pids) if has("pid") && pids.len() <= PIDS => {
            (true, vec![one_of("pid", pids.iter().map(|pid| pid.0))])
        }
        Narrow::Path(path) if has("filename") => {
            (true, vec![Box::new(move |s| s.sql("filename = ").bind(Cell::bytes(path)))])
        }
        Narrow::Under(prefix) if has("filename") => (true, under(prefix, dialect)),
        Narrow::Addresses(addresses) if has("sourceip") => {
            let at = |column: &'static str| -> Condition<'a> {
                Box::new(move |s: Statement<'a>| {
                    let texts = addresses.iter().map(IpAddr::to_string);
                    s.sql(column).sql(" IN ").tuple(texts.map(Cell::text))
                })
            };
            (true, if addresses.is_empty() { Vec::new() } else { vec![at("sourceip"), at("destip")] })
        }
        Narrow::Ports(ports) if has("sourceport") && !ports.is_empty() => {
            let at = |column| one_of(column, ports.iter().copied().map(u32::from));
            (false, vec![either(at("sourceport"), at("destport"))])
        }
        Narrow::Users(users) if has("ruid") && !users.is_empty() => {
            let at = |column| one_of(column, users.iter().copied());
            let known = either(at("ruid"), at("euid"));
            // A file's holder may not have been known.
            (false, vec![either(known, Box::new(|s| s.sql("ruid IS NULL")))])
        }
        Narrow::Held(pids, users) if has("sourceip") && pids.len() <= PIDS => {
            let by_pid = one_of("pid", pids.iter().map(|pid| pid.0));
            (false, vec![either(by_pid, one_of("uid", users.iter().copied()))])
        }
        Narrow::Command(command) if has("exe") => {
            (false, vec![Box::new(move |s| s.sql("command = ").bind(Cell::bytes(command)))])
        }
        Narrow::Exe(path) if has("exe") => {
            let marked = RawText::from([path.as_bytes(), ProcessKey::DELETED].concat());
            let exe = move |s: Statement<'a>| {
                let cells = [Cell::bytes(path), Cell::Bytes(Some(marked.as_bytes().to_vec().into()))];
                s.sql("exe IN ").tuple(cells)
            };
            (false, vec![Box::new(exe)])
        }
        Narrow::Parents(pids) if has("exe") && !pids.is_empty() && pids.len() <= PIDS => {
            (false, vec![one_of("ppid", pids.iter().map(|pid| pid.0))])
        }
        Narrow::Sharing if has("filesof") => {
            (false, vec![Box::new(|s: Statement<'a>| s.sql("filesof IS NOT NULL"))])
        }
        Narrow::ExeSha256(sha256) if has("exesha256") => {
            (false, vec![Box::new(move |s| s.sql("exesha256 = ").bind(Cell::text(sha256.to_string())))])
        }
        _ => none,
    }
}

/// A column is one of these numbers. They stand in the SQL: there may be more of them than values can be bound.
fn one_of<'a>(column: &'static str, numbers: impl Iterator<Item = u32>) -> Condition<'a> {
    let numbers: Vec<String> = numbers.map(|n| n.to_string()).collect();
    // Neither database takes an empty list for what it is.
    let list = if numbers.is_empty() { "NULL".to_owned() } else { numbers.join(",") };
    Box::new(move |s| s.sql(format!("{column} IN ({list})")))
}

/// One condition or the other.
fn either<'a>(a: Condition<'a>, b: Condition<'a>) -> Condition<'a> {
    Box::new(move |s| b(a(s.sql("(")).sql(" OR ")).sql(")"))
}

/// A path begins so. On SQLite paths that are text are apart from those that are none.
fn under<'a>(prefix: &RawText, dialect: Dialect) -> Vec<Condition<'a>> {
    // The range ends before the next ASCII character, so that its end is text where its begin is; a last byte that has none is
    // left out, which makes the range wider.
    let mut least = prefix.as_bytes().to_vec();
    while least.last().is_some_and(|last| *last == 0 || *last >= 0x7f) {
        least.pop();
    }
    let mut beyond = least.clone();
    match beyond.last_mut() {
        Some(last) => *last += 1,
        None => return vec![Box::new(|s| s.sql("filename IS NOT NULL"))],
    }
    let range = |cell: fn(Vec<u8>) -> Cell<'static>| -> Condition<'a> {
        let (least, beyond) = (least.clone(), beyond.clone());
        Box::new(move |s| {
            s.sql("filename >= ").bind(cell(least.clone())).sql(" AND filename < ").bind(cell(beyond.clone()))
        })
    };
    let as_blob = range(|bytes| Cell::Blob(Some(bytes.into())));
    match dialect {
        Dialect::Sqlite => vec![range(|bytes| Cell::Bytes(Some(bytes.into()))), as_blob],
        Dialect::Mariadb => vec![as_blob],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_row_is_looked_for_as_long_before_as_it_may_take() {
        let search = Search::all(pofr_core::fact::FactKind::File)
            .within(Some(WallMicros(10_000_000)), Some(WallMicros(20_000_000)));
        let all: BTreeMap<usize, (i64, i64)> =
            terms(&search, i64::MIN).map(|t| (t.term, t.earliest)).collect();
        assert_eq!(all[&0], (9_000_000, 20_000_000));
        assert_eq!(all[&1], (6_000_000, 20_000_000));
        assert_eq!(all[&TERMS.len()], (i64::MIN, 20_000_000));
        // The next page begins where this one ended.
        assert_eq!(terms(&search, 9_500_000).next().map(|t| t.earliest), Some((9_500_000, 20_000_000)));
    }
}
