//! What the server adds of its own: places out of a database made here, names from a resolver on loopback, URLs.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

#[expect(dead_code, reason = "shared with tests that use more of it")]
mod bundles;

use bundles::{process, write};
use pofr_core::{
    fact::{Endpoint, EndpointDetails, EndpointKey, Fact, SocketId, TcpState, Transport, User},
    raw::RawText,
};
use pofr_tests::{
    dns::{Resolver, Says},
    mmdb::mmdb,
    stores::TestStore,
};
use serde_json::Value;
use std::{fs, net::SocketAddr, path::Path, process::Command};

/// 2026-11-23T10:00:00Z, µs.
const T0: i64 = 1_795_428_000_000_000;
const SECOND: i64 = 1_000_000;

/// A connection from one of our addresses.
fn connection(cookie: u64, remote: &str) -> Fact {
    let remote: SocketAddr = remote.parse().unwrap();
    let local: SocketAddr =
        if remote.is_ipv4() { "192.0.2.1:40000" } else { "[2001:db8:1::1]:40000" }.parse().unwrap();
    Fact::from(Endpoint {
        key: EndpointKey {
            transport: Transport::Tcp,
            local,
            remote,
            state: TcpState::Established,
            socket: SocketId::Cookie(cookie),
            netns: None,
            holder: None,
        },
        details: EndpointDetails::default(),
    })
}

fn ann() -> Fact {
    let text = |text: &str| RawText::from(text);
    Fact::User(User {
        name: text("ann"),
        uid: 1000,
        gid: 100,
        gecos: text(""),
        home: text("/home/ann"),
        shell: text("/bin/sh"),
    })
}

/// Runs pofrs; returns its standard output.
fn pofrs(store: &TestStore, code: i32, arguments: &[&str]) -> String {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("pofrs"));
    let output = command.args(arguments).env("POFR_DB", store.url()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{}", text(&output.stderr));
    format!("{}{}", text(&output.stdout), if code == 0 { String::new() } else { text(&output.stderr) })
}

fn rows(store: &TestStore, sql: &str) -> Vec<Value> {
    let out = pofrs(store, 0, &["sql", "--client", "handmade", "--json", sql]);
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn texts(rows: &[Value], columns: [&str; 4]) -> Vec<[String; 4]> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    rows.iter().map(|row| columns.map(|column| text(&row[column]))).collect()
}

fn database(dir: &Path) -> String {
    let ip = |text: &str| text.parse().unwrap();
    let path = dir.join("places.mmdb");
    let bytes = mmdb(&[
        (ip("203.0.113.0"), 24, "NL", "'s-Gravenhage"),
        (ip("198.51.100.128"), 25, "JP", "\u{6771}\u{4eac}"),
        (ip("2001:db8:5::"), 48, "NO", "Oslo"),
    ]);
    fs::write(&path, bytes).unwrap();
    path.display().to_string()
}

#[test]
fn places_and_names_are_added_and_nothing_waits_for_them() {
    let dir = tempfile::tempdir().unwrap();
    for (number, store) in TestStore::all(dir.path()).into_iter().enumerate() {
        let dir = dir.path().join(number.to_string());
        let inbox = dir.join("inbox");
        fs::create_dir_all(&inbox).unwrap();
        // All but the first go on in the second bundle.
        let all = [
            connection(1, "203.0.113.5:443"),
            connection(2, "198.51.100.200:443"),
            connection(3, "198.51.100.7:443"),
            connection(4, "[2001:db8:5::7]:443"),
            connection(5, "[::ffff:203.0.113.9]:443"),
            connection(6, "192.0.2.66:443"),
            connection(7, "127.0.0.1:443"),
        ];
        write(&inbox, 1, 1, &[T0, T0 + SECOND], &all);
        write(&inbox, 1, 2, &[T0 + 2 * SECOND, T0 + 3 * SECOND], &all[1..]);
        let resolver = Resolver::start(&[
            ("5.113.0.203.in-addr.arpa", Says::Name("evil\x1b[2J.example.com")),
            ("200.100.51.198.in-addr.arpa", Says::Alias("shop.example.jp")),
            ("7.100.51.198.in-addr.arpa", Says::Failure),
            ("9.113.0.203.in-addr.arpa", Says::Lies("mapped.example.nl")),
            ("66.2.0.192.in-addr.arpa", Says::Silence),
            ("1.2.0.192.in-addr.arpa", Says::Name("here.example.org")),
        ]);
        let server = resolver.address.to_string();
        let inbox = inbox.display().to_string();
        let places = database(&dir);
        pofrs(
            &store,
            0,
            &["ingest", &inbox, "--client", "handmade", "--places", &places, "--names", &server],
        );
        let found = rows(
            &store,
            "SELECT destip, destfqdn, country, city, sourcefqdn, cookie FROM netinfo ORDER BY cookie",
        );
        let wanted = [
            ["203.0.113.5", "evil\\027[2J.example.com", "NL", "'s-Gravenhage"],
            ["198.51.100.200", "shop.example.jp", "JP", "\u{6771}\u{4eac}"],
            ["198.51.100.7", "-", "-", "-"],
            ["2001:db8:5::7", "-", "NO", "Oslo"],
            ["::ffff:203.0.113.9", "mapped.example.nl", "NL", "'s-Gravenhage"],
            ["192.0.2.66", "-", "-", "-"],
            ["127.0.0.1", "-", "-", "-"],
        ];
        assert_eq!(
            texts(&found, ["destip", "destfqdn", "country", "city"]),
            wanted.map(|row| row.map(str::to_owned))
        );
        let ours: Vec<&str> = found.iter().filter_map(|row| row["sourcefqdn"].as_str()).collect();
        assert_eq!(ours, ["here.example.org"; 5], "of our IPv4 address, not of the IPv6 one");
        // Once each, whatever the answer was; only what stayed unanswered is asked for again, once. Loopback is nobody's business.
        let asked = resolver.asked();
        let silent = "66.2.0.192.in-addr.arpa";
        let of_others: Vec<&String> = asked.iter().filter(|name| *name != silent).collect();
        assert_eq!(of_others.len(), 7, "{asked:?}");
        assert!((1..=2).contains(&asked.iter().filter(|name| *name == silent).count()), "{asked:?}");
    }
}

