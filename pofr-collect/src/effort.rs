//! Effort: what the recorder may use of the machine, and how much of that is left, as all its threads know it.

use crate::limits;
use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

/// What may be held is halved so often at most.
const MOST_HALVED: u64 = 3;

/// What may be used, and what is left; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effort(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// The share of one core for everything, in millionths; 0 where none is given.
    share: AtomicU64,
    /// Bytes of memory; 0 where none are given.
    memory: AtomicU64,
    /// How often what may be held was halved.
    halved: AtomicU64,
    /// Percent missing of what telling events may use: 0 to 200.
    told: AtomicI64,
}

impl Effort {
    /// Takes what the recorder may use.
    pub(crate) fn keep_to(&self, max_cpu: Option<f64>, max_memory: Option<u64>) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share is small and positive"
        )]
        let share = max_cpu.map_or(0, |share| ((share * 1e6) as u64).max(1));
        self.0.share.store(share, Ordering::Relaxed);
        self.0.memory.store(max_memory.unwrap_or(0), Ordering::Relaxed);
    }

    /// Returns the share of a core that the listening thread may use, in millionths: that is also µs a second.
    pub(crate) fn listener(&self) -> u64 {
        self.part(limits::LISTENER_PERCENT).unwrap_or(limits::LISTENER_SHARE)
    }

    /// Returns how long one user's processes may be looked at, µs a second.
    pub(crate) fn looks(&self) -> u64 {
        self.part(limits::LISTENER_PERCENT * limits::USER_PERCENT / 100).unwrap_or(limits::LOOK_MICROS)
    }

    /// Returns the share of a core that telling events may use, in millionths.
    pub(crate) fn telling(&self) -> u64 {
        self.part(limits::TELLING_PERCENT).unwrap_or(limits::TELLING_SHARE)
    }

    /// Returns the bytes of memory that may be held.
    pub(crate) fn memory(&self) -> u64 {
        let memory = match self.0.memory.load(Ordering::Relaxed) {
            0 => limits::MEMORY,
            memory => memory,
        };
        memory >> self.0.halved.load(Ordering::Relaxed)
    }

    /// Has half as much held as before: it was too much all the same.
    pub(crate) fn halve(&self) {
        let halved = self.0.halved.load(Ordering::Relaxed);
        self.0.halved.store((halved + 1).min(MOST_HALVED), Ordering::Relaxed);
    }

    /// Has as much held as may be.
    pub(crate) fn restore(&self) {
        self.0.halved.store(0, Ordering::Relaxed);
    }

    fn part(&self, percent: u64) -> Option<u64> {
        let share = self.0.share.load(Ordering::Relaxed);
        (share > 0).then(|| (share.saturating_mul(percent) / 100).max(1))
    }

    /// Says how much telling events has left of what it may use, in percent.
    pub(crate) fn has_left(&self, percent: i64) {
        self.0.told.store(100 - percent.clamp(-100, 100), Ordering::Relaxed);
    }

    /// Returns how many times as dear as usual it is to tell something now: the less is left for that, the more.
    pub(crate) fn dearness(&self) -> u64 {
        match 100 - self.0.told.load(Ordering::Relaxed) {
            ..0 => 32,
            0..25 => 8,
            25..50 => 2,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_share_are_less_than_it_and_there_are_some_without() {
        let effort = Effort::default();
        assert_eq!((effort.listener(), effort.memory()), (limits::LISTENER_SHARE, limits::MEMORY));
        effort.keep_to(Some(0.02), Some(1 << 20));
        assert_eq!((effort.listener(), effort.looks(), effort.telling()), (5_000, 2_400, 2_000));
        assert_eq!(effort.memory(), 1 << 20);
        (0..9).for_each(|_| effort.halve());
        assert_eq!(effort.memory(), 1 << 17);
        effort.restore();
        assert_eq!(effort.memory(), 1 << 20);
        let dear = [100, 40, 10, -1].map(|left| {
            effort.has_left(left);
            effort.dearness()
        });
        assert_eq!(dear, [1, 2, 8, 32]);
    }
}
