//! The three ways to take a sample.

use anyhow::Context as _;
use pofr_collect::{
    HostView,
    samplers::{Context, EndpointSampler, ProcessSampler},
};
use pofr_core::{
    Collector, Source,
    collector::{Audit, Extent, Observation},
    diff::Differ,
    gap::Gap,
    record::Record,
    time::WallMicros,
    wire::v2,
};
use std::hint::black_box;

/// What our own samplers do at a tick, as a recorder would ask them.
pub(crate) struct Samplers {
    process: ProcessSampler,
    endpoint: EndpointSampler,
}

/// Both readings of one tick.
pub(crate) struct Reading {
    pub(crate) process: Observation,
    pub(crate) endpoint: Observation,
}

impl Samplers {
    /// Makes those that read only what may have changed, by what the kernel tells best or, if wanted so, by taskstats.
    pub(crate) fn incremental(view: &HostView, taskstats: bool) -> Self {
        let context = Context::new(view.clone());
        let process =
            if taskstats { ProcessSampler::by_taskstats(&context) } else { ProcessSampler::new(&context) };
        Self { process, endpoint: EndpointSampler::new(&context) }
    }

    /// Makes those that read everything.
    pub(crate) fn full_scan(view: &HostView) -> Self {
        let context = Context::new(view.clone());
        Self { process: ProcessSampler::full_scan(&context), endpoint: EndpointSampler::new(&context) }
    }

    /// Reads once.
    pub(crate) fn sample(&mut self) -> anyhow::Result<Reading> {
        let mut reading = Reading { process: Observation::default(), endpoint: Observation::default() };
        self.process.sample(&mut reading.process)?;
        self.endpoint.sample(&mut reading.endpoint)?;
        Ok(reading)
    }

    /// Reads once, all endpoints too.
    pub(crate) fn sample_all(&mut self) -> anyhow::Result<Reading> {
        self.endpoint.restart();
        self.sample()
    }

    /// Says what is not as usual.
    pub(crate) fn note(&self) -> Option<String> {
        self.process.note()
    }
}

/// Writes readings as the recorder does: differ, wire format, zstd.
pub(crate) struct Writer {
    differ: Differ,
    encoder: v2::Encoder,
    stamp: WallMicros,
    pub(crate) bytes: usize,
    pub(crate) audit: Audit,
    pub(crate) gaps: Vec<Gap>,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self {
            differ: Differ::default(),
            encoder: v2::Encoder::new(&pofr_benches::header(1)),
            stamp: pofr_benches::stamp(0),
            bytes: 0,
            audit: Audit::default(),
            gaps: Vec::new(),
        }
    }

    /// Writes a reading.
    pub(crate) fn write(&mut self, reading: Reading) -> anyhow::Result<()> {
        self.stamp = self.stamp.plus(300_000);
        for (source, mut seen) in [(Source::Process, reading.process), (Source::Endpoint, reading.endpoint)] {
            self.audit += seen.audit;
            if seen.audit.misses > 0 {
                self.tell_misses(&seen);
            }
            for gap in std::mem::take(&mut seen.gaps) {
                self.encoder.push(&Record::Gap(gap.clone()));
                self.gaps.push(gap);
            }
            self.encoder.push(&Record::Sample(self.differ.observe(&source, self.stamp, 0, seen)?));
        }
        Ok(())
    }

    /// Prints what of a reading was found late: what was believed, and what is so.
    fn tell_misses(&self, seen: &Observation) {
        let Extent::Subjects(read) = &seen.extent else { return };
        for subject in read.iter().filter(|reread| reread.since.is_some()).map(|reread| reread.subject) {
            let before: Vec<_> = self.differ.shown(&Source::Process).facts().collect();
            let before = before.into_iter().filter(|fact| fact.subject() == subject);
            let now: Vec<_> = seen.facts.iter().filter(|fact| fact.subject() == subject).collect();
            println!("found late: {subject:?}");
            let (gone, same): (Vec<_>, Vec<_>) = before.partition(|fact| !now.iter().any(|n| n.same(fact)));
            gone.iter().for_each(|fact| println!("- {fact:?}"));
            now.iter().filter(|n| !same.iter().any(|fact| n.same(fact))).for_each(|n| println!("+ {n:?}"));
        }
    }

    /// Ends a frame, as the recorder does once a second.
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        self.bytes += self.encoder.flush()?.len();
        Ok(())
    }
}

/// Reads what a sample holds by the `procfs` crate, as its documentation shows.
pub(crate) fn plain() -> anyhow::Result<usize> {
    let mut count = 0;
    for process in procfs::process::all_processes().context("cannot read /proc")? {
        // A process that vanishes is passed over.
        let Ok(process) = process else { continue };
        let Ok(stat) = process.stat() else { continue };
        black_box((process.status().ok(), process.cmdline().ok(), process.exe().ok(), process.cwd().ok()));
        black_box((process.cgroups().ok(), process.loginuid().ok(), process.namespaces().ok()));
        black_box(stat.starttime);
        for file in process.fd().into_iter().flatten() {
            count += usize::from(black_box(file).is_ok());
        }
    }
    for table in [procfs::net::tcp, procfs::net::tcp6] {
        count += black_box(table().unwrap_or_default()).len();
    }
    for table in [procfs::net::udp, procfs::net::udp6] {
        count += black_box(table().unwrap_or_default()).len();
    }
    Ok(count)
}
