//! A session: the greeting, then the open bundle and the sealed ones in turns, until it breaks or somebody tells it to end.

use super::{Backoff, ShipSettings, SpoolView, Waiting, pace::Pace, report::Reporter, stream::Stream};
use crate::Stop;
use pofr_core::{
    transport::Duplex,
    wire::link::{Down, Goodbye, LINK_VERSION, LinkError, MAX_DATA, Reader, Service, Up, Writer},
};
use std::{
    collections::{HashSet, VecDeque},
    io,
    time::{Duration, Instant},
};

/// How often the spool is looked at. What is recorded is written within a second, and has to be on the server within two.
const LOOK: Duration = Duration::from_millis(200);
/// After how long what was streamed is made sure to be on the server's disk.
const FLUSH: Duration = Duration::from_secs(5);
/// How long to be silent at most: a server, a firewall in between, may take silence for an end.
const SILENCE: Duration = Duration::from_secs(30);
/// How long to keep from what the server would not do just now.
const HOLD: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(300));

/// Why a session ended before its time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    /// The link broke, or what came over it makes no sense.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The server ended the session.
    #[error("the server ended the session")]
    Ended,
    /// The server answered something else than was asked.
    #[error("the server answered {asked} with {answer}")]
    Unexpected {
        /// What was asked.
        asked: &'static str,
        /// The answer's kind.
        answer: &'static str,
    },
    /// The server does not want this session.
    #[error("the server refuses: {text}")]
    Refused {
        /// Why.
        text: String,
        /// Whether trying again is useless.
        last: bool,
    },
    /// The spool could not be read.
    #[error("cannot read the spool: {0}")]
    Spool(io::Error),
}

