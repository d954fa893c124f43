//! What `find` and its like answer over two machines made by hand: one where somebody looked around, one where little happened.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

mod bundles;
mod site;

use bundles::{entity, file, process, tell, write};
use pofr_core::{
    fact::{
        Endpoint, EndpointDetails, EndpointKey, Fact, FileMode, Module, SocketId, TcpState, Transport, User,
    },
    raw::{RawText, Reading},
};
use serde_json::Value;
use site::Site;
use std::{net::SocketAddr, process::Stdio};

/// 2026-11-23T10:00:00Z, µs; the clients' clocks showed 11:00.
const T0: i64 = 1_795_428_000_000_000;
const TICK: i64 = 100_000;
const FORMULA: &str = "/tmp/=cmd|' /C calc'!A0,\"\n\u{1b}[2J";

/// A site with both machines' first bundles.
fn filled(site: Site) -> Site {
    tell(&site.inbox("visited"), "visited", 1, 1, &visited(0..20));
    site.ingest("visited");
    // Here init has a file of that name open for reading, from the beginning.
    let mut facts = base();
    facts.push(open(file(1, 9, b"/etc/cron.d/x"), FileMode::Read));
    let stamps: Vec<i64> = (0..20).map(|tick| T0 + tick * TICK).collect();
    write(&site.inbox("handmade"), 1, 1, &stamps, &facts);
    site.ingest("handmade");
    site
}

/// A TCP endpoint that process `pid` holds; `socket` tells it from others.
fn endpoint(pid: u32, socket: u64, local: &str, remote: &str, state: TcpState) -> Fact {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    let key = EndpointKey {
        transport: Transport::Tcp,
        local: address(local),
        remote: address(remote),
        state,
        socket: SocketId::Cookie(socket),
        netns: Some(1),
        holder: Some(entity(pid)),
    };
    Fact::from(Endpoint { key, details: EndpointDetails { uid: Some(0), ..EndpointDetails::default() } })
}

fn owned(fact: Fact, uid: u32) -> Fact {
    let Fact::Process(mut process) = fact else { return fact };
    process.key.ids.ruid = Some(uid);
    process.key.ids.euid = Some(uid);
    Fact::Process(process)
}

fn open(fact: Fact, mode: FileMode) -> Fact {
    let Fact::File(mut file) = fact else { return fact };
    (file.key.mode, file.key.deleted) = (mode, false);
    Fact::File(file)
}

fn user(name: &str, uid: u32) -> Fact {
    Fact::User(User { name: name.into(), uid, gid: uid, ..User::default() })
}

/// What is always there.
fn base() -> Vec<Fact> {
    vec![
        owned(process(1, 0, b"init", b"/sbin/init\0"), 0),
        owned(process(50, 1, b"sshd", b"sshd\0-D\0"), 0),
        owned(process(70, 1, b"httpd", b"httpd\0-k\0start\0"), 33),
        open(file(70, 4, b"/usr/lib/apache2/mod_php.so"), FileMode::Read),
        open(file(70, 5, b"/var/log/apache2/access.log"), FileMode::Write),
        endpoint(50, 500, "0.0.0.0:22", "0.0.0.0:0", TcpState::Listen),
        user("root", 0),
        user("www-data", 33),
        user("toma", 1000),
        Fact::Module(Module { name: "loop".into(), size: 40_960, taint: RawText::default() }),
    ]
}

