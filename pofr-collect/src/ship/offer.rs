//! Sealed bundles: offered in order, sent as far as the server does not have them, and gone from the spool once it does.

use super::{
    Waiting,
    session::{Broken, Session, unexpected},
};
use pofr_core::wire::link::{Down, No, Splice, Up};
use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    time::{Duration, Instant},
};

/// How often the open bundle has its turn while a sealed one is sent.
const TURN: Duration = Duration::from_millis(250);

impl Session<'_> {
    /// Sends the next bundle, if it is time to; tells whether it did anything.
    pub(super) fn ship_next(&mut self, stopping: bool) -> Result<bool, Broken> {
        if self.held.is_some_and(|held| Instant::now() < held) {
            return Ok(false);
        }
        self.held = None;
        if self.queue.is_empty() {
            let waiting = self.view.sealed().map_err(Broken::Spool)?;
            self.queue = waiting.into_iter().filter(|w| !self.not_taken.contains(&w.name)).collect();
        }
        self.reporter.waits(self.queue.len() as u64, self.queue.iter().map(|w| w.size).sum());
        let Some(next) = self.queue.front().cloned() else { return Ok(false) };
        if self.queue.len() > 1 && !stopping && !self.backlog.wait().is_zero() {
            return Ok(false);
        }
        let file = match self.view.read(&next) {
            // The spool was full, and it went.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.queue.pop_front();
                return Ok(true);
            }
            other => other.map_err(Broken::Spool)?,
        };
        self.offer(&next, file)?;
        Ok(true)
    }

    fn offer(&mut self, bundle: &Waiting, file: File) -> Result<(), Broken> {
        let splice = (!self.whole.contains(&bundle.name)).then_some(bundle.splice);
        let offer = Up::Offer { name: bundle.name.clone(), size: bundle.size, splice };
        let answer = match self.ask(&offer)? {
            Down::Send { have } => {
                let left_out = splice.map_or(Some((0, 0)), |splice| left_out(&splice, have));
                let Some(left_out) = left_out else {
                    return Err(unexpected(&offer, &Down::Send { have }));
                };
                self.send(bundle, file, left_out)?;
                self.ask(&Up::End)?
            }
            other => other,
        };
        match answer {
            Down::Have => self.acknowledge(bundle),
            Down::Stored { sha256 } if bundle.name.contains(&sha256.to_string()) => self.acknowledge(bundle),
            Down::Stored { .. } => {
                self.set_aside(bundle, "it stored something else under this name".to_owned());
            }
            Down::No { code: No::Digest, .. } if splice.is_some() => {
                self.whole.insert(bundle.name.clone());
            }
            Down::No { text, retry: true, .. } => {
                let wait = self.holding.wait();
                self.held = Some(Instant::now() + wait);
                // What comes meanwhile is counted when it is tried again.
                self.queue.clear();
                self.reporter.trouble(format!("the server does not take bundles just now: {text}"));
            }
            Down::No { text, .. } => self.set_aside(bundle, text),
            other => return Err(unexpected(&offer, &other)),
        }
        Ok(())
    }

    /// Sends the bundle's bytes, but for those from `left_out.0` to `left_out.1`.
    fn send(&mut self, bundle: &Waiting, mut file: File, left_out: (u64, u64)) -> Result<(), Broken> {
        let mut buffer = vec![0; self.chunk()];
        let mut turn = Instant::now();
        for (from, to) in [(0, left_out.0), (left_out.1, bundle.size)] {
            file.seek(SeekFrom::Start(from)).map_err(Broken::Spool)?;
            let mut part = (&file).take(to.saturating_sub(from));
            loop {
                let n = part.read(&mut buffer).map_err(Broken::Spool)?;
                if n == 0 {
                    break;
                }
                self.backlog.sent(n as u64);
                self.pay(n as u64);
                self.say(&Up::Data(buffer[..n].to_vec().into()))?;
                if turn.elapsed() >= TURN {
                    self.pump()?;
                    turn = Instant::now();
                }
            }
        }
        Ok(())
    }

    /// The server has it: it may go.
    fn acknowledge(&mut self, bundle: &Waiting) {
        self.queue.pop_front();
        self.holding.reset();
        self.reporter.acknowledged(bundle.splice.seq.0, &bundle.name);
        if let Err(error) = self.view.acknowledge(&bundle.name) {
            self.reporter.trouble(format!("cannot say that the server has {}: {error}", bundle.name));
        }
    }

    /// The server will not have it: it stays, and the next session tries again.
    fn set_aside(&mut self, bundle: &Waiting, why: String) {
        self.queue.pop_front();
        self.not_taken.insert(bundle.name.clone());
        self.reporter.not_taken(&bundle.name, why);
    }
}

/// Returns from where to where a tar need not be sent of whose records the server has `have` bytes; `None` where it cannot have
/// so many.
fn left_out(splice: &Splice, have: u64) -> Option<(u64, u64)> {
    (have <= splice.records_len).then_some((splice.records_at, splice.records_at + have))
}
