//! `moments`: how long the questions take that investigators ask, on a client's record of any size.
//!
//! The state at moments spread over the record, and by path, pid and address through SQL, each some times; says the median and
//! the worst.

use anyhow::anyhow;
use clap::Parser;
use pofr_core::{fact::FactKind, identity::Cid, store::ClientReader, time::WallMicros};
use pofr_schema::Access;
use std::{ops::ControlFlow, time::Instant};

/// Measures the questions that investigators ask
#[derive(Parser)]
struct Args {
    /// The store: sqlite:DIR or mysql://…
    #[arg(long)]
    db: String,
    /// The client
    #[arg(long, default_value = "synth")]
    client: String,
    /// How often each question is asked
    #[arg(long, default_value_t = 20)]
    times: u32,
    /// Print how the database would answer the SQL questions
    #[arg(long)]
    explain: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let cid = Cid::parse(&args.client).ok_or_else(|| anyhow!("{} is no client id", args.client))?;
    let store = pofr_schema::open(&args.db, Access::Read)?;
    let mut reader = store.read(&cid)?;
    let ledger = reader.ledger()?;
    let rows: u64 = ledger.live().flat_map(|t| t.rows).sum();
    let from = ledger.bundles.iter().map(|b| b.entry.first.0).min().unwrap_or(0);
    let to = ledger.bundles.iter().map(|b| b.entry.last.0).max().unwrap_or(0);
    println!("{rows} rows in {} triads, {} bundles", ledger.live().count(), ledger.bundles.len());
    for kind in FactKind::TRIAD {
        let mut found = 0;
        let name = format!("state at T, {kind:?}");
        measure(&name, args.times, |n| {
            // Golden-ratio steps are spread evenly, however many there are.
            let part = (f64::from(n) * 0.618_033_988_75).fract();
            let t = WallMicros(from + ((to - from) as f64 * part) as i64);
            found = reader.state_at(kind, t)?.certain.len();
            Ok(found)
        })?;
    }
    for (name, sql) in [
        ("by path", "SELECT * FROM all_fileinfo WHERE filename = '/var/lib/app/data/@/segment-0000.db'"),
        ("by pid", "SELECT * FROM all_psinfo WHERE pid = 1000 + @"),
        ("by address", "SELECT * FROM all_netinfo WHERE destip = '10.0.0.@'"),
    ] {
        measure(name, args.times, |n| count(&mut *reader, &sql.replace('@', &(n % 250).to_string())))?;
        if args.explain {
            explain(&mut *reader, &sql.replace('@', "7"))?;
        }
    }
    Ok(())
}

fn count(reader: &mut dyn ClientReader, sql: &str) -> anyhow::Result<usize> {
    let mut n = 0;
    reader.sql(sql, &mut |_| {
        n += 1;
        ControlFlow::Continue(())
    })?;
    Ok(n)
}

/// Counts the tables that would be read through an index, and names those that would be read whole.
fn explain(reader: &mut dyn ClientReader, sql: &str) -> anyhow::Result<()> {
    let (mut lines, mut steps): (Vec<String>, u32) = (Vec::new(), 0);
    let word = if reader.sql("EXPLAIN QUERY PLAN SELECT 1", &mut |_| ControlFlow::Continue(())).is_ok() {
        "EXPLAIN QUERY PLAN"
    } else {
        "EXPLAIN"
    };
    reader.sql(&format!("{word} {sql}"), &mut |row| {
        let text = |column: &str| row.get(column).and_then(|v| v.as_str()).unwrap_or_default();
        // What stands in angle brackets is another step's answer, and what is named pofr_… a view or an empty table.
        let table = !text("table").starts_with(['<', 'p']) || text("table").starts_with("ps");
        let whole = text("detail").starts_with("SCAN ") || (text("type") == "ALL" && table);
        steps += 1;
        if whole {
            lines.push(format!("{} {} {}", text("detail"), text("table"), text("key")));
        }
        ControlFlow::Continue(())
    })?;
    println!("    {steps} steps, of which read a whole table: {lines:?}");
    Ok(())
}

fn measure(
    name: &str,
    times: u32,
    mut question: impl FnMut(u32) -> anyhow::Result<usize>,
) -> anyhow::Result<()> {
    let mut took = Vec::new();
    let mut found = 0;
    for n in 0..times {
        let start = Instant::now();
        found += question(n)?;
        took.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    took.sort_by(f64::total_cmp);
    let (median, worst) = (took[took.len() / 2], took.last().copied().unwrap_or(0.0));
    println!(
        "{name:25} median {median:8.1} ms, worst {worst:8.1} ms, {:.0} rows",
        found as f64 / f64::from(times)
    );
    Ok(())
}
