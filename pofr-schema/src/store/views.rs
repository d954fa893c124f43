//! The merged views: psinfo, fileinfo, netinfo over all slices; all_psinfo … over everything.
//!
//! SQLite takes at most 500 terms in a compound SELECT, and remaking a view of hundreds of tables for each new slice
//! is slow on MariaDB. So triads go by their numbers into views of at most [`CHUNK`], and only those that changed are made anew.

use super::place::{current_name, exists};
use crate::{
    db::{Db, Dialect, Doing as _, Statement},
    ledger::{TriadRow, forget_view, load_triads, load_views, record_view},
    tables::{Spec, spec},
};
use pofr_core::{
    digest::Sha256,
    fact::FactKind,
    store::{Level, StoreError},
};
use std::collections::{BTreeMap, BTreeSet};

/// How many triads one inner view has.
const CHUNK: i64 = 32;

/// Makes the views what the ledger says; harmless when repeated.
pub(crate) fn rebuild(db: &mut Db) -> Result<(), StoreError> {
    let triads: Vec<TriadRow> = load_triads(db)?.into_iter().filter(TriadRow::is_live).collect();
    let made = load_views(db)?;
    let mut wanted = Vec::new();
    for (index, kind) in FactKind::TRIAD.into_iter().enumerate() {
        bodies(db, &triads, index, spec(kind), &mut wanted)?;
    }
    let sum = |body: &str| Sha256::of(body.as_bytes()).to_string();
    let changed: Vec<&(String, String)> =
        wanted.iter().filter(|(name, body)| made.get(name) != Some(&sum(body))).collect();
    match db.dialect() {
        // Within the transaction that changed the ledger.
        Dialect::Sqlite => {
            for (name, body) in &changed {
                drop_view(db, name)?;
                make_view(db, name, body)?;
            }
        }
        Dialect::Mariadb => swap(db, &changed)?,
    }
    for (name, body) in changed {
        record_view(db, name, &sum(body))?;
    }
    let wanted: BTreeSet<&String> = wanted.iter().map(|(name, _)| name).collect();
    for name in made.keys().filter(|name| !wanted.contains(name)) {
        drop_view(db, name)?;
        forget_view(db, name)?;
    }
    Ok(())
}

/// Puts views in place of those there are, all at the same moment: a query that is begun in between would see a slice and the
/// archive that it is in, or neither.
fn swap(db: &mut Db, changed: &[&(String, String)]) -> Result<(), StoreError> {
    let mut renames: Option<Statement<'_>> = None;
    let mut old = Vec::new();
    for (name, body) in changed {
        if !exists(db, name)? {
            // None that is in use names it yet.
            make_view(db, name, body)?;
            continue;
        }
        let (new, aside) = (format!("pofr_new_{name}"), format!("pofr_old_{name}"));
        // What a writer left that was killed.
        drop_view(db, &new)?;
        drop_view(db, &aside)?;
        make_view(db, &new, body)?;
        let begun = match renames {
            None => Statement::new("RENAME TABLE "),
            Some(begun) => begun.sql(", "),
        };
        let put_aside = begun.name(name.as_str()).sql(" TO ").name(aside.clone());
        renames = Some(put_aside.sql(", ").name(new).sql(" TO ").name(name.as_str()));
        old.push(aside);
    }
    if let Some(renames) = renames {
        db.execute(renames).doing("swap the merged views")?;
    }
    old.iter().try_for_each(|name| drop_view(db, name))
}

fn make_view(db: &mut Db, name: &str, body: &str) -> Result<(), StoreError> {
    // INVOKER: whoever reads needs rights of their own.
    let create = match db.dialect() {
        Dialect::Sqlite => "CREATE VIEW ",
        Dialect::Mariadb => "CREATE SQL SECURITY INVOKER VIEW ",
    };
    let statement = Statement::new(create).name(name).sql(" AS ").sql(body);
    db.execute(statement).doing(format_args!("make view {name}"))?;
    Ok(())
}

fn drop_view(db: &mut Db, name: &str) -> Result<(), StoreError> {
    let statement = Statement::new("DROP VIEW IF EXISTS ").name(name);
    db.execute(statement).doing(format_args!("drop view {name}"))?;
    Ok(())
}

/// Appends the views of one kind, inner ones first.
fn bodies(
    db: &mut Db,
    triads: &[TriadRow],
    index: usize,
    spec: &Spec,
    wanted: &mut Vec<(String, String)>,
) -> Result<(), StoreError> {
    let mut chunks: BTreeMap<(bool, i64), Vec<String>> = BTreeMap::new();
    for triad in triads {
        let table = current_name(db, triad, index)?;
        let chunk = (triad.level() != Some(Level::Slice), triad.id / CHUNK);
        chunks.entry(chunk).or_default().push(select(spec, &table, triad));
    }
    let template = plain_select(spec, &format!("pofr_{}", spec.table));
    let mut slices = vec![template];
    let mut all = slices.clone();
    for ((merged, number), parts) in chunks {
        let name = format!("pofr_{}{}_{number}", if merged { "arch" } else { "" }, spec.table);
        let part = plain_select(spec, &name);
        if !merged {
            slices.push(part.clone());
        }
        all.push(part);
        wanted.push((name, parts.join(" UNION ALL ")));
    }
    wanted.push((spec.table.to_owned(), slices.join(" UNION ALL ")));
    wanted.push((format!("all_{}", spec.table), all.join(" UNION ALL ")));
    Ok(())
}

fn plain_select(spec: &Spec, table: &str) -> String {
    let columns: Vec<String> = spec.all_columns().map(|c| format!("`{}`", c.name)).collect();
    format!("SELECT {} FROM `{table}`", columns.join(","))
}

/// Selects from a triad's table; an open slice's last_seen is filled in from the ledger.
fn select(spec: &Spec, table: &str, triad: &TriadRow) -> String {
    if triad.is_open == 0 {
        return plain_select(spec, table);
    }
    let source = spec.source();
    let source = source.as_ref().map_or("", |s| s.name());
    let filled = format!(
        "CASE WHEN t.cut_right = 1 AND t.first_seen IS NOT NULL AND t.last_seen IS NULL THEN \
         (SELECT MAX(s.last_stamp) FROM pofr_spans s WHERE s.triad = {} AND s.run = t.run AND s.source = '{source}') \
         ELSE t.last_seen END AS last_seen",
        triad.id
    );
    let columns: Vec<String> = spec
        .all_columns()
        .map(|c| if c.name == "last_seen" { filled.clone() } else { format!("t.`{}`", c.name) })
        .collect();
    format!("SELECT {} FROM `{table}` t", columns.join(","))
}
