//! Sequence numbers: what the kernel said and we did not hear, counted exactly.
//!
//! Every CPU numbers what it says one by one, the answers to requests included (`send_msg` in drivers/connector/cn_proc.c). A CPU's
//! messages come in order, so a number that is missing belongs to a message that was lost, because our queue was full or the
//! kernel had no memory for it. (Before Linux 4.9 answers came from CPU -1, and had numbers of their own.)

use super::moment::Moment;

/// The last message of a CPU.
#[derive(Clone, Copy, Debug)]
struct Last {
    sequence: u32,
    at: Moment,
}

/// A number of events that were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    /// The last moment before, up to which nothing is missing.
    pub(super) from: Moment,
    /// The first moment after.
    pub(super) to: Moment,
    /// How many; `None` where it is only known that there were some.
    pub(super) events: Option<u64>,
}

impl Loss {
    /// Makes one of two losses.
    pub(super) fn with(self, other: Self) -> Self {
        Self {
            from: self.from.min(other.from),
            to: self.to.max(other.to),
            events: match (self.events, other.events) {
                (Some(a), Some(b)) => Some(a.saturating_add(b)),
                (a, b) => a.or(b),
            },
        }
    }
}

/// What has been heard of each CPU.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    cpus: Vec<Option<Last>>,
}

/// No machine has more CPUs than this; what claims to come from beyond is not counted.
const CPUS: usize = 1 << 16;

impl Sequence {
    /// Takes note of a message; returns what was lost before it.
    ///
    /// What was lost before a CPU's first message cannot be known: the listener has each say something when it begins.
    pub(super) fn hear(&mut self, cpu: u32, sequence: u32, at: Moment) -> Option<Loss> {
        let cpu = usize::try_from(cpu).ok().filter(|cpu| *cpu < CPUS)?;
        if self.cpus.len() <= cpu {
            self.cpus.resize(cpu + 1, None);
        }
        let before = self.cpus[cpu].replace(Last { sequence, at })?;
        let missing = sequence.wrapping_sub(before.sequence).wrapping_sub(1);
        (missing > 0).then(|| Loss { from: before.at, to: at, events: Some(missing.into()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hole_is_counted_on_its_cpu() {
        let mut sequence = Sequence::default();
        let at = |micros| Moment(micros);
        assert_eq!(sequence.hear(1, u32::MAX - 1, at(10)), None);
        assert_eq!(sequence.hear(0, 500, at(11)), None);
        assert_eq!(sequence.hear(1, u32::MAX, at(12)), None);
        assert_eq!(sequence.hear(1, 3, at(20)), Some(Loss { from: at(12), to: at(20), events: Some(3) }));
        assert_eq!(sequence.hear(0, 502, at(21)), Some(Loss { from: at(11), to: at(21), events: Some(1) }));
        assert_eq!(sequence.hear(u32::MAX, 9, at(30)), None);
    }
}
