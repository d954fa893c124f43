//! Which record is meant: the data directory, the database's URL, the client.

use crate::{
    cli::{Global, WhichClients},
    config::Config,
};
use anyhow::{Context as _, bail};
use pofr_core::{Store, identity::Cid, store::ClientEntry};
use pofr_ingest::Layout;
use pofr_schema::Access;
use std::{os::unix::fs::DirBuilderExt as _, path::PathBuf};

/// Returns where things are kept: as told, else /var/lib/pofr for root, else the user's data directory
/// (XDG Base Directory Specification).
pub(crate) fn data_dir(global: &Global) -> anyhow::Result<PathBuf> {
    if let Some(dir) = global.data_dir.clone().or(config(global)?.data_dir) {
        return Ok(dir);
    }
    if rustix::process::geteuid().is_root() {
        return Ok("/var/lib/pofr".into());
    }
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    set("XDG_DATA_HOME")
        .or_else(|| Some(set("HOME")?.join(".local/share")))
        .map(|dir| dir.join("pofr"))
        .context("no data directory: neither HOME nor XDG_DATA_HOME is set\nhint: give --data-dir or --db")
}

/// Reads the configuration file.
pub(crate) fn config(global: &Global) -> anyhow::Result<Config> {
    Config::load(global.config.as_deref())
}

/// Returns the URL of the database: what `--db` says, else the embedded one in `--data-dir`, else what `POFR_DB` says, else the
/// configuration file, else the embedded one.
pub(crate) fn url(global: &Global) -> anyhow::Result<String> {
    if let Some(url) = &global.db {
        return Ok(url.clone());
    }
    if global.data_dir.is_none() {
        match std::env::var("POFR_DB") {
            Ok(url) if !url.is_empty() => return Ok(url),
            Err(std::env::VarError::NotUnicode(_)) => bail!("POFR_DB is not UTF-8"),
            _ => {}
        }
        if let Some(url) = config(global)?.db {
            return Ok(url);
        }
    }
    let dir = data_dir(global)?;
    let dir = dir.to_str().with_context(|| format!("{dir:?} is not UTF-8, which a database URL must be"))?;
    Ok(format!("sqlite:{dir}"))
}

/// Returns where inboxes and kept bundles are.
pub(crate) fn layout(global: &Global) -> anyhow::Result<Layout> {
    data_dir(global).map(Layout::new)
}

/// Opens the store.
pub(crate) fn open(global: &Global, access: Access) -> anyhow::Result<Box<dyn Store>> {
    let url = url(global)?;
    if let (Access::Read, Some(dir)) = (access, url.strip_prefix("sqlite:"))
        && !std::path::Path::new(dir).exists()
    {
        bail!(
            "nothing is recorded in {dir}\nhint: pofrs ingest DIR --client NAME, or pofrs demo --data-dir {dir}"
        );
    }
    if let (Access::Write, Some(dir)) = (access, url.strip_prefix("sqlite:")) {
        make_private(std::path::Path::new(dir))?;
    }
    Ok(pofr_schema::open(&url, access)?)
}

/// Makes a directory where there is none, for its owner alone: a record tells what everybody's programs did.
pub(crate) fn make_private(dir: &std::path::Path) -> anyhow::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot make {}", dir.display()))
}

/// Finds the client that is meant: by its id, by a beginning of it that no other has, or the only one there is.
pub(crate) fn client(store: &dyn Store, name: Option<&str>) -> anyhow::Result<Cid> {
    let clients = store.clients()?;
    pick(&clients, name)
}

/// Finds the clients that are meant, in the order in which they are named, each once.
pub(crate) fn clients(store: &dyn Store, which: &WhichClients) -> anyhow::Result<Vec<Cid>> {
    pick_all(&store.clients()?, which)
}

fn pick_all(clients: &[ClientEntry], which: &WhichClients) -> anyhow::Result<Vec<Cid>> {
    if which.all_clients && !clients.is_empty() {
        return Ok(clients.iter().map(|client| client.cid.clone()).collect());
    }
    if which.clients.is_empty() {
        return Ok(vec![pick(clients, None)?]);
    }
    let mut picked = Vec::new();
    for name in &which.clients {
        let cid = pick(clients, Some(name))?;
        if !picked.contains(&cid) {
            picked.push(cid);
        }
    }
    Ok(picked)
}

fn pick(clients: &[ClientEntry], name: Option<&str>) -> anyhow::Result<Cid> {
    let known = || clients.iter().map(|c| c.cid.as_str()).collect::<Vec<_>>().join(", ");
    let Some(name) = name else {
        return match clients {
            [only] => Ok(only.cid.clone()),
            [] => bail!("no client is known yet\nhint: pofrs ingest DIR --client NAME adds one"),
            _ => bail!("which client? Give --client with one of {}", known()),
        };
    };
    if let Some(exact) = clients.iter().find(|c| c.cid.as_str() == name) {
        return Ok(exact.cid.clone());
    }
    let begins: Vec<&ClientEntry> = clients.iter().filter(|c| c.cid.as_str().starts_with(name)).collect();
    match begins.as_slice() {
        [only] => Ok(only.cid.clone()),
        [] if clients.is_empty() => bail!("no client {name}: none is known yet"),
        [] => bail!("no client {name}; there are {}", known()),
        _ => bail!("{name} is the beginning of {} clients", begins.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pofr_core::time::WallMicros;

    #[test]
    fn a_client_is_found_by_what_names_it_alone() {
        let entry = |cid: &str| ClientEntry {
            cid: Cid::parse(cid).unwrap(),
            uuid: String::new(),
            ciduser: String::new(),
            last_ip: None,
            registered: WallMicros(0),
        };
        let clients = ["web-1", "web-10", "db"].map(entry);
        let picked = |name| pick(&clients, name).map(|c| c.as_str().to_owned()).map_err(|e| e.to_string());
        assert_eq!(picked(Some("web-1")).unwrap(), "web-1");
        assert_eq!(picked(Some("d")).unwrap(), "db");
        assert!(picked(Some("web")).unwrap_err().contains("2 clients"));
        assert!(picked(Some("x")).unwrap_err().contains("web-1, web-10, db"));
        assert!(picked(None).unwrap_err().contains("--client"));
        assert_eq!(pick(&clients[2..], None).unwrap().as_str(), "db");

        let several = |names: &[&str], all_clients| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            let picked = pick_all(&clients, &WhichClients { clients: names, all_clients });
            picked.map(|all| all.iter().map(|cid| cid.as_str().to_owned()).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(several(&["d", "web-1", "db"], false).unwrap(), "db web-1");
        assert_eq!(several(&[], true).unwrap(), "web-1 web-10 db");
        assert!(several(&[], false).unwrap_err().to_string().contains("--client"));
        assert!(several(&["web-1", "x"], false).is_err());
    }
}
