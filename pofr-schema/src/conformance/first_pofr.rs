//! The first POFR's queries, word for word, and the columns that its schema names.

use super::{
    on_every_store,
    place::Place,
    samples::{bundle, cut, file, open_slice, row, seen, table},
};
use pofr_core::{fact::FactKind, store::Change};
use serde_json::{Map, Value};
use std::{collections::BTreeSet, ops::ControlFlow};

on_every_store!(its_queries_run, its_columns_are_there);

const C: &str = "cyear cmonth cday chour cmin csec cmsec";
const D: &str = "dyear dmonth dday dhour dmin dsec dmsec";
const M: &str = "myear mmonth mday mhour mmin msec mmsec";

fn its_queries_run(place: &Place) {
    let (store, cid, mut writer) = place.writer();
    let ask = |sql: &str| {
        let mut rows: Vec<Map<String, Value>> = Vec::new();
        let each = &mut |row| {
            rows.push(row);
            ControlFlow::Continue(())
        };
        store.read(&cid).unwrap().sql(sql, each).unwrap_or_else(|e| panic!("{sql}: {e}"));
        rows
    };
    let tables = if place.is_mariadb() {
        ask("show tables")
    } else {
        ask("select name from sqlite_master where type in ('table', 'view')")
    };
    let tables: BTreeSet<String> =
        tables.iter().map(|row| row.values().next().unwrap().as_str().unwrap().to_owned()).collect();
    for name in
        "psinfo fileinfo netinfo hostinfo userinfo groupinfo hwinfo netint netroute urlinfo".split(' ')
    {
        assert!(tables.contains(name), "a fresh client's database has no {name}: {tables:?}");
    }
    let triad = open_slice(&mut *writer, 0);
    let life = seen(1, 0, 10).life;
    let change = Change {
        bundles: vec![bundle(triad, 1, 0, 10)],
        insert: vec![
            (table(triad, FactKind::Process), (0..20).map(|n| cut(seen(n, 0, 10), true, true)).collect()),
            (table(triad, FactKind::File), (0..20).map(|n| row(file(n, 1, "/x"), life)).collect()),
        ],
        make_live: vec![triad],
        ..Change::default()
    };
    writer.commit(&change).unwrap();
    if place.is_mariadb() {
        let columns: Vec<String> = ask("describe lhlt.lhlttable")
            .iter()
            .map(|row| row["Field"].as_str().unwrap().to_owned())
            .collect();
        let first = "hostid uuid cid ciduser lastip ryear rmonth rday rmin rhour rsec";
        assert!(first.split(' ').eq(columns.iter().take(11)), "{columns:?}");
    }
    assert!(!ask("select cid,ciduser,lastip from lhlt.lhlttable").is_empty());
    let rows =
        ask("select cday,cmonth,cyear,chour,cmin,csec,command,arguments,pid,ppid,uid from psinfo LIMIT 10");
    assert_eq!(rows.len(), 10);
    assert_eq!(rows[0]["arguments"], "ls -l a b");
    assert_eq!(
        (&rows[0]["cyear"], &rows[0]["cday"], &rows[0]["uid"]),
        (&2023.into(), &14.into(), &1000.into())
    );
    let rows =
        ask("select cday,cmonth,cyear,chour,cmin,csec,command,filename,pid,ppid,uid from fileinfo LIMIT 10");
    assert_eq!(rows.len(), 10);
    assert_eq!((&rows[0]["filename"], &rows[0]["command"]), (&"/x".into(), &"x".into()));
}

fn its_columns_are_there(place: &Place) {
    let (store, cid, _writer) = place.writer();
    let mut reader = store.read(&cid).unwrap();
    for (table, columns) in [
        ("psinfo", "psentity shanorm shafull uid ruid euid rgid egid pid ppid command arguments tzone"),
        ("fileinfo", "fileaccessid shasum filename uid ruid euid rgid egid command pid ppid tzone"),
        (
            "netinfo",
            "endpointinfo tzone transport sourceip sourcefqdn sourceport destip destfqdn destport ipversion pid uid \
             inode shasum country city",
        ),
        ("hostinfo", "cid hostname os osver vendor vendormodel timezone"),
        ("userinfo", "userid shasum uid gid"),
        ("groupinfo", "groupid groupname gid shasum groupusers"),
        ("hwinfo", "hwdevid shasum devbus devstring devvendor userslogged"),
        ("netint", "netintid shasum ipversion ip subnet macaddr intname"),
        ("netroute", "routeid ipversion netip routenetmask defgw intname shasum"),
        ("urlinfo", "urlinfo sourceip destip url users"),
    ] {
        let mut columns: Vec<&str> = columns.split_whitespace().collect();
        columns.extend(C.split(' '));
        if table != "urlinfo" {
            columns.extend(D.split(' '));
        }
        if table == "userinfo" {
            columns.extend(M.split(' '));
        }
        let sql = format!("SELECT {} FROM {table}", columns.join(", "));
        reader.sql(&sql, &mut |_| ControlFlow::Continue(())).unwrap_or_else(|e| panic!("{table}: {e}"));
    }
}
