//! Columns that every table of facts has: the lifetime, and what the first POFR's queries want of it.
//!
//! Stored are µs since 1970 on the run's clock and the client's zone in minutes; the broken-down local times
//! are virtual, so they cost no space and cannot disagree.

use super::{Column, Spec, Type};

/// Stands in `right_edge` and `reach` of a row that goes on: sixteen nines, a time that no record has.
pub(crate) const LIVE: i64 = 9_999_999_999_999_999;

/// The columns before the kind's own.
pub(crate) fn before(spec: &Spec) -> Vec<Column> {
    use Type::{Ascii, Big, Flag, Id};
    vec![
        Column::new(spec.id, Id, "primary key, in the order in which rows came"),
        Column::new("run", Big, "the recorder's run: pofr_runs.id"),
        Column::new("zone", Big, "the client's offset from UTC when first known, minutes east"),
        Column::new(spec.digest, Ascii(40), "digest of the fact's key (docs/format/digests.md)"),
        Column::opt(
            "first_seen",
            Big,
            "stamp of the first sample that shows it, µs; NULL for a fact known by events alone",
        ),
        Column::opt(
            "last_seen",
            Big,
            "stamp of the last sample that shows it, µs; in the tables of an open slice NULL while it goes on, \
             which the views fill in",
        ),
        Column::opt("appeared_after", Big, "stamp of the nearest sample before that does not show it, µs"),
        Column::opt("gone_by", Big, "stamp of the nearest sample after that does not show it, µs"),
        Column::opt("began", Big, "exact begin told by an event, µs"),
        Column::opt("ended", Big, "exact end told by an event, µs"),
        Column::new("cut_left", Flag, "1: the record begins here, it may have held before"),
        Column::new("cut_right", Flag, "1: the record ends here, it may have held on"),
    ]
}

/// SQLite: local µs of `c` or `d`.
macro_rules! local_micros {
    ($t:literal) => {
        concat!("(", $t, "micros + zone*60000000)")
    };
}
/// SQLite: whole local seconds, rounded down also before 1970.
macro_rules! local_seconds {
    ($t:literal) => {
        concat!("((", local_micros!($t), " - (", local_micros!($t), "%1000000 + 1000000)%1000000)/1000000)")
    };
}
macro_rules! broken_down {
    ($t:literal, $name:literal, $format:literal, $function:literal, $what:expr) => {
        Column {
            name: concat!($t, $name),
            ty: Type::Big,
            nullable: true,
            generated: Some((
                concat!("CAST(strftime('", $format, "', ", local_seconds!($t), ", 'unixepoch') AS INTEGER)"),
                concat!($function, "(", $t, "local)"),
            )),
            doc: $what,
        }
    };
}
macro_rules! broken_down_time {
    ($t:literal, $which:literal) => {
        [
            Column {
                name: concat!($t, "local"),
                ty: Type::DateTime,
                nullable: true,
                generated: Some((
                    concat!(
                        "strftime('%Y-%m-%d %H:%M:%S', ",
                        local_seconds!($t),
                        ", 'unixepoch') || printf('.%06d', (",
                        local_micros!($t),
                        "%1000000 + 1000000)%1000000)"
                    ),
                    concat!(
                        "TIMESTAMP'1970-01-01 00:00:00' + INTERVAL (",
                        $t,
                        "micros + zone*60000000) MICROSECOND"
                    ),
                )),
                doc: concat!("the ", $which, " as the client's clock on the wall showed it"),
            },
            broken_down!($t, "year", "%Y", "YEAR", concat!("year of the ", $which, ", client-local")),
            broken_down!($t, "month", "%m", "MONTH", "month, 1 to 12"),
            broken_down!($t, "day", "%d", "DAY", "day, 1 to 31"),
            broken_down!($t, "hour", "%H", "HOUR", "hour, 0 to 23"),
            broken_down!($t, "min", "%M", "MINUTE", "minute, 0 to 59"),
            broken_down!($t, "sec", "%S", "SECOND", "second, 0 to 59"),
            Column {
                name: concat!($t, "msec"),
                ty: Type::Big,
                nullable: true,
                generated: Some((
                    concat!("(", local_micros!($t), "%1000000 + 1000000)%1000000"),
                    concat!("MICROSECOND(", $t, "local)"),
                )),
                doc: "microsecond, 0 to 999,999 (the first POFR's name, its unit too)",
            },
        ]
    };
}

