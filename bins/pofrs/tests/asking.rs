//! What the commands answer, and by which exit codes, over bundles made by hand.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

mod bundles;
mod site;

use bundles::{file, process, write};
use pofr_core::{
    fact::{
        Custom, Cut, Device, DeviceKey, Fact, Files, Group, Host, Ids, Interface, Module, ProcessKey, Route,
        User,
    },
    identity::{Cid, Pid},
    raw::RawText,
    source::Source,
};
use site::{Site, parse};
use std::{path::Path, process::Stdio};

/// 2026-11-23T10:00:00Z, µs.
const T0: i64 = 1_795_428_000_000_000;
const SECOND: i64 = 1_000_000;

fn stamps(from: i64) -> Vec<i64> {
    (0..5).map(|i| from + i * SECOND / 10).collect()
}

#[test]
fn a_lost_bundle_is_a_gap_until_it_arrives() {
    Site::all(tempfile::tempdir().unwrap().path()).iter().for_each(lost_bundle);
}

fn lost_bundle(site: &Site) {
    let facts = [process(1, 0, b"init", b"/sbin/init\0"), process(50, 1, b"sshd", b"sshd\0-D\0")];
    write(&site.inbox("handmade"), 1, 1, &stamps(T0), &facts);
    let lost = write(&site.inbox("handmade"), 1, 2, &stamps(T0 + SECOND), &facts);
    write(&site.inbox("handmade"), 1, 3, &stamps(T0 + 2 * SECOND), &facts);
    let away = site.dir.path().join("away");
    std::fs::rename(&lost, &away).unwrap();
    assert!(site.ingest("handmade").starts_with("2 bundles stored: 10 samples"));

    // 1.2 s after the beginning, as the client's clock in +0100 showed it.
    let at = ["at", "2026-11-23 11:00:01.2", "ps"];
    let (code, out, _) = site.run(&at);
    assert_eq!(code, 3, "{out}");
    assert!(out.contains("no record of processes at 2026-11-23 11:00:01.200000 +0100"), "{out}");
    assert!(out.contains("nearest before it, by 800 ms: 2026-11-23 11:00:00.400000"), "{out}");
    assert!(out.contains("nearest after it, by 800 ms: 2026-11-23 11:00:02.000000"), "{out}");
    assert!(out.contains("bundle 2 is missing"), "{out}");
    let (code, out, _) = site.run(&[&at[..], &["--json"]].concat());
    assert_eq!((code, parse(&out)[0]["standing"].as_str()), (3, Some("no record")), "{out}");
    let gaps = site.ok(&["gaps"]);
    assert!(gaps.contains("blind") && gaps.contains("bundle 2 is missing"), "{gaps}");
    let gap = &site.json(&["gaps"])[0];
    assert_eq!((gap["derived"].as_bool(), gap["from"].as_i64()), (Some(true), Some(T0 + 4 * SECOND / 10)));

    std::fs::rename(&away, &lost).unwrap();
    assert!(site.ingest("handmade").contains("2 files stored already"));
    assert_eq!(site.ok(&["gaps"]), "no gaps\n");
    let out = site.ok(&at);
    assert!(out.starts_with("handmade at 2026-11-23 11:00:01.200000 +0100\n"), "{out}");
    assert!(out.contains("/sbin/init") && out.contains("sshd -D"), "{out}");
    assert!(!out.contains('?'), "what holds before and after a joined border holds between: {out}");
    let (code, out, _) = site.run(&["at", "2026-11-23T10:00:02.41Z", "files"]);
    assert!(code == 3 && out.contains("by 10 ms") && out.contains("nothing after it"), "{code}: {out}");
    let tree = site.ok(&["at", "2026-11-23T10:00:01.2Z", "tree", "--utc"]);
    assert!(tree.contains("10:00:01.200000 +0000") && tree.contains("└─ sshd -D"), "{tree}");
}

