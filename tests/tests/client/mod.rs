//! A client's record in a store of either kind, as the tests of laws fill it: in small slices, merged in between.

use pofr_core::{
    Store,
    identity::Cid,
    store::{ClientReader, ClientStore},
    time::WallMicros,
};
use pofr_ingest::{Inbox, Options, Report, ingest, merge, service};
use pofr_schema::Access;

/// What is done to a record between arrivals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chore {
    /// All slices become an archive.
    Archive,
    /// All slices become archives: memory is to hold a handful of rows.
    Archives,
    /// All archives become a period.
    Period,
}

/// A client and its record.
pub(crate) struct Client {
    store: Box<dyn Store>,
    /// Who it is.
    pub(crate) cid: Cid,
}

impl Client {
    /// Adds a client to the store at `url`: its record is empty.
    pub(crate) fn new(url: &str, number: u32) -> Self {
        let store = pofr_schema::open(url, Access::Write).unwrap();
        let cid = Cid::parse(&format!("laws-{number}")).unwrap();
        service::add_client(&*store, &cid, WallMicros(0)).unwrap();
        Self { store, cid }
    }

    pub(crate) fn read(&self) -> Box<dyn ClientReader> {
        self.store.read(&self.cid).unwrap()
    }

    pub(crate) fn write(&self) -> Box<dyn ClientStore> {
        self.store.write(&self.cid).unwrap()
    }

    /// Takes in what is in an inbox, in slices of 0.7 s or a dozen files.
    pub(crate) fn take(&self, inbox: &Inbox, workers: usize) -> Report {
        let options = Options { workers, slice_micros: 700_000, slice_file_rows: 12, ..Options::default() };
        ingest(self.write().as_mut(), &self.cid, inbox, &options, &mut |_, _| ()).unwrap()
    }

    pub(crate) fn chore(&self, chore: Chore) {
        let mut writer = self.write();
        match chore {
            Chore::Archive | Chore::Archives => {
                let all = merge::Options { force: true, ..merge::Options::default() };
                let options =
                    if chore == Chore::Archives { merge::Options { sort_rows: 20, ..all } } else { all };
                merge::archive(writer.as_mut(), &options, &mut |_, _| ()).unwrap();
            }
            Chore::Period => {
                merge::period(writer.as_mut(), None, &mut |_, _| ()).unwrap();
            }
        }
    }
}

/// Runs a test on SQLite.
pub(crate) fn on_sqlite(test: impl FnOnce(&Client)) {
    // In memory, where there is some: each case makes hundreds of tables.
    let memory = std::path::Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    test(&Client::new(&format!("sqlite:{}", dir.path().display()), 0));
}

/// Runs a test on MariaDB: on a server that all tests of this program share, with a database of its own.
#[cfg(feature = "mariadb")]
pub(crate) fn on_mariadb(test: impl FnOnce(&Client)) {
    use pofr_tests::mariadb::PrivateMariadb;
    use std::sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    };
    static SERVER: LazyLock<PrivateMariadb> = LazyLock::new(|| PrivateMariadb::start().unwrap());
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    test(&Client::new(&SERVER.url(), NUMBER.fetch_add(1, Ordering::Relaxed)));
}
