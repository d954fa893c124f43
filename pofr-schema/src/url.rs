//! Where a store is: the one text that names it on a command line or in `POFR_DB`.
//!
//! ```text
//! sqlite:DIR                                         a directory of SQLite files
//! mysql://user@host:3306/?password_file=/etc/x       MariaDB over TCP
//! mysql://user@localhost/?unix_socket=/run/x.sock    MariaDB over a unix socket
//! ```
//!
//! `password_file` is for that user, `read_password_file` for pofr_read where the user is pofr, see [`crate::login`].
//! User and paths may be percent-encoded (RFC 3986, 2.1).

use std::{fmt, path::PathBuf};

/// Where a store is.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A directory with one SQLite file a client.
    Sqlite(PathBuf),
    /// A MariaDB server.
    Mariadb(Server),
}

/// A MariaDB server, and as whom to log in.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    /// The user.
    pub user: String,
    /// The password, where one is needed; it comes from a file, never out of a URL.
    pub password: Option<String>,
    /// The file that has the password.
    pub password_file: Option<PathBuf>,
    /// The file that has the reading user's password.
    pub read_password_file: Option<PathBuf>,
    /// The host's name or address.
    pub host: String,
    /// The TCP port, 3306 where none is given.
    pub port: Option<u16>,
    /// The unix socket's path; then host and port do not matter.
    pub socket: Option<String>,
}

/// Why a text names no store.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlError {
    /// It begins with neither scheme.
    #[error("database URL begins with neither sqlite: nor mysql://: {0}")]
    Scheme(String),
    /// `sqlite:` without a directory.
    #[error("database URL sqlite: names no directory")]
    NoDirectory,
    /// A password in the URL.
    #[error(
        "a database URL must hold no password: command lines and environments are for others to see\nhint: ?password_file=PATH names a file of mode 0600 that has it"
    )]
    Password,
    /// A part of a `mysql://` URL that makes no sense.
    #[error("database URL has a bad {part}: {found}")]
    Part {
        /// Which part.
        part: &'static str,
        /// What stands there; never the password.
        found: String,
    },
}

impl Location {
    /// Reads a store's URL.
    ///
    /// # Errors
    /// [`UrlError`], which never repeats the password.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        if let Some(dir) = url.strip_prefix("sqlite:") {
            let dir = dir.strip_prefix("//").unwrap_or(dir);
            return if dir.is_empty() { Err(UrlError::NoDirectory) } else { Ok(Self::Sqlite(dir.into())) };
        }
        match url.strip_prefix("mysql://") {
            Some(rest) => Server::parse(rest).map(Self::Mariadb),
            None => Err(UrlError::Scheme(url.split("//").next().unwrap_or_default().to_owned())),
        }
    }
}

impl Server {
    fn parse(rest: &str) -> Result<Self, UrlError> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if !path.is_empty() {
            // Each client has a database of its own, so a URL that picks one is a misunderstanding.
            return Err(UrlError::Part { part: "path (none is wanted)", found: path.to_owned() });
        }
        let (login, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        if login.contains(':') {
            return Err(UrlError::Password);
        }
        let user = decode("user", login)?;
        if user.is_empty() {
            return Err(UrlError::Part { part: "user", found: "nothing".into() });
        }
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                let number =
                    port.parse().map_err(|_| UrlError::Part { part: "port", found: port.to_owned() })?;
                (host, Some(number))
            }
            _ => (place, None),
        };
        let (mut socket, mut password_file, mut read_password_file) = (None, None, None);
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            match pair.split_once('=') {
                Some(("unix_socket", path)) => socket = Some(decode("unix_socket", path)?),
                Some(("password_file", path)) => password_file = Some(decode("password_file", path)?.into()),
                Some(("read_password_file", path)) => {
                    read_password_file = Some(decode("read_password_file", path)?.into());
                }
                _ => return Err(UrlError::Part { part: "option", found: pair.to_owned() }),
            }
        }
        let good = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
        if (host.is_empty() && socket.is_none()) || !host.chars().all(good) {
            return Err(UrlError::Part { part: "host", found: host.to_owned() });
        }
        let host = if host.is_empty() { "localhost" } else { host }.to_owned();
        Ok(Self { user, password: None, password_file, read_password_file, host, port, socket })
    }

    /// Returns the URL of one database there, all parts encoded; the empty name picks none.
    #[must_use]
    pub fn database_url(&self, database: &str) -> String {
        let mut url = format!("mysql://{}", encode(&self.user));
        if let Some(password) = &self.password {
            url = url + ":" + &encode(password);
        }
        url = url + "@" + if self.socket.is_some() { "localhost" } else { &self.host };
        if let Some(port) = self.port {
            url += &format!(":{port}");
        }
        url = url + "/" + &encode(database);
        if let Some(socket) = &self.socket {
            url = url + "?unix_socket=" + &encode(socket);
        }
        url
    }
}

