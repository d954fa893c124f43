//! Remains: what a spool shows of a state that cannot be read any more.

use super::{SpoolSettings, state::Held};
use pofr_core::{
    identity::Cid,
    wire::{
        name::BundleName,
        v2::{layout, salvage},
    },
};
use serde_json::Value;
use std::{fs::File, path::Path};

/// What is known without the state.
pub(super) struct Remains {
    pub(super) cid: Option<Cid>,
    /// The mark of the spool.
    pub(super) mark: Option<String>,
    /// The highest number that any bundle has.
    pub(super) assigned: u64,
    pub(super) last_stamp: Option<i64>,
    /// Sealed bundles, the oldest first.
    pub(super) held: Vec<Held>,
}

impl Remains {
    /// Looks at the bundles in the spool, and at what is left of the state's own text.
    pub(super) fn of(settings: &SpoolSettings, text: &[u8]) -> Self {
        let state = serde_json::from_slice(text).unwrap_or(Value::Null);
        let mut cid = settings.cid.clone();
        let mut held = Vec::new();
        for path in list(&settings.dir) {
            let Some((client, bundle)) = bundle(&path) else { continue };
            cid = cid.or_else(|| Cid::parse(&client));
            held.push(bundle);
        }
        held.sort_by_key(|held| held.seq);
        let open = list(&settings.open_dir());
        cid = cid.or_else(|| open.iter().find_map(|path| client_of_frames(path)));
        let begun = open.into_iter().filter_map(|path| {
            let is_bundle = path.extension().is_some_and(|e| e == "frames" || e == "sealing");
            path.file_stem().filter(|_| is_bundle)?.to_str()?.parse::<u64>().ok()
        });
        let seen = begun.chain(held.iter().map(|held| held.seq)).max().unwrap_or(0);
        let mark = std::fs::read_to_string(settings.open_dir().join("mark")).ok();
        let told = state["last_stamp"].as_i64();
        Self {
            cid: cid.or_else(|| state["cid"].as_str().and_then(Cid::parse)),
            mark: mark.map(|mark| mark.trim().to_owned()).filter(|mark| !mark.is_empty()),
            // No number is used twice, whatever it costs to leave some out.
            assigned: state["assigned"].as_u64().filter(|told| *told < u64::MAX / 2).unwrap_or(0).max(seen),
            last_stamp: held.iter().filter_map(|held| Some(held.span?.1)).max().max(told),
            held,
        }
    }
}

/// Reads whose bundle a file is, and what the state would say of it.
fn bundle(path: &Path) -> Option<(String, Held)> {
    let name = path.file_name()?.to_str()?.to_owned();
    name.parse::<BundleName>().ok()?;
    let file = File::open(path).ok()?;
    let bytes = file.metadata().ok()?.len();
    let manifest = layout(file).ok()?.manifest;
    Some((manifest.cid, Held { seq: manifest.seq, name, bytes, span: manifest.wall }))
}

/// Reads whose record the frames of an open bundle are.
fn client_of_frames(path: &Path) -> Option<Cid> {
    let is_frames = path.extension().is_some_and(|e| e == "frames");
    Some(salvage(&std::fs::read(path).ok().filter(|_| is_frames)?).header?.cid)
}

fn list(dir: &Path) -> Vec<std::path::PathBuf> {
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
