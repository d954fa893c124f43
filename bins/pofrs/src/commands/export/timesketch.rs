//! Timesketch: JSONL with `message`, `datetime`, `timestamp` (µs) and `timestamp_desc` in every line
//! (timesketch.org, "Import from JSON or CSV"); what else is known stands beside them under the names of our columns.
//!
//! A row becomes two events, its begin and its end, since a timeline is of moments. What an event told is a "Start Time" or
//! "End Time"; what samples tell is "First Seen" or "Last Seen".

use super::{
    columns::{self, Value},
    item::{Item, rfc3339, unicode},
    lines::about,
};
use pofr_core::{gap::Gap, identity::Cid, time::WallMicros};
use pofr_schema::query::{Bound, Subject};
use serde_json::{Map, Value as Json, json};

/// Returns the events of a row, in order.
pub(crate) fn events(subject: Subject, item: &Item<'_>) -> Vec<Json> {
    let extent = item.extent();
    let (begin, first) = match extent.began {
        Bound::Exact => ("Start Time", "began"),
        Bound::Sampled => ("First Seen", "first seen"),
        Bound::Open => ("First Seen", "first seen, was there before"),
    };
    let (end, last) = match extent.ended {
        Bound::Exact => ("End Time", "ended"),
        Bound::Sampled => ("Last Seen", "last seen"),
        Bound::Open => ("Last Seen", "last seen, may have gone on"),
    };
    let mut events = vec![event(subject, item, extent.from, begin, first)];
    if extent.until > extent.from || extent.ended == Bound::Exact {
        events.push(event(subject, item, extent.until, end, last));
    }
    events
}

fn event(subject: Subject, item: &Item<'_>, at: WallMicros, desc: &str, what: &str) -> Json {
    let mut event = Map::new();
    event.insert("message".into(), format!("[{}] {}: {what}", item.client, item.subject()).into());
    event.insert("timestamp".into(), at.0.into());
    event.insert("datetime".into(), rfc3339(at).into());
    event.insert("timestamp_desc".into(), desc.into());
    event.insert("data_type".into(), format!("pofr:{}", columns::word(subject)).into());
    event.insert("hostname".into(), item.client.as_str().into());
    for column in columns::of(subject) {
        let Some(value) = (column.value)(item) else { continue };
        let value = match value {
            Value::Text(text) => unicode(&text).into(),
            Value::Word(word) => word.into(),
            Value::Number(number) => number.into(),
            Value::Time(time) => time.0.into(),
            Value::Flag(flag) => flag.into(),
        };
        event.insert(column.name.into(), value);
    }
    event.into()
}

/// Returns the event of a gap.
pub(crate) fn gap(client: &Cid, gap: &Gap) -> Json {
    json!({
        "message": format!("[{client}] {}", about(gap)),
        "timestamp": gap.from.0, "datetime": rfc3339(gap.from), "timestamp_desc": "Gap Begins",
        "data_type": "pofr:gap", "hostname": client.as_str(),
        "client": client.as_str(), "gap_source": gap.source, "gap_severity": gap.severity, "gap_reason": gap.reason,
        "gap_from": gap.from, "gap_to": gap.to, "gap_lost": gap.lost,
    })
}
