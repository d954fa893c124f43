//! The storm: short processes as fast as they can be made, short ones at a steady rate, connections, and files opened for a
//! short time; no shell among them.

use super::{
    Plan,
    truth::{Class, Life, Truth},
};
use anyhow::Context as _;
use rustix::process::{Pid, WaitOptions, wait};
use std::{
    collections::HashMap,
    env,
    fs::File,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// How many processes the flood keeps in the air.
const FLOOD_AT_ONCE: usize = 4;
/// Lengths of the steady part, ms, and out of ten how many there are of each.
const LENGTHS: [(u32, u32); 4] = [(1, 4), (5, 4), (50, 1), (300, 1)];
/// Rest between the parts, so that none is in another's sample.
const REST: Duration = Duration::from_secs(1);

/// Plays the whole storm.
pub(crate) fn play(plan: &Plan) -> anyhow::Result<()> {
    let brief = env::current_exe()?.with_file_name("brief");
    anyhow::ensure!(brief.exists(), "{} is missing: cargo build -p pofr-benches --bins", brief.display());
    let mut truth = Truth { storm: std::process::id(), ..Truth::default() };
    thread::sleep(REST);
    let begun = Instant::now();
    flood(plan, &brief, &mut truth)?;
    truth.flood_micros = micros(begun);
    thread::sleep(REST);
    steady(plan, &brief, &mut truth)?;
    thread::sleep(REST);
    let begun = Instant::now();
    connect(plan, &mut truth)?;
    truth.connections_micros = micros(begun);
    thread::sleep(REST);
    truth.write(&plan.dir)
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Starts a process.
fn start(
    brief: &Path,
    class: Class,
    tag: String,
    millis: u32,
    file: Option<PathBuf>,
) -> anyhow::Result<Life> {
    // Any code but 0 and what the kernel makes of signals.
    let code = 1 + tag.bytes().map(u32::from).sum::<u32>() % 100;
    let mut command = Command::new(brief);
    command.arg(&tag).arg((millis * 1000).to_string()).arg(code.to_string()).stdin(Stdio::null());
    if let Some(file) = &file {
        command.arg(file);
    }
    let child = command.spawn().context("cannot start a process")?;
    let file = file.map(|file| file.to_string_lossy().into_owned());
    Ok(Life { class, tag, pid: child.id(), code, file })
}

/// Processes as fast as possible.
fn flood(plan: &Plan, brief: &Path, truth: &mut Truth) -> anyhow::Result<()> {
    let mut in_the_air = 0;
    for i in 0..plan.flood {
        if in_the_air == FLOOD_AT_ONCE {
            wait(WaitOptions::empty())?;
            in_the_air -= 1;
        }
        truth.lives.push(start(brief, Class::Flood, format!("flood-{i}"), 0, None)?);
        in_the_air += 1;
    }
    while in_the_air > 0 {
        wait(WaitOptions::empty())?;
        in_the_air -= 1;
    }
    Ok(())
}

/// Processes and openings of some lengths at a steady rate.
fn steady(plan: &Plan, brief: &Path, truth: &mut Truth) -> anyhow::Result<()> {
    let lengths: Vec<u32> =
        LENGTHS.iter().flat_map(|(millis, of_ten)| vec![*millis; *of_ten as usize]).collect();
    let (started, is_started) = mpsc::channel::<u32>();
    // Whoever exits is waited for at once, so that no zombies stand in the samples.
    let reaper = thread::spawn(move || {
        let mut gone = 0;
        let mut known = HashMap::<Option<Pid>, ()>::new();
        for expected in is_started {
            while gone < expected {
                if let Ok(Some((pid, _))) = wait(WaitOptions::empty()) {
                    known.insert(Some(pid), ());
                }
                gone += 1;
            }
        }
    });
    let begun = Instant::now();
    let count = plan.steady * plan.rate;
    for i in 0..count {
        let due = Duration::from_secs_f64(f64::from(i) / f64::from(plan.rate.max(1)));
        thread::sleep(due.saturating_sub(begun.elapsed()));
        let millis = lengths[i as usize * 7 % lengths.len()];
        let class = Class::Steady(millis);
        let file = plan.dir.join(format!("held-{i}"));
        truth.lives.push(start(brief, class, format!("steady-{i}"), millis, Some(file))?);
        started.send(i + 1)?;
        // The storm itself opens files, too, one at a time.
        if millis < 50 {
            let path = plan.dir.join(format!("opened-{i}"));
            let file = File::create(&path)?;
            thread::sleep(Duration::from_millis(millis.into()));
            drop(file);
            truth.openings.push((class, path.to_string_lossy().into_owned()));
        }
    }
    drop(started);
    reaper.join().map_err(|_| anyhow::anyhow!("the reaper panicked"))
}

/// Connections over loopback, closed as soon as they are there.
fn connect(plan: &Plan, truth: &mut Truth) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    truth.port = address.port();
    let count = plan.connections;
    let server = thread::spawn(move || (0..count).try_for_each(|_| listener.accept().map(drop)));
    for _ in 0..count {
        let stream = TcpStream::connect(address)?;
        truth.connections.push(stream.local_addr()?.port());
    }
    server.join().map_err(|_| anyhow::anyhow!("the server panicked"))??;
    Ok(())
}
