//! Checking a case: everywhere, with nothing but the case itself. One pass over the archive; nothing is unpacked.

use super::{CASE_NAMESPACE, CONTENTS, CaseError, Contents, FORMAT, SEAL, SIGNER, SUMS, TOP, pack::Hashed};
use crate::registration::ClientKey;
use pofr_core::{
    digest::Sha256,
    raw::RawText,
    wire::{link::BUNDLE_NAMESPACE, name::BundleName, v2},
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
};

/// The longest list, signature, key and `case.json` that are read, bytes.
const LONGEST: u64 = 256 << 20;

/// Something about a case that is not as it should be. Names are escaped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "flaw", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Flaw {
    /// The signature is not by the key that is in the case, or not of its list.
    Seal,
    /// The case was signed with another key than was expected.
    OtherSigner {
        /// The fingerprint of the key.
        found: String,
    },
    /// A member is not what the list says.
    Altered {
        /// Its name.
        name: String,
    },
    /// A member that the list has is not there.
    Missing {
        /// Its name.
        name: String,
    },
    /// A member is not in the list, or there twice.
    Added {
        /// Its name.
        name: String,
    },
    /// A bundle is no longer kept where the case was made, so that it is not in the case.
    NotPacked {
        /// The client.
        client: String,
        /// Its number.
        seq: u64,
    },
    /// A bundle is not what `case.json` says of it, or no good bundle.
    Bundle {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// Bundles have not come, or were removed.
    Hole {
        /// The client.
        client: String,
        /// The first number.
        first: u64,
        /// The last.
        last: u64,
    },
    /// A bundle does not name the one before it.
    Break {
        /// The client.
        client: String,
        /// Its number.
        seq: u64,
    },
    /// A bundle is not signed.
    Unsigned {
        /// The client.
        client: String,
        /// Its number.
        seq: u64,
    },
    /// A bundle's signature is not by a key of its client, or of other bytes.
    BadSignature {
        /// The client.
        client: String,
        /// Its number.
        seq: u64,
    },
}

/// What checking came to.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// What the case says that it is; `None` where that cannot be read.
    pub contents: Option<Contents>,
    /// The fingerprint of the key that signed it.
    pub signer: String,
    /// The digest of the list, which the next case of the same server names.
    pub sums: String,
    /// Members, the list and its signature left out.
    pub members: u64,
    /// Bundles.
    pub bundles: u64,
    /// Bundles whose signature is by a key of their client.
    pub signed: u64,
    /// What is not as it should be.
    pub flaws: Vec<Flaw>,
}

/// Tells whether a file that begins with these bytes may be a case.
#[must_use]
pub fn is_case(begin: &[u8]) -> bool {
    begin.starts_with(format!("{TOP}/{SUMS}\0").as_bytes())
}

/// Checks a case: the signature over the list, every member against the list, every bundle against its name, its client's key
/// and the chain.
///
/// `signer` is a public key's line, where it is known who must have signed.
///
/// # Errors
/// [`CaseError`] where it cannot be read, or is no case.
pub fn verify(case: &mut dyn Read, signer: Option<&str>) -> Result<Checked, CaseError> {
    let mut archive = tar::Archive::new(case);
    let bad = |cause: io::Error| CaseError::Archive { action: "read", cause };
    let mut entries = archive.entries().map_err(bad)?;
    let mut next = |name: &str| -> Result<Vec<u8>, CaseError> {
        let missing = || CaseError::NotACase(format!("{name} is not where it should be"));
        let mut entry = entries.next().ok_or_else(missing)?.map_err(bad)?;
        if !entry.header().entry_type().is_file()
            || entry.path_bytes().as_ref() != format!("{TOP}/{name}").as_bytes()
        {
            return Err(missing());
        }
        read(&mut entry)
    };
    let (sums, seal, key_line) = (next(SUMS)?, next(SEAL)?, next(SIGNER)?);
    let listed = list(&sums)?;
    let text =
        |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|e| CaseError::NotACase(e.to_string()));
    let key =
        ClientKey::parse(&text(&key_line)?).map_err(|e| CaseError::NotACase(format!("{SIGNER}: {e}")))?;
    let mut checker = Checker::new(&listed);
    if key.verify(CASE_NAMESPACE, &sums, &text(&seal)?).is_err() {
        checker.flaws.push(Flaw::Seal);
    }
    let wanted = signer.map(ClientKey::parse).transpose();
    let wanted = wanted.map_err(|e| CaseError::NotACase(format!("the key that should have signed: {e}")))?;
    if wanted.is_some_and(|wanted| wanted.line() != key.line()) {
        checker.flaws.push(Flaw::OtherSigner { found: key.fingerprint() });
    }
    checker.settle(SIGNER.to_owned(), Sha256::of(&key_line));
    for entry in entries {
        let mut entry = entry.map_err(bad)?;
        let raw = entry.path_bytes().into_owned();
        let inside = raw.strip_prefix(TOP.as_bytes()).and_then(|name| name.strip_prefix(b"/"));
        let name =
            inside.and_then(|name| std::str::from_utf8(name).ok()).filter(|name| listed.contains_key(*name));
        let Some(name) = name.filter(|_| entry.header().entry_type().is_file()) else {
            checker.flaws.push(Flaw::Added { name: RawText::from(raw).escaped() });
            continue;
        };
        if name == CONTENTS || is_bundle(name) {
            let bytes = read(&mut entry)?;
            let sound = checker.settle(name.to_owned(), Sha256::of(&bytes));
            if name == CONTENTS {
                checker.contents(&bytes);
            } else if sound {
                checker.bundle(name, &bytes);
            }
        } else {
            let mut hashed = Hashed::new(entry);
            io::copy(&mut hashed, &mut io::sink()).map_err(bad)?;
            checker.settle(name.to_owned(), hashed.hashing.finish());
        }
    }
    Ok(checker.end(&key, &sums))
}

