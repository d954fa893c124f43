//! The configuration file: what the service needs to know and nobody wants to say each time.
//!
//! The command line goes before the environment, that before the file. A word that the file has and this program does not know
//! is an error: a policy that is misspelt must not be a policy that is not there.

mod server;

pub(crate) use server::{Accounts, Server};

use crate::{
    commands::ingest::enrich::{Resolver, resolver},
    units,
};
use anyhow::Context as _;
use pofr_ingest::{
    levels::{Calendar, Policy},
    merge,
    service::Keep,
};
use serde::Deserialize;
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

/// Where it is, unless told otherwise.
pub(crate) const PATH: &str = "/etc/pofr/pofrs.toml";

/// An example with everything in it, for the help; a test reads it.
pub(crate) const EXAMPLE: &str = r#"
  data_dir = "/var/lib/pofr"            # inboxes, kept bundles, the embedded database
  db = "mysql://pofr@localhost/?unix_socket=/run/mysqld/mysqld.sock"

  [ingest]
  workers = 4                           # threads for all clients together
  keep_bundles = "90d"                  # "forever" (the default), "no"

  [enrich]                              # nothing is added unless it stands here
  places = "/var/lib/GeoIP/GeoLite2-City.mmdb"  # country and city of each peer
  names = "system"                      # names of addresses: "192.0.2.53", "192.0.2.53:53", "no"
  names_limit = "2s"                    # how long a name may take

  [receive]
  give_up = "10m"                       # an open bundle of which nothing comes for so long is stored as it is

  [levels]
  max_triads = 191                      # archive when there are more slices
  max_file_rows = 130000                # or more file rows in them
  period = "week"                       # "day"; without it level 3 is made on request alone

  [status]
  silence = "10m"                       # a client that sends nothing for so long is trouble
  hook = ["/usr/local/bin/pofr-alert"]  # gets each trouble as a line of JSON

  [server]                              # as pofrs init writes it
  accounts = "system"                   # "single": one account for all clients, without root
  user = "pofr"                         # root becomes this account for whatever touches the record
  registration_account = "pofrsreg"
  group = "pofrclients"                 # of the clients' accounts
  keys_dir = "/etc/pofr/keys"           # who may log in, for root alone to write
  sshd_config_dir = "/etc/ssh/sshd_config.d"
  shell = "/usr/local/libexec/pofrs-shell"
"#;

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The data directory.
    pub(crate) data_dir: Option<PathBuf>,
    /// The database's URL.
    pub(crate) db: Option<String>,
    /// How to ingest.
    pub(crate) ingest: Ingest,
    /// What to add to endpoints.
    pub(crate) enrich: Enrich,
    /// How to treat what clients send.
    pub(crate) receive: Receive,
    /// When to merge.
    pub(crate) levels: Levels,
    /// What is trouble.
    pub(crate) status: Status,
    /// Accounts, keys, sshd.
    pub(crate) server: Server,
}

/// How to ingest.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ingest {
    /// Threads for all clients together.
    pub(crate) workers: Option<u16>,
    /// How long bundles are kept.
    pub(crate) keep_bundles: Option<KeepText>,
}

/// What to add to endpoints.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Enrich {
    /// A MaxMind DB file.
    pub(crate) places: Option<PathBuf>,
    /// Whom to ask for names.
    pub(crate) names: Option<ResolverText>,
    /// How long a name may take.
    pub(crate) names_limit: Option<Length>,
}

/// Whom to ask for names, as it is written.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ResolverText(pub(crate) Resolver);

impl TryFrom<String> for ResolverText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        resolver(&text).map(Self)
    }
}

/// How to treat what clients send.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Receive {
    /// How long nothing may come of an open bundle.
    give_up: Option<Length>,
}

impl Receive {
    /// Returns how long nothing may come of an open bundle before it is stored as it is: ten minutes unless told otherwise.
    pub(crate) fn give_up(&self) -> Duration {
        let micros = self.give_up.map_or(600_000_000, |length| length.0);
        Duration::from_micros(micros.unsigned_abs())
    }
}

/// How long bundles are kept, as it is written.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct KeepText(pub(crate) Keep);

impl TryFrom<String> for KeepText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        units::keep(&text).map(Self)
    }
}

/// When to merge.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Levels {
    max_triads: Option<usize>,
    max_file_rows: Option<u64>,
    period: Option<Calendar>,
}

impl Levels {
    /// Returns it as the pipeline takes it.
    pub(crate) fn policy(&self) -> Policy {
        let default = merge::Options::default();
        let archive = merge::Options {
            max_triads: self.max_triads.unwrap_or(default.max_triads),
            max_file_rows: self.max_file_rows.unwrap_or(default.max_file_rows),
            ..default
        };
        Policy { archive, period: self.period }
    }
}

/// What is trouble, and whom to tell.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Status {
    /// How long a client may send nothing.
    pub(crate) silence: Option<Length>,
    /// A program and its arguments.
    pub(crate) hook: Vec<String>,
}

/// A length of time, µs.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Length(pub(crate) i64);

impl TryFrom<String> for Length {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        units::length(&text).map(Self)
    }
}

impl Config {
    /// Reads the file that is named, else the one at [`PATH`] if it is there.
    pub(crate) fn load(named: Option<&Path>) -> anyhow::Result<Self> {
        let path = named.unwrap_or(Path::new(PATH));
        match std::fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).with_context(|| format!("cannot use {}", path.display())),
            Err(error)
                if named.is_none()
                    && matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) =>
            {
                Ok(Self::default())
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_read() {
        let config: Config = toml::from_str(EXAMPLE).unwrap();
        assert_eq!(config.ingest.keep_bundles.unwrap().0, Keep::For(90 * 86_400_000_000));
        assert_eq!(config.enrich.names.unwrap().0, Resolver::System);
        assert_eq!(config.enrich.names_limit.unwrap().0, 2_000_000);
        assert!(config.enrich.places.is_some() && Config::default().enrich.places.is_none());
        assert_eq!(resolver("192.0.2.53").unwrap(), Resolver::At("192.0.2.53:53".parse().unwrap()));
        assert_eq!(
            resolver("[2001:db8::1]:5353").unwrap(),
            Resolver::At("[2001:db8::1]:5353".parse().unwrap())
        );
        resolver("dns.example").unwrap_err();
        assert_eq!(config.levels.policy().period, Some(Calendar::Week));
        assert_eq!(config.status.silence.unwrap().0, 600_000_000);
        assert_eq!(config.status.hook, ["/usr/local/bin/pofr-alert"]);
        assert_eq!(config.server.user.as_deref(), Some("pofr"));
        let (told, default) = (config.server, Server::default());
        assert_eq!((told.shell, told.keys_dir, told.group), (default.shell, default.keys_dir, default.group));
    }

    #[test]
    fn what_is_misspelt_is_an_error() {
        for text in ["keep = 1", "[ingest]\nkeep_bundels = \"no\"", "[levels]\nperiod = \"month\""] {
            toml::from_str::<Config>(text).unwrap_err();
        }
        let error = toml::from_str::<Config>("[ingest]\nkeep_bundles = \"90\"").unwrap_err().to_string();
        assert!(error.contains("keep_bundles") && error.contains("90d"), "{error}");
    }
}