/// A machine where toma logs in at tick 3, scans at ticks 6 to 9, and leaves a listener behind from tick 12 on.
fn visited(ticks: std::ops::Range<i64>) -> Vec<(i64, Vec<Fact>)> {
    let mut story = Vec::new();
    for tick in ticks {
        let mut facts = base();
        if tick >= 3 {
            facts.push(owned(process(60, 50, b"sshd", b"sshd: toma\0"), 0));
            facts.push(owned(process(100, if tick < 15 { 60 } else { 1 }, b"bash", b"-bash\0"), 1000));
            facts.push(endpoint(60, 600, "10.0.0.5:22", "203.0.113.9:5555", TcpState::Established));
            facts.push(file(100, 3, FORMULA.as_bytes()));
        }
        if (6..=9).contains(&tick) {
            facts.push(owned(process(101, 100, b"nmap", b"nmap\0-P0\x00192.168.18.34\0"), 1000));
            facts.push(endpoint(101, 700, "10.0.0.5:40000", "192.168.18.34:80", TcpState::SynSent));
        }
        if tick >= 12 {
            let Fact::Process(mut nc) = owned(process(102, 100, b"nc", b"nc\0-l\x004444\0"), 1000) else {
                unreachable!()
            };
            nc.key.exe = Reading::Known("/tmp/.x/nc (deleted)".into());
            facts.push(Fact::Process(nc));
            facts.push(endpoint(102, 800, "0.0.0.0:4444", "0.0.0.0:0", TcpState::Listen));
            facts.push(open(file(102, 3, b"/etc/cron.d/x"), FileMode::Write));
            facts.push(Fact::Module(Module { name: "rootkit".into(), size: 1, taint: "OE".into() }));
        }
        story.push((T0 + tick * TICK, facts));
    }
    story
}

/// Runs pofrs, which must succeed, and say what fits a terminal and does nothing to it.
#[track_caller]
fn tidy(site: &Site, arguments: &[&str]) -> String {
    let out = site.ok(arguments);
    for line in out.lines() {
        assert!(arguments.contains(&"--csv") || line.chars().count() <= 80, "{arguments:?}: {line}");
    }
    assert!(out.chars().all(|c| c == '\n' || !c.is_control()), "{arguments:?}: {out:?}");
    out
}

fn pids(lines: &[Value]) -> Vec<i64> {
    lines.iter().filter_map(|line| line["parts"][0]["fact"]["pid"].as_i64()).collect()
}

#[test]
fn each_question_has_its_answer() {
    for site in Site::all(tempfile::tempdir().unwrap().path()) {
        questions(&filled(site));
    }
}

