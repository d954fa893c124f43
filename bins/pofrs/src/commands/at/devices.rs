//! Devices, with who was logged in when they appeared.

use super::listing::{Layout, text};
use crate::output::table::Fit;
use pofr_core::fact::{Device, Fact};

/// How they are listed.
pub(super) const LAYOUT: Layout = Layout {
    columns: &[
        ("BUS", Fit::Name(8)),
        ("ADDRESS", Fit::Name(16)),
        ("ID", Fit::Name(12)),
        ("DEVICE", Fit::Text),
        ("SERIAL", Fit::Text),
        ("LOGGED IN", Fit::Text),
    ],
    cells: |fact| {
        let Fact::Device(Device { key, users }) = fact else { return None };
        let names: Vec<String> = [&key.vendor, &key.product]
            .into_iter()
            .filter(|name| !name.as_bytes().is_empty())
            .map(|name| name.escaped())
            .collect();
        let device = if names.is_empty() { "-".to_owned() } else { names.join(" ") };
        let users = users.as_ref().map_or_else(|| "?".to_owned(), text);
        Some(vec![text(&key.bus), text(&key.address), text(&key.id), device, text(&key.serial), users])
    },
};
