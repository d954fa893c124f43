//! Keepers: which container or systemd unit a process runs in, as its control groups tell.
//!
//! The reading is of names alone: whoever may make control groups (root, and a user below his own user manager) may name
//! one like a container. What runs in no container and no unit has an empty [`Keeper`].
//!
//! Sources: systemd.scope(5), systemd.slice(5), systemd-cgls(1), systemd's `src/basic/cgroup-util.c` (`cg_path_get_unit`) for
//! units; for containers the lines in the tests below, each as a running engine makes them.

use crate::{
    fact::ProcessKey,
    raw::{RawText, Reading},
};
use serde::Serialize;

/// What keeps a process: its container, its systemd unit, both (a container's scope is a unit) or neither.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Keeper {
    /// The innermost container.
    pub container: Option<Container>,
    /// The system's unit, as `ssh.service`, `session-3.scope`, `user@1000.service`.
    pub unit: Option<RawText>,
    /// Below `user@….service`: the unit of the user's own manager.
    pub user_unit: Option<RawText>,
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Container {
    /// Who made it, as far as the name tells.
    pub engine: Engine,
    /// The id in full, 64 hex digits from most engines; the name where the engine's groups have that (lxc, nspawn).
    pub id: RawText,
    /// The uid of the Kubernetes pod, with hyphens.
    pub pod: Option<RawText>,
}

/// Who makes containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
#[expect(missing_docs, reason = "the programs' own names")]
pub enum Engine {
    Docker,
    Podman,
    Containerd,
    Crio,
    Lxc,
    Nspawn,
    /// A container by the form of its id; the engine is not told.
    Unknown,
}

impl Engine {
    /// Returns the name, lower-case.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Containerd => "containerd",
            Self::Crio => "crio",
            Self::Lxc => "lxc",
            Self::Nspawn => "nspawn",
            Self::Unknown => "unknown",
        }
    }
}

/// The beginnings of group names, and who gives them to `<id>.scope` or `<id>`. The monitors of containers
/// (`libpod-conmon-…`, `crio-conmon-…`) run outside of them and have no ids after these.
const NAMED: [(&[u8], Engine); 7] = [
    (b"docker-", Engine::Docker),
    (b"libpod-payload-", Engine::Podman),
    (b"libpod-", Engine::Podman),
    (b"cri-containerd-", Engine::Containerd),
    (b"nerdctl-", Engine::Containerd),
    (b"containerd-", Engine::Containerd),
    (b"crio-", Engine::Crio),
];

/// Groups below which a bare id is a container's.
const PARENTS: [(&[u8], Engine); 6] = [
    (b"docker", Engine::Docker),
    (b"podman", Engine::Podman),
    (b"libpod_parent", Engine::Podman),
    (b"containerd.service", Engine::Containerd),
    (b"containerd", Engine::Containerd),
    (b"k8s.io", Engine::Containerd),
];

impl Keeper {
    /// Reads what `/proc/pid/cgroup` holds: lines `hierarchy:controllers:path` (cgroups(7)). Any bytes; what is no such line
    /// tells nothing.
    #[must_use]
    pub fn read(cgroup: &[u8]) -> Self {
        let mut keeper = Self::default();
        let mut best = 0;
        for line in cgroup.split(|b| *b == b'\n') {
            let mut fields = line.splitn(3, |b| *b == b':');
            let (Some(hierarchy), Some(controllers), Some(path)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            if keeper.container.is_none() {
                keeper.container = container(path);
            }
            // systemd's own hierarchy (v1, hybrid) says more than the unified one beside it, that more than a controller's.
            let rank = match (hierarchy, controllers) {
                (_, b"name=systemd") => 3,
                (b"0", b"") => 2,
                _ => 1,
            };
            let (unit, user_unit) = units(path);
            if unit.is_some() && rank > best {
                best = rank;
                (keeper.unit, keeper.user_unit) = (unit, user_unit);
            }
        }
        keeper
    }

    /// Reads the control groups of a process; `None` where they are not known.
    #[must_use]
    pub fn of(process: &ProcessKey) -> Option<Self> {
        match &process.cgroup {
            Reading::Known(text) => Some(Self::read(text.as_bytes())),
            Reading::Absent => Some(Self::default()),
            Reading::Denied | Reading::Unknown => None,
        }
    }
}

/// Splits a path into its groups, without what leads up and out of a namespace, and without systemd's mark before names
/// that the kernel might take for its own.
fn groups(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|b| *b == b'/')
        .filter(|group| !group.is_empty() && *group != b"..")
        .map(|group| group.strip_prefix(b"_").unwrap_or(group))
}

/// Finds the system's unit, and below a user's manager the user's.
fn units(path: &[u8]) -> (Option<RawText>, Option<RawText>) {
    let mut rest = groups(path).skip_while(|group| group.ends_with(b".slice"));
    let Some(unit) = rest.next().filter(|group| is_unit(group)) else { return (None, None) };
    let manager = unit.starts_with(b"user@") && unit.ends_with(b".service");
    let inner = manager.then(|| rest.find(|group| !group.ends_with(b".slice"))).flatten();
    (Some(unit.into()), inner.filter(|group| is_unit(group)).map(RawText::from))
}