fn questions(site: &Site) {
    let on = ["--client", "visited"];
    let ask = |words: &[&str]| site.json(&[words, &on].concat());

    // Did user toma run nmap -P0 192.168.18.34?
    let lines = ask(&["find", "ps", "--user", "toma", "--args", "nmap -P0 192.168.18.34"]);
    assert_eq!(pids(&lines), [101]);
    let line = &lines[0];
    assert_eq!((line["client"].as_str(), line["user"].as_str()), (Some("visited"), Some("toma")));
    assert_eq!((line["from"].as_i64(), line["began"].as_str()), (Some(T0 + 6 * TICK), Some("sampled")));
    assert_eq!((line["until"].as_i64(), line["ended"].as_str()), (Some(T0 + 9 * TICK), Some("sampled")));
    assert_eq!(line["breaks"].as_array().map(Vec::len), Some(0));
    let table = tidy(site, &[&["find", "ps", "--user", "toma", "--command", "nm*"][..], &on].concat());
    let row = table.lines().nth(1).unwrap();
    assert!(row.contains("11-23 11:00:00") && row.contains("~300 ms"), "{table}");
    assert!(row.contains("101 toma") && row.ends_with("nmap -P0 192.168.18.34"), "{table}");
    let utc = tidy(site, &["find", "ps", "--pid", "101", "--client", "visited", "--utc"]);
    assert!(utc.contains("11-23 10:00:00"), "{utc}");

    // Which files below /usr did httpd have open?
    let lines = ask(&["find", "files", "--command", "httpd", "--under", "/usr"]);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["parts"][0]["fact"]["path"], "/usr/lib/apache2/mod_php.so");
    assert_eq!(
        (lines[0]["process"]["comm"].as_str(), lines[0]["user"].as_str()),
        (Some("httpd"), Some("www-data"))
    );
    assert_eq!(ask(&["find", "files", "--written"]).len(), 2);
    let deleted = ask(&["find", "files", "--deleted", "--path", "/tmp/*"]);
    assert_eq!(deleted[0]["parts"][0]["fact"]["path"], FORMULA);
    assert_eq!(pids(&ask(&["find", "ps", "--deleted"])), [102]);

    // Who came from where, who went where?
    let lines = ask(&["find", "net", "--from-ip", "203.0.113.0/24", "--port", "22"]);
    assert_eq!((lines.len(), lines[0]["direction"].as_str()), (1, Some("inbound")));
    let lines = ask(&["find", "net", "--to-ip", "192.168.18.34", "--state", "syn-sent"]);
    assert_eq!((lines.len(), lines[0]["direction"].as_str()), (1, Some("outbound")));
    assert!(site.run(&["find", "net", "--to-ip", "203.0.113.9", "--client", "visited"]).0 == 7);
    let table = tidy(site, &[&["find", "net", "--listen", "--user", "toma"][..], &on].concat());
    assert!(table.contains("LISTEN 0.0.0.0:4444") && !table.contains(":22"), "{table}");

    // When?
    let at = |tick: i64| format!("@{}", T0 + tick * TICK);
    assert_eq!(pids(&ask(&["find", "ps", "--command", "n*", "--until", &at(10)])), [101]);
    assert_eq!(pids(&ask(&["find", "ps", "--command", "n*", "--since", &at(11)])), [102]);
    assert_eq!(ask(&["find", "ps", "--user", "1000", "--between", "10:30-12:00"]).len(), 4);
    assert_eq!(site.run(&["find", "ps", "--between", "12:00-10:30", "--client", "visited"]).0, 7);
    assert_eq!(ask(&["find", "ps", "--limit", "2"]).len(), 2);

    let tree = tidy(site, &[&["tree", &format!("100{}", at(7))][..], &on].concat());
    let lines: Vec<&str> = tree.lines().collect();
    assert!(lines[0].starts_with("visited, process 100 at 2026-11-23 11:00:00.700000 +0100"), "{tree}");
    assert!(
        lines[2].contains("/sbin/init") && lines[5].starts_with('*') && lines[5].contains("-bash"),
        "{tree}"
    );
    assert!(tree.contains("├─ nmap -P0 192.168.18.34") && tree.contains("└─ nc -l 4444"), "{tree}");
    assert!(tree.contains("· 11:00:01 new parent: 1"), "{tree}");
    // Without a time: the last at which there was such a process.
    assert!(tidy(site, &["tree", "101", "--client", "visited"]).contains("nmap -P0 192.168.18.34"));
    let roles = ask(&["tree", "100", "--at", &at(7)]);
    let roles: Vec<_> = roles.iter().filter_map(|line| line["role"].as_str()).collect();
    assert_eq!(roles, ["ancestor", "ancestor", "ancestor", "process", "descendant", "descendant"]);

    let had = tidy(site, &[&["who-had", "192.168.18.34:80", "--at", &at(7)][..], &on].concat());
    assert!(had.contains("tcp SYN-SENT 10.0.0.5:40000 → 192.168.18.34:80"), "{had}");
    assert!(had.contains("nmap 101, user toma: nmap -P0 192.168.18.34"), "{had}");
    assert!(had.contains("child of bash 100, of sshd 60, of sshd 50, of init 1"), "{had}");
    let (code, out, _) = site.run(&["who-had", "4444", "--at", &at(3), "--client", "visited"]);
    assert!(code == 7 && out.contains("no endpoint with port 4444 at"), "{code}: {out}");
    let (code, out, _) = site.run(&["who-had", "4444", "--at", "2026-11-24", "--client", "visited"]);
    assert!(code == 3 && out.contains("no record of network endpoints at"), "{code}: {out}");

    let diff = tidy(site, &[&["diff", &at(1), &at(19)][..], &on].concat());
    for line in ["listeners\n  +   102 tcp LISTEN 0.0.0.0:4444", "kernel modules\n  +   rootkit", "-bash"] {
        assert!(diff.contains(line), "{line} in {diff}");
    }
    assert!(!diff.contains("nmap"), "{diff}");
    let modules = ask(&["diff", &at(1), &at(19), "--only", "modules"]);
    assert_eq!((modules.len(), modules[0]["change"].as_str()), (1, Some("appeared")));
    assert_eq!(site.run(&["diff", &at(1), &at(2), "--client", "visited"]).0, 7);

    let happened = ask(&["timeline", "--user", "toma"]);
    let what: Vec<_> = happened.iter().filter_map(|line| line["what"].as_str()).collect();
    assert_eq!(what.first(), Some(&"began"), "{what:?}");
    let times: Vec<_> = happened.iter().filter_map(|line| line["at"].as_i64()).collect();
    assert!(times.is_sorted(), "{times:?}");
    let table = tidy(site, &[&["timeline", "--pid", &format!("100{}", at(7))][..], &on].concat());
    assert!(table.contains("2026-11-23 11:00:00.600000") && table.contains("nmap -P0"), "{table}");
    assert!(
        tidy(site, &[&["timeline", "--address", "203.0.113.0/24", "--csv"][..], &on].concat())
            .contains("connected")
    );
}

