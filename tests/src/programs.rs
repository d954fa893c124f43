//! The programs under test, built as their users build them.

use std::{path::PathBuf, process::Command, sync::OnceLock};

/// Builds the programs of this workspace if need be, with MariaDB where this crate's tests have it; returns the path of one.
///
/// The whole workspace is named, as the test run names it, so that both share what is built.
///
/// # Panics
/// Where they do not build.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(build);
    // target/<profile>/deps/<this test>
    let this = std::env::current_exe().expect("a test knows where it is");
    this.ancestors().nth(2).expect("a test lies two levels below its profile").join(name)
}

fn build() {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--workspace", "--bins"]);
    if cfg!(feature = "mariadb") {
        cargo.args(["--features", "mariadb"]);
    }
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    assert!(cargo.status().expect("cargo runs").success(), "the programs do not build");
}
