//! `crowd`: many clients push at once to one sshd on loopback; every bundle must be acknowledged. Prints the rate and the
//! server's CPU for a bundle.
//!
//! Each client has a key and an inbox of its own, and a forced command `pofrs receive --as`; the account is that of who runs
//! this. Needs OpenSSH's server and the release `pofrs` (`cargo build --release -p pofrs`).

use anyhow::{Context as _, bail, ensure};
use clap::Parser;
use pofr_core::{
    digest::Sha256,
    identity::Cid,
    time::{WallMicros, ZoneOffset},
    wire::{
        link::{Down, Goodbye, Reader, Service, Up, Writer},
        name::BundleName,
    },
};
use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Barrier,
    time::{Duration, Instant},
};

/// Pushes bundles as many clients to one sshd
#[derive(Parser)]
struct Args {
    /// How many clients
    #[arg(long, default_value_t = 200)]
    clients: u32,
    /// How many bundles each sends
    #[arg(long, default_value_t = 5)]
    bundles: u32,
    /// Bytes of a bundle: 8 kB is what 45 s of a moderate machine take
    #[arg(long, default_value_t = 8_000)]
    bytes: usize,
    /// The program
    #[arg(long, default_value = "target/release/pofrs")]
    pofrs: PathBuf,
}

/// A private sshd, ended with this.
struct Sshd {
    child: Child,
    port: u16,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let pofrs = args.pofrs.canonicalize().with_context(|| format!("no {}", args.pofrs.display()))?;
    let dir = tempfile::tempdir()?;
    let site = dir.path();
    make_clients(site, &pofrs, args.clients)?;
    let sshd = start_sshd(site)?;
    let barrier = Barrier::new(usize::try_from(args.clients)? + 1);
    let before = children_cpu(sshd.child.id())?;
    let (took, failed) = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..args.clients)
            .map(|client| {
                let (barrier, sshd, args) = (&barrier, &sshd, &args);
                scope.spawn(move || {
                    barrier.wait();
                    push(site, sshd.port, client, args)
                })
            })
            .collect();
        barrier.wait();
        let began = Instant::now();
        let results: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
        let failed: Vec<String> = results
            .into_iter()
            .filter_map(|result| match result {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(format!("{error:#}")),
                Err(_) => Some("a client's thread ended early".to_owned()),
            })
            .collect();
        (began.elapsed(), failed)
    });
    if let Some(first) = failed.first() {
        bail!("{} of {} clients failed, the first: {first}", failed.len(), args.clients);
    }
    // Sessions end a moment after their clients.
    std::thread::sleep(Duration::from_secs(2));
    let cpu = children_cpu(sshd.child.id())? - before;
    let all = f64::from(args.clients * args.bundles);
    check(site, &args)?;
    println!(
        "{} clients, {} bundles of {} bytes each, all acknowledged in {:.2} s: {:.0} a second; server CPU {:.2} ms a bundle, \
         connecting included ({:.1} ms a session)",
        args.clients,
        args.bundles,
        args.bytes,
        took.as_secs_f64(),
        all / took.as_secs_f64(),
        cpu * 1000.0 / all,
        cpu * 1000.0 / f64::from(args.clients),
    );
    Ok(())
}

fn cid(client: u32) -> String {
    format!("crowd-{client}")
}

fn keygen(path: &Path) -> anyhow::Result<()> {
    let made =
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(path).status();
    ensure!(made.context("cannot run ssh-keygen")?.success(), "ssh-keygen made no {}", path.display());
    Ok(())
}

/// Makes keys, accounts, inboxes and the file of authorised keys.
fn make_clients(site: &Path, pofrs: &Path, clients: u32) -> anyhow::Result<()> {
    fs::create_dir(site.join("receive"))?;
    fs::write(site.join("pofrs.toml"), "")?;
    keygen(&site.join("host"))?;
    let mut authorized = String::new();
    for client in 0..clients {
        let (key, user) = (site.join(format!("key-{client}")), format!("c{client}"));
        keygen(&key)?;
        let public = fs::read_to_string(key.with_extension("pub"))?;
        fs::create_dir_all(site.join("inbox").join(cid(client)))?;
        let account = serde_json::json!({"cid": cid(client), "ciduser": user, "public_key": public.trim()});
        fs::write(site.join(format!("receive/{user}.json")), account.to_string())?;
        let (pofrs, site) = (pofrs.display(), site.display());
        authorized += &format!(
            "restrict,command=\"{pofrs} --data-dir {site} --config {site}/pofrs.toml receive --as {user}\" {public}"
        );
    }
    fs::write(site.join("authorized"), authorized)?;
    Ok(())
}

