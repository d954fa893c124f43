//! Values on their way into the database.

use diesel::{
    backend::Backend,
    query_builder::AstPass,
    result::QueryResult,
    serialize::ToSql,
    sql_types::{BigInt, Binary, HasSqlType, Nullable, Text},
};
use std::borrow::Cow;

/// One value of a row, with the type of its column even where it is NULL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell<'a> {
    /// A whole number.
    Int(Option<i64>),
    /// Text of ours: digests, names of states.
    Text(Option<Cow<'a, str>>),
    /// Bytes of the client's, for people to query: see [`Self::push`].
    Bytes(Option<Cow<'a, [u8]>>),
    /// Bytes for programs alone.
    Blob(Option<Cow<'a, [u8]>>),
}

impl<'a> Cell<'a> {
    pub(crate) fn int(value: impl Into<i64>) -> Self {
        Self::Int(Some(value.into()))
    }

    /// Stores a 64-bit unsigned number; those from 2⁶³ on wrap to negative ones and back.
    pub(crate) fn wide(value: u64) -> Self {
        Self::Int(Some(value.cast_signed()))
    }

    pub(crate) fn text(value: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(Some(value.into()))
    }

    pub(crate) fn bytes(value: &'a pofr_core::raw::RawText) -> Self {
        Self::Bytes(Some(Cow::Borrowed(value.as_bytes())))
    }

    /// Returns about how many bytes the value takes in a statement.
    pub(crate) fn size(&self) -> usize {
        8 + match self {
            Self::Int(_) => 0,
            Self::Text(text) => text.as_ref().map_or(0, |t| t.len()),
            Self::Bytes(bytes) | Self::Blob(bytes) => bytes.as_ref().map_or(0, |b| b.len()),
        }
    }

    /// Binds the value.
    ///
    /// With `text_where_possible` (SQLite), bytes that are UTF-8 without NUL are bound as text, so that
    /// `command = 'bash'` holds and LIKE works: SQLite never finds a blob equal to a text. MariaDB compares both alike.
    pub(crate) fn push<'b, DB>(
        &'b self,
        out: &mut AstPass<'_, 'b, DB>,
        text_where_possible: bool,
    ) -> QueryResult<()>
    where
        DB: Backend + HasSqlType<BigInt> + HasSqlType<Text> + HasSqlType<Binary>,
        i64: ToSql<BigInt, DB>,
        str: ToSql<Text, DB>,
        [u8]: ToSql<Binary, DB>,
    {
        match self {
            Self::Int(Some(value)) => out.push_bind_param::<BigInt, i64>(value),
            Self::Text(Some(text)) => out.push_bind_param::<Text, str>(text),
            Self::Bytes(Some(bytes)) => match std::str::from_utf8(bytes) {
                Ok(text) if text_where_possible && !bytes.contains(&0) => {
                    out.push_bind_param::<Text, str>(text)
                }
                _ => out.push_bind_param::<Binary, [u8]>(bytes),
            },
            Self::Blob(Some(bytes)) => out.push_bind_param::<Binary, [u8]>(bytes),
            Self::Int(None) | Self::Text(None) | Self::Bytes(None) | Self::Blob(None) => {
                out.push_bind_param::<Nullable<BigInt>, Option<i64>>(&None)
            }
        }
    }
}
