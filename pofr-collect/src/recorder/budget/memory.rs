//! Memory: what is shed when the recorder holds more than it may.

/// Relief is tried at most this often, µs: what an allocator keeps does not come back by asking for it again.
const PATIENCE_MICROS: i64 = 60_000_000;

/// Free memory is given back at most this often, µs: looking for it takes some ms.
const TRIM_MICROS: i64 = 1_000_000;

/// What to do about memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::recorder) enum Relief {
    /// Nothing.
    None,
    /// End the bundle: the stream's numbers and what waits to be written go.
    EndBundle,
    /// Let the samplers forget what they keep, and the next reading be whole, of half as many files and arguments.
    Forget,
    /// Let them have as many as before again: no more than half of what may be is resident for a while.
    Restore,
}

/// Decides when to shed what.
#[derive(Debug)]
pub(in crate::recorder) struct Memory {
    max: Option<u64>,
    resident: u64,
    last: Option<(Relief, i64)>,
    /// Since when there are fewer files and arguments.
    halved: Option<i64>,
    /// When free memory was given back last.
    trimmed: Option<i64>,
}

impl Memory {
    pub(super) const fn new(max: Option<u64>) -> Self {
        Self { max, resident: 0, last: None, halved: None, trimmed: None }
    }

    /// Tells whether there is a bound.
    pub(super) const fn is_bounded(&self) -> bool {
        self.max.is_some()
    }

    /// Tells whether free memory is to be given back to the kernel first: at most once a second, where more is resident than may be.
    pub(super) fn may_trim(&mut self, now: i64, resident: Option<u64>) -> bool {
        let is_over = self.max.zip(resident).is_some_and(|(max, resident)| resident > max);
        let is_time = self.trimmed.is_none_or(|at| now.saturating_sub(at) >= TRIM_MICROS);
        if is_over && is_time {
            self.trimmed = Some(now);
        }
        is_over && is_time
    }

    /// Takes note of the resident bytes after the tick that ended at `now`.
    pub(super) fn seen(&mut self, now: i64, resident: Option<u64>) -> Relief {
        let (Some(max), Some(resident)) = (self.max, resident) else { return Relief::None };
        self.resident = resident;
        if resident <= max {
            // What was tried has helped; should it come again, it is tried again, but not at once.
            self.last = self.last.filter(|(_, at)| now.saturating_sub(*at) < PATIENCE_MICROS);
            let halved = |at: &mut i64| resident <= max / 2 && now.saturating_sub(*at) >= PATIENCE_MICROS;
            return if self.halved.take_if(halved).is_some() { Relief::Restore } else { Relief::None };
        }
        let relief = match self.last {
            None => Relief::EndBundle,
            Some((Relief::EndBundle, _)) => Relief::Forget,
            Some((_, at)) if now.saturating_sub(at) < PATIENCE_MICROS => return Relief::None,
            Some(_) => Relief::EndBundle,
        };
        self.last = Some((relief, now));
        if relief == Relief::Forget {
            self.halved = Some(now);
        }
        relief
    }

    /// Says what is done, where something is.
    pub(super) fn describe(&self, relief: &Relief) -> Option<String> {
        let how = match relief {
            Relief::None | Relief::Restore => return None,
            Relief::EndBundle => "the bundle ends early",
            Relief::Forget => "the samplers begin anew",
        };
        let kib = |bytes: u64| bytes.div_ceil(1_024);
        let max = kib(self.max?);
        Some(format!("over the memory budget of {max} KiB ({} KiB are resident): {how}", kib(self.resident)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_after_the_other_and_not_for_ever() {
        let mut memory = Memory::new(Some(1 << 20));
        assert_eq!(memory.seen(0, Some(1 << 20)), Relief::None);
        assert_eq!(memory.seen(1, Some(2 << 20)), Relief::EndBundle);
        assert_eq!(
            memory.describe(&Relief::EndBundle).unwrap(),
            "over the memory budget of 1024 KiB (2048 KiB are resident): the bundle ends early"
        );
        assert_eq!(memory.seen(2, Some(2 << 20)), Relief::Forget);
        assert_eq!(memory.seen(3, Some(2 << 20)), Relief::None);
        assert_eq!(memory.seen(PATIENCE_MICROS + 2, Some(2 << 20)), Relief::EndBundle);
        assert_eq!(memory.seen(PATIENCE_MICROS + 3, Some(1 << 20)), Relief::None);
        assert_eq!(memory.seen(PATIENCE_MICROS + 4, Some(1 << 19)), Relief::Restore);
        assert_eq!(memory.seen(PATIENCE_MICROS + 5, Some(1 << 19)), Relief::None);
        // Without a bound, or where it cannot be told.
        assert_eq!(Memory::new(None).seen(0, Some(u64::MAX)), Relief::None);
        assert_eq!(Memory::new(Some(1)).seen(0, None), Relief::None);
    }

    #[test]
    fn free_memory_is_given_back_first_and_not_at_every_tick() {
        let mut memory = Memory::new(Some(10));
        let trims = [(0, 10), (1, 11), (2, 11), (TRIM_MICROS + 1, 11)];
        let trims = trims.map(|(now, resident)| memory.may_trim(now, Some(resident)));
        assert_eq!(trims, [false, true, false, true]);
        assert!(!Memory::new(None).may_trim(0, Some(1)) && !memory.may_trim(i64::MAX, None));
    }

    #[test]
    fn what_helped_is_tried_again_later_from_the_start() {
        let mut memory = Memory::new(Some(10));
        assert_eq!(memory.seen(0, Some(11)), Relief::EndBundle);
        assert_eq!(memory.seen(1, Some(5)), Relief::None);
        assert_eq!(memory.seen(PATIENCE_MICROS, Some(5)), Relief::None);
        assert_eq!(memory.seen(PATIENCE_MICROS + 1, Some(11)), Relief::EndBundle);
    }
}
