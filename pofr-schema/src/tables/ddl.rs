//! How columns become CREATE TABLE, in both dialects.

use super::{Column, Spec, Type, marks::COLUMNS};
use crate::db::{Cell, Dialect, Statement};
use pofr_core::fact::Ids;

/// Indexes that every table of facts has besides its kind's own.
///
/// Each costs about a third of the time to insert a row, so there is one for each way in and no more: `first_seen` for
/// left edges and for what began in a range, `term` for the state at a moment (it holds all that tells whether a row may
/// have held then, so that no others are read), `right_edge` for right edges.
/// A process is found by `pid`; its other facts have the same pid and `entity`.
const INDEXES: [super::Index; 3] = [
    ("first", &["first_seen"], None),
    ("term", &["term", "earliest", "reach"], None),
    ("edge", &["right_edge"], None),
];

/// Returns the statements that make the table `name` for facts of this kind, each harmless when repeated.
///
/// `stem` begins the indexes' names on SQLite, where they belong to the database and outlive a renaming of the table: no
/// two tables may share it.
pub(crate) fn create_table(spec: &Spec, name: &str, stem: &str, dialect: Dialect) -> Vec<Statement<'static>> {
    let columns: Vec<Column> = spec.all_columns().collect();
    create(name, stem, &columns, &indexes(spec), dialect)
}

/// Returns the statement that makes it without its indexes: filling it is several times as fast, and [`create_indexes`] makes
/// them at once from all that is there.
pub(crate) fn create_bare_table(spec: &Spec, name: &str, dialect: Dialect) -> Vec<Statement<'static>> {
    let columns: Vec<Column> = spec.all_columns().collect();
    create(name, "", &columns, &[], dialect)
}

/// Returns the statements that make the indexes of a table that has none, each harmless when repeated.
pub(crate) fn create_indexes(
    spec: &Spec,
    name: &str,
    stem: &str,
    dialect: Dialect,
) -> Vec<Statement<'static>> {
    let indexes = indexes(spec);
    match dialect {
        Dialect::Sqlite => indexes.iter().map(|index| sqlite_index(index, name, stem)).collect(),
        // All in one statement, so that the table is read once.
        Dialect::Mariadb => {
            let mut statement = Statement::new("ALTER TABLE ").name(name.to_owned());
            for (i, index) in indexes.iter().enumerate() {
                statement = statement.sql(if i > 0 {
                    ", ADD INDEX IF NOT EXISTS "
                } else {
                    " ADD INDEX IF NOT EXISTS "
                });
                statement = mariadb_index(statement, index);
            }
            vec![statement]
        }
    }
}

/// Returns the statements that give a table of version 1 the columns `earliest` and `term`, unless it `has` them, and their
/// index for that on `reach`.
pub(crate) fn add_term(
    spec: &Spec,
    name: &str,
    stem: &str,
    dialect: Dialect,
    has: bool,
) -> Vec<Statement<'static>> {
    let alter = || Statement::new("ALTER TABLE ").name(name.to_owned());
    let columns = spec.all_columns().filter(|c| ["earliest", "term"].contains(&c.name));
    let [_, index, _] = &INDEXES;
    match dialect {
        Dialect::Sqlite => {
            let columns = columns.filter(|_| !has);
            let mut statements: Vec<Statement<'static>> = columns
                .map(|c| alter().sql(" ADD COLUMN ").name(c.name).sql(definition(&c, dialect)))
                .collect();
            statements.push(Statement::new("DROP INDEX IF EXISTS ").name(format!("{stem}_reach")));
            statements.push(sqlite_index(index, name, stem));
            statements
        }
        Dialect::Mariadb => {
            let mut statement = alter().sql(" DROP INDEX IF EXISTS ").name("reach");
            for c in columns {
                statement =
                    statement.sql(", ADD COLUMN IF NOT EXISTS ").name(c.name).sql(definition(&c, dialect));
            }
            vec![statement, mariadb_index(alter().sql(" ADD INDEX IF NOT EXISTS "), index)]
        }
    }
}

/// Returns the statements that bring psinfo of version 3 up to date: its ids may be NULL, and it gets the columns of marks, unless it
/// `has` them. On SQLite they belong in one transaction.
pub(crate) fn add_marks(spec: &Spec, name: &str, dialect: Dialect, has: bool) -> Vec<Statement<'static>> {
    let alter = || Statement::new("ALTER TABLE ").name(name.to_owned());
    match dialect {
        Dialect::Sqlite => {
            let new = COLUMNS.iter().filter(|_| !has);
            let mut statements: Vec<Statement<'static>> =
                new.map(|c| alter().sql(" ADD COLUMN ").name(c.name).sql(definition(c, dialect))).collect();
            // How SQLite's documentation takes NOT NULL away (lang_altertable.html, section 7): the table's text changes, its rows
            // do not.
            let mut text = "sql".to_owned();
            for c in spec.all_columns().filter(|c| IDS.contains(&c.name)) {
                let [old, new] = [false, true].map(|nullable| definition(&Column { nullable, ..c }, dialect));
                text = format!("replace({text}, '`{0}`{old}', '`{0}`{new}')", c.name);
            }
            let edit = format!("UPDATE sqlite_schema SET sql = {text} WHERE type = 'table' AND name = ");
            statements.push(Statement::new("PRAGMA writable_schema = ON"));
            statements.push(Statement::new(edit).bind(Cell::text(name.to_owned())));
            statements.push(Statement::new("PRAGMA writable_schema = OFF"));
            statements
        }
        Dialect::Mariadb => {
            let mut statement = alter();
            let changed = spec.all_columns().filter(|c| IDS.contains(&c.name) || c.name == "files");
            for (i, c) in changed.enumerate() {
                let how = if i > 0 { ", MODIFY COLUMN " } else { " MODIFY COLUMN " };
                statement = statement.sql(how).name(c.name).sql(definition(&c, dialect));
            }
            for c in &COLUMNS {
                statement =
                    statement.sql(", ADD COLUMN IF NOT EXISTS ").name(c.name).sql(definition(c, dialect));
            }
            vec![statement]
        }
    }
}