#[test]
fn several_clients_answer_in_one_table() {
    let site = filled(Site::new());
    let out = tidy(&site, &["find", "files", "--path", "/etc/cron*", "--all-clients"]);
    assert!(out.starts_with("CLIENT"), "{out}");
    assert!(out.contains("\nvisited") && out.contains("\nhandmade"), "{out}");
    let lines = site.json(&["find", "files", "--path", "/etc/cron*", "--client", "handmade,visited"]);
    let mut clients: Vec<_> = lines.iter().filter_map(|line| line["client"].as_str()).collect();
    clients.sort_unstable();
    assert_eq!(clients, ["handmade", "visited"]);
    let (code, _, err) = site.run(&["find", "ps"]);
    assert!(code == 1 && err.contains("which client?"), "{code}: {err}");
    let (code, _, err) = site.run(&["find", "ps", "--path", "/x", "--client", "handmade"]);
    assert!(code == 1 && err.contains("pofrs find files"), "{code}: {err}");
    let opened = tidy(&site, &["who-opened", "/etc/cron.d/", "--all-clients", "--written"]);
    assert!(opened.contains("child of bash 100, of sshd 60"), "{opened}");
    let first = tidy(&site, &["first-seen", "--path", "/etc/cron.d/x"]);
    assert!(first.lines().nth(1).unwrap().starts_with("handmade"), "{first}");
    assert!(first.contains("≤") && first.contains("process 102"), "{first}");
    assert_eq!(site.run(&["first-seen", "--remote", "198.51.100.1"]).0, 7);
}

