//! The registration account's session: what sshd starts where somebody logs in to be registered.

use crate::{admin::Site, cli::Global, exit::Exit};
use clap::Args;
use pofr_core::wire::link::{Down, LinkError, MAX_REQUEST, Reader, Refusal, Up, Writer};
use pofr_ingest::{
    ingest::server_clock,
    registration::{Conversation, Invite, Visitor},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::{
    fs::File,
    io::{self, Read},
    os::fd::AsFd,
    time::{Duration, Instant},
};

/// How long a session may say nothing.
const IDLE: Duration = Duration::from_secs(60);
/// How long a session may be.
const WHOLE: Duration = Duration::from_secs(3600);
/// How many messages come without a pause, and how long the pause is then: nobody asks faster.
const UNHURRIED: u32 = 16;
const PAUSE: Duration = Duration::from_millis(100);

/// Registers whoever is at standard input.
#[derive(Args, Debug)]
pub(crate) struct RegisterSessionArgs {
    /// The invitation whose key opened the session
    #[arg(long, value_name = "ID")]
    invite: Option<String>,
}

/// Runs the command.
pub(crate) fn run(args: &RegisterSessionArgs, global: &Global) -> anyhow::Result<Exit> {
    session(global, args.invite.as_deref())
}

/// Has a session with whoever is at standard input; the invitation is the one named, else the one whose key sshd says it was.
pub(crate) fn session(global: &Global, invite: Option<&str>) -> anyhow::Result<Exit> {
    let site = Site::load(global)?;
    let desk = site.desk();
    let mut writer = Writer::new(io::stdout().lock());
    let invite = match invite {
        Some(id) => Invite::load(&site.invites(), id)?,
        None => invite_of_key(&site)?,
    };
    // With one account there is no password: who has no invitation came by a key that was taken out meanwhile.
    if invite.is_none() && (!site.has_accounts() || came_by_key()) {
        let text = "the invitation has ended".to_owned();
        writer.write(&Down::Refused { code: Refusal::Expired, text, last: true })?;
        return Ok(Exit::Failed);
    }
    let Some(_seat) = desk.seat()? else {
        let text = "too many register at the moment".to_owned();
        writer.write(&Down::Refused { code: Refusal::TooMany, text, last: false })?;
        return Ok(Exit::Busy);
    };
    let source = std::env::var("SSH_CONNECTION").unwrap_or_default();
    let source = source.split_whitespace().next().unwrap_or("unknown").to_owned();
    // Not through the library's buffer, of which poll(2) knows nothing.
    let stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut conversation = Conversation::new(&desk, Visitor { source, invite });
    let mut reader = Reader::new(Bounded { inner: stdin, end: Instant::now() + WHOLE });
    reader.limit(MAX_REQUEST);
    let mut messages = 0;
    loop {
        let up: Up = match reader.read() {
            Ok(Some(up)) => up,
            Ok(None) => return Ok(Exit::Done),
            Err(LinkError::Io(error)) => return Err(error.into()),
            Err(error) => {
                let refused = Down::Refused { code: Refusal::Other, text: error.to_string(), last: true };
                writer.write(&refused)?;
                return Ok(Exit::Failed);
            }
        };
        messages += 1;
        if messages > UNHURRIED {
            std::thread::sleep(PAUSE);
        }
        let reply = conversation.answer(up, server_clock());
        if let Some(down) = reply.down {
            writer.write(&down)?;
        }
        if !reply.goes_on {
            return Ok(Exit::Done);
        }
    }
}

/// Returns the lines of the file in which sshd says how somebody logged in (sshd_config(5), ExposeAuthInfo).
fn ways_in() -> Vec<String> {
    let file = std::env::var_os("SSH_USER_AUTH").and_then(|path| std::fs::read_to_string(path).ok());
    file.unwrap_or_default().lines().map(ToOwned::to_owned).collect()
}

fn came_by_key() -> bool {
    ways_in().iter().any(|line| line.starts_with("publickey "))
}

fn invite_of_key(site: &Site) -> anyhow::Result<Option<Invite>> {
    for line in ways_in() {
        if let Some(key) = line.strip_prefix("publickey ")
            && let Some(invite) = Invite::of_key(&site.invites(), key)?
        {
            return Ok(Some(invite));
        }
    }
    Ok(None)
}

/// Reads, but waits no longer than anybody may.
struct Bounded<R> {
    inner: R,
    end: Instant,
}

impl<R: Read + AsFd> Read for Bounded<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let until = self.end.min(Instant::now() + IDLE);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let timeout = Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(1),
                tv_nsec: left.subsec_nanos().into(),
            };
            match poll(&mut [PollFd::new(&self.inner, PollFlags::IN)], Some(&timeout)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return self.inner.read(buf),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
