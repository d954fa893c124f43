//! userinfo and groupinfo: accounts.

use super::{Column, Context, Spec, Type, no_details};
use crate::db::{Cell, Values};
use pofr_core::{
    fact::{Fact, FactKind, Group, User},
    store::StoreError,
};

/// How users are stored.
pub(crate) const USER: Spec = Spec {
    kind: FactKind::User,
    table: "userinfo",
    id: "userid",
    digest: "shasum",
    columns: &[
        Column::new("username", Type::Bytes, "name"),
        Column::new("uid", Type::U32, "user id"),
        Column::new("gid", Type::U32, "primary group id"),
        Column::new("gecos", Type::Bytes, "comment field"),
        Column::new("home", Type::Bytes, "home directory"),
        Column::new("shell", Type::Bytes, "login shell"),
    ],
    indexes: &[],
    encode: encode_user,
    decode: decode_user,
    known: &[],
    details: no_details,
};

/// How groups are stored.
pub(crate) const GROUP: Spec = Spec {
    kind: FactKind::Group,
    table: "groupinfo",
    id: "groupid",
    digest: "shasum",
    columns: &[
        Column::new("groupname", Type::Bytes, "name"),
        Column::new("gid", Type::U32, "group id"),
        Column::new("groupusers", Type::Bytes, "the members' names, separated by commas"),
    ],
    indexes: &[],
    encode: encode_group,
    decode: decode_group,
    known: &[],
    details: no_details,
};

fn encode_user<'a>(fact: &'a Fact, _: &Context, cells: &mut Vec<Cell<'a>>) -> Option<()> {
    let Fact::User(u) = fact else { return None };
    cells.extend([Cell::bytes(&u.name), Cell::int(u.uid), Cell::int(u.gid)]);
    cells.extend([&u.gecos, &u.home, &u.shell].map(Cell::bytes));
    Some(())
}

fn decode_user(values: &mut Values<'_>, _: &Context) -> Result<Fact, StoreError> {
    Ok(Fact::User(User {
        name: values.bytes("username")?.into(),
        uid: values.int("uid")?,
        gid: values.int("gid")?,
        gecos: values.bytes("gecos")?.into(),
        home: values.bytes("home")?.into(),
        shell: values.bytes("shell")?.into(),
    }))
}

fn encode_group<'a>(fact: &'a Fact, _: &Context, cells: &mut Vec<Cell<'a>>) -> Option<()> {
    let Fact::Group(g) = fact else { return None };
    cells.extend([Cell::bytes(&g.name), Cell::int(g.gid), Cell::bytes(&g.members)]);
    Some(())
}

fn decode_group(values: &mut Values<'_>, _: &Context) -> Result<Fact, StoreError> {
    Ok(Fact::Group(Group {
        name: values.bytes("groupname")?.into(),
        gid: values.int("gid")?,
        members: values.bytes("groupusers")?.into(),
    }))
}
