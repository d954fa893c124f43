//! What watching files costs those who open them: pairs of blocks, one with the built-in profile watched and drained as the
//! recorder does, one without. In ns of the opener's own CPU time, which others on the machine change little, for one open(2)
//! and close(2) to read: medians, and of the differences within a pair the median and the quartiles. A difference whose
//! quartiles lie on both sides of 0 is none.

use pofr_collect::{
    HostView,
    events::{FileEvents, Watch},
};
use pofr_core::EventSource;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    time::{ClockId, clock_gettime},
};
use std::{
    fs::File,
    hint::black_box,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

const PAIRS: usize = 60;
const OPENS: u32 = 1_000;

/// Watches, and takes what comes as a recorder between two ticks.
struct Watching {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Watching {
    fn start(view: &HostView, watches: Vec<Watch>) -> Self {
        let mut events = FileEvents::open(view, watches).expect("fanotify, which takes CAP_SYS_ADMIN");
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut notices = Vec::new();
            while !told.load(Ordering::Relaxed) {
                let fd = events.descriptor();
                let _ = poll(
                    &mut [PollFd::new(&fd, PollFlags::IN)],
                    Some(&Timespec { tv_sec: 0, tv_nsec: 5_000_000 }),
                );
                events.drain(&mut notices).expect("events");
            }
            notices.len()
        });
        Self { stop, thread }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the thread that drains");
    }
}

/// The CPU time of this thread, ns.
fn cpu() -> i64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// Opens and closes a file; returns ns for each.
fn block(path: &Path) -> f64 {
    let start = cpu();
    for _ in 0..OPENS {
        black_box(File::open(path).expect("a file that can be read"));
    }
    (cpu() - start) as f64 / f64::from(OPENS)
}

fn quartiles(mut of: Vec<f64>) -> [f64; 3] {
    of.sort_by(f64::total_cmp);
    [of.len() / 4, of.len() / 2, of.len() * 3 / 4].map(|i| of[i])
}

fn compare(what: &str, path: &Path, watches: &dyn Fn() -> Vec<Watch>) {
    let view = HostView::live().expect("a machine");
    let (mut without, mut with, mut difference) = (Vec::new(), Vec::new(), Vec::new());
    block(path);
    for pair in 0..PAIRS {
        let watched = || {
            let watching = Watching::start(&view, watches());
            let time = block(path);
            watching.stop();
            time
        };
        // Whatever drifts favours each as often as the other.
        let (a, b) = if pair % 2 == 0 {
            let a = block(path);
            (a, watched())
        } else {
            let b = watched();
            (block(path), b)
        };
        without.push(a);
        with.push(b);
        difference.push(b - a);
    }
    let [low, median, high] = quartiles(difference);
    let (without, with) = (quartiles(without)[1], quartiles(with)[1]);
    println!("{what:48} {without:7.0} {with:7.0}   {median:+7.0} ({low:+.0} to {high:+.0})");
}

fn main() {
    let view = HostView::live().expect("a machine");
    let dir = tempfile::tempdir().expect("a directory");
    let file = |name: &str| -> PathBuf {
        let path = dir.path().join(name);
        std::fs::write(&path, "x").expect("a file");
        path
    };
    let (elsewhere, below) = (file("elsewhere"), file("below"));
    let profile = || Watch::sensitive(&view);
    let secrets = || Watch::secrets(&view);
    println!("{:48} {:>7} {:>7}   {:>7}", "ns for open + close", "without", "with", "difference");
    compare("nothing watched: what the method itself shows", &elsewhere, &Vec::new);
    compare("the profile; a file elsewhere", &elsewhere, &profile);
    compare("the profile; /etc/hosts, beside what is watched", Path::new("/etc/hosts"), &profile);
    compare("the profile; /etc/passwd, watched for changes", Path::new("/etc/passwd"), &profile);
    compare("the secrets; /etc/shadow, openings watched", Path::new("/etc/shadow"), &secrets);
    compare("a directory watched for changes", &below, &|| vec![Watch::changes(dir.path())]);
    compare("a directory, openings watched", &below, &|| vec![Watch::opens(dir.path())]);
}
