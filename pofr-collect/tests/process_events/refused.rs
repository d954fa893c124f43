//! Where the kernel refuses: in a network namespace and in a container the record says that events are missing, and the samples
//! go on.

use super::{
    alone,
    stream::{gaps, record, settings},
};
use pofr_collect::{HostView, Registry};
use pofr_core::{Source, gap::Severity};
use std::{env, process::Command};

/// Set in the process that is in a namespace of its own.
const INSIDE: &str = "POFR_TEST_REFUSED";

#[test]
fn inside() {
    if env::var_os(INSIDE).is_none() {
        return;
    }
    let view = HostView::live().unwrap();
    let registry = Registry::built_in(&view);
    let (memory, seen) = record(view, registry, settings(20_000, 200_000), 600);
    for bundle in memory.bundles() {
        let gap = gaps(&bundle.records).into_iter().find(|gap| gap.reason.contains("process-events"));
        let gap = gap.expect("every bundle says what is missing");
        assert_eq!((gap.severity, gap.to), (Severity::Thin, None));
        println!("\nsaid {}", gap.reason);
    }
    assert!(seen.keys().any(|(source, _)| *source == Source::Process));
}

/// Runs [`inside`] in new namespaces, and returns what was said there; `None`, said aloud, where we may not make any.
fn within(namespaces: &[&str]) -> Option<String> {
    let output = Command::new("unshare")
        .args(namespaces)
        .arg(env::current_exe().unwrap())
        .args(["--exact", "refused::inside", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    if !text.contains("running 1 test") {
        eprintln!("NOT RUN: unshare {namespaces:?}: {error}");
        return None;
    }
    assert!(output.status.success(), "{namespaces:?}: {text}{error}");
    Some(text)
}

#[test]
fn a_refused_source_is_a_standing_gap_and_the_samples_go_on() {
    let _alone = alone();
    for namespaces in [&["--net"][..], &["--fork", "--pid", "--mount-proc"], &["--user", "--map-root-user"]] {
        if let Some(text) = within(namespaces) {
            assert!(
                text.contains("said event source process-events does not work: proc connector"),
                "{text}"
            );
        }
    }
}
