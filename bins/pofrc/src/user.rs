//! The user whom the recorder becomes, where one is configured.

use crate::shipper::{Place, USER};
use anyhow::{Context as _, anyhow, bail};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use std::{
    fs::File,
    os::{
        fd::AsFd,
        unix::fs::{MetadataExt as _, fchown, lchown},
    },
    path::Path,
    process::{Command, Stdio},
};

/// A user of passwd(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl User {
    /// Looks the user up in `/etc/passwd`. Not by getpwnam(3): a static program would load the libraries of whatever libc the
    /// machine has.
    pub(crate) fn named(name: &str) -> anyhow::Result<Self> {
        let user = Self::find(name)?.ok_or_else(|| anyhow!("there is no user {name} in /etc/passwd"))?;
        if user.uid == 0 {
            bail!("user {name} is root: leave --user out to stay that");
        }
        Ok(user)
    }

    /// Looks for the user in `/etc/passwd`; without one nobody is there.
    pub(crate) fn find(name: &str) -> anyhow::Result<Option<Self>> {
        match std::fs::read_to_string("/etc/passwd") {
            Ok(text) => Ok(find(&text, name)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context("cannot read /etc/passwd"),
        }
    }

    /// Gives a directory of root's, and what is in it, to the user; one that is the user's already is left as it is, since
    /// there the user could put links where root would follow. Nothing is given away that is not a recorder's: a server's
    /// record may lie in the same directory as a client's state.
    pub(crate) fn own(&self, dir: &Path) -> anyhow::Result<()> {
        let owner = |dir: &Path| dir.symlink_metadata().map(|found| found.uid());
        if owner(dir).is_ok_and(|owner| owner == self.uid) {
            return Ok(());
        }
        let look = || format!("cannot list {}", dir.display());
        for entry in std::fs::read_dir(dir).with_context(look)? {
            let name = entry.with_context(look)?.file_name();
            if !is_ours(&name.to_string_lossy()) {
                bail!(
                    "{} holds {name:?}: a recorder with a user of its own needs a directory of its own",
                    dir.display()
                );
            }
        }
        self.give(dir).with_context(|| format!("cannot give {} to user {}", dir.display(), self.uid))
    }

    /// Gives what is in `path` first, so that nobody else can change a directory while root works in it.
    fn give(&self, path: &Path) -> std::io::Result<()> {
        // Which process is the shipper no user says but who started it.
        if path.file_name().is_some_and(|name| name == "ship.pid" || name == "ship.lock") {
            return Ok(());
        }
        if path.symlink_metadata()?.is_dir() {
            for entry in std::fs::read_dir(path)? {
                self.give(&entry?.path())?;
            }
        }
        lchown(path, Some(self.uid), Some(self.gid))
    }

    /// Gives an open file to the user.
    pub(crate) fn own_file(&self, file: &File) -> anyhow::Result<()> {
        fchown(file.as_fd(), Some(self.uid), Some(self.gid)).context("cannot give the pid file away")
    }

    /// Becomes the user, with no group but its own.
    pub(crate) fn become_it(&self) -> anyhow::Result<()> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        setgroups(&[gid])
            .and_then(|()| setresgid(gid, gid, gid))
            .and_then(|()| setresuid(uid, uid, uid))
            .with_context(|| format!("cannot become user {uid}"))
    }
}

/// Makes the shipper's user where there is none and somebody can.
pub(crate) fn make_shippers(place: &Place) -> anyhow::Result<()> {
    let name = place.user.as_deref().unwrap_or(USER);
    if !rustix::process::geteuid().is_root() || User::find(name)?.is_some() {
        return Ok(());
    }
    let mut useradd = Command::new("useradd");
    useradd.args(["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]);
    let made = useradd.args(["--shell", "/usr/sbin/nologin", name]).stdin(Stdio::null()).output();
    match made {
        Ok(output) if output.status.success() => println!("made the user {name}, who sends the bundles"),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            eprintln!(
                "pofrc: cannot make the user {name}, bundles will be sent by the recorder's: {}",
                said.trim()
            );
        }
        Err(error) => {
            eprintln!("pofrc: cannot make the user {name}, bundles will be sent by the recorder's: {error}");
        }
    }
    Ok(())
}

/// Tells whether a recorder makes files of this name in its run directory, its spool or its state.
fn is_ours(name: &str) -> bool {
    let names =
        [".open", ".acked", "lock", "state.json", "state.new", "last.json", "last.json.new", "ship", "spool"];
    let server = [
        "registration.json",
        "known_hosts",
        "id",
        "id.pub",
        "id.next",
        "id.next.pub",
        "invitation",
        "ssh_config",
    ];
    names.contains(&name)
        || server.contains(&name)
        || name.starts_with("ship.")
        || name.starts_with("pofrc.")
        || name.ends_with(".tar")
}

/// Finds a line such as `pofr:x:998:998::/var/lib/pofr:/usr/sbin/nologin`.
fn find(passwd: &str, name: &str) -> Option<User> {
    let mut fields = passwd
        .lines()
        .map(|line| line.split(':'))
        .find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
    Some(User { uid: fields.nth(1)?.parse().ok()?, gid: fields.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_recorders_is_not_given_away() {
        let dir = tempfile::tempdir().unwrap();
        let user = User { uid: rustix::process::geteuid().as_raw() + 1, gid: 1 };
        std::fs::write(dir.path().join("lhlt.sqlite"), "").unwrap();
        let said = user.own(dir.path()).unwrap_err().to_string();
        assert!(said.contains(" holds \"lhlt.sqlite\": "), "{said}");
    }

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\npofrx:x:1:2:::\npofr:x:998:997::/:/usr/sbin/nologin\n";
        assert_eq!(find(passwd, "pofr"), Some(User { uid: 998, gid: 997 }));
        assert_eq!((find(passwd, "pof"), find(passwd, "x"), find(passwd, "")), (None, None, None));
    }
}
