//! With a client's key one gets what a client may do, and nothing else: on a real sshd, with the real shell, each thing tried.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

use pofr_core::wire::link::{Down, No, Refusal, Service, Up};
use pofr_ingest::registration::Invitation;
use pofr_tests::{
    link_client::{Identity, LinkClient, ssh},
    machine::{Kind, Machine},
    programs::program,
};
use std::{
    process::Output,
    sync::{Mutex, OnceLock, PoisonError},
};

static TURN: Mutex<()> = Mutex::new(());

const CID: &str = "4c4c4544-0034-4610-8047-b6c04f53373311763520";
const OTHER: &str = "33373436-3933-5a43-3332-303941394a371771164080";

/// A server with two clients.
struct Site {
    machine: Machine,
    key: String,
    ciduser: String,
    other: String,
}

impl Site {
    /// All tests share one, which is left to the end of the process; `None`, loudly, where none can be made.
    fn get() -> Option<&'static Self> {
        static SITE: OnceLock<Option<Site>> = OnceLock::new();
        SITE.get_or_init(Self::make).as_ref()
    }

    fn make() -> Option<Self> {
        let mut machine = match Machine::start(Kind::Server, &[&program("pofrs")]) {
            Ok(machine) => machine,
            Err(error) => {
                eprintln!("SKIPPED: no machine can be made here: {error}");
                return None;
            }
        };
        machine.start_sshd().unwrap();
        machine.text("pofrs init");
        let ciduser = |machine: &Machine, cid: &str, number: u8| {
            let invitation =
                Invitation::parse(&machine.text("pofrs invite --host localhost 2>/dev/null")).unwrap();
            machine.write("/root/invite", &invitation.key);
            machine.text("chmod 600 /root/invite");
            let mut client = LinkClient::connect(machine, "/root/invite", "pofrsreg");
            client.hello(Service::Register, cid);
            client.request(cid, &Identity::new(number));
            drop(client);
            // 1 MiB, so that a test can be over it.
            let said = machine.text(&format!("pofrs approve {cid} --quota 1 --yes"));
            said.lines().last().unwrap().split('#').nth(1).unwrap().to_owned()
        };
        let (one, other) = (ciduser(&machine, CID, 1), ciduser(&machine, OTHER, 2));
        let key = Identity::new(1).install(&machine, "one");
        machine.text(&format!(
            "echo secret > /var/lib/pofr/inbox/{OTHER}/secret; chmod 644 /var/lib/pofr/inbox/{OTHER}/secret"
        ));
        Some(Self { machine, key, ciduser: one, other })
    }

    fn try_ssh(&self, options: &str, command: &str) -> Output {
        let ssh = ssh(&self.key, &self.ciduser, options, command);
        self.machine.sh(&format!("timeout 60 {ssh} </dev/null"))
    }

    fn session(&self) -> LinkClient {
        let mut client = LinkClient::connect(&self.machine, &self.key, &self.ciduser);
        assert!(matches!(client.hello(Service::Receive, CID), Some(Down::Welcome { .. })));
        client
    }
}

