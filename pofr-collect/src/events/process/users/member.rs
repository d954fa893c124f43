//! One process of a user.

use crate::{allowance::Allowance, events::process::moment::Moment, limits};

/// What is kept of a process that is there.
#[derive(Debug)]
pub(super) struct Member {
    /// Who is charged with it.
    pub(super) user: u32,
    /// Whether it is only counted.
    pub(super) counted: bool,
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
        Self { user, counted, blurred: false, changes, name: None }
    }
}
