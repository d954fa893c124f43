//! The merged views: psinfo, fileinfo, netinfo over all slices; all_psinfo … over everything.
//!
//! SQLite takes at most 500 terms in a compound SELECT, and remaking a view of hundreds of tables for each new slice
//! is slow on MariaDB. So triads go by their numbers into views of at most [`CHUNK`], and only those that changed are made anew.

use super::place::current_name;
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
    for (name, body) in &wanted {
        let sum = Sha256::of(body.as_bytes()).to_string();
        if made.get(name) == Some(&sum) {
            continue;
        }
        let action = format!("make view {name}");
        let create = match db.dialect() {
            Dialect::Sqlite => {
                db.execute(Statement::new("DROP VIEW IF EXISTS ").name(name)).doing(&action)?;
                "CREATE VIEW "
            }
            // INVOKER: whoever reads needs rights of their own.
            Dialect::Mariadb => "CREATE OR REPLACE SQL SECURITY INVOKER VIEW ",
        };
        db.execute(Statement::new(create).name(name).sql(" AS ").sql(body.as_str())).doing(&action)?;
        record_view(db, name, &sum)?;
    }
    let wanted: BTreeSet<&String> = wanted.iter().map(|(name, _)| name).collect();
    for name in made.keys().filter(|name| !wanted.contains(name)) {
        let action = format!("drop view {name}");
        db.execute(Statement::new("DROP VIEW IF EXISTS ").name(name.as_str())).doing(action)?;
        forget_view(db, name)?;
    }
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
