//! Processes of an ordinary user that keep whoever reads them waiting for ever: the samples go on, they are told as unreadable, and
//! read again once they can be.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]

mod silence;

use pofr_collect::{
    HostView,
    samplers::{Context, ProcessSampler},
};
use pofr_core::{
    Collector as _,
    collector::Observation,
    fact::{Fact, FileKey, Process},
};
use silence::{Attacker, Silence};
use std::{
    process::{Child, Command},
    sync::mpsc::{Receiver, Sender, channel},
    time::{Duration, Instant},
};

/// Samples in a thread of its own, so that a sampler that hangs fails the test and not the machine.
struct Samples {
    ask: Sender<()>,
    seen: Receiver<Observation>,
}

impl Samples {
    fn of(make: fn(&Context) -> ProcessSampler) -> Self {
        let (ask, asked) = channel();
        let (tell, seen) = channel();
        std::thread::spawn(move || {
            let view = HostView::live().unwrap();
            view.exclude_self();
            let mut sampler = make(&Context::new(view));
            while asked.recv().is_ok() {
                let mut seen = Observation::default();
                sampler.sample(&mut seen).unwrap();
                if tell.send(seen).is_err() {
                    return;
                }
            }
        });
        Self { ask, seen }
    }

    /// Takes a sample.
    fn take(&self) -> Observation {
        self.ask.send(()).unwrap();
        self.seen.recv_timeout(Duration::from_secs(30)).expect("a sample waits for another's filesystem")
    }

