//! The tables of facts: their columns, and how a fact becomes a row and comes back.
//!
//! One file a kind says it all in one place: the columns that are the kind's own, which of them are filled
//! in later, and the two directions. What every kind has (lifetime, zone, digest, broken-down times) is in `lifetime_columns`,
//! how columns become DDL in `ddl`. A row read back gives exactly the fact that was stored.

mod account;
mod arguments;
mod custom;
mod ddl;
mod device;
mod endpoint;
mod entity;
mod file;
mod host;
mod interface;
mod lifetime_columns;
mod marks;
mod module;
mod process;
mod route;
mod row;
mod url;

pub(crate) use ddl::{
    add_marks, add_term, create_bare_table, create_indexes, create_table, forget_nobody, is_stored,
};
pub(crate) use lifetime_columns::{LIVE, TERMS};
pub(crate) use row::{LIFE, life_cells, read_life, read_row, row_cells};
pub(crate) use url::{all_columns as urlinfo_columns, create as create_urlinfo};

use crate::db::{Cell, Values};
use pofr_core::{
    fact::{Fact, FactKind},
    identity::BootId,
    source::Source,
    store::StoreError,
};
use std::collections::HashMap;

/// What a column can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// The primary key, given by the database, going up.
    Id,
    /// 0 to 4,294,967,295.
    U32,
    /// A 64-bit number; unsigned ones from 2⁶³ on wrap to negative.
    Big,
    /// 0 or 1.
    Flag,
    /// Exactly or up to so many ASCII characters.
    Ascii(u16),
    /// UTF-8 of ours, of any length.
    Text,
    /// The client's bytes, of any length and value.
    Bytes,
    /// Bytes for programs, of any length.
    Blob,
    /// A date and time as text people read.
    DateTime,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it can hold.
    pub(crate) ty: Type,
    /// Whether it may be NULL.
    pub(crate) nullable: bool,
    /// Where it is generated: the expression in SQLite's words and in MariaDB's.
    pub(crate) generated: Option<(&'static str, &'static str)>,
    /// What it means, with its unit.
    pub(crate) doc: &'static str,
}

impl Column {
    /// A column that always has a value.
    pub(crate) const fn new(name: &'static str, ty: Type, doc: &'static str) -> Self {
        Self { name, ty, nullable: false, generated: None, doc }
    }

    /// A column that may be NULL.
    pub(crate) const fn opt(name: &'static str, ty: Type, doc: &'static str) -> Self {
        Self { name, ty, nullable: true, generated: None, doc }
    }

    /// A virtual column that both databases can work out by the same expression.
    pub(crate) const fn virt(
        name: &'static str,
        ty: Type,
        expression: &'static str,
        doc: &'static str,
    ) -> Self {
        Self { name, ty, nullable: true, generated: Some((expression, expression)), doc }
    }
}

/// An index: its name's ending, its columns, and for MariaDB how many bytes of the last one.
pub(crate) type Index = (&'static str, &'static [&'static str], Option<u16>);

/// What the rows of a kind need to know from outside.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    /// The client's id.
    pub(crate) cid: String,
    /// The numbers of boots.
    pub(crate) boots: HashMap<BootId, i64>,
    /// Their reverse.
    pub(crate) boot_names: HashMap<i64, BootId>,
}

/// Details of a fact, with the names of their columns.
pub(crate) type Details<'a> = Vec<(&'static str, Cell<'a>)>;

/// How one kind of facts is stored.
pub(crate) struct Spec {
    /// The kind.
    pub(crate) kind: FactKind,
    /// The table's name; for kinds in triads, the view's over all of them.
    pub(crate) table: &'static str,
    /// The primary key.
    pub(crate) id: &'static str,
    /// The column with the key's digest.
    pub(crate) digest: &'static str,
    /// The kind's own columns, in the order of `encode` and `decode`; generated ones are not in those.
    pub(crate) columns: &'static [Column],
    /// The kind's own indexes.
    pub(crate) indexes: &'static [Index],
    /// Appends the values of the kind's own columns.
    pub(crate) encode: for<'a> fn(&'a Fact, &Context, &mut Vec<Cell<'a>>) -> Option<()>,
    /// Reads them back.
    pub(crate) decode: fn(&mut Values<'_>, &Context) -> Result<Fact, StoreError>,
    /// The columns that tell which details are known, in the order of [`pofr_core::fact::Known`].
    pub(crate) known: &'static [&'static str],
    /// Returns those details that are known, with the names of their columns.
    pub(crate) details: for<'a> fn(&'a Fact) -> Details<'a>,
}

/// Returns how facts of `kind` are stored.
pub(crate) const fn spec(kind: FactKind) -> &'static Spec {
    match kind {
        FactKind::Process => &process::SPEC,
        FactKind::File => &file::SPEC,
        FactKind::Endpoint => &endpoint::SPEC,
        FactKind::Host => &host::SPEC,
        FactKind::User => &account::USER,
        FactKind::Group => &account::GROUP,
        FactKind::Interface => &interface::SPEC,
        FactKind::Route => &route::SPEC,
        FactKind::Device => &device::SPEC,
        FactKind::Module => &module::SPEC,
        FactKind::Custom => &custom::SPEC,
    }
}

impl Spec {
    /// Returns all columns of the table, in its order: the key, what every kind has, the kind's own, what follows from them.
    pub(crate) fn all_columns(&self) -> impl Iterator<Item = Column> + '_ {
        lifetime_columns::before(self)
            .into_iter()
            .chain(self.columns.iter().copied())
            .chain(lifetime_columns::after(self))
    }

    /// Returns the names of the columns that are stored, without the key, in the order of [`row_cells`].
    pub(crate) fn stored(&self) -> Vec<&'static str> {
        self.all_columns()
            .filter(|c| c.generated.is_none() && c.ty != Type::Id && !lifetime_columns::is_modified(c.name))
            .map(|c| c.name)
            .collect()
    }

    /// Returns the source whose samples show facts of this kind; `None` for custom facts, where the row tells.
    pub(crate) fn source(&self) -> Option<Source> {
        Some(match self.kind {
            FactKind::Process | FactKind::File => Source::Process,
            FactKind::Endpoint => Source::Endpoint,
            FactKind::Host => Source::Host,
            FactKind::User | FactKind::Group => Source::Account,
            FactKind::Interface => Source::Interface,
            FactKind::Route => Source::Route,
            FactKind::Device => Source::Device,
            FactKind::Module => Source::Module,
            FactKind::Custom => return None,
        })
    }
}

/// Details of kinds that have none.
pub(crate) fn no_details(_: &Fact) -> Details<'_> {
    Vec::new()
}
