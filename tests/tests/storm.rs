//! The watch service in a storm: `pofrs ingest --watch`, and then MariaDB under it, killed with SIGKILL at random moments while
//! it ingests, archives and makes periods. What it comes to is what an undisturbed run comes to, ids aside, and the ledger says
//! what was left half done.
//!
//! `POFR_STORM` (3 unless set; the issue wants 30) is how many kills of each kind each store gets. The dice are seeded with
//! `POFR_SEED`.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

use pofr_core::{
    identity::Cid,
    store::{ActionKind, Level, TriadState},
};
use pofr_schema::Access;
use pofr_tests::{
    days::{Days, days},
    dice::{Dice, number},
    programs::program,
    record::{bundles, contents, deliver},
    stores::TestStore,
};
use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

struct Site<'a> {
    url: &'a str,
    dir: &'a Path,
}

impl Site<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("pofrs"));
        let config = self.dir.join("pofrs.toml");
        fs::write(&config, "[levels]\nmax_triads = 2\nperiod = \"day\"\n").unwrap();
        command.arg("--db").arg(self.url).arg("--data-dir").arg(self.dir).arg("--config").arg(config);
        command.args(arguments).stdout(Stdio::null());
        command
    }

    fn watch(&self) -> Child {
        let log = File::options().append(true).create(true).open(self.dir.join("log")).unwrap();
        self.command(&["ingest", "--watch", "--workers", "1"]).stderr(log).spawn().unwrap()
    }

    fn ok(&self, arguments: &[&str]) {
        let output = self.command(arguments).stderr(Stdio::piped()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn inbox(&self, client: &str) -> PathBuf {
        self.dir.join("inbox").join(client)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Everything as one period, whose rows do not depend on what was merged when.
    fn merged(&self, client: &str) -> Vec<String> {
        self.ok(&["archive", "--force", "--client", client]);
        self.ok(&["period", "--client", client]);
        let store = pofr_schema::open(self.url, Access::Read).unwrap();
        contents(&mut *store.read(&Cid::parse(client).unwrap()).unwrap())
    }

    /// Checks that the record is whole, and counts what the ledger tells of killed writers and of levels.
    fn account(&self, client: &str) -> (usize, usize) {
        let store = pofr_schema::open(self.url, Access::Write).unwrap();
        let mut writer = store.write(&Cid::parse(client).unwrap()).unwrap();
        let ledger = writer.ledger().unwrap();
        let half = ledger.triads.iter().filter(|t| t.state == TriadState::Creating).count();
        assert_eq!(half, 0, "recovery leaves nothing half made");
        let recovered = ledger.actions.iter().filter(|a| a.kind == ActionKind::Recover).count();
        (recovered, ledger.live().filter(|t| t.level != Level::Slice).count())
    }
}

/// Delivers all bundles a few at a time, and does `disturb` at random moments, until `kills` of its disturbances have hit.
fn storm(
    site: &Site<'_>,
    days: &Days,
    kills: u64,
    dice: &mut Dice,
    disturb: &mut dyn FnMut(&mut Child) -> bool,
) -> Vec<String> {
    let mut clients = Vec::new();
    let mut hit = 0;
    while hit < kills {
        let client = format!("stormy-{}", clients.len());
        let mut service = site.watch();
        for some in days.bundles.chunks(6) {
            some.iter().for_each(|bundle| deliver(bundle, &site.inbox(&client)));
            std::thread::sleep(Duration::from_millis(dice.roll(1500)));
            if hit < kills && dice.roll(3) > 0 && disturb(&mut service) {
                hit += 1;
            }
            if service.try_wait().unwrap().is_some() {
                service = site.watch();
            }
        }
        let deadline = Instant::now() + Duration::from_secs(300);
        while !bundles(&site.inbox(&client)).is_empty() {
            assert!(Instant::now() < deadline, "it never ends: {}", site.log());
            assert!(service.try_wait().unwrap().is_none(), "it ended by itself: {}", site.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(Command::new("kill").arg(service.id().to_string()).status().unwrap().success());
        let status = service.wait().unwrap();
        // One that was started a moment ago may not have come to handle signals yet.
        assert!(status.success() || status.signal() == Some(15), "{status}: {}", site.log());
        clients.push(client);
    }
    clients
}

fn check(site: &Site<'_>, what: &str, clients: &[String], expected: &[String]) {
    let (mut recovered, mut merged) = (0, 0);
    for client in clients {
        let (r, m) = site.account(client);
        recovered += r;
        merged += m;
        assert!(site.merged(client) == *expected, "{what}: {client} differs");
    }
    println!(
        "{what}: {} records equal the undisturbed one; the ledgers tell of {recovered} half-made triads taken away; \
         {merged} archives and periods were live at the end",
        clients.len()
    );
}

#[test]
fn killed_at_any_moment_it_is_undisturbed() {
    let kills = number("POFR_STORM", || 3);
    let mut dice = Dice::from_env();
    let dir = tempfile::tempdir().unwrap();
    let days = days(&dir.path().join("days"), 72, 30);
    for mut store in TestStore::all(dir.path()) {
        let (url, name) = (store.url(), store.name());
        let work = dir.path().join(name);
        let site = Site { url: &url, dir: &work };
        fs::create_dir_all(&work).unwrap();
        days.bundles.iter().for_each(|bundle| deliver(bundle, &site.inbox("calm")));
        site.ok(&["ingest", "--workers", "1"]);
        let expected = site.merged("calm");
        let clients = storm(&site, &days, kills, &mut dice, &mut |service| {
            let running = service.try_wait().unwrap().is_none();
            service.kill().unwrap();
            service.wait().unwrap();
            running
        });
        check(&site, &format!("{name}, {kills} kills of pofrs"), &clients, &expected);
        #[cfg(feature = "mariadb")]
        if let TestStore::Mariadb(server) = &mut store {
            let clients = storm(&site, &days, kills, &mut dice, &mut |_| {
                server.kill_9().unwrap();
                server.restart().unwrap();
                true
            });
            check(&site, &format!("{name}, {kills} kills of mariadbd"), &clients, &expected);
        }
        let _ = &mut store;
    }
}