fn read(entry: &mut dyn Read) -> Result<Vec<u8>, CaseError> {
    let most = LONGEST.max(v2::Limits::default().tar);
    let mut bytes = Vec::new();
    let read = entry.take(most + 1).read_to_end(&mut bytes);
    read.map_err(|cause| CaseError::Archive { action: "read", cause })?;
    if bytes.len() as u64 > most {
        return Err(CaseError::NotACase("a member is longer than any may be".to_owned()));
    }
    Ok(bytes)
}

/// Reads the list: digest, two blanks, name, as sha256sum(1) writes it.
fn list(sums: &[u8]) -> Result<BTreeMap<String, Sha256>, CaseError> {
    let text = std::str::from_utf8(sums).map_err(|_| CaseError::NotACase(format!("{SUMS} is not UTF-8")))?;
    let mut listed = BTreeMap::new();
    for (i, line) in text.lines().enumerate() {
        let parts = line.split_once("  ").and_then(|(sha256, name)| Some((Sha256::parse(sha256)?, name)));
        let (sha256, name) =
            parts.ok_or_else(|| CaseError::NotACase(format!("{SUMS}, line {}: no digest", i + 1)))?;
        if listed.insert(name.to_owned(), sha256).is_some() {
            return Err(CaseError::NotACase(format!("{SUMS}, line {}: listed before", i + 1)));
        }
    }
    Ok(listed)
}

fn is_bundle(name: &str) -> bool {
    name.split('/').nth(1) == Some("bundles")
}

/// What is known so far.
struct Checker<'a> {
    listed: &'a BTreeMap<String, Sha256>,
    seen: BTreeSet<String>,
    contents: Option<Contents>,
    keys: BTreeMap<String, Vec<ClientKey>>,
    bundles: u64,
    signed: u64,
    flaws: Vec<Flaw>,
}

impl<'a> Checker<'a> {
    fn new(listed: &'a BTreeMap<String, Sha256>) -> Self {
        Self {
            listed,
            seen: BTreeSet::new(),
            contents: None,
            keys: BTreeMap::new(),
            bundles: 0,
            signed: 0,
            flaws: Vec::new(),
        }
    }

    /// Holds a member's digest against the list; tells whether it is the one.
    fn settle(&mut self, name: String, found: Sha256) -> bool {
        let shown = RawText::from(name.as_str()).escaped();
        let sound = self.listed.get(&name) == Some(&found);
        if !sound {
            self.flaws.push(Flaw::Altered { name: shown.clone() });
        }
        if !self.seen.insert(name) {
            self.flaws.push(Flaw::Added { name: shown });
            return false;
        }
        sound
    }

