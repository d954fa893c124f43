//! Cases: packed, checked here and by OpenSSH's and GNU's own tools, and tampered with in every way that comes to mind.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

use pofr_core::{
    collector::Closing,
    diff::Differ,
    digest::Sha256,
    fact::{Fact, Host},
    gap::{Gap, Severity},
    identity::{BootId, BundleSeq, Cid, RunId},
    record::Record,
    source::Source,
    store::{BundleEntry, BundleFormat, Ledger, StoredBundle, TriadId},
    time::{WallMicros, ZoneOffset},
    wire::{
        link::BUNDLE_NAMESPACE,
        v2::{self, Encoder, Header},
    },
};
use pofr_ingest::{
    Kept,
    case::{CaseKey, CaseLog, Checked, Contents, FORMAT, Flaw, Member, gather, is_case, pack, verify},
    receive::Account,
};
use ssh_key::{HashAlg, LineEnding, PrivateKey, private::Ed25519Keypair};
use std::{
    fs,
    io::Read as _,
    path::Path,
    process::{Command, Stdio},
};

const T0: i64 = 1_795_428_000_000_000;
const SECOND: i64 = 1_000_000;

fn client_key() -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[3; 32]))
}

fn cid() -> Cid {
    Cid::parse("web-1").unwrap()
}

/// A record of four bundles, of which the third was never kept, and the third reason of a gap is hostile.
struct Site {
    dir: tempfile::TempDir,
    ledger: Ledger,
    accounts: Vec<Account>,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::new(dir.path().join("bundles"));
        let mut ledger = Ledger::default();
        let mut previous = None;
        for seq in 1..=4 {
            let (sealed, entry) = bundle(seq, previous);
            previous = Some(sealed.sha256);
            if seq != 3 {
                kept.put(&sealed.name.parse().unwrap(), &sealed.tar).unwrap();
            }
            let gap = Gap {
                source: None,
                severity: Severity::Thin,
                reason: "</script>\u{1b}[2J".to_owned(),
                from: entry.first,
                to: Some(entry.last),
                lost: None,
            };
            ledger.bundles.push(StoredBundle {
                entry,
                spans: Vec::new(),
                gaps: vec![gap],
                triad: TriadId(1),
            });
        }
        let account = Account {
            cid: "web-1".to_owned(),
            ciduser: "a".repeat(32),
            public_key: client_key().public_key().to_openssh().unwrap(),
            former_keys: Vec::new(),
            quota_bytes: 0,
            v1: false,
            registration_id: String::new(),
            approved: 0,
        };
        Self { dir, ledger, accounts: vec![account] }
    }

    fn members(&self) -> (Vec<Member>, Contents) {
        let kept = Kept::new(self.dir.path().join("bundles"));
        let span = (Some(WallMicros(T0)), Some(WallMicros(T0 + 100 * SECOND)));
        let gathered = gather(&cid(), &self.ledger, &kept, &self.accounts, span).unwrap();
        let contents = Contents {
            format: FORMAT.to_owned(),
            number: 1,
            title: "a test".to_owned(),
            created: T0,
            program: "test".to_owned(),
            host: "here".to_owned(),
            signer: CaseKey::of(self.dir.path()).unwrap().fingerprint(),
            previous: None,
            from: Some(T0),
            until: None,
            clients: vec![gathered.part],
            questions: Vec::new(),
        };
        let mut members = vec![Member::new("case.json", serde_json::to_vec_pretty(&contents).unwrap())];
        members.extend(gathered.members);
        (members, contents)
    }

    fn case(&self) -> Vec<u8> {
        self.pack(&self.members().0)
    }

    fn pack(&self, members: &[Member]) -> Vec<u8> {
        let mut out = Vec::new();
        pack(members, &CaseKey::of(self.dir.path()).unwrap(), WallMicros(T0), &mut out).unwrap();
        out
    }
}

