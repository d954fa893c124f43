//! `pofrs init` on a machine of its own: what it shows it does, what fails it takes back; passwords, and a server in one
//! unprivileged account.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

use pofr_core::wire::link::{Answer, Down, Reader, Refusal, Service, Up, Writer};
use pofr_ingest::registration::Invitation;
use pofr_tests::{
    link_client::{Identity, LinkClient, ssh},
    machine::{Kind, Machine},
    programs::program,
};
use std::process::Stdio;

const CID: &str = "4c4c4544-0034-4610-8047-b6c04f53373311763520";
/// Everything that init may change: names, owners, modes, contents.
const EVERYTHING: &str = "cd /; find etc usr/local var/lib -newermt 1970-01-02 -not -path '*/machine-id*' -printf '%p %u:%g %m %y %l\\n' \
     | grep -v -e lock -e '/etc/passwd-' -e '[a-z]-  *' | sort; cat /etc/passwd /etc/group /etc/ssh/sshd_config; cat /etc/ssh/sshd_config.d/* 2>/dev/null; true";

/// Fails with the lines that one state has and the other has not.
fn same(before: &str, after: &str, when: &str) {
    let lacks = |of: &str, other: &str| -> Vec<String> {
        of.lines().filter(|line| !other.lines().any(|o| o == *line)).map(ToOwned::to_owned).collect()
    };
    let (gone, new) = (lacks(before, after), lacks(after, before));
    assert!(gone.is_empty() && new.is_empty(), "{when}: gone {gone:#?}, new {new:#?}");
}

fn machine() -> Option<Machine> {
    machine_with(&["pofrs"])
}

fn machine_with(programs: &[&str]) -> Option<Machine> {
    let programs: Vec<_> = programs.iter().map(|name| program(name)).collect();
    let programs: Vec<_> = programs.iter().map(AsRef::as_ref).collect();
    match Machine::start(Kind::Server, &programs) {
        Ok(mut machine) => {
            machine.start_sshd().unwrap();
            Some(machine)
        }
        Err(error) => {
            eprintln!("SKIPPED: no machine can be made here: {error}");
            None
        }
    }
}

#[test]
fn what_is_shown_is_done_once_and_what_fails_is_taken_back() {
    let Some(machine) = machine() else { return };
    // The tools leave backups and locks of their own; so they have been here once already.
    machine.text("groupadd x && useradd -g x x && userdel x && { groupdel x || true; } && mkdir -p /usr/local/libexec /etc/pofr && chmod 755 /etc/pofr");
    let before = machine.text(EVERYTHING);
    let shown = machine.text("pofrs init --dry-run");
    same(&before, &machine.text(EVERYTHING), "after showing");
    let steps = |text: &str| -> Vec<String> {
        text.lines().filter(|l| l.starts_with("+ ")).map(ToOwned::to_owned).collect()
    };

    let fails = |sabotage: &str, repair: &str, sign: &str| {
        machine.text(sabotage);
        let output = machine.sh("pofrs init");
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        machine.text(repair);
        assert!(!output.status.success() && err.contains(sign), "{sabotage}: {err}");
        assert!(err.contains("everything is as it was"), "{sabotage}: {err}");
        same(&before, &machine.text(EVERYTHING), &format!("after {sabotage}"));
    };
    fails(
        "cp /etc/ssh/sshd_config /root/kept; echo Nonsense yes >> /etc/ssh/sshd_config",
        "cat /root/kept > /etc/ssh/sshd_config",
        "broken as it is",
    );
    fails(
        "sed -i 's/^Include/#Include/' /etc/ssh/sshd_config",
        "cat /root/kept > /etc/ssh/sshd_config",
        "Include /etc/ssh/sshd_config.d/*.conf",
    );
    fails("mount --bind /bin/false /usr/sbin/useradd", "umount /usr/sbin/useradd", "useradd");
    fails("mkdir /etc/ssh/sshd_config.d/pofr.conf", "rmdir /etc/ssh/sshd_config.d/pofr.conf", "pofr.conf");

    let done = machine.text("pofrs init");
    assert_eq!(steps(&shown), steps(&done), "what was shown was done");
    assert!(machine.text("pofrs init").contains("everything was so already"));
    let shown = machine.text("pofrs init --dry-run");
    assert!(steps(&shown).is_empty(), "{shown}");
    // An administrator's own words stay.
    machine.text("echo '[status]\nsilence = \"1h\"' >> /etc/pofr/pofrs.toml; chmod 777 /var/lib/pofr/inbox; pofrs init");
    assert!(machine.text("cat /etc/pofr/pofrs.toml").contains("silence"));
    assert_eq!(machine.text("stat -c %a /var/lib/pofr/inbox"), "751\n", "what was changed is put right");
    // sshd has taken it, and everybody else logs in as before.
    let key = Identity::new(7);
    machine.text("mkdir -p -m 700 /root/.ssh");
    machine.write("/root/.ssh/authorized_keys", &key.line());
    let file = key.install(&machine, "seven");
    assert_eq!(machine.text(&ssh(&file, "root", "", "echo as before")), "as before\n");
}

