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
}

/// One row that was read: its values in two allocations, since rows are read by the million.
#[derive(Default)]
pub(crate) struct Record {
    slots: Vec<Slot>,
    bytes: Vec<u8>,
}

/// One value of a [`Record`].
#[derive(Clone, Copy)]
enum Slot {
    Null,
    Int(i64),
    Real,
    /// Text, bytes, or the digits of a number that is no [`Slot::Int`]: where they end; they begin where those before end.
    Bytes(usize, usize),
}

impl Record {
    pub(super) fn with_columns(columns: usize) -> Self {
        Self { slots: Vec::with_capacity(columns), bytes: Vec::with_capacity(columns * 8) }
    }

    pub(super) fn push_int(&mut self, value: i64) {
        self.slots.push(Slot::Int(value));
    }

    pub(super) fn push_bytes(&mut self, bytes: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.slots.push(Slot::Bytes(start, self.bytes.len()));
    }

    pub(super) fn push_null(&mut self) {
        self.slots.push(Slot::Null);
    }

    pub(super) fn push_real(&mut self) {
        self.slots.push(Slot::Real);
    }

    /// Returns the first value where it is a whole number.
    pub(crate) fn first_int(&self) -> Option<i64> {
        self.int_at(0)
    }

    fn int_at(&self, at: usize) -> Option<i64> {
        match *self.slots.get(at)? {
            Slot::Int(n) => Some(n),
            Slot::Bytes(start, end) => std::str::from_utf8(&self.bytes[start..end]).ok()?.parse().ok(),
            Slot::Null | Slot::Real => None,
        }
    }
}

/// One row that was read, with the names of its columns.
pub(crate) struct NamedRecord(pub(crate) Vec<(String, Value)>);

impl QueryableByName<Sqlite> for Record {
    fn build<'a>(row: &impl NamedRow<'a, Sqlite>) -> deserialize::Result<Self> {
        let mut record = Self::with_columns(row.field_count());
        for at in 0..row.field_count() {
            let field = Row::get(row, at).ok_or("a column is missing")?;
            let Some(mut raw) = field.value() else {
                record.push_null();
                continue;
            };
            match raw.value_type() {
                None => record.push_null(),
                Some(SqliteType::SmallInt | SqliteType::Integer | SqliteType::Long) => {
                    record.push_int(FromSql::<BigInt, Sqlite>::from_sql(raw)?);
                }
                Some(SqliteType::Float | SqliteType::Double) => record.push_real(),
                Some(SqliteType::Text | SqliteType::Binary) => record.push_bytes(raw.read_blob()),
            }
        }
        Ok(record)
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
pub(crate) struct Values<'a> {
    table: &'a str,
    record: &'a Record,
    next: usize,
}

impl Record {
    /// Reads the values one after the other; `table` is named in errors.
    pub(crate) fn reader<'a>(&'a self, table: &'a str) -> Values<'a> {
        Values { table, record: self, next: 0 }
    }
}

impl<'a> Values<'a> {
    /// Says that `detail` of this table cannot be.
    pub(crate) fn corrupt(&self, detail: impl Into<String>) -> StoreError {
        StoreError::Corrupt { table: self.table.to_owned(), detail: detail.into() }
    }

    /// Returns the place of the next value, and whether it is NULL.
    fn step(&mut self) -> Result<(usize, bool), StoreError> {
        let at = self.next;
        self.next += 1;
        match self.record.slots.get(at) {
            Some(slot) => Ok((at, matches!(slot, Slot::Null))),
            None => Err(self.corrupt("a column is missing")),
        }
    }

    /// Takes a whole number, or `None` for NULL.
    pub(crate) fn opt_int<T: TryFrom<i64>>(&mut self, column: &str) -> Result<Option<T>, StoreError> {
        let (at, is_null) = self.step()?;
        if is_null {
            return Ok(None);
        }
        match self.record.int_at(at).and_then(|n| T::try_from(n).ok()) {
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

    /// Passes over a value that others imply.
    pub(crate) fn skip(&mut self) {
        self.next += 1;
    }

    /// Takes bytes, or `None` for NULL.
    pub(crate) fn opt_bytes(&mut self, column: &str) -> Result<Option<&'a [u8]>, StoreError> {
        let (at, is_null) = self.step()?;
        match self.record.slots[at] {
            _ if is_null => Ok(None),
            Slot::Bytes(start, end) => Ok(Some(&self.record.bytes[start..end])),
            _ => Err(self.corrupt(format!("{column} is a number"))),
        }
    }

    /// Takes bytes.
    pub(crate) fn bytes(&mut self, column: &str) -> Result<&'a [u8], StoreError> {
        self.opt_bytes(column)?.ok_or_else(|| self.corrupt(format!("{column} is NULL")))
    }

    /// Takes text that `parse` can read, or `None` for NULL.
    pub(crate) fn opt_parsed<T>(
        &mut self,
        column: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        let Some(bytes) = self.opt_bytes(column)? else { return Ok(None) };
        match std::str::from_utf8(bytes).ok().and_then(parse) {
            Some(value) => Ok(Some(value)),
            None => Err(self.corrupt(format!("{column} is {:?}", String::from_utf8_lossy(bytes)))),
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
