//! What must hold of the reading of control groups whatever the bytes: the body of the fuzz target, and run by pofr-core's tests.

use pofr_core::fact::Keeper;

/// Reads `data` as `/proc/pid/cgroup`: ids and names are parts of it, and the engine is told only with an id.
pub(crate) fn cgroup(data: &[u8]) {
    let keeper = Keeper::read(data);
    assert_eq!(keeper, Keeper::read(data));
    let units = [&keeper.unit, &keeper.user_unit].into_iter().flatten().map(|unit| unit.as_bytes().len());
    let container = keeper.container.as_ref();
    let pod = container.and_then(|container| container.pod.as_ref()).map_or(0, |pod| pod.as_bytes().len());
    let id = container.map_or(0, |container| container.id.as_bytes().len());
    assert!(units.sum::<usize>() <= data.len() && id <= data.len() && pod <= data.len() + 8);
    assert!(container.is_none_or(|container| !container.id.as_bytes().is_empty()));
}

/// What engines and systemd write.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let id = "ab".repeat(32);
    let paths = [
        format!("/machine.slice/libpod-{id}.scope/container"),
        format!(
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0b6e3f4a_5c1d_4e2f_8a9b_1c2d3e4f5a6b.slice/crio-{id}.scope"
        ),
        "/lxc.payload.web/system.slice/nginx.service".into(),
        "/machine.slice/machine-my\\x2dbox.scope/payload/system.slice/cron.service".into(),
        "/user.slice/user-1000.slice/user@1000.service/app.slice/app-firefox-1.scope".into(),
        format!("/actions_job/{id}"),
        "/../../system.slice/_ssh.service".into(),
    ];
    let old = format!("12:pids:/docker/{id}\n1:name=systemd:/system.slice/ssh.service\n0::/\n");
    paths.iter().map(|path| format!("0::{path}\n")).chain([old]).map(String::into_bytes).collect()
}
