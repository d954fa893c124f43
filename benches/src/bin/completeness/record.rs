//! The recorder in this process, and what of the storm is in the database afterwards.

use super::{
    Plan,
    report::{Column, Found, Recall},
    truth::Truth,
};
use anyhow::Context as _;
use pofr_collect::{HostView, Recorder, Registry, Settings, Spool, SpoolSettings, Stop};
use pofr_core::{
    identity::Cid,
    store::{ClientEntry, ClientReader},
    time::WallMicros,
};
use pofr_ingest::{Inbox, Options, ingest};
use pofr_schema::Access;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value};
use std::{
    collections::{HashMap, HashSet},
    ops::ControlFlow,
    path::Path,
};

/// Records a storm and looks up what is known of it.
pub(crate) fn play(name: &str, plan: &Plan, interval_millis: u64, events: bool) -> anyhow::Result<Column> {
    let view = HostView::live()?;
    let cid = Cid::parse("completeness").context("a good id")?;
    let bundles = plan.dir.join("bundles");
    let settings = SpoolSettings { cid: Some(cid.clone()), ..SpoolSettings::beside(&bundles) };
    let spool = Spool::open(&view, settings)?;
    let registry = if events { Registry::built_in(&view) } else { Registry::samplers_only(&view) };
    let settings = Settings { interval_micros: interval_millis * 1000, ..Settings::default() };
    let mut recorder = Recorder::new(view, registry, settings, spool)?;
    let stop = Stop::new()?;
    // The peak so far was somebody else's (proc_pid_clear_refs(5)).
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let (truth, cpu_micros, summary, notes) = std::thread::scope(|scope| {
        let before = cpu_micros();
        let recording = scope.spawn(|| recorder.run(&stop, None));
        let truth = plan.play();
        let cpu = cpu_micros() - before;
        let notes = [threads(), peak()];
        stop.stop();
        let summary = recording.join().map_err(|_| anyhow::anyhow!("the recorder panicked"))??;
        anyhow::Ok((truth?, cpu, summary, notes))
    })?;
    drop(recorder.into_sink());
    let mut reader = load(&cid, &bundles, &plan.dir)?;
    let mut column = Column::new(name, cpu_micros, &truth);
    column.found = found(reader.as_mut(), &truth)?;
    column.notes.push(format!("{} gaps, {} ticks skipped", summary.gaps, summary.skipped));
    each(reader.as_mut(), "SELECT reason, lost FROM pofr_gaps WHERE lost > 0", |row| {
        column.notes.push(format!("lost {}: {}", row["lost"], row["reason"]));
    })?;
    column.notes.extend(notes.into_iter().flatten());
    Ok(column)
}

/// CPU time of this process, µs.
fn cpu_micros() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    u64::try_from(time.tv_sec * 1_000_000 + time.tv_nsec / 1000).unwrap_or(0)
}

/// Says what each thread of this process took so far.
fn threads() -> Option<String> {
    let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
    let mut texts = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").ok()? {
        let stat = std::fs::read_to_string(task.ok()?.path().join("stat")).ok()?;
        let (name, fields) = stat.split_once('(')?.1.rsplit_once(')')?;
        let mut ticks = fields.split_whitespace().skip(11).filter_map(|t| t.parse::<f64>().ok());
        let (user, system) = (ticks.next()? / ticks_per_second, ticks.next()? / ticks_per_second);
        texts.push(format!("{name} {user:.2} s user {system:.2} s system"));
    }
    Some(format!("CPU so far: {}", texts.join(", ")))
}

/// Says how much memory the recorder took at most.
fn peak() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim();
    Some(format!("peak memory: {peak}"))
}

