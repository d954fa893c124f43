//! What MariaDB's rows and connections need.

use super::{
    Rights,
    row::{NamedRecord, Record, Value},
};
use diesel::{
    MysqlConnection,
    connection::SimpleConnection as _,
    deserialize::{self, FromSql, QueryableByName},
    mysql::{Mysql, MysqlType, data_types::MysqlTime},
    r2d2::{CustomizeConnection, Error},
    row::{Field, NamedRow, Row},
    sql_types::{BigInt, Double, Timestamp, Unsigned},
};

impl QueryableByName<Mysql> for Record {
    fn build<'a>(row: &impl NamedRow<'a, Mysql>) -> deserialize::Result<Self> {
        let mut record = Self::with_columns(row.field_count());
        for at in 0..row.field_count() {
            let field = Row::get(row, at).ok_or("a column is missing")?;
            let Some(raw) = field.value() else {
                record.push_null();
                continue;
            };
            match raw.value_type() {
                // A number that is too large for the type is for the reader to refuse.
                MysqlType::UnsignedLongLong => {
                    let n = <u64 as FromSql<Unsigned<BigInt>, Mysql>>::from_sql(raw)?;
                    match i64::try_from(n) {
                        Ok(n) => record.push_int(n),
                        Err(_) => record.push_bytes(n.to_string().as_bytes()),
                    }
                }
                MysqlType::Tiny
                | MysqlType::UnsignedTiny
                | MysqlType::Short
                | MysqlType::UnsignedShort
                | MysqlType::Long
                | MysqlType::UnsignedLong
                | MysqlType::LongLong => record.push_int(FromSql::<BigInt, Mysql>::from_sql(raw)?),
                MysqlType::Float | MysqlType::Double => record.push_real(),
                _ => record.push_bytes(raw.as_bytes()),
            }
        }
        Ok(record)
    }
}

impl QueryableByName<Mysql> for NamedRecord {
    fn build<'a>(row: &impl NamedRow<'a, Mysql>) -> deserialize::Result<Self> {
        (0..row.field_count())
            .map(|i| field(row, i).map(|(name, value)| (name.unwrap_or_default(), value)))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn field<'a>(row: &impl NamedRow<'a, Mysql>, at: usize) -> deserialize::Result<(Option<String>, Value)> {
    let field = Row::get(row, at).ok_or("a column is missing")?;
    let name = field.field_name().map(str::to_owned);
    let Some(raw) = field.value() else { return Ok((name, Value::Null)) };
    let value = match raw.value_type() {
        MysqlType::Tiny
        | MysqlType::UnsignedTiny
        | MysqlType::Short
        | MysqlType::UnsignedShort
        | MysqlType::Long
        | MysqlType::UnsignedLong
        | MysqlType::LongLong => Value::Int(FromSql::<BigInt, Mysql>::from_sql(raw)?),
        MysqlType::UnsignedLongLong => {
            let n = <u64 as FromSql<Unsigned<BigInt>, Mysql>>::from_sql(raw)?;
            i64::try_from(n).map_or_else(|_| Value::Decimal(n.to_string()), Value::Int)
        }
        MysqlType::Float | MysqlType::Double => Value::Real(FromSql::<Double, Mysql>::from_sql(raw)?),
        MysqlType::Numeric => Value::Decimal(String::from_utf8_lossy(raw.as_bytes()).into_owned()),
        MysqlType::Date | MysqlType::DateTime | MysqlType::Timestamp | MysqlType::Time => {
            let kind = raw.value_type();
            Value::Text(time(kind, <MysqlTime as FromSql<Timestamp, Mysql>>::from_sql(raw)?))
        }
        _ => Value::from_bytes(raw.as_bytes()),
    };
    Ok((name, value))
}

/// Writes a time as MariaDB's own client does.
fn time(kind: MysqlType, t: MysqlTime) -> String {
    let date = format!("{:04}-{:02}-{:02}", t.year, t.month, t.day);
    let mut clock = format!("{:02}:{:02}:{:02}", t.hour, t.minute, t.second);
    if t.second_part != 0 {
        clock += &format!(".{:06}", t.second_part);
    }
    match kind {
        MysqlType::Date => date,
        MysqlType::Time => clock,
        _ => format!("{date} {clock}"),
    }
}

/// Prepares each new connection.
#[derive(Debug)]
pub(crate) struct Setup {
    /// What it may do.
    pub(crate) rights: Rights,
}

impl CustomizeConnection<MysqlConnection, Error> for Setup {
    fn on_acquire(&self, conn: &mut MysqlConnection) -> Result<(), Error> {
        // Strict: a value that does not fit is an error, never cut short. wait_timeout: an idle reader may look at one answer
        // for long. lock_wait_timeout: a reader in the middle of its answer keeps tables from being renamed, which can wait
        // for the next occasion; by default it would wait for a day.
        let mut sql = String::from(
            "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO', \
             wait_timeout = 86400, innodb_lock_wait_timeout = 30, lock_wait_timeout = 3;",
        );
        if self.rights == Rights::Read {
            sql.push_str("SET SESSION TRANSACTION READ ONLY;");
        }
        conn.batch_execute(&sql).map_err(Error::QueryError)
    }
}