/// A session in progress.
pub(super) struct Session<'a> {
    link: Box<dyn Duplex>,
    pub(super) settings: &'a ShipSettings,
    pub(super) view: &'a mut SpoolView,
    pub(super) reporter: &'a mut Reporter,
    pub(super) stop: &'a Stop,
    pub(super) stream: Stream,
    pub(super) bandwidth: Pace,
    pub(super) backlog: Pace,
    /// Sealed bundles that wait, the first in order first.
    pub(super) queue: VecDeque<Waiting>,
    /// Bundles to be sent without a splice: what was streamed of them was not what they hold.
    pub(super) whole: HashSet<String>,
    /// Bundles that the server would not have in this session.
    pub(super) not_taken: HashSet<String>,
    /// Until when no bundle is offered, and for how long the next time.
    pub(super) held: Option<Instant>,
    pub(super) holding: Backoff,
    /// When something was said last.
    said: Instant,
    /// When what was streamed was made sure of last.
    flushed: Instant,
    /// When all has to be over, since the stop was told.
    over: Option<Instant>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        link: Box<dyn Duplex>,
        settings: &'a ShipSettings,
        view: &'a mut SpoolView,
        reporter: &'a mut Reporter,
        stop: &'a Stop,
    ) -> Self {
        let now = Instant::now();
        Self {
            link,
            settings,
            view,
            reporter,
            stop,
            stream: Stream::default(),
            bandwidth: Pace::new(settings.bandwidth),
            backlog: Pace::new(settings.backlog),
            queue: VecDeque::new(),
            whole: HashSet::new(),
            not_taken: HashSet::new(),
            held: None,
            holding: Backoff::new(HOLD),
            said: now,
            flushed: now,
            over: None,
        }
    }

    /// Ships until told to stop and, then, until all is sent or the grace is over.
    pub(super) fn keep(&mut self) -> Result<(), Broken> {
        self.greet()?;
        loop {
            let stopping = self.is_stopping();
            self.stream_open()?;
            self.flush_if_due()?;
            let sent = self.ship_next(stopping)?;
            if stopping && (!sent || self.over.is_some_and(|over| Instant::now() >= over)) {
                self.flush()?;
                return self.say(&Up::Bye(Goodbye::Stopping));
            }
            if !sent {
                let _ = self.stop.wait(LOOK);
            }
        }
    }

    fn is_stopping(&mut self) -> bool {
        let stopping = self.stop.is_stopped();
        if stopping {
            self.over.get_or_insert_with(|| Instant::now() + self.settings.grace);
        }
        stopping
    }

    fn greet(&mut self) -> Result<(), Broken> {
        let hello = Up::hello(Service::Receive, &self.settings.cid, &self.settings.software);
        match self.ask(&hello)? {
            Down::Welcome { version, software, .. } if version <= LINK_VERSION => {
                self.reporter.welcomed(software);
                Ok(())
            }
            Down::Welcome { version, .. } => {
                let text = format!("it speaks version {version} of the link, this program {LINK_VERSION}");
                Err(Broken::Refused { text, last: true })
            }
            other => Err(unexpected(&hello, &other)),
        }
    }

    /// Makes sure of what was streamed, now and then, and is never silent for long.
    fn flush_if_due(&mut self) -> Result<(), Broken> {
        let is_silent = self.said.elapsed() >= SILENCE;
        if is_silent || self.stream.dirty && self.flushed.elapsed() >= FLUSH {
            self.flush()?;
        }
        if is_silent && !self.stream.is_open() {
            // There is nothing to flush, and the server says so.
            return match self.ask(&Up::Flush)? {
                Down::Kept(_) | Down::No { .. } => Ok(()),
                other => Err(unexpected(&Up::Flush, &other)),
            };
        }
        Ok(())
    }

    /// Makes sure that what was streamed is on the server's disk.
    pub(super) fn flush(&mut self) -> Result<(), Broken> {
        if !self.stream.is_open() {
            return Ok(());
        }
        let answer = self.ask(&Up::Flush)?;
        self.flushed = Instant::now();
        self.flushed_as(answer)
    }

    /// Asks something that has an answer.
    pub(super) fn ask(&mut self, up: &Up) -> Result<Down, Broken> {
        self.say(up)?;
        self.hear()
    }

    /// Says something.
    pub(super) fn say(&mut self, up: &Up) -> Result<(), Broken> {
        let written = Writer::new(&mut self.link).write(up);
        self.said = Instant::now();
        match written {
            Err(LinkError::Io(error)) if error.kind() != io::ErrorKind::TimedOut => {
                // The server may have said why before it went.
                match self.hear() {
                    Err(refused @ Broken::Refused { .. }) => Err(refused),
                    _ => Err(LinkError::Io(error).into()),
                }
            }
            other => Ok(other?),
        }
    }

    /// Waits for what the server says.
    fn hear(&mut self) -> Result<Down, Broken> {
        match Reader::new(&mut self.link).read()? {
            Some(Down::Refused { text, last, .. }) => Err(Broken::Refused { text, last }),
            Some(down) => Ok(down),
            None => Err(Broken::Ended),
        }
    }

    /// Returns how many bytes to send at once: with little bandwidth few, so that nobody takes the wait for an end.
    pub(super) fn chunk(&self) -> usize {
        let quarter = self.settings.bandwidth.and_then(|rate| usize::try_from(rate / 4).ok());
        quarter.map_or(MAX_DATA, |bytes| bytes.clamp(1 << 10, MAX_DATA))
    }

    /// Waits until the bandwidth allows more, and takes note of `bytes` that are sent then.
    pub(super) fn pay(&mut self, bytes: u64) {
        let wait = self.bandwidth.wait();
        if !wait.is_zero() && !self.stop.is_stopped() {
            let _ = self.stop.wait(wait);
        }
        self.bandwidth.sent(bytes);
        self.reporter.sent(bytes);
    }
}

/// Says that an answer does not fit.
pub(super) fn unexpected(asked: &Up, answer: &Down) -> Broken {
    Broken::Unexpected { asked: asked.kind(), answer: answer.kind() }
}