/// Makes a signed bundle of three samples, and its entry in the ledger.
fn bundle(seq: u64, previous: Option<Sha256>) -> (v2::Sealed, BundleEntry) {
    let first = T0 + i64::try_from(seq).unwrap() * 10 * SECOND;
    let header = Header {
        cid: cid(),
        run: RunId([1; 16]),
        boot: BootId([7; 16]),
        seq: BundleSeq(seq),
        previous,
        zone: ZoneOffset::UTC,
        interval_micros: 100_000,
        opened_wall: WallMicros(first),
        opened_boot_micros: 0,
        recorder_pids: Vec::new(),
        sources: vec![Source::Host],
        missing: Vec::new(),
    };
    let (mut encoder, mut differ) = (Encoder::new(&header), Differ::default());
    for stamp in [first, first + SECOND, first + 2 * SECOND] {
        let facts = vec![Fact::Host(Host { hostname: "web-1".into(), ..Host::default() })];
        encoder.push(&Record::Sample(
            differ.observe(&Source::Host, WallMicros(stamp), 0, facts.into()).unwrap(),
        ));
    }
    let sign = |manifest: &[u8]| {
        let signature = client_key().sign(BUNDLE_NAMESPACE, HashAlg::Sha512, manifest).unwrap();
        Some(signature.to_pem(LineEnding::LF).unwrap().into_bytes())
    };
    let sealed = v2::seal_signed(&encoder.flush().unwrap(), true, &Closing::default(), sign).unwrap();
    let entry = BundleEntry {
        cid: Some(cid()),
        sha256: sealed.sha256,
        name: sealed.name.clone(),
        format: BundleFormat::V2,
        seq: BundleSeq(seq),
        previous,
        run: RunId([1; 16]),
        boot: BootId([7; 16]),
        zone: ZoneOffset::UTC,
        first: WallMicros(first),
        last: WallMicros(first + 2 * SECOND),
        interval_micros: 100_000,
        samples: 3,
        left_out: 0,
        complete: true,
        streamed: false,
        received: WallMicros(first + 3 * SECOND),
    };
    (sealed, entry)
}

fn checked(case: &[u8]) -> Checked {
    verify(&mut &*case, None).unwrap()
}

/// The one flaw that is no tampering: bundle 3 was not kept when the case was made.
fn not_packed() -> Flaw {
    Flaw::NotPacked { client: "web-1".to_owned(), seq: 3 }
}

/// Takes an archive apart.
fn parts(case: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(case);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (String::from_utf8(entry.path_bytes().into_owned()).unwrap(), bytes)
    });
    entries.collect()
}

/// Puts an archive together again.
fn archive(parts: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in parts {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        tar.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    tar.into_inner().unwrap()
}

#[test]
fn a_case_is_what_it_says_and_others_tools_agree() {
    let site = Site::new();
    let case = site.case();
    assert!(is_case(&case) && !is_case(b"manifest.json\0"));
    let found = checked(&case);
    assert_eq!(found.flaws, [not_packed()], "{found:?}");
    assert_eq!((found.bundles, found.signed), (3, 3));
    assert_eq!(found.contents.unwrap(), site.members().1);
    let key = CaseKey::of(site.dir.path()).unwrap();
    assert_eq!(verify(&mut &*case, Some(&key.public_line())).unwrap().flaws, [not_packed()]);
    let other = client_key().public_key().to_openssh().unwrap();
    let flaws = verify(&mut &*case, Some(&other)).unwrap().flaws;
    assert!(flaws.contains(&Flaw::OtherSigner { found: key.fingerprint() }), "{flaws:?}");

    // tar, sha256sum and ssh-keygen need nothing of ours.
    let work = tempfile::tempdir().unwrap();
    tar::Archive::new(&*case).unpack(work.path()).unwrap();
    let top = work.path().join("case");
    let sums =
        Command::new("sha256sum").args(["--check", "--quiet", "SHA256SUMS"]).current_dir(&top).status();
    assert!(sums.unwrap().success());
    assert!(keygen(&top, "allowed_signers", "pofr", "pofr-case", "SHA256SUMS.sig", "SHA256SUMS"));
    let manifests: Vec<_> = fs::read_dir(top.join("web-1/manifests")).unwrap().collect();
    assert_eq!(manifests.len(), 6);
    for manifest in
        manifests.into_iter().map(|m| m.unwrap().path()).filter(|m| m.extension().unwrap() == "json")
    {
        let (sig, manifest) = (format!("{}.sig", manifest.display()), manifest.display().to_string());
        assert!(keygen(&top, "web-1/allowed_signers", "web-1", "pofr-bundle", &sig, &manifest));
    }
}

fn keygen(dir: &Path, signers: &str, who: &str, namespace: &str, signature: &str, message: &str) -> bool {
    let mut keygen = Command::new("ssh-keygen");
    keygen
        .args(["-Y", "verify", "-f", signers, "-I", who, "-n", namespace, "-s", signature])
        .current_dir(dir);
    keygen.stdin(fs::File::open(dir.join(message)).unwrap()).stdout(Stdio::null()).stderr(Stdio::null());
    keygen.status().unwrap().success()
}

#[test]
fn nothing_can_be_changed_taken_out_or_added() {
    let whole = parts(&Site::new().case());
    let names: Vec<String> = whole.iter().map(|(name, _)| name.clone()).collect();
    assert!(names.len() > 10, "{names:?}");
    for i in 0..whole.len() {
        let mut altered = whole.clone();
        let middle = altered[i].1.len() / 2;
        altered[i].1[middle] ^= 1;
        let mut shorter = whole.clone();
        shorter.remove(i);
        let mut twice = whole.clone();
        twice.push(whole[i].clone());
        for (how, parts) in [("altered", altered), ("taken out", shorter), ("twice", twice)] {
            // What is so broken that nothing can be said of it is refused.
            let Ok(found) = verify(&mut &*archive(&parts), None) else { continue };
            assert!(found.flaws.iter().any(|flaw| *flaw != not_packed()), "{} {how}: {found:?}", names[i]);
        }
    }
    let mut more = whole.clone();
    more.push(("case/evil\u{1b}[2J".to_owned(), Vec::new()));
    let name = "case/evil\\x1b[2J".to_owned();
    assert!(checked(&archive(&more)).flaws.contains(&Flaw::Added { name }));
}

#[test]
fn a_link_is_no_member_even_where_it_has_the_name_of_one() {
    let whole = parts(&Site::new().case());
    let mut tar = tar::Builder::new(archive(&whole[..whole.len() - 1]));
    // `archive` has ended it; what is behind the end is not read.
    let mut bytes = std::mem::take(tar.get_mut());
    bytes.truncate(bytes.len() - 1024);
    let mut tar = tar::Builder::new(bytes);
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, &whole.last().unwrap().0, "/etc/passwd").unwrap();
    let found = checked(&tar.into_inner().unwrap());
    assert!(found.flaws.iter().any(|flaw| matches!(flaw, Flaw::Added { .. })), "{found:?}");
    assert!(found.flaws.iter().any(|flaw| matches!(flaw, Flaw::Missing { .. })), "{found:?}");
}

