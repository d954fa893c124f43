//! What the listening thread hands on: events of whole processes, and what it saw when it looked.

use super::{endings::Ending, moment::Moment, sequence::Loss, users::Flood};
use crate::samplers::Sight;
use pofr_core::{identity::StartTicks, raw::RawText};

/// Something of a process.
#[derive(Debug)]
pub(super) enum Heard {
    /// The process did something.
    Event {
        /// When.
        at: Moment,
        /// Which.
        pid: u32,
        /// What.
        event: Event,
        /// What a look right after it showed.
        glance: Option<Glance>,
    },
    /// A later look at it.
    Look {
        /// Which.
        pid: u32,
        /// What it showed.
        glance: Glance,
    },
    /// The end of a process of which nothing was told: of interest where a sample showed it.
    EndIfShown {
        /// When.
        at: Moment,
        /// Which.
        pid: u32,
        /// Its end.
        event: Event,
    },
    /// What was left out of a user's doing.
    Flood(Flood),
    /// Names that processes give themselves are not heard for a while.
    Unheard {
        /// From when to when.
        span: Loss,
        /// Whose processes had too many.
        user: u32,
    },
    /// Something that should be here is not.
    Lost {
        /// When, and how much.
        loss: Loss,
        /// Of what.
        what: Lost,
    },
}

/// Bytes that are reckoned for anything, and for an open file, besides its name.
const BYTES: usize = 256;

impl Heard {
    /// Returns about how many bytes of memory this takes while it waits.
    pub(super) fn weight(&self) -> usize {
        let glance = match self {
            Self::Event { glance, .. } => glance.as_ref(),
            Self::Look { glance, .. } => Some(glance),
            _ => None,
        };
        BYTES + glance.map_or(0, |glance| weight(&glance.sight))
    }
}

fn weight(sight: &Sight) -> usize {
    let text = |text: &Option<RawText>| text.as_ref().map_or(0, |text| text.as_bytes().len());
    match sight {
        Sight::Whole(process, files) => {
            let names = files.iter().map(|file| BYTES + file.key.path.as_bytes().len());
            BYTES + text(&process.key.arguments) + names.sum::<usize>()
        }
        Sight::Brief(brief) => BYTES + text(&brief.arguments),
        Sight::Excluded => 0,
    }
}

/// What a process did.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// It came to be.
    Forked {
        /// The process that made it.
        parent: u32,
    },
    /// It runs another program.
    Executed,
    /// It has other real and effective user ids.
    Users(u32, u32),
    /// It has other real and effective group ids.
    Groups(u32, u32),
    /// It leads a session.
    Session,
    /// It has another name.
    Named(RawText),
    /// It ended.
    Ended(Box<Ending>, Option<StartTicks>),
}

/// What a look showed.
#[derive(Debug)]
pub(super) struct Glance {
    /// When it was taken.
    pub(super) at: Moment,
    /// What it showed.
    pub(super) sight: Sight,
}

/// What is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// Events: the kernel could not hand them on.
    Events,
    /// What the listening thread had heard: the recorder did not take it in time.
    Handed,
    /// What processes used, told at their exits.
    Totals,
}

impl Lost {
    /// Says it in words.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Events => "events of processes were lost: the queue overflowed",
            Self::Handed => "events of processes were lost: the recorder fell behind",
            Self::Totals => "what exited processes had used was lost: the queue overflowed",
        }
    }
}
