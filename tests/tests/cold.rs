//! What hardly ever changes, from the machine to the tables: interfaces, routes, devices, modules, and the facts of a collector
//! that someone else wrote; and what events tell of files and sockets. Other programs say what must be found: ip(8), and the
//! kernel's own lists.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

use pofr_collect::{
    HostView, Recorder, Registry, Settings, Spool, SpoolSettings, Stop,
    events::{FileEvents, SocketEvents, Watch},
};
use pofr_core::{
    Collector, Source,
    collector::{CollectError, Observation},
    fact::{Custom, Fact},
    identity::Cid,
    store::{ClientEntry, ClientReader},
    time::WallMicros,
};
use pofr_ingest::{Inbox, Options, ingest};
use pofr_schema::Access;
use pofr_tests::stores::TestStore;
use serde_json::{Map, Value};
use std::{
    collections::BTreeSet,
    fs,
    net::{SocketAddr, UdpSocket},
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// A third party's collector: a thing that counts, and one that stays.
struct Counter(u32);

impl Collector for Counter {
    fn source(&self) -> Source {
        Source::parse("acme.counter").unwrap()
    }

    fn sample(&mut self, out: &mut Observation) -> Result<(), CollectError> {
        self.0 += 1;
        for (name, value) in [("count", self.0.to_string()), ("same\nname", "it's".to_owned())] {
            out.show(Fact::Custom(Custom {
                source: self.source(),
                name: name.into(),
                attributes: [("value".to_owned(), value.as_str().into())].into(),
            }));
        }
        Ok(())
    }
}

/// What was done while it was recorded: by which process to which path, and which sockets were gone before a sample could see them.
struct Done {
    dir: PathBuf,
    pid: u32,
    sockets: Vec<SocketAddr>,
    /// Whether the kernel lets us have the events.
    heard: bool,
}

fn record(dir: &Path) -> Done {
    let view = HostView::live().unwrap();
    let watched = dir.canonicalize().unwrap().join("watched");
    fs::create_dir(&watched).unwrap();
    let mut registry = Registry::samplers_only(&view).sampler(Counter(0));
    let events = (SocketEvents::open(&view), FileEvents::open(&view, vec![Watch::changes(&watched)]));
    let heard = match events {
        (Ok(sockets), Ok(files)) => {
            registry = registry.event_source(sockets).event_source(files);
            true
        }
        (sockets, files) => {
            eprintln!("NOT TRIED: {:?}, {:?}", sockets.err(), files.err());
            false
        }
    };
    let spool = Spool::open(&view, SpoolSettings::beside(dir)).unwrap();
    let settings = Settings {
        interval_micros: 50_000,
        bundle_micros: 400_000,
        exclude_self: true,
        ..Settings::default()
    };
    let mut recorder = Recorder::new(view, registry, settings, spool).unwrap();
    let at = watched.clone();
    let doing = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        let script = format!("cd '{}' && echo x > made && exec mv made moved", at.display());
        let mut child = Command::new("sh").args(["-c", &script]).spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        let sockets =
            (0..100).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()).collect();
        (pid, sockets)
    });
    recorder.run(&Stop::new().unwrap(), Some(Duration::from_secs(3))).unwrap();
    let (pid, sockets) = doing.join().unwrap();
    let spool = recorder.into_sink();
    let bundles: Vec<_> = spool.bundles().collect();
    assert!(bundles.len() >= 2, "{bundles:?}");
    fs::create_dir(dir.join("inbox")).unwrap();
    for bundle in bundles {
        fs::copy(&bundle, dir.join("inbox").join(bundle.file_name().unwrap())).unwrap();
    }
    Done { dir: watched, pid, sockets, heard }
}

fn rows(reader: &mut dyn ClientReader, statement: &str) -> Vec<Map<String, Value>> {
    let mut rows = Vec::new();
    reader
        .sql(statement, &mut |row| {
            rows.push(row);
            ControlFlow::Continue(())
        })
        .unwrap();
    rows
}

fn texts(rows: &[Map<String, Value>], columns: &[&str]) -> BTreeSet<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    rows.iter().map(|row| columns.iter().map(|c| text(&row[*c])).collect::<Vec<_>>().join(" ")).collect()
}

