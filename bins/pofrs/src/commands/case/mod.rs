//! `pofrs case`: what a record has of some time, the questions that were asked of it and a report, in one archive that is
//! signed and can be checked anywhere.

mod ask;

use super::report;
use crate::{
    cli::{Global, WhichClients},
    exit::Exit,
    filter::SpanArgs,
    moment,
    output::number,
    record,
};
use anyhow::{Context as _, bail};
use clap::Args;
use jiff::Timestamp;
use pofr_core::{Store, identity::Cid, time::WallMicros};
use pofr_ingest::{
    case::{self, CaseKey, CaseLog, Contents, Member},
    receive::Account,
};
use pofr_schema::{Access, query::Filter};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, IsTerminal as _, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// What lies in every case for whoever opens it first.
const README: &str = include_str!("readme.txt");

/// Packs a case.
#[derive(Args, Debug)]
#[command(after_long_help = format!("\
A case is a tar: the clients' bundles that touch the time, as they were sent and signed; their manifests and signatures by themselves, for ssh-keygen; what the \
ledger has of them; gaps; the clients' keys; a report for each client; the questions with their answers; and a list of all digests, signed with this server's key \
for cases, which is made when the first case is. Each case names the one before it. docs/format/case-v1.md has it all.

A question is a command line of pofrs without its name; at, find, tree, who-had, who-opened, timeline, diff, first-seen, gaps, sql, clients, status and verify can \
be asked. Where the case is about one client, --client may be left out. --questions reads one a line; what begins with # is left out.

What is no longer kept is not in the case; case.json says so. As root the archive is written by the account that owns the record: where that may not write, \
leave --output away and redirect.

  pofrs verify CASE [--signer KEY.pub]   checks a case, without any record
  pofrs case --key                       prints the public half of the key, and its fingerprint

{}

Examples:
  pofrs case --client web-1 --from '2026-11-23 10:00' --to '2026-11-23 11:00' --title 'intrusion of 23 November' \\
    --ask 'find ps --user toma' --ask 'timeline --user toma --json' --output case.tar
  pofrs case --all-clients --since -1d --questions questions.txt > case.tar", moment::HELP))]
pub(crate) struct CaseArgs {
    #[command(flatten)]
    which: WhichClients,
    #[command(flatten)]
    span: SpanArgs,
    /// What the case is called [default: case and its number]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// A question to ask and to put into the case with its answer
    #[arg(long = "ask", value_name = "COMMAND")]
    asked: Vec<String>,
    /// A file with more of them
    #[arg(long, value_name = "FILE")]
    questions: Option<PathBuf>,
    /// The file to write, which must not be there yet [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Rows of each of a report's tables at most
    #[arg(long, value_name = "N", default_value_t = report::DEFAULT_LIMIT)]
    limit: usize,
    /// Print the public half of this server's key for cases, and do nothing else
    #[arg(long)]
    key: bool,
}

