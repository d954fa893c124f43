//! docs/manual.md, done: every line behind `server#` and `client#` is run as it stands there, on two machines made of
//! namespaces with a network between them. From nothing to an answer by the manual alone.

use pofr_tests::{
    machine::{Kind, Machine},
    programs::program,
};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// Returns the commands of the manual's blocks, in order: for the server or not, and the line.
fn commands(manual: &str) -> Vec<(bool, String)> {
    let mut all = Vec::new();
    let mut inside = false;
    for line in manual.lines() {
        match line {
            "```console" => inside = true,
            "```" => inside = false,
            _ if !inside => {}
            _ => match (line.strip_prefix("server# "), line.strip_prefix("client# ")) {
                (Some(command), _) => all.push((true, command.to_owned())),
                (_, Some(command)) => all.push((false, command.to_owned())),
                _ => panic!("a line that is no command stands in a block that is run: {line}"),
            },
        }
    }
    all
}

/// Waits until a script succeeds.
fn until(machine: &Machine, what: &str, script: &str) {
    let deadline = Instant::now() + Duration::from_secs(300);
    while !machine.sh(script).status.success() {
        assert!(Instant::now() < deadline, "{what} does not come about");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn from_nothing_to_an_answer_by_the_manual_alone() {
    let (pofrs, pofrc) = (program("pofrs"), program("pofrc"));
    let machines = Machine::start(Kind::Server, &[&pofrs]).and_then(|server| {
        let addresses = server.join()?;
        Ok((server, addresses, Machine::start(Kind::Client, &[&pofrc])?))
    });
    let (mut server, (address, _), client) = match machines {
        Ok(machines) => machines,
        Err(error) => return eprintln!("SKIPPED: no machines can be made here: {error}"),
    };
    server.start_sshd().unwrap();
    // What a name server would say.
    for machine in [&server, &client] {
        machine.text(&format!("echo '{address} log.example.org' >> /etc/hosts"));
    }
    // The one thing that is not as the manual has it: bundles are shorter, so that the test is.
    client.text("mkdir -p /etc/pofr && echo 'bundle = \"3s\"' > /etc/pofr/pofrc.toml");

    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/manual.md");
    let commands = commands(&std::fs::read_to_string(manual).unwrap());
    assert!(commands.len() > 25, "the manual has commands");
    let mut said = Vec::new();
    for (on_server, command) in &commands {
        let machine = if *on_server { &server } else { &client };
        // Time passes between two sections.
        if command.starts_with("ls -l /var/lib/pofr/inbox") {
            until(&server, "a bundle that has come", "ls /var/lib/pofr/inbox/*/*.tar | grep -q tar");
            until(&server, "20 seconds of record", "[ $(ls /var/lib/pofr/inbox/*/*.tar | wc -l) -ge 7 ]");
        }
        let output = machine.sh(command);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        // This machine may be busy enough to lose samples, which status is right to call trouble.
        let trouble = command == "pofrs status" && output.status.code() == Some(6);
        assert!(
            output.status.success() || trouble,
            "{command}\nended with {}:\n{out}{err}\nsshd: {}",
            output.status,
            server.text("tail -20 /run/sshd.log")
        );
        eprintln!("{command}\n{out}{err}");
        said.push((command.as_str(), out.into_owned()));
        // What a person would carry over.
        if command.contains("/root/invitation") && *on_server {
            client.write("/root/invitation", &server.text("cat /root/invitation"));
        }
    }
    client.text("pofrc stop");
    let of = |beginning: &str| {
        let found = said.iter().find(|(command, _)| command.starts_with(beginning));
        found.unwrap_or_else(|| panic!("no {beginning}")).1.as_str()
    };
    assert!(of("pofrs init --dry-run").contains("nothing was done"));
    let granted =
        said.iter().filter(|(command, _)| *command == "pofrc register").flat_map(|(_, out)| out.lines());
    let granted: Vec<&str> = granted.filter(|line| line.starts_with("Status:GRANTED#")).collect();
    assert!(granted.len() == 1 && granted[0].split('#').count() == 3, "{granted:?}");
    // This very test is part of what was recorded.
    assert!(of("pofrs at -15s ps").contains("manual-"), "{}", of("pofrs at -15s ps"));
}
