//! A flood: what of one user's doing was left out of the record, in some seconds.

use crate::{events::process::moment::Moment, limits};

/// What was left out of one user's doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::events::process) struct Flood {
    /// Whose doing.
    pub(in crate::events::process) user: u32,
    /// From when on.
    pub(in crate::events::process) from: Moment,
    /// Until when.
    pub(in crate::events::process) to: Moment,
    /// How much.
    pub(in crate::events::process) left: Left,
}

/// How much was left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::events::process) struct Left {
    /// Processes that were only counted.
    pub(in crate::events::process) processes: u64,
    /// Changes of processes.
    pub(in crate::events::process) changes: u64,
    /// Programs that were not looked at when they were new.
    pub(in crate::events::process) looks: u64,
    /// Arguments.
    pub(in crate::events::process) arguments: u64,
}

/// Says that processes renamed themselves too often for us to hear.
pub(in crate::events::process) fn unheard(user: u32) -> String {
    let who = named(user);
    format!(
        "flood: processes of {who} renamed themselves too often to be heard; samples show the names of all"
    )
}

fn named(user: u32) -> String {
    match user {
        u32::MAX => "an unknown user".to_owned(),
        user => format!("user {user}"),
    }
}

impl Flood {
    pub(super) fn begin(user: u32, now: Moment) -> Self {
        Self { user, from: now, to: now, left: Left::default() }
    }

    /// Returns when it is to be told of: all floods are told for spans of the same length.
    pub(super) fn due(&self) -> Moment {
        self.from.plus(limits::TELL_MICROS)
    }

    pub(super) fn is_due(&self, now: Moment) -> bool {
        self.due() <= now
    }

    /// Says it in words.
    pub(in crate::events::process) fn reason(&self) -> String {
        let Left { processes, changes, looks, arguments } = self.left;
        let who = named(self.user);
        format!(
            "flood: {who} did more than is recorded of one: {processes} processes were only counted, {changes} changes of processes \
             were not told, {looks} programs were not looked at when they were new, the arguments of {arguments} were cut or left out"
        )
    }

    /// Returns how many events were not told.
    pub(in crate::events::process) const fn lost(&self) -> u64 {
        self.left.processes.saturating_add(self.left.changes)
    }
}
