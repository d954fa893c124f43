//! pofr_custom: facts of third-party collectors.

use super::{Column, Context, Spec, Type, no_details};
use crate::db::{Cell, Values};
use pofr_core::{
    fact::{Custom, Fact, FactKind},
    raw::RawText,
    source::Source,
    store::StoreError,
};
use serde_json::Value as Json;

/// How custom facts are stored.
pub(crate) const SPEC: Spec = Spec {
    kind: FactKind::Custom,
    table: "pofr_custom",
    id: "customid",
    digest: "shasum",
    columns: &[
        Column::new("source", Type::Ascii(64), "the collector's name"),
        Column::new("name", Type::Bytes, "what the fact is about"),
        Column::new(
            "attributes",
            Type::Text,
            "what holds of it: a JSON object of strings, {\"hex\": …} where a value is not UTF-8",
        ),
    ],
    indexes: &[],
    encode,
    decode,
    known: &[],
    details: no_details,
};

fn encode<'a>(fact: &'a Fact, _: &Context, cells: &mut Vec<Cell<'a>>) -> Option<()> {
    let Fact::Custom(c) = fact else { return None };
    cells.extend([Cell::text(c.source.name()), Cell::bytes(&c.name)]);
    cells.push(Cell::text(serde_json::to_string(&c.attributes).ok()?));
    Some(())
}

fn decode(values: &mut Values<'_>, _: &Context) -> Result<Fact, StoreError> {
    let source = values.parsed("source", Source::parse)?;
    let name = values.bytes("name")?.into();
    let attributes = values.parsed("attributes", |text| {
        let Json::Object(map) = serde_json::from_str(text).ok()? else { return None };
        map.into_iter().map(|(key, value)| Some((key, raw(&value)?))).collect()
    })?;
    Ok(Fact::Custom(Custom { source, name, attributes }))
}

/// Reads what [`RawText`] serializes to.
fn raw(value: &Json) -> Option<RawText> {
    match value {
        Json::String(text) => Some(text.as_str().into()),
        Json::Object(map) => {
            let digits = map.get("hex")?.as_str()?;
            let pairs = digits.as_bytes().chunks(2);
            let bytes: Option<Vec<u8>> = pairs
                .map(|pair| pofr_core::digest::unhex::<1>(std::str::from_utf8(pair).ok()?).map(|[byte]| byte))
                .collect();
            bytes.map(RawText::from)
        }
        _ => None,
    }
}
