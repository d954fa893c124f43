//! The commands, one file each.

pub(crate) mod approve;
pub(crate) mod at;
pub(crate) mod case;
pub(crate) mod cat;
pub(crate) mod client_row;
pub(crate) mod clients;
pub(crate) mod demo;
pub(crate) mod deny;
pub(crate) mod diff;
pub(crate) mod export;
pub(crate) mod find;
pub(crate) mod first_seen;
pub(crate) mod forget;
pub(crate) mod gaps;
pub(crate) mod hold;
pub(crate) mod ingest;
pub(crate) mod init;
pub(crate) mod init_db;
pub(crate) mod invite;
pub(crate) mod manual;
pub(crate) mod merge;
pub(crate) mod rebuild;
pub(crate) mod receive;
pub(crate) mod register_session;
pub(crate) mod remove;
pub(crate) mod report;
pub(crate) mod requests;
pub(crate) mod shell;
pub(crate) mod sql;
pub(crate) mod status;
pub(crate) mod timeline;
pub(crate) mod tree;
pub(crate) mod verify;
pub(crate) mod who_had;
pub(crate) mod who_opened;

use crate::{
    cli::{Cli, Command},
    exit::Exit,
    identity,
};
use std::io::Write;

/// Runs the command; what it has to say goes to `out`, what it only wants to mention to standard error.
pub(crate) fn run(cli: Cli, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let global = cli.global;
    if cli.command.is_on_the_record(&global)? {
        identity::settle(&global)?;
    }
    match cli.command {
        Command::Ingest(args) => ingest::run(&args, &global, out),
        Command::Clients(args) => clients::run(&args, &global, out),
        Command::Status(args) => status::run(&args, &global, out),
        Command::At(args) => at::run(&args, &global, out),
        Command::Report(args) => report::run(&args, &global, out),
        Command::Case(args) => case::run(&args, &global, out),
        Command::Export(args) => export::run(&args, &global, out),
        Command::Find(args) => find::run(&args, &global, out),
        Command::Tree(args) => tree::run(&args, &global, out),
        Command::WhoHad(args) => who_had::run(&args, &global, out),
        Command::WhoOpened(args) => who_opened::run(&args, &global, out),
        Command::Timeline(args) => timeline::run(&args, &global, out),
        Command::Diff(args) => diff::run(&args, &global, out),
        Command::FirstSeen(args) => first_seen::run(&args, &global, out),
        Command::Gaps(args) => gaps::run(&args, &global, out),
        Command::Sql(args) => sql::run(&args, &global, out),
        Command::Shell(args) => shell::run(&args, &global),
        Command::Archive(args) => merge::archive(&args, &global, out),
        Command::Period(args) => merge::period(&args, &global, out),
        Command::Receive(args) => receive::run(&args, &global),
        Command::Rebuild(args) => rebuild::run(&args, &global, out),
        Command::Forget(args) => forget::run(&args, &global, out),
        Command::Hold(args) => hold::run(&args, &global, out),
        Command::Init(args) => init::run(&args, &global, out),
        Command::Invite(args) => invite::run(&args, &global, out),
        Command::Requests(args) => requests::run(&args, &global, out),
        Command::Approve(args) => approve::run(&args, &global, out),
        Command::Deny(args) => deny::run(&args, &global, out),
        Command::Remove(args) => remove::run(&args, &global, out),
        Command::RegisterSession(args) => register_session::run(&args, &global),
        Command::ClientRow(args) => client_row::run(&args, &global, out),
        Command::InitDb(args) => init_db::run(&args, &global, out),
        Command::Verify(args) => verify::run(&args, &global, out),
        Command::Cat(args) => cat::run(&args, out),
        Command::Demo(args) => demo::run(&args, &global, out),
        Command::DemoActor(args) => demo::act(&args),
        Command::Completions(args) => manual::completions(&args, out),
        Command::Man(args) => manual::man(&args, out),
    }
}
