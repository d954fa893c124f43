//! The interface sampler: network interfaces with their addresses, of our own network namespace.
//!
//! The kernel of this machine is asked by rtnetlink(7). Where it does not answer, and for a captured tree, `/sys/class/net` and
//! the tables of `/proc/net` tell the same (`files`).

mod files;
mod netlink;

use super::{Context, WARM_MICROS};
use crate::HostView;
use pofr_core::{
    Collector, Source,
    collector::{CollectError, Observation},
    fact::{Fact, Interface},
    raw::RawText,
};
use std::net::IpAddr;

/// Samples network interfaces and their addresses.
#[derive(Debug)]
pub struct InterfaceSampler {
    view: HostView,
    /// Whether rtnetlink answered so far.
    netlink: bool,
}

/// An interface with all its addresses.
#[derive(Debug)]
struct Link {
    name: RawText,
    mac: RawText,
    up: bool,
    /// Addresses with the lengths of their prefixes.
    addresses: Vec<(IpAddr, u8)>,
}

/// Makes the sampler for the registry.
pub(super) fn make(context: &Context) -> Box<dyn Collector> {
    Box::new(InterfaceSampler::new(context))
}

impl InterfaceSampler {
    /// Makes a sampler.
    #[must_use]
    pub fn new(context: &Context) -> Self {
        Self { view: context.view.clone(), netlink: context.view.live }
    }

    fn links(&mut self) -> Result<Vec<Link>, CollectError> {
        if self.netlink {
            match netlink::links() {
                Ok(links) => return Ok(links),
                Err(error) => {
                    tracing::warn!("reading interfaces from /sys/class/net: {error}");
                    self.netlink = false;
                }
            }
        }
        files::links(&self.view)
    }
}

impl Collector for InterfaceSampler {
    fn source(&self) -> Source {
        Source::Interface
    }

    fn every_micros(&self) -> u64 {
        WARM_MICROS
    }

    fn sample(&mut self, out: &mut Observation) -> Result<(), CollectError> {
        for Link { name, mac, up, addresses } in self.links()? {
            let mut show = |address, prefix| {
                let (name, mac) = (name.clone(), mac.clone());
                out.show(Fact::Interface(Interface { name, mac, address, prefix, up }));
            };
            if addresses.is_empty() {
                show(None, 0);
            }
            addresses.into_iter().for_each(|(address, prefix)| show(Some(address), prefix));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_files_tell_what_the_kernel_does() {
        let sorted = |mut links: Vec<Link>| {
            links.sort_by(|a, b| a.name.cmp(&b.name));
            links
        };
        let asked = sorted(netlink::links().unwrap());
        let read = sorted(files::links(&HostView::live().unwrap()).unwrap());
        let what =
            |links: &[Link]| links.iter().map(|l| (l.name.clone(), l.mac.clone(), l.up)).collect::<Vec<_>>();
        assert_eq!(what(&read), what(&asked));
        // On which interface an IPv4 address lies is worked out from routes, which an odd machine may lead elsewhere.
        let six = |links: &[Link]| {
            let of = |link: &Link| link.addresses.iter().map(|a| (link.name.clone(), *a)).collect::<Vec<_>>();
            let six = links.iter().flat_map(of).filter(|(_, (address, _))| address.is_ipv6());
            six.collect::<BTreeSet<_>>()
        };
        assert_eq!(six(&read), six(&asked));
        let four = |links: &[Link]| {
            let all = links.iter().flat_map(|link| &link.addresses).map(|(address, _)| *address);
            all.filter(IpAddr::is_ipv4).collect::<BTreeSet<_>>()
        };
        assert_eq!(four(&read), four(&asked));
        for links in [&asked, &read] {
            let lo = links.iter().find(|link| link.name.as_bytes() == b"lo").unwrap();
            assert!(lo.addresses.contains(&("127.0.0.1".parse().unwrap(), 8)), "{lo:?}");
        }
    }
}
