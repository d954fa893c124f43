//! Privileges: what the recorder keeps of root's power, and how it gives up the rest for good.
//!
//! It is done in two steps, since capabilities belong to threads. First, before any other thread is started and anything is
//! opened, goes all that neither recording nor the opening of its sources needs. Then, once they are open, goes what only that
//! needed: CAP_SYS_ADMIN for fanotify_init(2) and for mounting a `/proc` of our own, CAP_BPF and CAP_PERFMON for the iterators of tasks and
//! files, CAP_NET_BROADCAST to be told of other network namespaces, and CAP_SYS_NICE for real-time priority where RLIMIT_RTPRIO does not
//! allow it. The threads that sources start come after both.
//!
//! Root stays user 0 by default: then state and spool need no owner of their own, and without CAP_DAC_OVERRIDE and the rest,
//! user 0 can still change what belongs to user 0, the recorder's own files among them. With a user of its own it cannot even
//! that.

use crate::user::User;
use anyhow::{Context as _, bail};
use rustix::{
    process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit},
    thread::{
        CapabilitiesSecureBits, CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
        clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
        set_capabilities_secure_bits, set_keep_capabilities, set_no_new_privs,
    },
};

/// The capabilities that recording needs, and what is not seen without each.
const NEEDED: [(CapabilitySet, &str, &str); 3] = [
    (
        CapabilitySet::SYS_PTRACE,
        "CAP_SYS_PTRACE",
        "files, programs, directories and namespaces of other users' processes are not seen",
    ),
    (
        CapabilitySet::DAC_READ_SEARCH,
        "CAP_DAC_READ_SEARCH",
        "the file lists of other users' processes are not seen",
    ),
    (
        CapabilitySet::NET_ADMIN,
        "CAP_NET_ADMIN",
        "the kernel tells of no start and end and, unless it has an iterator of tasks, not what ran since the last sample: \
         everything is read at every one",
    ),
];

/// The highest priority that the thread which reads events may give itself.
const REAL_TIME_PRIORITY: u64 = 10;
/// Descriptors are kept open per process; more than so many help nobody.
const DESCRIPTORS: u64 = 65_536;

/// What is left.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// The names of the capabilities.
    pub(crate) names: Vec<&'static str>,
    /// What will not be seen, and why.
    pub(crate) missing: Vec<String>,
}

/// What is left between the two steps: enough to open the sources.
#[derive(Debug)]
pub(crate) struct Opening {
    needed: CapabilitySet,
}

/// Gives up everything that neither recording nor opening its sources needs, becomes `user`, and makes sure that there is no
/// way back.
pub(crate) fn drop_most(user: Option<&User>) -> anyhow::Result<Opening> {
    let wanted = NEEDED.iter().fold(CapabilitySet::empty(), |set, (one, ..)| set | *one);
    let mut opening = wanted
        | CapabilitySet::SYS_ADMIN
        | CapabilitySet::BPF
        | CapabilitySet::PERFMON
        | CapabilitySet::NET_BROADCAST;
    if !raise_limits() {
        opening |= CapabilitySet::SYS_NICE;
    }
    let before = capabilities(None).context("cannot read the capabilities")?;
    drop_bounding_set(wanted)?;
    if let Some(user) = user {
        set_keep_capabilities(true).context("cannot keep capabilities")?;
        user.become_it()?;
    }
    clear_ambient_capability_set().context("cannot clear the ambient capabilities")?;
    keep(before.permitted & opening)?;
    set_no_new_privs(true).context("cannot forbid new privileges")?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).context("cannot forbid core dumps")?;
    Ok(Opening { needed: before.permitted & wanted })
}

/// Gives up everything: for the shipper, which needs nothing that its user may not do. Its children cannot get anything back
/// either.
pub(crate) fn drop_all() -> anyhow::Result<()> {
    let none = CapabilitySet::empty();
    drop_bounding_set(none)?;
    clear_ambient_capability_set().context("cannot clear the ambient capabilities")?;
    keep(none)?;
    set_no_new_privs(true).context("cannot forbid new privileges")
}

/// Takes all capabilities but these out of reach, and root's way of getting them. Without CAP_SETPCAP, as an ordinary user is,
/// they stay: no_new_privs makes them idle.
fn drop_bounding_set(wanted: CapabilitySet) -> anyhow::Result<()> {
    let now = capabilities(None).context("cannot read the capabilities")?;
    if !now.effective.contains(CapabilitySet::SETPCAP) {
        return Ok(());
    }
    let bits = CapabilitiesSecureBits::NO_ROOT | CapabilitiesSecureBits::NO_ROOT_LOCKED;
    set_capabilities_secure_bits(bits).context("cannot set the secure bits")?;
    for bit in 0..64 {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        if !wanted.contains(one) && capability_is_in_bounding_set(one).unwrap_or(false) {
            remove_capability_from_bounding_set(one).context("cannot drop the bounding set")?;
        }
    }
    Ok(())
}

impl Opening {
    /// Gives up what only the opening of sources needed.
    pub(crate) fn drop_rest(self) -> anyhow::Result<Kept> {
        keep(self.needed)?;
        let has = |one: &CapabilitySet| self.needed.contains(*one);
        let names = NEEDED.iter().filter(|(one, ..)| has(one)).map(|(_, name, _)| *name).collect();
        let missing = NEEDED.iter().filter(|(one, ..)| !has(one));
        Ok(Kept {
            names,
            missing: missing.map(|(_, name, what)| format!("without {name}: {what}")).collect(),
        })
    }
}

/// Keeps these capabilities in this thread, and makes sure that it has no other.
fn keep(kept: CapabilitySet) -> anyhow::Result<()> {
    let left = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, left).context("cannot give up capabilities")?;
    if capabilities(None).context("cannot read the capabilities")? != left {
        bail!("the kernel did not take the capabilities away");
    }
    Ok(())
}

/// Takes the limits that are wanted, as far as they are to be had; tells whether real-time priority is allowed by one of them.
fn raise_limits() -> bool {
    let limit = |resource, least: u64| {
        let now = getrlimit(resource);
        // The hard limit, too, where that is allowed (CAP_SYS_RESOURCE).
        let most = now.maximum.map(|maximum| maximum.max(least));
        let current = Some(now.current.unwrap_or(least).max(least));
        if setrlimit(resource, Rlimit { current, maximum: most }).is_ok() {
            return;
        }
        let wanted = Rlimit {
            current: now
                .maximum
                .map_or(Some(least), |maximum| Some(maximum.min(least).max(now.current.unwrap_or(0)))),
            maximum: now.maximum,
        };
        let _ = setrlimit(resource, wanted);
    };
    let priority = Some(REAL_TIME_PRIORITY);
    let _ = setrlimit(Resource::Rtprio, Rlimit { current: priority, maximum: priority });
    limit(Resource::Nofile, DESCRIPTORS);
    getrlimit(Resource::Rtprio).current.is_none_or(|priority| priority > 0)
}
