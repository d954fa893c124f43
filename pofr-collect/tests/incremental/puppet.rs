//! Puppets: processes that do one thing at a word, answer, and sleep again.

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::process::CommandExt as _,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// A process that reads words and answers with lines. It ends with the test, and its children in its process group do.
pub(crate) struct Puppet {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Puppet {
    /// Starts a program that answers at once when it is ready; returns its answer, too.
    pub(crate) fn start(program: &str, args: &[&str]) -> (Self, String) {
        let mut command = Command::new(program);
        command.args(args);
        Self::of(command)
    }

    /// The same of a command.
    pub(crate) fn of(mut command: Command) -> (Self, String) {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut puppet = Self { child, stdin, stdout };
        let answer = puppet.line();
        (puppet, answer)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has it do something; returns its answer.
    pub(crate) fn tell(&mut self, word: &str) -> String {
        writeln!(self.stdin.as_mut().unwrap(), "{word}").unwrap();
        self.line()
    }

    /// Reads a line that it writes.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "the puppet is gone");
        line.trim_end().to_owned()
    }

    /// Ends it and waits for that.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Waits until a process has a state of these letters.
pub(crate) fn wait_for(pid: u32, states: &str) {
    let state = || {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        text.rsplit_once(')').unwrap().1.trim_start().chars().next().unwrap()
    };
    while !states.contains(state()) {
        std::thread::yield_now();
    }
}

/// Ends a process that is no child of ours.
pub(crate) fn kill(pid: u32) {
    let _ = kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL);
}

/// Has Perl run a script that answers at once.
pub(crate) fn perl(script: &str, args: &[&str]) -> (Puppet, String) {
    let script = format!("use POSIX (); $| = 1; {script}");
    Puppet::start("perl", &[&["-e", &script][..], args].concat())
}

/// The number of clone(2), and the flag CLONE_FILES with SIGCHLD: a child that has its parent's descriptor table.
pub(crate) fn clone_files() -> String {
    format!("syscall({}, {}, 0, 0, 0, 0)", libc::SYS_clone, libc::CLONE_FILES | libc::SIGCHLD)
}
