//! How columns become CREATE TABLE, in both dialects.

use super::{Column, Spec, Type};
use crate::db::{Dialect, Statement};

/// Indexes that every table of facts has besides its kind's own.
///
/// Each costs about a third of the time to insert a row, so there is one for each way in and no more: `first_seen` for
/// left edges and for what began in a range, `reach` for the state at a moment, `right_edge` for right edges.
/// A process is found by `pid`; its other facts have the same pid and `entity`.
const INDEXES: [super::Index; 3] =
    [("first", "first_seen", None), ("reach", "reach", None), ("edge", "right_edge", None)];

/// Returns the statements that make the table `name` for facts of this kind, each harmless when repeated.
///
/// `stem` begins the indexes' names on SQLite, where they belong to the database and outlive a renaming of the table: no
/// two tables may share it.
pub(crate) fn create_table(spec: &Spec, name: &str, stem: &str, dialect: Dialect) -> Vec<Statement<'static>> {
    let columns: Vec<Column> = spec.all_columns().collect();
    let indexes: Vec<super::Index> = INDEXES.iter().chain(spec.indexes).copied().collect();
    create(name, stem, &columns, &indexes, dialect)
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
        for (ending, column, prefix) in indexes {
            table = table.sql(", INDEX ").name(*ending).sql(" (").name(*column);
            if let Some(bytes) = prefix {
                table = table.sql(format!("({bytes})"));
            }
            table = table.sql(")");
        }
        return vec![
            table.sql(") ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"),
        ];
    }
    let mut statements = vec![table.sql(")")];
    for (ending, column, _) in indexes {
        let index = Statement::new("CREATE INDEX IF NOT EXISTS ")
            .name(format!("{stem}_{ending}"))
            .sql(" ON ")
            .name(name.to_owned())
            .sql(" (")
            .name(*column)
            .sql(")");
        // Few rows are cut; the others need no entry.
        statements.push(if *column == "right_edge" {
            index.sql(" WHERE right_edge IS NOT NULL")
        } else {
            index
        });
    }
    statements
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
        (Some((_, mariadb)), Dialect::Mariadb) => format!(" {ty} GENERATED ALWAYS AS ({mariadb}) VIRTUAL"),
        (None, _) => format!(" {ty} {}", if column.nullable { "NULL" } else { "NOT NULL" }),
    }
}
