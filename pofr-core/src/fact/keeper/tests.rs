//! A corpus of `/proc/pid/cgroup`, each text of the form that the program named beside it makes.

use super::*;

const ID: &str = "3f4b8c0a1d2e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8";
const POD: &str = "0b6e3f4a-5c1d-4e2f-8a9b-1c2d3e4f5a6b";

/// Writes what was read as `engine:id@pod unit user-unit`, with `-` for what there is not; ids and pods of the corpus as ID and
/// POD.
fn read(text: &str) -> String {
    let keeper = Keeper::read(
        text.replace("ID", ID).replace("POD_", &POD.replace('-', "_")).replace("POD", POD).as_bytes(),
    );
    let container = keeper.container.map_or_else(
        || "-".to_owned(),
        |c| {
            let pod = c.pod.map_or_else(String::new, |pod| format!("@{pod}"));
            format!("{}:{}{pod}", c.engine.text(), c.id)
        },
    );
    let unit = |unit: Option<RawText>| unit.map_or_else(|| "-".to_owned(), |unit| unit.escaped());
    let text = format!("{container} {} {}", unit(keeper.unit), unit(keeper.user_unit));
    text.replace(ID, "ID").replace(POD, "POD").replace(&POD.replace('-', "_"), "POD_")
}

#[test]
fn systemd() {
    // (what the kernel lists, what it means)
    let corpus = [
        ("0::/system.slice/ssh.service\n", "- ssh.service -"),
        ("0::/init.scope\n", "- init.scope -"),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", "- session-3.scope -"),
        ("0::/user.slice/user-1000.slice/user@1000.service/init.scope\n", "- user@1000.service init.scope"),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-org.gnome.Terminal.slice/vte-spawn-5f3a.scope\n",
            "- user@1000.service vte-spawn-5f3a.scope",
        ),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome\\x2dsession.scope\n",
            "- user@1000.service app-gnome\\x2dsession.scope",
        ),
        // getty@tty1 lies in a slice of its own.
        ("0::/system.slice/system-getty.slice/getty@tty1.service\n", "- getty@tty1.service -"),
        // systemd delegates below the unit.
        (
            "0::/system.slice/system-postgresql.slice/postgresql@15-main.service/workers\n",
            "- postgresql@15-main.service -",
        ),
        // A name that the kernel might take for its own (cg_escape).
        ("0::/system.slice/_cpu.service\n", "- cpu.service -"),
        // Hybrid and v1: what systemd's own hierarchy says holds.
        (
            "12:pids:/user.slice/user-0.slice/session-1.scope\n4:cpu,cpuacct:/user.slice\n1:name=systemd:/user.slice/user-0.slice/session-1.scope\n0::/user.slice/user-0.slice/session-1.scope\n",
            "- session-1.scope -",
        ),
        (
            "2:memory:/system.slice/other.service\n1:name=systemd:/system.slice/cron.service\n",
            "- cron.service -",
        ),
        // A virtual machine is a scope, not a container.
        (
            "0::/machine.slice/machine-qemu\\x2d1\\x2ddeb.scope/libvirt/emulator\n",
            "- machine-qemu\\x2d1\\x2ddeb.scope -",
        ),
        ("0::/\n", "- - -"),
        ("", "- - -"),
        // What is no unit's name is not taken for one.
        ("0::/system.slice/a b.service\n", "- - -"),
        ("0::/.service\n", "- - -"),
        ("no line\n0::\n:::\n\n", "- - -"),
    ];
    for (text, want) in corpus {
        assert_eq!(read(text), want, "{text}");
    }
}