#[test]
fn what_is_unusual_about_a_process_is_said() {
    Site::all(tempfile::tempdir().unwrap().path()).iter().for_each(unusual);
}

fn unusual(site: &Site) {
    let marked = |pid, comm: &str, change: &dyn Fn(&mut ProcessKey)| {
        let Fact::Process(mut process) = process(pid, 1, comm.as_bytes(), &[comm.as_bytes(), b"\0"].concat())
        else {
            unreachable!()
        };
        change(&mut process.key);
        Fact::Process(process)
    };
    let facts = [
        process(1, 0, b"init", b"init\0"),
        process(200, 1, b"table", b"table\0"),
        file(200, 3, b"/tmp/shared"),
        marked(201, "clone", &|key| key.marks.files_of = Some(bundles::entity(200))),
        marked(202, "nobody", &|key| key.ids = Ids::default()),
        marked(203, "hung", &|key| (key.files, key.marks.unreadable) = (Files::Unreadable, true)),
        marked(204, "huge", &|key| key.marks.arguments_cut = Some(Cut { bytes: 9_437_184, sha256: None })),
        marked(205, "thread", &|key| key.marks.thread_of = Some(Pid(200))),
    ];
    write(&site.inbox("handmade"), 1, 1, &stamps(T0), &facts);
    site.ingest("handmade");
    let at = format!("@{}", T0 + 200_000);
    let ps = site.ok(&["at", &at, "ps"]);
    let line = |pid: &str| ps.lines().find(|line| line.trim_start().starts_with(pid)).unwrap();
    for (pid, said) in [
        ("201", "clone [files: those of 200]"),
        ("202", " ? "),
        ("203", "hung [unreadable: "),
        ("204", "huge… (cut: 9437184 bytes)"),
        ("205", "thread [thread of 200]"),
    ] {
        assert!(line(pid).contains(said), "{said}: {ps}");
    }
    let files = site.ok(&["at", &at, "files", "--pid", "201"]);
    assert!(files.contains("/tmp/shared"), "{files}");
    assert!(
        files.contains("the open files of 201 are those of 200: both have one descriptor table"),
        "{files}"
    );
    let json = &site.json(&["at", &at, "files", "--pid", "201"])[0];
    assert_eq!((json["shared_by"].as_u64(), json["fact"]["pid"].as_u64()), (Some(201), Some(200)), "{json}");
    assert!(site.json(&["at", &at, "files", "--pid", "200"])[0]["shared_by"].is_null());
    let files = site.ok(&["at", &at, "files"]);
    assert!(files.contains("the open files of 1 of 7 processes could not be read"), "{files}");
    let found = site.ok(&["find", "files", "--pid", "201"]);
    assert!(found.contains("/tmp/shared") && found.contains("[shared by 201]"), "{found}");
    let tree = site.ok(&["tree", "201"]);
    assert!(tree.contains("clone [files: those of 200]"), "{tree}");
    let json = &site.json(&["find", "ps", "--pid", "202"])[0]["parts"][0]["fact"];
    assert!(json["ruid"].is_null() && json["egid"].is_null(), "{json}");
    let json = &site.json(&["find", "ps", "--pid", "204"])[0]["parts"][0]["fact"];
    assert_eq!(json["arguments_cut"]["bytes"].as_i64(), Some(9_437_184), "{json}");
    let (code, out, _) = site.run(&["find", "ps", "--user", "4294967295"]);
    assert_eq!(code, 7, "{out}");
    for format in ["ecs", "ocsf", "timesketch", "csv"] {
        let out = site.ok(&["export", "--format", format, "ps"]);
        assert!(out.contains("nobody") && !out.contains("4294967295"), "{format}: {out}");
    }
    let sql =
        site.ok(&["sql", "--json", "SELECT COUNT(*) AS n FROM all_psinfo WHERE ruid IS NULL AND pid = 202"]);
    assert!(sql.contains(":1"), "{sql}");
}

