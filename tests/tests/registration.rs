//! From an invitation to an answer, on a machine of its own with a real sshd: who gets in, what fails and takes back what it
//! did, what a flood comes to.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

use pofr_core::wire::link::{Answer, Down, Goodbye, ROTATION_NAMESPACE, Refusal, Service, Up};
use pofr_ingest::registration::Invitation;
use pofr_tests::{
    link_client::{Identity, LinkClient},
    machine::{Kind, Machine},
    programs::program,
};

const CID: &str = "4c4c4544-0034-4610-8047-b6c04f53373311763520";

/// A server on which `pofrs init` was said; `None`, loudly, where the kernel lets nobody make one.
fn server(init: &str) -> Option<Machine> {
    let mut machine = match Machine::start(Kind::Server, &[&program("pofrs")]) {
        Ok(machine) => machine,
        Err(error) => {
            eprintln!("SKIPPED: no machine can be made here: {error}");
            return None;
        }
    };
    machine.start_sshd().unwrap();
    machine.text(init);
    Some(machine)
}

/// Makes an invitation and returns the path of its key.
fn invite(machine: &Machine, name: &str) -> String {
    let token = machine.text("pofrs invite --host 127.0.0.1 2>/dev/null");
    let invitation = Invitation::parse(&token).unwrap();
    assert_eq!(invitation.account, "pofrsreg");
    let path = format!("/root/{name}");
    machine.write(&path, &invitation.key);
    machine.text(&format!("chmod 600 {path}"));
    path
}

fn asks(machine: &Machine, key: &str, cid: &str, identity: &Identity) -> (LinkClient, Option<Down>) {
    let mut client = LinkClient::connect(machine, key, "pofrsreg");
    assert!(matches!(client.hello(Service::Register, cid), Some(Down::Welcome { .. })));
    let answer = client.request(cid, identity);
    (client, answer)
}

fn code(down: Option<Down>) -> Option<Refusal> {
    match down {
        Some(Down::Refused { code, .. }) => Some(code),
        _ => None,
    }
}

