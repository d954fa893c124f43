//! The ledger's tables: bundles, spans, gaps, triads, halves. The truth about what is stored.
//!
//! These are Diesel's typed tables, the same on both databases; `schema` declares them, [`MIGRATIONS`] makes them, and a
//! test holds the one against the other.

mod actions;
mod bundles;
mod clients;
mod gaps;
mod halves;
mod meta;
mod migrations;
mod names;
mod recent;
mod removal;
mod schema;
mod spans;
mod triads;
mod upgrade;
pub(crate) mod vicinity;
mod views;

pub(crate) use actions::{forgotten_before, insert_actions, load_actions};
pub(crate) use bundles::{insert_bundles, load_bundles};
pub(crate) use clients::{client, clients, delete_client, insert_client, set_last_ip};
pub(crate) use gaps::gaps_touching;
pub(crate) use halves::{drop_halves, keep_halves, load_halves};
pub(crate) use meta::{bump_generation, generation, get, set};
#[cfg(test)]
pub(crate) use migrations::template;
pub(crate) use migrations::{VERSION, migrate, migrate_lookup, version};
pub(crate) use names::Names;
pub(crate) use recent::recent_bundles;
pub(crate) use removal::{bury_bundles, clear_bundles};
pub(crate) use spans::{Ends, border_at, custom_sources, spans_around, spans_within, triad_ends};
pub(crate) use triads::{TriadRow, find_triad, insert_triad, load_triads, open_triad, taken_endings};
pub(crate) use views::{forget_view, load_views, record_view};
