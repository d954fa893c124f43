//! Clients: adding, listing, locking, refusing.

use super::{
    on_every_store,
    place::{Place, new_client},
};
use crate::{Access, db::fuse, open};
use pofr_core::{
    identity::Cid,
    store::{ClientEntry, StoreError},
};

on_every_store!(
    a_client_is_listed_as_it_was_added,
    adding_twice_is_refused,
    databases_of_others_are_refused,
    one_writes_any_number_read,
    reading_makes_nothing,
    a_newer_schema_is_refused,
    a_half_added_client_is_added_again,
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
