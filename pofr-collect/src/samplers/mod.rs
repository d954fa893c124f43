//! Samplers: one file or folder each, and a line in [`BUILT_IN`].

mod account;
mod device;
pub(crate) mod endpoint;
mod holders;
mod host;
mod interface;
mod module;
pub(crate) mod process;
mod route;
mod rtnetlink;

pub use account::AccountSampler;
pub use device::DeviceSampler;
pub use endpoint::EndpointSampler;
pub use holders::SharedHolders;
pub use host::HostSampler;
pub use interface::InterfaceSampler;
pub use module::ModuleSampler;
pub use process::ProcessSampler;
pub use route::RouteSampler;

pub(crate) use process::{
    Brief, Sight, Watcher, cut_arguments, start as process_start, start_in, state_of, steady_name,
};

use crate::HostView;
use pofr_core::{Collector, collector::CollectError};
use std::path::Path;

/// The samplers of this crate, in the order in which they are asked: `endpoint` after `process`, whose descriptors tell it the
/// holders.
pub const BUILT_IN: [Make; 8] = [
    process::make,
    endpoint::make,
    host::make,
    account::make,
    interface::make,
    route::make,
    device::make,
    module::make,
];

/// Makes a sampler.
pub type Make = fn(&Context) -> Box<dyn Collector>;

/// How often the samplers ask that look at what hardly ever changes, µs.
const COLD_MICROS: u64 = 60_000_000;

/// How often the samplers ask that look at what someone can set up, use and put back within a minute, µs: an address, a route, a
/// stick, a module. All four together take some 0.5 ms of CPU time, so this costs 0.005 % of a core.
const WARM_MICROS: u64 = 10_000_000;

/// What samplers are made of.
#[derive(Clone, Debug)]
pub struct Context {
    /// The host.
    pub view: HostView,
    /// Who holds which socket, told by the process sampler to the endpoint sampler.
    pub holders: SharedHolders,
}

impl Context {
    /// Makes the context of one recorder.
    #[must_use]
    pub fn new(view: HostView) -> Self {
        Self { view, holders: SharedHolders::default() }
    }
}

/// Reads a file that a machine may well not have; `None` where it has not.
fn optional(path: &Path) -> Result<Option<Vec<u8>>, CollectError> {
    match std::fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(unavailable(path, cause)),
    }
}

/// Says that a path, and so the whole source, cannot be read.
fn unavailable(path: &Path, cause: impl Into<std::io::Error>) -> CollectError {
    CollectError::Unavailable { what: format!("cannot read {}", path.display()), cause: cause.into() }
}
