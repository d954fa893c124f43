//! `push`: many clients that send at once to one sshd on loopback.
//!
//! A private sshd with an authorised key for each client, whose forced command is `pofrs receive` (the one beside this program). Each client is an `ssh`
//! of its own that offers its bundles one after the other and waits for each to be acknowledged; a client that cannot get in tries again, as `pofrc` does.
//! The server's CPU time is that of sshd with all that it started. The clients' ssh runs on the same machine, and pays as much for the cryptography.

use anyhow::{Context as _, bail, ensure};
use clap::Parser;
use pofr_benches::Machine;
use pofr_core::{
    collector::Closing,
    identity::Cid,
    wire::{
        link::{Down, MAX_DATA, Reader, Service, Up, Writer},
        v2::{self, Sealed},
    },
};
use pofr_ingest::{Layout, receive::Account};
use pofr_tests::{link_client::Identity, sshd::Sshd};
use rustix::fs::Mode;
use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// Measures many clients that send at once
#[derive(Parser)]
struct Args {
    /// How many clients
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u8).range(1..))]
    clients: u8,
    /// How many bundles of 45 s each sends
    #[arg(long, default_value_t = 5)]
    bundles: u32,
}

/// A bundle's samples, at 3.3 Hz.
const SAMPLES: u32 = 150;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let receiver = std::env::current_exe()?.with_file_name("pofrs");
    ensure!(receiver.exists(), "{} is not there: build it first", receiver.display());
    let bundles = (0..args.bundles).map(sealed).collect::<anyhow::Result<Vec<_>>>()?;
    let dir = tempfile::tempdir()?;
    let (keys, lines) = (dir.path().join("keys"), authorise(dir.path(), &receiver, args.clients)?);
    let sshd = Sshd::start(dir.path());
    sshd.let_in(&lines);
    let (port, again) = (sshd.port(), AtomicU64::new(0));
    let start = Instant::now();
    let slowest = std::thread::scope(|scope| {
        let clients: Vec<_> = (1..=args.clients)
            .map(|n| {
                let (keys, bundles, again) = (&keys, &bundles, &again);
                scope.spawn(move || until_sent(&keys.join(n.to_string()), port, n, bundles, again))
            })
            .collect();
        let took = clients.into_iter().map(|client| client.join().expect("no client panics"));
        took.collect::<anyhow::Result<Vec<_>>>()
    })?;
    let took = start.elapsed().as_secs_f64();
    let cpu = sshd.cpu_millis().context("sshd has ended")?;
    let sent = u64::from(args.clients) * u64::from(args.bundles);
    let there = arrived(dir.path(), args.clients)?;
    ensure!(there == sent, "{there} of {sent} acknowledged bundles are there");
    let bytes: usize = bundles.iter().map(|b| b.tar.len()).sum();
    println!(
        "{} clients at once, {} bundles each, {} B a bundle",
        args.clients,
        args.bundles,
        bytes / bundles.len().max(1)
    );
    println!(
        "all {sent} acknowledged and there after {took:.1} s: {:.0} bundles/s; logins tried again: {}",
        sent as f64 / took,
        again.into_inner()
    );
    println!(
        "the last of a client's bundles acknowledged at the earliest after {:.1?}",
        slowest.iter().min().context("no client")?
    );
    println!("server CPU: {:.1} s, {:.1} ms a bundle, login included", cpu / 1e3, cpu / sent as f64);
    Ok(())
}

fn sealed(n: u32) -> anyhow::Result<Sealed> {
    let frames = Machine::OFFICE.frames(u64::from(n) + 1, n * SAMPLES, SAMPLES);
    Ok(v2::seal(&frames, true, &Closing::default())?)
}

fn cid(n: u8) -> String {
    format!("push-{n}")
}

