//! `pofrc start`, `status`, `stop`: once and not twice, detached, configured, sealed at the end.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]

mod place;

use place::{Place, text};
use std::process::Stdio;

#[test]
fn start_is_idempotent_and_stop_seals() {
    let place = Place::new();
    let first = place.start(&["--bundle", "1h"]);
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    let said = text(&first.stdout);
    let pid = place.pid();
    assert!(said.starts_with(&format!("recording: process {pid}, a sample every 300 ms\n")), "{said}");
    assert!(said.contains("no server is registered: bundles wait in "), "{said}");
    assert_eq!(text(&first.stderr), "");

    let second = place.start(&[]);
    assert_eq!(
        (second.status.code(), text(&second.stdout)),
        (Some(0), format!("a recorder runs already: process {pid}\n"))
    );
    assert_eq!(place.pid(), pid);

    let stop = place.stop();
    assert_eq!(stop.status.code(), Some(0), "{stop:?}");
    let bundles = place.bundles();
    assert_eq!(bundles.len(), 1);
    assert!(bundles[0].manifest.complete);
    assert_eq!(i64::from(bundles[0].manifest.recorder_pids[0]), pid);
    assert!(
        text(&stop.stdout).starts_with("sealed ")
            && text(&stop.stdout).contains("\nended: 1 bundle, 0 gaps\n"),
        "{stop:?}"
    );

    let (code, status) = place.status();
    assert_eq!((code, &status["running"], &status["last"]["pid"]), (Some(5), &false.into(), &pid.into()));
    let again = place.stop();
    assert_eq!(again.status.code(), Some(0));
    assert!(text(&again.stdout).starts_with("no recorder runs"));
}

