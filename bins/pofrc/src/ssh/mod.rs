//! OpenSSH: the one place that runs `ssh`, and says how.
//!
//! Nothing of the user's is used: no configuration, no agent, no known hosts but the pinned one, no key but ours. Shipping goes
//! through the `openssh` crate ([`Shipping`]), whose master process lives in a directory of its own; the one step that may ask
//! for a password, registration, runs `ssh` itself ([`Desk`]), since the crate can never ask. Every `ssh` is a descendant of
//! the process that started it and is ended with its session, whatever happens to that ([`orphans`]).

mod desk;
mod options;
pub(crate) mod orphans;
mod shipping;
mod verdict;

pub(crate) use desk::{Desk, Login};
pub(crate) use options::Options;
pub(crate) use shipping::Shipping;