#[test]
fn two_runs_that_claim_one_time_both_answer() {
    let site = Site::new();
    write(&site.inbox("handmade"), 1, 1, &stamps(T0), &[process(10, 1, b"before", b"before\0")]);
    write(&site.inbox("handmade"), 2, 2, &stamps(T0 + 50_000), &[process(11, 1, b"after", b"after\0")]);
    site.ingest("handmade");
    let out = site.ok(&["at", &format!("@{}", T0 + 200_000), "ps"]);
    let (first, second) = out.split_once("\n\n").unwrap();
    assert!(first.contains(&format!("run {}", "01".repeat(16))) && first.contains("before"), "{out}");
    assert!(second.contains(&format!("run {}", "02".repeat(16))) && second.contains("after"), "{out}");
    let gaps = site.ok(&["gaps"]);
    assert!(gaps.contains("thin") && gaps.contains("the clock was set back"), "{gaps}");
}

#[test]
fn hostile_names_are_shown_escaped_and_come_back_whole() {
    Site::all(tempfile::tempdir().unwrap().path()).iter().for_each(hostile_names);
}

fn hostile_names(site: &Site) {
    let names: [&[u8]; 5] = [
        b"it's; DROP TABLE x--",
        b"\x1b[2J\x1b]0;owned\x07",
        b"a\nb\tc",
        b"\xff\xfe\xc3",
        "\u{202e}gnp.exe".as_bytes(),
    ];
    let mut facts = vec![process(1, 0, b"init", b"init\0")];
    for (pid, name) in (100..).zip(names) {
        facts.push(process(pid, 1, name, &[name, b"\0with space\0\0", &[b'x'; 300], b"\0"].concat()));
        facts.push(file(pid, 3, &[b"/tmp/", name, b" # ", &[b'y'; 300]].concat()));
    }
    write(&site.inbox("handmade"), 1, 1, &stamps(T0), &facts);
    site.ingest("handmade");
    let at = format!("@{}", T0 + 200_000);
    for view in ["ps", "files", "tree"] {
        let out = site.ok(&["at", &at, view]);
        assert!(out.chars().all(|c| c == '\n' || !c.is_control()), "{out:?}");
        assert!(!out.contains('\u{202e}'), "{out:?}");
        for line in out.lines() {
            assert!(line.chars().count() <= 80, "{view}: {line}");
        }
        assert!(out.contains("\\x1b[2J"), "{view}: {out}");
    }
    let lines = parse(&site.ok(&["at", &at, "ps", "--json"]));
    assert_eq!(lines.len(), 1 + names.len());
    for name in names {
        let wanted = serde_json::to_value(RawText::from(name)).unwrap();
        assert!(lines.iter().any(|line| line["fact"]["comm"] == wanted), "{wanted} in {lines:?}");
    }
    let wide = site.ok(&["at", &at, "ps", "--wide", "--pid", "100"]);
    assert!(wide.contains(&"x".repeat(300)) && wide.contains("'with space' ''"), "{wide}");
}

/// One or two facts of every source that is neither processes nor endpoints.
fn cold() -> Vec<Fact> {
    let text = |text: &str| RawText::from(text);
    let users = |users: &str| Some(text(users));
    let device = |address: &str, product: &str, users| {
        let key = DeviceKey {
            bus: text("usb"),
            address: text(address),
            product: text(product),
            ..DeviceKey::default()
        };
        Fact::Device(Device { key, users })
    };
    vec![
        Fact::Host(Host {
            hostname: text("web-1"),
            os: text("Debian"),
            kernel: text("6.1.0"),
            ..Host::default()
        }),
        Fact::User(User {
            name: text("ann"),
            uid: 1000,
            gid: 100,
            home: text("/home/ann"),
            ..User::default()
        }),
        Fact::Group(Group { name: text("wheel"), gid: 10, members: text("ann,bob") }),
        Fact::Interface(Interface {
            name: text("eth0"),
            mac: text("02:fc:00:00:00:01"),
            address: Some("192.0.2.2".parse().unwrap()),
            prefix: 24,
            up: true,
        }),
        Fact::Route(Route {
            destination: "::".parse().unwrap(),
            prefix: 0,
            gateway: Some("fd00::1".parse().unwrap()),
            interface: text("eth0"),
            metric: 1024,
        }),
        device("1-1.4", "Cruzer Blade", users("ann,bob")),
        device("1-1.5", "\u{1b}[31m", None),
        Fact::Module(Module { name: text("nvidia"), size: 62_918_656, taint: text("POE") }),
        Fact::Custom(Custom {
            source: Source::parse("acme.sensor").unwrap(),
            name: text("t0"),
            attributes: [("celsius".to_owned(), text("21.5"))].into(),
        }),
    ]
}

