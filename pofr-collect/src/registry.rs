//! The registry: which samplers and event sources a recorder asks. Adding one to the built-in ones takes a file
//! in `samplers/` or `events/` and a line in [`samplers::BUILT_IN`](crate::samplers) or [`events::BUILT_IN`](crate::events); a
//! program adds its own with [`Registry::sampler`] or [`Registry::event_source`].

use crate::{
    HostView, events,
    samplers::{self, Context},
};
use pofr_core::{Collector, EventSource, Source, collector::CollectError};

/// Why a set of plug-ins does not fit together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// Two samplers would write one timeline.
    #[error("two samplers speak of {0}")]
    SameSource(Source),
    /// Losses are counted by the event source's name.
    #[error("two event sources are named {0}")]
    SameName(String),
    /// There is no source of that name.
    #[error("there is no source {name:?}; there are {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The sources that there are.
        known: String,
    },
    /// There is nothing to ask.
    #[error("no sampler is registered")]
    Empty,
}

/// Samplers, asked in this order at each tick, and event sources.
#[derive(Default)]
pub struct Registry {
    pub(crate) samplers: Vec<Box<dyn Collector>>,
    pub(crate) event_sources: Vec<Box<dyn EventSource>>,
    /// Event sources that are not to be had, by name, and why.
    pub(crate) refused: Vec<(String, String)>,
}

impl Registry {
    /// Returns a registry of nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Returns a registry of all that this crate can tell of the host. What the kernel refuses is left out, and the record says so.
    ///
    /// Event sources hear from now on, not only when the recorder runs; the one that looks at new processes has a thread
    /// that takes real-time priority here: before the program gives up its privileges. A program that gives them up in between
    /// makes the samplers before ([`Self::samplers_only`]), since one has the kernel take a program of its own (CAP_BPF and
    /// CAP_PERFMON), what needs a right to be opened with it ([`Self::hearing_first`]), and the other event sources after ([`Self::hearing`]).
    #[must_use]
    pub fn built_in(view: &HostView) -> Self {
        Self::samplers_only(view).hearing_first(view).hearing(view)
    }

    /// Adds those of this crate's event sources that must be opened before the program gives up its privileges.
    #[must_use]
    pub fn hearing_first(self, view: &HostView) -> Self {
        self.hearing_of(view, &events::OPENED_FIRST)
    }

    /// Adds this crate's other event sources.
    #[must_use]
    pub fn hearing(self, view: &HostView) -> Self {
        self.hearing_of(view, &events::BUILT_IN)
    }

    fn hearing_of(self, view: &HostView, makes: &[events::Make]) -> Self {
        let made = makes.iter().filter(|_| view.live).map(|make| make(view));
        made.fold(self, |registry, (name, made)| registry.offer(name, made))
    }

    /// Adds an event source that the kernel may have refused: then the record says so instead.
    #[must_use]
    pub fn offer(mut self, name: &str, made: Result<Box<dyn EventSource>, CollectError>) -> Self {
        match made {
            Ok(source) => self.event_sources.push(source),
            Err(error) => {
                tracing::warn!("event source {name} is left out: {error}");
                self.refused.push((name.to_owned(), error.to_string()));
            }
        }
        self
    }

    /// Returns a registry of all that this crate can sample of the host, without what its kernel could tell in between.
    #[must_use]
    pub fn samplers_only(view: &HostView) -> Self {
        let context = Context::new(view.clone());
        let samplers = samplers::BUILT_IN.iter().map(|make| make(&context)).collect();
        Self { samplers, ..Self::default() }
    }

    /// Adds a sampler.
    #[must_use]
    pub fn sampler(mut self, sampler: impl Collector + 'static) -> Self {
        self.samplers.push(Box::new(sampler));
        self
    }

    /// Adds an event source.
    #[must_use]
    pub fn event_source(mut self, source: impl EventSource + 'static) -> Self {
        self.event_sources.push(Box::new(source));
        self
    }

    /// Leaves out the samplers and event sources of these names.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`] where there is none of a name.
    pub fn without(mut self, names: &[String]) -> Result<Self, RegistryError> {
        for name in names {
            let before = self.names().count();
            let known = self.names().collect::<Vec<_>>().join(", ");
            self.samplers.retain(|sampler| sampler.source().name() != name);
            self.event_sources.retain(|source| source.name() != name);
            self.refused.retain(|(source, _)| source != name);
            if self.names().count() == before {
                return Err(RegistryError::Unknown { name: name.clone(), known });
            }
        }
        Ok(self)
    }

    /// Returns the names of all sources, those that the kernel refused included.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let samplers = self.samplers.iter().map(|sampler| sampler.source().name().to_owned());
        let event_sources = self.event_sources.iter().map(|source| source.name().to_owned());
        samplers.chain(event_sources).chain(self.refused.iter().map(|(name, _)| name.clone()))
    }

    /// Puts something around each sampler and each event source, such as what measures them.
    #[must_use]
    pub fn wrapped(
        self,
        sampler: impl FnMut(Box<dyn Collector>) -> Box<dyn Collector>,
        event_source: impl FnMut(Box<dyn EventSource>) -> Box<dyn EventSource>,
    ) -> Self {
        Self {
            samplers: self.samplers.into_iter().map(sampler).collect(),
            event_sources: self.event_sources.into_iter().map(event_source).collect(),
            refused: self.refused,
        }
    }

    /// Returns the samplers, for a program that asks them itself.
    #[must_use]
    pub fn into_samplers(self) -> Vec<Box<dyn Collector>> {
        self.samplers
    }

    /// Checks that no two plug-ins get in each other's way.
    ///
    /// # Errors
    /// [`RegistryError`], naming them.
    pub fn check(&self) -> Result<(), RegistryError> {
        if self.samplers.is_empty() {
            return Err(RegistryError::Empty);
        }
        for (i, sampler) in self.samplers.iter().enumerate() {
            if self.samplers[..i].iter().any(|other| other.source() == sampler.source()) {
                return Err(RegistryError::SameSource(sampler.source()));
            }
        }
        for (i, source) in self.event_sources.iter().enumerate() {
            if self.event_sources[..i].iter().any(|other| other.name() == source.name()) {
                return Err(RegistryError::SameName(source.name().to_owned()));
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let samplers: Vec<_> = self.samplers.iter().map(|s| s.source()).collect();
        let events: Vec<_> = self.event_sources.iter().map(|s| s.name()).collect();
        f.debug_struct("Registry")
            .field("samplers", &samplers)
            .field("event_sources", &events)
            .field("refused", &self.refused)
            .finish()
    }
}
