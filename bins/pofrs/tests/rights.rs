//! Who may do what: users and their rights on a private MariaDB, passwords, files of the embedded database.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

mod bundles;

use bundles::{file, process, write};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

/// 2026-11-23T10:00:00Z, µs.
const T0: i64 = 1_795_428_000_000_000;

fn pofrs(url: &str, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("pofrs"));
    command.args(arguments).env("POFR_DB", url).env_remove("XDG_DATA_HOME");
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn inbox(dir: &Path) -> String {
    let inbox = dir.join("inbox");
    fs::create_dir(&inbox).unwrap();
    let facts = [process(1, 0, b"init", b"/sbin/init"), file(1, 3, b"/etc/passwd")];
    write(&inbox, 1, 1, &[T0, T0 + 100_000], &facts);
    inbox.to_str().unwrap().to_owned()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_embedded_database_is_its_owners_and_reads_only() {
    let dir = tempfile::tempdir().unwrap();
    let (inbox, data) = (inbox(dir.path()), dir.path().join("data"));
    let url = format!("sqlite:{}", data.display());
    let (code, out, err) = pofrs(&url, &["init-db"]);
    assert!(code == 0 && out.contains("no users"), "{out}{err}");
    assert_eq!(pofrs(&url, &["ingest", &inbox, "--client", "web-1"]).0, 0);
    assert_eq!(mode(&data), 0o700);
    let mut files = 0;
    for file in fs::read_dir(&data).unwrap().map(|e| e.unwrap().path()) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
        files += 1;
    }
    assert!(files >= 2, "a lookup and a client");
    let other = dir.path().join("other.sqlite");
    for statement in [
        &format!("ATTACH '{}' AS x", other.display()),
        "SELECT load_extension('x')",
        "WITH a AS (SELECT 1) DELETE FROM hostinfo",
        "WITH a AS (SELECT 1) INSERT INTO urlinfo DEFAULT VALUES",
        "PRAGMA query_only = OFF",
        "VACUUM",
    ] {
        let (code, out, err) = pofrs(&url, &["sql", statement]);
        assert_eq!(code, 1, "{statement}: {out}{err}");
    }
    assert!(!other.exists());
}

#[test]
fn a_password_is_in_no_url() {
    for url in ["mysql://pofr:secret@localhost/", "mysql://pofr:secret@localhost/?unix_socket=/x"] {
        let (code, _, err) = pofrs(url, &["clients"]);
        assert!(code == 1 && err.contains("password_file") && !err.contains("secret"), "{err}");
    }
}

#[cfg(feature = "mariadb")]
mod mariadb {
    use super::*;
    use pofr_tests::mariadb::PrivateMariadb;
    use std::path::PathBuf;

    struct Site {
        server: PrivateMariadb,
        dir: tempfile::TempDir,
        url: String,
    }

    impl Site {
        fn new() -> Self {
            let (server, dir) = (PrivateMariadb::start().unwrap(), tempfile::tempdir().unwrap());
            let at = |name: &str| dir.path().join(name).display().to_string();
            let url = format!(
                "mysql://pofr@localhost/?unix_socket={}&password_file={}&read_password_file={}",
                server.socket().display(),
                at("writer"),
                at("reader")
            );
            Self { server, dir, url }
        }

        fn file(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        /// Runs SQL as a user with MariaDB's own client; returns what it prints, or the error.
        fn sql(&self, user: &str, sql: &str) -> Result<String, String> {
            let mut options = "[client]\n".to_owned();
            if user != "root" {
                let file = self.file(if user == "pofr" { "writer" } else { "reader" });
                options += &format!("password={}\n", fs::read_to_string(file).unwrap().trim());
            }
            let defaults = self.file("options");
            fs::write(&defaults, options).unwrap();
            let output = Command::new("mariadb")
                .arg(format!("--defaults-file={}", defaults.display()))
                .arg(format!("--socket={}", self.server.socket().display()))
                .args(["--user", user, "--batch", "--skip-column-names", "--execute", sql])
                .output()
                .unwrap();
            let text = |bytes| String::from_utf8(bytes).unwrap();
            if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
        }
    }

