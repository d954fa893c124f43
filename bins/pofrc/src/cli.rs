//! The command line: the one definition that help, man pages and completions are made of.

use crate::{exit, key::KeyType, units};
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use std::{path::PathBuf, time::Duration};

/// The flight recorder for Linux machines: the client
#[derive(Debug, Parser)]
#[command(
    name = "pofrc",
    version,
    about,
    after_help = "See `pofrc start --help` and `pofrc record --help` for examples."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Record this machine from now on, into the spool
    Start(Start),
    /// End the recording, and wait until its last bundle is sealed
    Stop(Stop),
    /// Tell how the recording goes
    Status(Status),
    /// Let a server know this client, and wait until its administrator has decided
    Register(Register),
    /// End the sending, and forget the server
    Deregister(Deregister),
    /// Put another key in the place of the client's
    RotateKey(RotateKey),
    /// Send what is in the spool: what `start` starts
    #[command(hide = true)]
    Ship(Ship),
    /// Measure what recording costs on this machine, and which interval fits a budget
    Tune(Tune),
    /// Record this machine into bundles, without any server
    Record(Record),
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the man page
    Man {
        /// Write the pages of all commands into this directory instead
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// By what a recorder is found
#[derive(Clone, Debug, Args)]
pub(crate) struct Where {
    /// The configuration [default: /etc/pofr/pofrc.toml for root, else ~/.config/pofr/pofrc.toml; it need not be there]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Where lock, pid, socket and log are [default: /run/pofr for root, else $XDG_RUNTIME_DIR/pofr]
    #[arg(long, value_name = "DIR")]
    pub(crate) run_dir: Option<PathBuf>,
}

const START_NOTES: &str = "\
A recorder that runs is left alone, so cron may call this every five minutes:
  */5 * * * * root pofrc start --detach

The configuration has the long names of these options as its keys, such as
  interval = \"300ms\"
  max-cpu = \"2%\"
  without = [\"route\"]
The command line goes before it. It is read at the start only: SIGHUP, like
SIGTERM and SIGINT, seals the bundle and ends the recording.

Root keeps CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH and CAP_NET_ADMIN; all else is
given up for good. It stays user 0 unless --user is given; then run directory,
spool and state become that user's.";

/// Record this machine from now on, into the spool
#[derive(Debug, Args)]
#[command(after_help = format!("{START_NOTES}\n\n{}", exit::START))]
pub(crate) struct Start {
    /// Return as soon as it records; without this it stays in the foreground, as a service manager wants it
    #[arg(long)]
    pub(crate) detach: bool,

    /// Set for the process that --detach starts
    #[arg(long, hide = true)]
    pub(crate) detached: bool,

    #[command(flatten)]
    pub(crate) place: Where,

    /// The time between samples, from 100us to 1h [default: 300ms]
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    pub(crate) interval: Option<Duration>,

    /// The time that a bundle covers, from 100ms to 1d [default: 45s]
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    pub(crate) bundle: Option<Duration>,

    /// Where bundles wait [default: /dev/shm/pofr for root, else /dev/shm/pofr-UID/spool]
    #[arg(long, value_name = "DIR")]
    pub(crate) spool: Option<PathBuf>,

    /// Drop the oldest bundles beyond so many bytes; the next bundle names them [default: 256MiB]
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    pub(crate) spool_cap: Option<u64>,

    /// Where numbers, client id and the head of the chain are kept [default: /var/lib/pofr for root, else ~/.local/state/pofr]
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,

    /// Take at most this share of one core: beyond it busy users are recorded thinner, then samples come less often; gaps say so [default: 2%]
    #[arg(long, value_name = "PERCENT", value_parser = units::share)]
    pub(crate) max_cpu: Option<f64>,

    /// Hold at most this memory: it bounds what is told of a user; beyond it bundles end early, and gaps say so [default: 96MiB]
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    pub(crate) max_mem: Option<u64>,

    /// Leave a source out, such as route; may be given more than once
    #[arg(long, value_name = "SOURCE")]
    pub(crate) without: Vec<String>,

    /// Also tell what is written, created, deleted and executed below this path; may be given more than once
    #[arg(long, value_name = "PATH")]
    pub(crate) watch: Vec<PathBuf>,

    /// Become this user of /etc/passwd, with the capabilities below [default: stay the one who starts it]
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,

    /// Who sends the bundles, of /etc/passwd [default: pofrc, if there is one, else the recorder's own user]
    #[arg(long, value_name = "NAME")]
    pub(crate) ship_user: Option<String>,

    /// Send at most so many bytes a second [default: any]
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    pub(crate) bandwidth: Option<u64>,

    /// Send at most so many bytes a second of what waited while the server was not there [default: 2MiB]
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    pub(crate) backlog_rate: Option<u64>,

    /// Where a detached recorder writes what it has to say [default: pofrc.log in the run directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
}

/// End the recording, and wait until its last bundle is sealed
#[derive(Debug, Args)]
#[command(after_help = exit::STOP)]
pub(crate) struct Stop {
    #[command(flatten)]
    pub(crate) place: Where,

    /// How long to wait
    #[arg(long, value_name = "DURATION", value_parser = units::duration, default_value = "30s")]
    pub(crate) timeout: Duration,
}

/// Tell how the recording goes
#[derive(Debug, Args)]
#[command(after_help = exit::STATUS)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) place: Where,

    /// As one JSON object; times are µs, sizes bytes, shares of one core
    #[arg(long)]
    pub(crate) json: bool,
}

const WAYS: &str = "\
Examples:
  With what `pofrs invite` printed, and nothing to type:
    pofrc register --invite pofr1.eyJob3N0Ijoi…
  By the server's name; ssh asks for the password of its registration account:
    pofrc register --server log.example.org --fingerprint SHA256:…

The request waits until the administrator approves or denies it. This command
waits, too; interrupted, or with --no-wait, it is taken up again by
`pofrc register`. Afterwards `pofrc start` records and sends.

The key is made for POFR alone. The server's host key is pinned: where it is
ever another, nothing is sent.";

/// Let a server know this client, and wait until its administrator has decided
#[derive(Debug, Args)]
#[command(after_help = format!("{WAYS}\n\n{}", exit::REGISTER))]
pub(crate) struct Register {
    /// The invitation that `pofrs invite` printed; - reads it from the input, since a command line is for everyone to see
    #[arg(long, value_name = "TOKEN", conflicts_with_all = ["server", "fingerprint", "yes"])]
    pub(crate) invite: Option<String>,

    /// The server, without an invitation; port 22 if none is given
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) server: Option<String>,

    /// The host key that the server must have, as its administrator publishes it [default: show it and ask]
    #[arg(long, value_name = "SHA256:…", requires = "server")]
    pub(crate) fingerprint: Option<String>,

    /// The kind of key to make, where there is none
    #[arg(long, value_name = "TYPE", value_enum, default_value_t)]
    pub(crate) key_type: KeyType,

    /// Take the host key that the server shows without asking: whoever is in between could show one of his own
    #[arg(long, requires = "server")]
    pub(crate) yes: bool,

    /// Do not wait for the administrator
    #[arg(long)]
    pub(crate) no_wait: bool,

    #[command(flatten)]
    pub(crate) place: Where,

    /// Where the registration and its keys are kept [default: /var/lib/pofr for root, else ~/.local/state/pofr]
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}

