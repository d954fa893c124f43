//! On which ports the machine listened when: what tells an inbound connection from an outbound one.

use super::{Direction, QueryError, Span};
use pofr_core::{
    fact::{EndpointKey, Fact, FactKind, TcpState, Transport},
    store::{ClientReader, Narrow, Search},
    time::WallMicros,
};
use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::ControlFlow,
};

/// The ports and when they were listened on, by transport.
#[derive(Clone, Debug, Default)]
pub(super) struct Listeners(HashMap<(Transport, u16), Vec<(WallMicros, WallMicros)>>);

/// Tells whether an endpoint waits for others.
pub(super) fn listens(key: &EndpointKey) -> bool {
    match key.transport {
        Transport::Tcp => key.state == TcpState::Listen,
        Transport::Udp => key.remote.port() == 0 && key.remote.ip().is_unspecified(),
    }
}

impl Listeners {
    /// Reads those of a span. Whoever listens has no peer, which the index on addresses tells.
    pub(super) fn load(reader: &mut dyn ClientReader, span: Span) -> Result<Self, QueryError> {
        let nobody = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        let search = Search::all(FactKind::Endpoint)
            .narrow(Narrow::Addresses(BTreeSet::from(nobody)))
            .within(span.from, span.until);
        let mut listeners = Self::default();
        reader.search(&search, &mut |row| {
            if let Fact::Endpoint(endpoint) = &row.fact
                && let key = &endpoint.key
                && listens(key)
            {
                listeners.add(key.transport, key.local.port(), row.life.earliest(), row.life.reach());
            }
            ControlFlow::Continue(())
        })?;
        Ok(listeners)
    }

    /// Adds a time; those that touch become one.
    fn add(&mut self, transport: Transport, port: u16, from: WallMicros, until: WallMicros) {
        let times = self.0.entry((transport, port)).or_default();
        let (mut from, mut until) = (from, until);
        times.retain(|(a, b)| {
            let apart = *b < from || until < *a;
            if !apart {
                (from, until) = (from.min(*a), until.max(*b));
            }
            apart
        });
        times.push((from, until));
    }

    /// Tells who connected; `None` where nobody did.
    pub(super) fn direction(
        &self,
        key: &EndpointKey,
        from: WallMicros,
        until: WallMicros,
    ) -> Option<Direction> {
        if listens(key) {
            return Some(Direction::Listening);
        }
        if key.remote.ip().is_unspecified() {
            return None;
        }
        let times = self.0.get(&(key.transport, key.local.port()));
        let listened = times.is_some_and(|times| times.iter().any(|(a, b)| *a <= until && from <= *b));
        Some(if listened { Direction::Inbound } else { Direction::Outbound })
    }
}