const TZONE: Column = Column {
    name: "tzone",
    ty: Type::Ascii(5),
    nullable: true,
    generated: Some((
        "printf('%s%02d%02d', CASE WHEN zone < 0 THEN '-' ELSE '+' END, abs(zone)/60, abs(zone)%60)",
        "CONCAT(IF(zone < 0,'-','+'), LPAD(ABS(zone) DIV 60,2,'0'), LPAD(ABS(zone) MOD 60,2,'0'))",
    )),
    doc: "the zone as +hhmm",
};

const BEGIN: &str = "the time that c… shows, µs: began, else first_seen, else the nearest that is known";

/// A process has its kernel start time to begin with, where that is not before what the samples know.
const CMICROS_OF_PROCESS: Column = Column::virt(
    "cmicros",
    Type::Big,
    "COALESCE(began, CASE WHEN started > appeared_after THEN started END, first_seen, ended, appeared_after, gone_by)",
    "the time that c… shows, µs: began, else started where that is after appeared_after, else first_seen, else the \
     nearest that is known",
);
const CMICROS: Column =
    Column::virt("cmicros", Type::Big, "COALESCE(began, first_seen, ended, appeared_after, gone_by)", BEGIN);
const DMICROS: Column = Column::virt(
    "dmicros",
    Type::Big,
    "COALESCE(ended, gone_by)",
    "the time that d… shows, µs: ended, else gone_by; NULL while it goes on or is not known",
);

const POSITION: Column = Column {
    name: "position",
    ty: Type::Big,
    nullable: true,
    generated: Some((
        "CASE WHEN COALESCE(began, first_seen) IS NOT NULL \
         THEN MIN(COALESCE(began, first_seen), COALESCE(first_seen, began)) \
         WHEN COALESCE(ended, appeared_after, gone_by) IS NULL THEN 0 \
         ELSE MIN(COALESCE(ended, 9223372036854775807), COALESCE(appeared_after, 9223372036854775807), \
         COALESCE(gone_by, 9223372036854775807)) END",
        "CASE WHEN COALESCE(began, first_seen) IS NOT NULL \
         THEN LEAST(COALESCE(began, first_seen), COALESCE(first_seen, began)) \
         WHEN COALESCE(ended, appeared_after, gone_by) IS NULL THEN 0 \
         ELSE LEAST(COALESCE(ended, 9223372036854775807), COALESCE(appeared_after, 9223372036854775807), \
         COALESCE(gone_by, 9223372036854775807)) END",
    )),
    doc: "the earliest known time of the fact itself, µs: puts rows of one fact in order",
};

const RIGHT_EDGE: Column = Column::virt(
    "right_edge",
    Type::Big,
    "CASE WHEN cut_right = 1 THEN CASE WHEN first_seen IS NOT NULL AND last_seen IS NULL THEN 9999999999999999 \
     ELSE COALESCE(last_seen, appeared_after) END END",
    "with cut_right: the stamp up to which it is known, µs; sixteen nines while it goes on",
);

const REACH: Column = Column {
    name: "reach",
    ty: Type::Big,
    nullable: true,
    generated: Some((
        "CASE WHEN cut_right = 1 AND first_seen IS NOT NULL AND last_seen IS NULL THEN 9999999999999999 \
         ELSE MAX(COALESCE(last_seen, ended, gone_by, began), COALESCE(ended, gone_by, last_seen, began), \
         COALESCE(gone_by, ended, last_seen, began)) END",
        "CASE WHEN cut_right = 1 AND first_seen IS NOT NULL AND last_seen IS NULL THEN 9999999999999999 \
         ELSE GREATEST(COALESCE(last_seen, ended, gone_by, began), COALESCE(ended, gone_by, last_seen, began), \
         COALESCE(gone_by, ended, last_seen, began)) END",
    )),
    doc: "the latest known time, µs; sixteen nines while it goes on. Every row that may hold at t has reach >= t",
};

