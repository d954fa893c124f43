//! lhlt.lhlttable: the clients.

use super::schema::lhlttable;
use crate::db::{Db, Doing as _, on_link};
use diesel::prelude::*;
use pofr_core::{
    identity::Cid,
    store::{ClientEntry, StoreError},
    time::WallMicros,
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = lhlttable)]
struct Stored {
    uuid: String,
    cid: String,
    ciduser: String,
    lastip: Option<String>,
    registered: i64,
}

impl Stored {
    fn entry(self) -> Result<ClientEntry, StoreError> {
        let cid = Cid::parse(&self.cid).ok_or_else(|| StoreError::Corrupt {
            table: "lhlt.lhlttable".into(),
            detail: format!("cid is {:?}", self.cid),
        })?;
        Ok(ClientEntry {
            cid,
            uuid: self.uuid,
            ciduser: self.ciduser,
            last_ip: self.lastip,
            registered: WallMicros(self.registered),
        })
    }
}

/// Lists the clients, oldest registration first.
pub(crate) fn clients(db: &mut Db) -> Result<Vec<ClientEntry>, StoreError> {
    let stored: Vec<Stored> = on_link!(db, conn => lhlttable::table
        .order((lhlttable::registered, lhlttable::hostid))
        .select(Stored::as_select())
        .load(conn))
    .doing("read table lhlt.lhlttable")?;
    stored.into_iter().map(Stored::entry).collect()
}

/// Finds a client.
pub(crate) fn client(db: &mut Db, cid: &Cid) -> Result<Option<ClientEntry>, StoreError> {
    let stored: Option<Stored> = on_link!(db, conn => lhlttable::table
        .filter(lhlttable::cid.eq(cid.as_str()))
        .select(Stored::as_select())
        .first(conn)
        .optional())
    .doing("read table lhlt.lhlttable")?;
    stored.map(Stored::entry).transpose()
}

/// Writes down the address that a client last sent from; nothing is written where that is known.
pub(crate) fn set_last_ip(db: &mut Db, cid: &Cid, ip: &str) -> Result<(), StoreError> {
    on_link!(db, conn => diesel::update(lhlttable::table
        .filter(lhlttable::cid.eq(cid.as_str()))
        .filter(lhlttable::lastip.is_null().or(lhlttable::lastip.ne(ip))))
        .set(lhlttable::lastip.eq(ip))
        .execute(conn))
    .doing("write table lhlt.lhlttable")?;
    Ok(())
}

/// Adds a client; the broken-down time of registration is UTC.
pub(crate) fn insert_client(db: &mut Db, client: &ClientEntry) -> Result<(), StoreError> {
    let at = jiff::Timestamp::from_microsecond(client.registered.0)
        .map_err(|e| crate::db::failure("write table lhlt.lhlttable", e))?
        .to_zoned(jiff::tz::TimeZone::UTC);
    on_link!(db, conn => diesel::insert_into(lhlttable::table)
        .values((
            lhlttable::uuid.eq(&client.uuid),
            lhlttable::cid.eq(client.cid.as_str()),
            lhlttable::ciduser.eq(&client.ciduser),
            lhlttable::lastip.eq(client.last_ip.as_deref()),
            lhlttable::ryear.eq(i64::from(at.year())),
            lhlttable::rmonth.eq(i64::from(at.month())),
            lhlttable::rday.eq(i64::from(at.day())),
            lhlttable::rmin.eq(i64::from(at.minute())),
            lhlttable::rhour.eq(i64::from(at.hour())),
            lhlttable::rsec.eq(i64::from(at.second())),
            lhlttable::registered.eq(client.registered.0),
        ))
        .execute(conn))
    .doing("write table lhlt.lhlttable")?;
    Ok(())
}

/// Takes a client out.
pub(crate) fn delete_client(db: &mut Db, client: &Cid) -> Result<(), StoreError> {
    on_link!(db, conn => diesel::delete(lhlttable::table.filter(lhlttable::cid.eq(client.as_str())))
        .execute(conn))
    .doing("write table lhlt.lhlttable")?;
    Ok(())
}