    /// Takes samples until one shows what is looked for.
    fn until<T>(&self, what: &str, found: impl Fn(&Observation) -> Option<T>) -> T {
        let until = Instant::now() + Duration::from_secs(120);
        while Instant::now() < until {
            if let Some(found) = found(&self.take()) {
                return found;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{what}: not within two minutes");
    }
}

const WAYS: [fn(&Context) -> ProcessSampler; 3] =
    [ProcessSampler::new, ProcessSampler::by_taskstats, ProcessSampler::full_scan];

fn process(seen: &Observation, pid: u32) -> Option<&Process> {
    seen.facts.iter().find_map(|fact| match fact {
        Fact::Process(process) if process.key.entity.pid().0 == pid => Some(&**process),
        _ => None,
    })
}

fn files(seen: &Observation, pid: u32) -> Vec<&FileKey> {
    let files = seen.facts.iter().filter_map(|fact| match fact {
        Fact::File(file) if file.key.entity.pid().0 == pid => Some(&file.key),
        _ => None,
    });
    files.collect()
}

/// Tells whether a gap says that a process is unreadable.
fn names(seen: &Observation, pid: u32) -> bool {
    let named = format!(" {pid} (");
    seen.gaps.iter().any(|gap| gap.reason.starts_with("unreadable: ") && gap.reason.contains(&named))
}

/// A process of which all is known.
struct Bystander(Child);

impl Bystander {
    fn start() -> Self {
        Self(Command::new("/bin/sleep").arg("1000").spawn().unwrap())
    }

    fn is_whole_in(&self, seen: &Observation) -> bool {
        let arguments = process(seen, self.0.id()).and_then(Process::arguments);
        arguments.is_some_and(|arguments| arguments.as_bytes().ends_with(b"sleep\x001000\0"))
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Has a process keep its readers waiting by its arguments, and looks at the samples of it and of another meanwhile and after.
fn keeps_its_readers_waiting(kind: &str, options: &[&str]) {
    for make in WAYS {
        let mut silence = Silence::mount(options);
        let attacker = Attacker::start(kind, silence.file().to_str().unwrap());
        std::thread::sleep(Duration::from_millis(500));
        let bystander = Bystander::start();
        let samples = Samples::of(make);
        // A process that has just begun may be seen in the middle of that.
        samples.until("the other process", |seen| bystander.is_whole_in(seen).then_some(()));
        let samples = Samples::of(make);
        let seen = samples.take();
        let told = process(&seen, attacker.pid()).expect("it is there");
        assert!(told.key.marks.unreadable && told.arguments().is_none(), "{kind}: {told:?}");
        assert!(names(&seen, attacker.pid()), "{kind}: {:?}", seen.gaps);
        assert!(bystander.is_whole_in(&seen));
        // It is not asked at every tick: the next sample is as quick as any.
        for _ in 0..3 {
            samples.take();
        }
        silence.end();
        samples.until("it is readable again", |seen| {
            process(seen, attacker.pid()).filter(|told| !told.key.marks.unreadable).map(|_| ())
        });
        samples.until("the gap ends", |seen| (!names(seen, attacker.pid())).then_some(()));
    }
}

#[test]
fn arguments_on_a_page_that_never_comes_hold_nobody_up() {
    for make in WAYS {
        let silence = Silence::mount(&["--never", "read"]);
        let attacker = Attacker::start("arguments", silence.file().to_str().unwrap());
        let bystander = Bystander::start();
        let samples = Samples::of(make);
        for _ in 0..3 {
            let seen = samples.take();
            if let Some(told) = process(&seen, attacker.pid()) {
                assert!(told.arguments().is_none() && told.key.marks.unreadable, "{told:?}");
            }
        }
        assert!(bystander.is_whole_in(&Samples::of(make).take()));
    }
}

#[test]
fn a_process_whose_memory_is_locked_holds_nobody_up() {
    keeps_its_readers_waiting("memory", &["--never", "read", "--second-direct"]);
}

#[test]
fn a_process_that_cannot_close_a_file_while_it_runs_another_program_holds_nobody_up() {
    for make in WAYS {
        let mut silence = Silence::mount(&["--never", "flush"]);
        let attacker = Attacker::start("exec", silence.file().to_str().unwrap());
        std::thread::sleep(Duration::from_millis(500));
        let bystander = Bystander::start();
        let samples = Samples::of(make);
        let seen = samples.take();
        assert!(names(&seen, attacker.pid()), "{:?}", seen.gaps);
        let samples = Samples::of(make);
        samples.until("the other process", |seen| bystander.is_whole_in(seen).then_some(()));
        silence.end();
        samples.until("it is readable", |seen| {
            process(seen, attacker.pid()).and_then(Process::arguments).map(|_| ())
        });
    }
}

#[test]
fn a_removed_file_of_a_silent_filesystem_is_told_as_the_kernel_tells_it() {
    for make in WAYS {
        let mut silence = Silence::mount(&[]);
        let path = silence.file();
        let attacker = Attacker::start("deleted", path.to_str().unwrap());
        std::fs::remove_file(&path).unwrap();
        silence.begin();
        let samples = Samples::of(make);
        let seen = samples.take();
        let told = process(&seen, attacker.pid()).expect("it is there");
        assert!(told.key.marks.unreadable && told.arguments().is_some(), "{told:?}");
        let files = files(&seen, attacker.pid());
        let file = files.iter().find(|file| file.path.as_bytes() == path.as_os_str().as_encoded_bytes());
        assert!(file.is_some_and(|file| file.deleted), "{files:?}");
        assert!(names(&seen, attacker.pid()));
        silence.end();
        samples.until("it is readable again", |seen| {
            process(seen, attacker.pid()).filter(|told| !told.key.marks.unreadable).map(|_| ())
        });
    }
}

#[test]
fn a_gigabyte_of_arguments_is_cut_and_its_length_told() {
    const LENGTH: u64 = 1 << 30;
    let attacker = Attacker::start("huge", &LENGTH.to_string());
    for make in WAYS {
        let seen = Samples::of(make).take();
        let told = process(&seen, attacker.pid()).expect("it is there");
        let cut = told.key.marks.arguments_cut.expect("it is cut");
        assert_eq!((cut.bytes, cut.sha256, told.key.marks.unreadable), (LENGTH, None, false));
        assert_eq!(told.arguments().map(|arguments| arguments.as_bytes().len()), Some(32 << 10));
    }
}