const EARLIEST: Column = Column {
    name: "earliest",
    ty: Type::Big,
    nullable: true,
    generated: Some((
        "COALESCE(MIN(COALESCE(began, first_seen, appeared_after), COALESCE(first_seen, began, appeared_after), \
         COALESCE(appeared_after, began, first_seen)), ended, gone_by)",
        "COALESCE(LEAST(COALESCE(began, first_seen, appeared_after), COALESCE(first_seen, began, appeared_after), \
         COALESCE(appeared_after, began, first_seen)), ended, gone_by)",
    )),
    doc: "the earliest known time, bounds included, µs. Every row that may hold at t has earliest <= t",
};

/// The longest that rows of each term but the last take from `earliest` to `reach`, µs: 1 s, and 4 times longer each.
pub(crate) const TERMS: [i64; 13] = {
    let mut terms = [1_000_000; 13];
    let mut n = 1;
    while n < terms.len() {
        terms[n] = terms[n - 1] * 4;
        n += 1;
    }
    terms
};

const TERM: Column = Column::virt(
    "term",
    Type::Big,
    "CASE WHEN reach - earliest <= 1000000 THEN 0 WHEN reach - earliest <= 4000000 THEN 1 \
     WHEN reach - earliest <= 16000000 THEN 2 WHEN reach - earliest <= 64000000 THEN 3 \
     WHEN reach - earliest <= 256000000 THEN 4 WHEN reach - earliest <= 1024000000 THEN 5 \
     WHEN reach - earliest <= 4096000000 THEN 6 WHEN reach - earliest <= 16384000000 THEN 7 \
     WHEN reach - earliest <= 65536000000 THEN 8 WHEN reach - earliest <= 262144000000 THEN 9 \
     WHEN reach - earliest <= 1048576000000 THEN 10 WHEN reach - earliest <= 4194304000000 THEN 11 \
     WHEN reach - earliest <= 16777216000000 THEN 12 ELSE 13 END",
    "how long from earliest to reach, in classes: 0 up to 1 s, each further one four times longer, 12 up to 194 d, 13 longer or going on. \
     So the state at t is a short stretch of the index on term, earliest, reach for each",
);

const MODIFIED: [Column; 7] = {
    const fn m(name: &'static str) -> Column {
        Column::opt(name, Type::Big, "always NULL: a modified account is a new row, whose c… say when")
    }
    [m("myear"), m("mmonth"), m("mday"), m("mhour"), m("mmin"), m("msec"), m("mmsec")]
};

/// Tells whether a column is one of userinfo's m…, which nothing fills.
pub(crate) fn is_modified(name: &str) -> bool {
    MODIFIED.iter().any(|c| c.name == name)
}

/// The columns that follow from others, after the kind's own.
pub(crate) fn after(spec: &Spec) -> Vec<Column> {
    let started = spec.columns.iter().any(|c| c.name == "started");
    let mut columns = vec![TZONE, if started { CMICROS_OF_PROCESS } else { CMICROS }];
    columns.extend(broken_down_time!("c", "begin"));
    if spec.table == "userinfo" {
        columns.extend(MODIFIED);
    }
    columns.push(DMICROS);
    columns.extend(broken_down_time!("d", "end"));
    columns.extend([POSITION, RIGHT_EDGE, REACH, EARLIEST, TERM]);
    columns
}

/// The begin's columns alone, for a table without lifetimes.
pub(crate) fn begin_only() -> Vec<Column> {
    let mut columns = vec![TZONE];
    columns.extend(broken_down_time!("c", "begin"));
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terms_are_those_of_the_column() {
        let (expression, _) = TERM.generated.unwrap();
        for (n, longest) in TERMS.iter().enumerate() {
            assert!(expression.contains(&format!("<= {longest} THEN {n}")), "{n}");
        }
        assert!(expression.ends_with(&format!("ELSE {} END", TERMS.len())));
    }
}
