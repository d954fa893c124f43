//! Users and groups.

use super::listing::{Layout, text};
use crate::output::table::Fit;
use pofr_core::fact::Fact;

/// How they are listed: users first.
pub(super) const LAYOUT: Layout = Layout {
    columns: &[
        ("KIND", Fit::Whole),
        ("NAME", Fit::Name(24)),
        ("ID", Fit::Number),
        ("GROUP", Fit::Number),
        ("HOME", Fit::Text),
        ("SHELL, MEMBERS", Fit::Text),
    ],
    cells: |fact| {
        let none = || "-".to_owned();
        Some(match fact {
            Fact::User(u) => vec![
                "user".to_owned(),
                text(&u.name),
                u.uid.to_string(),
                u.gid.to_string(),
                text(&u.home),
                text(&u.shell),
            ],
            Fact::Group(g) => {
                vec!["group".to_owned(), text(&g.name), g.gid.to_string(), none(), none(), text(&g.members)]
            }
            _ => return None,
        })
    },
};