#[test]
fn an_invited_client_asks_is_approved_rotates_its_key_and_is_removed() {
    let Some(machine) = server("pofrs init") else { return };
    assert!(machine.text("pofrs init").contains("everything was so already"));
    let (one, two) = (Identity::new(1), Identity::new(2));
    let key = invite(&machine, "invite");
    let (mut client, requested) = asks(&machine, &key, CID, &one);
    let Some(Down::Requested { request_id }) = requested else { panic!("{requested:?}") };
    assert_eq!(client.answer(CID, &one), Ok(Answer::Pending));
    // Saying it again is recognised, and so is another key for the same client.
    assert_eq!(client.request(CID, &one), Some(Down::Requested { request_id: request_id.clone() }));
    drop(client);
    let (_, again) = asks(&machine, &key, CID, &two);
    assert_eq!(code(again), Some(Refusal::KeyDiffers));
    let (_, other) = asks(&machine, &key, "another-client-1", &two);
    assert_eq!(code(other), Some(Refusal::Expired), "an invitation is for one client");
    // Nobody learns anything with another key, or of a client that nobody knows.
    for (cid, identity) in [(CID, &two), ("never-heard-of-1", &one)] {
        let mut client = LinkClient::connect(&machine, &key, "pofrsreg");
        client.hello(Service::Register, cid);
        assert_eq!(code(client.answer(cid, identity).unwrap_err()), Some(Refusal::BadSignature), "{cid}");
    }

    let shown = machine.text("pofrs requests --json");
    assert!(shown.contains("\"what\":\"new\"") && shown.contains("\"what\":\"second-key\""), "{shown}");
    assert!(shown.contains("\"source\":\"127.0.0.1\""), "{shown}");
    assert!(!machine.sh(&format!("pofrs approve {CID}")).status.success(), "nobody is there to be asked");
    let said = machine.text("pofrs approve --yes");
    let line = said.lines().last().unwrap();
    let words: Vec<&str> = line.split('#').collect();
    assert!(words[0] == "Status:GRANTED" && words[1].len() == 32 && words[2].len() == 64, "{line}");
    let ciduser = words[1].to_owned();

    let mut client = LinkClient::connect(&machine, &key, "pofrsreg");
    client.hello(Service::Register, CID);
    let granted = client.answer(CID, &one).unwrap();
    assert!(matches!(&granted, Answer::Granted { account, .. } if *account == ciduser), "{granted:?}");
    client.end().unwrap();
    let passwd = machine.text(&format!("getent passwd {ciduser}; getent shadow {ciduser}"));
    assert!(passwd.contains("/pofrs-shell") && passwd.contains(":*:"), "{passwd}");
    let stat =
        machine.text(&format!("stat -c '%U %G %a' /var/lib/pofr/inbox/{CID} /etc/pofr/keys/{ciduser}"));
    assert_eq!(stat, format!("{ciduser} pofr 2770\nroot root 644\n"));
    assert!(machine.text("pofrs clients --json").contains(&ciduser));

    // The client's own account takes its bundles, under its own id alone.
    let one_key = one.install(&machine, "one");
    let mut client = LinkClient::connect(&machine, &one_key, &ciduser);
    assert_eq!(code(client.hello(Service::Receive, "another-client-1")), Some(Refusal::WrongClient));
    drop(client);
    let mut client = LinkClient::connect(&machine, &one_key, &ciduser);
    assert!(matches!(client.hello(Service::Receive, CID), Some(Down::Welcome { .. })));
    let signed = |by: &Identity| Up::Rotate {
        public_key: two.line(),
        signature: by.sign(ROTATION_NAMESPACE, two.line().as_bytes()),
    };
    assert!(matches!(client.ask(&signed(&one)), Some(Down::Requested { .. })));
    client.say(&Up::Bye(Goodbye::Stopping));
    drop(client);
    let said = machine.text(&format!("pofrs approve {CID} --yes"));
    assert!(said.contains("has its next key"), "{said}");
    let two_key = two.install(&machine, "two");
    let mut client = LinkClient::connect(&machine, &two_key, &ciduser);
    assert!(matches!(client.hello(Service::Receive, CID), Some(Down::Welcome { .. })));
    let mut old = LinkClient::connect(&machine, &one_key, &ciduser);
    assert_eq!(old.hello(Service::Receive, CID), None, "the old key is refused by sshd");

    // While it is connected: its session ends, too.
    machine.text("pofrs hold trial");
    assert!(!machine.sh(&format!("pofrs remove {CID} --yes")).status.success(), "a hold forbids it");
    machine.text("pofrs hold --release");
    machine.text(&format!("pofrs remove {CID} --yes"));
    assert_eq!(client.ask(&Up::Flush), None);
    assert!(!machine.sh(&format!("getent passwd {ciduser}")).status.success());
    assert_eq!(
        machine.text("ls -A /var/lib/pofr/inbox /var/lib/pofr/receive | grep -v :; ls /etc/pofr/keys"),
        "\npofrsreg\n"
    );
    assert!(!machine.text("pofrs clients").contains(CID));
    let mut client = LinkClient::connect(&machine, &key, "pofrsreg");
    client.hello(Service::Register, CID);
    assert!(matches!(client.answer(CID, &two), Ok(Answer::Denied { reason }) if reason.contains("removed")));
}

#[test]
fn a_denied_client_is_told_why_and_can_be_let_in_later_with_its_record() {
    let Some(machine) = server("pofrs init") else { return };
    let one = Identity::new(1);
    let key = invite(&machine, "invite");
    let (mut client, _) = asks(&machine, &key, CID, &one);
    machine.text(&format!("pofrs deny {} --reason 'not one of ours'", &CID[..8]));
    let denied = Answer::Denied { reason: "not one of ours".into() };
    assert_eq!(client.answer(CID, &one), Ok(denied.clone()));
    assert!(matches!(client.request(CID, &one), Some(Down::Requested { .. })), "recognised");
    assert_eq!(client.answer(CID, &one), Ok(denied));
    assert_eq!(machine.text("pofrs requests"), "nothing waits\n");
    let first = machine.text(&format!("pofrs approve {CID} --yes"));
    assert!(matches!(client.answer(CID, &one), Ok(Answer::Granted { .. })));
    machine.text(&format!("pofrs remove {CID} --keep-data --yes"));
    assert!(machine.text("pofrs clients").contains("4c4c4544"), "the record stays");
    let second = machine.text(&format!("pofrs approve {CID} --yes"));
    let ciduser = |said: &str| said.lines().last().unwrap().split('#').nth(1).unwrap().to_owned();
    assert_eq!(ciduser(&first), ciduser(&second), "it is the same client");
}

