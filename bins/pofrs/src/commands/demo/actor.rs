//! The actors: child processes of the demo that do things worth finding in a record.
//!
//! An actor ends when its time is over or its standard input is closed, so that none outlives a demo that was killed.

use crate::exit::Exit;
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::PathBuf,
    time::Duration,
};

/// What an actor plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Role {
    /// Writes a file, unlinks it, and goes on holding it open.
    File,
    /// Listens on a loopback port, which it prints, and takes one connection.
    Listen,
    /// Connects to that port.
    Connect,
    /// Does nothing, for a short time.
    Brief,
}

/// An actor's instructions.
#[derive(Args, Debug)]
pub(crate) struct ActorArgs {
    /// What to play
    #[arg(value_enum)]
    role: Role,
    /// For how long, ms
    #[arg(long, value_name = "MS")]
    millis: u64,
    /// The file to write and unlink
    #[arg(long)]
    path: Option<PathBuf>,
    /// The port to connect to
    #[arg(long)]
    port: Option<u16>,
}

/// Plays.
pub(crate) fn act(args: &ActorArgs) -> anyhow::Result<Exit> {
    let time = Duration::from_millis(args.millis);
    match args.role {
        Role::Brief => std::thread::sleep(time),
        Role::File => {
            let path = args.path.as_ref().context("--path is wanted")?;
            let mut file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
            file.write_all(b"nobody will find this\n")?;
            fs::remove_file(path)?;
            announce("unlinked")?;
            hold(time);
            drop(file);
        }
        Role::Listen => {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            announce(&listener.local_addr()?.port().to_string())?;
            let (connection, _) = listener.accept()?;
            hold(time);
            drop(connection);
        }
        Role::Connect => {
            let port = args.port.context("--port is wanted")?;
            let connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            announce("connected")?;
            hold(time);
            drop(connection);
        }
    }
    Ok(Exit::Done)
}

/// Tells the demo that what it waits for is done.
fn announce(line: &str) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Waits until the time is over, or standard input is closed.
fn hold(time: Duration) {
    let (closed, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _ = io::stdin().read(&mut [0; 1]);
        let _ = closed.send(());
    });
    let _ = wait.recv_timeout(time);
}