/// Runs ip(8) and returns what it lists.
fn ip(arguments: &[&str]) -> Vec<Value> {
    let output = Command::new("ip").arg("-json").args(arguments).output().expect("ip(8) is installed");
    assert!(output.status.success(), "ip {arguments:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

fn interfaces() -> BTreeSet<String> {
    let mut expected = BTreeSet::new();
    for link in ip(&["address"]) {
        let (name, mac) = (link["ifname"].as_str().unwrap(), link["address"].as_str().unwrap_or_default());
        let up = u8::from(link["flags"].as_array().unwrap().contains(&"UP".into()));
        let addresses = link["addr_info"].as_array().unwrap();
        if addresses.is_empty() {
            expected.insert(format!("null null 0 {mac} {name} {up}"));
        }
        for address in addresses {
            let version = if address["family"] == "inet" { 4 } else { 6 };
            let (local, prefix) = (address["local"].as_str().unwrap(), &address["prefixlen"]);
            expected.insert(format!("{version} {local} {prefix} {mac} {name} {up}"));
        }
    }
    expected
}

/// The routes over one next hop, those of IPv4 and those of IPv6.
fn routes() -> BTreeSet<String> {
    let mut expected = BTreeSet::new();
    for (option, any, whole) in [("-4", "0.0.0.0", "32"), ("-6", "::", "128")] {
        for route in ip(&[option, "route", "show", "table", "main"]) {
            let Some(interface) = route["dev"].as_str() else { continue };
            let to = route["dst"].as_str().unwrap();
            let (to, prefix) =
                if to == "default" { (any, "0") } else { to.split_once('/').unwrap_or((to, whole)) };
            let gateway = route["gateway"].as_str().unwrap_or("null");
            let metric = route["metric"].as_u64().unwrap_or(0);
            expected.insert(format!("{to} {prefix} {gateway} {interface} {metric}"));
        }
    }
    expected
}

fn modules() -> BTreeSet<String> {
    // A kernel that can load no modules has no such list.
    let list = fs::read_to_string("/proc/modules").unwrap_or_default();
    list.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
}

fn discs() -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir("/sys/block") else { return BTreeSet::new() };
    let is_there =
        |path: &Path| path.join("device").exists() || fs::read_to_string(path.join("size")).unwrap() != "0\n";
    let names = entries.map(|entry| entry.unwrap()).filter(|entry| is_there(&entry.path()));
    names.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

#[test]
fn what_the_machine_has_is_in_the_tables() {
    let dir = tempfile::tempdir().unwrap();
    let (interfaces, routes) = (interfaces(), routes());
    let done = record(dir.path());
    for store in TestStore::all(dir.path()) {
        let inbox = dir.path().join(store.name());
        fs::create_dir(&inbox).unwrap();
        for entry in fs::read_dir(dir.path().join("inbox")).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, inbox.join(path.file_name().unwrap())).unwrap();
        }
        let store = pofr_schema::open(&store.url(), Access::Write).unwrap();
        let cid = Cid::parse("cold-1").unwrap();
        let client = ClientEntry {
            cid: cid.clone(),
            uuid: "cold".into(),
            ciduser: "0".repeat(32),
            last_ip: None,
            registered: WallMicros(0),
        };
        store.add_client(&client).unwrap();
        let (inbox, options) = (Inbox::new(&inbox, 1 << 30), Options::default());
        let report =
            ingest(&mut *store.write(&cid).unwrap(), &cid, &inbox, &options, &mut |_, _| ()).unwrap();
        assert!(report.stored >= 2 && report.quarantined.is_empty(), "{report:?}");
        let mut reader = store.read(&cid).unwrap();
        look(&mut *reader, &interfaces, &routes);
        if done.heard {
            hear(&mut *reader, &done);
        }
    }
}