macro_rules! site {
    () => {
        match Site::get() {
            // A second session of a client ends the first, so one test at a time.
            Some(site) => (site, TURN.lock().unwrap_or_else(PoisonError::into_inner)),
            None => return,
        }
    };
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn no_shell_and_no_command() {
    let (site, _turn) = site!();
    for command in [
        "id",
        "'sh -c id'",
        "/bin/sh",
        "'; id'",
        "'$(id)'",
        "'pofrs clients'",
        "-- -c id",
        "'scp -f /etc/passwd'",
    ] {
        let output = site.try_ssh("", command);
        let out = text(&output.stdout);
        assert!(!out.contains("uid=") && !out.contains("root:") && !out.contains(OTHER), "{command}: {out}");
    }
    // With a terminal asked for there is none, and nothing of a shell either.
    let output = site.try_ssh("-tt", "id");
    assert!(!text(&output.stdout).contains("uid="), "{}", text(&output.stdout));
    let tty =
        site.machine.sh(&format!("echo 'tty; id' | timeout 60 {}", ssh(&site.key, &site.ciduser, "-tt", "")));
    assert!(
        !text(&tty.stdout).contains("uid=") && !text(&tty.stdout).contains("/dev/pts"),
        "{}",
        text(&tty.stdout)
    );
}

#[test]
fn no_password_and_no_environment() {
    let (site, _turn) = site!();
    let methods = site.machine.sh(&format!(
        "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o PubkeyAuthentication=no {}@127.0.0.1",
        site.ciduser
    ));
    let said = text(&methods.stderr);
    assert!(said.contains("Permission denied (publickey)"), "{said}");
    let output =
        site.try_ssh("-o SetEnv='LD_PRELOAD=/tmp/x POFR_DB=sqlite:/tmp/x SSH_USER_AUTH=/tmp/x'", "id");
    assert!(!text(&output.stdout).contains("uid="));
}

#[test]
fn no_sftp_and_no_scp() {
    let (site, _turn) = site!();
    let options = "-F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR";
    let (key, user) = (&site.key, &site.ciduser);
    let sftp =
        site.machine.sh(&format!("echo 'ls /' | timeout 60 sftp {options} -b - -i {key} {user}@127.0.0.1"));
    assert!(!sftp.status.success() && !text(&sftp.stdout).contains("etc"), "{}", text(&sftp.stdout));
    for old in ["-O", "-s"] {
        for path in ["/etc/passwd", &format!("/var/lib/pofr/inbox/{OTHER}/secret")] {
            let down = format!("timeout 60 scp {old} {options} -i {key} {user}@127.0.0.1:{path} /root/got");
            assert!(!site.machine.sh(&down).status.success(), "{old} {path}");
            assert!(!site.machine.sh("test -e /root/got").status.success(), "{old} {path}");
        }
        for to in [
            "/tmp/pofr-planted",
            "../../planted",
            ".ssh/authorized_keys",
            &format!("/var/lib/pofr/inbox/{OTHER}/planted"),
        ] {
            let up = format!(
                "echo x > /root/x; timeout 60 scp {old} {options} -i {key} /root/x {user}@127.0.0.1:{to}"
            );
            assert!(!site.machine.sh(&up).status.success(), "{old} {to}");
        }
    }
    let planted = site.machine.text("find /tmp /var/lib/pofr /root -name '*planted*'");
    assert_eq!(planted, "");
}

#[test]
fn no_forwarding_of_any_kind() {
    let (site, _turn) = site!();
    // What could be reached: a port and a socket of the server's own.
    site.machine.text(
        "python3 -c 'import socket,os,sys
if os.fork(): sys.exit()
os.setsid(); os.close(0); os.close(1); os.close(2)
s=socket.create_server((\"127.0.0.1\",4711))
while True:
  c,_=s.accept(); c.sendall(b\"reached\"); c.close()'",
    );
    let there = "bash -c 'exec 3<>/dev/tcp/127.0.0.1/4711 && head -c 7 <&3'";
    assert_eq!(site.machine.text(there), "reached", "from the machine itself");
    let reach = site.try_ssh("-W 127.0.0.1:4711", "");
    assert!(!text(&reach.stdout).contains("reached"), "-W");
    for option in
        ["-L 4712:127.0.0.1:4711", "-R 4713:127.0.0.1:4711", "-D 4714", "-R /run/x.sock:127.0.0.1:4711"]
    {
        let port = option.split([' ', ':']).nth(1).unwrap();
        let ssh = ssh(&site.key, &site.ciduser, &format!("-N -o ExitOnForwardFailure=yes {option}"), "");
        let script = format!(
            "timeout 20 {ssh} </dev/null & p=$!; for i in 1 2 3 4 5 6 7 8; do sleep 0.5; \
             case {port} in /*) test -S {port} && echo reached;; *) timeout 2 bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port} && head -c 7 <&3';; esac; done 2>/dev/null; kill $p 2>/dev/null; true"
        );
        let out = site.machine.text(&script);
        assert!(!out.contains("reached"), "{option}: {out}");
    }
    let agent = site.try_ssh("-A -X -w any", "'ls /tmp/ssh-*; echo $SSH_AUTH_SOCK $DISPLAY'");
    assert!(!text(&agent.stdout).contains("/tmp/ssh-"), "{}", text(&agent.stdout));
}

#[test]
fn no_other_client_and_no_other_account() {
    let (site, _turn) = site!();
    let mut client = LinkClient::connect(&site.machine, &site.key, &site.ciduser);
    let refused = client.hello(Service::Receive, OTHER);
    assert!(matches!(refused, Some(Down::Refused { code: Refusal::WrongClient, .. })), "{refused:?}");
    for account in [site.other.as_str(), "pofrsreg", "pofr", "root"] {
        let output = site.machine.sh(&format!("timeout 60 {} </dev/null", ssh(&site.key, account, "", "id")));
        assert_eq!(output.status.code(), Some(255), "{account} let it in");
    }
    // Even if the receiving program did whatever the client wants: the account may not.
    let as_client =
        |command: &str| site.machine.sh(&format!("runuser -u {} -- sh -c '{command}'", site.ciduser));
    // runuser takes the shell that it is told, not the account's.
    assert!(text(&as_client("id").stdout).contains("uid="));
    for command in [
        format!("cat /var/lib/pofr/inbox/{OTHER}/secret"),
        format!("ls /var/lib/pofr/inbox/{OTHER}"),
        "ls /var/lib/pofr/inbox".to_owned(),
        "ls /var/lib/pofr/receive".to_owned(),
        "ls /var/lib/pofr/db".to_owned(),
        "ls /var/lib/pofr/requests".to_owned(),
        "ls /var/lib/pofr/answers".to_owned(),
        "ls /etc/pofr/keys".to_owned(),
        format!("ln /var/lib/pofr/inbox/{OTHER}/secret /var/lib/pofr/inbox/{CID}/x"),
        format!("echo x >> /etc/pofr/keys/{}", site.ciduser),
        format!("echo x >> /var/lib/pofr/receive/{}.json", site.ciduser),
        format!("mv /var/lib/pofr/inbox/{CID} /var/lib/pofr/inbox/x"),
    ] {
        assert!(!as_client(&command).status.success(), "{command}");
    }
}

#[test]
fn no_name_that_is_none_and_no_more_than_the_quota() {
    let (site, _turn) = site!();
    let sha = "0".repeat(64);
    for name in [
        format!("../1795412776422153#+0000#{sha}.tar"),
        format!("/tmp/1795412776422153#+0000#{sha}.tar"),
        ".open".into(),
        "..".into(),
        format!("1795412776422153#+0000#{sha}.tar/x"),
        String::new(),
    ] {
        let answer = site.session().ask(&Up::Offer { name: name.clone(), size: 10, splice: None });
        assert!(matches!(answer, Some(Down::No { code: No::Name, .. })), "{name}: {answer:?}");
    }
    let good = format!("1795412776422153#+0000#{sha}.tar");
    let answer = site.session().ask(&Up::Offer { name: good, size: 2 << 20, splice: None });
    assert!(matches!(answer, Some(Down::No { code: No::Quota | No::Size, .. })), "{answer:?}");
    // There is no message that lists, reads or deletes; one of a kind that does not exist ends the session.
    let mut session = site.session();
    let answer = session.ask(&Up::Ask { cid: CID.into() });
    assert!(!matches!(answer, Some(Down::Nonce(_) | Down::Welcome { .. })), "{answer:?}");
}

#[test]
fn a_link_in_the_inbox_leads_ingest_nowhere() {
    let (site, _turn) = site!();
    let name = format!("1795412776422153#+0000#{}.tar", "1".repeat(64));
    let inbox = format!("/var/lib/pofr/inbox/{CID}");
    site.machine.text(&format!("runuser -u {} -- ln -s /etc/shadow '{inbox}/{name}'", site.ciduser));
    let output = site.machine.sh("pofrs ingest");
    assert_ne!(output.status.code(), Some(0), "it lies in quarantine");
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(!said.contains("root:"), "{said}");
    // And it was not root who looked.
    assert_eq!(site.machine.text("find /var/lib/pofr/db /var/lib/pofr/bundles -user root | wc -l"), "0\n");
}

#[test]
fn the_registration_account_is_no_way_in_either() {
    let (site, _turn) = site!();
    for command in ["id", "'scp -t /tmp'", "'scp -f /etc/passwd'", "sftp"] {
        let output = site
            .machine
            .sh(&format!("timeout 60 {} </dev/null", ssh("/root/invite", "pofrsreg", "-tt", command)));
        let out = text(&output.stdout);
        assert!(!out.contains("uid=") && !out.contains("root:"), "{command}: {out}");
    }
    let reach = site
        .machine
        .sh(&format!("timeout 20 {} </dev/null", ssh("/root/invite", "pofrsreg", "-W 127.0.0.1:22", "")));
    assert!(!text(&reach.stdout).contains("SSH-2.0"));
    let mut client = LinkClient::connect(&site.machine, "/root/invite", "pofrsreg");
    assert!(matches!(client.hello(Service::Receive, CID), Some(Down::Refused { .. })), "it receives nothing");
}
