//! Starting the shipper: its user, its directory, what of the recorder's it may read.

use super::ShipFile;
use crate::{
    live::{Answer, ask},
    own_file,
    plan::Plan,
    registration::shown,
    run_dir::{Instance, RunDir},
    state::StateDir,
    user::User,
};
use anyhow::{Context as _, bail};
use pofr_collect::spool::share_spool;
use std::{
    ffi::OsString,
    fs::{DirBuilder, File, Permissions},
    io::{Read as _, Write as _},
    os::unix::{
        fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::PathBuf,
    process::{Command, Stdio},
};

/// The word that a shipper is written down, and may begin.
const GO: u8 = b'\n';

/// The user of its own, where nobody says otherwise.
pub(crate) const USER: &str = "pofrc";

/// What a shipper is about.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) spool: PathBuf,
    pub(crate) state: StateDir,
    pub(crate) run: RunDir,
    /// Its user, by name, where somebody says so.
    pub(crate) user: Option<String>,
    /// The recorder's, which it is where it has none.
    pub(crate) recorder: Option<String>,
    /// Bytes a second.
    pub(crate) bandwidth: Option<u64>,
    pub(crate) backlog: Option<u64>,
}

impl Place {
    pub(crate) fn of(plan: &Plan) -> Self {
        Self {
            spool: plan.spool.clone(),
            state: StateDir::new(&plan.state),
            run: plan.run_dir.clone(),
            user: plan.ship_user.clone(),
            recorder: plan.user.clone(),
            bandwidth: plan.bandwidth,
            backlog: plan.backlog_rate,
        }
    }

    /// Takes the spool of the recorder that runs, which may have been told another on its command line; `None` where none runs,
    /// or none says so.
    pub(crate) fn of_the_recorder(mut self) -> anyhow::Result<Option<Self>> {
        if self.run.instance()?.is_none() {
            return Ok(None);
        }
        let Answer::Report(report) = ask(&self.run)? else { return Ok(None) };
        self.spool = report.spool.dir;
        Ok(Some(self))
    }

    /// Returns the user whom the shipper becomes; `None` where it stays who starts it.
    pub(crate) fn ship_user(&self) -> anyhow::Result<Option<User>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        match &self.user {
            Some(name) => User::named(name).map(Some),
            None => User::find(USER),
        }
    }
}

/// What came of starting it.
#[derive(Debug)]
pub(crate) enum Begun {
    /// It runs; `new` where it did not before.
    Runs { pid: i32, server: String, new: bool, note: Option<String> },
    /// No server is registered, or none that has let us in.
    NotYet(Option<String>),
    /// A server does not take what is sent; somebody has to do something first.
    Refused { server: String, why: String },
}

/// Starts the shipper, where there is a server and none runs. `again` leaves one that was refused alone, and gives a recorder
/// that is at work the time to leave the new one out. `log` takes what it says; without one it shares our stderr.
pub(crate) fn begin(place: &Place, again: bool, log: bool) -> anyhow::Result<Begun> {
    let Some(registration) = place.state.registration()? else { return Ok(Begun::NotYet(None)) };
    let server = registration.address();
    if registration.account().is_none() {
        return Ok(Begun::NotYet(Some(server)));
    }
    let said = ShipFile::new(&place.run.ship_dir());
    if again && let Some(report) = said.read().filter(|report| report.refused) {
        let why = shown(&report.trouble.unwrap_or_default());
        return Ok(Begun::Refused { server, why });
    }
    let _lock = place.run.lock_shipper()?;
    if let Some(Instance { pid, .. }) = place.run.shipper()? {
        return Ok(Begun::Runs { pid, server, new: false, note: None });
    }
    let own = place.ship_user()?;
    let recorder = place.recorder.as_deref().map(User::named).transpose()?;
    let note = (own.is_none() && rustix::process::geteuid().is_root())
        .then(|| format!("there is no user {USER}: bundles are sent by the recorder's own user"));
    let user = own.clone().or(recorder);
    let dir = place.run.ship_dir();
    prepare(place, own.as_ref(), user.as_ref()).context("cannot prepare the spool for the shipper")?;
    // What the one before said; a service manager may have left us no right to its directory, then the new one writes over it.
    let _ = said.remove();
    let mut command = Command::new("/proc/self/exe");
    command.arg0("pofrc").arg("ship").arg("--spool").arg(&place.spool).arg("--state").arg(place.state.path());
    command.arg("--dir").arg(&dir).arg("--until").arg(place.run.last_file());
    for (flag, rate) in [("--bandwidth", place.bandwidth), ("--backlog-rate", place.backlog)] {
        if let Some(rate) = rate {
            command.arg(flag).arg(OsString::from(rate.to_string()));
        }
    }
    if again {
        command.args(["--after", "1500ms"]);
    }
    if let Some(user) = &user {
        command.uid(user.uid).gid(user.gid);
    }
    // It gets nothing that it could write to and that would be believed: it waits for the word that it is written down.
    command.arg("--on-word").stdin(Stdio::piped()).stdout(Stdio::null());
    if log {
        command.stderr(open_log(place)?);
    }
    let mut child = command.current_dir("/").process_group(0).spawn().context("cannot start the shipper")?;
    let pid = i32::try_from(child.id()).context("a process id that is none")?;
    // Whoever fails here closes the pipe, and the shipper ends.
    place.run.shipper_is(Instance::of(pid)?)?;
    let mut word = child.stdin.take().context("the shipper has no input")?;
    word.write_all(&[GO]).context("cannot tell the shipper to begin")?;
    Ok(Begun::Runs { pid, server, new: true, note })
}

/// Waits for the word of who started this shipper; tells whether it came.
pub(crate) fn is_told_to_begin() -> bool {
    let mut word = [0];
    matches!(std::io::stdin().read(&mut word), Ok(1)) && word == [GO]
}

fn open_log(place: &Place) -> anyhow::Result<File> {
    let path = place.run.ship_log();
    let file = own_file::open_to_write(&path, true);
    let file = file.with_context(|| format!("cannot write {}", path.display()))?;
    crate::detach::trim(&path, &file);
    Ok(file)
}

/// Makes its directory, and lets `own`, a user of its own, read what it has to.
fn prepare(place: &Place, own: Option<&User>, user: Option<&User>) -> anyhow::Result<()> {
    let dir = place.run.ship_dir();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .with_context(|| format!("cannot make {}", dir.display()))?;
    let us = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let (uid, gid) = user.map_or(us, |user| (user.uid, user.gid));
    for path in [dir, place.spool.join(".acked")] {
        let found = match path.symlink_metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            other => other.with_context(|| format!("cannot look at {}", path.display()))?,
        };
        if !found.is_dir() {
            bail!("{} is not a directory", path.display());
        }
        if found.uid() != uid {
            chown(&path, Some(uid), Some(gid))
                .with_context(|| format!("cannot give {} to user {uid}", path.display()))?;
        }
    }
    let Some(own) = own else { return Ok(()) };
    share_spool(&place.spool, own.uid, own.gid)?;
    place.state.share(own)?;
    let run = place.run.path();
    chown(run, None, Some(own.gid))
        .and_then(|()| std::fs::set_permissions(run, Permissions::from_mode(0o710)))
        .with_context(|| format!("cannot share {}", run.display()))
}
