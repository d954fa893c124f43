//! What the shipper says of itself, and what `status` makes of it.

use crate::{
    registration::shown,
    run_dir::RunDir,
    state::{Standing, StateDir},
};
use pofr_collect::ShipReport;
use serde::{Deserialize, Serialize};
use std::{
    fs::OpenOptions,
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// What a shipper says is never longer, bytes.
const LONGEST: u64 = 1 << 20;

/// The file in which a shipper says how it goes.
#[derive(Clone, Debug)]
pub(crate) struct ShipFile(PathBuf);

impl ShipFile {
    /// The file in the shipper's directory.
    pub(crate) fn new(dir: &Path) -> Self {
        Self(dir.join("ship.json"))
    }

    /// Writes what is to be said; who reads finds all of it or what was there before.
    pub(crate) fn write(&self, report: &ShipReport) -> io::Result<()> {
        let new = self.0.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(report)?)?;
        std::fs::rename(&new, &self.0)
    }

    /// Reads what was said last. It is the word of a process with fewer rights: nothing is followed, and texts may hold anything.
    pub(crate) fn read(&self) -> Option<ShipReport> {
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let file =
            OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(&self.0).ok()?;
        let mut text = Vec::new();
        file.take(LONGEST).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Removes it.
    pub(crate) fn remove(&self) -> anyhow::Result<()> {
        crate::run_dir::remove(&self.0)
    }
}

/// How the shipping goes, as `status` tells.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Account {
    /// The server, as people write it.
    pub(crate) server: String,
    /// `pending`, `granted`, `denied`.
    pub(crate) registration: String,
    /// The shipper's process, where it runs.
    pub(crate) pid: Option<i32>,
    /// What it said last.
    pub(crate) report: Option<ShipReport>,
    /// What is wrong, if anything.
    pub(crate) trouble: Option<String>,
}

impl Account {
    /// Looks at what there is; `None` where no server is registered.
    pub(crate) fn look(state: &StateDir, run: &RunDir) -> anyhow::Result<Option<Self>> {
        let Some(registration) = state.registration()? else { return Ok(None) };
        let pid = run.shipper()?.map(|instance| instance.pid);
        let report = ShipFile::new(&run.ship_dir()).read();
        let said = report.as_ref().and_then(|report| report.trouble.as_deref()).map(shown);
        let refused = report.as_ref().is_some_and(|report| report.refused);
        let (status, trouble) = match &registration.status {
            Standing::Pending => {
                ("pending", Some("the administrator has not decided yet: nothing is sent".to_owned()))
            }
            Standing::Denied { reason } => {
                ("denied", Some(format!("DENIED: {}: nothing is sent", shown(reason))))
            }
            Standing::Granted { .. } if refused => {
                ("granted", said.map(|why| format!("NOTHING IS SENT: {why}")))
            }
            Standing::Granted { .. } if pid.is_none() => {
                ("granted", Some("the shipper does not run: `pofrc start` starts it".to_owned()))
            }
            Standing::Granted { .. } => ("granted", said),
        };
        let (server, registration) = (registration.address(), status.to_owned());
        Ok(Some(Self { server, registration, pid, report, trouble }))
    }
}
