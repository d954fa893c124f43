//! Names: of programs, of processes, of files, with any byte that the kernel lets through.

use crate::{
    recording::{Recording, rest},
    scene::Scene,
};
use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt as _};

/// What would move the cursor, end a line, or a string, or a field, or a statement.
const WORDS: &[u8] = b"\x1b[2J\x1b]0;title\x07 line\nline \"quoted' \\ `$(id)` \xff\xfe --NOCMDARGENTRY-- '; DROP TABLE psinfo;--";

#[test]
fn names_of_any_bytes() {
    let Some(scene) = Scene::new() else { return };
    let deleted = scene.path("app (deleted)");
    fs::copy("/bin/sleep", &deleted).unwrap();
    let odd = scene.path("odd");
    fs::create_dir(&odd).unwrap();
    let odd = odd.join(OsStr::from_bytes(b"a) R 1 1 1 (b\n\x1b[31m\xff"));
    fs::copy("/bin/sleep", &odd).unwrap();
    let mut recording = Recording::begin(scene);

    let really_there = recording.run(&deleted, &["61"]);
    let odd_name = recording.run(&odd, &["62"]);
    let words = OsStr::from_bytes(WORDS);
    let odd_words = recording.run(&recording.scene.compile("title"), &[OsStr::new("keep"), words]);
    let titled = recording.attack("title", &["over"], "titled");
    rest(3.0);
    let mut record = recording.end();

    // The name of the program ends so, and it is there.
    let marks = record.processes(really_there);
    let program = marks.iter().find(|p| p.arguments().is_some_and(|a| a.as_bytes().ends_with(b"61\0")));
    record.must(program.is_some(), "the program named \"app (deleted)\" is missing");
    let named = record.marked(really_there, "exe_named_deleted").is_some();
    record.must(named, "\"app (deleted)\", which is there, is told as deleted");

    let odd = record.processes(odd_name).iter().any(|p| p.key.comm.as_bytes() == b"a) R 1 1 1 (b\n\x1b");
    record.must(odd, "a name with brackets, a line's end and an escape is not told byte for byte");
    let wanted = [b"keep\0", WORDS, b"\0"].concat();
    let told = record
        .processes(odd_words)
        .iter()
        .any(|p| p.arguments().is_some_and(|a| a.as_bytes().ends_with(&wanted)));
    record.must(told, "arguments of any bytes are not told byte for byte");
    let told = record
        .processes(titled)
        .iter()
        .any(|p| p.arguments().is_some_and(|a| a.as_bytes().starts_with(b"[kworker/0:1]")));
    record.must(told, "the title that a process gave itself is missing");
    record.judge();
}

#[test]
fn unlinked_and_replaced_programs() {
    let Some(scene) = Scene::new() else { return };
    let paths = ["gone", "gone (deleted)", "upgraded"].map(|name| scene.path(name));
    paths.iter().for_each(|path| {
        fs::copy("/bin/sleep", path).unwrap();
    });
    let upgrade = scene.path("upgrade");
    fs::copy("/bin/sleep", &upgrade).unwrap();
    let mut recording = Recording::begin(scene);
    let pids = paths.clone().map(|path| recording.run(&path, &["63"]));
    rest(1.0);
    fs::remove_file(&paths[0]).unwrap();
    fs::remove_file(&paths[1]).unwrap();
    fs::rename(&upgrade, &paths[2]).unwrap();
    rest(3.0);
    let mut record = recording.end();
    for (path, pid) in paths.iter().zip(pids) {
        record.must(!record.processes(pid).is_empty(), format!("{} is missing", path.display()));
        let last = record.processes(pid).iter().any(|p| {
            serde_json::to_value(&p.key.exe).unwrap().to_string().contains("(deleted)")
                && crate::record::mark_of(p, "exe_named_deleted").is_none_or(|mark| mark == false)
        });
        record.must(last, format!("{} is not told as deleted", path.display()));
    }
    record.judge();
}
