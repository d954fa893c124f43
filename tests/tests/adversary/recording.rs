//! A recording that is attacked: the recorder, the bystander beside it, and what is asked of the recorder at its end.

use crate::{
    company::{Companion, bystander, pofrs, truth},
    meter::Meter,
    record::Record,
    scene::Scene,
};
use pofr_core::time::WallMicros;
use std::{
    os::unix::process::CommandExt as _,
    path::Path,
    process::Command,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// How soon a recorder must have ended after SIGTERM, on a machine with much else to do.
const END: Duration = Duration::from_secs(10);

/// A recording under way.
pub(crate) struct Recording {
    pub(crate) scene: Scene,
    recorder: Companion,
    bystander: Companion,
    meter: Option<Meter>,
    companions: Vec<Companion>,
    began: WallMicros,
    /// What a recorder says as it ends.
    last_words: &'static str,
}

/// The wall clock.
pub(crate) fn now() -> WallMicros {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    WallMicros(i64::try_from(now.as_micros()).unwrap())
}

/// Waits for some seconds.
pub(crate) fn rest(seconds: f64) {
    std::thread::sleep(Duration::from_secs_f64(seconds));
}

/// Starts a recorder and waits until it says that it records.
fn recorder(scene: &Scene) -> Companion {
    let mut recorder = Companion::start(scene, "pofrc", &mut scene.start());
    recorder.until_it_says("recording: process");
    recorder
}

impl Recording {
    /// Starts recorder and bystander.
    pub(crate) fn begin(scene: Scene) -> Self {
        let recorder = recorder(&scene);
        let bystander = bystander(&scene);
        // What a start costs is not what an attack costs.
        rest(0.7);
        let meter = Some(Meter::start(recorder.pid()));
        Self { scene, recorder, bystander, meter, companions: Vec::new(), began: now(), last_words: "ended:" }
    }

    /// Has the recorders end while there is no room: what they hold in memory cannot be written, which they must say.
    pub(crate) fn without_room_to_the_last(&mut self) {
        self.last_words = "could not be written: ";
    }

    /// Starts a compiled attack as the attacker, and waits until it says `ready`, where it is not empty; returns its process id.
    pub(crate) fn attack(&mut self, name: &str, words: &[&str], ready: &str) -> u32 {
        self.attack_with(1024, name, words, ready)
    }

    /// The same with so many descriptors.
    pub(crate) fn attack_with(&mut self, descriptors: u32, name: &str, words: &[&str], ready: &str) -> u32 {
        let program = self.scene.compile(name);
        let attack = Companion::as_user(&self.scene, crate::scene::ATTACKER, descriptors, &program, words);
        self.keep(attack, ready)
    }

    /// Starts any program as the attacker; returns its process id.
    pub(crate) fn run<S: AsRef<std::ffi::OsStr>>(&mut self, program: &Path, words: &[S]) -> u32 {
        let attack = Companion::as_user(&self.scene, crate::scene::ATTACKER, 1024, program, words);
        self.keep(attack, "")
    }

    /// Starts a Python program of `attacks/` as the attacker.
    pub(crate) fn script(&mut self, name: &str, words: &[&str], ready: &str) -> u32 {
        let source = crate::scene::source(&format!("{name}.py"));
        // What the attacker runs must be where he can read it.
        let copy = self.scene.path(&format!("{name}.py"));
        std::fs::copy(source, &copy).unwrap();
        let words = [&[copy.to_str().unwrap()], words].concat();
        let attack = Companion::as_user(&self.scene, crate::scene::ATTACKER, 4096, python(), &words);
        self.keep(attack, ready)
    }

    /// Starts a command as root: what a test has to set up for the attacker.
    pub(crate) fn arrange(&mut self, command: &mut Command, ready: &str) -> u32 {
        let companion = Companion::start(&self.scene, "arranged", command);
        self.keep(companion, ready)
    }

    fn keep(&mut self, mut companion: Companion, ready: &str) -> u32 {
        companion.until_it_says(ready);
        let pid = companion.pid();
        self.companions.push(companion);
        pid
    }

    /// What the companion of that id has said.
    pub(crate) fn said(&self, pid: u32) -> String {
        self.companions.iter().find(|c| c.pid() == pid).unwrap().said()
    }

    /// The recorder's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.recorder.pid()
    }

    /// Ends the recorder while the attack goes on, then the attack; starts the recorder once more; lets the server take it all.
    pub(crate) fn end(mut self) -> Record {
        let mut faults = Vec::new();
        let ended = now();
        let figures = self.meter.take().unwrap().end();
        self.bystander.end();
        let truth = truth(&self.bystander);
        if !alive(self.recorder.pid()) {
            faults.push(format!("the recorder ended by itself: {}", self.recorder.said()));
        }
        let asked = Instant::now();
        terminate(self.recorder.pid());
        while alive(self.recorder.pid()) && asked.elapsed() < END {
            rest(0.01);
        }
        if alive(self.recorder.pid()) {
            faults.push(format!("{END:?} after SIGTERM the recorder is still there"));
        } else if !self.recorder.said().contains(self.last_words) {
            faults.push(format!("the recorder did not end well: {}", self.recorder.said()));
        }
        self.recorder.kill();
        // The next start must do with what the attack has left, and with the attacker himself.
        if let Err(fault) = again(&self.scene, self.last_words) {
            faults.push(fault);
        }
        self.companions.drain(..).for_each(drop);
        let data = self.scene.path("data");
        faults.extend(ingest(&self.scene, &data));
        Record::read(self.scene, &data, faults, (self.began, ended), truth, figures)
    }
}

/// Tells whether a process is there and not a zombie.
fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, fields)| !fields.starts_with(['Z', 'X']))
}

fn terminate(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

/// Starts the recorder again, for a second.
fn again(scene: &Scene, last_words: &str) -> Result<(), String> {
    let mut command = scene.start();
    let mut next = Companion::start(scene, "pofrc-again", command.process_group(0));
    let began = Instant::now();
    while !next.said().contains("recording: process") {
        if !alive(next.pid()) || began.elapsed() > crate::company::PATIENCE {
            return Err(format!("the next start fails: {}", next.said()));
        }
        rest(0.02);
    }
    rest(1.0);
    next.end();
    if next.said().contains(last_words) {
        Ok(())
    } else {
        Err(format!("the next recording does not end well: {}", next.said()))
    }
}

/// Lets a server take what lies in the spool; returns what it did not like.
fn ingest(scene: &Scene, data: &Path) -> Option<String> {
    let spool = scene.spool_in_use();
    let words = ["ingest", spool.to_str().unwrap(), "--client", "c"];
    let output = pofrs(data, &words);
    let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    let good = output.status.success() && !said.contains("quarantine");
    (!good).then(|| format!("the server does not take every bundle ({}): {said}", output.status))
}

/// The system's Python: one in root's home is of no use to an ordinary user.
pub(crate) fn python() -> &'static Path {
    let system = Path::new("/usr/bin/python3");
    if system.exists() { system } else { Path::new("python3") }
}