#[test]
fn a_spreadsheet_runs_nothing() {
    let site = filled(Site::new());
    let out = tidy(&site, &["find", "files", "--pid", "100", "--csv", "--client", "visited"]);
    let mut lines = out.lines();
    assert!(lines.next().unwrap().starts_with("client,from,began,until,ended,breaks,user,pid,"), "{out}");
    let row = lines.next().unwrap();
    assert!(row.starts_with("visited,2026-11-23T11:00:00.300000+01:00,sampled,"), "{row}");
    // The path begins with a slash; what only holds a formula is no formula.
    assert!(row.contains(r#""/tmp/=cmd|' /C calc'!A0,""\n\x1b[2J""#), "{row}");
    assert_eq!(lines.next(), None);
    let out = tidy(&site, &["find", "ps", "--pid", "100", "--csv", "--client", "visited"]);
    assert!(out.contains(",'-bash,"), "{out}");
}

#[test]
fn a_gap_is_told() {
    let site = filled(Site::new());
    // The second bundle is lost; nc listens before and after.
    tell(&site.inbox("visited"), "visited", 1, 3, &visited(40..50));
    site.ingest("visited");
    let out = tidy(&site, &["find", "ps", "--command", "nc", "--client", "visited"]);
    assert!(out.contains("not known from 2026-11-23 11:00:01 to 2026-11-23 11:00:04"), "{out}");
    assert!(out.contains("visited: the record is incomplete in that time") && out.contains("blind"), "{out}");
    let lines = site.json(&["find", "ps", "--command", "nc", "--client", "visited"]);
    assert_eq!(lines[0]["parts"].as_array().unwrap().len(), 2);
    assert_eq!(lines[0]["breaks"][0]["from"].as_i64(), Some(T0 + 19 * TICK));
    assert!(lines.iter().any(|line| line["gap"]["severity"] == "blind"), "{lines:?}");
    let (code, out, err) = site.run(&["find", "ps", "--command", "nc", "--csv", "--client", "visited"]);
    assert!(code == 0 && out.lines().count() == 2 && err.contains("incomplete"), "{out}{err}");
    // Nothing is missing in the time that is asked for.
    let out =
        tidy(&site, &["find", "ps", "--command", "nc", "--client", "visited", "--until", &format!("@{T0}0")]);
    assert!(out.contains("incomplete"), "{out}");
    let until = format!("@{}", T0 + 15 * TICK);
    let out = tidy(&site, &["find", "ps", "--command", "nc", "--client", "visited", "--until", &until]);
    assert!(!out.contains("incomplete"), "{out}");
    let (code, out, _) = site.run(&["find", "ps", "--client", "visited", "--since", "2026-11-24"]);
    assert!(code == 7 && out.contains("the record ends before that time"), "{code}: {out}");
}

#[test]
fn following_goes_on_where_it_ended() {
    let site = filled(Site::new());
    let cursor = site.dir.path().join("cursor.json");
    let follow = ["find", "ps", "--all-clients", "--follow", "--once", "--cursor", cursor.to_str().unwrap()];
    let first = site.json(&follow);
    assert_eq!(first.len(), 3 + 3 + 5, "all that began: {first:?}");
    let (code, out, _) = site.run(&[&follow[..], &["--json"]].concat());
    assert_eq!((code, out.as_str()), (7, ""));

    // Late: the third bundle comes before the second.
    tell(&site.inbox("visited"), "visited", 1, 3, &visited(40..50));
    site.ingest("visited");
    assert_eq!(site.json(&follow).len(), 6, "after a gap, what is there is told once more");
    tell(&site.inbox("visited"), "visited", 1, 2, &visited(20..40));
    site.ingest("visited");
    let (code, out, err) = site.run(&[&follow[..], &["--json"]].concat());
    assert_eq!((code, out.as_str()), (7, ""), "all of the second went on from the first: {err}");
    let mut more = base();
    more.push(owned(process(200, 1, b"late", b"late\0"), 0));
    tell(&site.inbox("visited"), "visited", 1, 4, &[(T0 + 50 * TICK, base()), (T0 + 51 * TICK, more)]);
    site.ingest("visited");
    let mut told = pids(&site.json(&follow));
    told.sort_unstable();
    assert_eq!(told, [60, 100, 102, 200], "three ended, one began");

    std::fs::write(&cursor, "{}").unwrap();
    let (code, _, err) = site.run(&follow);
    assert!(code == 1 && err.contains("is no cursor file"), "{code}: {err}");
}

#[test]
fn the_databases_own_client_only_reads() {
    for site in Site::all(tempfile::tempdir().unwrap().path()) {
        shell(&filled(site));
    }
}

fn shell(site: &Site) {
    use std::io::Write as _;
    let ask = |statement: &str| {
        let mut child = site
            .command(&["shell", "--client", "visited"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(statement.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let (done, out, err) = ask("SELECT command FROM all_psinfo WHERE pid = 101;");
    assert!(done && out.lines().eq(["command", "nmap"]), "{out}{err}");
    let (done, out, err) = ask("SELECT COUNT(*) AS n FROM lhlt.lhlttable;");
    assert!(done && out.lines().eq(["n", "2"]), "{out}{err}");
    for statement in [
        "DELETE FROM userinfo;",
        "DROP TABLE userinfo;",
        "CREATE TABLE x (y INT);",
        "DELETE FROM lhlt.lhlttable;",
    ] {
        let (done, out, err) = ask(statement);
        let refused = err.to_lowercase();
        assert!(
            !done
                && (refused.contains("read only")
                    || refused.contains("read-only")
                    || refused.contains("readonly")),
            "{statement}: {out}{err}"
        );
    }
    let (code, _, err) = site.run(&["shell", "--client", "nobody"]);
    assert!(code == 1 && err.contains("no client nobody"), "{code}: {err}");
    let output = site.command(&["shell", "--client", "visited"]).env("PATH", "").output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && err.contains("hint: apt install "), "{err}");
}
