//! Ids: whose a process is.

use serde::Serialize;

/// Real and effective ids (credentials(7)); `None` where an id is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Ids {
    /// Real user id.
    pub ruid: Option<u32>,
    /// Effective user id.
    pub euid: Option<u32>,
    /// Real group id.
    pub rgid: Option<u32>,
    /// Effective group id.
    pub egid: Option<u32>,
}

impl Ids {
    /// The number that stands for an unknown id in the stream and in digests: `(uid_t)-1`, which nobody can have (setreuid(2)).
    pub const UNKNOWN: u32 = u32::MAX;

    /// Makes ids of the numbers of real and effective user and of real and effective group, in which [`Self::UNKNOWN`] is none.
    #[must_use]
    pub fn of(numbers: [u32; 4]) -> Self {
        let [ruid, euid, rgid, egid] = numbers.map(|id| Some(id).filter(|id| *id != Self::UNKNOWN));
        Self { ruid, euid, rgid, egid }
    }

    /// Tells whether all four are known.
    #[must_use]
    pub fn are_known(&self) -> bool {
        !self.numbers().contains(&Self::UNKNOWN)
    }

    /// Returns the numbers of which [`of`](Self::of) makes these ids.
    #[must_use]
    pub fn numbers(self) -> [u32; 4] {
        [self.ruid, self.euid, self.rgid, self.egid].map(|id| id.unwrap_or(Self::UNKNOWN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_nobody_is_unknown() {
        let ids = Ids::of([0, u32::MAX, 2_147_483_648, u32::MAX]);
        assert_eq!(ids, Ids { ruid: Some(0), euid: None, rgid: Some(2_147_483_648), egid: None });
        assert_eq!(ids.numbers(), [0, u32::MAX, 2_147_483_648, u32::MAX]);
        assert_eq!(Ids::of([Ids::UNKNOWN; 4]), Ids::default());
    }
}
