//! Signatures, and whether kept bundles are those that were stored.

use super::{Finding, Options, Report, extend, has_file};
use crate::{inbox::InboxError, kept::Kept, receive::Account, registration::ClientKey};
use pofr_core::{
    digest::Sha256,
    identity::Cid,
    store::StoredBundle,
    wire::{link::BUNDLE_NAMESPACE, name::BundleName, v2},
};
use std::{fs::File, io::Read as _};

/// A key of the client, and until when it was that, µs since 1970.
struct Key {
    key: ClientKey,
    until: i64,
}

/// Checks every stored bundle of which there should be a file.
pub(super) fn check(
    cid: &Cid,
    chained: &[&StoredBundle],
    kept: &Kept,
    accounts: &[Account],
    options: &Options,
    report: &mut Report,
) -> Result<(), InboxError> {
    let keys = keys(accounts);
    let all = kept.all()?;
    let (mut not_kept, mut unsigned) = (Vec::new(), Vec::new());
    for bundle in chained.iter().filter(|b| has_file(b)) {
        let entry = &bundle.entry;
        let seq = entry.seq.0;
        if entry.streamed {
            report.findings.push(Finding::Streamed { seq });
        }
        let name = entry.name.parse::<BundleName>().ok();
        let path = name.map(|name| kept.path_of(&name)).filter(|path| path.exists());
        let Some(path) = path.or_else(|| all.get(&entry.sha256).cloned()) else {
            extend(&mut not_kept, seq);
            continue;
        };
        let opened =
            read(&path, options.limits.tar).and_then(|bytes| open(&bytes, entry.sha256, cid, options.limits));
        let opened = match opened {
            Ok(opened) => opened,
            Err(why) => {
                report.findings.push(Finding::Tampered { seq, name: entry.name.clone(), why });
                continue;
            }
        };
        match opened.signature {
            None if entry.streamed => {}
            None => extend(&mut unsigned, seq),
            Some(_) if keys.is_empty() => report.unchecked += 1,
            Some(signature) => match signer(&keys, &opened.manifest_bytes, &signature) {
                None => {
                    report.findings.push(Finding::BadSignature { seq, name: entry.name.clone() });
                }
                Some(until) if until.saturating_add(options.grace) < entry.received.0 => {
                    let received = entry.received.0;
                    report.findings.push(Finding::FormerKey { seq, received, until });
                }
                Some(_) => report.signed += 1,
            },
        }
    }
    let range = |(first, last)| Finding::NotKept { first, last };
    report.findings.extend(not_kept.into_iter().map(range));
    report.findings.extend(unsigned.into_iter().map(|(first, last)| Finding::Unsigned { first, last }));
    Ok(())
}

/// Returns the client's keys, the one in use first.
fn keys(accounts: &[Account]) -> Vec<Key> {
    let mut keys = Vec::new();
    for account in accounts {
        let current = (&account.public_key, i64::MAX);
        let former = account.former_keys.iter().map(|former| (&former.public_key, former.until));
        for (line, until) in std::iter::once(current).chain(former) {
            match ClientKey::parse(line) {
                Ok(key) => keys.push(Key { key, until }),
                Err(error) => tracing::warn!("a key of {} cannot be used: {error}", account.ciduser),
            }
        }
    }
    keys
}

/// Returns until when the key was the client's that made a signature; `None` where none of them did.
fn signer(keys: &[Key], manifest: &[u8], signature: &[u8]) -> Option<i64> {
    let armored = std::str::from_utf8(signature).ok()?;
    let by = |key: &&Key| key.key.verify(BUNDLE_NAMESPACE, manifest, armored).is_ok();
    keys.iter().filter(by).map(|key| key.until).max()
}

fn read(path: &std::path::Path, limit: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| format!("it cannot be read: {e}"))?;
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|e| format!("it cannot be read: {e}"))?;
    Ok(bytes)
}

/// Opens a kept bundle that must be the one in the ledger.
fn open(bytes: &[u8], stored: Sha256, cid: &Cid, limits: v2::Limits) -> Result<v2::Bundle, String> {
    let found = Sha256::of(bytes);
    if found != stored {
        return Err(format!("the kept file's sha256 is {found}, the stored bundle's {stored}"));
    }
    let bundle = v2::open(bytes, limits).map_err(|e| e.to_string())?;
    if bundle.header.cid != *cid {
        return Err(format!("it is of client {}", bundle.header.cid));
    }
    Ok(bundle)
}
