//! `pofrs status`: how each client is doing, and what is trouble.

mod hook;
mod look;
mod trouble;

pub(crate) use hook::{Hook, Watchman};
pub(crate) use look::Looker;

use crate::{
    cli::Global,
    exit::Exit,
    output::{
        json, number,
        table::{Fit, Listing, Screen},
        when,
    },
    record, units,
};
use clap::Args;
use look::Look;
use pofr_ingest::ingest::server_clock;
use pofr_schema::Access;
use std::io::Write;

/// Without a limit in the configuration, a client that sends nothing for so long is silent, µs.
pub(crate) const SILENCE: i64 = 600_000_000;

/// Shows how clients are doing.
#[derive(Args, Debug)]
#[command(after_long_help = "\
LAG is how far the record is behind now; WAITING how many bundles lie in the inbox; SLICES, ARCHIVES and PERIODS how many rows there \
are at each level; GAPS how many gaps began of late, REFUSED how many files lie in quarantine.

Trouble is: a client that has sent nothing for longer than --silence; bundles that wait for longer than that; a fork or a break in its \
chain (two recorders with one identity, or forgery); a loss (a missing bundle, samples or events lost in a blind gap, or more than \
one in a hundred in thin ones). Forks, breaks and losses count for --since. With trouble the exit code is 6.

With --hook, or a hook in the configuration, PROGRAM is run where there is trouble, and gets each as a line of JSON on its standard \
input: client, kind (silent, waiting, fork, break, loss), key (the same as long as it is the same trouble), text, at (µs since \
1970). `pofrs ingest --watch` does the same once a minute, for each trouble once, where the configuration has a hook.

JSON: one object a line with client, last (the last stamp, µs since 1970, null where nothing is recorded), received (when the last \
bundle was taken in), lag (µs), waiting, rows and triads (objects with slice, archive, period), gaps (blind and thin), lost (events \
and samples), quarantined, on_hold, forgotten_before, troubles (a list as the hook gets them).

Examples:
  pofrs status
  pofrs status --json | jq 'select(.troubles != [])'
  pofrs status --silence 1h --hook /usr/local/bin/pofr-alert")]
pub(crate) struct StatusArgs {
    /// Only this client: its id or an unambiguous beginning of it
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// How long a client may send nothing [default: as the configuration says, else 10m]
    #[arg(long, value_name = "TIME", value_parser = units::length)]
    silence: Option<i64>,
    /// How long forks and losses are told of
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = units::length)]
    since: i64,
    /// A program to run where there is trouble
    #[arg(long, value_name = "PROGRAM")]
    hook: Option<String>,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &StatusArgs, global: &Global, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let config = record::config(global)?.status;
    let store = record::open(global, Access::Read)?;
    let clients = match &args.client {
        Some(name) => vec![record::client(&*store, Some(name))?],
        None => store.clients()?.into_iter().map(|c| c.cid).collect(),
    };
    let now = server_clock();
    let looker = Looker {
        layout: record::layout(global)?,
        silence: args.silence.or(config.silence.map(|s| s.0)).unwrap_or(SILENCE),
        since: now.plus(-args.since),
        now,
    };
    let mut looks = Vec::with_capacity(clients.len());
    for cid in clients {
        looks.push(looker.look(&mut *store.read(&cid)?, cid)?);
    }
    if args.json {
        for look in &looks {
            json::line(out, look)?;
        }
    } else if looks.is_empty() {
        writeln!(out, "no client is known yet; pofrs ingest DIR --client NAME adds one")?;
    } else {
        print(&looks, global.utc, &when::length(args.since), out)?;
    }
    let troubles: Vec<_> = looks.iter().flat_map(|look| look.troubles.iter().cloned()).collect();
    if troubles.is_empty() {
        return Ok(Exit::Done);
    }
    let hook = args.hook.clone().map(|program| vec![program]).unwrap_or(config.hook);
    if let Some(hook) = Hook::new(hook) {
        out.flush()?;
        hook.run(&troubles)?;
    }
    Ok(Exit::Trouble)
}

fn print(looks: &[Look], utc: bool, since: &str, out: &mut dyn Write) -> anyhow::Result<()> {
    let columns = [
        ("CLIENT", Fit::Name(16)),
        ("LAST", Fit::Whole),
        ("LAG", Fit::Number),
        ("WAITING", Fit::Number),
        ("SLICES", Fit::Number),
        ("ARCHIVES", Fit::Number),
        ("PERIODS", Fit::Number),
        ("GAPS", Fit::Number),
        ("REFUSED", Fit::Number),
    ];
    let mut listing = Listing::new(Screen::detect(), false, &columns);
    let dash = || "-".to_owned();
    for look in looks {
        let zones = when::Zones::fixed(if utc { Default::default() } else { look.zone });
        listing.row([
            look.client.to_string(),
            look.last.map_or_else(dash, |last| zones.short(last, look.now)),
            look.lag.map_or_else(dash, when::brief),
            number::count(look.waiting),
            number::brief(look.rows.slice),
            number::brief(look.rows.archive),
            number::brief(look.rows.period),
            number::count(look.gaps.blind + look.gaps.thin),
            number::count(look.quarantined),
        ]);
    }
    listing.print(out)?;
    for look in looks {
        for trouble in &look.troubles {
            writeln!(out, "! {}: {}", look.client, trouble.text)?;
        }
        if look.on_hold {
            writeln!(out, "  {} is on hold: nothing of it is forgotten", look.client)?;
        }
    }
    if looks.iter().all(|look| look.troubles.is_empty()) {
        writeln!(out, "no trouble in the last {since}")?;
    }
    Ok(())
}