#[test]
fn what_hardly_ever_changes_is_shown_in_the_same_manner() {
    let site = Site::new();
    write(&site.inbox("handmade"), 1, 1, &stamps(T0), &cold());
    site.ingest("handmade");
    let at = format!("@{}", T0 + 200_000);
    for (view, expected, kinds) in [
        ("host", &["web-1", "Debian", "6.1.0"][..], &["host"][..]),
        ("accounts", &["user  ann", "group wheel", "ann,bob", "/home/ann"], &["user", "group"]),
        ("interfaces", &["eth0 up    02:fc:00:00:00:01 192.0.2.2/24"], &["interface"]),
        ("routes", &["::/0 fd00::1 eth0        1024"], &["route"]),
        ("devices", &["Cruzer Blade", "ann,bob", "\\x1b[31m"], &["device", "device"]),
        ("modules", &["nvidia 62918656 POE"], &["module"]),
        ("custom", &["acme.sensor t0   celsius=21.5"], &["custom"]),
    ] {
        let out = site.ok(&["at", &at, view]);
        for text in expected {
            assert!(out.contains(text), "{view}: {text} not in {out}");
        }
        assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
        let lines = parse(&site.ok(&["at", &at, view, "--json"]));
        let found: Vec<_> = lines.iter().map(|line| line["fact"]["kind"].as_str().unwrap()).collect();
        assert_eq!(found, kinds, "{view}");
        assert!(lines.iter().all(|line| line["standing"] == "certain"), "{lines:?}");
    }
    // At the next stamp there would be a sample; there is none.
    let (code, out, _) = site.run(&["at", &format!("@{}", T0 + 10 * SECOND), "modules"]);
    assert!(code == 3 && out.contains("no record of kernel modules"), "{code}: {out}");
    let (code, _, err) = site.run(&["at", &at, "routes", "--pid", "1"]);
    assert!(code == 1 && err.contains("--pid goes with ps"), "{code}: {err}");
}

#[test]
fn a_bad_file_goes_to_quarantine_and_the_exit_code_says_so() {
    let site = Site::new();
    let good = write(&site.inbox("handmade"), 1, 1, &stamps(T0), &[process(1, 0, b"init", b"init\0")]);
    let stem = good.file_stem().unwrap().to_str().unwrap();
    let name = format!("{}{}.tar", &stem[..stem.len() - 1], if stem.ends_with('0') { '1' } else { '0' });
    std::fs::copy(&good, site.inbox("handmade").join(&name)).unwrap();
    let (code, out, err) =
        site.run(&["ingest", site.inbox("handmade").to_str().unwrap(), "--client", "handmade"]);
    assert_eq!(code, 4, "{out}{err}");
    assert!(out.starts_with("1 bundle stored") && out.contains("damaged or tampered with"), "{out}");
    assert!(out.contains("1 file refused, now in "), "{out}");
    assert!(site.inbox("handmade").join("quarantine").join(&name).exists());
    let (_, shown, warning) =
        site.run(&["cat", site.inbox("handmade").join("quarantine").join(&name).to_str().unwrap()]);
    assert!(warning.contains("not what its name announces"), "{warning}");
    let lines = parse(&shown);
    assert_eq!((lines[0]["record"].as_str(), lines[0]["format"].as_i64()), (Some("header"), Some(2)));
    assert_eq!(lines.len(), 1 + 5, "{shown}");
}

