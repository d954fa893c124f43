//! `pofrs verify CASE`: whether an archive is the case that somebody signed, and its bundles are what their clients sent.

use crate::{
    exit::Exit,
    output::{json, number, when::Zones},
};
use anyhow::Context as _;
use pofr_core::{
    raw::RawText,
    time::{WallMicros, ZoneOffset},
};
use pofr_ingest::case::{self, Checked, Flaw};
use std::{
    fs::File,
    io::{BufReader, Write},
    path::Path,
};

/// Verifies a case.
pub(super) fn run(
    path: &Path,
    signer: Option<&Path>,
    as_json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<Exit> {
    let shown = RawText::from(path.as_os_str().as_encoded_bytes()).escaped();
    let key = signer
        .map(|path| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display())));
    let key = key.transpose()?;
    let file = File::open(path).with_context(|| format!("cannot open {shown}"))?;
    let checked = case::verify(&mut BufReader::new(file), key.as_deref()).context(shown.clone())?;
    if as_json {
        json::line(out, &checked)?;
    } else {
        print(&checked, &shown, signer.is_some(), out)?;
    }
    Ok(if checked.flaws.is_empty() { Exit::Done } else { Exit::Trouble })
}

fn print(checked: &Checked, name: &str, is_known: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    for flaw in &checked.flaws {
        writeln!(out, "{}", line(flaw))?;
    }
    if let Some(contents) = &checked.contents {
        let text = |text: &str| RawText::from(text).escaped();
        let made = Zones::fixed(ZoneOffset::UTC).full(WallMicros(contents.created));
        writeln!(
            out,
            "case {}, {}, made at {made} on {}",
            contents.number,
            text(&contents.title),
            text(&contents.host)
        )?;
        for client in &contents.clients {
            writeln!(
                out,
                "  {}: {}",
                text(&client.client),
                number::counted(client.bundles.len() as u64, "bundle")
            )?;
        }
        match &contents.previous {
            Some(before) => writeln!(
                out,
                "follows case {}, whose list's sha256 is {}",
                before.number,
                text(&before.sums)
            )?,
            None => writeln!(out, "the first case of its server")?,
        }
    }
    let known = if is_known { "" } else { ": compare that with what its maker says" };
    writeln!(out, "signed by {}{known}", checked.signer)?;
    let members = number::counted(checked.members, "member");
    let bundles = number::counted(checked.bundles, "bundle");
    let wrong = match checked.flaws.len() {
        0 => "nothing is wrong".to_owned(),
        n => number::counted(n as u64, "finding"),
    };
    writeln!(
        out,
        "{name}: {members}, {bundles}, {} signed by their clients; {wrong}",
        number::count(checked.signed)
    )?;
    Ok(())
}

/// Says in one line what is wrong.
fn line(flaw: &Flaw) -> String {
    match flaw {
        Flaw::Seal => {
            "seal: the signature over the list is not by the key in the case, or of another list".to_owned()
        }
        Flaw::OtherSigner { found } => {
            format!("signer: it was signed by {found}, not by the key that was given")
        }
        Flaw::Altered { name } => format!("altered: {name} is not what the list says"),
        Flaw::Missing { name } => format!("missing: {name} is in the list, but not in the case"),
        Flaw::Added { name } => format!("added: {name} is not in the list, or no file, or there twice"),
        Flaw::NotPacked { client, seq } => {
            format!("not packed: bundle {seq} of {client} was no longer kept when the case was made")
        }
        Flaw::Bundle { name, why } => format!("bundle: {name}: {why}"),
        Flaw::Hole { client, first, last } => format!("hole: {client}: bundles {first} to {last} not there"),
        Flaw::Break { client, seq } => {
            format!("break: {client}: bundle {seq} does not name the one before it")
        }
        Flaw::Unsigned { client, seq } => format!("unsigned: {client}: bundle {seq}"),
        Flaw::BadSignature { client, seq } => {
            format!("bad signature: {client}: bundle {seq}: not by a key of this client, or of other bytes")
        }
        other => format!("{other:?}"),
    }
}
