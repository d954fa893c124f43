//! Floods of an ordinary user, against a recorder that records: only that user is recorded thinner, a gap says so, samples go on, and
//! memory and CPU stay within their bounds.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]

use pofr_collect::{Budget, HostView, Recorder, Registry, Settings, Stop, events::ProcessEvents};
use pofr_core::{
    Sink, Source,
    collector::Opening,
    fact::{Fact, Process},
    gap::Gap,
    record::{Event, Record},
    time::WallMicros,
};
use std::{
    convert::Infallible,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

const ATTACKER: u32 = 65534;
const OTHER: u32 = 65533;
/// What a process of the other user has among its arguments.
const WITNESS: &str = "witness-";
/// The bound of resident memory in any attack, bytes.
const RESIDENT: u64 = 128 << 20;

/// One test at a time: they would be each other's storm.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is kept of the record: not all of it, since this process's memory is measured.
#[derive(Clone, Debug, Default)]
struct Seen(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    gaps: Vec<Gap>,
    /// When processes were sampled.
    stamps: Vec<WallMicros>,
    /// The arguments of the other user's processes.
    witnesses: Vec<String>,
    /// The most facts that one sample added.
    added: usize,
}

impl Sink for Seen {
    type Error = Infallible;

    fn begin(&mut self, _: &Opening) -> Result<Vec<Gap>, Infallible> {
        Ok(Vec::new())
    }

    fn accept(&mut self, record: &Record) -> Result<(), Infallible> {
        let mut kept = self.0.lock().unwrap();
        let mut see = |fact: &Fact| {
            if let Fact::Process(process) = fact {
                kept.witnesses.extend(witness(process));
            }
        };
        match record {
            Record::Sample(sample) => {
                sample.added.iter().for_each(|added| see(&added.fact));
                sample.learned.iter().for_each(|learned| see(&learned.fact));
                kept.added = kept.added.max(sample.added.len());
                if sample.source == Source::Process {
                    kept.stamps.push(sample.stamp);
                }
            }
            Record::Event(Event::Began { fact, .. } | Event::Passed { fact, .. }) => see(fact),
            Record::Event(Event::Learned(learned)) => see(&learned.fact),
            Record::Event(_) => {}
            Record::Gap(gap) => kept.gaps.push(gap.clone()),
        }
        Ok(())
    }
}

/// Returns the arguments of a process of the other user.
fn witness(process: &Process) -> Option<String> {
    let text = process.arguments()?.escaped();
    let at = text.find(WITNESS)?;
    (process.key.ids.ruid == Some(OTHER)).then(|| text[at..].to_owned())
}

/// A recorder in a thread.
struct Recording {
    seen: Seen,
    stop: Stop,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Recording {
    /// Begins to record; `None`, said aloud, where the kernel does not tell us of processes.
    fn begin(max_cpu: Option<f64>) -> Option<Self> {
        let view = HostView::live().unwrap();
        if let Err(error) = ProcessEvents::new(&view) {
            eprintln!("NOT RUN: {error}");
            return None;
        }
        let budget = Budget { max_cpu, ..Budget::default() };
        let settings = Settings { budget, ..Settings::default() };
        let (seen, stop) = (Seen::default(), Stop::new().unwrap());
        let registry = Registry::built_in(&view);
        let mut recorder = Recorder::new(view, registry, settings, seen.clone()).unwrap();
        let end = stop.clone();
        let thread = std::thread::spawn(move || {
            recorder.run(&end, None).unwrap();
        });
        let recording = Self { seen, stop, thread: Some(thread) };
        recording.until("a first sample", |kept| kept.stamps.len() > 1);
        Some(recording)
    }

    /// Waits until what was recorded is as wanted.
    fn until(&self, what: &str, is_so: impl Fn(&Kept) -> bool) {
        let begun = Instant::now();
        while !is_so(&self.kept()) {
            assert!(begun.elapsed() < Duration::from_secs(120), "waited for {what}: {:?}", self.kept().gaps);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.seen.0.lock().unwrap()
    }

    /// Runs ten short processes of another user during a flood, and checks that so many are recorded with their arguments.
    fn witnesses(&self, least: usize) {
        for n in 0..10 {
            let script = format!("sleep 0.1; : {WITNESS}{n}.");
            let mut command = Command::new("/bin/sh");
            command.args(["-c", &script]).uid(OTHER).gid(OTHER).stdin(Stdio::null());
            assert!(command.status().unwrap().success());
            std::thread::sleep(Duration::from_millis(200));
        }
        let has = |kept: &Kept, n: u32| {
            let name = format!("{WITNESS}{n}.");
            kept.witnesses.iter().any(|text| text.starts_with(&name))
        };
        let told = |kept: &Kept| (0..10).filter(|n| has(kept, *n)).count();
        self.until("the other user's processes", |kept| told(kept) >= least);
    }

    /// Ends it, and checks what holds in every flood; returns what was recorded.
    fn end(mut self) -> Kept {
        self.stop.stop();
        self.thread.take().unwrap().join().unwrap();
        let kept = std::mem::take(&mut *self.kept());
        let longest = kept.stamps.windows(2).map(|two| two[1].since(two[0])).max().unwrap();
        assert!(longest < 15_000_000, "{longest} µs without a sample; {:?}", kept.gaps);
        let resident = resident();
        assert!(resident < RESIDENT, "{resident} bytes were resident");
        kept
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The most that was ever resident, bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// The CPU time of this process, seconds.
fn cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// A flood that is at work until it is dropped.
struct Flood(Child);

impl Flood {
    fn begin(dir: &Path, how: &str) -> Self {
        let program = dir.join("storm");
        if !program.exists() {
            let source = dir.join("storm.c");
            std::fs::write(&source, include_str!("storm.c")).unwrap();
            let made = Command::new("cc").arg("-O1").arg("-o").arg(&program).arg(&source).status().unwrap();
            assert!(made.success());
            std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut command = Command::new(&program);
        command.arg(how).uid(ATTACKER).gid(ATTACKER).stdin(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn floods(kept: &Kept) -> impl Iterator<Item = &Gap> {
    kept.gaps.iter().filter(|gap| gap.reason.starts_with("flood: "))
}

fn is_of_the_attacker(gap: &Gap) -> bool {
    gap.reason.starts_with("flood: user 65534 did more than is recorded of one: ")
}

/// Lets a flood be told of, with another user's processes in its midst, and checks that only that user is thinner.
fn withstand(how: &str) {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let Some(recording) = Recording::begin(None) else { return };
    let flood = Flood::begin(dir.path(), how);
    recording.until("the flood's gap", |kept| floods(kept).any(is_of_the_attacker));
    recording.witnesses(10);
    drop(flood);
    let kept = recording.end();
    let of_witnesses = |gap: &Gap| gap.reason.starts_with(&format!("flood: user {OTHER} "));
    assert!(!kept.gaps.iter().any(of_witnesses), "{:?}", kept.gaps);
    let most = kept.stamps.last().unwrap().since(kept.stamps[0]) / 1_000_000 / 2 + 4;
    assert!(
        floods(&kept).filter(|gap| is_of_the_attacker(gap)).count() as i64 <= most,
        "one gap for some seconds: {:?}",
        kept.gaps
    );
}

#[test]
fn programs_with_long_arguments_in_a_loop() {
    withstand("exec");
}

#[test]
fn processes_in_a_loop() {
    withstand("fork");
}

#[test]
fn names_in_a_loop() {
    withstand("rename");
}

#[test]
fn all_the_files_that_each_of_twenty_processes_may_have() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let Some(recording) = Recording::begin(None) else { return };
    let flood = Flood::begin(dir.path(), "files");
    let cut = |gap: &Gap| gap.reason.starts_with("cut: ") && gap.reason.contains(" of user 65534 ");
    recording.until("the holder's gap", |kept| kept.gaps.iter().filter(|gap| cut(gap)).count() > 4);
    recording.witnesses(10);
    drop(flood);
    let kept = recording.end();
    assert!(kept.added < 110_000, "{} facts at once", kept.added);
    let of_witnesses = |gap: &Gap| gap.reason.contains(&format!(" of user {OTHER} "));
    assert!(!kept.gaps.iter().any(of_witnesses), "{:?}", kept.gaps);
}

#[test]
fn the_whole_recorder_keeps_to_its_share_of_a_core() {
    const SHARE: f64 = 0.15;
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let Some(recording) = Recording::begin(Some(SHARE)) else { return };
    let _flood = Flood::begin(dir.path(), "exec");
    // What was saved up is used by then.
    std::thread::sleep(Duration::from_secs(15));
    let (began, before) = (Instant::now(), cpu());
    std::thread::sleep(Duration::from_secs(15));
    let used = (cpu() - before) / began.elapsed().as_secs_f64();
    // A slow program on a busy machine has no time to look at all of them.
    recording.witnesses(5);
    let kept = recording.end();
    assert!(used < SHARE * 1.3, "{used} of a core; {:?}", kept.gaps);
    assert!(floods(&kept).any(is_of_the_attacker), "{:?}", kept.gaps);
}
