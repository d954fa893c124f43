//! docs/queries.md, asked: every question there, as a command and as SQL, of the record of a machine on which it happened.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

mod page;
mod scene;

use page::{Question, Words};
use pofr_tests::{mmdb::mmdb, programs::program, stores::TestStore};
use scene::Scene;
use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Command, Output},
};

#[test]
fn every_question_of_the_page_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let Some(scene) = Scene::play(dir.path()) else { return };
    let questions = page::questions(&std::fs::read_to_string(scene::page()).unwrap());
    assert!(questions.len() >= 16, "the page has questions");
    for store in TestStore::all(dir.path()) {
        ingest(&scene, &store, dir.path());
        let mut wrong = Vec::new();
        let mut expected = expectations(&scene);
        for question in &questions {
            let Some(wanted) = expected.remove(question.title.as_str()) else {
                wrong.push(format!("nobody knows what is to be answered to: {}", question.title));
                continue;
            };
            ask(&scene, &store, question, &wanted, &mut wrong);
        }
        wrong.extend(expected.keys().map(|title| format!("nobody asks: {title}")));
        assert!(wrong.is_empty(), "{}:\n\n{}", store.url(), wrong.join("\n\n"));
    }
}

/// Takes the record into a store, with a country database, and cuts it into levels, which nobody who asks must notice.
fn ingest(scene: &Scene, store: &TestStore, dir: &Path) {
    let places = dir.join("places.mmdb");
    let vietnam = (Ipv4Addr::new(127, 0, 113, 200).into(), 32, "VN", "Hanoi");
    std::fs::write(&places, mmdb(&[vietnam])).unwrap();
    // The first stretch is a level further than the rest.
    let mut bundles: Vec<PathBuf> =
        std::fs::read_dir(&scene.bundles).unwrap().map(|entry| entry.unwrap().path()).collect();
    bundles.sort();
    let early = tempfile::tempdir().unwrap();
    assert!(bundles.len() > 3, "{bundles:?}");
    for bundle in &bundles[..3] {
        std::fs::copy(bundle, early.path().join(bundle.file_name().unwrap())).unwrap();
    }
    let pofrs = |words: &str| {
        let output = sh(store, &format!("pofrs {words}"));
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let places = places.display();
    pofrs(&format!("ingest {} --client victim --places {places}", early.path().display()));
    pofrs("archive --client victim --force");
    pofrs(&format!("ingest {} --client victim --places {places}", scene.bundles.display()));
}

/// Runs a line of the page, or one like it, on the server.
fn sh(store: &TestStore, line: &str) -> Output {
    let pofrs = program("pofrs");
    let path =
        std::env::join_paths([pofrs.parent().unwrap(), Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
    Command::new("sh").args(["-c", line]).env("POFR_DB", store.url()).env("PATH", path).output().unwrap()
}

/// Asks one question both ways.
fn ask(scene: &Scene, store: &TestStore, question: &Question, wanted: &Wanted, wrong: &mut Vec<String>) {
    let words = words(scene);
    let sql = words.fill(&question.sql).replace('\'', "'\\''");
    for command in [words.fill(&question.command), format!("pofrs sql --json '{sql}'")] {
        let output = sh(store, &command);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let missing: Vec<&String> = wanted.has.iter().filter(|text| !out.contains(text.as_str())).collect();
        let stray: Vec<&String> = wanted.lacks.iter().filter(|text| out.contains(text.as_str())).collect();
        if !output.status.success() || !missing.is_empty() || !stray.is_empty() {
            wrong.push(format!(
                "{}\n{command}\n{}: lacks {missing:?}, has {stray:?}\n{out}{err}",
                question.title, output.status
            ));
        }
    }
}

/// Returns what stands on the page for what really was.
fn words(scene: &Scene) -> Words {
    Words::new([
        ("812", scene.deed("shell").pid.to_string()),
        ("1795413600000000", scene.deed("middle").at.to_string()),
        ("1795413000000000", scene.deed("before").at.to_string()),
        ("1795414200000000", scene.deed("after").at.to_string()),
        ("203.0.113.", "127.0.113.".to_owned()),
    ])
}

/// What an answer must and must not have in it.
struct Wanted {
    has: Vec<String>,
    lacks: Vec<String>,
}

fn expectations(scene: &Scene) -> BTreeMap<&'static str, Wanted> {
    let pid = |name: &str| scene.deed(name).pid.to_string();
    let (shell, dropper) = (pid("shell"), pid("dropper"));
    let (first, second) = (pid("chrome 127.0.113.10"), pid("chrome 127.0.113.11"));
    let mut all = BTreeMap::new();
    let mut expect = |title, has: &[&str], lacks: &[&str]| {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        all.insert(title, Wanted { has: texts(has), lacks: texts(lacks) });
    };
    expect(
        "Which files below /usr did the web server have open?",
        &["/usr/share/common-licenses/GPL-3", "/usr/share/common-licenses/BSD", &pid("httpd")],
        &["/etc/passwd"],
    );
    expect(
        "Did user toma run nmap against 192.168.18.34?",
        &[&pid("nmap"), "-P0 192.168.18.34"],
        &["mallory"],
    );
    expect(
        "With whom did the browsers of user nathanp speak?",
        &["127.0.113.10", "127.0.113.11", &first, &second],
        &["127.0.113.66"],
    );
    expect("And is 203.0.113.11 among them?", &["127.0.113.11", &second], &["127.0.113.10"]);
    expect(
        "Who from Vietnam tried ports 137 and 22 in the last day, between one and four in the morning there where the client is?",
        &["127.0.113.200", "137", "22"],
        &["127.0.113.66"],
    );
    expect("What did user mallory run?", &[&shell, &dropper, "curl", ".update", "id"], &["nmap", "httpd"]);
    expect("How did that shell come about, and what came of it?", &[&shell, &dropper, "curl"], &["nmap"]);
    expect(
        "What happened below that shell, step by step?",
        &["curl", ".update", "began", "ended", "127.0.113.66"],
        &["nmap"],
    );
    expect("What was downloaded, and from where?", &["http://127.0.113.66:8000/update"], &["nmap"]);
    expect("Which programs ran from files that had been deleted?", &[&dropper, ".update"], &["nmap"]);
    expect(
        "Which process spoke with 203.0.113.66, port 4444, at that moment, and who was behind it?",
        &[&dropper, &shell, ".update"],
        &[&first],
    );
    expect("With whom did anything of user mallory speak?", &["127.0.113.66", "4444", &dropper], &["8443"]);
    expect("Who changed the tables of cron?", &["/etc/cron.d/update", &shell], &["nmap"]);
    expect(
        "Did anybody look who they are, for an instant only, and how did that end?",
        &["began", "ended"],
        &["\"ended\":null"],
    );
    expect("When was /var/tmp/.update first seen, and on which machine?", &["/var/tmp/.update"], &[]);
    expect("And who of all of us first spoke with 203.0.113.66?", &["127.0.113.66"], &[]);
    expect("What listens now that did not before?", &["127.0.113.66", "4444", "8000"], &["127.0.113.1:22"]);
    expect("From where did whom let ssh in, and by which key?", &["mallory"], &[]);
    expect("Which machine's processes was that, exactly?", &[&shell, "bash"], &[&dropper]);
    expect("Where is the record incomplete?", &[], &["blind"]);
    all
}
