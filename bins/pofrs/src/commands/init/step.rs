//! The database, made as `pofrs init-db` makes it.

use crate::{
    admin::{Step, account, client_row::where_it_is, run},
    cli::Global,
    commands::init_db,
};
use pofr_schema::Location;
use std::{
    ffi::OsString,
    os::unix::fs::{MetadataExt as _, chown},
};

/// Makes the database with the host-lookup table.
pub(super) struct MakeRecord {
    global: Global,
    location: Location,
    user: String,
    made: bool,
}

impl MakeRecord {
    /// Says where, and who owns it.
    pub(super) fn new(global: &Global, location: Location, user: &str) -> Self {
        Self { global: global.clone(), location, user: user.to_owned(), made: false }
    }
}

impl Step for MakeRecord {
    fn says(&self) -> String {
        format!("make the record's database, as pofrs init-db does: {}", self.location)
    }

    fn is_done(&self) -> anyhow::Result<bool> {
        Ok(match &self.location {
            Location::Sqlite(dir) => dir.join("lhlt.sqlite").exists(),
            // Saying it again gives back what was taken away.
            Location::Mariadb(_) => false,
        })
    }

    fn act(&mut self) -> anyhow::Result<()> {
        match &self.location {
            Location::Sqlite(_) => {
                let mut words: Vec<OsString> = vec!["init-db".into()];
                words.extend(where_it_is(&self.global));
                self.made = true;
                run::myself(words).map(drop)
            }
            Location::Mariadb(server) => {
                init_db::prepare(&self.global, &[])?;
                // The one who writes reads the passwords, and nobody else.
                for file in [&server.password_file, &server.read_password_file].into_iter().flatten() {
                    let (uid, gid) = account::ids(&self.user, &self.user)?;
                    if file.metadata().is_ok_and(|found| found.uid() == 0) {
                        chown(file, Some(uid.as_raw()), Some(gid.as_raw()))?;
                    }
                }
                Ok(())
            }
        }
    }

    fn undo(&mut self) -> anyhow::Result<()> {
        if let (Location::Sqlite(dir), true) = (&self.location, self.made) {
            for ending in ["", "-wal", "-shm"] {
                let _ = std::fs::remove_file(dir.join(format!("lhlt.sqlite{ending}")));
            }
        }
        Ok(())
    }
}