/// Tells whether a group is a unit that holds processes (systemd.unit(5): names of up to 255 of these characters).
fn is_unit(group: &[u8]) -> bool {
    [&b".service"[..], b".scope", b".socket", b".mount", b".swap"]
        .iter()
        .any(|ending| group.len() > ending.len() && group.ends_with(ending))
        && group.len() < 256
        && group.iter().all(|b| b.is_ascii_alphanumeric() || b":-_.\\@".contains(b))
}

/// Finds the innermost container of a path.
fn container(path: &[u8]) -> Option<Container> {
    let groups: Vec<&[u8]> = groups(path).collect();
    let found = (0..groups.len()).rev().find_map(|i| {
        let parent = i.checked_sub(1).map(|p| groups[p]);
        let named = member(groups[i], parent).map(|(engine, id)| (engine, id.into()));
        let named = named.or_else(|| Some((Engine::Nspawn, machine(groups[i], groups.get(i + 1).copied())?)));
        named.map(|(engine, id)| (i, engine, id))
    });
    let (i, engine, id) = found?;
    let pod = groups[..=i].iter().rev().find_map(|group| pod(group));
    Some(Container { engine, id, pod })
}

/// Tells whether one group is a container's, and which.
fn member<'a>(group: &'a [u8], parent: Option<&[u8]>) -> Option<(Engine, &'a [u8])> {
    let bare = group.strip_suffix(b".scope").unwrap_or(group);
    for (prefix, engine) in NAMED {
        if let Some(id) = bare.strip_prefix(prefix).filter(|id| is_id(id)) {
            return Some((engine, id));
        }
    }
    // containerd told to use the kubelet's slices without systemd: `kubepods-….slice:cri-containerd:<id>`.
    let mut tail = group.rsplitn(3, |b| *b == b':');
    if let (Some(id), Some(prefix), Some(_)) = (tail.next(), tail.next(), tail.next())
        && is_id(id)
    {
        let engine = NAMED.iter().find(|(p, _)| p.strip_suffix(b"-") == Some(prefix));
        return Some((engine.map_or(Engine::Unknown, |(_, engine)| *engine), id));
    }
    if is_id(group) {
        let known = PARENTS.iter().find(|(name, _)| parent == Some(name));
        return Some((known.map_or(Engine::Unknown, |(_, engine)| *engine), group));
    }
    if let Some(name) = group.strip_prefix(b"lxc.payload.").filter(|name| !name.is_empty()) {
        return Some((Engine::Lxc, name));
    }
    matches!(parent, Some(b"lxc" | b"lxc.payload")).then_some((Engine::Lxc, group))
}

/// Tells whether one group is that of a machine of systemd-nspawn(1), and which. Below it are `payload`, the machine, and
/// `supervisor`, which is outside. A scope of systemd-machined that has no `payload` is a virtual machine's.
fn machine(group: &[u8], child: Option<&[u8]>) -> Option<RawText> {
    let scope =
        || group.strip_prefix(b"machine-")?.strip_suffix(b".scope").filter(|_| child == Some(b"payload"));
    let service = || group.strip_prefix(b"systemd-nspawn@")?.strip_suffix(b".service");
    let name = scope().or_else(service)?;
    (!name.is_empty() && child != Some(b"supervisor")).then(|| unescaped(name).into())
}

/// Takes back how systemd writes what a unit's name may not have: `\x2d` for `-` (systemd.unit(5)).
fn unescaped(name: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((first, after)) = rest.split_first() {
        let code = rest.strip_prefix(b"\\x").and_then(|code| code.first_chunk::<2>());
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        // FromStr would take a sign.
        let code =
            code.filter(|code| !code.starts_with('+')).and_then(|code| u8::from_str_radix(code, 16).ok());
        text.push(code.unwrap_or(*first));
        rest = if code.is_some() { &rest[4..] } else { after };
    }
    text
}

/// Tells whether a text has the form of a container's id: 64 hex digits, or those of Amazon's tasks, 32 and a number.
fn is_id(text: &[u8]) -> bool {
    let hex = |text: &[u8]| text.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    match text.len() {
        64 => hex(text),
        34..=43 => text[32] == b'-' && hex(&text[..32]) && text[33..].iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Reads a pod's uid out of `pod<uid>` or `kubepods-…-pod<uid>.slice`, where hyphens are underscores.
fn pod(group: &[u8]) -> Option<RawText> {
    let group = group.split(|b| *b == b':').next().unwrap_or(group);
    let uid = match group.strip_suffix(b".slice") {
        // kind puts the kubelet's own name before it.
        Some(slice) if slice.windows(8).any(|w| w == b"kubepods") => {
            let at = slice.windows(4).rposition(|w| w == b"-pod")?;
            &slice[at + 4..]
        }
        _ => group.strip_prefix(b"pod")?,
    };
    // A UUID, or 32 hex digits for a pod that the kubelet read from a file.
    let fits = matches!(uid.len(), 32 | 36)
        && uid.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-' | b'_'));
    fits.then(|| uid.iter().map(|b| if *b == b'_' { b'-' } else { *b }).collect::<Vec<_>>().into())
}

#[cfg(test)]
mod tests;