#[test]
fn containers() {
    let corpus = [
        // Docker, systemd driver and cgroupfs driver, v2 and v1.
        ("0::/system.slice/docker-ID.scope\n", "docker:ID docker-ID.scope -"),
        ("0::/docker/ID\n", "docker:ID - -"),
        ("0::/docker/ID/init\n", "docker:ID - -"),
        (
            "12:devices:/docker/ID\n1:name=systemd:/docker/ID\n0::/system.slice/containerd.service\n",
            "docker:ID containerd.service -",
        ),
        // Docker's own processes are in no container.
        ("0::/system.slice/docker.service\n", "- docker.service -"),
        // Docker in Docker: the innermost.
        (&format!("0::/docker/{}/docker/ID\n", "ab".repeat(32)), "docker:ID - -"),
        // Rootless Docker.
        (
            "0::/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope\n",
            "docker:ID user@1000.service docker-ID.scope",
        ),
        // Podman: rootful, rootless, in a pod, with cgroupfs, by systemd (quadlet: split), and its monitor outside.
        ("0::/machine.slice/libpod-ID.scope/container\n", "podman:ID libpod-ID.scope -"),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container\n",
            "podman:ID user@1000.service libpod-ID.scope",
        ),
        (
            &format!("0::/machine.slice/machine-libpod_pod_{}.slice/libpod-ID.scope\n", "cd".repeat(32)),
            "podman:ID libpod-ID.scope -",
        ),
        ("0::/libpod_parent/libpod-ID\n", "podman:ID - -"),
        ("0::/system.slice/web.service/libpod-payload-ID\n", "podman:ID web.service -"),
        ("0::/machine.slice/libpod-conmon-ID.scope\n", "- libpod-conmon-ID.scope -"),
        // containerd: nerdctl, and what ctr and BuildKit name by the namespace.
        ("0::/system.slice/nerdctl-ID.scope\n", "containerd:ID nerdctl-ID.scope -"),
        ("0::/k8s.io/ID\n", "containerd:ID - -"),
        // Kubernetes: systemd driver with containerd, CRI-O, Docker; cgroupfs driver; a static pod; guaranteed class.
        (
            "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podPOD_.slice/cri-containerd-ID.scope\n",
            "containerd:ID@POD cri-containerd-ID.scope -",
        ),
        (
            "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podPOD_.slice/crio-ID.scope/container\n",
            "crio:ID@POD crio-ID.scope -",
        ),
        ("0::/kubepods.slice/kubepods-podPOD_.slice/docker-ID.scope\n", "docker:ID@POD docker-ID.scope -"),
        ("11:memory:/kubepods/burstable/podPOD/ID\n", "unknown:ID@POD - -"),
        ("0::/kubepods/podPOD/ID\n", "unknown:ID@POD - -"),
        (
            &format!("0::/kubepods.slice/kubepods-pod{}.slice/cri-containerd-ID.scope\n", "e".repeat(32)),
            &format!("containerd:ID@{} cri-containerd-ID.scope -", "e".repeat(32)),
        ),
        ("0::/kubepods.slice/kubepods-podPOD_.slice/crio-conmon-ID.scope\n", "- crio-conmon-ID.scope -"),
        // kind: a node that is itself a container.
        (
            &format!(
                "0::/system.slice/docker-{}.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podPOD_.slice/cri-containerd-ID.scope\n",
                "ab".repeat(32)
            ),
            &format!("containerd:ID@POD docker-{}.scope -", "ab".repeat(32)),
        ),
        // containerd with the kubelet's slice in one name.
        (
            "9:pids:/system.slice/containerd.service/kubepods-burstable-podPOD_.slice:cri-containerd:ID\n",
            "containerd:ID@POD containerd.service -",
        ),
        // Seen from inside of another namespace.
        (
            "0::/../../kubepods-podPOD_.slice/cri-containerd-ID.scope\n",
            "containerd:ID@POD cri-containerd-ID.scope -",
        ),
        // Amazon ECS: on a machine of one's own, and on theirs.
        ("0::/ecs/6a1f2e3d4c5b6a7988776655443322ff/ID\n", "unknown:ID - -"),
        (
            "0::/ecs/6a1f2e3d4c5b6a7988776655443322ff/6a1f2e3d4c5b6a7988776655443322ff-2531612879\n",
            "unknown:6a1f2e3d4c5b6a7988776655443322ff-2531612879 - -",
        ),
        // LXC, LXD and Incus, nspawn: names, not ids.
        ("0::/lxc.payload.web1/system.slice/nginx.service\n", "lxc:web1 - -"),
        ("4:memory:/lxc/web1\n1:name=systemd:/lxc/web1/init.scope\n", "lxc:web1 - -"),
        ("0::/lxc.monitor.web1\n", "- - -"),
        ("0::/lxc.monitor.web/system.slice\n", "- - -"),
        ("0::/system.slice/snap.lxd.daemon.service/lxc.payload.c1\n", "lxc:c1 snap.lxd.daemon.service -"),
        ("0::/machine.slice/systemd-nspawn@deb.service/payload\n", "nspawn:deb systemd-nspawn@deb.service -"),
        (
            "0::/machine.slice/systemd-nspawn@deb.service/payload/init.scope\n",
            "nspawn:deb systemd-nspawn@deb.service -",
        ),
        // Its supervisor is outside of it.
        ("0::/machine.slice/systemd-nspawn@deb.service/supervisor\n", "- systemd-nspawn@deb.service -"),
        ("0::/machine.slice/machine-deb.scope/supervisor\n", "- machine-deb.scope -"),
        // Started by hand: a scope of systemd-machined, with the name escaped.
        (
            "0::/machine.slice/machine-my\\x2dbox.scope/payload/system.slice/cron.service\n",
            "nspawn:my-box machine-my\\x2dbox.scope -",
        ),
        ("0::/machine.slice/machine-a\\x2+\\x.scope/payload\n", "nspawn:a\\x2+\\x - -"),
        // A container in it: the innermost.
        ("0::/machine.slice/machine-deb.scope/payload/docker/ID\n", "docker:ID machine-deb.scope -"),
        // Monitors of Podman, jobs of Nomad, Buildkite and GitHub.
        (
            "0::/user.slice/user-1000.slice/user@1000.service/user.slice/podman-pause-1a2b3c4d.scope\n",
            "- user@1000.service podman-pause-1a2b3c4d.scope",
        ),
        (
            "0::/nomad.slice/share.slice/3f1c2b7e-1111-2222-3333-444455556666.web.scope\n",
            "- 3f1c2b7e-1111-2222-3333-444455556666.web.scope -",
        ),
        ("0::/actions_job/ID\n", "unknown:ID - -"),
        ("0::/buildkit/q3x1l2m3n4o5p6q7r8s9t0u1v\n", "- - -"),
        // Not quite ids.
        (&format!("0::/docker/{}\n", &ID[1..]), "- - -"),
        (&format!("0::/docker/{}\n", ID.to_uppercase()), "- - -"),
        (
            &format!("0::/system.slice/docker-{}g.scope\n", &ID[1..]),
            &format!("- docker-{}g.scope -", &ID[1..]),
        ),
    ];
    for (text, want) in corpus {
        assert_eq!(read(text), want, "{text}");
    }
}

