//! `pofrs verify` names what was done to a record, and `ssh-keygen` agrees with it on signatures.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

#[expect(dead_code, reason = "made for other tests, too")]
mod bundles;

use bundles::process;
use pofr_core::{
    collector::Closing,
    diff::Differ,
    digest::Sha256,
    identity::{BootId, BundleSeq, Cid, RunId},
    record::Record,
    source::Source,
    time::{WallMicros, ZoneOffset},
    wire::v2::{self, Encoder, Header, Sealed},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// 2026-11-20T10:00:00Z, µs.
const T0: i64 = 1_795_168_800_000_000;
const MINUTE: i64 = 60_000_000;

/// Two key pairs, made by ssh-keygen.
struct Keys(tempfile::TempDir);

impl Keys {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["client", "thief"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
                .arg(dir.path().join(name))
                .status();
            assert!(made.unwrap().success());
        }
        Self(dir)
    }

    fn public(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(format!("{name}.pub"))).unwrap().trim().to_owned()
    }

    fn sign(&self, name: &str, bytes: &[u8]) -> Vec<u8> {
        let mut keygen = Command::new("ssh-keygen")
            .args(["-q", "-Y", "sign", "-n", "pofr-bundle", "-f"])
            .arg(self.0.path().join(name))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        keygen.stdin.take().unwrap().write_all(bytes).unwrap();
        let Output { status, stdout, .. } = keygen.wait_with_output().unwrap();
        assert!(status.success());
        stdout
    }
}

/// How a bundle is made.
#[derive(Clone, Copy)]
struct Recipe<'a> {
    seq: u64,
    run: u8,
    /// Minutes after [`T0`].
    at: i64,
    previous: Option<Sha256>,
    signer: Option<&'a str>,
}

fn sealed(keys: &Keys, recipe: Recipe<'_>) -> Sealed {
    let stamp = |i: i64| WallMicros(T0 + recipe.at * MINUTE + i * 1_000_000);
    let header = Header {
        cid: Cid::parse("handmade").unwrap(),
        run: RunId([recipe.run; 16]),
        boot: BootId([7; 16]),
        seq: BundleSeq(recipe.seq),
        previous: recipe.previous,
        zone: ZoneOffset::UTC,
        interval_micros: 1_000_000,
        opened_wall: stamp(0),
        opened_boot_micros: 0,
        recorder_pids: Vec::new(),
        sources: vec![Source::Process],
        missing: Vec::new(),
    };
    let (mut encoder, mut differ) = (Encoder::new(&header), Differ::default());
    for i in 0..3 {
        let facts = vec![process(1, 0, b"init", b"/sbin/init")];
        let sample = differ.observe(&Source::Process, stamp(i), 0, facts.into()).unwrap();
        encoder.push(&Record::Sample(sample));
    }
    let frames = encoder.flush().unwrap();
    v2::seal_signed(&frames, true, &Closing::default(), |manifest| {
        recipe.signer.map(|name| keys.sign(name, manifest))
    })
    .unwrap()
}

/// Makes a chain of bundles a minute apart, of one run; `change` may alter what one is made of.
fn chain(keys: &Keys, count: u64, change: impl Fn(&mut Recipe<'_>)) -> Vec<Sealed> {
    let mut made: Vec<Sealed> = Vec::new();
    for seq in 1..=count {
        let previous = made.last().map(|sealed| sealed.sha256);
        let mut recipe = Recipe { seq, run: 1, at: seq.cast_signed(), previous, signer: Some("client") };
        change(&mut recipe);
        made.push(sealed(keys, recipe));
    }
    made
}

/// A server that has the account of one client.
struct Site(tempfile::TempDir);

impl Site {
    fn new(account: &Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("pofrs.toml"), "").unwrap();
        fs::create_dir(dir.path().join("receive")).unwrap();
        fs::write(dir.path().join("receive/c0ffee.json"), account.to_string()).unwrap();
        Self(dir)
    }

    fn registered(keys: &Keys) -> Self {
        Self::new(&json!({"cid": "handmade", "ciduser": "c0ffee", "public_key": keys.public("client")}))
    }

    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("pofrs"));
        command.arg("--data-dir").arg(self.0.path()).arg("--config").arg(self.0.path().join("pofrs.toml"));
        let Output { status, stdout, stderr } = command.args(arguments).output().unwrap();
        let text = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
        (status.code().unwrap(), text)
    }

    /// Takes in bundles as they came.
    fn take(&self, bundles: &[(String, Vec<u8>)]) {
        let inbox = self.0.path().join("inbox/handmade");
        fs::create_dir_all(&inbox).unwrap();
        for (name, bytes) in bundles {
            fs::write(inbox.join(name), bytes).unwrap();
        }
        let (code, said) = self.run(&["ingest"]);
        assert!([0, 4].contains(&code), "{said}");
    }

    fn kept(&self, sealed: &Sealed) -> PathBuf {
        let days = fs::read_dir(self.0.path().join("bundles/handmade")).unwrap();
        days.map(|day| day.unwrap().path().join(&sealed.name)).find(|path| path.exists()).unwrap()
    }

    /// Returns what verifying finds; each as its kind and what identifies it.
    #[track_caller]
    fn findings(&self) -> Vec<String> {
        let (code, said) = self.run(&["verify", "--json"]);
        let report: Value = serde_json::from_str(&said).unwrap();
        let findings = report["findings"].as_array().unwrap();
        assert_eq!(code, if findings.is_empty() { 0 } else { 6 }, "{said}");
        let (code, text) = self.run(&["verify"]);
        assert_eq!(code, if findings.is_empty() { 0 } else { 6 });
        assert_eq!(text.lines().count(), findings.len() + 1, "a line for each: {text}");
        let named = |f: &Value| {
            let number = f.get("seq").or_else(|| f.get("first")).map(ToString::to_string);
            format!("{} {}", f["finding"].as_str().unwrap(), number.unwrap_or_default()).trim().to_owned()
        };
        findings.iter().map(named).collect()
    }
}

