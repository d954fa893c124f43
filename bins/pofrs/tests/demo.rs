//! The demo, run for real: it finds what it did, and the commands that it proposes work.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

use std::{
    os::unix::{fs::PermissionsExt, process::CommandExt as _},
    path::Path,
    process::{Command, Output},
};

fn demo(program: &Path, tmp: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["demo", "--seconds", "3"]).env("TMPDIR", tmp).env_remove("POFR_DB");
    command
}

/// Checks what any demo must have found, whoever ran it.
fn check(output: &Output) -> String {
    let out = String::from_utf8(output.stdout.clone()).unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{out}\n{err}");
    let section = |title: &str| {
        let from = out.find(title).unwrap_or_else(|| panic!("no {title:?} in {out}"));
        out[from..].split("\n\n").next().unwrap()
    };
    let file = section("The file that was unlinked");
    assert!(file.contains("pofr-demo-file") && file.contains("(deleted)"), "{out}");
    let net = section("The loopback connection");
    assert_eq!(net.matches("ESTAB").count(), 2, "{out}");
    assert!(
        net.contains("LISTEN") && net.contains("pofr-demo-srv") && net.contains("pofr-demo-cli"),
        "{out}"
    );
    assert!(section("Of the processes").contains(" that lived 500 ms"), "{out}");
    assert!(section("Size:").contains("the bundles that hold the same"), "{out}");
    assert!(section("The machine in the middle").lines().count() > 5, "{out}");
    for line in out.split("To try next:").next().unwrap().lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    out
}

#[test]
fn what_it_proposes_can_be_pasted() {
    let dir = tempfile::tempdir().unwrap();
    let kept = dir.path().join("it's kept");
    let program = Path::new(assert_cmd::cargo::cargo_bin!("pofrs"));
    let output = demo(program, dir.path()).arg("--data-dir").arg(&kept).output().unwrap();
    let out = check(&output);
    let proposed: Vec<&str> = out
        .split("To try next:")
        .nth(1)
        .unwrap()
        .lines()
        .filter(|line| !line.trim_start().starts_with('#') && !line.is_empty())
        .collect();
    assert_eq!(proposed.len(), 6, "{out}");
    for command in proposed {
        let answer = Command::new("sh").args(["-c", command]).output().unwrap();
        let (text, err) =
            (String::from_utf8(answer.stdout).unwrap(), String::from_utf8_lossy(&answer.stderr));
        assert!(answer.status.success() && !text.is_empty(), "{command}: {text}{err}");
    }
    let left: Vec<_> = std::fs::read_dir(&kept).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with("pofr-demo-")), "{left:?}");
}

#[test]
fn an_ordinary_user_can_run_it_and_it_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let (program, tmp) = (dir.path().join("pofrs"), dir.path().join("tmp"));
    // The build may lie where only its owner may go.
    std::fs::copy(assert_cmd::cargo::cargo_bin!("pofrs"), &program).unwrap();
    std::fs::create_dir(&tmp).unwrap();
    std::fs::set_permissions(&tmp, PermissionsExt::from_mode(0o777)).unwrap();
    let mut command = demo(&program, &tmp);
    if rustix::process::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    let out = check(&command.current_dir("/").output().unwrap());
    assert!(out.contains("as an ordinary user"), "{out}");
    assert!(out.contains("could not see as an ordinary user:\n"), "{out}");
    assert!(out.contains("keeps its record"), "{out}");
    assert_eq!(std::fs::read_dir(&tmp).unwrap().count(), 0);
}
