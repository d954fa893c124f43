//! Rights on MariaDB: who makes databases, who writes them, who reads them.
//!
//! Root, over the unix socket, makes the databases and two users. [`WRITER`] may do what storing needs in these databases and
//! nothing elsewhere; [`READER`] may SELECT. Neither has a global right, above all not FILE, by which SQL reads and writes
//! the server's files. All of it can be said again at any time.

use crate::{
    db::{Cell, Db, Doing as _, LOOKUP, Pools, Rights, Statement, failure},
    ledger,
    login::{READER, WRITER},
    open::OpenError,
    url::{Location, Server},
};
use pofr_core::{identity::Cid, store::StoreError};

/// What is to be.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Clients whose databases are to be; those that are known already are added.
    pub clients: Vec<Cid>,
    /// From where the users connect: a host as MariaDB's accounts have it; `localhost` where nothing is said.
    pub host: Option<String>,
    /// The writer's password; without one the writer is who runs under its name, by the unix socket.
    pub password: Option<String>,
    /// The reader's.
    pub read_password: Option<String>,
}

/// Makes databases and users, and gives them their rights; returns the statements, with passwords left out. With `dry_run` nothing
/// is done, and the list is of what would be.
///
/// # Errors
/// [`OpenError`]: the server does not answer, or does not let this user do it.
pub fn init(admin: Server, wanted: &Wanted, dry_run: bool) -> Result<Vec<String>, OpenError> {
    if cfg!(not(feature = "mariadb")) {
        return Err(OpenError::NoMariadb(Box::new(Location::Mariadb(admin))));
    }
    let pools = Pools::new(Location::Mariadb(admin));
    let mut db = pools.get("", Rights::Create)?;
    let mut clients = wanted.clients.clone();
    if has_lookup(&mut db)? {
        clients.extend(ledger::clients(&mut db)?.into_iter().map(|c| c.cid));
    }
    let mut databases: Vec<String> = clients.iter().map(Cid::database).collect();
    databases.sort();
    databases.dedup();
    databases.insert(0, LOOKUP.to_owned());
    let mut shown = Vec::new();
    for (sql, secret) in statements(&mut db, wanted, &databases)? {
        if !dry_run {
            db.batch(&sql).doing(format_args!("run {}", hide(&sql, secret.as_deref())))?;
        }
        shown.push(hide(&sql, secret.as_deref()));
    }
    if !dry_run {
        ledger::migrate_lookup(&mut db)?;
    }
    Ok(shown)
}

/// Returns the statements, each with what of it is to be hidden.
fn statements(
    db: &mut Db,
    wanted: &Wanted,
    databases: &[String],
) -> Result<Vec<(String, Option<String>)>, StoreError> {
    let host = wanted.host.as_deref().unwrap_or("localhost");
    let good = |c: char| c.is_ascii_alphanumeric() || "-._:%/".contains(c);
    if host.is_empty() || !host.chars().all(good) {
        return Err(failure("make the users", format!("{host:?} is no host")));
    }
    let mut all = Vec::new();
    for (user, password) in [(WRITER, &wanted.password), (READER, &wanted.read_password)] {
        let hash = password.as_ref().map(|password| hash(db, password)).transpose()?;
        let by = match (&hash, host) {
            (None, "localhost") => "unix_socket".to_owned(),
            (None, _) => {
                return Err(failure(
                    format_args!("make user {user}"),
                    "from another host it needs a password",
                ));
            }
            (Some(hash), "localhost") => format!("unix_socket OR mysql_native_password USING '{hash}'"),
            (Some(hash), _) => format!("mysql_native_password USING '{hash}'"),
        };
        all.push((format!("CREATE USER IF NOT EXISTS '{user}'@'{host}' IDENTIFIED VIA {by}"), hash.clone()));
        all.push((format!("ALTER USER '{user}'@'{host}' IDENTIFIED VIA {by}"), hash));
        // Whatever somebody gave it: FILE would be the server's files.
        all.push((format!("REVOKE ALL PRIVILEGES ON *.* FROM '{user}'@'{host}'"), None));
    }
    for database in databases {
        all.push((
            format!("CREATE DATABASE IF NOT EXISTS `{database}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"),
            None,
        ));
        let writes = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, CREATE VIEW, SHOW VIEW";
        all.push((format!("GRANT {writes} ON `{database}`.* TO '{WRITER}'@'{host}'"), None));
        all.push((format!("GRANT SELECT, SHOW VIEW ON `{database}`.* TO '{READER}'@'{host}'"), None));
    }
    Ok(all)
}

/// Has the server hash a password, so that no statement has it in clear.
fn hash(db: &mut Db, password: &str) -> Result<String, StoreError> {
    const ACTION: &str = "hash a password";
    let statement = Statement::new("SELECT PASSWORD(").bind(Cell::text(password)).sql(")");
    let is_hash = |text: &str| {
        text.strip_prefix('*')
            .is_some_and(|hex| hex.len() == 40 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    let records = db.query(statement).doing(ACTION)?;
    let record = records.into_iter().next().ok_or_else(|| failure(ACTION, "the server says nothing"))?;
    record.reader("of the server's answers").parsed("a hash", |text| is_hash(text).then(|| text.to_owned()))
}

fn hide(sql: &str, secret: Option<&str>) -> String {
    secret.map_or_else(|| sql.to_owned(), |secret| sql.replace(secret, "…"))
}

fn has_lookup(db: &mut Db) -> Result<bool, StoreError> {
    let statement = Statement::new(
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'lhlt' AND table_name = 'lhlttable'",
    );
    Ok(db.number(statement).doing("look for database lhlt")? != Some(0))
}
