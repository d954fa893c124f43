//! The route sampler: the main table of our own network namespace, IPv4 and IPv6.
//!
//! The kernel of this machine is asked by rtnetlink(7). Where it does not answer, and for a captured tree, `/proc/net/route`
//! and `/proc/net/ipv6_route` tell (`table`), less exactly: of a route over several next hops only the first, and IPv6 routes
//! of all tables.

mod netlink;
pub(super) mod table;

use super::{Context, WARM_MICROS, optional};
use crate::HostView;
use pofr_core::{
    Collector, Source,
    collector::{CollectError, Observation},
    fact::{Fact, Route},
};

/// Samples routes.
#[derive(Debug)]
pub struct RouteSampler {
    view: HostView,
    /// Whether rtnetlink answered so far.
    netlink: bool,
}

/// Makes the sampler for the registry.
pub(super) fn make(context: &Context) -> Box<dyn Collector> {
    Box::new(RouteSampler::new(context))
}

impl RouteSampler {
    /// Makes a sampler.
    #[must_use]
    pub fn new(context: &Context) -> Self {
        Self { view: context.view.clone(), netlink: context.view.live }
    }

    fn routes(&mut self) -> Result<Vec<Route>, CollectError> {
        if self.netlink {
            match netlink::routes() {
                Ok(routes) => return Ok(routes),
                Err(error) => {
                    tracing::warn!("reading routes from /proc/net: {error}");
                    self.netlink = false;
                }
            }
        }
        files(&self.view)
    }
}

/// Reads the tables of `/proc/net`. A kernel without IPv6 has only the first, a captured tree maybe neither.
fn files(view: &HostView) -> Result<Vec<Route>, CollectError> {
    let read = |name| optional(&view.proc_root.join(name)).map(Option::unwrap_or_default);
    let mut routes = table::v4(&read("net/route")?);
    routes.extend(table::v6(&read("net/ipv6_route")?));
    Ok(routes)
}

impl Collector for RouteSampler {
    fn source(&self) -> Source {
        Source::Route
    }

    fn every_micros(&self) -> u64 {
        WARM_MICROS
    }

    fn sample(&mut self, out: &mut Observation) -> Result<(), CollectError> {
        out.facts.extend(self.routes()?.into_iter().map(Fact::Route));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_tell_what_the_kernel_does() {
        let (asked, read) = (netlink::routes().unwrap(), files(&HostView::live().unwrap()).unwrap());
        let what = |route: &Route| (route.destination, route.prefix, route.metric);
        for route in &asked {
            // Of several next hops the files tell one.
            let is_alone = asked.iter().filter(|other| what(other) == what(route)).count() == 1;
            assert!(!is_alone || read.contains(route), "{route:?} not in {read:?}");
        }
    }
}