    fn contents(&mut self, bytes: &[u8]) {
        let contents = serde_json::from_slice::<Contents>(bytes).ok().filter(|c| c.format == FORMAT);
        let Some(contents) = contents else {
            self.flaws.push(Flaw::Altered { name: CONTENTS.to_owned() });
            return;
        };
        for part in &contents.clients {
            let keys = part.keys.iter().filter_map(|key| ClientKey::parse(&key.key).ok()).collect();
            self.keys.insert(part.client.clone(), keys);
            self.chain(part);
        }
        self.contents = Some(contents);
    }

    /// Holds the ledger's entries against each other.
    fn chain(&mut self, part: &super::ClientPart) {
        let client = RawText::from(part.client.as_str()).escaped();
        for bundle in part.bundles.iter().filter(|b| !b.packed) {
            self.flaws.push(Flaw::NotPacked { client: client.clone(), seq: bundle.seq });
        }
        let chained: Vec<_> = part.bundles.iter().filter(|b| b.format == 2).collect();
        for pair in chained.windows(2) {
            let [a, b] = pair else { continue };
            if b.seq > a.seq.saturating_add(1) {
                self.flaws.push(Flaw::Hole { client: client.clone(), first: a.seq + 1, last: b.seq - 1 });
            } else if b.seq <= a.seq || b.previous.as_ref() != Some(&a.sha256) && !a.streamed {
                self.flaws.push(Flaw::Break { client: client.clone(), seq: b.seq });
            }
        }
    }

    /// Checks a bundle whose bytes are those of the list.
    fn bundle(&mut self, name: &str, bytes: &[u8]) {
        self.bundles += 1;
        let (client, file) = name.split_once("/bundles/").unwrap_or(("", name));
        if let Err(why) = self.held(client, file, bytes) {
            let name = RawText::from(name).escaped();
            self.flaws.push(Flaw::Bundle { name, why });
        }
    }

    fn held(&mut self, client: &str, file: &str, bytes: &[u8]) -> Result<(), String> {
        let name: BundleName =
            file.parse().map_err(|e: pofr_core::wire::name::BundleNameError| e.to_string())?;
        if !name.names(bytes) {
            return Err("it is not what its name announces".to_owned());
        }
        let parts = self.contents.as_ref().map(|c| c.clients.iter()).into_iter().flatten();
        let mut lines = parts.filter(|p| p.client == client).flat_map(|p| &p.bundles);
        let line = lines.find(|b| b.sha256 == name.sha256.to_string()).cloned();
        let line = line.ok_or_else(|| format!("{CONTENTS} does not have it"))?;
        if line.format == 1 {
            return Ok(());
        }
        let bundle = v2::open(bytes, v2::Limits::default()).map_err(|e| e.to_string())?;
        let header = &bundle.header;
        let previous = header.previous.map(|p| p.to_string());
        if header.cid.as_str() != client
            || header.seq.0 != line.seq
            || !line.streamed && previous != line.previous
        {
            return Err(format!(
                "{CONTENTS} says otherwise: it is bundle {} of {}",
                header.seq.0, header.cid
            ));
        }
        // Its manifest stands beside it for ssh-keygen, and must be the same.
        let manifest = self.listed.get(&format!("{client}/manifests/{file}.json"));
        if manifest != Some(&Sha256::of(&bundle.manifest_bytes)) {
            return Err("the manifest beside it is another".to_owned());
        }
        let (client, seq) = (RawText::from(client).escaped(), line.seq);
        match &bundle.signature {
            None => self.flaws.push(Flaw::Unsigned { client, seq }),
            Some(signature) => {
                let armored = String::from_utf8_lossy(signature);
                let mut keys = self.keys.get(header.cid.as_str()).into_iter().flatten();
                if keys.any(|k| k.verify(BUNDLE_NAMESPACE, &bundle.manifest_bytes, &armored).is_ok()) {
                    self.signed += 1;
                } else {
                    self.flaws.push(Flaw::BadSignature { client, seq });
                }
            }
        }
        Ok(())
    }

    fn end(mut self, key: &ClientKey, sums: &[u8]) -> Checked {
        for name in self.listed.keys().filter(|name| !self.seen.contains(*name)) {
            self.flaws.push(Flaw::Missing { name: RawText::from(name.as_str()).escaped() });
        }
        Checked {
            contents: self.contents,
            signer: key.fingerprint(),
            sums: Sha256::of(sums).to_string(),
            members: self.seen.len() as u64,
            bundles: self.bundles,
            signed: self.signed,
            flaws: self.flaws,
        }
    }
}
