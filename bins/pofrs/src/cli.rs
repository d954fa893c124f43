//! The command line: one definition, from which help, man pages, completions and docs/cli.md are made.

use crate::{commands, exit};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  pofrs demo                                  record this machine for 20 s and look around
  pofrs ingest /srv/inbox --client web-1      take bundles into the record of web-1
  pofrs at -5m ps --client web-1              the processes of five minutes ago
  pofrs at '2026-11-23 10:00' net --json      connections, one JSON object a line
  pofrs gaps --client web-1                   where the record is incomplete, and why
";

/// Stores what POFR's clients recorded, and replays the state of a machine at any moment.
#[derive(Debug, Parser)]
#[command(name = "pofrs", version, max_term_width = 100, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n{}", exit::HELP))]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// The command.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Under what the options that every command takes stand in the help.
const GLOBAL: &str = "Global options";

/// Options that every command takes.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Global {
    /// Where the record is: sqlite:DIR, mysql://USER@localhost/?unix_socket=PATH or
    /// mysql://USER@HOST:PORT/?password_file=PATH [env: POFR_DB] [default: sqlite: in the data directory]
    #[arg(long, value_name = "URL", global = true, help_heading = GLOBAL)]
    pub(crate) db: Option<String>,
    /// Where inboxes, kept bundles and the embedded database are; without --db that database is meant [default: /var/lib/pofr
    /// for root, else $XDG_DATA_HOME/pofr or ~/.local/share/pofr]
    #[arg(long, value_name = "DIR", global = true, help_heading = GLOBAL)]
    pub(crate) data_dir: Option<PathBuf>,
    /// The configuration file [default: /etc/pofr/pofrs.toml, if it is there]
    #[arg(long, value_name = "FILE", global = true, help_heading = GLOBAL)]
    pub(crate) config: Option<PathBuf>,
    /// Show times in UTC, and read times without a zone as UTC; else both are in the client's zone
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) utc: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Take bundles in: all that clients have sent, or a directory of them
    Ingest(commands::ingest::IngestArgs),
    /// List the clients and what is recorded of them
    Clients(commands::clients::ClientsArgs),
    /// Show how clients are doing: lag, backlog, gaps, trouble
    Status(commands::status::StatusArgs),
    /// Show a machine as it was at a moment
    At(commands::at::AtArgs),
    /// Find processes, open files, network endpoints
    Find(commands::find::FindArgs),
    /// Export processes, open files, network endpoints for other tools
    Export(commands::export::ExportArgs),
    /// Write what happened in some time as one page
    Report(commands::report::ReportArgs),
    /// Pack what is recorded of some time as evidence: signed, and to be checked anywhere
    Case(commands::case::CaseArgs),
    /// Show where a process comes from, and what came of it
    Tree(commands::tree::TreeArgs),
    /// Show who had an address or a port
    WhoHad(commands::who_had::WhoHadArgs),
    /// Show who opened a file
    WhoOpened(commands::who_opened::WhoOpenedArgs),
    /// Show what a process or a user did, or what befell a file or an address
    Timeline(commands::timeline::TimelineArgs),
    /// Show what is different between two times
    Diff(commands::diff::DiffArgs),
    /// Show when a program, a path or an address was first seen
    FirstSeen(commands::first_seen::FirstSeenArgs),
    /// Show where a record is incomplete, and why
    Gaps(commands::gaps::GapsArgs),
    /// Ask a client's tables in SQL, read-only
    Sql(commands::sql::SqlArgs),
    /// Open the database's own client on a client's tables, read-only
    Shell(commands::shell::ShellArgs),
    /// Merge a client's slices into an archive (level 2)
    Archive(commands::merge::ArchiveArgs),
    /// Merge a client's archives into a period (level 3)
    Period(commands::merge::PeriodArgs),
    /// Receive a client's bundles over stdin and stdout, as sshd starts it
    Receive(commands::receive::ReceiveArgs),
    /// Make a client's record anew from kept bundles
    Rebuild(commands::rebuild::RebuildArgs),
    /// Forget what a client recorded before a time, for good
    Forget(commands::forget::ForgetArgs),
    /// Forbid forgetting (a legal hold), or allow it again
    Hold(commands::hold::HoldArgs),
    /// Make a server of this machine: accounts, directories, database, sshd
    Init(commands::init::InitArgs),
    /// Invite a client: print a token with which it can ask to be registered
    Invite(commands::invite::InviteArgs),
    /// List who asks to be registered
    Requests(commands::requests::RequestsArgs),
    /// Let a client in
    Approve(commands::approve::ApproveArgs),
    /// Refuse a client, and say why
    Deny(commands::deny::DenyArgs),
    /// Remove a client, with its record or without
    Remove(commands::remove::RemoveArgs),
    /// Register whoever is at standard input, as sshd starts it
    #[command(hide = true)]
    RegisterSession(commands::register_session::RegisterSessionArgs),
    /// Change a client's row in the host-lookup table
    #[command(hide = true)]
    ClientRow(commands::client_row::ClientRowArgs),
    /// Make databases, users and their rights on MariaDB
    InitDb(commands::init_db::InitDbArgs),
    /// Verify that a record is what its client sent: whole, in order, signed
    Verify(commands::verify::VerifyArgs),
    /// Print what a bundle holds, one JSON object a line
    Cat(commands::cat::CatArgs),
    /// Record this machine for some seconds, store it, and look around in the record
    Demo(commands::demo::DemoArgs),
    /// Play a part in the demo: what there is to find
    #[command(hide = true)]
    DemoActor(commands::demo::ActorArgs),
    /// Print a completion script for a shell
    Completions(commands::manual::CompletionsArgs),
    /// Print the manual page, or write all pages to a directory
    Man(commands::manual::ManArgs),
}