fn start_sshd(site: &Path) -> anyhow::Result<Sshd> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let place = site.display();
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {place}/host\nPidFile none\nAuthorizedKeysFile {place}/authorized\n\
         StrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nMaxStartups 200:30:1000\nLogLevel QUIET\n"
    );
    fs::write(site.join("sshd_config"), config)?;
    // Where Debian's unit would have made it.
    let _ = fs::create_dir_all("/run/sshd");
    let child = Command::new("/usr/sbin/sshd")
        .args(["-D", "-f"])
        .arg(site.join("sshd_config"))
        .stdin(Stdio::null())
        .spawn()
        .context("cannot run /usr/sbin/sshd")?;
    let sshd = Sshd { child, port };
    for _ in 0..100 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(sshd);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("sshd does not listen")
}

/// What one client does; again where sshd lets nobody more in for the moment.
fn push(site: &Path, port: u16, client: u32, args: &Args) -> anyhow::Result<()> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match session(site, port, client, args) {
            Err(error) if attempt < 20 && error.downcast_ref::<NoSession>().is_some() => {
                std::thread::sleep(Duration::from_millis(100 * attempt));
            }
            other => return other.with_context(|| format!("client {client}")),
        }
    }
}

/// sshd was too busy to begin.
#[derive(Debug)]
struct NoSession;

impl std::fmt::Display for NoSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no session began")
    }
}

impl std::error::Error for NoSession {}

fn session(site: &Path, port: u16, client: u32, args: &Args) -> anyhow::Result<()> {
    let mut ssh = Command::new("ssh")
        .args(["-F", "/dev/null", "-T", "-q", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"])
        .args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-p"])
        .arg(port.to_string())
        .arg("-i")
        .arg(site.join(format!("key-{client}")))
        .args(["127.0.0.1", "receive"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let (stdin, stdout) = (ssh.stdin.take().context("stdin")?, ssh.stdout.take().context("stdout")?);
    let (mut writer, mut reader) = (Writer::new(stdin), Reader::new(stdout));
    let hello = Up::hello(Service::Receive, &Cid::parse(&cid(client)).context("a cid")?, "crowd");
    let _ = writer.write(&hello);
    match reader.read::<Down>() {
        Ok(Some(Down::Welcome { .. })) => {}
        Ok(Some(other)) => bail!("{other:?}"),
        _ => {
            ssh.wait()?;
            bail!(NoSession);
        }
    }
    for number in 0..args.bundles {
        let (name, bytes) = bundle(client, number, args.bytes);
        let size = bytes.len() as u64;
        writer.write(&Up::Offer { name: name.to_string(), size, splice: None })?;
        match reader.read::<Down>()?.context("the session ended")? {
            Down::Send { .. } => {}
            Down::Have => continue,
            other => bail!("{other:?}"),
        }
        for piece in bytes.chunks(pofr_core::wire::link::MAX_DATA) {
            writer.write(&Up::Data(piece.to_vec().into()))?;
        }
        writer.write(&Up::End)?;
        let answer = reader.read::<Down>()?.context("the session ended")?;
        ensure!(answer == Down::Stored { sha256: name.sha256 }, "{answer:?}");
    }
    writer.write(&Up::Bye(Goodbye::Stopping))?;
    drop(writer);
    ssh.wait()?;
    Ok(())
}

fn bundle(client: u32, number: u32, size: usize) -> (BundleName, Vec<u8>) {
    let seed = u64::from(client) << 32 | u64::from(number);
    let bytes: Vec<u8> = seed.to_be_bytes().into_iter().cycle().take(size).collect();
    let stamp = WallMicros(1_795_412_776_000_000 + i64::from(number));
    (BundleName { stamp, zone: ZoneOffset::UTC, sha256: Sha256::of(&bytes) }, bytes)
}

/// Every bundle is there, byte for byte.
fn check(site: &Path, args: &Args) -> anyhow::Result<()> {
    for client in 0..args.clients {
        for number in 0..args.bundles {
            let (name, bytes) = bundle(client, number, args.bytes);
            let path = site.join("inbox").join(cid(client)).join(name.to_string());
            ensure!(fs::read(&path)? == bytes, "{} is not what was sent", path.display());
        }
    }
    Ok(())
}

/// Seconds of CPU of all ended descendants of sshd: what its sessions took.
fn children_cpu(pid: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // 812 (sshd) S 1 812 812 0 -1 4194560 900 2000 0 0 1 2 30 40 20 0 …: fields 16 and 17 are cutime and cstime.
    let after = stat.rsplit_once(')').context("a stat line")?.1;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks: f64 = fields.get(13).context("cutime")?.parse::<f64>()?
        + fields.get(14).context("cstime")?.parse::<f64>()?;
    #[expect(clippy::cast_precision_loss, reason = "100, nearly always")]
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    Ok(ticks / per_second)
}