#[test]
fn nothing_is_added_unless_asked_for_and_a_bad_database_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let store = TestStore::Sqlite(format!("sqlite:{}", dir.path().join("data").display()));
    let inbox = dir.path().join("inbox");
    fs::create_dir(&inbox).unwrap();
    write(&inbox, 1, 1, &[T0], &[connection(1, "203.0.113.5:443")]);
    let inbox = inbox.display().to_string();
    let bad = dir.path().join("bad.mmdb");
    fs::write(&bad, "no database").unwrap();
    let bad = bad.display().to_string();
    let said = pofrs(&store, 1, &["ingest", &inbox, "--client", "handmade", "--places", &bad]);
    assert!(said.contains("bad.mmdb as a database of places"), "{said}");
    pofrs(&store, 0, &["ingest", &inbox, "--client", "handmade"]);
    let found = rows(&store, "SELECT sourcefqdn, destfqdn, country, city FROM netinfo");
    assert_eq!(texts(&found, ["sourcefqdn", "destfqdn", "country", "city"]), [["-"; 4].map(str::to_owned)]);
}

#[test]
fn a_database_that_is_damaged_leaves_the_columns_empty() {
    let dir = tempfile::tempdir().unwrap();
    let whole = fs::read(database(dir.path())).unwrap();
    for cut in [200, 1000, 3000] {
        let store = TestStore::Sqlite(format!("sqlite:{}", dir.path().join(format!("data-{cut}")).display()));
        let inbox = dir.path().join(format!("inbox-{cut}"));
        fs::create_dir(&inbox).unwrap();
        write(&inbox, 1, 1, &[T0], &[connection(1, "203.0.113.5:443"), connection(2, "198.51.100.200:443")]);
        // Noise in the tree and in the data: the metadata still says that all is well.
        let mut bytes = whole.clone();
        let end = bytes.len() - 300;
        bytes[..end].iter_mut().skip(cut % 7).step_by(7).for_each(|byte| *byte ^= 0x5a);
        let damaged = dir.path().join(format!("damaged-{cut}.mmdb"));
        fs::write(&damaged, bytes).unwrap();
        let (inbox, damaged) = (inbox.display().to_string(), damaged.display().to_string());
        pofrs(&store, 0, &["ingest", &inbox, "--client", "handmade", "--places", &damaged]);
        assert_eq!(rows(&store, "SELECT destip FROM netinfo").len(), 2);
    }
}

#[test]
fn urls_are_listed_with_who_was_given_them() {
    let dir = tempfile::tempdir().unwrap();
    for (number, store) in TestStore::all(dir.path()).into_iter().enumerate() {
        let inbox = dir.path().join(format!("inbox-{number}"));
        fs::create_dir(&inbox).unwrap();
        let curl =
            process(7, 1, b"curl", b"curl\0-o\0/tmp/x\0https://example.com/a?b=c\0http://192.0.2.9/\xff\0");
        let plain = process(8, 1, b"sh", b"sh\0-c\0true\0");
        write(&inbox, 1, 1, &[T0, T0 + SECOND], &[ann(), curl.clone(), plain.clone()]);
        write(&inbox, 1, 2, &[T0 + 2 * SECOND], &[ann(), curl, plain]);
        let inbox = inbox.display().to_string();
        pofrs(&store, 0, &["ingest", &inbox, "--client", "handmade"]);
        let sql = "SELECT u.cmicros, u.users, u.pid, p.command, u.url, u.chour FROM urlinfo u JOIN psinfo p \
            ON p.entity = u.entity AND p.pid = u.pid ORDER BY u.urlinfo";
        let found = rows(&store, sql);
        assert_eq!(found.len(), 2, "{found:?}");
        for row in &found {
            assert_eq!((&row["cmicros"], &row["users"], &row["pid"]), (&T0.into(), &"ann".into(), &7.into()));
            assert_eq!((&row["command"], &row["chour"]), (&"curl".into(), &11.into()));
        }
        let urls: Vec<String> = found.iter().map(|row| row["url"].to_string()).collect();
        assert!(urls.iter().any(|url| url.contains("https://example.com/a?b=c")), "{urls:?}");
    }
}
