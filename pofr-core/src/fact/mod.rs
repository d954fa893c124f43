//! Facts: things that hold at a moment.
//!
//! Each kind has a *key* (the columns that make two observations the same fact) and, where there
//! are any, *details* (columns that may become known later; the earliest known value stays). Two facts are the
//! same exactly when their keys are equal, which is what [`ByKey`] compares.

mod account;
mod custom;
mod device;
mod endpoint;
mod file;
mod host;
mod ids;
mod interface;
mod keeper;
mod marks;
mod module;
mod process;
mod route;
mod subject;

pub use account::{Group, User};
pub use custom::Custom;
pub use device::{Device, DeviceKey};
pub use endpoint::{Endpoint, EndpointDetails, EndpointKey, SocketId, TcpState, Transport, scope};
pub(crate) use file::FileDigests;
pub use file::{FileDetails, FileKey, FileMode, OpenFile};
pub use host::Host;
pub use ids::Ids;
pub use interface::Interface;
pub use keeper::{Container, Engine, Keeper};
pub use marks::{Cut, ProcessMarks};
pub use module::Module;
pub use process::{Files, Namespaces, Process, ProcessDetails, ProcessKey, Totals};
pub use route::Route;
pub use subject::Subject;

use crate::{digest::KeyDigest, source::Source};
use serde::Serialize;
use std::hash::{Hash, Hasher};

/// The kinds of facts; each has a table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FactKind {
    /// A process with its attributes.
    Process,
    /// An open file of a process.
    File,
    /// A network endpoint of a holder.
    Endpoint,
    /// The host.
    Host,
    /// A user account.
    User,
    /// A group.
    Group,
    /// A network interface's address.
    Interface,
    /// A route.
    Route,
    /// A device.
    Device,
    /// A kernel module.
    Module,
    /// A third party's fact.
    Custom,
}

impl FactKind {
    /// All kinds, in the order of their tables.
    pub const ALL: [Self; 11] = [
        Self::Process,
        Self::File,
        Self::Endpoint,
        Self::Host,
        Self::User,
        Self::Group,
        Self::Interface,
        Self::Route,
        Self::Device,
        Self::Module,
        Self::Custom,
    ];
    /// The kinds that live in triads; the others have one table each.
    pub const TRIAD: [Self; 3] = [Self::Process, Self::File, Self::Endpoint];

    /// Tells whether facts of this kind live in triads.
    #[must_use]
    pub const fn in_triad(self) -> bool {
        matches!(self, Self::Process | Self::File | Self::Endpoint)
    }
}

/// One thing that holds at a moment.
///
/// The large kinds are boxed: nine facts of ten are files, and rows of them are moved, sorted and held by the million.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Fact {
    /// A process with its attributes.
    Process(Box<Process>),
    /// An open file of a process.
    File(OpenFile),
    /// A network endpoint of a holder.
    Endpoint(Box<Endpoint>),
    /// The host.
    Host(Host),
    /// A user account.
    User(User),
    /// A group.
    Group(Group),
    /// A network interface's address.
    Interface(Interface),
    /// A route.
    Route(Route),
    /// A device.
    Device(Device),
    /// A kernel module.
    Module(Module),
    /// A third party's fact.
    Custom(Custom),
}

impl From<Process> for Fact {
    fn from(process: Process) -> Self {
        Self::Process(Box::new(process))
    }
}

impl From<Endpoint> for Fact {
    fn from(endpoint: Endpoint) -> Self {
        Self::Endpoint(Box::new(endpoint))
    }
}

impl Fact {
    /// Returns the kind.
    #[must_use]
    pub const fn kind(&self) -> FactKind {
        match self {
            Self::Process(_) => FactKind::Process,
            Self::File(_) => FactKind::File,
            Self::Endpoint(_) => FactKind::Endpoint,
            Self::Host(_) => FactKind::Host,
            Self::User(_) => FactKind::User,
            Self::Group(_) => FactKind::Group,
            Self::Interface(_) => FactKind::Interface,
            Self::Route(_) => FactKind::Route,
            Self::Device(_) => FactKind::Device,
            Self::Module(_) => FactKind::Module,
            Self::Custom(_) => FactKind::Custom,
        }
    }

    /// Returns the timeline on which this fact is sampled.
    #[must_use]
    pub fn source(&self) -> Source {
        match self {
            Self::Process(_) | Self::File(_) => Source::Process,
            Self::Endpoint(_) => Source::Endpoint,
            Self::Host(_) => Source::Host,
            Self::User(_) | Self::Group(_) => Source::Account,
            Self::Interface(_) => Source::Interface,
            Self::Route(_) => Source::Route,
            Self::Device(_) => Source::Device,
            Self::Module(_) => Source::Module,
            Self::Custom(c) => c.source.clone(),
        }
    }

