//! What a recorder and its children take while it is attacked.

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// What was taken, as far as it was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// The most memory of each process, KiB: of the recorder `VmHWM` (proc_pid_status(5)), of a child its share of what it has in memory
    /// with others (`Pss`, proc_pid_smaps(5)), since a copy of the recorder is the recorder's memory until one of them writes to it.
    pub(crate) peaks: BTreeMap<u32, u64>,
    /// CPU time of all, in seconds.
    pub(crate) cpu: f64,
    /// How long it was looked at.
    pub(crate) span: Duration,
}

impl Figures {
    /// The most memory of all together, MiB.
    pub(crate) fn mib(&self) -> u64 {
        self.peaks.values().sum::<u64>() / 1024
    }

    /// Share of one core.
    pub(crate) fn share(&self) -> f64 {
        self.cpu / self.span.as_secs_f64()
    }
}

/// Looks at a process and its children twenty times a second.
pub(crate) struct Meter {
    figures: Arc<Mutex<Figures>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Meter {
    pub(crate) fn start(pid: u32) -> Self {
        let (figures, over) = (Arc::new(Mutex::new(Figures::default())), Arc::new(AtomicBool::new(false)));
        let (told, end) = (figures.clone(), over.clone());
        let began = Instant::now();
        let mut before = BTreeMap::new();
        look(pid, true, &mut Figures::default(), &mut before);
        let mut now = before.clone();
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                let mut figures = told.lock().unwrap();
                look(pid, true, &mut figures, &mut now);
                let spent = |(pid, cpu): (&u32, &f64)| cpu - before.get(pid).copied().unwrap_or(0.0);
                figures.cpu = now.iter().map(spent).sum();
                figures.span = began.elapsed();
                drop(figures);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        Self { figures, over, thread: Some(thread) }
    }

    pub(crate) fn end(mut self) -> Figures {
        self.over.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        self.figures.lock().unwrap().clone()
    }
}

/// Reads peak memory and CPU of a process and all below it.
fn look(pid: u32, is_first: bool, figures: &mut Figures, cpu: &mut BTreeMap<u32, f64>) {
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let (file, field) = if is_first { ("status", "VmHWM:") } else { ("smaps_rollup", "Pss:") };
    let text = read(file);
    let peak = text.lines().find_map(|line| line.strip_prefix(field));
    if let Some(kib) = peak.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok()) {
        let peak = figures.peaks.entry(pid).or_default();
        *peak = kib.max(*peak);
    }
    let stat = read("stat");
    if let Some((_, fields)) = stat.rsplit_once(')') {
        // Fields 14 and 15 of proc_pid_stat(5).
        let ticks: u64 =
            fields.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
        cpu.insert(pid, ticks as f64 / rustix::param::clock_ticks_per_second() as f64);
    }
    for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
            look(child, false, figures, cpu);
        }
    }
}
