//! Tests that have a network to themselves.

use std::process::Command;

/// Tells a copy of this test program that it has a network namespace of its own.
const ALONE: &str = "POFR_TEST_ALONE";

/// Runs a test in a network namespace of its own, so that neither thousands of sockets of other tests are told to it, nor its own
/// connections in TIME-WAIT burden others for a minute. True where this is the copy that is to do the work.
pub(crate) fn alone(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let script = "ip link set lo up && exec \"$0\" \"$@\"";
    let output = Command::new("unshare")
        .args(["--net", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    if said.starts_with("unshare: ") {
        eprintln!("NOT ALONE: {said}");
        return true;
    }
    print!("{said}");
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    false
}
