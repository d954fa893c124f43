//! Every parser of what a client, a user, a network or the kernel writes, as a fuzz target: a name, what must hold of any bytes,
//! and good bytes to begin with.
//!
//! What is checked stands in `checks/`, and for private parsers beside the parser; the workspace's own tests run the same checks.

#![allow(dead_code, unreachable_pub, reason = "modules of programs, of which only the parsers are called")]

#[path = "../checks/mod.rs"]
mod checks;
#[path = "../../bins/pofrs/src/moment.rs"]
mod moment;
mod output;
mod seeds;

/// A target: its name, what is checked, good bytes to begin with.
pub type Target = (&'static str, fn(&[u8]), fn() -> Vec<Vec<u8>>);

/// Returns every target.
#[must_use]
pub fn targets() -> Vec<Target> {
    let ours: [Target; 11] = [
        ("v1_proc", checks::v1::proc, seeds::v1_halves),
        ("v1_net", checks::v1::net, seeds::v1_halves),
        ("v1_tar", checks::v1::tar, seeds::v1_tars),
        ("v2_bundle", checks::v2::bundle, seeds::v2_bundles),
        ("v2_messages", checks::v2::messages, seeds::v2_messages),
        ("link", checks::link::frames, checks::server::registration_seeds),
        ("cgroup", checks::keeper::cgroup, checks::keeper::seeds),
        ("time", checks::moment::time, checks::moment::seeds),
        ("scp", checks::server::scp_sink, checks::server::scp_seeds),
        ("registration", checks::server::registration, checks::server::registration_seeds),
        ("mmdb", checks::server::places, checks::server::places_seeds),
    ];
    let mut all = ours.to_vec();
    all.extend(pofr_collect::fuzzing::TARGETS);
    all.extend(pofr_ingest::fuzzing::TARGETS);
    all.extend(pofr_schema::fuzzing::TARGETS);
    all
}

/// Returns the target of that name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    targets().into_iter().find(|(of, ..)| *of == name)
}
