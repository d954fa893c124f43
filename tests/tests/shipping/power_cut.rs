//! The client's machine is gone from one moment to the next, its spool with it: the server has what it did until shortly
//! before, and can replay it.

use super::site::Site;
use pofr_core::{time::WallMicros, wire::v2::salvage};
use pofr_tests::{
    programs::program,
    sshd::{descendants, kill},
};
use std::{
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

/// More than the two seconds that are aimed at, for a machine that has much else to do.
const AT_MOST: i64 = 15_000_000;

fn now() -> WallMicros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    WallMicros(i64::try_from(since.as_micros()).unwrap())
}

#[test]
fn what_a_machine_did_last_is_off_it() {
    let site = Site::new();
    // One bundle, which is still open when the end comes.
    site.start_with("600s");
    let open = site.path("data/inbox").join(&site.cid).join(".open");
    let streamed = || {
        let entries = std::fs::read_dir(&open).into_iter().flatten().flatten();
        entries.filter_map(|entry| salvage(&std::fs::read(entry.path()).ok()?).last).max()
    };
    site.until("a stream has begun", || streamed().is_some());
    let mut last_deed = Command::new("sleep").arg("86399.5").stdin(Stdio::null()).spawn().unwrap();
    let done = now();
    site.until("some time has passed", || now().0 > done.0 + 5_000_000);
    let recorder = u32::try_from(site.status()["pid"].as_u64().unwrap()).unwrap();
    let mut all = descendants(recorder);
    let shipper = site.shipper();
    all.extend([recorder, shipper]);
    all.extend(descendants(shipper));
    let cut = now();
    all.into_iter().for_each(kill);
    last_deed.kill().unwrap();
    last_deed.wait().unwrap();
    std::fs::remove_dir_all(site.path("spool")).unwrap();
    std::fs::remove_dir_all(site.path("state")).unwrap();

    let last = streamed().expect("the server has it");
    println!("the server has all but the last {} ms", (cut.0 - last.0) / 1000);
    assert!(last > done && cut.0 - last.0 < AT_MOST, "{last} of {cut}");
    assert_eq!(site.seqs(), [0; 0], "no bundle was ever whole");
    let pofrs = |args: &[&str]| {
        let mut pofrs = Command::new(program("pofrs"));
        pofrs.arg("--data-dir").arg(site.path("data")).args(args);
        let output = pofrs.env_remove("POFR_DB").output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    pofrs(&["ingest", "--take-open"]);
    let ps = pofrs(&["at", &format!("@{}", last.0), "ps", "--json"]);
    assert!(ps.contains("86399.5"), "what it did last can be replayed: {ps}");
    let verdict = pofrs(&["clients", "--json"]);
    assert!(verdict.contains(&site.cid), "{verdict}");
}
