//! Actions: what people, and the server by itself, did to a record other than adding to it.
//!
//! They are part of the ledger and never removed, so that a record that is smaller than it was says so, and why.

use super::Ledger;
use crate::time::WallMicros;
use serde::Serialize;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionKind {
    /// Forgetting was forbidden (a legal hold).
    Hold,
    /// A hold was lifted.
    Release,
    /// Everything before a time was forgotten.
    Forget,
    /// The record was made anew from kept bundles.
    Rebuild,
    /// Kept bundles were removed because the policy says so; what was made of them stays.
    Prune,
    /// What was streamed of a bundle made room for the whole one, which came after all.
    Withdraw,
    /// A writer found what another had left half done when it was killed, and took it away.
    Recover,
}

/// One entry of the account of what was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Action {
    /// When, by this server's clock.
    pub at: WallMicros,
    /// What.
    pub kind: ActionKind,
    /// The time that it is about: what was forgotten, or pruned, lies before it.
    pub before: Option<WallMicros>,
    /// How many bundles it touched.
    pub bundles: u64,
    /// How many rows it removed, or made.
    pub rows: u64,
    /// Who did it: the server's account.
    pub who: String,
    /// Why, in their words.
    pub why: String,
}

impl Ledger {
    /// Returns the time before which everything has been forgotten; `None` where nothing has.
    #[must_use]
    pub fn forgotten_before(&self) -> Option<WallMicros> {
        self.actions.iter().filter(|a| a.kind == ActionKind::Forget).filter_map(|a| a.before).max()
    }

    /// Returns the hold that is in force.
    #[must_use]
    pub fn hold(&self) -> Option<&Action> {
        let last = self.actions.iter().rfind(|a| matches!(a.kind, ActionKind::Hold | ActionKind::Release))?;
        (last.kind == ActionKind::Hold).then_some(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(at: i64, kind: ActionKind, before: Option<i64>) -> Action {
        let before = before.map(WallMicros);
        Action {
            at: WallMicros(at),
            kind,
            before,
            bundles: 0,
            rows: 0,
            who: String::new(),
            why: String::new(),
        }
    }

    #[test]
    fn the_last_word_on_holds_counts_and_the_latest_time_forgotten() {
        let mut ledger = Ledger::default();
        assert_eq!((ledger.hold(), ledger.forgotten_before()), (None, None));
        ledger.actions.push(action(1, ActionKind::Forget, Some(50)));
        ledger.actions.push(action(2, ActionKind::Hold, None));
        ledger.actions.push(action(3, ActionKind::Forget, Some(20)));
        assert_eq!(ledger.hold().map(|a| a.at), Some(WallMicros(2)));
        assert_eq!(ledger.forgotten_before(), Some(WallMicros(50)));
        ledger.actions.push(action(4, ActionKind::Release, None));
        assert_eq!(ledger.hold(), None);
    }
}
