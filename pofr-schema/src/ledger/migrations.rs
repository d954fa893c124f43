//! Versions of the static tables, and the way from one to the next.
//!
//! MariaDB commits at each DDL statement, so a step may be cut off anywhere: every statement is harmless when
//! repeated, and the version is written last.

use super::{meta, upgrade};
use crate::{
    db::{Db, Dialect, Doing as _, LOOKUP, Statement},
    tables::{create_table, create_urlinfo, spec},
};
use pofr_core::{fact::FactKind, store::StoreError};

/// The version of the schema that this program knows.
pub(crate) const VERSION: i64 = 4;

/// The static tables, which each version only adds to; `$words` differ between the databases, see [`in_dialect`].
const TABLES: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS pofr_runs (id $big NOT NULL PRIMARY KEY, run $ascii(32) NOT NULL UNIQUE)$table",
    "CREATE TABLE IF NOT EXISTS pofr_boots (id $big NOT NULL PRIMARY KEY, boot $ascii(32) NOT NULL UNIQUE)$table",
    "CREATE TABLE IF NOT EXISTS pofr_bundles (cid $ascii(59) NULL, sha256 $ascii(64) NOT NULL PRIMARY KEY,
     name $text NOT NULL, format $ascii(8) NOT NULL, seq $big NOT NULL, previous $ascii(64) NULL, run $big NOT NULL, boot $big NOT NULL,
     zone $big NOT NULL, first_stamp $big NOT NULL, last_stamp $big NOT NULL, interval_micros $big NOT NULL,
     samples $big NOT NULL, left_out $big NOT NULL, complete $big NOT NULL, received $big NOT NULL,
     triad $big NOT NULL)$table",
    "CREATE INDEX IF NOT EXISTS pofr_bundles_triad ON pofr_bundles (triad)",
    "CREATE INDEX IF NOT EXISTS pofr_bundles_seq ON pofr_bundles (run, seq)",
    "CREATE INDEX IF NOT EXISTS pofr_bundles_first ON pofr_bundles (run, first_stamp)",
    "CREATE TABLE IF NOT EXISTS pofr_spans (bundle $ascii(64) NOT NULL, position $big NOT NULL, triad $big NOT NULL,
     run $big NOT NULL, source $ascii(64) NOT NULL, first_stamp $big NOT NULL, last_stamp $big NOT NULL,
     joins_left $big NOT NULL, joins_right $big NOT NULL, PRIMARY KEY (bundle, position))$table",
    "CREATE INDEX IF NOT EXISTS pofr_spans_end ON pofr_spans (triad, run, source, last_stamp)",
    "CREATE INDEX IF NOT EXISTS pofr_spans_at ON pofr_spans (source, run, first_stamp)",
    "CREATE TABLE IF NOT EXISTS pofr_gaps (bundle $ascii(64) NOT NULL, position $big NOT NULL, source $ascii(64) NULL,
     severity $ascii(8) NOT NULL, reason $text NOT NULL, from_stamp $big NOT NULL, to_stamp $big NULL, lost $big NULL,
     PRIMARY KEY (bundle, position))$table",
    "CREATE TABLE IF NOT EXISTS pofr_triads (id $big NOT NULL PRIMARY KEY, level $ascii(8) NOT NULL,
     state $ascii(8) NOT NULL, is_open $big NOT NULL, psname $ascii(64) NOT NULL, filename $ascii(64) NOT NULL,
     netname $ascii(64) NOT NULL, renamed_from $ascii(64) NULL, from_stamp $big NOT NULL, to_stamp $big NOT NULL,
     zone $big NOT NULL, psrows $big NOT NULL, filerows $big NOT NULL, netrows $big NOT NULL, sorted $big NOT NULL,
     lowest $big NULL, highest $big NULL)$table",
    "CREATE TABLE IF NOT EXISTS pofr_halves (stamp $big NOT NULL, is_proc $big NOT NULL, zone $big NOT NULL,
     content $blob NOT NULL, bundle $ascii(64) NOT NULL, received $big NOT NULL, PRIMARY KEY (stamp, is_proc))$table",
    "CREATE TABLE IF NOT EXISTS pofr_actions (id $big NOT NULL PRIMARY KEY, at $big NOT NULL, action $ascii(16) NOT NULL,
     before_stamp $big NULL, bundles $big NOT NULL, row_count $big NOT NULL, who $text NOT NULL, why $text NOT NULL)$table",
    "CREATE INDEX IF NOT EXISTS pofr_bundles_received ON pofr_bundles (received)",
    "CREATE TABLE IF NOT EXISTS pofr_views (name $ascii(64) NOT NULL PRIMARY KEY, body $text NOT NULL)$table",
];

