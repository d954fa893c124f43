//! Sources: the timelines on which facts are sampled, and can be missed.

use serde::{Serialize, Serializer};
use std::{fmt, sync::Arc};

/// What a sampler speaks of. A fact's lifetime is measured in the stamps of its source, and a
/// blind gap of a source cuts the facts of that source and no others.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// Processes and the files that they have open, which are read together.
    Process,
    /// Network endpoints.
    Endpoint,
    /// The host itself.
    Host,
    /// Users and groups.
    Account,
    /// Network interfaces.
    Interface,
    /// Routes.
    Route,
    /// Devices.
    Device,
    /// Kernel modules.
    Module,
    /// A third party's collector, by its name: 1 to 64 characters of `[a-z0-9._-]`.
    Custom(Arc<str>),
}

impl Source {
    /// Returns the name, the same in the wire format, the database and on the screen.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Process => "process",
            Self::Endpoint => "endpoint",
            Self::Host => "host",
            Self::Account => "account",
            Self::Interface => "interface",
            Self::Route => "route",
            Self::Device => "device",
            Self::Module => "module",
            Self::Custom(name) => name,
        }
    }

    /// Reads a name; one that is none of ours is a custom source. `None` where it is not a good name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "process" => Self::Process,
            "endpoint" => Self::Endpoint,
            "host" => Self::Host,
            "account" => Self::Account,
            "interface" => Self::Interface,
            "route" => Self::Route,
            "device" => Self::Device,
            "module" => Self::Module,
            other => {
                let good = (1..=64).contains(&other.len())
                    && other
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
                return good.then(|| Self::Custom(other.into()));
            }
        })
    }

    /// Tells whether a new boot ends this source's facts: processes die with it, users do not.
    #[must_use]
    pub const fn dies_with_boot(&self) -> bool {
        !matches!(self, Self::Host | Self::Account | Self::Custom(_))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
impl Serialize for Source {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.name())
    }
}
