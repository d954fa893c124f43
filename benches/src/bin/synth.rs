//! `synth`: makes a synthetic record in a store, to measure merging and queries on.

use anyhow::{Context as _, anyhow};
use clap::Parser;
use pofr_benches::synth::{Shape, load};
use pofr_core::{
    identity::Cid,
    store::{ClientEntry, Level, StoreError},
    time::WallMicros,
};
use pofr_schema::Access;
use std::time::Instant;

/// Appends synthetic triads to a client's record
#[derive(Parser)]
struct Args {
    /// The store: sqlite:DIR or mysql://…
    #[arg(long)]
    db: String,
    /// The client, made where it is not there
    #[arg(long, default_value = "synth")]
    client: String,
    /// How many triads
    #[arg(long, default_value_t = 10)]
    archives: u32,
    /// Slices instead of archives
    #[arg(long)]
    slices: bool,
    /// File rows of each
    #[arg(long, default_value_t = 130_000)]
    files: u32,
    /// Process rows of each
    #[arg(long, default_value_t = 20_000)]
    processes: u32,
    /// Endpoint rows of each
    #[arg(long, default_value_t = 5_000)]
    endpoints: u32,
    /// The share of facts that go on from each to the next, per cent
    #[arg(long, default_value_t = 80.0)]
    continuing: f64,
    /// How many bundles of 45 s each is of
    #[arg(long, default_value_t = 640)]
    bundles: u32,
    /// The seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let shape = Shape {
        level: if args.slices { Level::Slice } else { Level::Archive },
        triads: args.archives,
        rows: [args.processes, args.files, args.endpoints],
        continuing: (args.continuing * 10.0) as u32,
        bundles: args.bundles,
        seed: args.seed,
    };
    let cid = Cid::parse(&args.client).ok_or_else(|| anyhow!("{} is no client id", args.client))?;
    let store = pofr_schema::open(&args.db, Access::Write)?;
    let client = ClientEntry {
        cid: cid.clone(),
        uuid: "synth".into(),
        ciduser: format!("{:032}", args.seed),
        last_ip: None,
        registered: WallMicros(0),
    };
    match store.add_client(&client) {
        Ok(()) | Err(StoreError::ClientExists(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let start = Instant::now();
    let mut writer = store.write(&cid)?;
    load(&mut *writer, &cid, &shape, &mut |n| eprint!("\r{n} of {}", shape.triads)).context("cannot load")?;
    let rows = u64::from(shape.triads) * shape.rows.iter().copied().map(u64::from).sum::<u64>();
    let seconds = start.elapsed().as_secs_f64();
    eprintln!(
        "\r{rows} rows in {} triads: {seconds:.1} s, {:.0} rows/s",
        shape.triads,
        rows as f64 / seconds
    );
    Ok(())
}
