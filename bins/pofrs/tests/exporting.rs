//! Exports, reports and cases of two machines made by hand, with names that were made to do harm and a bundle that never came.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

#[expect(dead_code, reason = "made for other tests, too")]
mod bundles;

use bundles::{entity, file, process, tell};
use parquet::{
    file::reader::{FileReader as _, SerializedFileReader},
    record::Field,
};
use pofr_core::{
    fact::{Endpoint, EndpointDetails, EndpointKey, Fact, SocketId, TcpState, Transport, User},
    raw::RawText,
};
use pofr_tests::outcome::outcome;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// 2026-11-23T10:00:00Z, µs.
const T0: i64 = 1_795_428_000_000_000;
const TICK: i64 = 100_000;
const DAY: i64 = 86_400_000_000;
/// A name that a browser, a spreadsheet, a terminal and a database each would like to run.
const HOSTILE: &[u8] = b"=cmd|'/C calc'!A0\"><script>alert(1)</script>\x1b[2J\n\xff',--";

struct Site(tempfile::TempDir);

impl Site {
    /// Both machines' bundles, among them not the second of three.
    fn new() -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        fs::write(site.path("pofrs.toml"), "").unwrap();
        for client in ["web-1", "web-2"] {
            let inbox = site.path(&format!("inbox/{client}"));
            fs::create_dir_all(&inbox).unwrap();
            tell(&inbox, client, 1, 1, &story(T0, 0..10));
            let lost = tell(&inbox, client, 1, 2, &story(T0, 10..20));
            fs::remove_file(lost).unwrap();
            tell(&inbox, client, 1, 3, &story(T0, 20..30));
            // Another day.
            tell(&inbox, client, 2, 4, &story(T0 + DAY, 0..3));
        }
        let (code, said, _) = site.run(&["ingest"]);
        assert_eq!(code, 0, "{said}");
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("pofrs"));
        command.arg("--data-dir").arg(self.0.path()).arg("--config").arg(self.path("pofrs.toml"));
        outcome(command.args(arguments))
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let (code, out, err) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
        out
    }

    /// Returns the digests of all rows that `find` finds, by client, each with how often.
    fn rows(&self, what: &str) -> BTreeMap<(String, String), usize> {
        let mut rows = BTreeMap::new();
        for line in json(&self.ok(&["find", what, "--all-clients", "--json"])) {
            for part in line["parts"].as_array().into_iter().flatten() {
                let row = (text(&line["client"]), text(&part["digest"]));
                *rows.entry(row).or_default() += 1;
            }
        }
        assert!(rows.len() >= 2, "{rows:?}");
        rows
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn json(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn endpoint(pid: u32, socket: u64, local: &str, remote: &str, state: TcpState) -> Fact {
    let (local, remote) = (local.parse().unwrap(), remote.parse().unwrap());
    let (transport, socket, holder) = (Transport::Tcp, SocketId::Cookie(socket), Some(entity(pid)));
    let key = EndpointKey { transport, local, remote, state, socket, netns: Some(1), holder };
    Fact::from(Endpoint { key, details: EndpointDetails::default() })
}

/// init, sshd, and from tick 3 to 25 somebody with a hostile name, who connects and opens a file.
fn story(from: i64, ticks: std::ops::Range<i64>) -> Vec<(i64, Vec<Fact>)> {
    let name = RawText::from("<b>ann</b>");
    ticks
        .map(|tick| {
            let mut facts = vec![
                process(1, 0, b"init", b"/sbin/init\0"),
                process(50, 1, b"sshd", b"sshd\0-D\0"),
                endpoint(50, 500, "0.0.0.0:22", "0.0.0.0:0", TcpState::Listen),
                Fact::User(User { name: name.clone(), uid: 1000, ..User::default() }),
            ];
            if (3..=25).contains(&tick) {
                facts.push(process(100, 50, &HOSTILE[..15], &[HOSTILE, b"\0"].concat()));
                facts.push(file(100, 3, &[b"/tmp/", HOSTILE].concat()));
                facts.push(endpoint(100, 600, "10.0.0.5:40000", "203.0.113.9:443", TcpState::Established));
                facts.push(endpoint(50, 700, "10.0.0.5:22", "203.0.113.9:5555", TcpState::Established));
            }
            (from + tick * TICK, facts)
        })
        .collect()
}

#[test]
fn every_format_has_every_row_and_the_gaps() {
    let site = Site::new();
    let (ps, files, net) = (site.rows("ps"), site.rows("files"), site.rows("net"));
    let all: usize = [&ps, &files, &net].iter().map(|rows| rows.values().sum::<usize>()).sum();

    let documents = json(&site.ok(&["export", "--format", "ecs", "--all-clients"]));
    let rows: Vec<&Value> = documents.iter().filter(|d| d["event"]["dataset"] != "pofr.gap").collect();
    assert_eq!(rows.len(), all);
    let ids: BTreeSet<String> = rows.iter().map(|d| text(&d["event"]["id"])).collect();
    assert_eq!(ids.len(), all, "no two rows have one id");
    let gaps: Vec<&Value> = documents.iter().filter(|d| d["event"]["dataset"] == "pofr.gap").collect();
    for client in ["web-1", "web-2"] {
        let named =
            |d: &&&Value| d["host"]["id"] == client && text(&d["message"]).contains("bundle 2 is missing");
        assert_eq!(gaps.iter().filter(named).count(), 1, "{gaps:?}");
    }
    let events = json(&site.ok(&["export", "--format", "ocsf", "--all-clients"]));
    assert_eq!(events.iter().filter(|e| e["class_uid"] != 0).count(), all);
    assert_eq!(events.len(), documents.len());

    // Of what a gap split, each part begins and ends: two events.
    let events =
        json(&site.ok(&["export", "--format", "timesketch", "--client", "web-1", "ps", "--pid", "100"]));
    let events: Vec<&Value> = events.iter().filter(|e| e["data_type"] == "pofr:process").collect();
    let described: Vec<String> = events.iter().map(|e| text(&e["timestamp_desc"])).collect();
    assert_eq!(described, ["First Seen", "Last Seen", "First Seen", "Last Seen"], "{events:?}");
    let stamps: Vec<i64> = events.iter().map(|e| (e["timestamp"].as_i64().unwrap() - T0) / TICK).collect();
    assert_eq!(stamps, [3, 9, 20, 25]);

    let sheet = site.ok(&["export", "--format", "csv", "files", "--all-clients"]);
    assert_eq!(sheet.lines().count(), 1 + files.values().sum::<usize>());
    assert!(sheet.chars().all(|c| c == '\n' || !c.is_control()), "{sheet:?}");
    for record in csv::Reader::from_reader(sheet.as_bytes()).into_records() {
        let record = record.unwrap();
        assert!(record.iter().all(|cell| !cell.starts_with(['=', '+', '-', '@'])), "{record:?}");
    }

    for (arguments, said) in [
        (&["export", "--format", "csv", "--all-clients"][..], "takes one kind"),
        (&["export", "--format", "parquet", "--all-clients"], "--output DIR"),
        (&["export", "--format", "ecs", "--all-clients", "ps", "--port", "22"], "pofrs find net"),
    ] {
        let (code, _, err) = site.run(arguments);
        assert!(code == 1 && err.contains(said), "{arguments:?}: {code}, {err}");
    }
    assert_eq!(site.run(&["export", "--format", "ecs", "--client", "web-1", "--user", "nobody"]).0, 7);
}

/// Reads all rows of the Parquet files of a kind: client and digest, with how often.
fn parquet_rows(dir: &Path, kind: &str) -> (BTreeMap<(String, String), usize>, BTreeSet<String>) {
    let (mut rows, mut days) = (BTreeMap::new(), BTreeSet::new());
    for client in fs::read_dir(dir.join(kind)).unwrap() {
        let client = client.unwrap().path();
        let cid = client.file_name().unwrap().to_str().unwrap().strip_prefix("client=").unwrap().to_owned();
        for day in fs::read_dir(&client).unwrap() {
            let day = day.unwrap().path();
            days.insert(day.file_name().unwrap().to_str().unwrap().to_owned());
            for part in fs::read_dir(day).unwrap() {
                let reader =
                    SerializedFileReader::new(fs::File::open(part.unwrap().path()).unwrap()).unwrap();
                for row in reader.get_row_iter(None).unwrap() {
                    let columns: BTreeMap<String, Field> = row.unwrap().into_columns().into_iter().collect();
                    if let Some(Field::Str(digest)) = columns.get("digest") {
                        *rows.entry((cid.clone(), digest.clone())).or_default() += 1;
                    }
                }
            }
        }
    }
    (rows, days)
}

#[test]
fn parquet_has_the_same_rows_by_client_and_day() {
    let site = Site::new();
    let out = site.path("week");
    let (code, _, err) =
        site.run(&["export", "--format", "parquet", "--all-clients", "--output", out.to_str().unwrap()]);
    assert!(code == 0 && err.contains(" rows and "), "{code}: {err}");
    for (kind, what) in [("process", "ps"), ("file", "files"), ("endpoint", "net")] {
        let (rows, days) = parquet_rows(&out, kind);
        assert_eq!(rows, site.rows(what), "{kind}");
        let expected =
            if kind == "process" { &["day=2026-11-23", "day=2026-11-24"][..] } else { &["day=2026-11-23"] };
        assert!(expected.iter().all(|day| days.contains(*day)), "{kind}: {days:?}");
    }
    assert!(out.join("gap/client=web-1").exists());
    let (code, _, err) =
        site.run(&["export", "--format", "parquet", "--all-clients", "--output", out.to_str().unwrap()]);
    assert!(code == 1 && err.contains("is not empty"), "{code}: {err}");
}

/// Checks that a page has only elements that it may have, all of them closed, and nothing that acts.
fn sound(page: &str) {
    const MAY: [&str; 30] = [
        "html", "head", "title", "style", "body", "h1", "h2", "p", "dl", "dt", "dd", "nav", "a", "div", "ul",
        "li", "b", "span", "table", "thead", "tbody", "tr", "th", "td", "svg", "text", "rect", "circle",
        "line", "meta",
    ];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page.strip_prefix("<!DOCTYPE html>").unwrap();
    while let Some(at) = rest.find('<') {
        let end = at + rest[at..].find('>').unwrap();
        let tag = &rest[at + 1..end];
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        assert!(MAY.contains(&name), "<{tag}>");
        assert!(!tag.contains(" on") && !tag.contains("style=") && !tag.contains("src="), "<{tag}>");
        assert!(!tag.contains("href=") || tag.contains("href=\"#"), "<{tag}>");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "before {:?}", &rest[end..(end + 40).min(rest.len())]);
        } else if !tag.ends_with('/') && name != "meta" {
            open.push(name);
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn a_report_is_one_sound_page_that_says_what_is_missing() {
    let site = Site::new();
    let page = site.ok(&[
        "report",
        "--client",
        "web-1",
        "--from",
        &format!("@{T0}"),
        "--to",
        &format!("@{}", T0 + 28 * TICK),
    ]);
    sound(&page);
    assert!(page.contains("default-src 'none'; style-src 'sha256-"), "{page}");
    assert!(page.chars().all(|c| c == '\n' || !c.is_control()), "{page:?}");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;\\x1b[2J\\n\\xff"), "{page}");
    assert!(page.contains("&lt;b&gt;ann&lt;/b&gt;"), "names are the client's as well: {page}");
    assert!(page.contains("bundle 2 is missing") && page.contains("1 blind"), "{page}");
    assert!(page.contains("not known from 2026-11-23 11:00:00 to 2026-11-23 11:00:02"), "{page}");
    assert!(page.contains("10.0.0.5:40000 → 203.0.113.9:443"), "{page}");
    assert!(page.contains("10.0.0.5:22 ← 203.0.113.9:5555"), "{page}");
    let limited = site.ok(&["report", "--client", "web-1", "--limit", "1", "--title", "</title><script>"]);
    sound(&limited);
    assert!(limited.contains("more are not shown: the report was limited to 1"), "{limited}");
    let (code, nothing, _) = site.run(&["report", "--client", "web-1", "--user", "nobody"]);
    sound(&nothing);
    assert_eq!(code, 7);
    let path = site.path("report.html");
    site.ok(&["report", "--client", "web-1", "--output", path.to_str().unwrap()]);
    let (code, _, err) = site.run(&["report", "--client", "web-1", "--output", path.to_str().unwrap()]);
    assert!(code == 1 && err.contains("cannot make"), "nothing is overwritten: {code}, {err}");
}

#[test]
fn a_case_is_packed_once_and_checked_anywhere() {
    let site = Site::new();
    let path = site.path("one.tar");
    let (one, questions) = (path.to_str().unwrap(), site.path("questions.txt"));
    fs::write(&questions, "# a remark\nfind ps --pid 100 --json\n").unwrap();
    let (code, _, said) = site.run(&[
        "case",
        "--client",
        "web-1",
        "--from",
        &format!("@{T0}"),
        "--to",
        &format!("@{}", T0 + 30 * TICK),
        "--title",
        "<one>\u{1b}",
        "--ask",
        "at @1795428000500000 ps",
        "--questions",
        questions.to_str().unwrap(),
        "--output",
        one,
    ]);
    assert!(code == 0 && said.contains("case 1: 2 bundles, 2 questions"), "{code}: {said}");

    // Anywhere: no record, no configuration.
    let verify = |arguments: &[&str]| {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("pofrs"));
        let output =
            command.arg("verify").args(arguments).current_dir("/").env("HOME", "/nowhere").output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    // These bundles were made without a key, and the second of them was taken away.
    let (code, out) = verify(&[one]);
    assert_eq!(code, 6, "{out}");
    let findings: Vec<&str> = out.lines().take_while(|line| !line.starts_with("case ")).collect();
    assert_eq!(
        findings,
        ["hole: web-1: bundles 2 to 2 not there", "unsigned: web-1: bundle 1", "unsigned: web-1: bundle 3"]
    );
    assert!(out.contains("case 1, <one>\\x1b, made at ") && out.contains("2 bundles, 0 signed"), "{out}");
    fs::write(site.path("key.pub"), site.ok(&["case", "--key"])).unwrap();
    let key = site.path("key.pub");
    let report: Value =
        serde_json::from_str(&verify(&[one, "--signer", key.to_str().unwrap(), "--json"]).1).unwrap();
    assert_eq!(report["flaws"].as_array().unwrap().len(), 3, "{report}");
    let asked = report["contents"]["questions"].as_array().unwrap().clone();
    assert_eq!(asked[1]["asked"], "pofrs find ps --pid 100 --json --client web-1");
    assert_eq!((asked[0]["exit"].as_i64(), asked[1]["exit"].as_i64()), (Some(0), Some(0)));

    let mut archive = tar::Archive::new(fs::File::open(&path).unwrap());
    archive.unpack(site.path("out")).unwrap();
    let answer = fs::read_to_string(site.path("out/case/answers/02.txt")).unwrap();
    assert_eq!(json(&answer)[0]["parts"].as_array().map(Vec::len), Some(2), "{answer}");
    sound(&fs::read_to_string(site.path("out/case/web-1/report.html")).unwrap());
    let bundles = fs::read_dir(site.path("out/case/web-1/bundles")).unwrap();
    assert_eq!(bundles.count(), 2, "that of another day is not part of it");

    // The next one names it, and is about two clients; nothing is overwritten; what changes the record is no question.
    let two = site.path("two.tar");
    site.ok(&["case", "--all-clients", "--output", two.to_str().unwrap()]);
    let out = verify(&[two.to_str().unwrap()]).1;
    assert!(
        out.contains(&format!("follows case 1, whose list's sha256 is {}", text(&report["sums"]))),
        "{out}"
    );
    assert!(out.contains("  web-1: 3 bundles\n  web-2: 3 bundles\n"), "{out}");
    assert_eq!(site.run(&["case", "--client", "web-1", "--output", one]).0, 1);
    let (code, _, err) = site.run(&["case", "--client", "web-1", "--ask", "forget --before now"]);
    assert!(code == 1 && err.contains("not a question"), "{code}: {err}");

    // One bit.
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(9).position(|w| w == b"</script>").unwrap_or(bytes.len() / 2);
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (code, out) = verify(&[one]);
    assert!(code == 6 && out.contains("altered: "), "{code}: {out}");
    fs::write(&path, "rubbish").unwrap();
    assert_eq!(verify(&[one]).0, 1);
}
