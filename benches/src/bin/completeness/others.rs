//! Other programs that hear of processes, on the same storm: forkstat(8) and auditd(8).

use super::{
    Plan,
    report::{Column, Found, Recall},
    truth::Truth,
};
use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::{HashMap, HashSet},
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// How long a program is given to begin and to write down the last it heard.
const PAUSE: Duration = Duration::from_secs(1);

/// Plays the storm to forkstat.
pub(crate) fn forkstat(plan: &Plan) -> anyhow::Result<Column> {
    const NAME: &str = "forkstat";
    let path = plan.dir.join("forkstat");
    let started = Command::new(NAME)
        .args(["-l", "-e", "fork,exec,exit"])
        .stdin(Stdio::null())
        .stdout(File::create(&path)?)
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = started else { return Ok(Column::absent(NAME, "not installed")) };
    thread::sleep(PAUSE);
    if let Some(status) = child.try_wait()? {
        return Ok(Column::absent(NAME, format!("does not run here: {status}")));
    }
    let truth = plan.play();
    thread::sleep(PAUSE);
    let cpu = end(&mut child)?;
    let truth = truth?;
    let mut column = Column::new(NAME, cpu, &truth);
    column.found = of_forkstat(&std::fs::read(&path)?, &truth);
    Ok(column)
}

/// Ends a program, and returns the CPU time that it took, µs.
fn end(child: &mut Child) -> anyhow::Result<u64> {
    let cpu = cpu_micros(child.id());
    kill_process(Pid::from_child(child), Signal::INT)?;
    child.wait()?;
    cpu
}

/// CPU time of a process, µs: fields 14 and 15 of its stat (proc_pid_stat(5)).
fn cpu_micros(pid: u32) -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit_once(')').context("no name in stat")?.1;
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
    Ok(ticks * 1_000_000 / rustix::param::clock_ticks_per_second())
}

/// Reads lines such as `14:13:03 exit  12345    512   0.001 /usr/bin/brief flood-1 0 1`.
fn of_forkstat(output: &[u8], truth: &Truth) -> Found {
    let mut known: HashMap<u32, Recall> = HashMap::new();
    let by_pid: HashMap<u32, usize> = truth.lives.iter().enumerate().map(|(i, life)| (life.pid, i)).collect();
    for line in String::from_utf8_lossy(output).lines() {
        let mut words = line.split_whitespace().skip(1);
        let (Some(event), Some(pid)) = (words.next(), words.next().and_then(|pid| pid.parse().ok())) else {
            continue;
        };
        let Some(at) = by_pid.get(&pid) else { continue };
        let (life, recall) = (&truth.lives[*at], known.entry(pid).or_default());
        recall.seen = true;
        match event {
            "fork" => recall.begin = true,
            "exec" => recall.exec = true,
            "exit" => {
                recall.end = true;
                let code = words.next().and_then(|code| code.parse::<u32>().ok());
                recall.code = code == Some(life.code << 8) || code == Some(life.code);
            }
            _ => {}
        }
        recall.name |= line.contains("brief");
        recall.arguments |= line.split_whitespace().any(|word| word == life.tag);
    }
    summed(&known, truth)
}

fn summed(known: &HashMap<u32, Recall>, truth: &Truth) -> Found {
    let mut found = Found::default();
    for life in &truth.lives {
        let recall = known.get(&life.pid).copied().unwrap_or_default();
        found.lives.entry(life.class).or_default().add(&recall);
    }
    found
}

