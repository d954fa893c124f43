//! `inserts`: rows a second into InnoDB, ours and a bare loop's, side by side in one run.
//!
//! Both put the same file rows into new tables that the store made. Ours: [`ClientStore::fill`], and `ingest` of whole bundles.
//! Bare: one prepared INSERT of 1,000 rows, its values ready in memory, run again and again in transactions of as many rows.

use anyhow::Context as _;
use clap::Parser;
use diesel::{
    Connection as _, MysqlConnection, RunQueryDsl,
    mysql::Mysql,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    result::QueryResult,
    sql_types::{BigInt, Nullable, Text, Untyped},
};
use pofr_benches::{Machine, synth};
use pofr_core::{
    collector::Closing,
    fact::FactKind,
    identity::Cid,
    lifetime::Row,
    store::{ClientEntry, ClientStore, Level, Store, TableRef},
    time::{WallMicros, ZoneOffset},
    wire::v2,
};
use pofr_ingest::{Inbox, Options, ingest};
use pofr_schema::Access;
use pofr_tests::mariadb::PrivateMariadb;
use std::{fs, ops::ControlFlow, time::Instant};

/// Measures rows a second into InnoDB
#[derive(Parser)]
struct Args {
    /// How many file rows each round
    #[arg(long, default_value_t = 100_000)]
    rows: u32,
    /// How many rounds
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// How many bundles of 45 s are ingested
    #[arg(long, default_value_t = 8)]
    bundles: u32,
}

/// Rows in a transaction.
const TRANSACTION: usize = 10_000;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let server = PrivateMariadb::start()?;
    let store = pofr_schema::open(&server.url(), Access::Write)?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    let cid = add(&*store, "inserts")?;
    let rows = synth::file_rows(args.rows);
    let mut writer = store.write(&cid)?;
    let mut values = Vec::new();
    for _ in 0..args.rounds {
        let filled = triad(&mut *writer)?;
        ours.push(time(rows.len(), || fill(&mut *writer, filled.0, &rows))?);
        if values.is_empty() {
            values = read_back(&mut *writer, &filled.1)?;
        }
        let to = triad(&mut *writer)?;
        let mut connection = connect(&server, &cid)?;
        bare.push(time(rows.len(), || insert(&mut connection, &to.1, &values, TRANSACTION))?);
    }
    drop(writer);
    println!("{} file rows, {} rounds, rows a second, median:", args.rows, args.rounds);
    let (ours, bare) = (median(ours), median(bare));
    println!("  fill  {ours:8.0}\n  bare  {bare:8.0}\n  ratio {:8.2}", ours / bare);
    ingested(&args, &server, &*store)
}

fn add(store: &dyn Store, name: &str) -> anyhow::Result<Cid> {
    let cid = Cid::parse(name).context("no client id")?;
    let client = ClientEntry {
        cid: cid.clone(),
        uuid: name.into(),
        ciduser: "0".repeat(32),
        last_ip: None,
        registered: WallMicros(0),
    };
    store.add_client(&client)?;
    Ok(cid)
}

fn triad(writer: &mut dyn ClientStore) -> anyhow::Result<(TableRef, String)> {
    let (from, to) = (WallMicros(1_700_000_000_000_000), WallMicros(1_700_003_600_000_000));
    let id = writer.create_triad(Level::Slice, false, from, to, ZoneOffset::UTC)?;
    let ledger = writer.ledger()?;
    let made = ledger.triads.into_iter().find(|t| t.id == id).context("no triad was made")?;
    let [_, files, _] = made.tables;
    Ok((TableRef { triad: Some(id), kind: FactKind::File }, files))
}

fn fill(writer: &mut dyn ClientStore, table: TableRef, rows: &[Row]) -> anyhow::Result<()> {
    rows.chunks(TRANSACTION).try_for_each(|batch| writer.fill(table, batch))?;
    Ok(())
}

/// Returns rows a second.
fn time(rows: usize, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(rows as f64 / start.elapsed().as_secs_f64())
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn connect(server: &PrivateMariadb, cid: &Cid) -> anyhow::Result<MysqlConnection> {
    let url = server.url().replace("localhost/", &format!("localhost/{}", cid.database()));
    Ok(MysqlConnection::establish(&url)?)
}

/// One value of a row.
enum Value {
    Int(i64),
    Text(String),
    Null,
}

/// Rows with the names of their columns.
struct Values {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
}

/// Reads the stored columns of a filled table.
fn read_back(writer: &mut dyn ClientStore, table: &str) -> anyhow::Result<Vec<Values>> {
    let mut columns = Vec::new();
    let sql = format!(
        "SELECT column_name AS name FROM information_schema.columns WHERE table_schema = DATABASE() \
         AND table_name = '{table}' AND is_generated = 'NEVER' AND extra <> 'auto_increment' ORDER BY ordinal_position"
    );
    writer.sql(&sql, &mut |row| {
        columns.extend(row.values().filter_map(|v| v.as_str().map(str::to_owned)));
        ControlFlow::Continue(())
    })?;
    let mut rows = Vec::new();
    writer.sql(&format!("SELECT {} FROM `{table}`", columns.join(",")), &mut |row| {
        let value = |column: &String| match row.get(column) {
            Some(v) if v.is_i64() => Value::Int(v.as_i64().unwrap_or(0)),
            Some(v) if v.is_string() => Value::Text(v.as_str().unwrap_or_default().to_owned()),
            _ => Value::Null,
        };
        rows.push(columns.iter().map(value).collect());
        ControlFlow::Continue(())
    })?;
    Ok(vec![Values { columns, rows }])
}

/// One INSERT of many rows, kept prepared.
struct Insert<'a> {
    head: String,
    rows: &'a [Vec<Value>],
}