fn files(sealed: &[Sealed]) -> Vec<(String, Vec<u8>)> {
    sealed.iter().map(|s| (s.name.clone(), s.tar.clone())).collect()
}

#[test]
fn a_good_record_has_nothing_wrong_and_ssh_keygen_agrees() {
    let keys = Keys::new();
    let bundles = chain(&keys, 4, |_| {});
    let site = Site::registered(&keys);
    // They may come in any order within a while.
    site.take(&files(&bundles[2..]));
    site.take(&files(&bundles[..2]));
    assert_eq!(site.findings(), [""; 0]);
    let (_, said) = site.run(&["verify"]);
    assert!(said.contains("4 bundles, 4 signed by the client; nothing is wrong"), "{said}");
    let out = tempfile::tempdir().unwrap();
    let kept = site.kept(&bundles[1]);
    let (code, said) = site.run(&["cat", "--manifest", out.path().to_str().unwrap(), kept.to_str().unwrap()]);
    assert_eq!(code, 0, "{said}");
    let manifest = out.path().join(format!("{}.json", bundles[1].name));
    fs::write(out.path().join("signers"), format!("handmade {}\n", keys.public("client"))).unwrap();
    assert!(keygen_verifies(out.path(), &manifest));
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("\"seq\": 2", "\"seq\": 3")).unwrap();
    assert!(!keygen_verifies(out.path(), &manifest), "of a manifest that was changed it does not");
}

/// As docs and help say it is done.
fn keygen_verifies(dir: &Path, manifest: &Path) -> bool {
    let mut signature = manifest.as_os_str().to_owned();
    signature.push(".sig");
    let keygen = Command::new("ssh-keygen")
        .args(["-Y", "verify", "-I", "handmade", "-n", "pofr-bundle", "-f"])
        .arg(dir.join("signers"))
        .arg("-s")
        .arg(signature)
        .stdin(fs::File::open(manifest).unwrap())
        .output();
    keygen.unwrap().status.success()
}

#[test]
fn a_tampered_bundle_is_named() {
    let keys = Keys::new();
    let bundles = chain(&keys, 4, |_| {});
    // On the way: it is refused, and missing.
    let site = Site::registered(&keys);
    let mut sent = files(&bundles);
    let middle = sent[2].1.len() / 2;
    sent[2].1[middle] ^= 1;
    site.take(&sent);
    assert_eq!(site.findings(), ["hole 3", "quarantined"]);
    // On the server.
    let site = Site::registered(&keys);
    site.take(&files(&bundles));
    let kept = site.kept(&bundles[2]);
    fs::write(&kept, &sent[2].1).unwrap();
    assert_eq!(site.findings(), ["tampered 3"]);
    // With the digest in its name made to fit.
    fs::write(kept.with_file_name(sealed_name(&bundles[2], &sent[2].1)), &sent[2].1).unwrap();
    fs::remove_file(kept).unwrap();
    assert_eq!(site.findings(), ["not_kept 3", "not_stored"]);
}

fn sealed_name(sealed: &Sealed, bytes: &[u8]) -> String {
    sealed.name.replace(&sealed.sha256.to_string(), &Sha256::of(bytes).to_string())
}

#[test]
fn a_removed_bundle_is_named() {
    let keys = Keys::new();
    let bundles = chain(&keys, 5, |_| {});
    let site = Site::registered(&keys);
    let mut sent = files(&bundles);
    sent.remove(2);
    sent.remove(0);
    site.take(&sent);
    assert_eq!(site.findings(), ["hole 1", "hole 3"]);
}