/// Plays the storm to auditd, with rules for programs and exits; only where no other audit daemon is at work.
pub(crate) fn auditd(plan: &Plan) -> anyhow::Result<Column> {
    const NAME: &str = "auditd";
    let control = |arguments: &[&str]| Command::new("auditctl").args(arguments).output();
    let Ok(status) = control(&["-s"]) else { return Ok(Column::absent(NAME, "not installed")) };
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    if !status.lines().any(|line| line == "pid 0") {
        let why =
            format!("another one is at work, or the kernel has no audit: {}", status.replace('\n', ", "));
        return Ok(Column::absent(NAME, why));
    }
    let log = plan.dir.join("audit.log");
    let config = format!(
        "log_file = {}\nlog_format = RAW\nwrite_logs = yes\nflush = NONE\nmax_log_file = 2000\nmax_log_file_action = IGNORE\n\
         space_left = 1\nspace_left_action = IGNORE\nadmin_space_left_action = IGNORE\n",
        log.display()
    );
    std::fs::write(plan.dir.join("auditd.conf"), config)?;
    let started = Command::new(NAME)
        .args(["-n", "-c"])
        .arg(&plan.dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = started else { return Ok(Column::absent(NAME, "not installed")) };
    thread::sleep(PAUSE);
    if let Some(status) = child.try_wait()? {
        return Ok(Column::absent(NAME, format!("does not run here: {status}")));
    }
    // The queue as distributions set it for busy machines.
    control(&["-b", "8192"])?;
    for call in ["execve", "exit_group"] {
        control(&["-a", "always,exit", "-F", "arch=b64", "-S", call, "-k", "completeness"])?;
    }
    let truth = plan.play();
    thread::sleep(PAUSE);
    let status = control(&["-s"])?;
    control(&["-D", "-k", "completeness"])?;
    let cpu = end(&mut child)?;
    let truth = truth?;
    let mut column = Column::new(NAME, cpu, &truth);
    column.found = of_audit(&log, &truth)?;
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    column.notes.extend(status.lines().filter(|line| line.starts_with("lost")).map(str::to_owned));
    column.notes.push("CPU is that of the daemon; the kernel's part is paid by who is watched".to_owned());
    Ok(column)
}

/// Reads `type=SYSCALL … syscall=59 … pid=7 …`, `type=EXECVE … a0="…" a1="…"`, joined by the serial in `msg=audit(1.2:SERIAL)`.
fn of_audit(log: &Path, truth: &Truth) -> anyhow::Result<Found> {
    let text = String::from_utf8_lossy(&std::fs::read(log)?).into_owned();
    let field = |line: &str, name: &str| {
        let mut words = line.split_whitespace();
        words.find_map(|word| Some(word.strip_prefix(name)?.trim_matches('"').to_owned()))
    };
    let serial = |line: &str| Some(line.split_once("audit(")?.1.split_once(')')?.0.to_owned());
    let mut known: HashMap<u32, Recall> = HashMap::new();
    let mut pid_of: HashMap<String, u32> = HashMap::new();
    let by_pid: HashMap<u32, usize> = truth.lives.iter().enumerate().map(|(i, life)| (life.pid, i)).collect();
    let mut tags: HashMap<u32, HashSet<String>> = HashMap::new();
    for line in text.lines() {
        let Some(serial) = serial(line) else { continue };
        if line.starts_with("type=SYSCALL") {
            let pid = field(line, "pid=").and_then(|pid| pid.parse().ok());
            let Some((pid, at)) = pid.and_then(|pid| Some((pid, by_pid.get(&pid)?))) else { continue };
            let recall = known.entry(pid).or_default();
            recall.seen = true;
            recall.name |= field(line, "comm=").as_deref() == Some("brief");
            // exit_group tells its code, execve that it happened; the fork is not told.
            if field(line, "syscall=").as_deref() == Some("231") {
                recall.end = true;
                let code = field(line, "a0=").and_then(|code| u32::from_str_radix(&code, 16).ok());
                recall.code |= code == Some(truth.lives[*at].code);
            } else {
                recall.exec = true;
                pid_of.insert(serial, pid);
            }
        } else if line.starts_with("type=EXECVE")
            && let Some(pid) = pid_of.get(&serial)
        {
            tags.entry(*pid).or_default().extend(field(line, "a1="));
        }
    }
    for life in &truth.lives {
        if let (Some(tags), Some(recall)) = (tags.get(&life.pid), known.get_mut(&life.pid)) {
            recall.arguments = tags.contains(&life.tag);
        }
    }
    Ok(summed(&known, truth))
}
