//! The ingest service: all clients of a data directory, each in its turn, as long as it is wanted.
//!
//! One thread looks around once a second: whose inbox has something in it takes a seat in the queue. Workers take the first
//! of the queue and give it a *turn*: some of its bundles, oldest first, then what its levels need. Who has more waiting goes to
//! the end of the queue, so a client with a backlog of a month delays the others by a turn at most. Workers that no other client
//! needs help with a backlog: it is then cut into slices, and they are filled side by side.
//!
//! A turn that fails changes nothing, delays nobody else, and is tried again after a while. A client whose record another program
//! writes is left to that program, and asked again after a while, too.

mod seats;
mod turn;

pub use turn::{Turn, TurnError, add_client};

use crate::{abandoned, ingest::Options, layout::Layout, levels::Policy, stop::Stop};
use pofr_core::{
    Store,
    identity::Cid,
    store::{Level, StoreError},
};
use seats::Seats;
use std::time::{Duration, Instant};

/// How long to wait between two looks at the inboxes.
const LOOK: Duration = Duration::from_secs(1);
/// How long to leave a client alone after its turn failed, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

/// What the service works with.
pub struct Service<'a> {
    /// The records.
    pub store: &'a dyn Store,
    /// Where the inboxes and the kept bundles are.
    pub layout: Layout,
    /// How to ingest; `workers` are shared by all clients.
    pub options: Options,
    /// When to merge.
    pub policy: Policy,
    /// Whether, and for how long, bundles are kept.
    pub keep: Keep,
    /// How long nothing may come of an open bundle before it is taken for abandoned.
    pub give_up: Duration,
    /// Who does it: stands in the ledger where something is pruned.
    pub who: String,
    /// Only this client.
    pub only: Option<Cid>,
}

/// How long bundles are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// They are removed when they are stored.
    No,
    /// As long as nobody removes them.
    #[default]
    Forever,
    /// So long after they were made, µs.
    For(i64),
}

/// Hears what goes on. Called from several threads.
pub trait Observer: Sync {
    /// So many files wait in all inboxes together, of so many clients.
    fn waiting(&self, files: u64, clients: usize);
    /// Another file of a client was dealt with.
    fn taken(&self, cid: &Cid);
    /// A client's triads are being merged: so many rows of so many.
    fn merging(&self, cid: &Cid, level: Level, done: u64, all: u64);
    /// A client has had a turn.
    fn turn(&self, cid: &Cid, turn: &Turn);
    /// A turn failed, and will be tried again after some time.
    fn failed(&self, cid: &Cid, error: &TurnError, again: Duration);
    /// Nothing is waiting. Called once a second.
    fn idle(&self);
}

/// How long the service is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Until the inboxes are empty.
    Empty,
    /// Until it is told to stop.
    Stopped,
}

impl Service<'_> {
    /// Works until it is told to stop, or there is nothing more to do. With [`Until::Empty`] each client that fails is tried once.
    pub fn run(&self, until: Until, stop: &Stop, observer: &dyn Observer) {
        let seats = Seats::default();
        let workers = self.options.workers.max(1);
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Some((cid, busy)) = seats.take() {
                        self.give_turn(&seats, cid, busy, until, stop, observer);
                    }
                });
            }
            self.look_around(&seats, until, stop, observer);
            seats.close();
        });
    }

    /// Seats whoever has something waiting, until the end.
    fn look_around(&self, seats: &Seats, until: Until, stop: &Stop, observer: &dyn Observer) {
        let mut first = true;
        while !stop.is_told() {
            if first || until == Until::Stopped {
                self.seat_all(seats, first, observer);
            }
            first = false;
            let (waiting, clients) = seats.waiting();
            observer.waiting(waiting, clients);
            if clients == 0 {
                if until == Until::Empty {
                    return;
                }
                observer.idle();
            }
            seats.rest(LOOK);
        }
    }

    fn seat_all(&self, seats: &Seats, first: bool, observer: &dyn Observer) {
        let clients = match &self.only {
            Some(only) => vec![only.clone()],
            None => match self.layout.clients() {
                Ok(clients) => clients,
                Err(error) => {
                    tracing::error!(%error, "the inboxes cannot be listed");
                    return;
                }
            },
        };
        // Seated together, so that whoever comes first knows that others wait.
        let mut found = Vec::new();
        for cid in clients.into_iter().filter(|cid| seats.is_free(cid)) {
            let inbox = self.layout.inbox(&cid, self.options.limits.tar, false);
            match inbox.candidates() {
                // Once, everybody gets a turn: something may be due that was left undone.
                Ok(files) if !files.is_empty() || first => found.push((cid, files.len() as u64)),
                Ok(_) if abandoned::due(inbox.dir(), self.give_up).is_ok_and(|due| !due.is_empty()) => {
                    found.push((cid, 0));
                }
                Ok(_) => {}
                Err(error) => {
                    let again = seats.wait_longer(&cid, AGAIN);
                    observer.failed(&cid, &TurnError::Inbox(error), again);
                }
            }
        }
        seats.seat(found);
    }

    fn give_turn(
        &self,
        seats: &Seats,
        cid: Cid,
        busy: usize,
        until: Until,
        stop: &Stop,
        observer: &dyn Observer,
    ) {
        let workers = (self.options.workers / busy.max(1)).max(1);
        let (most, time) =
            if busy > 1 { (32, Duration::from_secs(2)) } else { (80, Duration::from_secs(20)) };
        let options = Options {
            workers,
            most: most * workers,
            stop: stop.until(Instant::now() + time),
            ..self.options.clone()
        };
        let result = turn::take(self, &cid, &options, seats, observer);
        match result {
            Ok(turn) => {
                observer.turn(&cid, &turn);
                seats.succeeded(&cid);
                seats.leave(cid, turn.ingested.left, turn.put_off);
            }
            Err(error) => {
                let again =
                    if until == Until::Empty { Duration::MAX } else { seats.wait_longer(&cid, AGAIN) };
                observer.failed(&cid, &error, again);
                seats.leave(cid, 0, false);
            }
        }
    }
}

impl TurnError {
    /// Tells whether it only is that another program writes to that record.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        let store = match self {
            Self::Store(error) | Self::Ingest(crate::IngestError::Store(error)) => error,
            _ => return false,
        };
        matches!(store, StoreError::Locked(_))
    }
}
