//! Loading: bundles of 45 s into a store, one transaction each. Items are rows.

use divan::{Bencher, counter::ItemsCount};
use pofr_benches::Machine;
use pofr_core::{
    collector::Closing,
    identity::Cid,
    store::{ClientEntry, Store},
    time::WallMicros,
    wire::v2,
};
use pofr_ingest::{Inbox, Options, ingest};
use pofr_schema::Access;
use std::{fs, path::Path};

fn main() {
    divan::main();
}

const BUNDLES: u32 = 4;
const SAMPLES: u32 = 150;

fn fill_inbox(dir: &Path) {
    for i in 0..BUNDLES {
        let frames = Machine::B.frames(u64::from(i) + 1, i * SAMPLES, SAMPLES);
        let sealed = v2::seal(&frames, true, &Closing::default()).expect("good frames");
        fs::write(dir.join(sealed.name), sealed.tar).expect("a writable directory");
    }
}

fn load(store: &dyn Store, cid: &Cid, inbox: &Path) -> u64 {
    let client = ClientEntry {
        cid: cid.clone(),
        uuid: "bench".into(),
        ciduser: "0".repeat(32),
        last_ip: None,
        registered: WallMicros(0),
    };
    store.add_client(&client).expect("a new client");
    let mut client = store.write(cid).expect("a client");
    let inbox = Inbox::new(inbox, 1 << 30);
    let report =
        ingest(client.as_mut(), cid, &inbox, &Options::default(), &mut |_, _| ()).expect("good bundles");
    assert_eq!(report.stored, u64::from(BUNDLES));
    report.rows
}

/// Loads into a new database each time.
fn measure(bencher: Bencher<'_, '_>, url: impl Fn(u32) -> String) {
    let dir = tempfile::tempdir().expect("a directory");
    let inbox = dir.path().join("inbox");
    fs::create_dir(&inbox).expect("a directory");
    fill_inbox(&inbox);
    let mut n = 0;
    let mut fresh = || {
        n += 1;
        let cid = Cid::parse(&format!("bench-{n}")).expect("a good id");
        (pofr_schema::open(&url(n), Access::Write).expect("a store"), cid)
    };
    let (store, cid) = fresh();
    let rows = load(store.as_ref(), &cid, &inbox);
    bencher
        .counter(ItemsCount::new(rows))
        .with_inputs(fresh)
        .bench_local_values(|(store, cid)| load(store.as_ref(), &cid, &inbox));
}

#[divan::bench(sample_count = 10)]
fn sqlite(bencher: Bencher<'_, '_>) {
    let dir = tempfile::tempdir().expect("a directory");
    measure(bencher, |n| format!("sqlite:{}/{n}", dir.path().display()));
}

#[cfg(feature = "mariadb")]
#[divan::bench(sample_count = 10)]
fn mariadb(bencher: Bencher<'_, '_>) {
    let server = pofr_tests::mariadb::PrivateMariadb::start().expect("Debian's mariadb-server is installed");
    measure(bencher, |_| server.url());
}