#[test]
fn a_bundle_that_is_signed_by_another_or_not_at_all_is_named() {
    let keys = Keys::new();
    for (signer, found) in [(Some("thief"), "bad_signature 3"), (None, "unsigned 3")] {
        let bundles = chain(&keys, 4, |recipe| {
            if recipe.seq == 3 {
                recipe.signer = signer;
            }
        });
        let site = Site::registered(&keys);
        site.take(&files(&bundles));
        assert_eq!(site.findings(), [found]);
    }
    // Signed anew by somebody who has no key, in the place of the true one: those behind it do not name it.
    let bundles = chain(&keys, 4, |_| {});
    let forged = sealed(
        &keys,
        Recipe { seq: 3, run: 1, at: 3, previous: Some(bundles[1].sha256), signer: Some("thief") },
    );
    let mut sent = files(&bundles);
    sent[2] = (forged.name.clone(), forged.tar.clone());
    let site = Site::registered(&keys);
    site.take(&sent);
    assert_eq!(site.findings(), ["break 4", "bad_signature 3"]);
    // Beside the true one.
    let site = Site::registered(&keys);
    site.take(&files(&bundles));
    site.take(&[(forged.name, forged.tar)]);
    assert_eq!(site.findings(), ["quarantined"]);
}

#[test]
fn reordered_bundles_are_named() {
    let keys = Keys::new();
    // Whoever has the key gives the third and the fourth each other's numbers.
    let bundles = chain(&keys, 5, |recipe| match recipe.seq {
        3 => (recipe.run, recipe.at) = (2, 4),
        4 => (recipe.run, recipe.at) = (3, 3),
        _ => {}
    });
    let site = Site::registered(&keys);
    site.take(&files(&bundles));
    assert_eq!(site.findings(), ["backdated 4"]);
    // Within a run that cannot even be stored.
    let bundles = chain(&keys, 5, |recipe| match recipe.seq {
        3 => recipe.at = 4,
        4 => recipe.at = 3,
        _ => {}
    });
    let site = Site::registered(&keys);
    site.take(&files(&bundles));
    let findings = site.findings();
    assert!(findings.iter().any(|f| f == "quarantined") && findings.iter().any(|f| f.starts_with("hole")));
}

#[test]
fn a_backdated_bundle_and_one_of_the_future_are_named() {
    let keys = Keys::new();
    let bundles = chain(&keys, 4, |recipe| {
        if recipe.seq == 4 {
            (recipe.run, recipe.at) = (2, -60 * 24);
        }
    });
    let site = Site::registered(&keys);
    site.take(&files(&bundles));
    assert_eq!(site.findings(), ["backdated 4"]);
    let bundles = chain(&keys, 3, |recipe| {
        if recipe.seq == 3 {
            // In the year 2100.
            recipe.at = 60 * 24 * 365 * 74;
        }
    });
    let site = Site::registered(&keys);
    site.take(&files(&bundles));
    assert_eq!(site.findings(), ["ahead 3"]);
}

#[test]
fn a_fork_is_named() {
    let keys = Keys::new();
    let bundles = chain(&keys, 3, |_| {});
    let second = sealed(
        &keys,
        Recipe { seq: 3, run: 2, at: 9, previous: Some(bundles[1].sha256), signer: Some("client") },
    );
    let site = Site::registered(&keys);
    site.take(&files(&bundles));
    site.take(&[(second.name, second.tar)]);
    assert_eq!(site.findings(), ["fork 3"]);
}

#[test]
fn a_key_that_was_replaced_counts_for_what_came_before() {
    let keys = Keys::new();
    let bundles = chain(&keys, 3, |recipe| {
        if recipe.seq == 3 {
            recipe.signer = Some("thief");
        }
    });
    let account = |until: i64| {
        json!({
            "cid": "handmade", "ciduser": "c0ffee", "public_key": keys.public("thief"),
            "former_keys": [{"public_key": keys.public("client"), "until": until}]
        })
    };
    let site = Site::new(&account(i64::MAX));
    site.take(&files(&bundles));
    assert_eq!(site.findings(), [""; 0]);
    let site = Site::new(&account(T0));
    site.take(&files(&bundles));
    let (_, said) = site.run(&["verify", "--json"]);
    let late = bundles.len() - 1;
    assert_eq!(said.matches("former_key").count(), late, "{said}");
}

#[test]
fn without_an_account_nothing_is_said_to_be_signed() {
    let keys = Keys::new();
    let bundles = chain(&keys, 2, |_| {});
    let site = Site::new(&json!({"cid": "another", "ciduser": "c0ffee", "public_key": ""}));
    site.take(&files(&bundles));
    let (code, said) = site.run(&["verify"]);
    assert!(code == 0 && said.contains("0 signed by the client, 2 not checked"), "{said}");
    assert!(said.contains("no key of this client is known here"), "{said}");
}
