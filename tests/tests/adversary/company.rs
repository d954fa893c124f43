//! Who else is on the machine: processes that a test starts as an ordinary user, and what they say.

use crate::scene::Scene;
use pofr_tests::programs::program;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::{
    ffi::OsStr,
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long anything may take to come up on a machine that has much else to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A process of the test's, and all that it starts: they are a process group of their own, which ends with this.
pub(crate) struct Companion {
    child: Child,
    /// What it says.
    said: PathBuf,
}

impl Companion {
    /// Starts a command; what it says is kept beside `scene`'s files.
    pub(crate) fn start(scene: &Scene, name: &str, command: &mut Command) -> Self {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let n = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let said = scene.path(&format!("{n}-{name}.log"));
        let file = File::create(&said).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).process_group(0);
        Self { child: command.spawn().unwrap(), said }
    }

    /// Starts a program as a user, who may have so many descriptors.
    pub(crate) fn as_user<S: AsRef<OsStr>>(
        scene: &Scene,
        uid: u32,
        descriptors: u32,
        program: &Path,
        words: &[S],
    ) -> Self {
        let mut command = Command::new("prlimit");
        command.arg(format!("--nofile={descriptors}:{descriptors}")).args(["setpriv", "--clear-groups"]);
        command.args([format!("--reuid={uid}"), format!("--regid={uid}")]);
        command
            .args(["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--"])
            .arg(program)
            .args(words);
        command.current_dir("/");
        Self::start(scene, &program.file_name().unwrap_or_default().to_string_lossy(), &mut command)
    }

    /// The process's id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells whether it has not ended.
    pub(crate) fn is_there(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.said).unwrap_or_default()).into_owned()
    }

    /// Waits until it has said this.
    #[track_caller]
    pub(crate) fn until_it_says(&mut self, text: &str) {
        let began = Instant::now();
        while !self.said().contains(text) {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none_or(|_| self.said().contains(text)),
                "it ended ({ended:?}) without saying {text:?}: {}",
                self.said()
            );
            assert!(began.elapsed() < PATIENCE, "it never says {text:?}: {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn end(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let began = Instant::now();
        while self.child.try_wait().unwrap().is_none() && began.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.kill();
    }

    /// Ends all of them: who forks in between is met again.
    pub(crate) fn kill(&mut self) {
        let group = Pid::from_child(&self.child);
        let began = Instant::now();
        while kill_process_group(group, Signal::KILL).is_ok() && began.elapsed() < Duration::from_secs(10) {
            let _ = self.child.try_wait();
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.wait();
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What the bystander says that it did.
pub(crate) struct Truth {
    /// Numbers and process ids of the short programs that ran to their end.
    pub(crate) ran: Vec<(u32, u32)>,
    /// Where it listens.
    pub(crate) port: u16,
}

/// Starts the bystander.
pub(crate) fn bystander(scene: &Scene) -> Companion {
    let program = scene.compile("bystander");
    let mut bystander =
        Companion::as_user(scene, crate::scene::BYSTANDER, 1024, &program, &[scene.path("bystander")]);
    bystander.until_it_says("ran 0 ");
    bystander
}

/// Reads what it said.
pub(crate) fn truth(bystander: &Companion) -> Truth {
    let mut truth = Truth { ran: Vec::new(), port: 0 };
    for line in bystander.said().lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["ran", number, pid] => truth.ran.push((number.parse().unwrap(), pid.parse().unwrap())),
            ["port", port] => truth.port = port.parse().unwrap(),
            _ => panic!("the bystander says {line}"),
        }
    }
    truth
}

/// Runs `pofrs` on a data directory.
pub(crate) fn pofrs(data: &Path, words: &[&str]) -> std::process::Output {
    let mut pofrs = Command::new(program("pofrs"));
    pofrs.arg("--data-dir").arg(data).arg("--db").arg(format!("sqlite:{}", data.join("db").display()));
    pofrs.args(words).output().unwrap()
}
