//! Clients: adding, listing, locking, refusing.

use super::{
    on_every_store,
    place::{Place, new_client},
};
use crate::{Access, db::fuse, open};
use pofr_core::{
    identity::Cid,
    store::{Change, ClientEntry, StoreError},
};

on_every_store!(
    a_client_is_listed_as_it_was_added,
    adding_twice_is_refused,
    databases_of_others_are_refused,
    one_writes_any_number_read,
    reading_makes_nothing,
    a_newer_schema_is_refused,
    an_older_schema_is_brought_up_by_who_writes,
    a_lost_database_is_made_again,
    a_half_added_client_is_added_again,
    a_removed_client_is_gone_and_can_come_again,
);

fn a_client_is_listed_as_it_was_added(place: &Place) {
    let store = place.store();
    let (a, b) = (new_client(), ClientEntry { last_ip: None, ..new_client() });
    store.add_client(&b).unwrap();
    store.add_client(&a).unwrap();
    let listed: Vec<ClientEntry> =
        store.clients().unwrap().into_iter().filter(|c| c.cid == a.cid || c.cid == b.cid).collect();
    assert_eq!(listed, [a, b], "oldest registration first");
}

fn adding_twice_is_refused(place: &Place) {
    let store = place.store();
    let client = new_client();
    store.add_client(&client).unwrap();
    assert!(matches!(store.add_client(&client), Err(StoreError::ClientExists(_))));
    let dashless = Cid::parse(&client.cid.database()).unwrap();
    let same_database = ClientEntry { cid: dashless.clone(), ..client };
    assert!(matches!(store.add_client(&same_database), Err(StoreError::ClientExists(_))));
    assert!(matches!(store.read(&dashless), Err(StoreError::NoClient(_))));
    assert!(matches!(store.write(&dashless), Err(StoreError::NoClient(_))));
}

fn databases_of_others_are_refused(place: &Place) {
    for name in ["mysql", "l-hlt", "MySQL", "sys"] {
        let client = ClientEntry { cid: Cid::parse(name).unwrap(), ..new_client() };
        let error = place.store().add_client(&client).unwrap_err().to_string();
        assert!(error.contains("another database"), "{error}");
    }
}

fn one_writes_any_number_read(place: &Place) {
    let (store, cid, writer) = place.writer();
    assert!(matches!(store.write(&cid), Err(StoreError::Locked(locked)) if locked == cid));
    let elsewhere = place.store();
    assert!(matches!(elsewhere.write(&cid), Err(StoreError::Locked(_))));
    let (mut a, mut b) = (store.read(&cid).unwrap(), elsewhere.read(&cid).unwrap());
    assert_eq!(a.ledger().unwrap().bundles, b.ledger().unwrap().bundles);
    drop(writer);
    let writer = elsewhere.write(&cid).unwrap();
    assert!(store.write(&cid).is_err());
    drop(writer);
    store.write(&cid).unwrap();
}

fn reading_makes_nothing(place: &Place) {
    let (store, cid, writer) = place.writer();
    drop(writer);
    drop(store);
    let store = open(&place.url, Access::Read).unwrap();
    assert!(store.add_client(&new_client()).is_err());
    assert!(store.write(&cid).is_err());
    store.read(&cid).unwrap().ledger().unwrap();
}

fn a_newer_schema_is_refused(place: &Place) {
    let (store, cid, writer) = place.writer();
    drop(writer);
    let pools = crate::db::Pools::new(crate::Location::parse(&place.url).unwrap());
    let mut db = pools.get(&cid.database(), crate::db::Rights::Write).unwrap();
    crate::ledger::set(&mut db, "schema", 99).unwrap();
    for error in [store.read(&cid).map(drop).unwrap_err(), store.write(&cid).map(drop).unwrap_err()] {
        assert!(matches!(error, StoreError::SchemaVersion { found: 99, .. }), "{error}");
    }
}

fn an_older_schema_is_brought_up_by_who_writes(place: &Place) {
    let (store, cid, mut writer) = place.writer();
    let triad = super::samples::open_slice(&mut *writer, 0);
    let bundles = vec![super::samples::bundle(triad, 1, 0, 10)];
    writer.commit(&Change { bundles, make_live: vec![triad], ..Change::default() }).unwrap();
    let before = writer.ledger().unwrap();
    assert_eq!((before.bundles.len(), before.triads.len()), (1, 1));
    drop(writer);
    // As version 1 had it.
    let pools = crate::db::Pools::new(crate::Location::parse(&place.url).unwrap());
    let mut db = pools.get(&cid.database(), crate::db::Rights::Write).unwrap();
    db.batch("DROP TABLE pofr_actions").unwrap();
    crate::ledger::set(&mut db, "schema", 1).unwrap();
    drop(db);
    let error = store.read(&cid).map(drop).unwrap_err();
    assert!(matches!(error, StoreError::SchemaVersion { found: 1, .. }), "{error}");
    assert!(error.to_string().contains("hint: any command that writes"), "{error}");
    let mut writer = store.write(&cid).unwrap();
    let after = writer.ledger().unwrap();
    assert_eq!((after.bundles, after.triads), (before.bundles, before.triads), "nothing is lost");
    drop(writer);
    assert_eq!(store.read(&cid).unwrap().ledger().unwrap().actions, []);
}