/// Every step of an approval fails in turn, by something that can really be in its way; nothing may be left, and without it
/// everything works.
#[test]
fn an_approval_that_fails_anywhere_leaves_nothing() {
    let Some(machine) = server("pofrs init") else { return };
    let (key, one) = (invite(&machine, "invite"), Identity::new(1));
    let (client, _) = asks(&machine, &key, CID, &one);
    drop(client);
    let data = "/var/lib/pofr";
    let state = || {
        machine.text(
            "getent passwd | sort; getent group | sort; cd /var/lib/pofr; \
             find inbox receive answers requests bundles -mindepth 1 -not -name '.*' | sort; ls -A db | grep -v -e lhlt -e lock$ || true; \
             cat /etc/pofr/keys/*; ls -A /etc/pofr/keys; pofrs clients",
        )
    };
    let before = state();
    let obstacles = [
        (
            "the database",
            format!("mkdir {data}/db/{0}.sqlite", CID.replace('-', "")),
            format!("rmdir {data}/db/{0}.sqlite; rm -f {data}/db/{0}.lock", CID.replace('-', "")),
        ),
        (
            "the account",
            "mount --bind /bin/false /usr/sbin/useradd".to_owned(),
            "umount /usr/sbin/useradd".to_owned(),
        ),
        (
            "the inbox",
            format!("mount --bind {data}/inbox {data}/inbox && mount -o remount,ro,bind {data}/inbox"),
            format!("umount {data}/inbox"),
        ),
        (
            "the profile",
            format!("mount --bind {data}/receive {data}/receive && mount -o remount,ro,bind {data}/receive"),
            format!("umount {data}/receive"),
        ),
        (
            "the key",
            "mount --bind /etc/pofr/keys /etc/pofr/keys && mount -o remount,ro,bind /etc/pofr/keys"
                .to_owned(),
            "umount /etc/pofr/keys".to_owned(),
        ),
        (
            "the answer",
            format!("mount --bind {data}/answers {data}/answers && mount -o remount,ro,bind {data}/answers"),
            format!("umount {data}/answers"),
        ),
        (
            "the desk",
            format!(
                "mount --bind {data}/requests {data}/requests && mount -o remount,ro,bind {data}/requests"
            ),
            format!("umount {data}/requests"),
        ),
    ];
    for (what, put, take) in &obstacles {
        machine.text(put);
        let output = machine.sh(&format!("pofrs approve {CID} --yes"));
        machine.text(take);
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{what} did not fail");
        assert!(err.contains("everything is as it was"), "{what}: {err}");
        assert_eq!(state(), before, "after {what} failed");
    }
    // Killed at a random moment, it is finished by saying it again.
    for millis in [20, 60, 120, 200] {
        let _ = machine.sh(&format!("timeout -s KILL 0.{millis:03} pofrs approve {CID} --yes"));
    }
    let said = machine.text(&format!("pofrs approve {CID} --yes"));
    assert!(said.contains("Status:GRANTED#") || said.contains("registered already"), "{said}");
    let accounts = machine.text("getent passwd | grep -c pofrs-shell");
    assert_eq!(accounts, "2\n", "pofrsreg and one client");
    assert_eq!(machine.text("ls /var/lib/pofr/receive | wc -l"), "1\n");
}