impl fmt::Display for Location {
    /// Writes the URL without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(dir) => write!(f, "sqlite:{}", dir.display()),
            Self::Mariadb(server) => {
                f.write_str(&Server { password: None, ..server.clone() }.database_url(""))
            }
        }
    }
}
impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Self { password: None, ..self.clone() }.database_url(""))
    }
}

fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn decode(part: &'static str, text: &str) -> Result<String, UrlError> {
    let bad = || UrlError::Part { part, found: text.to_owned() };
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let digits = tail.get(..2).and_then(|d| std::str::from_utf8(d).ok()).ok_or_else(bad)?;
        let [byte] = pofr_core::digest::unhex::<1>(digits).ok_or_else(bad)?;
        out.push(byte);
        rest = &tail[2..];
    }
    if out.contains(&0) {
        return Err(bad());
    }
    String::from_utf8(out).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Server {
        match Location::parse(url).unwrap() {
            Location::Mariadb(server) => server,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn every_form_is_read() {
        assert_eq!(
            Location::parse("sqlite:/var/lib/pofr").unwrap(),
            Location::Sqlite("/var/lib/pofr".into())
        );
        let mut tcp = server("mysql://po%66r@[::1]:3307/?password_file=/etc/a%26b&read_password_file=/r");
        assert_eq!((tcp.user.as_str(), tcp.password.as_deref()), ("pofr", None));
        assert_eq!(tcp.password_file.as_deref(), Some(std::path::Path::new("/etc/a&b")));
        assert_eq!(tcp.read_password_file.as_deref(), Some(std::path::Path::new("/r")));
        tcp.password = Some("a:b@c".into());
        assert_eq!(tcp.database_url("x"), "mysql://pofr:a%3Ab%40c@[::1]:3307/x");
        assert_eq!((tcp.host.as_str(), tcp.port), ("[::1]", Some(3307)));
        let unix = server("mysql://root@localhost/?unix_socket=%2Frun%2Fa%20b.sock");
        assert_eq!(unix.socket.as_deref(), Some("/run/a b.sock"));
        assert_eq!(unix.database_url("lhlt"), "mysql://root@localhost/lhlt?unix_socket=%2Frun%2Fa%20b.sock");
    }

    #[test]
    fn errors_name_the_part_and_hide_the_password() {
        for (url, part) in [
            ("postgres://x", "neither"),
            ("sqlite:", "no directory"),
            ("mysql://host/", "user"),
            ("mysql://u@h/db", "path"),
            ("mysql://u@h:x/", "port"),
            ("mysql://u:secret@h/", "password_file"),
            ("mysql://u:@h/", "password_file"),
            ("mysql://u@h/?ssl=1", "option"),
            ("mysql://u@h`/", "host"),
        ] {
            let text = Location::parse(url).unwrap_err().to_string();
            assert!(text.contains(part) && !text.contains("cret"), "{url}: {text}");
        }
        let mut known = server("mysql://u@h/");
        known.password = Some("secret".into());
        assert!(!format!("{known:?} {}", Location::Mariadb(known.clone())).contains("secret"));
    }
}
