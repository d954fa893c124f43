//! JSON, one object a line: Timesketch, ECS, OCSF. A gap is an object of its own among the others, so that nobody takes silence
//! for an answer.

use super::{Exporter, ecs, item::Item, ocsf, timesketch};
use crate::output::json;
use pofr_core::{gap::Gap, identity::Cid};
use pofr_schema::query::Subject;
use std::io::Write;

/// Which objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Timesketch,
    Ecs,
    Ocsf,
}

/// Writes lines.
pub(super) struct Lines<'a> {
    dialect: Dialect,
    out: &'a mut dyn Write,
}

impl<'a> Lines<'a> {
    pub(super) fn new(dialect: Dialect, out: &'a mut dyn Write) -> Self {
        Self { dialect, out }
    }
}

impl Exporter for Lines<'_> {
    fn item(&mut self, subject: Subject, item: &Item<'_>) -> anyhow::Result<()> {
        match self.dialect {
            Dialect::Timesketch => {
                for event in timesketch::events(subject, item) {
                    json::line(self.out, &event)?;
                }
                Ok(())
            }
            Dialect::Ecs => json::line(self.out, &ecs::document(subject, item)),
            Dialect::Ocsf => json::line(self.out, &ocsf::event(subject, item)),
        }
    }

    fn gap(&mut self, client: &Cid, gap: &Gap) -> anyhow::Result<()> {
        let object = match self.dialect {
            Dialect::Timesketch => timesketch::gap(client, gap),
            Dialect::Ecs => ecs::gap(client, gap),
            Dialect::Ocsf => ocsf::gap(client, gap),
        };
        json::line(self.out, &object)
    }

    fn quiet(&mut self) -> anyhow::Result<()> {
        Ok(self.out.flush()?)
    }

    fn finish(self: Box<Self>) -> anyhow::Result<()> {
        Ok(self.out.flush()?)
    }
}

/// Says what a gap is: `record incomplete (blind, process): bundle 2 is missing`. The reason is a client's words: escaped.
pub(crate) fn about(gap: &Gap) -> String {
    let source = gap.source.as_ref().map_or("all sources", |source| source.name());
    let severity = severity(gap);
    let reason = pofr_core::raw::RawText::from(gap.reason.as_str()).escaped();
    format!("record incomplete ({severity}, {source}): {reason}")
}

/// Returns `blind` or `thin`.
pub(super) const fn severity(gap: &Gap) -> &'static str {
    match gap.severity {
        pofr_core::gap::Severity::Blind => "blind",
        pofr_core::gap::Severity::Thin => "thin",
    }
}
