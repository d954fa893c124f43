//! Rows on their way out of the database, whatever their columns are.

use diesel::{
    deserialize::{self, FromSql, QueryableByName},
    row::{Field, NamedRow, Row},
    sql_types::{BigInt, Binary, Double},
    sqlite::{Sqlite, SqliteType},
};
use pofr_core::store::StoreError;

/// One value of a row that was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// NULL.
    Null,
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes that are no text.
    Bytes(Vec<u8>),
    /// A number that fits neither, in digits (DECIMAL, or above 2⁶³).
    #[cfg_attr(not(feature = "mariadb"), expect(dead_code, reason = "MariaDB alone has such"))]
    Decimal(String),
}

impl Value {
    /// Takes text where it is UTF-8.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Bytes(bytes.to_vec()),
        }
    }

    /// Returns the whole number; `None` for NULL and for what is none.
    pub(crate) fn int(self) -> Option<i64> {
        match self {
            Self::Int(n) => Some(n),
            Self::Decimal(digits) => digits.parse().ok(),
            _ => None,
        }
    }
}

/// One row that was read.
pub(crate) struct Record(pub(crate) Vec<Value>);

/// One row that was read, with the names of its columns.
pub(crate) struct NamedRecord(pub(crate) Vec<(String, Value)>);

impl QueryableByName<Sqlite> for Record {
    fn build<'a>(row: &impl NamedRow<'a, Sqlite>) -> deserialize::Result<Self> {
        (0..row.field_count()).map(|i| Ok(sqlite_field(row, i)?.1)).collect::<Result<_, _>>().map(Self)
    }
}

impl QueryableByName<Sqlite> for NamedRecord {
    fn build<'a>(row: &impl NamedRow<'a, Sqlite>) -> deserialize::Result<Self> {
        (0..row.field_count())
            .map(|i| sqlite_field(row, i).map(|(name, value)| (name.unwrap_or_default(), value)))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn sqlite_field<'a>(
    row: &impl NamedRow<'a, Sqlite>,
    at: usize,
) -> deserialize::Result<(Option<String>, Value)> {
    let field = Row::get(row, at).ok_or("a column is missing")?;
    let name = field.field_name().map(str::to_owned);
    let Some(mut raw) = field.value() else { return Ok((name, Value::Null)) };
    let value = match raw.value_type() {
        None => Value::Null,
        Some(SqliteType::SmallInt | SqliteType::Integer | SqliteType::Long) => {
            Value::Int(FromSql::<BigInt, Sqlite>::from_sql(raw)?)
        }
        Some(SqliteType::Float | SqliteType::Double) => {
            Value::Real(FromSql::<Double, Sqlite>::from_sql(raw)?)
        }
        Some(SqliteType::Text) => Value::from_bytes(raw.read_blob()),
        Some(SqliteType::Binary) => Value::Bytes(<Vec<u8> as FromSql<Binary, Sqlite>>::from_sql(raw)?),
    };
    Ok((name, value))
}

/// The values of a row, taken one after the other as columns of a table.
pub(crate) struct Values<'t> {
    table: &'t str,
    rest: std::vec::IntoIter<Value>,
}

impl Record {
    /// Reads the values one after the other; `table` is named in errors.
    pub(crate) fn reader(self, table: &str) -> Values<'_> {
        Values { table, rest: self.0.into_iter() }
    }
}

impl Values<'_> {
    /// Says that `detail` of this table cannot be.
    pub(crate) fn corrupt(&self, detail: impl Into<String>) -> StoreError {
        StoreError::Corrupt { table: self.table.to_owned(), detail: detail.into() }
    }

    fn next(&mut self) -> Result<Value, StoreError> {
        self.rest.next().ok_or_else(|| self.corrupt("a column is missing"))
    }

    /// Takes a whole number, or `None` for NULL.
    pub(crate) fn opt_int<T: TryFrom<i64>>(&mut self, column: &str) -> Result<Option<T>, StoreError> {
        let value = match self.next()? {
            Value::Null => return Ok(None),
            other => other.int(),
        };
        match value.and_then(|n| T::try_from(n).ok()) {
            Some(n) => Ok(Some(n)),
            None => Err(self.corrupt(format!("{column} is not a number of its range"))),
        }
    }

    /// Takes a whole number.
    pub(crate) fn int<T: TryFrom<i64>>(&mut self, column: &str) -> Result<T, StoreError> {
        self.opt_int(column)?.ok_or_else(|| self.corrupt(format!("{column} is NULL")))
    }

    /// Takes a 64-bit unsigned number that [`super::Cell::wide`] stored.
    pub(crate) fn opt_wide(&mut self, column: &str) -> Result<Option<u64>, StoreError> {
        Ok(self.opt_int::<i64>(column)?.map(i64::cast_unsigned))
    }

    /// Takes a flag.
    pub(crate) fn flag(&mut self, column: &str) -> Result<bool, StoreError> {
        Ok(self.int::<i64>(column)? != 0)
    }

    /// Takes bytes, or `None` for NULL.
    pub(crate) fn opt_bytes(&mut self, column: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match self.next()? {
            Value::Null => Ok(None),
            Value::Bytes(bytes) => Ok(Some(bytes)),
            Value::Text(text) => Ok(Some(text.into_bytes())),
            _ => Err(self.corrupt(format!("{column} is a number"))),
        }
    }

    /// Takes bytes.
    pub(crate) fn bytes(&mut self, column: &str) -> Result<Vec<u8>, StoreError> {
        self.opt_bytes(column)?.ok_or_else(|| self.corrupt(format!("{column} is NULL")))
    }

    /// Takes text that `parse` can read, or `None` for NULL.
    pub(crate) fn opt_parsed<T>(
        &mut self,
        column: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        let Some(bytes) = self.opt_bytes(column)? else { return Ok(None) };
        match std::str::from_utf8(&bytes).ok().and_then(parse) {
            Some(value) => Ok(Some(value)),
            None => Err(self.corrupt(format!("{column} is {:?}", String::from_utf8_lossy(&bytes)))),
        }
    }

    /// Takes text that `parse` can read.
    pub(crate) fn parsed<T>(
        &mut self,
        column: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, StoreError> {
        self.opt_parsed(column, parse)?.ok_or_else(|| self.corrupt(format!("{column} is NULL")))
    }
}
