//! `pofrs shell`: the database's own client, read-only, on a client's database.
//!
//! This program becomes the other one (execve(2)), so that the terminal, signals and the exit code are its own. A password
//! reaches it in a file without a name: command lines and environments are for others to see.

use crate::{
    cli::{Global, WhichClient},
    exit::Exit,
    record,
};
use anyhow::{Context as _, bail};
use clap::Args;
use pofr_core::identity::Cid;
use pofr_schema::{Access, Location, Server};
use rustix::fs::{MemfdFlags, Mode, fchmod, memfd_create};
use std::{
    ffi::OsString,
    fs::File,
    io::{self, Write as _},
    os::{
        fd::{AsRawFd as _, IntoRawFd as _},
        unix::process::CommandExt as _,
    },
    path::Path,
    process::Command,
};

/// What each new connection says first: whatever rights the user has, this session only reads.
const READ_ONLY: &str = "SET SESSION TRANSACTION READ ONLY";

/// Opens the database's own client.
#[derive(Args, Debug)]
#[command(after_long_help = "\
The database's own client is started on the client's database: sqlite3 (Debian: apt install sqlite3) or mariadb (mariadb-client). It can read and do no \
more: SQLite's file is opened read-only; on MariaDB who asks is pofr_read where the URL names pofr, and each transaction is read-only. docs/schema.md \
says what the tables hold. The exit code is the other program's.

These programs print bytes as they are: a name that a client chose may hold control characters. pofrs sql shows them escaped.

Examples:
  pofrs shell --client web-1
  pofrs shell --client web-1 -- -json 'SELECT pid, command FROM psinfo LIMIT 3'
  echo 'SELECT COUNT(*) FROM all_fileinfo;' | pofrs shell --client web-1")]
pub(crate) struct ShellArgs {
    #[command(flatten)]
    which: WhichClient,
    /// What to hand on to sqlite3 or mariadb, after --
    #[arg(last = true, value_name = "ARGUMENT")]
    arguments: Vec<OsString>,
}

/// Runs the command: returns only where it fails.
pub(crate) fn run(args: &ShellArgs, global: &Global) -> anyhow::Result<Exit> {
    let url = record::url(global)?;
    let store = record::open(global, Access::Read)?;
    let cid = record::client(&*store, args.which.client.as_deref())?;
    // What is stored there may be of a version that this program does not know; then the tables are not those that it documents.
    drop(store.read(&cid)?);
    drop(store);
    let (mut command, package) = match Location::parse(&url)?.logged_in(Access::Read)? {
        Location::Sqlite(dir) => (sqlite(&dir, &cid)?, "sqlite3"),
        Location::Mariadb(server) => (mariadb(&server, &cid)?, "mariadb-client"),
    };
    command.args(&args.arguments);
    let error = command.exec();
    let name = command.get_program().to_string_lossy().into_owned();
    if error.kind() == io::ErrorKind::NotFound {
        bail!("there is no {name} on this machine\nhint: apt install {package}; pofrs sql needs none");
    }
    Err(error).with_context(|| format!("cannot run {name}"))
}

/// Makes the command line of SQLite's client (sqlite3(1)).
fn sqlite(dir: &Path, cid: &Cid) -> anyhow::Result<Command> {
    let dir = std::path::absolute(dir)?;
    let file = |name: &str| dir.join(format!("{name}.sqlite"));
    let lookup = file("lhlt");
    let lookup = lookup.to_str().context("the data directory's name is not UTF-8")?;
    let mut command = Command::new("sqlite3");
    // Opened read-only, what is attached is read-only as well.
    command.args(["-readonly", "-header", "-cmd", "PRAGMA query_only = ON", "-cmd", ".timeout 10000"]);
    command.arg("-cmd").arg(format!("ATTACH '{}' AS lhlt", lookup.replace('\'', "''")));
    command.arg(file(&cid.database()));
    Ok(command)
}

/// Makes the command line of MariaDB's client (mariadb(1)).
fn mariadb(server: &Server, cid: &Cid) -> anyhow::Result<Command> {
    let mut command = Command::new("mariadb");
    if let Some(password) = &server.password {
        // Has to be the first option.
        command.arg(format!("--defaults-extra-file=/proc/self/fd/{}", option_file(password)?));
    }
    command.arg(format!("--user={}", server.user)).arg(format!("--init-command={READ_ONLY}"));
    match &server.socket {
        Some(socket) => command.arg(format!("--socket={socket}")),
        None => {
            let host = server.host.trim_matches(['[', ']']);
            command.args(["--protocol=tcp", &format!("--host={host}")]);
            command.arg(format!("--port={}", server.port.unwrap_or(3306)))
        }
    };
    command.arg(format!("--database={}", cid.database())).arg(r"--prompt=\d, read-only> ");
    Ok(command)
}

/// Writes the password to a file in memory that the next program finds open; returns its descriptor.
fn option_file(password: &str) -> anyhow::Result<i32> {
    let write = || -> io::Result<i32> {
        let memory = memfd_create("pofrs-options", MemfdFlags::empty())?;
        fchmod(&memory, Mode::RUSR | Mode::WUSR)?;
        let mut file = File::from(memory);
        writeln!(file, "[client]\npassword={}", quoted(password))?;
        debug_assert!(file.as_raw_fd() > 2, "standard input, output and error are the other program's");
        Ok(file.into_raw_fd())
    };
    write().context("cannot hand the password on")
}

/// Writes a value as an option file has it: in quotes, with a backslash before what would end it or be read as an escape.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', r"\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &Command) -> Vec<String> {
        command.get_args().map(|word| word.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_password_is_in_no_argument() {
        let url = "mysql://pofr@[::1]:3307/";
        let Location::Mariadb(mut server) = Location::parse(url).unwrap() else { unreachable!() };
        server.password = Some(r#"se"cr\et#"#.to_owned());
        let command = mariadb(&server, &Cid::parse("web-1").unwrap()).unwrap();
        let words = words(&command);
        assert!(words[0].starts_with("--defaults-extra-file=/proc/self/fd/"), "{words:?}");
        assert!(words.contains(&"--host=::1".to_owned()) && words.contains(&"--database=web1".to_owned()));
        assert!(!words.iter().any(|word| word.contains("cr")), "{words:?}");
        assert!(command.get_envs().next().is_none());
        let path = words[0].split_once('=').unwrap().1;
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text, "[client]\npassword=\"se\\\"cr\\\\et#\"\n");
    }

    #[test]
    fn a_directory_may_have_a_quote_in_its_name() {
        let command = sqlite(Path::new("/srv/it's"), &Cid::parse("web-1").unwrap()).unwrap();
        let words = words(&command);
        assert!(words.contains(&"ATTACH '/srv/it''s/lhlt.sqlite' AS lhlt".to_owned()), "{words:?}");
        assert_eq!(words.last().unwrap(), "/srv/it's/web1.sqlite");
    }
}
