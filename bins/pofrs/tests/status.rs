//! What `pofrs status` says of clients, by which exit codes, and whom it tells.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

mod bundles;

use bundles::{file, process, write};
use pofr_tests::outcome::outcome;
use serde_json::Value;
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::Command,
};

/// 2026-11-23T10:00:00Z, µs.
const T0: i64 = 1_795_428_000_000_000;

struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("pofrs"));
        command.arg("--data-dir").arg(self.0.path()).arg("--config").arg(self.config()).args(arguments);
        outcome(&mut command)
    }

    fn config(&self) -> PathBuf {
        let config = self.path("pofrs.toml");
        if !config.exists() {
            fs::write(&config, "").unwrap();
        }
        config
    }

    /// The bundle `seq` of run `run` for a client, into its inbox.
    fn send(&self, client: &str, run: u8, seq: u64) {
        let inbox = self.path("inbox").join(client);
        fs::create_dir_all(&inbox).unwrap();
        let at = T0 + i64::try_from(seq).unwrap() * 10_000_000;
        let facts = [process(1, 0, b"init", b"/sbin/init"), file(1, 3, &[b'a'; 80])];
        write(&inbox, run, seq, &[at, at + 100_000, at + 200_000], &facts);
    }

    fn status(&self, more: &[&str]) -> (i32, Vec<Value>) {
        let (code, out, err) = self.run(&[&["status", "--json"], more].concat());
        assert!(err.is_empty(), "{err}");
        (code, out.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    /// Kinds of trouble, by client.
    fn troubles(&self, more: &[&str]) -> (i32, Vec<(String, String)>) {
        let (code, looks) = self.status(more);
        let all = looks.iter().flat_map(|look| look["troubles"].as_array().unwrap());
        let text = |v: &Value| v.as_str().unwrap().to_owned();
        (code, all.map(|t| (text(&t["client"]), text(&t["kind"]))).collect())
    }
}

fn pair(client: &str, kind: &str) -> (String, String) {
    (client.to_owned(), kind.to_owned())
}

#[test]
fn nothing_wrong_is_nothing_said() {
    let site = Site::new();
    for seq in 1..=3 {
        site.send("web-1", 1, seq);
    }
    assert_eq!(site.run(&["ingest", "--workers", "1"]).0, 0);
    let (code, looks) = site.status(&[]);
    assert_eq!(code, 0, "{looks:?}");
    let look = &looks[0];
    assert_eq!(
        (&look["client"], &look["waiting"], &look["quarantined"]),
        (&"web-1".into(), &0.into(), &0.into())
    );
    assert_eq!(look["last"], T0 + 30_200_000);
    assert_eq!(look["rows"]["slice"], 2);
    assert_eq!(look["troubles"], Value::Array(Vec::new()));
    let (_, out, _) = site.run(&["status"]);
    assert!(out.contains("no trouble in the last 1 d"), "{out}");
    assert_eq!(site.run(&["archive", "--force"]).0, 0);
    assert_eq!(site.status(&[]).1[0]["rows"]["archive"], 2);
}

#[test]
fn each_trouble_is_told_and_fits_a_screen() {
    let site = Site::new();
    let long = "4c4c4544-0042-3510-8052-b4c04f564433-1795444015";
    for (client, run, seq) in [
        (long, 1, 1),
        ("lossy", 1, 1),
        ("lossy", 1, 4),
        ("forked", 1, 1),
        ("restored", 1, 1),
        ("restored", 2, 1),
    ] {
        site.send(client, run, seq);
    }
    assert_eq!(site.run(&["ingest"]).0, 0);
    // Another third bundle for a number of the same run: refused, and remembered.
    let inbox = site.path("inbox/forked");
    write(&inbox, 1, 1, &[T0 + 77], &[process(2, 0, b"other", b"")]);
    assert_eq!(site.run(&["ingest"]).0, 4);
    let (code, troubles) = site.troubles(&[]);
    assert_eq!(code, 6);
    assert_eq!(troubles, [pair("forked", "fork"), pair("lossy", "loss"), pair("restored", "fork")]);
    assert_eq!(site.troubles(&["--client", "4c4c"]), (0, Vec::new()));
    // They came just now, so a moment ago there was nothing.
    assert_eq!(site.troubles(&["--since", "0s"]).0, 0);

    // Who says nothing for long, and what waits for long.
    std::thread::sleep(std::time::Duration::from_millis(2100));
    let (code, troubles) = site.troubles(&["--silence", "2s", "--client", "4c4c"]);
    assert_eq!((code, troubles), (6, vec![pair(long, "silent")]));
    site.send(long, 1, 2);
    assert_eq!(site.troubles(&["--silence", "2s", "--client", "4c4c"]).0, 0, "it has just been heard of");
    std::thread::sleep(std::time::Duration::from_millis(2100));
    let (_, troubles) = site.troubles(&["--silence", "2s", "--client", "4c4c"]);
    assert_eq!(troubles, [pair(long, "waiting"), pair(long, "silent")]);

    let (_, out, _) = site.run(&["status"]);
    let table: Vec<&str> = out.lines().take_while(|line| !line.starts_with('!')).collect();
    assert_eq!(table.len(), 5, "{out}");
    assert!(table.iter().all(|line| line.chars().count() <= 80), "{out}");
    assert!(out.contains("! lossy: bundles 2 to 3 are missing"), "{out}");
}

#[test]
fn the_hook_gets_each_trouble_as_a_line() {
    let site = Site::new();
    site.send("lossy", 1, 1);
    site.send("lossy", 1, 3);
    assert_eq!(site.run(&["ingest"]).0, 0);
    let (hook, told) = (site.path("hook"), site.path("told"));
    fs::write(&hook, format!("#!/bin/sh\necho \"$@\" >> {0}\ncat >> {0}\n", told.display())).unwrap();
    fs::set_permissions(&hook, Permissions::from_mode(0o755)).unwrap();
    let (code, ..) = site.run(&["status", "--hook", hook.to_str().unwrap()]);
    assert_eq!(code, 6);
    let text = fs::read_to_string(&told).unwrap();
    let line: Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    assert_eq!(
        (&line["client"], &line["kind"], &line["key"]),
        (&"lossy".into(), &"loss".into(), &"missing 2".into())
    );

    // The configuration's hook has arguments; one that fails is said.
    fs::write(site.path("pofrs.toml"), format!("[status]\nhook = [{:?}, \"it's\", \"$x\"]\n", hook)).unwrap();
    assert_eq!(site.run(&["status"]).0, 6);
    assert!(fs::read_to_string(&told).unwrap().contains("it's $x\n"));
    let (code, out, err) = site.run(&["status", "--hook", "/bin/false"]);
    assert!(
        code == 1 && out.contains("bundle 2 is missing") && err.contains("the hook /bin/false failed"),
        "{err}"
    );
    let (code, _, err) = site.run(&["status", "--hook", "/nonexistent"]);
    assert!(code == 1 && err.contains("cannot run the hook"), "{err}");
    fs::write(site.path("pofrs.toml"), "[status]\nsilense = \"1h\"\n").unwrap();
    let (code, _, err) = site.run(&["status"]);
    assert!(code == 1 && err.contains("silense") && err.contains("pofrs.toml"), "{err}");
}

/// The watching service tells the hook by itself, of each trouble once.
#[test]
fn the_service_tells_the_hook() {
    let site = Site::new();
    site.send("lossy", 1, 1);
    site.send("lossy", 1, 3);
    assert_eq!(site.run(&["ingest"]).0, 0);
    let (hook, told) = (site.path("hook"), site.path("told"));
    fs::write(&hook, format!("#!/bin/sh\ncat >> {}\n", told.display())).unwrap();
    fs::set_permissions(&hook, Permissions::from_mode(0o755)).unwrap();
    fs::write(site.path("pofrs.toml"), format!("[status]\nhook = [{hook:?}]\n")).unwrap();
    let mut service = Command::new(assert_cmd::cargo::cargo_bin!("pofrs"))
        .arg("--data-dir")
        .arg(site.0.path())
        .arg("--config")
        .arg(site.config())
        .args(["ingest", "--watch"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !fs::read_to_string(&told).is_ok_and(|text| text.ends_with('\n')) {
        assert!(std::time::Instant::now() < deadline, "nobody was told");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(Command::new("kill").arg(service.id().to_string()).status().unwrap().success());
    assert!(service.wait().unwrap().success());
    assert_eq!(fs::read_to_string(&told).unwrap().lines().count(), 1);
}
