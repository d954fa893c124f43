//! The shipper as a process: who starts it, by what it is found, and what it says.
//!
//! `pofrc start` starts it before it gives up its own rights, as the user for it, and so does a later `start` where it is gone.
//! It is found by `ship.pid` in the run directory, which root writes: process id and start ticks. The shipper begins when whoever
//! started it says that it is written down, so that there is never one that is not. It has no descriptor of that file, and what it
//! says, in `ship/ship.json`, its own directory there, is shown and not acted upon. It ends when the recorder has ended in order, which `last.json` tells, after it has sent what it can in a
//! few seconds; when a recorder was killed it goes on.

mod account;
mod family;
mod spawn;

pub(crate) use account::{Account, ShipFile};
pub(crate) use family::leave_out;
pub(crate) use spawn::{Begun, Place, USER, begin, is_told_to_begin};
