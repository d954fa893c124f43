//! What the same recording is like where nobody attacks: a machine with two busy cores is late by itself.

use crate::{
    recording::{Recording, rest},
    scene::Scene,
};
use std::sync::OnceLock;

static LONGEST: OnceLock<i64> = OnceLock::new();

/// Plays a quiet scene, once; the caller has the turn.
pub(crate) fn measure() {
    LONGEST.get_or_init(|| {
        let recording = Recording::begin(Scene::bare());
        rest(4.0);
        let record = recording.end();
        println!(
            "quiet: {} MiB, {:.0} % of a core, {} ms at most between readings",
            record.figures.mib(),
            record.figures.share() * 100.0,
            record.longest / 1000
        );
        record.longest
    });
}

/// The longest gap, µs, that others may have: three times what they have without an attack.
pub(crate) fn allowed_gap() -> i64 {
    LONGEST.get().copied().unwrap_or_default() * 3
}