/// End the sending, and forget the server
#[derive(Debug, Args)]
#[command(after_help = exit::DEREGISTER)]
pub(crate) struct Deregister {
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,

    #[command(flatten)]
    pub(crate) place: Where,

    /// Where the registration and its keys are kept [default: /var/lib/pofr for root, else ~/.local/state/pofr]
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}

/// Put another key in the place of the client's
#[derive(Debug, Args)]
#[command(
    after_help = "The old key vouches for the new one. It holds until the administrator has approved the change; this command waits for that, and may be given again."
)]
pub(crate) struct RotateKey {
    /// The kind of key to make
    #[arg(long, value_name = "TYPE", value_enum, default_value_t)]
    pub(crate) key_type: KeyType,

    /// Do not wait for the administrator
    #[arg(long)]
    pub(crate) no_wait: bool,

    #[command(flatten)]
    pub(crate) place: Where,

    /// Where the registration and its keys are kept [default: /var/lib/pofr for root, else ~/.local/state/pofr]
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}

/// Send what is in the spool: what `start` starts
#[derive(Debug, Args)]
pub(crate) struct Ship {
    /// Where the bundles wait
    #[arg(long, value_name = "DIR")]
    pub(crate) spool: PathBuf,

    /// Where the registration and its keys are
    #[arg(long, value_name = "DIR")]
    pub(crate) state: PathBuf,

