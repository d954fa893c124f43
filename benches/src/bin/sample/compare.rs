//! The comparison: at 3.3 and at 20 Hz, every way takes a sample in every tick, one after the other.

use crate::{
    Cli, first,
    load::Running,
    ways::{self, Samplers, Writer},
};
use comfy_table::{CellAlignment, Table};
use pofr_collect::HostView;
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// How long a bundle is.
const BUNDLE: Duration = Duration::from_secs(45);
/// How long the rolling audit takes to come round.
const FIRST_ROUND: Duration = Duration::from_secs(31);

/// CPU time of one way, ms a sample.
#[derive(Debug, Default)]
struct Cost(Vec<f64>);

impl Cost {
    /// Does something and notes what CPU time this process spent on it.
    fn of<T>(&mut self, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let before = cpu_millis();
        let result = work()?;
        self.0.push(cpu_millis() - before);
        Ok(result)
    }

    fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len().max(1) as f64
    }

    fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
    }
}

fn cpu_millis() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

/// Runs the load and the comparison, and prints it.
pub(crate) fn run(cli: &Cli) -> anyhow::Result<()> {
    let size = cli.size;
    let load = Running::start(&[
        "machine".to_owned(),
        format!("--processes={}", size.processes),
        format!("--files={}", size.files),
        format!("--connections={}", size.connections),
        format!("--active={}", size.active),
    ])?;
    let view = HostView::live()?;
    view.exclude_self();
    println!("{size:?}");
    // Alone first, since the plain way needs more memory than this one may.
    let mut alone = Samplers::incremental(&view, cli.taskstats);
    for _ in 0..20 {
        alone.sample()?;
    }
    println!("{} of the incremental samplers alone", resident()?);
    if let Some(note) = alone.note() {
        println!("not incremental: {note}");
    }
    drop(alone);
    for interval in cli.intervals.iter().map(|ms| Duration::from_millis(*ms)) {
        print(&measure(&view, interval, cli)?, interval);
    }
    drop(load);
    Ok(())
}

/// Names, and what each costs.
type Costs = [(&'static str, Cost); 4];

fn measure(view: &HostView, interval: Duration, cli: &Cli) -> anyhow::Result<Costs> {
    let (mut incremental, mut full) = (Samplers::incremental(view, cli.taskstats), Samplers::full_scan(view));
    let (mut writer, mut facts, mut files) = (Writer::new(), 0, 0);
    let [mut plain, mut scan, mut sample, mut record] = <[Cost; 4]>::default();
    let mut first_bytes = Vec::new();
    let beginning = warm_up(&mut incremental, &mut writer, interval)?;
    let start = Instant::now();
    let mut due = start;
    // The plain way does not fit into short intervals.
    let every = if interval < Duration::from_millis(200) { 10 } else { 1 };
    for turn in 1_u64.. {
        due += interval;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if start.elapsed().as_secs() >= cli.seconds {
            break;
        }
        let reading = sample.of(|| incremental.sample())?;
        let flush = Duration::from_secs(1).as_nanos() / interval.as_nanos();
        record.of(|| {
            writer.write(reading)?;
            if u128::from(turn).is_multiple_of(flush) { writer.flush() } else { Ok(()) }
        })?;
        if !cli.alone && turn.is_multiple_of(every) {
            let all = scan.of(|| full.sample_all())?;
            facts = all.process.facts.len() + all.endpoint.facts.len();
            files = plain.of(ways::plain)?;
            // They are all of one size; some tell.
            if scan.0.len() % 20 == 1 {
                first_bytes.push(first::snapshot_bytes(&all)?);
            }
        }
        // What was late is not made up for.
        due = due.max(Instant::now() - interval);
    }
    println!("\n{facts} facts, {files} files and sockets by procfs; audit: {:?}", writer.audit);
    // Every bundle begins with all that there is.
    let a_bundle = usize::try_from(BUNDLE.as_nanos() / interval.as_nanos())?;
    let bytes = writer.bytes / sample.0.len().max(1) + beginning / a_bundle;
    let first_bytes = first_bytes.iter().sum::<usize>() / first_bytes.len().max(1);
    println!(
        "{bytes} B a sample by differ and zstd, {beginning} B at the beginning of each bundle included, {} KiB a day; {first_bytes} B by gzip of whole snapshots, {} × as much",
        (bytes as u128 * Duration::from_secs(86_400).as_nanos() / interval.as_nanos()) >> 10,
        first_bytes / bytes.max(1)
    );
    let both = Cost(sample.0.iter().zip(&record.0).map(|(a, b)| a + b).collect());
    Ok([
        ("plain procfs crate", plain),
        ("full raw scan", scan),
        ("incremental", sample),
        ("incremental, differ, wire", both),
    ])
}

/// Does what is done once in a recorder's life: the first reading, which is a whole one, and the first audit of each process, which
/// looks behind its descriptors. Returns the bytes of the first reading.
fn warm_up(samplers: &mut Samplers, writer: &mut Writer, interval: Duration) -> anyhow::Result<usize> {
    let start = Instant::now();
    writer.write(samplers.sample()?)?;
    writer.flush()?;
    let beginning = writer.bytes;
    while start.elapsed() < FIRST_ROUND {
        writer.write(samplers.sample()?)?;
        std::thread::sleep(interval);
    }
    writer.flush()?;
    writer.bytes = 0;
    Ok(beginning)
}

fn print(costs: &Costs, interval: Duration) {
    let hertz = 1.0 / interval.as_secs_f64();
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::ASCII_MARKDOWN);
    let share = format!("% of a core at {hertz:.1} Hz");
    table.set_header(["way", "samples", "mean ms", "median ms", share.as_str(), "× of plain", "× of scan"]);
    let (plain, scan) = (costs[0].1.mean(), costs[1].1.mean());
    for (name, cost) in costs {
        let mean = cost.mean();
        table.add_row([
            (*name).to_owned(),
            cost.0.len().to_string(),
            format!("{mean:.3}"),
            format!("{:.3}", cost.median()),
            format!("{:.2}", mean * hertz / 10.0),
            format!("{:.1}", plain / mean),
            format!("{:.1}", scan / mean),
        ]);
    }
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    println!("{table}");
}

fn resident() -> anyhow::Result<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    Ok(line.split_whitespace().skip(1).collect::<Vec<_>>().join(" "))
}
