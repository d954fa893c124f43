//! Statements over tables whose names are made at run time.

use super::Cell;
use diesel::{
    RunQueryDsl,
    backend::Backend,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    result::QueryResult,
    sql_types::Untyped,
};
use std::borrow::Cow;

/// A piece of a statement.
enum Part<'a> {
    /// SQL that is written in this crate.
    Sql(Cow<'a, str>),
    /// A name, which is quoted.
    Name(Cow<'a, str>),
    /// A value, which is bound.
    Bind(Cell<'a>),
}

/// A statement put together from SQL of ours, quoted names and bound values.
pub(crate) struct Statement<'a> {
    parts: Vec<Part<'a>>,
    cached: bool,
}

impl<'a> Statement<'a> {
    pub(crate) fn new(sql: impl Into<Cow<'a, str>>) -> Self {
        Self { parts: vec![Part::Sql(sql.into())], cached: false }
    }

    pub(crate) fn sql(mut self, sql: impl Into<Cow<'a, str>>) -> Self {
        self.parts.push(Part::Sql(sql.into()));
        self
    }

    pub(crate) fn name(mut self, name: impl Into<Cow<'a, str>>) -> Self {
        self.parts.push(Part::Name(name.into()));
        self
    }

    pub(crate) fn bind(mut self, cell: Cell<'a>) -> Self {
        self.parts.push(Part::Bind(cell));
        self
    }

    pub(crate) fn int(self, value: i64) -> Self {
        self.bind(Cell::Int(Some(value)))
    }

    /// Adds values in parentheses, separated by commas.
    pub(crate) fn tuple(mut self, cells: impl IntoIterator<Item = Cell<'a>>) -> Self {
        self.parts.push(Part::Sql("(".into()));
        for (i, cell) in cells.into_iter().enumerate() {
            if i > 0 {
                self.parts.push(Part::Sql(",".into()));
            }
            self.parts.push(Part::Bind(cell));
        }
        self.sql(")")
    }

    /// Adds names, separated by commas.
    pub(crate) fn names(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        for (i, name) in names.into_iter().enumerate() {
            if i > 0 {
                self.parts.push(Part::Sql(",".into()));
            }
            self.parts.push(Part::Name(name.into()));
        }
        self
    }

    /// Adds another statement.
    pub(crate) fn append(mut self, other: Self) -> Self {
        self.parts.extend(other.parts);
        self
    }

    /// Keeps the statement prepared; only for one that is run again and again, see [`super::Db::forget_statements`].
    pub(crate) fn cached(mut self) -> Self {
        self.cached = true;
        self
    }

    /// Asks how the database would run it.
    #[cfg(test)]
    pub(crate) fn explained(mut self, dialect: super::Dialect) -> Self {
        let word = match dialect {
            super::Dialect::Sqlite => "EXPLAIN QUERY PLAN ",
            super::Dialect::Mariadb => "EXPLAIN ",
        };
        self.parts.insert(0, Part::Sql(word.into()));
        self
    }

    fn walk<'b, DB>(
        &'b self,
        mut out: AstPass<'_, 'b, DB>,
        push: impl Fn(&'b Cell<'a>, &mut AstPass<'_, 'b, DB>) -> QueryResult<()>,
    ) -> QueryResult<()>
    where
        DB: Backend,
    {
        if !self.cached {
            out.unsafe_to_cache_prepared();
        }
        for part in &self.parts {
            match part {
                Part::Sql(sql) => out.push_sql(sql),
                Part::Name(name) => out.push_identifier(name)?,
                Part::Bind(cell) => push(cell, &mut out)?,
            }
        }
        Ok(())
    }
}

/// A statement that adds rows, kept prepared for as many of the same table.
pub(crate) struct Insert<'a> {
    /// The table.
    pub(crate) table: &'a str,
    /// The columns.
    pub(crate) columns: &'a [&'static str],
    /// The values, one row after the other.
    pub(crate) cells: &'a [Cell<'a>],
}

impl<'a> Insert<'a> {
    fn walk<'b, DB>(
        &'b self,
        mut out: AstPass<'_, 'b, DB>,
        push: impl Fn(&'b Cell<'a>, &mut AstPass<'_, 'b, DB>) -> QueryResult<()>,
    ) -> QueryResult<()>
    where
        DB: Backend,
    {
        out.push_sql("INSERT INTO ");
        out.push_identifier(self.table)?;
        for (i, column) in self.columns.iter().enumerate() {
            out.push_sql(if i > 0 { "," } else { " (" });
            out.push_identifier(column)?;
        }
        out.push_sql(") VALUES ");
        for (i, row) in self.cells.chunks(self.columns.len()).enumerate() {
            for (j, cell) in row.iter().enumerate() {
                out.push_sql(match (i, j) {
                    (0, 0) => "(",
                    (_, 0) => "),(",
                    _ => ",",
                });
                push(cell, &mut out)?;
            }
        }
        out.push_sql(")");
        Ok(())
    }
}

impl QueryFragment<diesel::sqlite::Sqlite> for Insert<'_> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, diesel::sqlite::Sqlite>) -> QueryResult<()> {
        self.walk(out, |cell, out| cell.push(out, true))
    }
}

#[cfg(feature = "mariadb")]
impl QueryFragment<diesel::mysql::Mysql> for Insert<'_> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, diesel::mysql::Mysql>) -> QueryResult<()> {
        self.walk(out, |cell, out| cell.push(out, false))
    }
}

impl QueryId for Insert<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Insert<'_> {
    type SqlType = Untyped;
}

impl<C> RunQueryDsl<C> for Insert<'_> {}

impl QueryFragment<diesel::sqlite::Sqlite> for Statement<'_> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, diesel::sqlite::Sqlite>) -> QueryResult<()> {
        self.walk(out, |cell, out| cell.push(out, true))
    }
}

#[cfg(feature = "mariadb")]
impl QueryFragment<diesel::mysql::Mysql> for Statement<'_> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, diesel::mysql::Mysql>) -> QueryResult<()> {
        self.walk(out, |cell, out| cell.push(out, false))
    }
}

impl QueryId for Statement<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Statement<'_> {
    type SqlType = Untyped;
}

impl<C> RunQueryDsl<C> for Statement<'_> {}
