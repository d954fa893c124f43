//! The queue of clients: who waits for a turn, who is having one, who is to be left alone for a while.

use pofr_core::identity::Cid;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Shared by the thread that looks around and the workers.
#[derive(Default)]
pub(super) struct Seats {
    state: Mutex<State>,
    /// Told when the queue or the end changes.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Cid>,
    /// Who has nothing waiting, but levels that were put off while others had; they come when nobody is in the queue.
    later: VecDeque<Cid>,
    having_turns: HashSet<Cid>,
    /// How many files each client has waiting, as far as is known.
    waiting: HashMap<Cid, u64>,
    /// Who failed: until when to leave it alone, and how long that was.
    failed: HashMap<Cid, (Instant, Duration)>,
    closed: bool,
}

impl Seats {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whether a client has neither a seat nor a turn, and is not to be left alone.
    pub(super) fn is_free(&self, cid: &Cid) -> bool {
        let state = self.state();
        !state.having_turns.contains(cid)
            && !state.queue.contains(cid)
            && state.failed.get(cid).is_none_or(|(until, _)| *until <= Instant::now())
    }

    /// Puts clients, each with the number of its files, at the end of the queue.
    pub(super) fn seat(&self, clients: Vec<(Cid, u64)>) {
        let mut state = self.state();
        for (cid, files) in clients {
            state.later.retain(|other| *other != cid);
            state.waiting.insert(cid.clone(), files);
            state.queue.push_back(cid);
        }
        self.changed.notify_all();
    }

    /// Waits for the first of the queue; returns it with how many clients are busy, itself included. `None` at the end.
    pub(super) fn take(&self) -> Option<(Cid, usize)> {
        let mut state = self.state();
        loop {
            if state.closed {
                return None;
            }
            let next = state.queue.pop_front().or_else(|| state.later.pop_front());
            if let Some(cid) = next {
                state.having_turns.insert(cid.clone());
                let busy = state.having_turns.len() + state.queue.len();
                return Some((cid, busy));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Tells whether anybody waits for a turn who has files waiting.
    pub(super) fn is_anybody_waiting(&self) -> bool {
        !self.state().queue.is_empty()
    }

    /// Notes that one more file was dealt with.
    pub(super) fn taken(&self, cid: &Cid) {
        if let Some(files) = self.state().waiting.get_mut(cid) {
            *files = files.saturating_sub(1);
        }
    }

    /// Ends a turn; a client with files left goes to the end of the queue, one whose levels were put off behind all of them.
    pub(super) fn leave(&self, cid: Cid, left: u64, put_off: bool) {
        let mut state = self.state();
        state.having_turns.remove(&cid);
        if left > 0 {
            state.failed.remove(&cid);
            state.waiting.insert(cid.clone(), left);
            state.queue.push_back(cid);
        } else {
            state.waiting.remove(&cid);
            if put_off {
                state.later.push_back(cid);
            }
        }
        self.changed.notify_all();
    }

    /// Leaves a client alone for twice as long as the last time, within bounds; returns how long that is.
    pub(super) fn wait_longer(&self, cid: &Cid, (least, most): (Duration, Duration)) -> Duration {
        let mut state = self.state();
        let length = state.failed.get(cid).map_or(least, |(_, length)| (*length * 2).min(most));
        state.failed.insert(cid.clone(), (Instant::now() + length, length));
        length
    }

    /// Forgets that a client ever failed.
    pub(super) fn succeeded(&self, cid: &Cid) {
        self.state().failed.remove(cid);
    }

    /// Returns how many files wait, and how many clients are busy.
    pub(super) fn waiting(&self) -> (u64, usize) {
        let state = self.state();
        let clients = state.having_turns.len() + state.queue.len() + state.later.len();
        (state.waiting.values().sum(), clients)
    }

    /// Waits for `time`, or until something changes for the better: then a little, so that changes come together.
    pub(super) fn rest(&self, time: Duration) {
        let state = self.state();
        if !state.closed {
            let _ = self.changed.wait_timeout(state, time);
        }
    }

    /// Ends it: workers finish the turns that they are at.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cid(name: &str) -> Cid {
        Cid::parse(name).unwrap()
    }

    #[test]
    fn turns_go_round() {
        let seats = Seats::default();
        seats.seat(vec![(cid("a"), 1000), (cid("b"), 1)]);
        assert!(!seats.is_free(&cid("a")));
        let mut order = Vec::new();
        for left in [900, 0, 800] {
            let (who, busy) = seats.take().unwrap();
            assert!(busy <= 2);
            order.push(who.to_string());
            seats.leave(who, left, false);
        }
        assert_eq!(order, ["a", "b", "a"]);
        assert_eq!(seats.waiting(), (800, 1));
        assert!(seats.is_free(&cid("b")));
        seats.close();
        assert!(seats.take().is_none());
    }

    #[test]
    fn levels_that_were_put_off_come_when_nobody_waits() {
        let seats = Seats::default();
        seats.seat(["a", "b"].map(|name| (cid(name), 1)).into());
        let (a, _) = seats.take().unwrap();
        assert!(seats.is_anybody_waiting());
        seats.leave(a, 0, true);
        assert!(seats.is_free(&cid("a")), "what comes for it meanwhile seats it as ever");
        assert_eq!(seats.waiting(), (1, 2));
        let (b, _) = seats.take().unwrap();
        assert_eq!(b, cid("b"));
        assert!(!seats.is_anybody_waiting());
        seats.leave(b, 0, false);
        let (a, busy) = seats.take().unwrap();
        assert_eq!((a.to_string().as_str(), busy), ("a", 1));
        seats.leave(a, 0, true);
        seats.seat(vec![(cid("a"), 1)]);
        seats.take().unwrap();
        assert_eq!(seats.waiting(), (1, 1), "it has one seat, not two");
    }

    #[test]
    fn who_fails_is_left_alone_for_longer_and_longer() {
        let seats = Seats::default();
        let bounds = (Duration::from_secs(2), Duration::from_secs(5));
        let lengths: Vec<u64> = (0..4).map(|_| seats.wait_longer(&cid("a"), bounds).as_secs()).collect();
        assert_eq!(lengths, [2, 4, 5, 5]);
        assert!(!seats.is_free(&cid("a")) && seats.is_free(&cid("b")));
        seats.succeeded(&cid("a"));
        assert!(seats.is_free(&cid("a")));
    }
}
