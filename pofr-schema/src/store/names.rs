//! Names of addresses that came after the endpoints that have them.

use super::{commit::Work, place::current_name};
use crate::{
    db::{Cell, Doing as _, Statement},
    ledger::{TriadRow, load_triads},
};
use pofr_core::{
    raw::RawText,
    store::{Level, StoreError, Triad},
};
use std::net::IpAddr;

/// How many of the latest slices learn. A name is asked for when a bundle comes, so those that are further back ended long ago.
const SLICES: usize = 3;

impl Work<'_> {
    /// Writes names into endpoints of the latest slices that have none.
    pub(super) fn learn_names(&mut self, named: &[(IpAddr, RawText)]) -> Result<(), StoreError> {
        if named.is_empty() {
            return Ok(());
        }
        let is_slice = |t: &TriadRow| t.is_live() && t.level() == Some(Level::Slice);
        let mut slices: Vec<Triad> = load_triads(self.db)?
            .iter()
            .filter(|t| is_slice(t))
            .map(TriadRow::triad)
            .collect::<Result<_, _>>()?;
        slices.sort_by_key(|t| std::cmp::Reverse((t.open, t.to)));
        for triad in slices.into_iter().take(SLICES) {
            // As this very change leaves it.
            let triad = self.get(triad.id)?.clone();
            let table = current_name(self.db, &triad, 2)?;
            for (ip, name) in named {
                for (address, column) in [("sourceip", "sourcefqdn"), ("destip", "destfqdn")] {
                    let statement = Statement::new("UPDATE ")
                        .name(&table)
                        .sql(" SET ")
                        .name(column)
                        .sql(" = ")
                        .bind(Cell::text(name.escaped()))
                        .sql(" WHERE ")
                        .name(address)
                        .sql(" IN ")
                        .tuple(spellings(*ip).map(Cell::text))
                        .sql(" AND ")
                        .name(column)
                        .sql(" IS NULL")
                        .cached();
                    self.db.execute(statement).doing(format_args!("write names into table {table}"))?;
                }
            }
        }
        Ok(())
    }
}

/// Returns an address as rows may have it: an IPv4 one also as the IPv6 one that stands for it.
fn spellings(ip: IpAddr) -> impl Iterator<Item = String> {
    let mapped = match ip {
        IpAddr::V4(ip) => Some(IpAddr::V6(ip.to_ipv6_mapped())),
        IpAddr::V6(_) => None,
    };
    [Some(ip), mapped].into_iter().flatten().map(|ip| ip.to_string())
}
