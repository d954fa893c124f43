//! The open bundle: its frames go to the server as they are written.

use super::session::{Broken, Session, unexpected};
use pofr_core::{
    identity::{BundleSeq, RunId},
    wire::link::{Down, Up},
};
use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    time::{Duration, Instant},
};

/// So often may the server not know how to go on with a bundle before its stream is left; the bundle itself will come.
const BREAKS: u32 = 3;
/// After how long a stream that the server would not have just now is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// What is streamed.
#[derive(Debug, Default)]
pub(super) struct Stream {
    open: Option<Open>,
    /// The bundle whose stream was begun last.
    last: Option<BundleSeq>,
    /// The bundle that is not streamed (any more).
    left: Option<BundleSeq>,
    /// How often it had to be begun again.
    breaks: u32,
    /// Until when nothing is streamed.
    held: Option<Instant>,
    /// Whether something was streamed since the last flush.
    pub(super) dirty: bool,
}

#[derive(Debug)]
struct Open {
    run: RunId,
    seq: BundleSeq,
    file: File,
    /// How many bytes the server has, or is being sent.
    sent: u64,
}

impl Stream {
    /// Tells whether a stream has begun.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }
}

impl Session<'_> {
    /// Sends what the open bundle has grown by; begins with the next one where there is one.
    pub(super) fn stream_open(&mut self) -> Result<(), Broken> {
        // What is left of the one before goes with the bundle itself, unless it is here to be read already.
        self.pump()?;
        if self.stream.held.is_some_and(|held| Instant::now() < held) {
            return Ok(());
        }
        self.stream.held = None;
        let current = self.stream.open.as_ref().map(|open| open.seq).max(self.stream.left);
        let Some(next) = self.view.open_other(current).map_err(Broken::Spool)? else { return Ok(()) };
        if self.stream.dirty {
            self.flush()?;
        }
        if self.stream.last != Some(next.seq) {
            (self.stream.last, self.stream.breaks) = (Some(next.seq), 0);
        }
        let open = Up::Open { run: next.run, seq: next.seq };
        match self.ask(&open)? {
            Down::From { bytes } => {
                self.stream.open = Some(Open { run: next.run, seq: next.seq, file: next.file, sent: bytes });
            }
            Down::No { text, retry, .. } => self.leave(next.seq, &text, retry),
            other => return Err(unexpected(&open, &other)),
        }
        self.pump()?;
        // All that there is of it is made sure of at once: over a link that breaks again and again, this is what comes of a
        // session.
        if self.stream.dirty { self.flush() } else { Ok(()) }
    }

    /// Sends what there is.
    pub(super) fn pump(&mut self) -> Result<(), Broken> {
        let (mut buffer, chunk) = (Vec::new(), self.chunk());
        loop {
            let Some(open) = &mut self.stream.open else { return Ok(()) };
            // Nothing at all is the usual case: no buffer for that.
            let length = open.file.metadata().map_err(Broken::Spool)?.len();
            if length <= open.sent {
                return Ok(());
            }
            buffer.resize(chunk, 0);
            let n = open.file.read_at(&mut buffer, open.sent).map_err(Broken::Spool)?;
            if n == 0 {
                return Ok(());
            }
            let frames = Up::Frames { offset: open.sent, bytes: buffer[..n].to_vec().into() };
            open.sent += n as u64;
            self.stream.dirty = true;
            self.pay(n as u64);
            self.say(&frames)?;
        }
    }

    /// Takes the answer to a flush.
    pub(super) fn flushed_as(&mut self, answer: Down) -> Result<(), Broken> {
        self.stream.dirty = false;
        match answer {
            Down::Kept(at) => self.reporter.streamed(at.seq.0, at.bytes),
            Down::No { text, retry, .. } => {
                self.stream.breaks += 1;
                let again = retry && self.stream.breaks < BREAKS;
                if let Some(open) = self.stream.open.take() {
                    tracing::debug!("the stream of {}-{} broke: {text}", open.run, open.seq.0);
                    // Begun again at once the first time: the server only lost its place.
                    if self.stream.breaks > 1 || !retry {
                        self.leave(open.seq, &text, again);
                    }
                }
            }
            other => return Err(unexpected(&Up::Flush, &other)),
        }
        Ok(())
    }

    /// Leaves a bundle's stream, for a while or for good.
    fn leave(&mut self, seq: BundleSeq, why: &str, for_a_while: bool) {
        self.reporter.trouble(format!("the open bundle is not streamed: {why}"));
        self.stream.open = None;
        if for_a_while {
            self.stream.held = Some(Instant::now() + AGAIN);
        } else {
            self.stream.left = Some(seq);
        }
    }
}
