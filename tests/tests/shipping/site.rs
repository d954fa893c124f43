//! A client that a server knows, and a real sshd between them.

use pofr_core::{
    digest::Sha256,
    wire::v2::{Bundle, Limits, open},
};
use pofr_tests::{programs::program, sshd::Sshd};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

pub(crate) const CIDUSER: &str = "0123456789abcdef0123456789abcdef";
/// Who has not done within this time never will: a client that fails again and again waits up to five minutes.
const PATIENCE: Duration = Duration::from_secs(400);

pub(crate) struct Site {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) sshd: Sshd,
    pub(crate) cid: String,
    /// Where the client looks for the server.
    port: u16,
}

impl Site {
    /// A client that a server knows, as `pofrc register` and `pofrs approve` leave them.
    pub(crate) fn new() -> Self {
        Self::behind(Sshd::port)
    }

    /// The same, where the client reaches the server at another port.
    pub(crate) fn behind(port: impl FnOnce(&Sshd) -> u16) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sshd = Sshd::start(dir.path());
        let port = port(&sshd);
        let cid = "test-1795434795702210".to_owned();
        let site = Self { dir, sshd, cid, port };
        for place in ["state", "run", "data/receive"] {
            std::fs::create_dir_all(site.path(place)).unwrap();
        }
        for place in ["state", "run"] {
            std::fs::set_permissions(site.path(place), std::fs::Permissions::from_mode(0o700)).unwrap();
        }
        std::fs::create_dir_all(site.path("data/inbox").join(&site.cid)).unwrap();
        std::fs::write(site.path("pofrc.toml"), "").unwrap();
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(site.path("state/id"));
        assert!(keygen.status().unwrap().success());
        let me = Command::new("id").arg("-un").output().unwrap();
        let me = String::from_utf8(me.stdout).unwrap().trim().to_owned();
        let status = json!({ "granted": { "ciduser": CIDUSER, "registration_id": "1", "account": me } });
        let registration = json!({
            "version": 1, "server": "127.0.0.1", "port": port, "cid": site.cid,
            "status": status, "request_id": "1", "desk": "pofrsreg",
        });
        std::fs::write(site.path("state/registration.json"), registration.to_string()).unwrap();
        site.pin();
        site.let_in(&site.key());
        site
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn key(&self) -> String {
        std::fs::read_to_string(self.path("state/id.pub")).unwrap().trim().to_owned()
    }

    /// Pins the host key that the server has now.
    pub(crate) fn pin(&self) {
        let line = format!("[127.0.0.1]:{} {}", self.port, self.sshd.host_key());
        std::fs::write(self.path("state/known_hosts"), line).unwrap();
    }

    /// Lets the client in with this key, as `pofrs approve` does.
    pub(crate) fn let_in(&self, key: &str) {
        let account = json!({ "cid": self.cid, "ciduser": CIDUSER, "public_key": key });
        let path = self.path("data/receive").join(format!("{CIDUSER}.json"));
        std::fs::write(path, account.to_string()).unwrap();
        let receive = format!(
            "{} --data-dir {} receive --as {CIDUSER}",
            program("pofrs").display(),
            self.path("data").display()
        );
        self.sshd.let_in(&[format!("restrict,command=\"{receive}\" {key}")]);
    }

    pub(crate) fn pofrc(&self, args: &[&str]) -> Output {
        let mut pofrc = Command::new(program("pofrc"));
        pofrc
            .arg(args[0])
            .arg("--config")
            .arg(self.path("pofrc.toml"))
            .arg("--run-dir")
            .arg(self.path("run"));
        if args[0] != "stop" && args[0] != "status" {
            pofrc.arg("--state").arg(self.path("state"));
        }
        if args[0] == "start" {
            pofrc.arg("--spool").arg(self.path("spool")).arg("--detach");
        }
        pofrc.args(&args[1..]).stdin(Stdio::null()).output().unwrap()
    }

    pub(crate) fn start(&self) -> String {
        self.start_with("1s")
    }

    /// Starts recorder and shipper, with bundles of that length.
    pub(crate) fn start_with(&self, bundle: &str) -> String {
        let output = self.pofrc(&["start", "--bundle", bundle]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn status(&self) -> Value {
        serde_json::from_slice(&self.pofrc(&["status", "--json"]).stdout).unwrap_or(Value::Null)
    }

    pub(crate) fn shipper(&self) -> u32 {
        let pid = self.status()["shipping"]["pid"].as_u64().expect("a shipper runs");
        u32::try_from(pid).unwrap()
    }

    /// The files that the server has.
    pub(crate) fn tars(&self) -> Vec<PathBuf> {
        let dir = self.path("data/inbox").join(&self.cid);
        let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|e| e == "tar")).collect()
    }

    /// How many bundles wait that the server does not have.
    pub(crate) fn waiting_unacknowledged(&self) -> usize {
        let acked = std::fs::read_dir(self.path("spool/.acked")).unwrap();
        let acked = acked.filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            self.path("spool").join(name).exists()
        });
        self.waiting() - acked.count()
    }

    /// What the server has, by its numbers.
    pub(crate) fn received(&self) -> Vec<Bundle> {
        let tars = self.tars().into_iter();
        let mut bundles: Vec<_> =
            tars.map(|path| open(&std::fs::read(path).unwrap(), Limits::default()).unwrap()).collect();
        bundles.sort_by_key(|bundle| bundle.manifest.seq);
        bundles
    }

    /// Checks that the server has every bundle from the first on, each once, and that each names the one before by its digest.
    pub(crate) fn check_chain(&self) {
        let mut bundles = BTreeMap::new();
        for tar in self.tars() {
            let tar = std::fs::read(tar).unwrap();
            let bundle = open(&tar, Limits::default()).unwrap();
            let (seq, previous) = (bundle.manifest.seq, bundle.manifest.previous);
            assert!(
                bundles.insert(seq, (Sha256::of(&tar).to_string(), previous)).is_none(),
                "{seq} is there twice"
            );
        }
        let seqs: Vec<u64> = bundles.keys().copied().collect();
        assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "none is missing");
        for (seq, (_, previous)) in &bundles {
            let before = seq.checked_sub(1).and_then(|seq| bundles.get(&seq)).map(|(sha256, _)| sha256);
            assert_eq!(previous.as_ref(), before, "{seq} names the one before");
        }
    }

    pub(crate) fn seqs(&self) -> Vec<u64> {
        self.received().iter().map(|bundle| bundle.manifest.seq).collect()
    }

    pub(crate) fn waiting(&self) -> usize {
        let entries = std::fs::read_dir(self.path("spool")).unwrap();
        entries.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|e| e == "tar")).count()
    }

    pub(crate) fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is_so() {
            let log = |name: &str| std::fs::read_to_string(self.path(name)).unwrap_or_default();
            assert!(
                began.elapsed() < PATIENCE,
                "waited for: {what}\n{}\nshipper: {}\nsshd: {}",
                self.status()["shipping"],
                log("run/ship.log"),
                log("sshd.log")
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.pofrc(&["stop"]);
    }
}