/// Who knows the password, or has an invitation that it should not have, cannot fill the server.
#[test]
fn a_flood_of_requests_is_bounded() {
    let Some(machine) = server("pofrs init --with-password") else { return };
    // Without a password at hand for ssh -o BatchMode, the account's own file lets a key in that is no invitation's: it is told
    // that it ended.
    let stranger = Identity::new(9);
    machine.text(&format!("echo 'restrict {}' >> /etc/pofr/keys/pofrsreg", stranger.line()));
    let path = stranger.install(&machine, "stranger");
    let mut client = LinkClient::connect(&machine, &path, "pofrsreg");
    assert_eq!(code(client.hello(Service::Register, CID)), Some(Refusal::Expired));
    drop(client);
    // By password: the session is that of sshd's forced command with no key in SSH_USER_AUTH.
    let session = "runuser -u pofrsreg -- env SSH_CONNECTION='198.51.100.7 1 127.0.0.1 22' /usr/local/libexec/pofrs-shell -c x";
    let mut refused = 0;
    for round in 0..4_u8 {
        let mut flood = Raw::start(&machine, session);
        for n in 0..8_u8 {
            let down = flood.request(&format!("flooder-{round}-{n}-00001"), &Identity::new(100 + round));
            refused += u32::from(code(down) == Some(Refusal::TooMany));
        }
    }
    assert!(refused >= 1, "some were refused");
    assert_eq!(machine.text("ls /var/lib/pofr/requests | wc -l"), "8\n", "so many from one address");
    // A frame larger than a request may be ends the session, before it is read.
    let mut large = Raw::start(&machine, session);
    let down = large.request(&"x".repeat(9000), &Identity::new(1));
    assert!(code(down).is_some());
    // An invitation has its own place at the desk.
    let key = invite(&machine, "invite");
    let (_, requested) = asks(&machine, &key, CID, &Identity::new(1));
    assert!(matches!(requested, Some(Down::Requested { .. })), "{requested:?}");
    // Seats are counted: with all of them taken, who comes is told to come again.
    let script = "exec runuser -u pofrsreg -- python3 -c '
import fcntl, time
seats = [open(\"/var/lib/pofr/requests/.seat-%d\" % n, \"w\") for n in range(32)]
for seat in seats: fcntl.flock(seat, fcntl.LOCK_EX)
print(\"held\", flush=True)
time.sleep(600)'";
    let holder = machine.shell(script).stdout(std::process::Stdio::piped()).spawn();
    let mut holder = holder.unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(holder.stdout.take().unwrap()), &mut line)
        .unwrap();
    let mut client = LinkClient::connect(&machine, &key, "pofrsreg");
    let full = client.hello(Service::Register, CID);
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(code(full), Some(Refusal::TooMany));
}

/// A session without ssh.
struct Raw {
    child: std::process::Child,
    reader: pofr_core::wire::link::Reader<std::process::ChildStdout>,
    writer: pofr_core::wire::link::Writer<std::process::ChildStdin>,
}

impl Raw {
    fn start(machine: &Machine, command: &str) -> Self {
        use pofr_core::wire::link::{Reader, Writer};
        let piped = std::process::Stdio::piped;
        let mut child =
            machine.shell(&format!("exec {command}")).stdin(piped()).stdout(piped()).spawn().unwrap();
        let (up, down) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut raw = Self { child, reader: Reader::new(down), writer: Writer::new(up) };
        let cid = pofr_core::identity::Cid::parse(CID).unwrap();
        raw.writer.write(&Up::hello(Service::Register, &cid, "test")).unwrap();
        assert!(matches!(raw.reader.read(), Ok(Some(Down::Welcome { .. }))));
        raw
    }

    fn request(&mut self, cid: &str, identity: &Identity) -> Option<Down> {
        let request = pofr_core::wire::link::Request {
            cid: cid.to_owned(),
            uuid: String::new(),
            public_key: identity.line(),
            host_name: String::new(),
            about: String::new(),
        };
        let _ = self.writer.write(&Up::Request(request));
        self.reader.read().ok().flatten()
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The same on a private MariaDB, where root makes databases and `pofr` fills them.
#[cfg(feature = "mariadb")]
#[test]
fn on_mariadb_root_makes_the_database_and_pofr_fills_it() {
    use pofr_tests::mariadb::PrivateMariadb;
    // Below /tmp, which a machine shares with the one underneath.
    let mariadb = PrivateMariadb::start_in(&std::env::temp_dir()).unwrap();
    let url = format!(
        "mysql://pofr@localhost/?unix_socket={}&password_file=/etc/pofr/writer&read_password_file=/etc/pofr/reader",
        mariadb.socket().display()
    );
    let Some(machine) = server(&format!("pofrs init --db '{url}'")) else { return };
    assert_eq!(machine.text("stat -c '%U %a' /etc/pofr/writer /etc/pofr/reader"), "pofr 600\npofr 600\n");
    let one = Identity::new(1);
    let key = invite(&machine, "invite");
    let (client, _) = asks(&machine, &key, CID, &one);
    drop(client);
    // Something is in the way of the last but one step: the database goes again, too.
    machine.text("mount --bind /etc/pofr/keys /etc/pofr/keys && mount -o remount,ro,bind /etc/pofr/keys");
    let failed = machine.sh("pofrs approve --yes");
    machine.text("umount /etc/pofr/keys");
    let err = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(!failed.status.success() && err.contains("everything is as it was"), "{err}");
    assert!(!machine.text("pofrs clients").contains(CID));
    let said = machine.text("pofrs approve --yes");
    assert!(said.contains("Status:GRANTED#"), "{said}");
    assert!(machine.text("pofrs clients --json").contains(CID));
    assert_eq!(machine.text("pofrs sql 'SELECT COUNT(*) AS n FROM all_psinfo' --json"), "{\"n\":0}\n");
    machine.text("pofrs ingest");
    machine.text(&format!("pofrs remove {CID} --yes"));
    assert!(!machine.text("pofrs clients").contains(CID));
}
