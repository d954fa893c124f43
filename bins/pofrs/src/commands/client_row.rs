//! `pofrs client-row`: what the administration asks of the record, run as the account that owns it.

use crate::{cli::Global, exit::Exit, record};
use clap::{Args, Subcommand};
use pofr_core::{identity::Cid, store::ClientEntry};
use pofr_ingest::ingest::server_clock;
use pofr_schema::Access;
use std::io::Write;

/// Adds a client to the record, removes one, or says how it is known.
#[derive(Args, Debug)]
pub(crate) struct ClientRowArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make the row and the database
    Add {
        #[arg(long, value_parser = cid)]
        cid: Cid,
        #[arg(long, default_value = "")]
        uuid: String,
        #[arg(long)]
        ciduser: String,
    },
    /// Print the ciduser; nothing where the client is not known
    Ciduser {
        #[arg(long, value_parser = cid)]
        cid: Cid,
    },
    /// Remove the row and the database
    Remove {
        #[arg(long, value_parser = cid)]
        cid: Cid,
    },
}

fn cid(text: &str) -> Result<Cid, String> {
    Cid::parse(text).ok_or_else(|| "that is no client's id".to_owned())
}

/// Runs the command.
pub(crate) fn run(args: &ClientRowArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let store = record::open(global, Access::Write)?;
    match &args.what {
        What::Add { cid, uuid, ciduser } => store.add_client(&ClientEntry {
            cid: cid.clone(),
            uuid: uuid.clone(),
            ciduser: ciduser.clone(),
            last_ip: None,
            registered: server_clock(),
        })?,
        What::Ciduser { cid } => {
            if let Some(client) = store.clients()?.iter().find(|client| client.cid == *cid) {
                writeln!(out, "{}", client.ciduser)?;
            }
        }
        What::Remove { cid } => {
            if let Some(hold) = store.read(cid)?.ledger()?.hold() {
                anyhow::bail!("{cid} is on hold: {}\nhint: pofrs hold --release --client {cid}", hold.why);
            }
            store.remove_client(cid)?;
        }
    }
    Ok(Exit::Done)
}
