//! Records the machine inside this program for a second, and prints what begins and ends as it is seen.
//!
//! A [`Sink`] takes the record. The spool of `pofrc record` is one; this one prints, and keeps nothing.

use pofr_collect::{HostView, Recorder, Registry, Settings, Stop};
use pofr_core::{
    Sink, Source,
    collector::Opening,
    fact::{Fact, Process},
    gap::Gap,
    record::{Event, FactId, Record},
    time::WallMicros,
};
use std::{collections::HashMap, convert::Infallible, error::Error, process::Command, time::Duration};

/// Prints processes that come and go.
#[derive(Default)]
struct Printer {
    /// Processes by their numbers in the open bundle.
    live: HashMap<FactId, String>,
    /// The number of the next fact: facts are numbered as they come.
    next: u32,
    begun: Vec<String>,
    ended: Vec<String>,
}

impl Sink for Printer {
    type Error = Infallible;

    fn begin(&mut self, opening: &Opening) -> Result<Vec<Gap>, Infallible> {
        println!("a bundle begins at {}, sources: {:?}", opening.opened_wall, opening.sources);
        (self.live, self.next) = (HashMap::new(), 0);
        Ok(Vec::new())
    }

    fn accept(&mut self, record: &Record) -> Result<(), Infallible> {
        match record {
            Record::Sample(sample) => {
                for id in &sample.removed {
                    self.end(*id, sample.stamp);
                }
                for added in &sample.added {
                    // The first sample of a bundle shows everything anew.
                    self.begin_fact(&added.fact, (!sample.keyframe).then_some(sample.stamp));
                }
            }
            // What the kernel told between two samples, with exact times.
            Record::Event(Event::Began { fact, at }) => self.begin_fact(fact, Some(*at)),
            Record::Event(Event::Ended { id, at }) => self.end(*id, *at),
            Record::Event(Event::Passed { fact: Fact::Process(process), ended, .. }) => {
                println!("{ended} ± {}: came and went", name(process));
            }
            Record::Event(Event::Passed { .. } | Event::Learned(_)) => {}
            Record::Gap(gap) => println!("not known: {} ({:?})", gap.reason, gap.severity),
        }
        Ok(())
    }
}

fn name(process: &Process) -> String {
    format!("{} {}", process.key.entity.pid(), process.key.comm)
}

impl Printer {
    /// Gives a fact its number, and prints a process that is new.
    fn begin_fact(&mut self, fact: &Fact, new: Option<WallMicros>) {
        if let Fact::Process(process) = fact {
            let name = name(process);
            if let Some(at) = new {
                println!("{at} + {name}");
                self.begun.push(name.clone());
            }
            self.live.insert(FactId(self.next), name);
        }
        self.next += 1;
    }

    fn end(&mut self, id: FactId, at: WallMicros) {
        if let Some(name) = self.live.remove(&id) {
            println!("{at} - {name}");
            self.ended.push(name);
        }
    }
}

/// Records while a short process runs; returns what began and what ended.
fn run() -> Result<(Vec<String>, Vec<String>), Box<dyn Error>> {
    let view = HostView::live()?;
    let registry = Registry::built_in(&view);
    let settings = Settings { interval_micros: 50_000, ..Settings::default() };
    let mut recorder = Recorder::new(view, registry, settings, Printer::default())?;

    // The recorder runs in this thread; whatever else the program does, it does in others.
    let work = std::thread::spawn(|| {
        std::thread::sleep(Duration::from_millis(300));
        Command::new("sleep").arg("0.3").status()
    });
    let summary = recorder.run(&Stop::new()?, Some(Duration::from_millis(1_200)))?;
    work.join().map_err(|_| "the other thread panicked")??;
    println!("{} samples, {} facts", summary.samples, summary.facts);
    println!("last seen: {} processes and files", summary.last[&Source::Process]);
    let printer = recorder.into_sink();
    Ok((printer.begun, printer.ended))
}

fn main() -> Result<(), Box<dyn Error>> {
    run().map(drop)
}

#[cfg(test)]
#[test]
fn it_sees_the_process_come_and_go() {
    let (begun, ended) = run().unwrap();
    let sleeps = |names: &[String]| names.iter().any(|name| name.ends_with(" sleep"));
    assert!(sleeps(&begun) && sleeps(&ended));
}