/// Answers ssh's question for the password, where there is no terminal (ssh(1), SSH_ASKPASS_REQUIRE).
const ASKPASS: &str = "SSH_ASKPASS=/root/askpass SSH_ASKPASS_REQUIRE=force";

fn give_password(machine: &Machine) {
    machine.write("/root/askpass", "#!/bin/sh\necho 'correct horse'\n");
    machine.text("chmod 700 /root/askpass; printf 'correct horse\ncorrect horse\n' | passwd pofrsreg");
}

#[test]
fn a_client_registers_with_the_password_and_the_right_fingerprint() {
    let Some(machine) = machine_with(&["pofrs", "pofrc"]) else { return };
    machine.text("pofrs init --with-password");
    give_password(&machine);
    let register = |fingerprint: &str| {
        // The server's own data are at the default place.
        let at = "--state /root/state --run-dir /root/run --no-wait";
        machine.sh(&format!(
            "{ASKPASS} pofrc register --server 127.0.0.1 --fingerprint {fingerprint} {at} </dev/null"
        ))
    };
    let wrong = register("SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert!(!wrong.status.success(), "{wrong:?}");
    assert!(
        machine.text("pofrs requests --json").trim().is_empty(),
        "nothing was sent to a server with another key"
    );
    let right = machine.text("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub | cut -d' ' -f2");
    let asked = register(right.trim());
    let requests = machine.text("pofrs requests --json");
    assert!(requests.contains("\"what\":\"new\""), "{asked:?}: {requests}");
    machine.text("pofrs approve --yes");
    let granted = register(right.trim());
    let said = String::from_utf8_lossy(&granted.stdout).into_owned();
    assert!(granted.status.success() && said.contains("Status:GRANTED#"), "{granted:?}");
}

#[test]
fn a_password_registers_and_does_nothing_else() {
    let Some(machine) = machine() else { return };
    machine.text("pofrs init");
    give_password(&machine);
    let login = format!(
        "{ASKPASS} exec ssh -F /dev/null -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \
         -o NumberOfPasswordPrompts=1"
    );
    let refused = machine.sh(&format!("{login} pofrsreg@127.0.0.1 </dev/null"));
    assert_eq!(refused.status.code(), Some(255), "nobody asked for passwords");
    machine.text("pofrs init --with-password");
    let mut child = machine
        .shell(&format!("{login} pofrsreg@127.0.0.1"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut writer = Writer::new(child.stdin.take().unwrap());
    let mut reader = Reader::new(child.stdout.take().unwrap());
    let cid = pofr_core::identity::Cid::parse(CID).unwrap();
    writer.write(&Up::hello(Service::Register, &cid, "test")).unwrap();
    assert!(matches!(reader.read(), Ok(Some(Down::Welcome { .. }))));
    let request = pofr_core::wire::link::Request {
        cid: CID.into(),
        uuid: String::new(),
        public_key: Identity::new(1).line(),
        host_name: "web".into(),
        about: String::new(),
    };
    writer.write(&Up::Request(request)).unwrap();
    assert!(matches!(reader.read(), Ok(Some(Down::Requested { .. }))));
    drop(writer);
    child.wait().unwrap();
    assert!(machine.text("pofrs requests --json").contains("\"what\":\"new\""));
    for options in ["-W 127.0.0.1:22", "-tt"] {
        let output =
            machine.sh(&format!("timeout 60 sh -c \"{login} {options} pofrsreg@127.0.0.1 id </dev/null\""));
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!out.contains("uid=") && !out.contains("SSH-2.0"), "{options}: {out}");
    }
    // A client's account takes no password, whatever somebody sets.
    machine.text("pofrs approve --yes");
    let ciduser = machine.text("pofrs clients --json | grep -o '\"ciduser\":\"[0-9a-f]*' | cut -d'\"' -f4");
    machine.text(&format!("printf 'correct horse\ncorrect horse\n' | passwd {}", ciduser.trim()));
    let refused = machine.sh(&format!("{login} {}@127.0.0.1 </dev/null", ciduser.trim()));
    assert_eq!(refused.status.code(), Some(255));
}

#[test]
fn one_unprivileged_account_is_a_server_too() {
    let Some(machine) = machine() else { return };
    machine.text("useradd -m -s /bin/bash solo; usermod -p '*' solo");
    let solo = |command: &str| machine.text(&format!("runuser -l solo -c '{command}'"));
    let config = "--config /home/solo/pofrs.toml";
    assert!(!machine.sh("pofrs init --single-account --config /root/x.toml").status.success(), "not as root");
    let said = solo(&format!("pofrs {config} --data-dir /home/solo/pofr init --single-account"));
    assert!(said.contains("Landlock"), "what is lost is said: {said}");
    let token = solo(&format!("pofrs {config} invite --host 127.0.0.1 2>/dev/null"));
    let invitation = Invitation::parse(&token).unwrap();
    assert_eq!(invitation.account, "solo");
    machine.write("/root/invite", &invitation.key);
    machine.text("chmod 600 /root/invite");
    let one = Identity::new(1);
    let mut client = LinkClient::connect(&machine, "/root/invite", "solo");
    assert!(matches!(client.hello(Service::Register, CID), Some(Down::Welcome { .. })));
    assert!(matches!(client.request(CID, &one), Some(Down::Requested { .. })));
    solo(&format!("pofrs {config} approve --yes"));
    let answer = client.answer(CID, &one);
    assert!(matches!(&answer, Ok(Answer::Granted { account, .. }) if account == "solo"), "{answer:?}");
    let key = one.install(&machine, "one");
    let mut client = LinkClient::connect(&machine, &key, "solo");
    let other = client.hello(Service::Receive, "another-client-1");
    assert!(matches!(other, Some(Down::Refused { code: Refusal::WrongClient, .. })), "{other:?}");
    let mut client = LinkClient::connect(&machine, &key, "solo");
    assert!(matches!(client.hello(Service::Receive, CID), Some(Down::Welcome { .. })));
    drop(client);
    for (options, command) in [("", "id"), ("-tt", "id"), ("-W 127.0.0.1:22", "")] {
        let output = machine.sh(&format!("timeout 60 {} </dev/null", ssh(&key, "solo", options, command)));
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!out.contains("uid=") && !out.contains("SSH-2.0"), "{options} {command}: {out}");
    }
    solo(&format!("pofrs {config} remove {CID} --yes"));
    let mut client = LinkClient::connect(&machine, &key, "solo");
    assert_eq!(client.hello(Service::Receive, CID), None, "its key is out");
}
