//! Telling somebody: a program of the administrator's, that gets troubles as lines of JSON.

use super::{look::Looker, trouble::Trouble};
use anyhow::Context as _;
use pofr_core::{Store, identity::Cid};
use std::{
    collections::HashSet,
    io::Write as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program and its arguments. No shell is involved.
#[derive(Clone, Debug)]
pub(crate) struct Hook {
    program: String,
    arguments: Vec<String>,
}

impl Hook {
    /// Makes one of a command line; `None` where that is empty.
    pub(crate) fn new(mut line: Vec<String>) -> Option<Self> {
        if line.is_empty() {
            return None;
        }
        let program = line.remove(0);
        Some(Self { program, arguments: line })
    }

    /// Runs it, and waits until it has ended.
    pub(crate) fn run(&self, troubles: &[Trouble]) -> anyhow::Result<()> {
        let cannot = || format!("cannot run the hook {}", self.program);
        let mut lines = Vec::new();
        for trouble in troubles {
            serde_json::to_writer(&mut lines, trouble)?;
            lines.push(b'\n');
        }
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .spawn()
            .with_context(cannot)?;
        // A hook that does not read ends all the same; a pipe takes what few troubles there are.
        let given = child.stdin.take().map(|mut input| input.write_all(&lines));
        let began = Instant::now();
        let status = loop {
            match child.try_wait().with_context(cannot)? {
                Some(status) => break status,
                None if began.elapsed() > PATIENCE => {
                    child.kill().with_context(cannot)?;
                    child.wait().with_context(cannot)?;
                    anyhow::bail!(
                        "the hook {} had not ended after {} s and was killed",
                        self.program,
                        PATIENCE.as_secs()
                    );
                }
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        anyhow::ensure!(status.success(), "the hook {} failed: {status}", self.program);
        match given {
            Some(Err(error)) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(error).with_context(cannot)
            }
            _ => Ok(()),
        }
    }
}

/// Looks at all clients again and again, and tells of each trouble once.
pub(crate) struct Watchman {
    hook: Hook,
    told: HashSet<(Cid, String)>,
}

impl Watchman {
    pub(crate) fn new(hook: Hook) -> Self {
        Self { hook, told: HashSet::new() }
    }

    /// Looks, and runs the hook if there is something new. What has gone and comes back is new.
    pub(crate) fn round(&mut self, store: &dyn Store, looker: &Looker) -> anyhow::Result<usize> {
        let mut all = Vec::new();
        for client in store.clients()? {
            all.extend(looker.look(&mut *store.read(&client.cid)?, client.cid)?.troubles);
        }
        let key = |t: &Trouble| (t.client.clone(), t.key.clone());
        let new: Vec<Trouble> = all.iter().filter(|t| !self.told.contains(&key(t))).cloned().collect();
        self.told.retain(|told| all.iter().any(|t| key(t) == *told));
        if new.is_empty() {
            return Ok(0);
        }
        self.told.extend(new.iter().map(key));
        self.hook.run(&new)?;
        Ok(new.len())
    }
}