#[test]
fn a_server_that_lies_is_found_out_by_the_clients_signatures() {
    let site = Site::new();
    // It makes a bundle of its own, in the client's name, signs the case, and the chain does not fit either.
    let (forged, entry) = bundle(2, Some(Sha256::of(b"another")));
    let kept = Kept::new(site.dir.path().join("bundles"));
    let mut ledger = site.ledger.clone();
    let unsigned = v2::seal(&frames(&forged.tar), true, &Closing::default()).unwrap();
    kept.put(&unsigned.name.parse().unwrap(), &unsigned.tar).unwrap();
    ledger.bundles[1].entry = BundleEntry { sha256: unsigned.sha256, name: unsigned.name.clone(), ..entry };
    let site = Site { ledger, ..site };
    let found = checked(&site.case());
    let client = || "web-1".to_owned();
    for flaw in [
        Flaw::Break { client: client(), seq: 2 },
        Flaw::Break { client: client(), seq: 3 },
        Flaw::Unsigned { client: client(), seq: 2 },
    ] {
        assert!(found.flaws.contains(&flaw), "{flaw:?} in {found:?}");
    }
    // Another key in the client's name.
    let mut site = Site::new();
    site.accounts[0].public_key = CaseKey::of(site.dir.path()).unwrap().public_line();
    let found = checked(&site.case());
    assert!(found.flaws.contains(&Flaw::BadSignature { client: client(), seq: 1 }), "{found:?}");
    assert_eq!(found.signed, 0);
    // A bundle that the ledger does not know.
    site.ledger.bundles.remove(3);
    let (mut members, _) = site.members();
    members.push(Member::new(format!("web-1/bundles/{}", forged.name), forged.tar));
    let found = checked(&site.pack(&members));
    assert!(found.flaws.iter().any(|flaw| matches!(flaw, Flaw::Bundle { .. })), "{found:?}");
}

/// Returns a bundle's records as they are in its tar.
fn frames(tar: &[u8]) -> Vec<u8> {
    parts(tar).into_iter().find(|(name, _)| name == "records.pb.zst").unwrap().1
}

#[test]
fn what_is_no_case_is_refused() {
    for bytes in [&b""[..], b"rubbish", &archive(&[("manifest.json".to_owned(), b"{}".to_vec())])] {
        verify(&mut &*bytes, None).unwrap_err();
    }
    let case = Site::new().case();
    for end in [600, case.len() / 2] {
        assert!(verify(&mut &case[..end], None).map_or(true, |found| found.flaws.len() > 1), "cut at {end}");
    }
}

#[test]
fn each_case_names_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let log = CaseLog::open(dir.path()).unwrap();
    assert_eq!((log.next(), log.previous()), (1, None));
    log.add(T0, "first\n\u{1b}", "aa".to_owned()).unwrap();
    let log = CaseLog::open(dir.path()).unwrap();
    assert_eq!((log.next(), log.previous().unwrap().sums.as_str()), (2, "aa"));
}
