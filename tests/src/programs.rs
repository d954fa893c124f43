//! The programs under test, built as their users build them.

use std::{path::PathBuf, process::Command, sync::Mutex};

/// Builds a program of this workspace if need be, with MariaDB where this crate's tests have it; returns its path.
///
/// # Panics
/// Where it does not build.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    static BUILDING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = BUILDING.lock();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--package", name, "--bin", name]);
    if cfg!(feature = "mariadb") && name == "pofrs" {
        cargo.args(["--features", "mariadb"]);
    }
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let built = cargo.status().expect("cargo runs").success();
    assert!(built, "{name} does not build");
    // target/<profile>/deps/<this test>
    let this = std::env::current_exe().expect("a test knows where it is");
    this.ancestors().nth(2).expect("a test lies two levels below its profile").join(name)
}