    /// Tells whether it is sampled on the timeline of `source`.
    #[must_use]
    pub fn is_of(&self, source: &Source) -> bool {
        match self {
            Self::Custom(custom) => custom.source == *source,
            other => other.source() == *source,
        }
    }

    /// Returns the digest of the key: `shanorm` of a process, `shasum` of the others.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        match self {
            Self::Process(f) => f.key.digest(),
            Self::File(f) => f.key.digest(),
            Self::Endpoint(f) => f.key.digest(),
            Self::Host(f) => f.digest(),
            Self::User(f) => f.digest(),
            Self::Group(f) => f.digest(),
            Self::Interface(f) => f.digest(),
            Self::Route(f) => f.digest(),
            Self::Device(f) => f.key.digest(),
            Self::Module(f) => f.digest(),
            Self::Custom(f) => f.digest(),
        }
    }

    /// Hashes the key.
    fn hash_key<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Self::Process(f) => f.key.hash(state),
            Self::File(f) => f.key.hash(state),
            Self::Endpoint(f) => f.key.hash(state),
            Self::Host(f) => f.hash(state),
            Self::User(f) => f.hash(state),
            Self::Group(f) => f.hash(state),
            Self::Interface(f) => f.hash(state),
            Self::Route(f) => f.hash(state),
            Self::Device(f) => f.key.hash(state),
            Self::Module(f) => f.hash(state),
            Self::Custom(f) => f.hash(state),
        }
    }

    /// Tells whether both are the same fact: equal keys, whatever the details.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Process(a), Self::Process(b)) => a.key == b.key,
            (Self::File(a), Self::File(b)) => a.key == b.key,
            (Self::Endpoint(a), Self::Endpoint(b)) => a.key == b.key,
            (Self::Device(a), Self::Device(b)) => a.key == b.key,
            (a, b) => a == b,
        }
    }

    /// Tells whether `later`, an observation of the same fact, has details that this one lacks.
    #[must_use]
    pub fn lacks_what(&self, later: &Self) -> bool {
        match (self, later) {
            (Self::Process(a), Self::Process(b)) => a.details.lacks_what(&b.details),
            (Self::File(a), Self::File(b)) => a.details.lacks_what(&b.details),
            (Self::Endpoint(a), Self::Endpoint(b)) => a.details.lacks_what(&b.details),
            _ => false,
        }
    }

    /// Returns which details are known.
    #[must_use]
    pub fn known(&self) -> Known {
        match self {
            Self::Process(f) => f.details.known(),
            Self::File(f) => f.details.known(),
            Self::Endpoint(f) => f.details.known(),
            _ => Known::default(),
        }
    }

    /// Takes from `later`, a later observation of the same fact, the details that are not known
    /// yet; tells whether there were any.
    pub fn learn(&mut self, later: &Self) -> bool {
        match (self, later) {
            (Self::Process(a), Self::Process(b)) => a.details.learn(&b.details),
            (Self::File(a), Self::File(b)) => a.details.learn(&b.details),
            (Self::Endpoint(a), Self::Endpoint(b)) => a.details.learn(&b.details),
            _ => false,
        }
    }
}

/// Which details of a fact are known: one bit each, the lowest for the first that its kind declares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known(pub u16);

impl Known {
    /// Tells whether `other` knows what this does not.
    #[must_use]
    pub const fn lacks_what(self, other: Self) -> bool {
        other.0 & !self.0 != 0
    }
}

/// Gives a struct of options the law of details: the earliest known value stays.
macro_rules! details {
    ($name:ident: $($field:ident),+ $(,)?) => {
        impl $name {
            /// Tells whether `later` has a value that is unknown here.
            pub(crate) fn lacks_what(&self, later: &Self) -> bool {
                $((self.$field.is_none() && later.$field.is_some()))||+
            }

            /// Returns which fields have values.
            pub(crate) fn known(&self) -> crate::fact::Known {
                let mut bit = 1;
                let mut bits = 0;
                $(
                    bits |= if self.$field.is_some() { bit } else { 0 };
                    bit <<= 1;
                )+
                let _ = bit;
                crate::fact::Known(bits)
            }

            /// Takes the values of `later` that are unknown here; true if there was one.
            pub(crate) fn learn(&mut self, later: &Self) -> bool {
                let learned = self.lacks_what(later);
                $(if self.$field.is_none() {
                    self.$field.clone_from(&later.$field);
                })+
                learned
            }
        }
    };
}
pub(crate) use details;

/// A fact that hashes and compares by its key alone.
#[derive(Clone, Debug)]
pub struct ByKey(pub Fact);

impl PartialEq for ByKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.same(&other.0)
    }
}
impl Eq for ByKey {}
impl Hash for ByKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash_key(state);
    }
}

/// A fact lent that hashes and compares by its key alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ByKeyRef<'a>(pub(crate) &'a Fact);

impl PartialEq for ByKeyRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.same(other.0)
    }
}
impl Eq for ByKeyRef<'_> {}
impl Hash for ByKeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash_key(state);
    }
}
