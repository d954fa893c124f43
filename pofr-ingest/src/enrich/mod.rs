//! Enrichment: what the server adds to endpoints of its own knowledge. Countries and cities out of a database that the
//! administrator supplies (`places`), names out of the DNS (`names`); both are off unless asked for.
//!
//! Nothing here keeps a bundle waiting. A place is looked up in memory. A name that is known goes into the row at once; one
//! that is not is asked for by a thread of its own, and learned when it has come: by an endpoint that still lives in its next
//! bundle, by one that is over in [`Enrich::late`]. Whatever fails leaves a column empty, and is said in the log at most once
//! in a while.
//!
//! What is added is no part of the evidence: it is in no bundle and no digest, and says what the database, or whoever answers
//! for an address in the DNS, said when the server asked.

mod names;
mod places;
pub(crate) mod resolver;

pub use names::{Names, NamesSettings, nameserver};
pub use places::{Place, Places, PlacesError};

use pofr_core::{fact::Fact, identity::Cid, lifetime::Row, raw::RawText};
use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// What is added, by whom; clones share it. The default adds nothing.
#[derive(Clone, Debug, Default)]
pub struct Enrich(Arc<Parts>);

#[derive(Debug, Default)]
struct Parts {
    places: Option<Places>,
    names: Option<Names>,
}

impl Enrich {
    /// Adds places, names, or both.
    #[must_use]
    pub fn new(places: Option<Places>, names: Option<Names>) -> Self {
        Self(Arc::new(Parts { places, names }))
    }

    /// Adds to the rows what is known by now, and asks for what is not.
    pub fn fill(&self, cid: &Cid, rows: &mut [Row]) {
        let Parts { places, names } = &*self.0;
        if places.is_none() && names.is_none() {
            return;
        }
        for row in rows {
            let Fact::Endpoint(endpoint) = &mut row.fact else { continue };
            let (local, remote) = (endpoint.key.local.ip(), endpoint.key.remote.ip());
            let details = &mut endpoint.details;
            if let Some(place) = places.as_ref().and_then(|places| places.find(remote)) {
                (details.country, details.city) = (place.country, place.city);
            }
            if let Some(names) = names {
                details.local_name = names.find(cid, local);
                details.remote_name = names.find(cid, remote);
            }
        }
    }

    /// Returns the names that a client's rows were stored without and that have come since. Waits for those that are on their
    /// way up to `patience`, and no longer than each of them may take.
    #[must_use]
    pub fn late(&self, cid: &Cid, patience: Duration) -> Vec<(IpAddr, RawText)> {
        let Some(names) = &self.0.names else { return Vec::new() };
        let until = Instant::now() + patience;
        while names.is_asking(cid) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        names.take(cid)
    }
}

/// Returns an address as others know it: an IPv4 one that is written as an IPv6 one is an IPv4 one.
fn plain(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}