impl Command {
    /// Tells whether the command touches the record and nothing that is root's alone.
    pub(crate) fn is_on_the_record(&self, global: &Global) -> anyhow::Result<bool> {
        Ok(match self {
            Self::Ingest(_)
            | Self::Clients(_)
            | Self::Status(_)
            | Self::At(_)
            | Self::Find(_)
            | Self::Export(_)
            | Self::Case(_)
            | Self::Report(_)
            | Self::Tree(_)
            | Self::WhoHad(_)
            | Self::WhoOpened(_)
            | Self::Timeline(_)
            | Self::Diff(_)
            | Self::FirstSeen(_)
            | Self::Gaps(_)
            | Self::Sql(_)
            | Self::Shell(_)
            | Self::Archive(_)
            | Self::Period(_)
            | Self::Rebuild(_)
            | Self::Forget(_)
            | Self::Hold(_)
            | Self::ClientRow(_) => true,
            // MariaDB's users are for root to make.
            Self::InitDb(_) => crate::record::url(global)?.starts_with("sqlite:"),
            _ => false,
        })
    }
}

/// Names a client.
#[derive(Args, Clone, Debug)]
pub(crate) struct WhichClient {
    /// The client: its id or an unambiguous beginning of it; may be left out where there is only one
    #[arg(long, value_name = "NAME")]
    pub(crate) client: Option<String>,
}

/// Names one client, several, or all.
#[derive(Args, Clone, Debug)]
pub(crate) struct WhichClients {
    /// The clients: their ids or unambiguous beginnings of them, with commas between; may be left out where there is only one
    #[arg(long = "client", value_name = "NAME", value_delimiter = ',', conflicts_with = "all_clients")]
    pub(crate) clients: Vec<String>,
    /// All clients, several at a time; a column says which
    #[arg(long)]
    pub(crate) all_clients: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_time_may_begin_with_a_dash() {
        for line in [
            &["pofrs", "at", "-5m", "ps", "--client", "a"][..],
            &["pofrs", "at", "--client", "a", "-5m", "ps"],
            &["pofrs", "at", "-5m", "--client", "a", "ps"],
        ] {
            let cli = Cli::try_parse_from(line).unwrap();
            let Command::At(at) = cli.command else { panic!("{line:?}") };
            assert_eq!(at.which.client.as_deref(), Some("a"), "{line:?}");
            assert_eq!(at.time, "-5m".parse().unwrap(), "{line:?}");
        }
        let bad = Cli::try_parse_from(["pofrs", "at", "--clinet", "a", "ps"]).unwrap_err();
        assert_eq!(bad.exit_code(), 2);
    }
}
