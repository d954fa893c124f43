//! `pofrs init-db`: databases, users and their rights on MariaDB.

use crate::{cli::Global, exit::Exit, record};
use anyhow::{Context as _, bail};
use clap::Args;
use pofr_core::{digest, identity::Cid};
use pofr_schema::{
    Access, Location, Server,
    login::{READER, WRITER, read_password},
    rights::{self, Wanted},
};
use std::{
    fs::OpenOptions,
    io::{ErrorKind, Read as _, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// Prepares the database.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Goes to the server that --db, POFR_DB or the configuration names, as root over the unix socket, and makes: the database lhlt, one \
database for each client (those known, and those named here), the user pofr, who writes there and nowhere else, and the user \
pofr_read, who may only SELECT there. Neither gets a global right, above all not FILE. Saying it again is harmless, and gives \
back what has been taken away.

From this host both are known by the unix socket: who runs as the system's user pofr is pofr. Where the URL names a \
password_file (or, for pofr_read, a read_password_file), the password in it does as well; a file that is not there is made, with a \
random password and mode 0600, for you to give to whoever is to read it. Commands that only read connect as pofr_read where the \
URL says pofr.

With the embedded database there are no users: the directory and its files are for their owner alone (0700, 0600).

Examples:
  pofrs init-db --db 'mysql://pofr@localhost/?unix_socket=/run/mysqld/mysqld.sock' --dry-run
  pofrs init-db --client web-1 --client web-2")]
pub(crate) struct InitDbArgs {
    /// A client whose database is to be made; may be said several times
    #[arg(long, value_name = "NAME", value_parser = cid)]
    client: Vec<Cid>,
    /// The user that may make databases and users
    #[arg(long, value_name = "USER", default_value = "root")]
    admin: String,
    /// From where pofr and pofr_read connect, as MariaDB's accounts have it [default: localhost]
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Only print the statements
    #[arg(long)]
    dry_run: bool,
}

fn cid(text: &str) -> Result<Cid, String> {
    Cid::parse(text).ok_or_else(|| "a client's name is 1 to 59 ASCII letters, digits and dashes".to_owned())
}

/// Runs the command.
pub(crate) fn run(args: &InitDbArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let url = record::url(global)?;
    let server = match Location::parse(&url)? {
        Location::Mariadb(server) => server,
        Location::Sqlite(dir) => {
            if args.dry_run {
                writeln!(out, "would make {} and the host-lookup table in it, for you alone", dir.display())?;
            } else {
                record::open(global, Access::Write)?;
                writeln!(
                    out,
                    "{} is ready, for you alone; the embedded database has no users",
                    dir.display()
                )?;
            }
            return Ok(Exit::Done);
        }
    };
    let password = |file: Option<&Path>, user: &str| match file {
        None => Ok(None),
        Some(file) => password_of(file, user, args.dry_run).map(Some),
    };
    let wanted = Wanted {
        clients: args.client.clone(),
        host: args.host.clone(),
        password: password(server.password_file.as_deref(), WRITER)?,
        read_password: password(server.read_password_file.as_deref(), READER)?,
    };
    let admin = Server { user: args.admin.clone(), password: None, password_file: None, ..server };
    for statement in rights::init(admin, &wanted, args.dry_run)? {
        writeln!(out, "{statement};")?;
    }
    if args.dry_run {
        writeln!(out, "-- nothing was done")?;
    }
    Ok(Exit::Done)
}

/// Makes databases, users and rights for these clients and those that are known, without a word; does nothing with the embedded
/// database.
pub(crate) fn prepare(global: &Global, clients: &[Cid]) -> anyhow::Result<()> {
    let args = InitDbArgs { client: clients.to_vec(), admin: "root".to_owned(), host: None, dry_run: false };
    match Location::parse(&record::url(global)?)? {
        Location::Sqlite(_) => Ok(()),
        Location::Mariadb(_) => run(&args, global, &mut std::io::sink()).map(drop),
    }
}

/// Reads a password, or makes one.
fn password_of(file: &Path, user: &str, dry_run: bool) -> anyhow::Result<String> {
    let mut new = OpenOptions::new();
    new.write(true).create_new(true).mode(0o600);
    if dry_run && !file.exists() {
        return Ok("to be made".to_owned());
    }
    match new.open(file) {
        Ok(mut made) => {
            let mut random = [0; 24];
            std::fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
            let password = digest::hex(&random);
            writeln!(made, "{password}").with_context(|| format!("cannot write {}", file.display()))?;
            writeln!(
                std::io::stderr(),
                "made {} for {user}: give it to who is to read it (chown)",
                file.display()
            )?;
            Ok(password)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(read_password(file)?),
        Err(error) => bail!("cannot make {}: {error}", file.display()),
    }
}
