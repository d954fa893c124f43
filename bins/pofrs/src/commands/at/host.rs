//! The host itself.

use super::listing::{Layout, text};
use crate::output::table::Fit;
use pofr_core::fact::Fact;

/// How it is listed.
pub(super) const LAYOUT: Layout = Layout {
    columns: &[
        ("NAME", Fit::Text),
        ("SYSTEM", Fit::Text),
        ("KERNEL", Fit::Text),
        ("MACHINE", Fit::Text),
        ("ZONE", Fit::Text),
    ],
    cells: |fact| {
        let Fact::Host(h) = fact else { return None };
        let both = |a, b| {
            let parts: Vec<String> = [a, b].map(text).into_iter().filter(|part| part != "-").collect();
            if parts.is_empty() { "-".to_owned() } else { parts.join(" ") }
        };
        Some(vec![
            text(&h.hostname),
            both(&h.os, &h.os_version),
            both(&h.kernel, &h.architecture),
            both(&h.vendor, &h.model),
            text(&h.timezone),
        ])
    },
};
