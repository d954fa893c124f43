//! The reference of all tables and columns: docs/schema.md, and what `describe` cannot tell.

use crate::{
    db::Dialect,
    tables::{Column, Type, is_stored, spec, urlinfo_columns},
};
use pofr_core::fact::FactKind;
use std::fmt::Write as _;

const BEFORE: &str = include_str!("reference.md");

/// A static table: its name, what it holds, and its columns with what they mean.
type Static = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// The tables that Diesel knows by type; a test holds this list against a live database.
const STATIC: [Static; 12] = [
    (
        "lhlt.lhlttable",
        "The host-lookup table: all clients. The r… columns are UTC.",
        &[
            ("hostid", "primary key"),
            ("uuid", "the machine's UUID, or as much of the id as stands for it"),
            ("cid", "the client's id; its database has this name without the dashes"),
            ("ciduser", "its account on the server, 32 hex digits"),
            ("lastip", "the address that it last sent from; NULL unknown"),
            ("ryear", "year of the registration"),
            ("rmonth", "month, 1 to 12"),
            ("rday", "day, 1 to 31"),
            ("rmin", "minute, 0 to 59"),
            ("rhour", "hour, 0 to 23"),
            ("rsec", "second, 0 to 59"),
            ("registered", "when it was registered, µs since 1970"),
        ],
    ),
    (
        "pofr_meta",
        "Numbers by name: `schema` (version of these tables), `generation` (goes up with every change of the set of triads), \
         `last_triad` (the last number given to a triad).",
        &[("name", "name"), ("value", "value")],
    ),
    (
        "pofr_runs",
        "The short numbers of runs.",
        &[("id", "number"), ("run", "the run's random id, 32 hex digits")],
    ),
    (
        "pofr_boots",
        "The short numbers of boots.",
        &[("id", "number"), ("boot", "the kernel's boot id without its dashes; zeros where unknown (v1)")],
    ),
    (
        "pofr_bundles",
        "The ledger: every bundle that is stored, once.",
        &[
            ("cid", "the client that it says it is of; NULL for v1, which does not say"),
            ("sha256", "SHA-256 of the whole tar, hex"),
            ("name", "the name that it came with"),
            ("format", "v1 or v2"),
            ("seq", "its number in the client's chain; for v1 the stamp of its name"),
            ("previous", "SHA-256 of the bundle before it; NULL where the client had none"),
            ("run", "pofr_runs.id"),
            ("boot", "pofr_boots.id"),
            ("zone", "the client's offset from UTC, minutes east"),
            ("first_stamp", "first stamp, µs"),
            ("last_stamp", "last stamp, µs"),
            ("interval_micros", "time between samples that the client aimed at, µs"),
            ("samples", "how many samples it holds"),
            ("left_out", "how many records nothing could be made of"),
            (
                "complete",
                "1: the client sealed it; 0: it was cut off and says so; -1: made of what was streamed, as the whole one has not come",
            ),
            ("received", "when this server took it in, by this server's clock, µs"),
            (
                "triad",
                "pofr_triads.id: the triad that holds its rows; 0 where they have been forgotten, which leaves this entry alone",
            ),
        ],
    ),
    (
        "pofr_spans",
        "The ledger: for which unbroken stretches a bundle has samples of a source.",
        &[
            ("bundle", "pofr_bundles.sha256"),
            ("position", "number within the bundle, from 0"),
            ("triad", "as in pofr_bundles"),
            ("run", "as in pofr_bundles"),
            (
                "source",
                "process, endpoint, host, account, interface, route, device, module, or a custom name",
            ),
            ("first_stamp", "first stamp, µs"),
            ("last_stamp", "last stamp, µs"),
            ("joins_left", "1: it reaches the start of its bundle"),
            ("joins_right", "1: it reaches the end of its bundle"),
        ],
    ),
    (
        "pofr_gaps",
        "The ledger: what a bundle says is missing. A gap left by a bundle that never came is not stored; it follows from \
         pofr_bundles, so that a late bundle closes it.",
        &[
            ("bundle", "pofr_bundles.sha256"),
            ("position", "number within the bundle, from 0"),
            ("source", "the source; NULL for all"),
            ("severity", "blind (nothing is known) or thin (less than usual)"),
            ("reason", "why, in words"),
            ("from_stamp", "the last time at which the source was whole, µs"),
            ("to_stamp", "when it was whole again, µs; NULL unknown"),
            ("lost", "how many events or samples are known to be lost; NULL where that cannot be counted"),
        ],
    ),
    (
        "pofr_triads",
        "The ledger: which tables there are, and which of them count.",
        &[
            ("id", "number, never used again"),
            ("level", "slice, archive or period"),
            (
                "state",
                "creating (nothing in it counts), live, or dead (another has replaced it; dropped one run later)",
            ),
            ("is_open", "1: bundles may still extend it (slices alone)"),
            ("psname", "its table of processes"),
            ("filename", "its table of files"),
            ("netname", "its table of endpoints"),
            (
                "renamed_from",
                "how the names ended before it was sealed, while not all tables are renamed; else NULL",
            ),
            ("from_stamp", "first stamp of its bundles, µs"),
            ("to_stamp", "last stamp of its bundles, µs"),
            ("zone", "the client's offset from UTC at from_stamp, minutes east; names archives and periods"),
            ("psrows", "rows of processes"),
            ("filerows", "rows of files"),
            ("netrows", "rows of endpoints"),
            ("sorted", "1: its rows lie in the order of merging"),
            ("lowest", "no time of any row is below this, µs; NULL without rows"),
            ("highest", "no time of any row is above this, µs; sixteen nines where rows go on"),
        ],
    ),
    (
        "pofr_actions",
        "The ledger: what people, and the server by itself, did to the record other than adding to it. Never emptied.",
        &[
            ("id", "number, in the order of time"),
            ("at", "when, by this server's clock, µs"),
            (
                "action",
                "hold (forgetting was forbidden), release (allowed again), forget, rebuild (made anew from kept bundles), prune (kept \
                 bundles were removed), recover (what a killed writer left half made was taken away)",
            ),
            ("before_stamp", "the time before which it forgot or removed, µs; else NULL"),
            ("bundles", "how many bundles it touched"),
            ("row_count", "how many rows it removed, or made"),
            ("who", "the account on the server that did it"),
            ("why", "in their words"),
        ],
    ),
    (
        "pofr_halves",
        "Halves of v1 snapshots whose other half has not come yet.",
        &[
            ("stamp", "the snapshot's stamp, µs"),
            ("is_proc", "1: the process half; 0: the network half"),
            ("zone", "the zone of its name, minutes east"),
            ("content", "its text, not compressed"),
            ("bundle", "SHA-256 of the tar that it came in"),
            ("received", "when this server took it in, µs"),
        ],
    ),
    (
        "pofr_views",
        "What the merged views were last made of, so that only those that changed are made anew.",
        &[("name", "the view"), ("body", "SHA-256 of its definition")],
    ),
    (
        "pofr_psinfo, pofr_fileinfo, pofr_netinfo",
        "Always empty: what the merged views begin with. Their columns are those of psinfo, fileinfo and netinfo. Views named \
         `pofr_psinfo_N`, `pofr_archpsinfo_N` … hold up to 32 triads each and are parts of the merged ones.",
        &[],
    ),
];