#[test]
fn of_many_that_start_at_once_one_records() {
    let place = Place::new();
    let starting: Vec<_> = (0..6)
        .map(|_| {
            place.pofrc("start", &["--detach"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let said: Vec<_> = starting.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    assert!(said.iter().all(|output| output.status.success()), "{said:?}");
    let records = said.iter().filter(|output| text(&output.stdout).starts_with("recording: ")).count();
    let others = said.iter().filter(|output| text(&output.stdout).starts_with("a recorder ")).count();
    assert_eq!((records, others), (1, 5), "{said:?}");
}

#[test]
fn a_detached_recorder_has_left_the_one_who_started_it() {
    let place = Place::new();
    assert!(place.start(&[]).status.success());
    let pid = place.pid();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (name, fields) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = fields.split(' ').collect();
    assert!(name.ends_with("(pofrc"), "{stat}");
    // Its session is its own, it has no terminal, and its parent is not the test.
    assert_eq!((fields[3], fields[4]), (pid.to_string().as_str(), "0"), "{stat}");
    assert_ne!(fields[1], std::process::id().to_string());
    assert_eq!(std::fs::read_link(format!("/proc/{pid}/cwd")).ok().unwrap_or("/".into()).to_str(), Some("/"));
}

#[test]
fn a_detached_recorder_that_cannot_begin_says_so_to_the_one_who_started_it() {
    let place = Place::new();
    std::fs::write(place.path("spool"), "").unwrap();
    let output = place.start(&[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = text(&output.stderr);
    assert!(said.starts_with("pofrc: cannot make ") && said.contains("/spool: "), "{said}");

    // Another recorder has the spool, not this run directory.
    let other = Place::new();
    assert!(other.start(&[]).status.success());
    let spool = other.path("spool");
    let output = Place::new().start(&["--spool", spool.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(text(&output.stderr).contains("in use by another recorder\nhint: "), "{output:?}");
}

#[test]
fn signals_end_it_in_order() {
    for signal in ["TERM", "INT", "HUP"] {
        let place = Place::new();
        let child = place.spawn(&["--bundle", "1h"]);
        // Twice: others may ask as well.
        place.signal(signal, child.id().into());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{signal}: {output:?}");
        assert!(text(&output.stdout).contains("\nended: 1 bundle, the last is "), "{signal}: {output:?}");
        assert!(place.bundles()[0].manifest.complete, "{signal}");
    }
}

#[test]
fn status_tells_all_that_is_to_be_told() {
    let place = Place::new();
    assert!(
        place
            .start(&["--interval", "100ms", "--bundle", "500ms", "--max-mem", "1GiB", "--max-cpu", "500%"])
            .status
            .success()
    );
    let status = place.until("a bundle and a rate", |status| {
        status["last_bundle"]["seq"].as_u64() >= Some(2) && status["samples"]["rate_reached"].is_f64()
    });
    let number = |path: &str| status.pointer(path).and_then(serde_json::Value::as_f64);
    for path in [
        "/pid",
        "/start_ticks",
        "/uptime_us",
        "/started_us",
        "/user",
        "/samples/ticks",
        "/samples/skipped",
        "/samples/readings",
        "/samples/gaps",
        "/samples/last_us_ago",
        "/samples/facts/process",
        "/cost/cpu_us",
        "/cost/cpu_share",
        "/spool/bundles",
        "/spool/bytes",
        "/spool/dropped",
        "/last_bundle/bytes",
    ] {
        assert!(number(path).is_some_and(|value| value >= 0.0), "{path} in {status:#}");
    }
    assert_eq!(number("/samples/interval_asked_us"), Some(100_000.0));
    assert_eq!(number("/samples/rate_asked"), Some(10.0));
    assert_eq!(
        (number("/cost/cpu_share_max"), number("/cost/resident_bytes_max")),
        (Some(5.0), Some((1u64 << 30) as f64))
    );
    assert_eq!(number("/spool/bytes_max"), Some((256u64 << 20) as f64));
    assert!(number("/cost/resident_bytes").is_some_and(|bytes| bytes > 1e5));
    assert!(status["client"].as_str().is_some_and(|client| !client.is_empty()));
    assert!(status["losses"].is_object() && status["audits"].is_object() && status["notes"].is_array());
    let last = place.path("spool").join(status["last_bundle"]["name"].as_str().unwrap());
    assert!(last.exists());

    let words = text(&place.pofrc("status", &[]).output().unwrap().stdout);
    for label in [
        "recording  process ",
        "\nsamples    every 100 ms; ",
        "\nCPU        ",
        "\nspool      ",
        "\nlast       bundle ",
    ] {
        assert!(words.contains(label), "{label:?} is missing in:\n{words}");
    }
}

#[test]
fn the_configuration_is_read_and_the_command_line_goes_before_it() {
    let place = Place::new();
    let config = "interval = \"50ms\"\nmax-cpu = \"7%\"\nspool-cap = \"9MiB\"\nwithout = [\"account\"]\n";
    std::fs::write(place.path("pofrc.toml"), config).unwrap();
    assert!(place.start(&["--interval", "70ms"]).status.success());
    let status = place.until("it records", |status| status["samples"]["ticks"].as_u64() > Some(0));
    assert_eq!(status["samples"]["interval_asked_us"], 70_000);
    assert_eq!(
        (&status["cost"]["cpu_share_max"], &status["spool"]["bytes_max"]),
        (&0.07.into(), &(9 << 20).into())
    );
    assert!(status["samples"]["facts"]["account"].is_null() && status["samples"]["facts"]["host"].is_u64());
}

#[test]
fn an_error_in_the_configuration_names_file_and_key() {
    for (config, said) in [
        ("intervall = \"1s\"", "/pofrc.toml: line 1: unknown field `intervall`"),
        ("\nmax-cpu = \"2\"", "/pofrc.toml: line 2: max-cpu: a share of one core is wanted"),
        ("without = [\"nothing\"]", "there is no source \"nothing\"; there are process, endpoint, "),
        ("user = \"nobody-has-this-name\"", "there is no user nobody-has-this-name in /etc/passwd"),
    ] {
        let place = Place::new();
        std::fs::write(place.path("pofrc.toml"), config).unwrap();
        let output = place.start(&[]);
        assert_eq!(output.status.code(), Some(1), "{config}: {output:?}");
        assert!(text(&output.stderr).contains(said), "{config}: {output:?}");
    }
    let output = Place::new().pofrc("start", &["--config", "/nowhere/pofrc.toml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "--config is given twice");
}

#[test]
fn tune_tells_what_fits() {
    let place = Place::new();
    let mut pofrc = std::process::Command::new(env!("CARGO_BIN_EXE_pofrc"));
    let output = pofrc.args(["tune", "--seconds", "1", "--interval", "50ms", "--json"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |name: &str| told[name].as_f64().unwrap();
    assert!(number("ticks") >= 2.0 && number("sample_us") > 0.0 && number("bytes_per_day") > 0.0, "{told:#}");
    // What is said to fit fits, by the same account.
    let interval = number("interval_that_fits_us");
    let room = (0.02 - number("between_share")).max(0.01);
    assert!(number("sample_us") / interval <= room * 1.000_001, "{told:#}");
    assert!(told["samplers"].as_array().unwrap().iter().any(|part| part["name"] == "process"));
    drop(place);
}