impl QueryFragment<Mysql> for Insert<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql(&self.head);
        for (i, row) in self.rows.iter().enumerate() {
            out.push_sql(if i > 0 { "),(" } else { "(" });
            for (j, value) in row.iter().enumerate() {
                if j > 0 {
                    out.push_sql(",");
                }
                match value {
                    Value::Int(n) => out.push_bind_param::<BigInt, i64>(n)?,
                    Value::Text(text) => out.push_bind_param::<Text, str>(text)?,
                    Value::Null => out.push_bind_param::<Nullable<BigInt>, Option<i64>>(&None)?,
                }
            }
        }
        out.push_sql(")");
        Ok(())
    }
}

impl QueryId for Insert<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Insert<'_> {
    type SqlType = Untyped;
}

impl RunQueryDsl<MysqlConnection> for Insert<'_> {}

fn insert(
    connection: &mut MysqlConnection,
    table: &str,
    values: &[Values],
    transaction: usize,
) -> anyhow::Result<()> {
    for Values { columns, rows } in values {
        let head = format!("INSERT INTO `{table}` ({}) VALUES ", columns.join(","));
        for many in rows.chunks(transaction) {
            connection.transaction(|connection| {
                for rows in many.chunks(1000) {
                    Insert { head: head.clone(), rows }.execute(connection)?;
                }
                Ok::<_, diesel::result::Error>(())
            })?;
        }
    }
    Ok(())
}

/// Ingests bundles, and puts the rows that came of them into other tables of the same shape by the bare loop.
fn ingested(args: &Args, server: &PrivateMariadb, store: &dyn Store) -> anyhow::Result<()> {
    const SAMPLES: u32 = 150;
    let dir = tempfile::tempdir()?;
    for i in 0..args.bundles {
        let frames = Machine::OFFICE.frames(u64::from(i) + 1, i * SAMPLES, SAMPLES);
        let sealed = v2::seal(&frames, true, &Closing::default())?;
        fs::write(dir.path().join(sealed.name), sealed.tar)?;
    }
    let inbox = Inbox::new(dir.path(), 1 << 30);
    let (mut ours, mut bare, mut rows) = (Vec::new(), Vec::new(), 0);
    for round in 0..args.rounds {
        let cid = add(store, &format!("bundles-{round}"))?;
        let mut writer = store.write(&cid)?;
        let start = Instant::now();
        rows = ingest(&mut *writer, &cid, &inbox, &Options::default(), &mut |_, _| ())?.rows;
        ours.push(rows as f64 / start.elapsed().as_secs_f64());
        let ledger = writer.ledger()?;
        let tables = ledger.live().next().context("no slice")?.tables.clone();
        let mut values = Vec::new();
        for table in &tables {
            values.extend(read_back(&mut *writer, table)?);
        }
        let (from, to) = (WallMicros(1_000_000_000_000_000), WallMicros(1_000_003_600_000_000));
        let id = writer.create_triad(Level::Slice, false, from, to, ZoneOffset::UTC)?;
        let ledger = writer.ledger()?;
        let empty = ledger.triads.iter().find(|t| t.id == id).context("no triad was made")?;
        let mut connection = connect(server, &cid)?;
        let share = values.iter().map(|v| v.rows.len()).sum::<usize>() / args.bundles.max(1) as usize;
        let start = Instant::now();
        for (table, values) in empty.tables.iter().zip(values.chunks(1)) {
            insert(&mut connection, table, values, share)?;
        }
        bare.push(rows as f64 / start.elapsed().as_secs_f64());
    }
    println!("{} bundles of 45 s, {rows} rows, one transaction each, rows a second, median:", args.bundles);
    let (ours, bare) = (median(ours), median(bare));
    let real_time = ours / rows as f64 * 45.0 * f64::from(args.bundles);
    println!(
        "  ingest {ours:8.0}  ({real_time:.0} × real time)\n  bare   {bare:8.0}\n  ratio  {:8.2}",
        ours / bare
    );
    Ok(())
}
