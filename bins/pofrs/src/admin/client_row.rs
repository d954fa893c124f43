//! A client's place in the record: its row in the host-lookup table and its database, made by the account that owns the record.

use super::{plan::Step, run};
use crate::{cli::Global, commands::init_db, record};
use pofr_core::identity::Cid;
use pofr_schema::Location;
use std::ffi::OsString;

/// Adds a client to the record.
pub(crate) struct AddClient {
    global: Global,
    cid: Cid,
    uuid: String,
    ciduser: String,
    acted: bool,
}

impl AddClient {
    /// Names the client.
    pub(crate) fn new(global: &Global, cid: &Cid, uuid: &str, ciduser: &str) -> Self {
        let (uuid, ciduser) = (uuid.to_owned(), ciduser.to_owned());
        Self { global: global.clone(), cid: cid.clone(), uuid, ciduser, acted: false }
    }
}

/// Runs a hidden command of this program on the record.
pub(crate) fn on_record(global: &Global, words: &[&str]) -> anyhow::Result<String> {
    let mut all: Vec<OsString> = vec!["client-row".into()];
    all.extend(words.iter().map(OsString::from));
    all.extend(where_it_is(global));
    run::myself(all)
}

/// Returns the options that say where the record is.
pub(crate) fn where_it_is(global: &Global) -> Vec<OsString> {
    let mut all: Vec<OsString> = Vec::new();
    if let Some(db) = &global.db {
        all.extend(["--db".into(), db.into()]);
    }
    if let Some(dir) = &global.data_dir {
        all.extend(["--data-dir".into(), dir.into()]);
    }
    if let Some(config) = &global.config {
        all.extend(["--config".into(), config.into()]);
    }
    all
}

impl Step for AddClient {
    fn says(&self) -> String {
        format!("make the database {} and the host-lookup row of {}", self.cid.database(), self.cid)
    }

    fn is_done(&self) -> anyhow::Result<bool> {
        let found = on_record(&self.global, &["ciduser", "--cid", self.cid.as_str()])?;
        match found.trim() {
            "" => Ok(false),
            known if known == self.ciduser => Ok(true),
            known => anyhow::bail!("{} is in the record already, as {known:?}", self.cid),
        }
    }

    fn act(&mut self) -> anyhow::Result<()> {
        if let Location::Mariadb(_) = Location::parse(&record::url(&self.global)?)?
            && rustix::process::geteuid().is_root()
        {
            // The account that writes may make no database: root makes it, and gives it the rights there.
            init_db::prepare(&self.global, std::slice::from_ref(&self.cid))?;
        }
        self.acted = true;
        let words = ["add", "--cid", self.cid.as_str(), "--uuid", &self.uuid, "--ciduser", &self.ciduser];
        on_record(&self.global, &words).map(drop)
    }

    fn undo(&mut self) -> anyhow::Result<()> {
        if !self.acted || on_record(&self.global, &["ciduser", "--cid", self.cid.as_str()])?.trim().is_empty()
        {
            return Ok(());
        }
        on_record(&self.global, &["remove", "--cid", self.cid.as_str()]).map(drop)
    }
}
