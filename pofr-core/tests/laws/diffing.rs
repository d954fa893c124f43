//! Diffing: a difference applied is the other snapshot.

use pofr_core::{
    diff::{Snapshot, apply, diff},
    identity::BootId,
    source::Source,
    time::WallMicros,
};
use pofr_tests::world::{Step, endpoint, facts, history};
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_difference_applied_is_the_other_snapshot(history in history()) {
        let boot = BootId([1; 16]);
        let ticks: Vec<(Snapshot, Snapshot)> = (0..).zip(history.iter().flat_map(|r| &r.steps)).filter_map(|(t, (step, _))| {
            let Step::Tick { processes, endpoints } = step else { return None };
            let snapshot = |source, facts| Snapshot { source, stamp: WallMicros(t), facts };
            let ports = endpoints.clone().unwrap_or_default();
            Some((
                snapshot(Source::Process, facts(boot, processes.as_deref().unwrap_or_default())),
                snapshot(Source::Endpoint, ports.into_iter().map(endpoint).collect()),
            ))
        }).collect();
        for pair in ticks.windows(2) {
            prop_assert_eq!(&apply(&diff(&pair[0].0, &pair[1].0), &pair[0].0), &pair[1].0);
            prop_assert_eq!(&apply(&diff(&pair[0].1, &pair[1].1), &pair[0].1), &pair[1].1);
            let nothing = diff(&pair[0].0, &pair[0].0);
            prop_assert!(nothing.added.is_empty() && nothing.removed.is_empty());
        }
    }
}