/// Makes accounts, inboxes and keys; returns the lines of `authorized_keys`.
fn authorise(dir: &Path, receiver: &Path, clients: u8) -> anyhow::Result<Vec<String>> {
    let data = dir.join("data");
    let layout = Layout::new(&data);
    fs::create_dir_all(dir.join("keys"))?;
    fs::create_dir_all(data.join("receive"))?;
    let mut lines = Vec::new();
    for n in 1..=clients {
        let identity = Identity::new(n);
        let key = dir.join("keys").join(n.to_string());
        fs::write(&key, identity.file())?;
        rustix::fs::chmod(&key, Mode::from_raw_mode(0o600))?;
        let name = cid(n);
        let account = serde_json::json!({ "cid": name, "ciduser": name, "public_key": identity.line() });
        let _: Account = serde_json::from_value(account.clone())?;
        fs::write(data.join(format!("receive/{name}.json")), account.to_string())?;
        fs::create_dir_all(layout.inbox_dir(&Cid::parse(&name).context("no client id")?))?;
        let (receiver, data) = (receiver.display(), data.display());
        lines.push(format!(
            "restrict,command=\"{receiver} --data-dir {data} receive --as {name}\" {}",
            identity.line()
        ));
    }
    Ok(lines)
}

/// Sends all bundles, however often it has to begin; returns how long that took.
fn until_sent(
    key: &Path,
    port: u16,
    n: u8,
    bundles: &[Sealed],
    again: &AtomicU64,
) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let mut acknowledged = 0;
    loop {
        let mut ssh = connect(key, port)?;
        let result = send(&mut ssh, n, bundles, &mut acknowledged);
        drop(ssh.stdin.take());
        ssh.wait()?;
        match result {
            Ok(()) => return Ok(start.elapsed()),
            Err(error) if start.elapsed() > Duration::from_secs(300) => return Err(error),
            Err(_) => {
                again.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(500 + u64::from(n) * 5));
            }
        }
    }
}

fn connect(key: &Path, port: u16) -> anyhow::Result<Child> {
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "/dev/null", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR"]);
    ssh.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-i"]).arg(key);
    ssh.args(["-p", &port.to_string(), "127.0.0.1"]);
    Ok(ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?)
}

fn send(ssh: &mut Child, n: u8, bundles: &[Sealed], acknowledged: &mut usize) -> anyhow::Result<()> {
    let mut up = Writer::new(ssh.stdin.as_mut().context("no pipe")?);
    let mut down = Reader::new(ssh.stdout.as_mut().context("no pipe")?);
    let cid = Cid::parse(&cid(n)).context("no client id")?;
    up.write(&Up::hello(Service::Receive, &cid, "push"))?;
    let Some(Down::Welcome { .. }) = down.read()? else { bail!("no welcome") };
    for bundle in &bundles[*acknowledged..] {
        up.write(&Up::Offer { name: bundle.name.clone(), size: bundle.tar.len() as u64, splice: None })?;
        match down.read()? {
            Some(Down::Send { .. }) => {
                for bytes in bundle.tar.chunks(MAX_DATA) {
                    up.write(&Up::Data(bytes.to_vec().into()))?;
                }
                up.write(&Up::End)?;
                let answer: Option<Down> = down.read()?;
                ensure!(matches!(answer, Some(Down::Stored { .. })), "not stored: {answer:?}");
            }
            Some(Down::Have) => {}
            other => bail!("not taken: {other:?}"),
        }
        *acknowledged += 1;
    }
    Ok(())
}

/// Counts the bundles in the inboxes.
fn arrived(dir: &Path, clients: u8) -> anyhow::Result<u64> {
    let layout = Layout::new(dir.join("data"));
    let mut found = 0;
    for n in 1..=clients {
        let inbox = layout.inbox_dir(&Cid::parse(&cid(n)).context("no client id")?);
        for entry in fs::read_dir(inbox)? {
            found += u64::from(entry?.path().extension().is_some_and(|end| end == "tar"));
        }
    }
    Ok(found)
}