/// Runs the command.
pub(crate) fn run(args: &CaseArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let data_dir = record::data_dir(global)?;
    let key = CaseKey::of(&data_dir)?;
    if args.key {
        writeln!(out, "{}", key.public_line())?;
        writeln!(io::stderr(), "pofrs: {}", key.fingerprint())?;
        return Ok(Exit::Done);
    }
    if args.output.is_none() && io::stdout().is_terminal() {
        bail!("a case is no text for a terminal: give --output FILE, or redirect");
    }
    let questions = ask::questions(&args.asked, args.questions.as_deref())?;
    let store = record::open(global, Access::Read)?;
    let clients = record::clients(&*store, &args.which)?;
    // Before anything is asked, so that a name that is taken is not found out at the end.
    let output = args.output.as_deref().map(Output::create).transpose()?;

    // From here on no other case is made.
    let log = CaseLog::open(&data_dir)?;
    let now = WallMicros(Timestamp::now().as_microsecond());
    let title = args.title.clone().unwrap_or_else(|| format!("case {}", log.next()));
    let mut contents = Contents {
        format: case::FORMAT.to_owned(),
        number: log.next(),
        title,
        created: now.0,
        program: concat!("pofrs ", env!("CARGO_PKG_VERSION")).to_owned(),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        signer: key.fingerprint(),
        previous: log.previous().cloned(),
        from: None,
        until: None,
        clients: Vec::new(),
        questions: Vec::new(),
    };
    let mut members = Vec::new();
    for cid in &clients {
        members.extend(of_client(&*store, cid, args, global, &data_dir, &mut contents)?);
    }
    let place = tempfile::Builder::new().prefix("pofr-case-").tempdir().context("cannot make a directory")?;
    for (i, question) in questions.iter().enumerate() {
        let only = if let [only] = clients.as_slice() { Some(only) } else { None };
        let answered = ask::ask(question, i + 1, only, global, place.path())?;
        contents.questions.push(answered.question);
        members.extend(answered.members);
    }
    let json = serde_json::to_vec_pretty(&contents)?;
    members.splice(0..0, [Member::new("README.txt", README), Member::new("case.json", json)]);
    let sums = match output {
        Some(output) => output.write(|out| Ok(case::pack(&members, &key, now, out)?))?,
        None => case::pack(&members, &key, now, out)?,
    };
    let sums = sums.to_string();
    log.add(now.0, &contents.title, sums.clone())?;
    let packed = contents.clients.iter().flat_map(|c| &c.bundles);
    let bundles = number::counted(packed.clone().filter(|b| b.packed).count() as u64, "bundle");
    let lost = packed.filter(|b| !b.packed).count() as u64;
    let lost = if lost > 0 { format!(" ({} no longer kept)", number::count(lost)) } else { String::new() };
    let questions = number::counted(contents.questions.len() as u64, "question");
    writeln!(io::stderr(), "pofrs: case {}: {bundles}{lost}, {questions}", contents.number)?;
    writeln!(io::stderr(), "pofrs: signed by {}; its list's sha256 is {sums}", key.fingerprint())?;
    Ok(Exit::Done)
}

/// Gathers what there is of a client, and makes its report.
fn of_client(
    store: &dyn Store,
    cid: &Cid,
    args: &CaseArgs,
    global: &Global,
    data_dir: &Path,
    contents: &mut Contents,
) -> anyhow::Result<Vec<Member>> {
    let mut reader = store.read(cid)?;
    let span = args.span.span(&mut *reader, global.utc, Timestamp::now())?;
    // On several clients' clocks one time of day is several times; the case is about all of them.
    let earlier = |a: Option<i64>, b: Option<i64>| if contents.clients.is_empty() { b } else { a.min(b) };
    let from = earlier(contents.from, span.from.map(|t| t.0));
    let until = if contents.clients.is_empty() {
        span.until.map(|t| t.0)
    } else {
        contents.until.zip(span.until.map(|t| t.0)).map(|(a, b)| a.max(b))
    };
    (contents.from, contents.until) = (from, until);
    let ledger = reader.ledger()?;
    let kept = record::layout(global)?.kept(cid);
    let accounts = Account::of(data_dir, cid)?;
    let gathered = case::gather(cid, &ledger, &kept, &accounts, (span.from, span.until))?;
    let about = report::About {
        client: cid,
        filter: &Filter::default(),
        span,
        title: Some(&format!("{cid}: {}", contents.title)),
        utc: global.utc,
        limit: args.limit,
    };
    let (page, _) = report::render(&mut *reader, &about)?;
    contents.clients.push(gathered.part);
    let mut members = vec![Member::new(format!("{cid}/report.html"), page)];
    members.extend(gathered.members);
    Ok(members)
}

/// A file being written, which goes again where it is not written to its end.
struct Output<'a> {
    path: &'a Path,
    file: File,
    done: bool,
}

impl<'a> Output<'a> {
    fn create(path: &'a Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = file.with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path, file, done: false })
    }

    fn write<T>(mut self, write: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let mut out = BufWriter::new(&self.file);
        let result = write(&mut out)?;
        let finished = out.flush().and_then(|()| self.file.sync_all());
        finished.with_context(|| format!("cannot write {}", self.path.display()))?;
        self.done = true;
        Ok(result)
    }
}

impl Drop for Output<'_> {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_file(self.path);
        }
    }
}
