//! POFR's client: what reads the machine, when it is read, and where the record waits to be sent.
//!
//! [`samplers`] are asked at each tick for the state that they know, event sources ([`events`]) speak in between; a
//! [`Registry`] holds both. The [`Recorder`] asks them, turns their answers into records and hands those to a
//! [`Sink`](pofr_core::Sink), of which the [`Spool`] is one. All that is read of the machine comes in through a [`HostView`].
//!
//! ```no_run
//! use pofr_collect::{HostView, Recorder, Registry, Settings, Spool, SpoolSettings, Stop};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let view = HostView::live()?;
//! let spool = Spool::open(&view, SpoolSettings::beside("record"))?;
//! let registry = Registry::built_in(&view);
//! let mut recorder = Recorder::new(view, registry, Settings::default(), spool)?;
//! let summary = recorder.run(&Stop::new()?, Some(std::time::Duration::from_secs(30)))?;
//! println!("{} bundles", summary.bundles);
//! # Ok(())
//! # }
//! ```

pub mod clock;
pub mod events;
pub mod programs;
pub mod recorder;
pub mod registry;
pub mod samplers;
pub mod ship;
pub mod spool;

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;

mod allowance;
mod client_id;
mod effort;
mod family;
mod figures;
mod host_view;
mod iterators;
mod limits;
mod namespaces;
mod netlink;
mod own_proc;
mod peers;
mod priority;
mod probe;
mod ran;
mod sys;
mod zone;

pub use client_id::{ClientIdError, machine_id};
pub use family::ProgramFile;
pub use host_view::{HostView, HostViewError};
pub use priority::RealTime;
pub use recorder::{Budget, RecordError, Recorder, Settings, Stop, Summary};
pub use registry::{Registry, RegistryError};
pub use ship::{ShipReport, ShipSettings, Shipper};
pub use spool::{Signer, Spool, SpoolError, SpoolSettings};
