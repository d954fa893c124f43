//! Plans: through which index to look for what a filter asks.

use super::{QueryError, Span, Subject, conditions::Conditions};
use ipnet::IpNet;
use pofr_core::{
    fact::{Fact, FactKind},
    identity::Pid,
    raw::RawText,
    store::{ClientReader, Narrow, Search},
};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    ops::ControlFlow,
};

/// So many processes are worth looking for what they hold by their ids.
const FEW: usize = 2_000;
/// So many addresses are worth a look each.
const ADDRESSES: u32 = 512;

/// How to look.
#[derive(Debug)]
pub(super) struct Plan {
    /// What the store is asked for.
    pub(super) search: Search,
    /// Whether the search may leave out rows of a fact of which it hands out others.
    pub(super) in_part: bool,
}

impl Plan {
    /// Makes a plan; `None` where nothing can be found.
    pub(super) fn new(
        reader: &mut dyn ClientReader,
        subject: Subject,
        conditions: &Conditions,
        span: Span,
    ) -> Result<Option<Self>, QueryError> {
        let f = &conditions.filter;
        if !f.users.is_empty() && conditions.users.is_empty() {
            return Ok(None);
        }
        let narrow = match subject {
            Subject::Processes => of_processes(conditions),
            Subject::Files => match (f.path.as_ref().and_then(|m| m.only()), &f.under) {
                (Some(path), _) => Narrow::Path(path.clone()),
                (None, under) => {
                    let under = || match under {
                        Some(directory) => Narrow::Under(prefix(directory)),
                        None => Narrow::All,
                    };
                    few_processes(reader, conditions, span)?.map_or_else(under, Narrow::Pids)
                }
            },
            Subject::Endpoints => {
                let nets = [&f.ip, &f.from_ip, &f.to_ip];
                match nets.into_iter().find_map(|nets| addresses(nets)) {
                    Some(addresses) => Narrow::Addresses(addresses),
                    None => match few_processes(reader, conditions, span)? {
                        Some(pids) if conditions.asks_of_users_alone() => {
                            Narrow::Held(pids, conditions.users.clone())
                        }
                        Some(pids) => Narrow::Pids(pids),
                        None if !f.ports.is_empty() => Narrow::Ports(f.ports.clone()),
                        None => Narrow::All,
                    },
                }
            }
        };
        let in_part = matches!(narrow, Narrow::ExeSha256(_));
        let search = Search::all(subject.kind()).narrow(narrow).within(span.from, span.until);
        Ok(Some(Self { search, in_part }))
    }
}

/// The narrowing to the directory's own path and all below it, and some beside it.
fn prefix(directory: &RawText) -> RawText {
    let bytes = directory.as_bytes();
    bytes.strip_suffix(b"/").unwrap_or(bytes).into()
}

/// How to look for processes.
fn of_processes(conditions: &Conditions) -> Narrow {
    let f = &conditions.filter;
    if !f.pids.is_empty() {
        Narrow::Pids(f.pids.clone())
    } else if let Some(sha256) = f.exe_sha256 {
        Narrow::ExeSha256(sha256)
    } else if let Some(command) = f.command.as_ref().and_then(|m| m.only()) {
        Narrow::Command(command.clone())
    } else if let Some(exe) = f.exe.as_ref().and_then(|m| m.only()) {
        Narrow::Exe(exe.clone())
    } else if !f.users.is_empty() {
        Narrow::Users(conditions.users.clone())
    } else if !f.ppids.is_empty() {
        Narrow::Parents(f.ppids.clone())
    } else {
        Narrow::All
    }
}

/// Returns the ids of the processes that may be asked for, where they are few; `None` where nothing is asked of processes, too.
fn few_processes(
    reader: &mut dyn ClientReader,
    conditions: &Conditions,
    span: Span,
) -> Result<Option<BTreeSet<Pid>>, QueryError> {
    let f = &conditions.filter;
    if !f.asks_of_processes() {
        return Ok(None);
    }
    // The files of who has another's table are told with that one.
    let mut pids: BTreeSet<Pid> = conditions.sharing.pids().collect();
    if !f.pids.is_empty() {
        pids.extend(&f.pids);
        return Ok(Some(pids));
    }
    let span = if conditions.ask_of_what_is_learned() { Span::ALL } else { span };
    let search =
        Search::all(FactKind::Process).narrow(of_processes(conditions)).within(span.from, span.until);
    reader.search(&search, &mut |row| {
        if let Fact::Process(process) = &row.fact
            && conditions.row_may(&row)
        {
            pids.insert(process.key.entity.pid());
        }
        if pids.len() > FEW { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok((pids.len() <= FEW).then_some(pids))
}

/// Returns all addresses of these networks, where they are few, the IPv4-mapped ones with them.
fn addresses(nets: &[IpNet]) -> Option<BTreeSet<IpAddr>> {
    let mut all = BTreeSet::new();
    for net in nets {
        match net {
            IpNet::V4(net) => {
                let (first, last) = (u32::from(net.network()), u32::from(net.broadcast()));
                if last - first >= ADDRESSES {
                    return None;
                }
                for ip in (first..=last).map(Ipv4Addr::from) {
                    all.extend([IpAddr::V4(ip), IpAddr::V6(ip.to_ipv6_mapped())]);
                }
            }
            IpNet::V6(net) if net.prefix_len() == net.max_prefix_len() => {
                all.insert(IpAddr::V6(net.addr()));
            }
            IpNet::V6(_) => return None,
        }
    }
    (!all.is_empty() && all.len() <= 2 * ADDRESSES as usize).then_some(all)
}

/// Returns the narrowings that lead to every row of these facts: by their processes, and where an endpoint has none by its
/// addresses.
pub(super) fn narrow_to(facts: &[&Fact]) -> Vec<Narrow> {
    let (mut pids, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    for fact in facts {
        match (super::find::holder(fact), fact) {
            (Some(entity), _) => {
                pids.insert(entity.pid());
            }
            (None, Fact::Endpoint(endpoint)) => {
                addresses.insert(endpoint.key.local.ip());
            }
            _ => {}
        }
    }
    let mut narrows = Vec::new();
    if !pids.is_empty() {
        narrows.push(Narrow::Pids(pids));
    }
    if !addresses.is_empty() {
        narrows.push(Narrow::Addresses(addresses));
    }
    narrows
}
