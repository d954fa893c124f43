//! What is printed: for each class of short things, what share of them each contestant knows, and what it cost.

use super::{
    Arguments,
    truth::{Class, Truth},
};
use std::collections::BTreeMap;

/// What is known of one process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Recall {
    /// That it was there.
    pub(crate) seen: bool,
    /// When it was made.
    pub(crate) begin: bool,
    /// When it ran its program.
    pub(crate) exec: bool,
    /// Its own name, and its user.
    pub(crate) name: bool,
    /// With what arguments.
    pub(crate) arguments: bool,
    /// When it ended.
    pub(crate) end: bool,
    /// With what code.
    pub(crate) code: bool,
    /// What it used.
    pub(crate) totals: bool,
}

/// So many of so many.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Share {
    known: u64,
    all: u64,
}

impl Share {
    /// Counts one.
    pub(crate) fn count(&mut self, known: bool) {
        self.known += u64::from(known);
        self.all += 1;
    }

    fn text(self) -> String {
        match (self.known, self.all) {
            (_, 0) => "-".to_owned(),
            (known, all) if known == all => "all".to_owned(),
            (0, _) => "none".to_owned(),
            // Never rounded up to all.
            (known, all) => format!("{:.2} %", (10_000 * known / all) as f64 / 100.0),
        }
    }
}

/// What is known of the processes of a class.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Recalls([Share; 8]);

impl Recalls {
    const NAMES: [&'static str; 8] =
        ["seen", "fork", "exec", "name, user", "arguments", "end", "exit code", "CPU, I/O"];

    /// Counts a process.
    pub(crate) fn add(&mut self, of: &Recall) {
        let known = [of.seen, of.begin, of.exec, of.name, of.arguments, of.end, of.code, of.totals];
        self.0.iter_mut().zip(known).for_each(|(share, known)| share.count(known));
    }
}

/// All that a contestant knows.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Processes.
    pub(crate) lives: BTreeMap<Class, Recalls>,
    /// Files that those had open.
    pub(crate) held: BTreeMap<Class, Share>,
    /// Files that a long-lived process opened.
    pub(crate) opened: BTreeMap<Class, Share>,
    /// The client's and the server's ends of connections: addresses and ports, and the end.
    pub(crate) connections: [(Share, Share); 2],
}

/// A contestant.
#[derive(Debug)]
pub(crate) struct Column {
    name: String,
    /// What it cost, µs of CPU.
    cpu_micros: u64,
    speed: (f64, f64),
    pub(crate) found: Found,
    /// What else is to be said, or why it did not take part.
    pub(crate) notes: Vec<String>,
    took_part: bool,
}

impl Column {
    pub(crate) fn new(name: &str, cpu_micros: u64, truth: &Truth) -> Self {
        let flood = truth.lives.iter().filter(|life| life.class == Class::Flood).count();
        let rate = |count: usize, micros: u64| count as f64 * 1e6 / micros.max(1) as f64;
        let speed =
            (rate(flood, truth.flood_micros), rate(truth.connections.len(), truth.connections_micros));
        Self {
            name: name.to_owned(),
            cpu_micros,
            speed,
            found: Found::default(),
            notes: Vec::new(),
            took_part: true,
        }
    }

    /// Says why a contestant is not there.
    pub(crate) fn absent(name: &str, why: impl Into<String>) -> Self {
        Self { took_part: false, notes: vec![why.into()], ..Self::new(name, 0, &Truth::default()) }
    }
}

/// Says where and how this runs.
pub(crate) fn machine(arguments: &Arguments) {
    let uname = rustix::system::uname();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{} {}, {cpus} CPUs", uname.sysname().to_string_lossy(), uname.release().to_string_lossy());
    println!(
        "storm: {} processes at once, {} s of {} processes a second, {} connections; samples every {} ms\n",
        arguments.flood, arguments.steady, arguments.rate, arguments.connections, arguments.interval
    );
}

/// Prints all contestants side by side.
pub(crate) fn print(columns: &[Column]) {
    let present: Vec<&Column> = columns.iter().filter(|column| column.took_part).collect();
    line("", present.iter().map(|column| column.name.clone()));
    let classes: Vec<Class> = present.iter().flat_map(|c| c.found.lives.keys()).copied().collect();
    let classes: std::collections::BTreeSet<Class> = classes.into_iter().collect();
    for class in &classes {
        println!("\n{}", text(*class));
        for (at, name) in Recalls::NAMES.iter().enumerate() {
            let share = |c: &&Column| c.found.lives.get(class).map_or_else(|| "-".into(), |r| r.0[at].text());
            line(name, present.iter().map(share));
        }
        let files = |c: &&Column| c.found.held.get(class).map_or_else(|| "-".into(), |s| s.text());
        line("file it held", present.iter().map(files));
        let files = |c: &&Column| c.found.opened.get(class).map_or_else(|| "-".into(), |s| s.text());
        line("file another held so long", present.iter().map(files));
    }
    println!("\nconnections");
    for (side, name) in ["client", "server"].iter().enumerate() {
        line(&format!("{name}: seen"), present.iter().map(|c| c.found.connections[side].0.text()));
        line(&format!("{name}: end"), present.iter().map(|c| c.found.connections[side].1.text()));
    }
    println!("\ncost");
    line("CPU", present.iter().map(|c| format!("{:.2} s", c.cpu_micros as f64 / 1e6)));
    line("processes/s of the flood", present.iter().map(|c| format!("{:.0}", c.speed.0)));
    line("connections/s", present.iter().map(|c| format!("{:.0}", c.speed.1)));
    println!();
    for column in columns {
        for note in &column.notes {
            println!("{}: {note}", column.name);
        }
    }
}

fn text(class: Class) -> String {
    match class {
        Class::Flood => "processes as fast as possible".to_owned(),
        Class::Steady(millis) => format!("processes of {millis} ms"),
    }
}

fn line(name: &str, cells: impl Iterator<Item = String>) {
    let cells: String = cells.map(|cell| format!("{cell:>20}")).collect();
    println!("  {name:<26}{cells}");
}
