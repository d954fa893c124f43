//! What goes wrong around the server: a full disk, a database that dies in the middle. Each is said clearly, nothing is lost, and
//! saying it again when the cause is gone makes the record what it would have been.
//!
//! Wrong passwords and missing rights are in the tests of `pofrs`, older and newer schemas in the stores' conformance suite.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

use pofr_core::identity::Cid;
use pofr_schema::Access;
use pofr_tests::{days::days, programs::program, record::contents, tmpfs::Tmpfs};
use std::{
    path::Path,
    process::{Command, Output},
};

fn pofrs(url: &str, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(program("pofrs"));
    let Output { status, stderr, .. } = command.args(["--db", url]).args(arguments).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

fn record(url: &str, client: &str) -> Vec<String> {
    let store = pofr_schema::open(url, Access::Read).unwrap();
    contents(&mut *store.read(&Cid::parse(client).unwrap()).unwrap())
}

/// How many bundles the record has; none where there is no record yet.
fn stored(url: &str, client: &str) -> usize {
    let Ok(store) = pofr_schema::open(url, Access::Read) else { return 0 };
    store.read(&Cid::parse(client).unwrap()).map_or(0, |mut reader| reader.ledger().unwrap().bundles.len())
}

fn calm(dir: &Path, bundles: &str) -> Vec<String> {
    let url = format!("sqlite:{}", dir.join("calm").display());
    let (code, err) = pofrs(&url, &["ingest", bundles, "--client", "x"]);
    assert_eq!(code, 0, "{err}");
    record(&url, "x")
}

#[test]
fn a_full_disk_under_the_embedded_database() {
    let Some(disk) = Tmpfs::mount(1500) else { return };
    let dir = tempfile::tempdir().unwrap();
    let bundles = days(&dir.path().join("days"), 80, 60);
    let inbox = bundles.bundles[0].parent().unwrap().to_str().unwrap();
    let url = format!("sqlite:{}", disk.path().join("db").display());
    let (code, err) = pofrs(&url, &["ingest", inbox, "--client", "x"]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("full") && err.contains("hint: make room"), "{err}");
    let some = stored(&url, "x");
    assert!(some > 0 && some < 80, "{some} are stored, each of them whole");
    let (again, err) = pofrs(&url, &["ingest", inbox, "--client", "x"]);
    assert!(again == 1 && err.contains("hint: make room"), "{err}");
    disk.resize(64 * 1024);
    let (code, err) = pofrs(&url, &["ingest", inbox, "--client", "x"]);
    assert_eq!(code, 0, "{err}");
    assert!(record(&url, "x") == calm(dir.path(), inbox), "the record differs");
}

#[test]
fn a_full_disk_under_the_kept_bundles() {
    let Some(disk) = Tmpfs::mount(512) else { return };
    let dir = tempfile::tempdir().unwrap();
    let bundles = days(&dir.path().join("days"), 20, 20);
    let data = disk.path().join("data");
    let inbox = data.join("inbox/x");
    bundles.bundles.iter().for_each(|bundle| pofr_tests::record::deliver(bundle, &inbox));
    let url = format!("sqlite:{}", dir.path().join("db").display());
    let ingest = ["--data-dir", data.to_str().unwrap(), "ingest"];
    let filler = disk.fill_but(0);
    let (code, err) = pofrs(&url, &ingest);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("cannot write") || err.contains("cannot make"), "{err}");
    assert!(err.contains("No space left on device"), "{err}");
    assert_eq!(stored(&url, "x"), 0, "what cannot be kept is not stored");
    assert_eq!(pofr_tests::record::bundles(&inbox).len(), 20, "and waits");
    std::fs::remove_file(filler).unwrap();
    let (code, err) = pofrs(&url, &ingest);
    assert_eq!(code, 0, "{err}");
    let inbox = bundles.bundles[0].parent().unwrap().to_str().unwrap();
    assert!(record(&url, "x") == calm(dir.path(), inbox), "the record differs");
}

#[cfg(feature = "mariadb")]
mod mariadb {
    use super::*;
    use pofr_tests::mariadb::PrivateMariadb;
    use std::process::Stdio;

    #[test]
    fn a_full_disk_under_the_server() {
        let Some(disk) = Tmpfs::mount(400 * 1024) else { return };
        let mut server = PrivateMariadb::start_in(disk.path()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let bundles = days(&dir.path().join("days"), 60, 60);
        let inbox = bundles.bundles[0].parent().unwrap().to_str().unwrap();
        let ingest = ["ingest", inbox, "--client", "x"];
        let (code, err) =
            pofrs(&server.url(), &["ingest", &dir.path().display().to_string(), "--client", "x"]);
        assert_eq!(code, 0, "{err}");
        let filler = disk.fill_but(2048);
        let (code, err) = pofrs(&server.url(), &ingest);
        assert_eq!(code, 1, "{err}");
        // The server may itself die of it.
        assert!(err.contains("hint: make room") || err.contains("hint: is MariaDB running?"), "{err}");
        std::fs::remove_file(filler).unwrap();
        server.revive().unwrap();
        let some = stored(&server.url(), "x");
        assert!(some < 60, "{some} are stored");
        let (code, err) = pofrs(&server.url(), &ingest);
        assert_eq!(code, 0, "{err}");
        assert!(record(&server.url(), "x") == calm(dir.path(), inbox), "the record differs");
    }

    #[test]
    fn a_server_that_dies_in_the_middle() {
        let mut server = PrivateMariadb::start().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let bundles = days(&dir.path().join("days"), 100, 60);
        let inbox = bundles.bundles[0].parent().unwrap().to_str().unwrap();
        let ingest = ["ingest", inbox, "--client", "x"];
        let mut child = Command::new(program("pofrs"))
            .args(["--db", &server.url()])
            .args(ingest)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        while stored(&server.url(), "x") < 10 {
            assert!(child.try_wait().unwrap().is_none(), "it ended before the server could die");
        }
        server.kill_9().unwrap();
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{err}");
        assert!(err.contains("hint: is MariaDB running?"), "{err}");
        // While it is away, that is what is said.
        let (code, err) = pofrs(&server.url(), &ingest);
        assert!(
            code == 1 && err.contains("cannot connect to") && err.contains("is MariaDB running?"),
            "{err}"
        );
        server.restart().unwrap();
        let some = stored(&server.url(), "x");
        assert!((10..100).contains(&some), "{some} are stored");
        let (code, err) = pofrs(&server.url(), &ingest);
        assert_eq!(code, 0, "{err}");
        assert!(record(&server.url(), "x") == calm(dir.path(), inbox), "the record differs");
    }
}
