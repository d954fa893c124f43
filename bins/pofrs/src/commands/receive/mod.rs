//! `pofrs receive`: what sshd starts when a client logs in. It speaks with that client over stdin and stdout, and can do
//! nothing but add to its inbox.

mod fence;
mod log;
mod shell;

pub(crate) use shell::{is_shell, shell};

use crate::{cli::Global, exit::Exit, record};
use anyhow::Context as _;
use clap::Args;
use fence::Fence;
use log::Log;
use pofr_core::wire::link::{Down, Refusal, Writer};
use pofr_ingest::{
    Layout,
    receive::{
        Account, AccountError, Ended, Ending, Landing, Note, Patient, Rules, Seat, SessionError, scp, serve,
    },
};
use rustix::fs::Mode;
use std::{
    fs::File,
    io::{self, ErrorKind},
    os::fd::AsFd as _,
    path::Path,
    time::Duration,
};

/// A session in which nothing comes for so long is over.
const IDLE: Duration = Duration::from_secs(300);
/// What is half received and has not grown for so long has no session any more.
const STALE: Duration = Duration::from_secs(3600);
/// How long to wait for the session before to leave.
const PATIENCE: Duration = Duration::from_secs(10);

/// Receives a client's bundles over stdin and stdout.
#[derive(Args, Debug)]
#[command(after_long_help = "\
sshd starts it, as the shell of a client's account, or by a line of authorized_keys that says which client the key is of:

  restrict,command=\"pofrs receive --as 6f0c…\" ssh-ed25519 AAAA…

It takes only that client's bundles, keeps to its quota, and has a line for each bundle in the system's log (else in \
.receive.log in the client's inbox).")]
pub(crate) struct ReceiveArgs {
    /// The client's account on this server [default: the account that runs this]
    #[arg(long = "as", value_name = "CIDUSER")]
    account: Option<String>,
}

/// Runs the command.
pub(crate) fn run(args: &ReceiveArgs, global: &Global) -> anyhow::Result<Exit> {
    let name = match &args.account {
        Some(name) => name.clone(),
        None => me()?,
    };
    let command = std::env::var("SSH_ORIGINAL_COMMAND").unwrap_or_default();
    receive(&record::data_dir(global)?, &name, &command)
}

/// Returns the name of the account that runs this.
fn me() -> anyhow::Result<String> {
    let uid = nix::unistd::getuid();
    let user = nix::unistd::User::from_uid(uid).ok().flatten();
    user.map(|user| user.name).with_context(|| format!("user {uid} has no name"))
}

/// Receives from the client whose account on this server is `name`. What goes wrong on the server is the log's to know: sshd
/// hands standard error to the client.
fn receive(data_dir: &Path, name: &str, command: &str) -> anyhow::Result<Exit> {
    let result = session(data_dir, name, command);
    match result {
        Err(error) if std::env::var_os("SSH_CONNECTION").is_some() => {
            Log::open(None, name).line(&format!("no session: {error:#}"));
            Ok(Exit::Failed)
        }
        other => other,
    }
}

fn session(data_dir: &Path, name: &str, command: &str) -> anyhow::Result<Exit> {
    let up = File::from(io::stdin().as_fd().try_clone_to_owned().context("no standard input")?);
    let down = File::from(io::stdout().as_fd().try_clone_to_owned().context("no standard output")?);
    // What a client has sent is for ingest to read, by the inbox's group, and for nobody else.
    rustix::process::umask(Mode::from_raw_mode(0o007));
    let account = match Account::load(data_dir, name) {
        Ok(account) => account,
        Err(error) => {
            let gone =
                matches!(&error, AccountError::Io { cause, .. } if cause.kind() == ErrorKind::NotFound);
            refuse(&down, if gone { Refusal::Revoked } else { Refusal::Busy }, gone);
            return Err(error.into());
        }
    };
    let cid = account.cid().context("an account without a client")?;
    let inbox = Layout::new(data_dir).inbox_dir(&cid);
    let landing = Landing::open(&inbox).inspect_err(|_| refuse(&down, Refusal::Busy, false))?;
    let mut log = Log::open(Some(&inbox), cid.as_str());
    let fence = Fence::raise(&inbox);
    let mut mark = [0; 16];
    rustix::rand::getrandom(&mut mark, rustix::rand::GetRandomFlags::empty()).context("no random bytes")?;
    let ip = std::env::var("SSH_CONNECTION").ok().and_then(|text| Note::address(&text));
    let by_scp = scp::is_sink(command);
    // A client of the first POFR may have several copies under way, none of which can be taken up again.
    let seat = if by_scp { None } else { Seat::take(&landing, mark, PATIENCE)? };
    if seat.is_none() && !by_scp {
        refuse(&down, Refusal::Busy, false);
        return Ok(Exit::Busy);
    }
    let swept = landing.sweep(if by_scp { STALE } else { Duration::ZERO })?;
    let from = ip.map_or_else(|| "an unknown address".to_owned(), |ip| ip.to_string());
    let left = if swept > 0 { format!(", {swept} half received files swept") } else { String::new() };
    log.line(&format!("session from {from}, {fence}{left}"));
    let rules = Rules { ip, ..Rules::default() };
    let up = Patient::new(up, IDLE, seat.as_ref());
    let serve = if by_scp { scp::sink } else { serve };
    let ended = serve(up, &down, &account, landing, rules, &mut |line| log.line(line));
    log.line(&said(&ended));
    match ended {
        Ok(Ended::Refused) => Ok(Exit::Failed),
        Ok(_) => Ok(Exit::Done),
        // A link that broke is nothing to tell the client of, which is not there any more.
        Err(SessionError::Link(_)) => Ok(Exit::Failed),
        Err(error) => Err(error.into()),
    }
}

/// Says how a session ended.
fn said(ended: &Result<Ended, SessionError>) -> String {
    match ended {
        Ok(Ended::Left) => "the client left".to_owned(),
        Ok(Ended::Deregistered) => "the client left for good: it was deregistered".to_owned(),
        Ok(Ended::Refused) => "the session was refused".to_owned(),
        Ok(Ended::Waiting(ending @ (Ending::Idle | Ending::Replaced))) => {
            format!("the session ended: {ending}")
        }
        Err(error) => format!("the session broke: {error}"),
    }
}

/// Tells the client that there is no session. Why exactly is the log's to know.
fn refuse(down: &File, code: Refusal, last: bool) {
    let text = if last { "this account takes no bundles" } else { "the server cannot take bundles now" };
    let _ = Writer::new(down).write(&Down::refused(code, text, last));
}