    #[test]
    fn root_makes_pofr_writes_pofr_read_reads() {
        let site = Site::new();
        let inbox = inbox(site.dir.path());
        let (code, planned, err) = pofrs(&site.url, &["init-db", "--client", "web-1", "--dry-run"]);
        assert!(code == 0 && planned.contains("nothing was done"), "{planned}{err}");
        assert_eq!(
            site.sql("root", "SELECT COUNT(*) FROM mysql.user WHERE user LIKE 'pofr%'").unwrap(),
            "0\n"
        );
        assert!(!site.file("writer").exists());
        for _ in 0..2 {
            let (code, done, err) = pofrs(&site.url, &["init-db", "--client", "web-1"]);
            assert_eq!(code, 0, "{err}");
            let secret = fs::read_to_string(site.file("writer")).unwrap();
            assert!(!done.contains(secret.trim()) && !done.contains("'*"), "no password is shown: {done}");
            // Somebody gives the reader what it must not have; saying it again takes it back.
            site.sql("root", "GRANT FILE ON *.* TO pofr_read@localhost").unwrap();
        }
        assert_eq!(pofrs(&site.url, &["init-db"]).0, 0, "a client that is known need not be named");
        assert_eq!((mode(&site.file("writer")), mode(&site.file("reader"))), (0o600, 0o600));

        let (code, out, err) = pofrs(&site.url, &["ingest", &inbox, "--client", "web-1"]);
        assert_eq!(code, 0, "{out}{err}");
        for question in [
            &["clients"][..],
            &["gaps"],
            &["sql", "SELECT COUNT(*) FROM all_psinfo"],
            &["at", "2026-11-23T10:00:00Z", "ps"],
            &["forget", "--before", "2026-11-23T09:00:00Z", "--dry-run"],
        ] {
            let (code, out, err) = pofrs(&site.url, question);
            assert_eq!(code, 0, "{question:?}: {out}{err}");
        }
        assert_eq!(
            pofrs(&site.url, &["sql", "--json", "SELECT current_user() AS u"]).1,
            "{\"u\":\"pofr_read@localhost\"}\n"
        );
        for (name, words) in [("archive", &["archive", "--force"][..]), ("period", &["period"])] {
            let (code, out, err) = pofrs(&site.url, words);
            assert_eq!(code, 0, "{name}: {out}{err}");
        }

        let secret = site.file("secret");
        for (sql, who) in [
            ("DELETE FROM web1.pofr_bundles", &["pofr_read"][..]),
            ("CREATE TABLE web1.x (a INT)", &["pofr_read"]),
            ("DROP DATABASE web1", &["pofr_read"]),
            ("SELECT * FROM mysql.user", &["pofr", "pofr_read"]),
            ("CREATE DATABASE mine", &["pofr", "pofr_read"]),
            ("GRANT SELECT ON web1.* TO pofr_read@localhost", &["pofr", "pofr_read"]),
            (&format!("SELECT 1 INTO OUTFILE '{}'", secret.display()), &["pofr", "pofr_read"]),
        ] {
            for user in who {
                let error = site.sql(user, sql).expect_err(&format!("{user} may {sql}"));
                assert!(error.contains("denied"), "{user}: {sql}: {error}");
            }
        }
        assert_eq!(site.sql("pofr_read", "SELECT LOAD_FILE('/etc/hostname')").unwrap(), "NULL\n");
        assert!(!secret.exists());
    }

    #[test]
    fn a_wrong_password_and_missing_rights_are_said_and_nothing_is_lost() {
        let site = Site::new();
        let inbox = inbox(site.dir.path());
        assert_eq!(pofrs(&site.url, &["init-db", "--client", "web-1"]).0, 0);
        let files = || fs::read_dir(&inbox).unwrap().count();
        let says = |arguments: &[&str], signs: &[&str]| {
            let (code, out, err) = pofrs(&site.url, arguments);
            assert_eq!(code, 1, "{arguments:?}: {out}");
            for sign in signs {
                assert!(err.contains(sign), "{arguments:?} does not say {sign}: {err}");
            }
            assert_eq!(files(), 1, "the bundle waits");
        };
        let ingest = ["ingest", &inbox, "--client", "web-1"];
        // A client for which nobody made a database.
        says(
            &["ingest", &inbox, "--client", "new"],
            &["denied", "'pofr'@'localhost'", "hint: pofrs init-db"],
        );
        let right = fs::read_to_string(site.file("writer")).unwrap();
        fs::write(site.file("writer"), "wrong").unwrap();
        says(&ingest, &["Access denied for user 'pofr'", "hint: pofrs init-db"]);
        fs::set_permissions(site.file("writer"), fs::Permissions::from_mode(0o640)).unwrap();
        says(&ingest, &["mode 0640", "hint: chmod 0600"]);
        fs::remove_file(site.file("writer")).unwrap();
        says(&ingest, &["cannot read password file", "No such file"]);
        fs::write(site.file("writer"), right).unwrap();
        fs::set_permissions(site.file("writer"), fs::Permissions::from_mode(0o600)).unwrap();
        site.sql("root", "REVOKE INSERT ON web1.* FROM pofr@localhost").unwrap();
        says(&ingest, &["INSERT command denied to user 'pofr'@'localhost'", "hint: pofrs init-db"]);
        // As it says: that gives it back, and the bundle is taken.
        assert_eq!(pofrs(&site.url, &["init-db", "--client", "web-1"]).0, 0);
        let (code, out, err) = pofrs(&site.url, &ingest);
        assert!(code == 0 && out.contains("1 bundle stored"), "{out}{err}");
    }
}