/// Takes the bundles into a database.
fn load(cid: &Cid, bundles: &Path, dir: &Path) -> anyhow::Result<Box<dyn ClientReader>> {
    let store = pofr_schema::open(&format!("sqlite:{}", dir.join("database").display()), Access::Write)?;
    store.add_client(&ClientEntry {
        cid: cid.clone(),
        uuid: "completeness".into(),
        ciduser: "0".repeat(32),
        last_ip: None,
        registered: WallMicros(0),
    })?;
    let mut client = store.write(cid)?;
    let report =
        ingest(client.as_mut(), cid, &Inbox::new(bundles, 1 << 30), &Options::default(), &mut |_, _| ())?;
    anyhow::ensure!(report.stored > 0, "no bundle was stored: {report:?}");
    drop(client);
    Ok(store.read(cid)?)
}

fn each(
    reader: &mut dyn ClientReader,
    sql: &str,
    mut take: impl FnMut(&Map<String, Value>),
) -> anyhow::Result<()> {
    reader.sql(sql, &mut |row| {
        take(&row);
        ControlFlow::Continue(())
    })?;
    Ok(())
}

/// Compares the truth with the rows.
fn found(reader: &mut dyn ClientReader, truth: &Truth) -> anyhow::Result<Found> {
    let mut found = Found::default();
    // By number, among the storm's children: none is used twice in one storm.
    let lives: HashMap<u64, usize> =
        truth.lives.iter().enumerate().map(|(i, life)| (u64::from(life.pid), i)).collect();
    let mut known: Vec<Recall> = truth.lives.iter().map(|_| Recall::default()).collect();
    let sql = format!(
        "SELECT pid, command, ruid, arguments, began, ended, exitcode, usermicros FROM all_psinfo WHERE ppid = {}",
        truth.storm
    );
    let uid = u64::from(rustix::process::getuid().as_raw());
    each(reader, &sql, |row| {
        let Some(at) = row["pid"].as_u64().and_then(|pid| lives.get(&pid)) else { return };
        let (life, recall) = (&truth.lives[*at], &mut known[*at]);
        recall.seen = true;
        recall.begin |= !row["began"].is_null();
        let is_brief = row["command"] == "brief";
        recall.name |= is_brief && row["ruid"] == uid;
        recall.exec |= is_brief && !row["began"].is_null();
        recall.end |= !row["ended"].is_null() && is_brief;
        recall.code |= row["exitcode"] == life.code << 8;
        recall.totals |= !row["usermicros"].is_null();
        recall.arguments |= row["arguments"]
            .as_str()
            .is_some_and(|arguments| arguments.split(' ').any(|argument| argument == life.tag));
    })?;
    for (life, recall) in truth.lives.iter().zip(known) {
        found.lives.entry(life.class).or_default().add(&recall);
    }

    let mut paths = HashSet::new();
    let like = "SELECT DISTINCT filename FROM all_fileinfo WHERE filename LIKE '%/held-%' OR filename LIKE '%/opened-%'";
    each(reader, like, |row| {
        paths.extend(row["filename"].as_str().map(str::to_owned));
    })?;
    for life in &truth.lives {
        if let Some(file) = &life.file {
            found.held.entry(life.class).or_default().count(paths.contains(file));
        }
    }
    for (class, path) in &truth.openings {
        found.opened.entry(*class).or_default().count(paths.contains(path));
    }

    let (mut ends, mut seen) = ([HashSet::new(), HashSet::new()], [HashSet::new(), HashSet::new()]);
    let sql = format!(
        "SELECT sourceport, destport, ended FROM all_netinfo WHERE sourceport = {0} OR destport = {0}",
        truth.port
    );
    each(reader, &sql, |row| {
        let (source, dest) = (row["sourceport"].as_u64(), row["destport"].as_u64());
        let is_client = dest == Some(truth.port.into());
        let port = if is_client { source } else { dest };
        let side = usize::from(!is_client);
        seen[side].extend(port);
        if !row["ended"].is_null() {
            ends[side].extend(port);
        }
    })?;
    for port in &truth.connections {
        let port = u64::from(*port);
        for (side, (seen, ends)) in seen.iter().zip(&ends).enumerate() {
            found.connections[side].0.count(seen.contains(&port));
            found.connections[side].1.count(ends.contains(&port));
        }
    }
    Ok(found)
}