/// Returns the reference of all tables and columns, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut out = String::from(BEFORE);
    for kind in FactKind::ALL {
        let spec = spec(kind);
        let what =
            if kind.in_triad() { "view over all slices; the same columns in every triad" } else { "table" };
        let source = spec.source().map_or("a custom source".to_owned(), |s| format!("source {s}"));
        let _ = write!(out, "\n## {} ({what}; {source})\n\n", spec.table);
        table(&mut out, &spec.all_columns().collect::<Vec<_>>());
    }
    out.push_str(
        "\n## urlinfo (table)\n\nThe URLs among the arguments of processes, each once for each process.\n\n",
    );
    table(&mut out, &urlinfo_columns());
    for (name, what, columns) in STATIC {
        let _ = write!(out, "\n## {name}\n\n{what}\n");
        if !columns.is_empty() {
            out.push_str("\n| column | meaning |\n|---|---|\n");
        }
        for (column, meaning) in columns {
            let _ = writeln!(out, "| {column} | {meaning} |");
        }
    }
    out
}

fn table(out: &mut String, columns: &[Column]) {
    out.push_str("| column | type | NULL | meaning |\n|---|---|---|---|\n");
    for column in columns {
        let ty = match column.ty {
            Type::Id => "key".to_owned(),
            Type::U32 => "u32".to_owned(),
            Type::Big => "i64".to_owned(),
            Type::Flag => "0/1".to_owned(),
            Type::Ascii(n) => format!("ASCII {n}"),
            Type::Text => "text".to_owned(),
            Type::Bytes => "bytes".to_owned(),
            Type::Blob => "blob".to_owned(),
            Type::DateTime => "date".to_owned(),
        };
        let virt = match column.generated {
            None => "",
            Some(_) if is_stored(column, Dialect::Mariadb) => ", generated",
            Some(_) => ", virtual",
        };
        let null = if column.nullable && column.generated.is_none() { "yes" } else { "" };
        let _ = writeln!(out, "| {} | {ty}{virt} | {null} | {} |", column.name, column.doc);
    }
}

/// Returns the static tables with their columns.
#[cfg(test)]
pub(crate) fn static_tables() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    STATIC
        .into_iter()
        .filter(|(_, _, columns)| !columns.is_empty())
        .map(|(name, _, columns)| (name, columns.iter().map(|(column, _)| *column).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With `POFR_BLESS` set, writes the page instead.
    #[test]
    fn the_page_is_up_to_date() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/schema.md");
        if std::env::var_os("POFR_BLESS").is_some() {
            std::fs::write(page, reference()).unwrap();
        }
        let found = std::fs::read_to_string(page).unwrap();
        assert!(found == reference(), "run this test with POFR_BLESS=1 and look at the difference");
    }
}
