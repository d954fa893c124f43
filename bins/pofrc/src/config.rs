//! The configuration file: what a recorder does unless the command line says otherwise. TOML; an unknown key is an error, since a
//! misspelt one would otherwise be a setting that nobody has set.

use crate::units;
use anyhow::{Context as _, bail};
use serde::{Deserialize, Deserializer, de::Error as _};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// What the file says; `None` where it says nothing. Keys are written with dashes, as the flags are.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Config {
    #[serde(deserialize_with = "duration")]
    pub(crate) interval: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    pub(crate) bundle: Option<Duration>,
    pub(crate) spool: Option<PathBuf>,
    #[serde(deserialize_with = "size")]
    pub(crate) spool_cap: Option<u64>,
    pub(crate) state: Option<PathBuf>,
    pub(crate) run_dir: Option<PathBuf>,
    pub(crate) log: Option<PathBuf>,
    #[serde(deserialize_with = "share")]
    pub(crate) max_cpu: Option<f64>,
    #[serde(deserialize_with = "size")]
    pub(crate) max_mem: Option<u64>,
    pub(crate) user: Option<String>,
    pub(crate) watch: Option<Vec<PathBuf>>,
    pub(crate) without: Option<Vec<String>>,
    pub(crate) ship_user: Option<String>,
    #[serde(deserialize_with = "size")]
    pub(crate) bandwidth: Option<u64>,
    #[serde(deserialize_with = "size")]
    pub(crate) backlog_rate: Option<u64>,
}

impl Config {
    /// Reads the file at `path`; one that is not there says nothing, unless somebody asked for it.
    pub(crate) fn read(path: &Path, is_asked_for: bool) -> anyhow::Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if !is_asked_for && error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> anyhow::Result<Self> {
        let config: Self = match toml::from_str(text) {
            Ok(config) => config,
            Err(error) => bail!("{}", describe(path, text, &error)),
        };
        for (key, value) in [
            ("spool", &config.spool),
            ("state", &config.state),
            ("run-dir", &config.run_dir),
            ("log", &config.log),
        ] {
            // A path from a file would be relative to wherever cron happens to be.
            if let Some(value) = value.as_ref().filter(|value| value.is_relative()) {
                bail!("{}: {key}: {} is not an absolute path", path.display(), value.display());
            }
        }
        Ok(config)
    }
}

/// Says what is wrong with the file: its path, the line, the key, the cause.
fn describe(path: &Path, text: &str, error: &toml::de::Error) -> String {
    let path = path.display();
    let cause = error.message().trim_end();
    let Some(span) = error.span() else { return format!("{path}: {cause}") };
    let before = &text[..span.start.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let key = text[start..].lines().next().and_then(|line| line.split_once('=')).map(|(key, _)| key.trim());
    match key {
        // An unknown field is named by the cause already.
        Some(key) if !key.is_empty() && !cause.contains(&format!("`{key}`")) => {
            format!("{path}: line {line}: {key}: {cause}")
        }
        _ => format!("{path}: line {line}: {cause}"),
    }
}

fn read<'de, D: Deserializer<'de>, T>(
    from: D,
    parse: fn(&str) -> Result<T, String>,
) -> Result<Option<T>, D::Error> {
    parse(&String::deserialize(from)?).map(Some).map_err(D::Error::custom)
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    read(from, units::duration)
}

fn size<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    read(from, units::size)
}

fn share<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    read(from, units::share)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("/etc/pofr/pofrc.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn every_key_is_read() {
        let text = r#"
            interval = "50ms"
            bundle = "10s"
            spool = "/s"
            spool-cap = "1GiB"
            state = "/t"
            run-dir = "/r"
            log = "/l"
            max-cpu = "0.5%"
            max-mem = "40MiB"
            user = "pofr"
            watch = ["/etc"]
            without = ["route"]
            ship-user = "pofrc"
            bandwidth = "1MiB"
            backlog-rate = "256KiB"
        "#;
        let config = parse(text).unwrap();
        assert_eq!(config.interval, Some(Duration::from_millis(50)));
        assert_eq!((config.max_cpu, config.max_mem), (Some(0.005), Some(40 << 20)));
        assert_eq!((config.spool_cap, config.without), (Some(1 << 30), Some(vec!["route".to_owned()])));
        assert_eq!((config.bandwidth, config.backlog_rate), (Some(1 << 20), Some(256 << 10)));
        assert_eq!(parse(""), Ok(Config::default()));
    }

    #[test]
    fn the_example_shows_every_key_and_what_holds_without_it() {
        let example = include_str!("../../../contrib/pofrc.toml");
        let config = parse(example).unwrap();
        let places = crate::places::Places::system();
        assert_eq!((config.spool, config.state), (Some(places.spool), Some(places.state)));
        assert_eq!((config.run_dir, config.interval), (Some(places.run), Some(Duration::from_millis(300))));
        assert_eq!(
            (config.spool_cap, config.max_cpu, config.max_mem),
            (Some(crate::plan::SPOOL_CAP), Some(crate::plan::MAX_CPU), Some(crate::plan::MAX_MEM))
        );
        let all: String = example
            .lines()
            .map(|line| {
                line.strip_prefix("# ").filter(|l| l.contains(" = ")).unwrap_or(line).to_owned() + "\n"
            })
            .collect();
        let config = parse(&all).unwrap();
        assert!(config.max_mem.is_some() && config.without.is_some() && config.watch.is_some());
        assert!(config.user.is_some() && config.log.is_some() && config.ship_user.is_some());
        assert!(
            config.bandwidth.is_some() && config.backlog_rate == Some(pofr_collect::ShipSettings::BACKLOG)
        );
    }

    #[test]
    fn an_error_names_file_line_key_and_cause() {
        for (text, said) in [
            (
                "\nintervall = \"1s\"\n",
                "/etc/pofr/pofrc.toml: line 2: unknown field `intervall`, expected one of",
            ),
            (
                "interval = \"5\"",
                "/etc/pofr/pofrc.toml: line 1: interval: a number with us, ms, s, m, h or d is",
            ),
            ("a = 1\nmax-cpu", "/etc/pofr/pofrc.toml: line 2: "),
            ("max-mem = 7", "/etc/pofr/pofrc.toml: line 1: max-mem: invalid type: integer `7`, expected a"),
            ("spool = \"s\"", "/etc/pofr/pofrc.toml: spool: s is not an absolute path"),
        ] {
            let found = parse(text).unwrap_err();
            assert!(found.starts_with(said), "{found}");
        }
    }
}
