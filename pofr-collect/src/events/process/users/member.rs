//! One process of a user.

use crate::{allowance::Allowance, events::process::moment::Moment, limits};

/// A process that is counted and lives longer than this is shown by a sample as a rule, and told of again from then on, µs.
const SHORT: i64 = 1_000_000;

/// What is kept of a process that is there.
#[derive(Debug)]
pub(super) struct Member {
    /// Who is charged with it.
    pub(super) user: u32,
    /// Since when it is only counted, if it is.
    counted: Option<Moment>,
    /// Whether it was told that it runs another program, and not which.
    pub(super) blurred: bool,
    /// Changes of it that are told.
    pub(super) changes: Allowance,
    /// Its name, where that was not told.
    pub(super) name: Option<[u8; 16]>,
}

impl Member {
    pub(super) fn new(user: u32, counted: bool, now: Moment) -> Self {
        let changes = Allowance::new(limits::CHANGES, limits::CHANGES_SAVED_SECONDS, now.0);
        Self { user, counted: counted.then_some(now), blurred: false, changes, name: None }
    }

    /// Tells whether it is only counted.
    pub(super) fn is_counted(&self, now: Moment) -> bool {
        self.counted.is_some_and(|since| now < since.plus(SHORT))
    }
}