    /// A directory of its own
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,

    /// Send at most so many bytes a second
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    pub(crate) bandwidth: Option<u64>,

    /// Send at most so many bytes a second of a backlog
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    pub(crate) backlog_rate: Option<u64>,

    /// End once this file is there
    #[arg(long, value_name = "FILE")]
    pub(crate) until: Option<PathBuf>,

    /// Begin after this time
    #[arg(long, value_name = "DURATION", value_parser = units::duration, default_value = "0s")]
    pub(crate) after: Duration,

    /// Begin once a line comes on standard input, and end if none does
    #[arg(long)]
    pub(crate) on_word: bool,
}

/// Measure what recording costs on this machine, and which interval fits a budget
#[derive(Debug, Args)]
#[command(
    after_help = "It records for that long, keeps nothing, and leaves out itself. What it says holds for the load of these seconds."
)]
pub(crate) struct Tune {
    /// For how long to measure, from 1 to 3600 seconds
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub(crate) seconds: u64,

    /// The time between samples while it measures, from 100us to 1h
    #[arg(long, value_name = "DURATION", value_parser = units::duration, default_value = "300ms")]
    pub(crate) interval: Duration,

    /// The share of one core that may be taken
    #[arg(long, value_name = "PERCENT", value_parser = units::share, default_value = "2%")]
    pub(crate) max_cpu: f64,

    /// As one JSON object; times are µs, sizes bytes, shares of one core
    #[arg(long)]
    pub(crate) json: bool,
}

const EXAMPLES: &str = "\
Examples:
  Half a minute, ten times a second:
    pofrc record --out record --for 30s --interval 100ms
  Until Ctrl-C, a bundle every ten seconds, at most 512 MiB of them, the state on the disk:
    pofrc record --out /dev/shm/pofr --state /var/lib/pofr --bundle 10s --max-bytes 512MiB
  With every snapshot as the samplers believed it, one JSON object a line:
    pofrc record --out record --for 10s --snapshots snapshots.ndjson

An ordinary user sees all processes, but the open files, programs and directories only of their own.";

/// Record this machine into bundles, without any server
#[derive(Debug, Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub(crate) struct Record {
    /// Where the bundles go; made where it is not there
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,

    /// How long to record [default: until Ctrl-C]
    #[arg(long = "for", value_name = "DURATION", value_parser = units::duration)]
    pub(crate) limit: Option<Duration>,

    /// The time between samples, from 100us to 1h
    #[arg(long, value_name = "DURATION", value_parser = units::duration, default_value = "300ms")]
    pub(crate) interval: Duration,

    /// The time that a bundle covers, from 100ms to 1d
    #[arg(long, value_name = "DURATION", value_parser = units::duration, default_value = "45s")]
    pub(crate) bundle: Duration,

    /// Also write every snapshot into this file, as NDJSON
    #[arg(long, value_name = "FILE")]
    pub(crate) snapshots: Option<PathBuf>,

    /// Where numbers, client id and the head of the chain are kept [default: DIR/.state]
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,

    /// Drop the oldest bundles beyond so many bytes [default: keep all]
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    pub(crate) max_bytes: Option<u64>,
}
