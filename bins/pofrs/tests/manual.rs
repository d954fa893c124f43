//! docs/cli.md is what both programs say of themselves. `POFR_UPDATE=1 cargo test -p pofrs --test manual` writes it anew.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

use pofr_tests::programs::program;
use std::{path::Path, process::Command};

/// Returns the help text of a program or of one of its commands.
fn help(name: &str, command: Option<&str>) -> String {
    let mut run = Command::new(program(name));
    run.args(command).arg("--help").env("COLUMNS", "100").env_remove("POFR_DB");
    let output = run.output().unwrap();
    assert!(output.status.success(), "{name} {command:?} --help failed");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Returns the names of the commands that a help text lists.
fn commands(help: &str) -> Vec<&str> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = list.take_while(|line| !line.is_empty()).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").collect()
}

#[test]
fn the_reference_is_up_to_date() {
    let mut text = String::from(
        "# The commands\n\nWritten by the programs themselves: what `--help` says. Do not edit; \
         `POFR_UPDATE=1 cargo test -p pofrs --test manual` writes it anew.\n",
    );
    for name in ["pofrs", "pofrc"] {
        let top = help(name, None);
        text += &format!("\n## {name}\n\n```text\n{top}```\n");
        let names = commands(&top);
        assert!(names.len() >= 3, "{name} lists {names:?}");
        for command in names {
            text += &format!("\n### {name} {command}\n\n```text\n{}```\n", help(name, Some(command)));
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    if std::env::var_os("POFR_UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap();
    let line = found.lines().zip(text.lines()).position(|(a, b)| a != b).map_or(0, |i| i + 1);
    assert!(found == text, "docs/cli.md is out of date from line {line} on: POFR_UPDATE=1 writes it anew");
}
