//! Arguments that are no arguments: of any size, and of any bytes.

use crate::{
    recording::{Recording, rest},
    scene::Scene,
};

/// What a process's arguments are cut to.
const LIMIT: usize = 32 << 10;

#[test]
fn arguments_of_nine_mib_and_of_a_gib() {
    let Some(scene) = Scene::new() else { return };
    let mut recording = Recording::begin(scene);
    let sizes = [9 << 20, 200_000_000, 1 << 30];
    let pids = sizes.map(|size: u64| (size, recording.attack("argv", &[&size.to_string()], "set")));
    rest(5.0);
    let mut record = recording.end();
    for (size, pid) in pids {
        let arguments: Vec<usize> =
            record.processes(pid).iter().filter_map(|p| Some(p.arguments()?.as_bytes().len())).collect();
        record.must(!record.processes(pid).is_empty(), format!("the process with {size} bytes is missing"));
        record.must(
            arguments.iter().all(|length| *length <= LIMIT),
            format!("arguments of {arguments:?} bytes are held"),
        );
        let told = record.marked(pid, "arguments_cut").is_some()
            || record.marked(pid, "unreadable").is_some()
            || record.gap_names("cut:", pid)
            || record.gap_names("flood:", pid);
        record.must(told, format!("nothing says that the arguments of {size} bytes are cut"));
    }
    record.judge();
}