const LOOKUP_V1: &str = "CREATE TABLE IF NOT EXISTS lhlt.lhlttable (hostid $auto, uuid $varchar(36) NOT NULL,
     cid $varchar(59) NOT NULL UNIQUE, ciduser $varchar(32) NOT NULL, lastip $varchar(45) NULL, ryear $big NOT NULL,
     rmonth $big NOT NULL, rday $big NOT NULL, rmin $big NOT NULL, rhour $big NOT NULL, rsec $big NOT NULL,
     registered $big NOT NULL)$table";

fn in_dialect(sql: &str, dialect: Dialect) -> String {
    let words: [(&str, &str); 7] = match dialect {
        Dialect::Sqlite => [
            ("$auto", "INTEGER PRIMARY KEY AUTOINCREMENT"),
            ("$table", ""),
            ("$ascii", "VARCHAR"),
            ("$varchar", "VARCHAR"),
            ("$text", "TEXT"),
            ("$blob", "BLOB"),
            ("$big", "BIGINT"),
        ],
        Dialect::Mariadb => [
            ("$auto", "BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY"),
            ("$table", " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"),
            ("$ascii", "VARCHAR"),
            ("$varchar", "VARCHAR"),
            ("$text", "LONGTEXT"),
            ("$blob", "LONGBLOB"),
            ("$big", "BIGINT"),
        ],
    };
    words.iter().fold(sql.to_owned(), |sql, (word, meaning)| sql.replace(word, meaning))
}

/// Returns the version of a client's database; `None` where it has none of our tables.
pub(crate) fn version(db: &mut Db, database: &str) -> Result<Option<i64>, StoreError> {
    let exists = match db.dialect() {
        Dialect::Sqlite => Statement::new("SELECT COUNT(*) FROM sqlite_master WHERE name = 'pofr_meta'"),
        Dialect::Mariadb => Statement::new(
            "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'pofr_meta'",
        ),
    };
    if db.number(exists).doing(format_args!("look into database {database}"))? == Some(0) {
        return Ok(None);
    }
    meta::get(db, "schema")
}

/// Makes a client's tables, or brings them up to [`VERSION`].
pub(crate) fn migrate(db: &mut Db, database: &str) -> Result<(), StoreError> {
    let dialect = db.dialect();
    let action = format!("make the tables of database {database}");
    let found = version(db, database)?;
    if found == Some(VERSION) {
        return Ok(());
    }
    if dialect == Dialect::Sqlite {
        db.batch("PRAGMA journal_mode = WAL").doing(&action)?;
    }
    let meta = "CREATE TABLE IF NOT EXISTS pofr_meta (name $ascii(32) NOT NULL PRIMARY KEY, value $big NOT NULL)$table";
    db.batch(&in_dialect(meta, dialect)).doing(&action)?;
    for sql in TABLES {
        db.batch(&in_dialect(sql, dialect)).doing(&action)?;
    }
    if found == Some(1) {
        upgrade::from_1(db)?;
    }
    for kind in FactKind::ALL {
        let spec = spec(kind);
        let name = template(spec.table, kind);
        for statement in create_table(spec, &name, &name, dialect) {
            db.execute(statement).doing(&action)?;
        }
    }
    if found.is_some_and(|found| found < 4) {
        upgrade::from_3(db)?;
    }
    if found.is_some_and(|found| found < 3) {
        // Nothing had filled it yet.
        db.execute(Statement::new("DROP TABLE IF EXISTS urlinfo")).doing(&action)?;
    }
    for statement in create_urlinfo(dialect) {
        db.execute(statement).doing(&action)?;
    }
    meta::set(db, "schema", VERSION)
}

/// Returns the table of a kind: its own, or for kinds in triads the ever empty one that the views begin with.
pub(crate) fn template(table: &str, kind: FactKind) -> String {
    if kind.in_triad() { format!("pofr_{table}") } else { table.to_owned() }
}

/// Makes the host-lookup table.
pub(crate) fn migrate_lookup(db: &mut Db) -> Result<(), StoreError> {
    let dialect = db.dialect();
    let action = format!("make {LOOKUP}.lhlttable");
    if dialect == Dialect::Sqlite {
        db.batch("PRAGMA lhlt.journal_mode = WAL").doing(&action)?;
    }
    db.batch(&in_dialect(LOOKUP_V1, dialect)).doing(&action)
}
