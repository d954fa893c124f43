//! A server whose disk is full for a while: nothing is acknowledged that is not on it, nothing leaves the spool, and when there
//! is room, all comes.

use super::site::Site;
use pofr_tests::tmpfs::Tmpfs;

#[test]
fn a_full_server_gets_everything_once_it_has_room() {
    let site = Site::new();
    let inbox = site.path("data/inbox").join(&site.cid);
    let Some(disk) = Tmpfs::mount_on(&inbox, 4_096) else { return };
    site.start();
    site.until("bundles are there", || site.seqs().len() >= 2);
    let filler = disk.fill_but(0);
    let had = site.tars().len();
    site.until("bundles wait", || site.waiting_unacknowledged() >= 4);
    assert!(
        site.tars().len() <= had + 1,
        "what was half there when the disk was full may have been the last to fit"
    );
    let status = site.status();
    assert_eq!(status["running"], true, "the recording goes on: {status:#}");
    site.until("it is said", || site.status()["shipping"]["report"].to_string().contains("disk"));
    std::fs::remove_file(filler).unwrap();
    disk.resize(65_536);
    site.until("all that waited is sent", || {
        site.tars().len() > had + 4 && site.waiting_unacknowledged() <= 1
    });
    assert!(site.pofrc(&["stop"]).status.success());
    assert_eq!(site.waiting_unacknowledged(), 0);
    site.check_chain();
}
