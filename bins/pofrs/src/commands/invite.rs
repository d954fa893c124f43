//! `pofrs invite`: a token with which one client can ask to be registered.

use crate::{
    admin::{Plan, Site, key_line, key_line::KeyLine, sshd},
    cli::Global,
    exit::Exit,
    output::json,
    units, who,
};
use anyhow::{Context as _, bail};
use clap::Args;
use jiff::{Timestamp, tz::TimeZone};
use pofr_core::digest;
use pofr_ingest::registration::{Invitation, Invite, invitation, key, random};
use serde_json::json;
use std::io::{self, Write};

/// The longest that an invitation may last, µs: 30 days.
const LONGEST: i64 = 30 * 86_400_000_000;

/// Invites a client.
#[derive(Args, Debug)]
#[command(after_long_help = "\
The token has everything: host, port, the server's host key, a private key for this one registration, and when it ends. Whoever has it can ask for one client, so hand it over \
as you would a password; the server keeps its public half alone. That the client may send you still decide: pofrs approve.

Only the token goes to standard output. JSON: one object with token, id, host, port, fingerprint, account, expires (seconds since 1970).

Examples:
  pofrs invite
  pofrs invite --expires 1d --host pofr.example.org --json")]
pub(crate) struct InviteArgs {
    /// How long it can be used: 30s, 10m, 2h, 7d; at most 30d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = units::length)]
    expires: i64,
    /// Under which name or address clients reach this server [default: the machine's name]
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// On which port [default: sshd's]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &InviteArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    if !(1_000_000..=LONGEST).contains(&args.expires) {
        bail!("an invitation lasts from a second to 30 days");
    }
    let site = Site::load(global)?;
    let host = match &args.host {
        Some(host) => host.clone(),
        None => machine()?,
    };
    if host.is_empty()
        || host.starts_with('-')
        || !host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:".contains(c))
    {
        bail!("{host:?} is no host's name or address\nhint: --host");
    }
    let root = rustix::process::geteuid().is_root();
    let port = match args.port {
        Some(port) => port,
        None if root => sshd::setting("port")?.and_then(|port| port.parse().ok()).unwrap_or(22),
        None => 22,
    };
    let host_key = sshd::host_keys()?.remove(0);
    let now = Timestamp::now();
    let expires = now.as_second() + args.expires / 1_000_000;
    let pair = invitation::new_key().map_err(anyhow::Error::msg)?;
    let id = digest::hex(&random::<8>()?);
    let account = site.registration_account()?;
    let invite = Invite {
        id: id.clone(),
        public_key: pair.public.clone(),
        expires,
        made: now.as_second(),
        by: who::am_i(),
    };

    clear_old(&site, now.as_second())?;
    invite.save(&site.invites())?;
    let let_in = || -> anyhow::Result<()> {
        let options = key_line::options(&site.register_command(&id)?)?;
        let until = Timestamp::from_second(expires + 86_400)?.to_zoned(TimeZone::UTC);
        // Local time of whichever zone sshd is in: a day later is late enough everywhere. The session knows the second.
        let options = format!("{options},expiry-time=\"{}\"", until.strftime("%Y%m%d%H%M"));
        let (path, mode) = site.keys_of(&account);
        let mut plan = Plan::default();
        plan.then(KeyLine::put(path, tag(&id), format!("{options} {}", pair.public), mode));
        plan.carry_out(&mut io::sink()).map(drop)
    };
    if let Err(error) = let_in() {
        invite.remove(&site.invites())?;
        return Err(error);
    }
    let fingerprint = key::fingerprint_of(&host_key).unwrap_or_default();
    let token = Invitation {
        host: host.clone(),
        port,
        host_key,
        key: pair.private,
        account: account.clone(),
        expires,
    }
    .token();
    if args.json {
        let line = json!({ "token": token, "id": id, "host": host, "port": port, "fingerprint": fingerprint,
            "account": account, "expires": expires });
        json::line(out, &line)?;
    } else {
        let ends = Timestamp::from_second(expires)?;
        writeln!(io::stderr(), "for one client, until {ends}: pofrc register --invite TOKEN")?;
        writeln!(out, "{token}")?;
    }
    Ok(Exit::Done)
}

/// Returns the comment of an invitation's key.
pub(crate) fn tag(id: &str) -> String {
    format!("pofr-invite:{id}")
}

/// Takes away what has ended: its file, its key, the note of who used it.
pub(crate) fn clear_old(site: &Site, now: i64) -> anyhow::Result<()> {
    let (path, mode) = site.keys_of(&site.registration_account()?);
    for invite in Invite::all(&site.invites())? {
        if invite.expires < now {
            let mut plan = Plan::default();
            plan.then(KeyLine::take_out(&path, tag(&invite.id), mode));
            plan.carry_out(&mut io::sink())?;
            site.desk().forget_use(&invite.id)?;
            invite.remove(&site.invites())?;
        }
    }
    Ok(())
}

fn machine() -> anyhow::Result<String> {
    let name =
        rustix::system::uname().nodename().to_str().context("the machine's name is not UTF-8")?.to_owned();
    Ok(name)
}
