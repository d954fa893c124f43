//! What others may do to the recorder's own places and to its shipper: squatted directories, full file systems, a shipper that was
//! taken over, too few descriptors. The recording goes on, and nobody else is left out or ended.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without ends it")]

#[expect(dead_code, reason = "other tests use it, too")]
mod place;
#[path = "../../../tests/src/tmpfs.rs"]
#[expect(unreachable_pub, dead_code, reason = "tests of other crates use it, too")]
mod tmpfs;

use place::{Place, text};
use pofr_core::{fact::Fact, gap::Gap, record::Record, wire::v2::Bundle};
use std::{
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    process::{Child, Command, Output, Stdio},
    time::Duration,
};
use tmpfs::Tmpfs;

const NOBODY: u32 = 65_534;

fn is_root() -> bool {
    let root =
        std::fs::read_to_string("/proc/self/status").unwrap().lines().any(|l| l.starts_with("Uid:\t0\t0\t"));
    if !root {
        eprintln!("SKIPPED: without root nobody else can attack");
    }
    root
}

/// A process that does nothing; killed when this is dropped.
struct Bystander(Child);

impl Bystander {
    fn new(uid: u32) -> Self {
        Self(Command::new("sleep").arg("1000").uid(uid).gid(uid).stdin(Stdio::null()).spawn().unwrap())
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    /// When it started, ticks since boot.
    fn start(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        stat.rsplit_once(") ").unwrap().1.split(' ').nth(19).unwrap().parse().unwrap()
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn records(bundles: &[Bundle]) -> impl Iterator<Item = Record> {
    bundles.iter().flat_map(|bundle| bundle.records().unwrap()).map(|record| record.unwrap())
}

fn gaps(bundles: &[Bundle], reason: &str) -> Vec<Gap> {
    let gap = |record| match record {
        Record::Gap(gap) if gap.reason.starts_with(reason) => Some(gap),
        _ => None,
    };
    records(bundles).filter_map(gap).collect()
}

/// Tells whether a bundle shows the process in its first snapshot.
fn shows(bundle: &Bundle, pid: u32) -> bool {
    records(std::slice::from_ref(bundle)).any(|record| match record {
        Record::Sample(sample) if sample.keyframe => sample
            .added
            .iter()
            .any(|fact| matches!(&fact.fact, Fact::Process(process) if process.key.entity.pid().0 == pid)),
        _ => false,
    })
}

/// Returns the processes of the samples whose parent is this one, by name.
fn children(bundles: &[Bundle], parent: u32) -> Vec<String> {
    let added = records(bundles).filter_map(|record| match record {
        Record::Sample(sample) => Some(sample.added),
        _ => None,
    });
    let child = |fact: &Fact| match fact {
        Fact::Process(process) if process.key.ppid.0 == parent => Some(format!("{:?}", process.key)),
        _ => None,
    };
    added.flatten().filter_map(|numbered| child(&numbered.fact)).collect()
}

/// Registers the place at a server that is not there, with `nobody` as the shipper's user.
fn register(place: &Place) {
    for name in ["state", "run"] {
        std::fs::create_dir(place.path(name)).unwrap();
        std::fs::set_permissions(place.path(name), std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    std::fs::set_permissions(place.dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(place.path("pofrc.toml"), "ship-user = \"nobody\"\n").unwrap();
    let registration = r#"{"version":1,"server":"127.0.0.1","port":1,"cid":"test-1795434795702210",
        "status":{"granted":{"ciduser":"0123456789abcdef0123456789abcdef","registration_id":"1","account":"nobody"}},
        "request_id":"1","desk":"pofrsreg"}"#;
    std::fs::write(place.path("state/registration.json"), registration).unwrap();
    std::fs::write(place.path("state/known_hosts"), "").unwrap();
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(place.path("state/id"));
    assert!(keygen.status().unwrap().success());
}

/// Writes another process's number to every descriptor that the shipper has, as the shipper could, by taking them over.
const TAKE_OVER: &str = r#"
import ctypes, os, sys
shipper, said = int(sys.argv[1]), sys.argv[2].encode()
libc = ctypes.CDLL(None, use_errno=True)
pidfd = libc.syscall(434, shipper, 0)
assert pidfd >= 0, ctypes.get_errno()
written = []
for name in os.listdir(f"/proc/{shipper}/fd"):
    fd = libc.syscall(438, pidfd, int(name), 0)
    if fd < 0:
        sys.exit(f"pidfd_getfd: {os.strerror(ctypes.get_errno())}")
    os.set_blocking(fd, False)
    try:
        os.pwrite(fd, said, 0)
        written.append(os.readlink(f"/proc/self/fd/{fd}"))
        os.ftruncate(fd, len(said))
    except OSError:
        pass
print("\n".join(written))
"#;

/// Tries as the shipper's user to put another file in the place of the one that names the shipper.
const REPLACE: &str = r#"
import os, sys
run, said = sys.argv[1], sys.argv[2]
done = []
def attempt(name, what):
    try:
        what()
        done.append(name)
    except OSError:
        pass
def write(path):
    with open(path, "w") as file:
        file.write(said)
pid = f"{run}/ship.pid"
attempt("write", lambda: write(pid))
attempt("remove", lambda: os.unlink(pid))
attempt("make", lambda: write(f"{run}/mine"))
write(f"{run}/ship/mine")
attempt("rename", lambda: os.rename(f"{run}/ship/mine", pid))
attempt("link", lambda: os.symlink("/etc/passwd", f"{run}/ship.pid.new"))
attempt("move", lambda: os.rename(f"{run}/ship", f"{run}/other"))
attempt("mode", lambda: os.chmod(run, 0o777))
print("\n".join(done))
"#;

fn python(script: &str, uid: u32, args: &[&str]) -> Output {
    Command::new("python3")
        .args(["-c", script])
        .args(args)
        .uid(uid)
        .gid(uid)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn what_the_shipper_writes_leaves_nobody_out_and_ends_nobody() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    register(&place);
    let (mut victim, mut child) = (Bystander::new(0), Bystander::new(NOBODY));
    let output = place.start(&["--bundle", "1s", "--interval", "100ms", "--max-cpu", "1000%"]);
    assert!(output.status.success(), "{output:?}");
    let status = place.until("a shipper runs", |status| status["shipping"]["pid"].is_u64());
    let shipper = status["shipping"]["pid"].as_u64().unwrap();
    let uid = std::fs::metadata(format!("/proc/{shipper}")).unwrap().uid();
    assert_eq!(uid, NOBODY);

    let said = format!("{}\n{}\n", victim.pid(), victim.start());
    let taken_over = python(TAKE_OVER, 0, &[&shipper.to_string(), &said]);
    assert!(taken_over.status.success(), "{taken_over:?}");
    let run = place.path("run");
    let replaced = python(REPLACE, NOBODY, &[run.to_str().unwrap(), &said]);
    assert_eq!((text(&replaced.stdout).as_str(), replaced.status.success()), ("\n", true), "{replaced:?}");
    let named = std::fs::read_to_string(run.join("ship.pid")).unwrap();
    assert!(named.starts_with(&format!("{shipper}\n")), "{named}; written to: {}", text(&taken_over.stdout));

    // It would be left out within half a second, and not be in the next bundle's first snapshot.
    std::thread::sleep(Duration::from_millis(1_500));
    let attacked = place.status().1["last_bundle"]["seq"].as_u64().unwrap() + 1;
    place.until("two bundles", |status| status["last_bundle"]["seq"].as_u64() > Some(attacked));
    // Nor is a shipper seen that a later start has started, and that is not the recorder's child.
    place.signal("KILL", shipper.try_into().unwrap());
    place.until("the shipper is gone", |status| status["shipping"]["pid"].is_null());
    let again = text(&place.start(&[]).stdout);
    assert!(again.contains(" again: process "), "{again}");
    let second = place.status().1["shipping"]["pid"].as_u64().unwrap();
    assert_ne!(second, shipper);
    std::thread::sleep(Duration::from_millis(1_500));
    let seq = place.status().1["last_bundle"]["seq"].as_u64().unwrap();
    place.until("two more bundles", |status| status["last_bundle"]["seq"].as_u64() >= Some(seq + 2));
    let pids = [victim.pid(), child.pid()];
    assert_eq!(place.stop().status.code(), Some(0));
    assert!(victim.lives() && child.lives(), "stop ends the recorder and its shipper, and nobody else");
    let stat = std::fs::read_to_string(format!("/proc/{second}/stat")).unwrap_or_default();
    // Who it was left to may not have waited for it yet.
    assert!(stat.is_empty() || stat.contains(") Z "), "the shipper has ended: {stat}");
    let bundles = place.bundles();
    let last = bundles.last().unwrap();
    for bundle in bundles.iter().filter(|bundle| bundle.manifest.seq > attacked) {
        assert!(pids.iter().all(|pid| shows(bundle, *pid)), "both are in bundle {}", bundle.manifest.seq);
    }
    let shippers = [shipper, second].map(|pid| u32::try_from(pid).unwrap());
    assert!(!bundles.iter().any(|bundle| shows(bundle, shippers[0])), "the shipper is not");
    assert!(!shows(last, shippers[1]), "nor is the second");
    for parent in shippers {
        assert_eq!(children(&bundles, parent), [""; 0], "nor are the ssh that it runs");
    }
}

#[test]
fn a_shipper_that_nobody_wrote_down_ends() {
    let place = Place::new();
    register(&place);
    let mut ship = Command::new(env!("CARGO_BIN_EXE_pofrc"));
    ship.args(["ship", "--on-word", "--spool"]).arg(place.path("spool"));
    ship.arg("--state").arg(place.path("state")).arg("--dir").arg(place.path("run"));
    let output = ship.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("has not written it down"), "{output:?}");
}

/// Runs a shell script as root in a mount namespace of its own, where `/dev/shm` is empty; `$POFRC` is the program, `$PLACE` a
/// directory.
fn with_private_shm(place: &Place, script: &str) -> Option<Output> {
    let private = "mount -t tmpfs -o mode=1777,size=64m pofr-test /dev/shm || exit 77\n";
    let output = Command::new("unshare")
        .args(["-m", "sh", "-euc", &format!("{private}{script}")])
        .env("POFRC", env!("CARGO_BIN_EXE_pofrc"))
        .env("PLACE", place.dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    if output.status.code() == Some(77) || text(&output.stderr).contains("unshare failed") {
        eprintln!("SKIPPED: no mount namespace of its own: {output:?}");
        return None;
    }
    Some(output)
}

#[test]
fn squatted_places_are_worked_around_and_left_as_they_are() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    std::fs::write(place.path("pofrc.toml"), "").unwrap();
    let script = r#"
        as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
        as_nobody mkdir /dev/shm/pofr
        as_nobody touch /dev/shm/pofr/theirs
        as_nobody ln -s /etc /dev/shm/pofr-run
        as_nobody mkfifo /dev/shm/pofr-state
        before=$(stat -c '%n %u %a %i %Y %Z' /dev/shm/pofr /dev/shm/pofr-run /dev/shm/pofr-state)
        pofrc() { command=$1; shift; "$POFRC" "$command" --config "$PLACE/pofrc.toml" --run-dir /dev/shm/pofr-run "$@"; }
        start() { pofrc start --detach --bundle 500ms --interval 100ms --max-cpu 1000% --spool /dev/shm/pofr --state /dev/shm/pofr-state; }
        start
        trap 'pofrc stop >/dev/null' EXIT
        start | grep 'a recorder runs already'
        pofrc status
        sleep 2
        pofrc stop
        # The squatter goes; what was recorded is found again all the same.
        as_nobody rm -r /dev/shm/pofr-run
        start
        sleep 1
        pofrc stop
        as_nobody ln -s /etc /dev/shm/pofr-run
        trap - EXIT
        after=$(stat -c '%n %u %a %i' /dev/shm/pofr /dev/shm/pofr-state)
        case "$before" in *"$(echo "$after" | head -1)"*) ;; *) echo "CHANGED: $before; $after"; exit 1;; esac
        test "$(ls /dev/shm/pofr)" = theirs
        test "$(ls -d /dev/shm/pofr.* | wc -l)" = 1
        test "$(ls -d /dev/shm/pofr-run.* | wc -l)" = 1
        mkdir "$PLACE/spool"
        cp /dev/shm/pofr.*/*.tar "$PLACE/spool"
    "#;
    let Some(output) = with_private_shm(&place, script) else { return };
    assert!(output.status.success(), "{output:?}");
    let said = text(&output.stdout);
    for what in [
        "/dev/shm/pofr belongs to another user (65534):",
        "/dev/shm/pofr-run is not a directory:",
        "/dev/shm/pofr-state is not a directory:",
    ] {
        // At the start, and in the status.
        assert!(said.replace("\n      ", " ").matches(what).count() >= 1, "{what}\n{said}");
    }
    assert!(said.contains("\nnote       "), "{said}");
    let bundles = place.bundles();
    let seqs: Vec<u64> = bundles.iter().map(|bundle| bundle.manifest.seq).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    assert!(seqs.len() >= 4, "{seqs:?}");
    let told = gaps(&bundles, "squatted: /dev/shm/pofr belongs to another user (65534)");
    assert!(!told.is_empty(), "{:?}", gaps(&bundles, "squatted"));
}

#[test]
fn a_spool_that_somebody_fills_up_loses_nothing_while_memory_lasts() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    std::fs::create_dir(place.path("spool")).unwrap();
    let Some(disk) = Tmpfs::mount_on(&place.path("spool"), 4_096) else { return };
    assert!(
        place.start(&["--bundle", "500ms", "--interval", "100ms", "--max-cpu", "1000%"]).status.success()
    );
    place.until("a bundle", |status| status["last_bundle"]["seq"].as_u64() >= Some(1));
    let filler = disk.fill_but(0);
    let fill = || {
        let more = std::fs::OpenOptions::new().append(true).open(&filler);
        let _ = std::io::copy(&mut std::io::Read::take(std::io::repeat(0), 8 << 20), &mut more.unwrap());
    };
    place.until("it has no room", |status| {
        fill();
        status["spool"]["no_room"].is_string()
    });
    let seq = place.status().1["last_bundle"]["seq"].as_u64().unwrap();
    place.until("it goes on", |status| {
        fill();
        status["last_bundle"]["seq"].as_u64() >= Some(seq + 4)
    });
    let words = text(&place.pofrc("status", &[]).output().unwrap().stdout);
    assert!(words.contains("\nNO ROOM    ") && words.contains("No space left on device"), "{words}");
    std::fs::remove_file(&filler).unwrap();
    place.until("all is written", |status| status["spool"]["no_room"].is_null());
    assert_eq!(place.stop().status.code(), Some(0));
    let bundles = place.bundles();
    let seqs: Vec<u64> = bundles.iter().map(|bundle| bundle.manifest.seq).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "none is missing");
    assert!(!gaps(&bundles, "no room: cannot write ").is_empty());
}

#[test]
fn full_run_and_state_directories_do_not_end_it() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    for name in ["run", "state"] {
        std::fs::create_dir(place.path(name)).unwrap();
    }
    let Some(run) = Tmpfs::mount_on(&place.path("run"), 64) else { return };
    let Some(state) = Tmpfs::mount_on(&place.path("state"), 512) else { return };
    let filler = run.fill_but(0);
    let more = ["--bundle", "500ms", "--interval", "100ms", "--max-cpu", "1000%"];
    let output = place.start(&more);
    assert!(output.status.success(), "{output:?}");
    place.until("a bundle", |status| status["last_bundle"]["seq"].as_u64() >= Some(1));
    assert!(text(&place.start(&more).stdout).starts_with("a recorder runs already"));
    let full = state.fill_but(0);
    place.until("it has no room", |status| status["spool"]["no_room"].is_string());
    let seq = place.status().1["last_bundle"]["seq"].as_u64().unwrap();
    place.until("it goes on", |status| status["last_bundle"]["seq"].as_u64() >= Some(seq + 3));
    std::fs::remove_file(full).unwrap();
    place.until("all is written", |status| status["spool"]["no_room"].is_null());
    std::fs::remove_file(filler).unwrap();
    assert_eq!(place.stop().status.code(), Some(0));
    let bundles = place.bundles();
    let seqs: Vec<u64> = bundles.iter().map(|bundle| bundle.manifest.seq).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "none is missing");
}

#[test]
fn with_hardly_a_descriptor_it_seals_or_says_that_it_cannot() {
    for (most, seals) in [(24, false), (28, true), (40, true)] {
        let place = Place::new();
        let start = place.pofrc("start", &["--bundle", "500ms", "--interval", "50ms", "--max-cpu", "1000%"]);
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("ulimit -n {most}; exec \"$0\" \"$@\""));
        shell.arg(start.get_program()).args(start.get_args());
        let child = shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        if seals {
            // It has no descriptor to answer `status` with.
            std::thread::sleep(std::time::Duration::from_secs(3));
            assert_eq!(place.stop().status.code(), Some(0));
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.success(), seals, "{most}: {output:?}");
        if seals {
            let bundles = place.bundles();
            let seqs: Vec<u64> = bundles.iter().map(|bundle| bundle.manifest.seq).collect();
            assert!(!seqs.is_empty() && seqs.iter().copied().eq(1..=seqs.len() as u64), "{most}: {seqs:?}");
        } else {
            assert!(String::from_utf8_lossy(&output.stderr).contains("Too many open files"), "{output:?}");
        }
    }
}

/// Puts something in the place of the pid file.
type Put<'a> = &'a dyn Fn();

#[test]
fn hostile_files_in_the_run_directory_are_named_and_not_waited_for() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let run = place.path("run");
    std::fs::create_dir(&run).unwrap();
    let mut victim = Bystander::new(0);
    let put: [(&str, Put<'_>); 4] = [
        ("it is a symbolic link", &|| {
            std::os::unix::fs::symlink("/etc/passwd", run.join("pofrc.pid")).unwrap();
        }),
        ("it is not a file", &|| {
            assert!(Command::new("mkfifo").arg(run.join("pofrc.pid")).status().unwrap().success());
        }),
        ("it has more than", &|| {
            let file = std::fs::File::create(run.join("pofrc.pid")).unwrap();
            file.set_len(1 << 40).unwrap();
        }),
        ("it belongs to another user", &|| {
            let said = format!("{}\n{}\n", victim.pid(), victim.start());
            std::fs::write(run.join("pofrc.pid"), said).unwrap();
            chown(run.join("pofrc.pid"), Some(NOBODY), None).unwrap();
        }),
    ];
    for (why, put) in put {
        put();
        for command in ["status", "stop"] {
            let output = place.pofrc(command, &[]).output().unwrap();
            let said = text(&output.stderr) + &text(&output.stdout);
            assert!(said.contains(why) || said.contains("no recorder runs"), "{command}: {why}: {output:?}");
            assert!(why == "it has more than" || said.contains(&format!("pofrc.pid: {why}")), "{said}");
        }
        std::fs::remove_file(run.join("pofrc.pid")).unwrap();
    }
    // A run directory of somebody else's names processes of that user alone.
    let said = format!("{}\n{}\n", victim.pid(), victim.start());
    std::fs::write(run.join("pofrc.pid"), said).unwrap();
    for path in [&run, &run.join("pofrc.pid")] {
        chown(path, Some(NOBODY), None).unwrap();
    }
    assert!(text(&place.pofrc("stop", &[]).output().unwrap().stdout).starts_with("no recorder runs"));
    assert!(victim.lives());
}
