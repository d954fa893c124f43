//! `pofrs cat`: what a bundle holds, of either format.

use crate::{exit::Exit, output::json};
use anyhow::{Context as _, bail};
use clap::Args;
use pofr_core::{
    fact::Fact,
    raw::RawText,
    time::{WallMicros, ZoneOffset},
    wire::{name::BundleName, v1, v2},
};
use serde::Serialize;
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Prints bundles.
#[derive(Args, Debug)]
#[command(after_long_help = "\
The first line of a bundle has record \"header\" and says what the bundle says of itself, with its format. Then, in format 2, \
come the records as they were written (record \"sample\", \"event\" or \"gap\"; facts are numbered from 0 in the order in which \
they are added or begin); in format 1 the snapshots (record \"snapshot\"), decoded. A bundle whose bytes are not those that \
its name announces is shown all the same, with a warning.

Examples:
  pofrs cat bundle.tar | jq -c 'select(.record == \"gap\")'")]
pub(crate) struct CatArgs {
    /// Write each bundle's manifest and signature to DIR as NAME.json and NAME.json.sig, for ssh-keygen -Y verify, instead of
    /// printing the bundle
    #[arg(long, value_name = "DIR")]
    manifest: Option<PathBuf>,
    /// The bundles
    #[arg(value_name = "BUNDLE", required = true)]
    bundles: Vec<PathBuf>,
}

#[derive(Serialize)]
#[serde(tag = "record", rename = "header")]
struct HeaderV2<'a> {
    format: u8,
    manifest: &'a v2::Manifest,
    header: &'a v2::Header,
    signed: bool,
}

#[derive(Serialize)]
#[serde(tag = "record", rename = "header")]
struct HeaderV1 {
    format: u8,
    halves: usize,
    first: Option<WallMicros>,
    last: Option<WallMicros>,
}

#[derive(Serialize)]
#[serde(tag = "record", rename = "snapshot")]
struct SnapshotV1<'a> {
    stamp: WallMicros,
    zone: ZoneOffset,
    /// Each process followed by its files; `null` where that half is missing.
    processes: &'a Option<Vec<Fact>>,
    endpoints: &'a Option<Vec<Fact>>,
    pid_only: u64,
}

/// Runs the command.
pub(crate) fn run(args: &CatArgs, out: &mut dyn Write) -> anyhow::Result<Exit> {
    for path in &args.bundles {
        let shown = || RawText::from(path.as_os_str().as_encoded_bytes()).escaped();
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", shown()))?;
        let name = path.file_name().and_then(|name| name.to_str()).map(str::parse::<BundleName>);
        if let Some(Ok(name)) = name
            && !name.names(&bytes)
        {
            writeln!(
                io::stderr(),
                "pofrs: {} is not what its name announces: damaged or tampered with",
                shown()
            )?;
        }
        if let Some(dir) = &args.manifest {
            export(&bytes, path, dir, out).with_context(shown)?;
            continue;
        }
        if bytes.starts_with(b"manifest.json\0") { print_v2(&bytes, out) } else { print_v1(&bytes, out) }
            .with_context(shown)?;
    }
    Ok(Exit::Done)
}

/// Writes a bundle's manifest, and its signature if it has one, byte for byte as they were signed.
fn export(bytes: &[u8], bundle: &Path, dir: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    if !bytes.starts_with(b"manifest.json\0") {
        bail!("a bundle of the first POFR has no manifest");
    }
    let opened = v2::open(bytes, v2::Limits::default())?;
    let mut name = bundle.file_name().context("a bundle has a name")?.to_owned();
    name.push(".json");
    let manifest = dir.join(name);
    let write = |path: &Path, bytes: &[u8]| {
        let shown = RawText::from(path.as_os_str().as_encoded_bytes()).escaped();
        std::fs::write(path, bytes).with_context(|| format!("cannot write {shown}"))?;
        Ok::<_, anyhow::Error>(shown)
    };
    writeln!(out, "{}", write(&manifest, &opened.manifest_bytes)?)?;
    match &opened.signature {
        Some(signature) => {
            let mut path = manifest.into_os_string();
            path.push(".sig");
            writeln!(out, "{}", write(Path::new(&path), signature)?)?;
        }
        None => writeln!(io::stderr(), "pofrs: it is not signed")?,
    }
    Ok(())
}

fn print_v2(bytes: &[u8], out: &mut dyn Write) -> anyhow::Result<()> {
    let bundle = v2::open(bytes, v2::Limits::default())?;
    let signed = bundle.signature.is_some();
    json::line(out, &HeaderV2 { format: 2, manifest: &bundle.manifest, header: &bundle.header, signed })?;
    for record in bundle.records()? {
        json::line(out, &record?)?;
    }
    Ok(())
}

fn print_v1(bytes: &[u8], out: &mut dyn Write) -> anyhow::Result<()> {
    let halves = v1::read_tar(bytes, &v1::Caps::default())?;
    let stamps = || halves.iter().map(|h| h.stamp);
    let (first, last) = (stamps().min(), stamps().max());
    json::line(out, &HeaderV1 { format: 1, halves: halves.len(), first, last })?;
    let paired = v1::pair(halves);
    for raw in &paired.snapshots {
        let v1::Decoded { stamp, zone, processes, endpoints, pid_only, .. } = &v1::decode(raw)?;
        let snapshot = SnapshotV1 { stamp: *stamp, zone: *zone, processes, endpoints, pid_only: *pid_only };
        json::line(out, &snapshot)?;
    }
    if let Some(clash) = paired.clashes.first() {
        writeln!(io::stderr(), "pofrs: {clash}; the first is shown")?;
    }
    Ok(())
}
