//! Gathering: what a record, its kept bundles and its keys have of a time.

use super::{BundleLine, CaseError, ClientPart, KeyLine, Member};
use crate::{kept::Kept, receive::Account, registration::ClientKey};
use pofr_core::{
    gap,
    identity::Cid,
    store::{BundleFormat, Ledger, StoredBundle},
    time::WallMicros,
    wire::{link::BUNDLE_NAMESPACE, name::BundleName, v2},
};
use std::{fmt::Write as _, fs};

/// What there is of a client.
#[derive(Debug)]
pub struct Gathered {
    /// What stands in `case.json`.
    pub part: ClientPart,
    /// The members.
    pub members: Vec<Member>,
}

/// Gathers a client's bundles that touch the time from `from` to `until`, their manifests and signatures, the ledger's entries,
/// the gaps and the keys.
///
/// # Errors
/// [`CaseError::Io`] where a kept bundle cannot be read. One that is no longer kept, or is not what it was, is no error: the
/// case says so.
pub fn gather(
    cid: &Cid,
    ledger: &Ledger,
    kept: &Kept,
    accounts: &[Account],
    (from, until): (Option<WallMicros>, Option<WallMicros>),
) -> Result<Gathered, CaseError> {
    let touches = |first: WallMicros, last: WallMicros| {
        from.is_none_or(|from| last >= from) && until.is_none_or(|until| first <= until)
    };
    let of_time = |b: &&StoredBundle| !b.is_withdrawn() && touches(b.entry.first, b.entry.last);
    let mut bundles: Vec<&StoredBundle> = ledger.bundles.iter().filter(of_time).collect();
    bundles.sort_by_key(|b| (b.entry.seq, b.entry.received, b.entry.sha256));
    let all = kept.all()?;
    let (mut lines, mut manifests, mut files) = (Vec::new(), Vec::new(), Vec::new());
    for bundle in bundles {
        let entry = &bundle.entry;
        let name = entry.name.parse::<BundleName>().ok();
        let path = name.map(|name| kept.path_of(&name)).filter(|path| path.exists());
        let path = path.or_else(|| all.get(&entry.sha256).cloned());
        if let Some((path, name)) = path.as_ref().zip(name) {
            let bytes = fs::read(path).map_err(super::fail("read", path))?;
            files.push(Member::file(format!("{cid}/bundles/{name}"), path));
            if entry.format == BundleFormat::V2
                && let Ok(opened) = v2::open(&bytes, v2::Limits::default())
            {
                let stem = format!("{cid}/manifests/{name}.json");
                if let Some(signature) = opened.signature {
                    manifests.push(Member::new(format!("{stem}.sig"), signature));
                }
                manifests.push(Member::new(stem, opened.manifest_bytes));
            }
        }
        lines.push(BundleLine {
            seq: entry.seq.0,
            format: match entry.format {
                BundleFormat::V1 => 1,
                BundleFormat::V2 => 2,
            },
            run: entry.run.to_string(),
            name: entry.name.clone(),
            sha256: entry.sha256.to_string(),
            previous: entry.previous.map(|p| p.to_string()),
            first: entry.first.0,
            last: entry.last.0,
            received: entry.received.0,
            streamed: entry.streamed,
            packed: path.is_some() && name.is_some(),
        });
    }
    let keys = keys(accounts);
    let mut signers = String::new();
    for key in &keys {
        let _ = writeln!(signers, "{cid} namespaces=\"{BUNDLE_NAMESPACE}\" {}", key.key);
    }
    let mut gaps = Vec::new();
    for gap in gap::of(ledger) {
        if touches(gap.from, gap.to.unwrap_or(WallMicros(i64::MAX))) {
            gaps.extend(serde_json::to_vec(&gap).unwrap_or_default());
            gaps.push(b'\n');
        }
    }
    let mut members = vec![
        Member::new(format!("{cid}/allowed_signers"), signers),
        Member::new(format!("{cid}/gaps.ndjson"), gaps),
    ];
    members.extend(manifests);
    members.extend(files);
    Ok(Gathered { part: ClientPart { client: cid.to_string(), keys, bundles: lines }, members })
}

/// Returns the keys, the one in use first.
fn keys(accounts: &[Account]) -> Vec<KeyLine> {
    let mut keys = Vec::new();
    for account in accounts {
        let former = account.former_keys.iter().map(|former| (&former.public_key, Some(former.until)));
        for (line, until) in std::iter::once((&account.public_key, None)).chain(former) {
            if let Ok(key) = ClientKey::parse(line) {
                keys.push(KeyLine { key: key.line().to_owned(), fingerprint: key.fingerprint(), until });
            }
        }
    }
    keys
}
