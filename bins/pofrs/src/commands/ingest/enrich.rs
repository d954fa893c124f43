//! What is added to endpoints while they are taken in: the flags, and how they go together with the configuration.

use crate::config;
use anyhow::{Context as _, bail};
use clap::Args;
use pofr_ingest::enrich::{Enrich, Names, NamesSettings, Places, nameserver};
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// Where the system says whom to ask for names.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// What to add.
#[derive(Args, Debug, Default)]
pub(crate) struct EnrichArgs {
    /// Add the country and the city of each peer's address, as this MaxMind DB file (City or Country) has them
    #[arg(long, value_name = "FILE")]
    places: Option<PathBuf>,
    /// Add the names of addresses, as this resolver has them: ADDRESS, ADDRESS:PORT, `system` for the first of
    /// /etc/resolv.conf, or `no`. Whoever serves an address's zone sees that its name is asked for
    #[arg(long, value_name = "RESOLVER", value_parser = resolver)]
    names: Option<Resolver>,
}

/// Whom to ask for names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolver {
    /// Nobody.
    No,
    /// The first that the system names.
    System,
    /// This one.
    At(SocketAddr),
}

/// Reads a resolver as it is written.
pub(crate) fn resolver(text: &str) -> Result<Resolver, String> {
    match text {
        "no" => Ok(Resolver::No),
        "system" => Ok(Resolver::System),
        _ => text
            .parse()
            .or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53)))
            .map(Resolver::At)
            .map_err(|_| "a resolver is ADDRESS, ADDRESS:PORT, system or no".to_owned()),
    }
}

/// Makes what is asked for; the flags go before the configuration.
pub(crate) fn make(args: &EnrichArgs, config: &config::Enrich) -> anyhow::Result<Enrich> {
    let places = args.places.as_ref().or(config.places.as_ref());
    let places = places.map(|path| Places::open(path)).transpose()?;
    let server = match args.names.or(config.names.map(|names| names.0)).unwrap_or(Resolver::No) {
        Resolver::No => None,
        Resolver::At(server) => Some(server),
        Resolver::System => {
            let text = std::fs::read_to_string(RESOLV_CONF)
                .with_context(|| format!("cannot ask for names: cannot read {RESOLV_CONF}"))?;
            let Some(server) = nameserver(&text) else {
                bail!("cannot ask for names: {RESOLV_CONF} names no resolver\nhint: --names ADDRESS");
            };
            Some(server)
        }
    };
    let names = server.map(|server| {
        let mut settings = NamesSettings::of(server);
        settings.limit = config.limit().unwrap_or(settings.limit);
        Names::begin(settings).with_context(|| format!("cannot ask {server} for names"))
    });
    Ok(Enrich::new(places, names.transpose()?))
}

/// How long to wait at the end for names that are still to come, where there is an end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

impl config::Enrich {
    /// Returns how long a name may take.
    fn limit(&self) -> Option<Duration> {
        self.names_limit.map(|limit| Duration::from_micros(limit.0.unsigned_abs()))
    }
}