/// Returns the statement that makes ids unknown which stand in a table of version 3 as 4294967295.
pub(crate) fn forget_nobody(name: &str) -> Statement<'static> {
    let unknown = Ids::UNKNOWN;
    let mut statement = Statement::new("UPDATE ").name(name.to_owned());
    for (i, id) in IDS.into_iter().enumerate() {
        let how = if i > 0 { ", " } else { " SET " };
        statement = statement.sql(format!("{how}{id} = NULLIF({id}, {unknown})"));
    }
    statement.sql(format!(" WHERE {unknown} IN ({})", IDS.join(", ")))
}

/// The columns of a process's ids.
const IDS: [&str; 4] = ["ruid", "euid", "rgid", "egid"];

fn indexes(spec: &Spec) -> Vec<super::Index> {
    INDEXES.iter().chain(spec.indexes).copied().collect()
}

/// Returns the statements that make a table of these columns, each harmless when repeated.
pub(crate) fn create(
    name: &str,
    stem: &str,
    columns: &[Column],
    indexes: &[super::Index],
    dialect: Dialect,
) -> Vec<Statement<'static>> {
    let mut table = Statement::new("CREATE TABLE IF NOT EXISTS ").name(name.to_owned()).sql(" (");
    for (i, column) in columns.iter().enumerate() {
        if i > 0 {
            table = table.sql(", ");
        }
        table = table.name(column.name).sql(definition(column, dialect));
    }
    if dialect == Dialect::Mariadb {
        for index in indexes {
            table = mariadb_index(table.sql(", INDEX "), index);
        }
        return vec![
            table.sql(") ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"),
        ];
    }
    let mut statements = vec![table.sql(")")];
    statements.extend(indexes.iter().map(|index| sqlite_index(index, name, stem)));
    statements
}

/// Appends an index's name and columns.
fn mariadb_index(
    statement: Statement<'static>,
    (ending, columns, prefix): &super::Index,
) -> Statement<'static> {
    let statement = statement.name(*ending).sql(" (").names(columns.iter().copied());
    match prefix {
        Some(bytes) => statement.sql(format!("({bytes}))")),
        None => statement.sql(")"),
    }
}

fn sqlite_index((ending, columns, _): &super::Index, name: &str, stem: &str) -> Statement<'static> {
    let index = Statement::new("CREATE INDEX IF NOT EXISTS ")
        .name(format!("{stem}_{ending}"))
        .sql(" ON ")
        .name(name.to_owned())
        .sql(" (")
        .names(columns.iter().copied())
        .sql(")");
    // Few rows are cut; the others need no entry.
    if *columns == ["right_edge"] { index.sql(" WHERE right_edge IS NOT NULL") } else { index }
}

/// Tells whether the database keeps the values of a generated column.
///
/// It does on MariaDB where an index has them. Of an index on virtual columns InnoDB must work the old values out again whenever it
/// purges or takes back a change, in the background, and that has left such indexes damaged more than once (docs/decisions/0010).
pub(crate) fn is_stored(column: &Column, dialect: Dialect) -> bool {
    let is_indexed = || INDEXES.iter().any(|(_, columns, _)| columns.contains(&column.name));
    dialect == Dialect::Mariadb && column.generated.is_some() && is_indexed()
}

fn definition(column: &Column, dialect: Dialect) -> String {
    let ty = match (dialect, column.ty) {
        (Dialect::Sqlite, Type::Id) => return " INTEGER PRIMARY KEY".into(),
        (Dialect::Mariadb, Type::Id) => return " BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY".into(),
        (Dialect::Sqlite, Type::U32 | Type::Big | Type::Flag) => "INTEGER".into(),
        (Dialect::Sqlite, Type::Ascii(_) | Type::Text | Type::Bytes | Type::DateTime) => "TEXT".into(),
        (Dialect::Sqlite, Type::Blob) => "BLOB".into(),
        (Dialect::Mariadb, Type::U32) => "INT UNSIGNED".into(),
        (Dialect::Mariadb, Type::Big) => "BIGINT".into(),
        (Dialect::Mariadb, Type::Flag) => "TINYINT".into(),
        (Dialect::Mariadb, Type::Ascii(n)) => format!("VARCHAR({n}) CHARACTER SET ascii COLLATE ascii_bin"),
        (Dialect::Mariadb, Type::Text) => "LONGTEXT".into(),
        (Dialect::Mariadb, Type::Bytes | Type::Blob) => "LONGBLOB".into(),
        (Dialect::Mariadb, Type::DateTime) => "DATETIME(6)".into(),
    };
    match (column.generated, dialect) {
        (Some((sqlite, _)), Dialect::Sqlite) => format!(" {ty} GENERATED ALWAYS AS ({sqlite}) VIRTUAL"),
        (Some((_, mariadb)), Dialect::Mariadb) => {
            let kept = if is_stored(column, dialect) { "STORED" } else { "VIRTUAL" };
            format!(" {ty} GENERATED ALWAYS AS ({mariadb}) {kept}")
        }
        (None, _) => format!(" {ty} {}", if column.nullable { "NULL" } else { "NOT NULL" }),
    }
}
