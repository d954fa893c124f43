//! `pofrs verify`: whether a record is what its client sent, all of it, in order, signed, and of the time that it says.

mod case;

use crate::{
    cli::{Global, WhichClient},
    exit::Exit,
    output::{
        json, number,
        when::{self, Zones},
    },
    record,
};
use clap::Args;
use pofr_core::{identity::Cid, time::WallMicros};
use pofr_ingest::{
    receive::Account,
    verify_chain::{self, Finding, Options, Report},
};
use pofr_schema::Access;
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;

/// Verifies a record.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Every bundle has a number, names the SHA-256 of the one before it, and is signed with the client's key. What is held against \
each other: the ledger, the kept bundles, the keys that were approved, and this server's clock. Nothing is changed.

  hole           bundles have not come, or were removed
  fork           several bundles have one number
  break          a bundle does not name the stored one before it
  tampered       a kept bundle is not the one that was stored
  not kept       stored, but no longer among the kept bundles, so not to be checked
  not stored     kept, but not in the record
  quarantined    came and was refused; lies in the inbox's quarantine
  unsigned       sent by a client that was not registered, or not by it
  bad signature  not by a key of the client, or of other bytes
  former key     came signed with a key after that had been replaced
  streamed       what was streamed of a bundle whose whole never came; nobody signed it
  damaged        has a bad record: what is before it is in the record, the whole in the inbox's quarantine
  ahead          samples of a time that had not come yet when they came
  backdated      samples older than those of a bundle before it in the chain
  late           came after one that is behind it in the chain

JSON: one object: client, bundles, v1 (bundles of the first POFR, which have no chain), signed, unchecked (no key is known \
here), findings. Exit code 6 if there is a finding.

With CASE an archive that pofrs case made is checked instead, and no record is needed: the signature over its list, every member against the list, every bundle \
against its name, its client's key and the chain. Whose key signed it is for people to know: --signer says which it must be. JSON: one object with contents \
(case.json), signer, sums, members, bundles, signed and flaws.

Anybody who has the client's public key can check a signature without pofrs:

  pofrs cat --manifest DIR BUNDLE     writes DIR/NAME.json and DIR/NAME.json.sig
  echo \"web-1 $(cat client.pub)\" > signers
  ssh-keygen -Y verify -f signers -I web-1 -n pofr-bundle -s NAME.json.sig < NAME.json

Examples:
  pofrs verify --client web-1
  pofrs verify case.tar --signer case-key.pub
  pofrs verify --client web-1 --json | jq .findings")]
pub(crate) struct VerifyArgs {
    /// A case to verify instead of a record
    #[arg(value_name = "CASE", conflicts_with = "client")]
    case: Option<PathBuf>,
    /// With CASE: the file with the public key that must have signed it
    #[arg(long, value_name = "FILE", requires = "case")]
    signer: Option<PathBuf>,
    #[command(flatten)]
    which: WhichClient,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Whole<'a> {
    client: &'a Cid,
    #[serde(flatten)]
    report: &'a Report,
}

/// Runs the command.
pub(crate) fn run(args: &VerifyArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    if let Some(path) = &args.case {
        return case::run(path, args.signer.as_deref(), args.json, out);
    }
    let store = record::open(global, Access::Read)?;
    let cid = record::client(&*store, args.which.client.as_deref())?;
    let ledger = store.read(&cid)?.ledger()?;
    let accounts = Account::of(&record::data_dir(global)?, &cid)?;
    let kept = record::layout(global)?.kept(&cid);
    let mut report = verify_chain::verify(&cid, &ledger, &kept, &accounts, &Options::default())?;
    let inbox = record::layout(global)?.inbox(&cid, 0, false);
    report.findings.extend(verify_chain::quarantined(&inbox)?);
    if args.json {
        json::line(out, &Whole { client: &cid, report: &report })?;
    } else {
        print(&cid, &report, &Zones::of(&ledger, global.utc), accounts.is_empty(), out)?;
    }
    Ok(if report.findings.is_empty() { Exit::Done } else { Exit::Trouble })
}

fn print(
    cid: &Cid,
    report: &Report,
    zones: &Zones,
    no_account: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    for finding in &report.findings {
        writeln!(out, "{}", line(finding, zones))?;
    }
    let bundles = number::counted(report.bundles, "bundle");
    write!(out, "{cid}: {bundles}, {} signed by the client", number::count(report.signed))?;
    if report.unchecked > 0 {
        write!(out, ", {} not checked", number::count(report.unchecked))?;
    }
    if report.v1 > 0 {
        write!(out, "; {} of the first POFR, which have no chain", number::count(report.v1))?;
    }
    match report.findings.len() {
        0 => writeln!(out, "; nothing is wrong")?,
        n => writeln!(out, "; {}", number::counted(n as u64, "finding"))?,
    }
    if no_account {
        writeln!(out, "no key of this client is known here: it is not registered on this server")?;
    }
    Ok(())
}

/// Says what was found in one line.
fn line(finding: &Finding, zones: &Zones) -> String {
    let range = |first: &u64, last: &u64| {
        if first == last { format!("bundle {first}") } else { format!("bundles {first} to {last}") }
    };
    let second = |micros: &i64| zones.second(WallMicros(*micros));
    match finding {
        Finding::Hole { first, last } => format!("hole: {} not there", range(first, last)),
        Finding::Fork { seq } => {
            format!("fork: several bundles are number {seq}: {}", pofr_ingest::verify::FORK)
        }
        Finding::Break { seq } => {
            format!("break: bundle {seq} does not name the one before it that is stored")
        }
        Finding::Tampered { seq, name, why } => format!("tampered: bundle {seq}, {name}: {why}"),
        Finding::NotKept { first, last } => format!("not kept: {}", range(first, last)),
        Finding::NotStored { name } => format!("not stored: {name} is kept, but not in the record"),
        Finding::Quarantined { name, why } => format!("quarantined: {name}: {why}"),
        Finding::Unsigned { first, last } => format!("unsigned: {}", range(first, last)),
        Finding::BadSignature { seq, name } => {
            format!("bad signature: bundle {seq}, {name}: not by a key of this client, or of other bytes")
        }
        Finding::FormerKey { seq, received, until } => format!(
            "former key: bundle {seq} came at {}, signed with a key that was replaced at {}",
            second(received),
            second(until)
        ),
        Finding::Streamed { seq } => {
            format!("streamed: of bundle {seq} there is what was streamed; the whole has not come")
        }
        Finding::Damaged { seq, why } => {
            format!("{why}: of bundle {seq} only what is before that is in the record")
        }
        Finding::Ahead { seq, by } => {
            format!("ahead: bundle {seq} has samples {} ahead of this server's clock", when::length(*by))
        }
        Finding::Backdated { seq, by } => format!(
            "backdated: bundle {seq} has samples {} older than those of one before it, or the clock was set back",
            when::length(*by)
        ),
        Finding::Late { seq, after, by } => {
            format!("late: bundle {seq} came {} after bundle {after}", when::length(*by))
        }
        other => format!("{other:?}"),
    }
}