#[test]
fn what_could_not_be_read_is_not_said_to_be_nowhere() {
    use crate::fact::{Files, Ids, ProcessMarks};
    let key = |cgroup| ProcessKey {
        entity: crate::identity::Entity::Described {
            pid: crate::identity::Pid(1),
            tag: crate::digest::KeyDigest([0; 20]),
        },
        ppid: crate::identity::Pid(0),
        ids: Ids::of([0; 4]),
        comm: "a".into(),
        arguments: None,
        exe: Reading::Unknown,
        cwd: Reading::Unknown,
        session: 0,
        tty: 0,
        login_uid: None,
        cgroup,
        namespaces: Reading::Unknown,
        zombie: false,
        files: Files::Unknown,
        marks: ProcessMarks::default(),
    };
    assert_eq!(Keeper::of(&key(Reading::Denied)), None);
    assert_eq!(Keeper::of(&key(Reading::Absent)), Some(Keeper::default()));
    let known = Keeper::of(&key(Reading::Known("0::/init.scope".into()))).unwrap();
    assert_eq!(known.unit, Some("init.scope".into()));
}

proptest::proptest! {
    /// Any bytes are read without a panic, and what comes out stood in what went in.
    #[test]
    fn anything_can_be_read(text in "[a-z0-9:/._@\\-\n]{0,200}", bytes in proptest::collection::vec(0..=255_u8, 0..300)) {
        for text in [text.as_bytes(), &bytes] {
            let keeper = Keeper::read(text);
            for unit in [keeper.unit, keeper.user_unit].into_iter().flatten() {
                proptest::prop_assert!(text.windows(unit.as_bytes().len()).any(|w| w == unit.as_bytes()));
            }
        }
    }
}
