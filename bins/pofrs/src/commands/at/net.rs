//! Network endpoints, with the processes that hold them.

use super::{Answer, Page, Shown};
use crate::output::table::{Fit, Listing};
use pofr_core::fact::{Endpoint, Fact};
use std::{io::Write, net::SocketAddr};

/// Prints the endpoints, by transport, state and address.
pub(crate) fn print(
    page: &Page<'_>,
    shown: &[Shown<'_>],
    processes: &Answer,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let columns = [
        ("", Fit::Whole),
        ("NET", Fit::Whole),
        ("STATE", Fit::Whole),
        ("LOCAL", Fit::Text),
        ("REMOTE", Fit::Text),
        ("PID", Fit::Number),
        ("NAME", Fit::Name(15)),
    ];
    let mut listing = Listing::new(page.screen, false, &columns);
    let names = processes.processes();
    let mut rows: Vec<(&Endpoint, &Shown<'_>)> = shown
        .iter()
        .filter_map(|shown| match &shown.row.fact {
            Fact::Endpoint(endpoint) => Some((&**endpoint, shown)),
            _ => None,
        })
        .collect();
    rows.sort_by(|(a, x), (b, y)| (&a.key, !x.certain).cmp(&(&b.key, !y.certain)));
    for (Endpoint { key, .. }, shown) in rows {
        let name = key.holder.and_then(|holder| names.get(&(shown.row.run, holder)));
        listing.row([
            shown.mark(),
            key.transport.text().to_owned(),
            key.state.text().to_owned(),
            address(key.local),
            address(key.remote),
            key.holder.map_or_else(|| "-".to_owned(), |holder| holder.pid().to_string()),
            name.map_or_else(|| "-".to_owned(), |process| process.key.comm.escaped()),
        ]);
    }
    listing.print(out)?;
    Ok(())
}

/// Writes an address as ss(8) does: `*` for port 0, and for an unspecified address with it.
pub(crate) fn address(address: SocketAddr) -> String {
    match (address.ip().is_unspecified(), address.port()) {
        (true, 0) => "*".to_owned(),
        (_, 0) => format!("{}:*", address.ip()),
        _ => address.to_string(),
    }
}
