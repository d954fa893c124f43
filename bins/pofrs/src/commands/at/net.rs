//! Network endpoints, with the processes that hold them.

use super::{Answer, Page, Shown};
use crate::output::table::{Fit, Listing};
use pofr_core::fact::{Endpoint, Fact, scope};
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

/// Writes an address as ss(8) does: `*` for port 0, and for an unspecified address with it. A scope id stands behind a `%`, as the
/// number of the interface.
pub(crate) fn address(address: SocketAddr) -> String {
    match (address.ip().is_unspecified(), address.port()) {
        (true, 0) => "*".to_owned(),
        (_, 0) => match scope(&address) {
            0 => format!("{}:*", address.ip()),
            scope => format!("{}%{scope}:*", address.ip()),
        },
        _ => address.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_link_says_of_which() {
        for (text, shown) in [
            ("[fe80::1%3]:45877", "[fe80::1%3]:45877"),
            ("[fe80::1%3]:0", "fe80::1%3:*"),
            ("[::]:0", "*"),
            ("[::]:53", "[::]:53"),
            ("192.0.2.7:0", "192.0.2.7:*"),
        ] {
            assert_eq!(address(text.parse().unwrap()), shown);
        }
    }
}
