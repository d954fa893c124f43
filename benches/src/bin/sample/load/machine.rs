//! A machine of some size: so many processes with so many descriptors, and connections between them and one server.

use super::{Running, ready, wait_for_the_end};
use crate::Size;
use std::{
    fs::File,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    time::Duration,
};

/// Starts the processes one after the other, and holds the other ends of their connections.
pub(super) fn run(size: Size) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let (mut processes, mut served) = (Vec::new(), Vec::new());
    for i in 0..size.processes {
        // As many to each as there are, the first ones get one more.
        let count = |all: u32| all / size.processes + u32::from(i < all % size.processes);
        let connections = count(size.connections);
        let args = ["process", &size.files.to_string(), &connections.to_string(), &port.to_string()];
        let mut args: Vec<String> = args.into_iter().map(str::to_owned).collect();
        args.push(count(size.active).to_string());
        args.push(dir.path().join(i.to_string()).display().to_string());
        processes.push(Running::start(&args)?);
        for _ in 0..connections {
            served.push(listener.accept()?.0);
        }
    }
    ready();
    wait_for_the_end();
    Ok(())
}

/// Is one process: its descriptors are the standard ones, connections, and files of its own.
pub(super) fn process(
    files: u32,
    connections: u32,
    port: u16,
    active: bool,
    dir: &Path,
) -> anyhow::Result<()> {
    std::fs::create_dir(dir)?;
    let connections: Vec<_> = (0..connections)
        .map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)))
        .collect::<std::io::Result<_>>()?;
    let others = 3 + u32::try_from(connections.len())?;
    let open: Vec<_> = (others..files)
        .map(|i| File::create(dir.join(format!("segment-{i:04}.db"))))
        .collect::<std::io::Result<_>>()?;
    ready();
    if active {
        let work = move || loop {
            // Something that a sample shows now and then.
            let _file = File::create(dir.join("now"));
            std::thread::sleep(Duration::from_millis(100));
        };
        std::thread::scope(|scope| {
            scope.spawn(work);
            wait_for_the_end();
            std::process::exit(0);
        });
    }
    wait_for_the_end();
    drop((connections, open));
    Ok(())
}