fn a_lost_database_is_made_again(place: &Place) {
    let (store, cid, writer) = place.writer();
    drop(writer);
    store.restore_client(&cid).unwrap();
    drop(store);
    match place.url.strip_prefix("sqlite:") {
        Some(dir) => {
            std::fs::remove_file(std::path::Path::new(dir).join(cid.database() + ".sqlite")).unwrap();
        }
        None => {
            let pools = crate::db::Pools::new(crate::Location::parse(&place.url).unwrap());
            let mut db = pools.get("", crate::db::Rights::Create).unwrap();
            db.execute(crate::db::Statement::new("DROP DATABASE ").name(cid.database())).unwrap();
        }
    }
    let store = place.store();
    assert!(store.write(&cid).is_err());
    store.restore_client(&cid).unwrap();
    assert_eq!(store.write(&cid).unwrap().ledger().unwrap().bundles, []);
    let unknown = Cid::parse("never-heard-of").unwrap();
    assert!(matches!(store.restore_client(&unknown), Err(StoreError::NoClient(_))));
}

fn a_half_added_client_is_added_again(place: &Place) {
    let store = place.store();
    let client = new_client();
    let database = client.cid.database();
    let pools = crate::db::Pools::new(crate::Location::parse(&place.url).unwrap());
    // As adding does it, cut off after every number of statements: the database is there in part, the row is not.
    for statements in [1, 3, 10, 20] {
        if place.is_mariadb() {
            let mut db = pools.get("", crate::db::Rights::Create).unwrap();
            let create = crate::db::Statement::new("CREATE DATABASE IF NOT EXISTS ").name(database.clone());
            db.execute(create).unwrap();
        }
        let mut db = pools.get(&database, crate::db::Rights::Create).unwrap();
        fuse::set(Some(statements));
        crate::ledger::migrate(&mut db, &database).unwrap_err();
        fuse::set(None);
        assert!(matches!(store.read(&client.cid), Err(StoreError::NoClient(_))));
    }
    store.add_client(&client).unwrap();
    store.write(&client.cid).unwrap().ledger().unwrap();
}

/// A server that is not there, or does not know us, is said so at once.
#[cfg(feature = "mariadb")]
#[test]
fn a_server_that_does_not_answer_is_named() {
    let began = std::time::Instant::now();
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, "secret").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let option = format!("password_file={}", file.display());
    let url = &format!("mysql://nobody@localhost/?unix_socket=%2Fnonexistent%2Fsocket&{option}");
    let error = open(url, Access::Write).map(drop).unwrap_err().to_string();
    assert!(error.contains("/nonexistent/socket") && !error.contains("secret"), "{error}");
    let server = Place::mariadb().url.replace("root@", "nobody@") + "&" + &option;
    let error = open(&server, Access::Read).map(drop).unwrap_err().to_string();
    assert!(error.contains("nobody") && error.contains("password: YES"), "{error}");
    assert!(error.contains("hint: ") && !error.contains("secret"), "{error}");
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "it must not try for long");
}

#[cfg(not(feature = "mariadb"))]
#[test]
fn a_program_without_mariadb_says_so() {
    let error = open("mysql://root@localhost/", Access::Write).map(drop).unwrap_err().to_string();
    assert!(error.contains("without MariaDB") && error.contains("hint: "), "{error}");
}

fn a_removed_client_is_gone_and_can_come_again(place: &Place) {
    let (store, cid, writer) = place.writer();
    assert!(matches!(store.remove_client(&cid), Err(StoreError::Locked(_))), "somebody writes");
    drop(writer);
    let entry = store.clients().unwrap().into_iter().find(|c| c.cid == cid).unwrap();
    store.remove_client(&cid).unwrap();
    assert!(!store.clients().unwrap().iter().any(|c| c.cid == cid));
    assert!(matches!(store.read(&cid), Err(StoreError::NoClient(_))));
    assert!(matches!(store.remove_client(&cid), Err(StoreError::NoClient(_))));
    if let Some(dir) = place.url.strip_prefix("sqlite:") {
        let file = std::path::Path::new(dir).join(cid.database() + ".sqlite");
        assert!(!file.exists(), "{}", file.display());
    }
    drop(store);
    let store = place.store();
    store.add_client(&entry).unwrap();
    assert_eq!(store.read(&cid).unwrap().ledger().unwrap().bundles, []);
}