#[test]
fn the_exit_codes_tell_what_happened() {
    let site = Site::new();
    let (code, _, err) = site.run(&["clients"]);
    assert!(code == 1 && err.contains("hint: pofrs ingest"), "{code}: {err}");
    assert_eq!(site.run(&["at", "yesterday", "ps"]).0, 2);
    assert_eq!(site.run(&["ingest", "/nowhere", "--client", "../x"]).0, 2);
    let (code, _, err) = site.run(&["ingest", "/nowhere/at/all", "--client", "x"]);
    assert!(code == 1 && err.contains("/nowhere/at/all"), "{code}: {err}");

    write(&site.inbox("handmade"), 1, 1, &stamps(T0), &[process(1, 0, b"init", b"init\0")]);
    site.ingest("handmade");
    let (code, out, err) = site.run(&["sql", "DROP TABLE pofr_spans"]);
    assert!(code == 1 && out.is_empty() && err.contains("only one SELECT"), "{code}: {err}");
    assert_eq!(parse(&site.ok(&["sql", "--json", "SELECT pid FROM psinfo"]))[0]["pid"], 1);
    assert!(site.run(&["at", "now", "ps", "--client", "nobody"]).2.contains("no client nobody"));

    // Someone else writes.
    let store = pofr_schema::open(&site.store.url(), pofr_schema::Access::Write).unwrap();
    let writer = store.write(&Cid::parse("handmade").unwrap()).unwrap();
    let (code, _, err) = site.run(&["archive", "--force"]);
    assert!(code == 5 && err.contains("another pofrs"), "{code}: {err}");
    drop(writer);
    assert!(site.ok(&["archive", "--force"]).contains("archpsinfo20261123110000to20261123110000"));
    assert!(site.ok(&["period"]).contains("periodprocess20261123110000to20261123110000"));
    assert_eq!(parse(&site.ok(&["clients", "--json"]))[0]["bundles"], 1);
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let site = Site::new();
    let facts: Vec<_> = (1..5000).map(|pid| process(pid, 0, b"many", b"many\0")).collect();
    write(&site.inbox("handmade"), 1, 1, &stamps(T0), &facts);
    site.ingest("handmade");
    let mut child = site
        .command(&["at", &format!("@{T0}"), "ps", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The other end of the pipe is closed before the first line is written.
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
}

#[test]
fn the_first_pofrs_bundles_are_asked_in_the_same_words() {
    let site = Site::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/pofr-v1");
    let mut count = 0;
    for entry in std::fs::read_dir(fixtures).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "tar") {
            std::fs::copy(&path, site.inbox("handmade").join(path.file_name().unwrap())).unwrap();
            count += 1;
            let lines = parse(&site.ok(&["cat", path.to_str().unwrap()]));
            assert_eq!(lines[0]["format"], 1);
            assert!(lines[1]["processes"].as_array().unwrap().len() > 10);
        }
    }
    let out = site.ok(&[
        "ingest",
        site.inbox("handmade").to_str().unwrap(),
        "--client",
        "perl-1",
        "--workers",
        "2",
    ]);
    assert!(out.starts_with(&format!("{count} bundles stored")), "{out}");
    let out = site.ok(&["sql", "--json", "SELECT MIN(first_seen) AS a, MAX(last_seen) AS b FROM all_psinfo"]);
    let (a, b) = (parse(&out)[0]["a"].as_i64().unwrap(), parse(&out)[0]["b"].as_i64().unwrap());
    let out = site.ok(&["at", &format!("@{}", (a + b) / 2), "net"]);
    assert!(out.contains("ESTAB") || out.contains("LISTEN"), "{out}");
}
