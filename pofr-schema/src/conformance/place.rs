//! Where a test's store is.

use crate::{Access, open};
use pofr_core::{
    identity::Cid,
    store::{ClientEntry, ClientStore, Store},
    time::WallMicros,
};
use std::sync::atomic::{AtomicU32, Ordering};

/// A store's URL, and what keeps it there.
pub(super) struct Place {
    pub(super) url: String,
    _dir: Option<tempfile::TempDir>,
}

impl Place {
    pub(super) fn sqlite() -> Self {
        // In memory: the suite commits thousands of times, and what a power cut leaves on a disk it cannot test anyway.
        let memory = std::path::Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        Self { url: format!("sqlite:{}", dir.path().join("store").display()), _dir: Some(dir) }
    }

    /// All tests share one server, which ends with the process.
    #[cfg(feature = "mariadb")]
    pub(super) fn mariadb() -> Self {
        use pofr_tests::mariadb::PrivateMariadb;
        use std::sync::{Mutex, OnceLock};
        static SERVER: OnceLock<Mutex<PrivateMariadb>> = OnceLock::new();
        let server = SERVER.get_or_init(|| Mutex::new(PrivateMariadb::start().expect("a private MariaDB")));
        let url = server.lock().unwrap_or_else(std::sync::PoisonError::into_inner).url();
        Self { url, _dir: None }
    }

    /// A server that the test itself looks after.
    #[cfg(feature = "mariadb")]
    pub(super) fn of(url: String) -> Self {
        Self { url, _dir: None }
    }

    pub(super) fn is_mariadb(&self) -> bool {
        self.url.starts_with("mysql:")
    }

    pub(super) fn store(&self) -> Box<dyn Store> {
        open(&self.url, Access::Write).unwrap()
    }

    /// Adds a client of its own and opens it for writing.
    pub(super) fn writer(&self) -> (Box<dyn Store>, Cid, Box<dyn ClientStore>) {
        let store = self.store();
        let entry = new_client();
        store.add_client(&entry).unwrap();
        let writer = store.write(&entry.cid).unwrap();
        (store, entry.cid, writer)
    }
}

/// Makes a client whose id no other test of this process has.
pub(super) fn new_client() -> ClientEntry {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    ClientEntry {
        cid: Cid::parse(&format!("4c4c4544-0034-4610-8031-b4c04f{n:06}-17{:08}", std::process::id()))
            .unwrap(),
        uuid: "4c4c4544-0034-4610-8031-b4c04f4b4c32".into(),
        ciduser: format!("{n:032x}"),
        last_ip: Some("2001:db8::1".into()),
        registered: WallMicros(1_700_000_000_123_456 + i64::from(n)),
    }
}