/// Looks for what events told.
fn hear(reader: &mut dyn ClientReader, done: &Done) {
    let path_of = |name: &str| done.dir.join(name).to_str().unwrap().to_owned();
    let told = rows(reader, "SELECT * FROM pofr_custom WHERE source = 'file-events' ORDER BY customid");
    let told: Vec<(String, Value)> = told
        .iter()
        .map(|row| {
            let attributes: Value = serde_json::from_str(row["attributes"].as_str().unwrap()).unwrap();
            assert_eq!(attributes["pid"], done.pid.to_string(), "{row:?}");
            // When a file was opened is not known where only changes are watched.
            let at_once = attributes["action"] == "write" || row["began"] == row["ended"];
            assert!(at_once && row["ended"].is_number() && row["first_seen"].is_null(), "{row:?}");
            (row["name"].as_str().unwrap().to_owned(), attributes)
        })
        .collect();
    let find = |action: &str, name: &str| {
        told.iter().find(|(path, a)| a["action"] == action && *path == path_of(name)).map(|(_, a)| a)
    };
    assert!(find("create", "made").is_some(), "{told:?}");
    assert_eq!(find("rename", "made").unwrap()["to"], path_of("moved"));
    let written = rows(reader, &format!("SELECT * FROM all_fileinfo WHERE filename = '{}'", path_of("made")));
    // Who wrote it may have been gone before it could be asked for its start time: then it is a custom fact.
    let written: Vec<_> = written.iter().filter(|row| row["mode"] == "w" && row["fd"] == u32::MAX).collect();
    assert!(
        written.iter().any(|row| row["pid"] == done.pid) || find("write", "made").is_some(),
        "{written:?} {told:?}"
    );

    let ended = rows(reader, "SELECT * FROM all_netinfo WHERE ended IS NOT NULL AND transport = 'udp'");
    let ended = texts(&ended, &["sourceip", "sourceport"]);
    let missing = done.sockets.iter().filter(|a| !ended.contains(&format!("{} {}", a.ip(), a.port())));
    assert_eq!(missing.count(), 0, "{ended:?}");
}

fn look(reader: &mut dyn ClientReader, interfaces: &BTreeSet<String>, routes: &BTreeSet<String>) {
    let found = rows(reader, "SELECT * FROM netint");
    let found = texts(&found, &["ipversion", "ip", "subnet", "macaddr", "intname", "up"]);
    println!("{} interfaces and addresses, {} routes", found.len(), routes.len());
    assert!(
        found.iter().any(|line| line.starts_with("4 127.0.0.1 8 ") && line.ends_with(" lo 1")),
        "{found:?}"
    );
    assert_eq!(found, *interfaces);

    let found = rows(reader, "SELECT * FROM netroute");
    let found = texts(&found, &["netip", "routenetmask", "defgw", "intname", "metric"]);
    let missing: Vec<_> = routes.difference(&found).collect();
    assert!(missing.is_empty(), "{missing:?} not in {found:?}");

    let found = texts(&rows(reader, "SELECT * FROM pofr_module"), &["name", "size"]);
    println!("{} modules", found.len());
    assert_eq!(found, modules());

    let devices = rows(reader, "SELECT * FROM hwinfo");
    println!(
        "devices: {:#?}",
        texts(&devices, &["devbus", "devaddress", "devid", "devstring", "userslogged"])
    );
    let on = |bus: &str| {
        let those: Vec<_> = devices.iter().filter(|row| row["devbus"] == bus).cloned().collect();
        texts(&those, &["devaddress"])
    };
    assert_eq!(on("block"), discs());
    let listed = |dir: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(dir).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(on("pci"), listed("/sys/bus/pci/devices"));
    let usb = listed("/sys/bus/usb/devices").into_iter().filter(|name| !name.contains(':')).collect();
    assert_eq!(on("usb"), usb);

    // What did not change is one row through all bundles, what did is one row for each value.
    let custom = rows(reader, "SELECT * FROM pofr_custom WHERE source = 'acme.counter'");
    let same: Vec<_> = custom.iter().filter(|row| row["name"] == "same\nname").collect();
    assert_eq!(same.len(), 1, "{same:?}");
    assert_eq!(same[0]["attributes"], r#"{"value":"it's"}"#);
    assert!(custom.len() >= 3, "{custom:?}");
    for table in ["netint", "netroute", "pofr_module", "hwinfo"] {
        let twice = rows(reader, &format!("SELECT shasum FROM {table} GROUP BY shasum HAVING COUNT(*) > 1"));
        assert!(twice.is_empty(), "{table}: {twice:?}");
    }
}
