//! Synthetic triads: a record of any size, put into a store as if it had been ingested and merged, as fast as the store takes it.
//!
//! A slot holds one fact at a time. At each edge between two triads the fact of a slot goes on with the given chance; else it
//! ended in the one and another began in the other. So the share that goes on is what merging has to stitch. Of facts that both
//! begin and end within a triad 15 of 16 take a minute at most.

use crate::{BOOT, RUN};
use pofr_core::{
    coverage::Span,
    digest::Sha256,
    fact::{
        Endpoint, EndpointDetails, EndpointKey, Fact, FactKind, FileDetails, FileKey, FileMode, Files, Ids,
        Namespaces, OpenFile, Process, ProcessDetails, ProcessKey, ProcessMarks, SocketId, TcpState,
        Transport,
    },
    identity::{BundleSeq, Cid, Entity, Pid, StartTicks},
    lifetime::{Lifetime, Row},
    merge::order,
    raw::Reading,
    source::Source,
    store::{
        BundleEntry, BundleFormat, Change, ClientStore, Level, StoreError, StoredBundle, TableRef, TriadId,
    },
    time::{WallMicros, ZoneOffset},
};

/// What to make.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// What the triads are: slices or archives.
    pub level: Level,
    /// How many triads.
    pub triads: u32,
    /// Rows of each: processes, files, endpoints.
    pub rows: [u32; 3],
    /// The share of facts that go on from one triad to the next, per mille.
    pub continuing: u32,
    /// How many bundles each triad is of, each of 45 s.
    pub bundles: u32,
    /// The seed of the dice.
    pub seed: u64,
}

/// One bundle, µs.
const BUNDLE: i64 = 45_000_000;
/// From one sample to the next, µs.
const INTERVAL: i64 = 300_000;
/// Rows written at a time.
const BATCH: usize = 10_000;

/// Appends what `shape` says to a client's record; calls `done` after each triad.
///
/// # Errors
/// Where the store refuses.
pub fn load(
    store: &mut dyn ClientStore,
    cid: &Cid,
    shape: &Shape,
    done: &mut dyn FnMut(u32),
) -> Result<(), StoreError> {
    let ledger = store.ledger()?;
    let last = ledger.bundles.iter().map(|b| b.entry.last).max();
    let begin = last.map_or(WallMicros(1_700_000_000_000_000), |last| WallMicros(last.0 + INTERVAL));
    let mut seq = ledger.bundles.iter().map(|b| b.entry.seq.0).max().unwrap_or(0);
    // A later call makes facts of its own.
    let generation = u32::try_from(ledger.triads.len()).unwrap_or(u32::MAX) * 1000;
    let mut slots: [Vec<u32>; 3] = shape.rows.map(|n| vec![generation; n as usize]);
    let length = i64::from(shape.bundles) * BUNDLE;
    for n in 0..shape.triads {
        let from = WallMicros(begin.0 + i64::from(n) * length);
        let to = WallMicros(from.0 + length - INTERVAL);
        let triad = store.create_triad(shape.level, false, from, to, ZoneOffset::UTC)?;
        for (index, kind) in FactKind::TRIAD.into_iter().enumerate() {
            let edges = (n > 0, n + 1 < shape.triads);
            let mut rows = rows(shape, kind, &mut slots[index], generation + n, (from, to), edges);
            rows.sort_by_cached_key(order);
            for batch in rows.chunks(BATCH) {
                store.fill(TableRef { triad: Some(triad), kind }, batch)?;
            }
        }
        let bundles = (0..shape.bundles)
            .map(|b| {
                seq += 1;
                bundle(cid, triad, seq, WallMicros(from.0 + i64::from(b) * BUNDLE))
            })
            .collect();
        store.commit(&Change { bundles, make_live: vec![triad], ..Change::default() })?;
        done(n + 1);
    }
    Ok(())
}

/// Makes so many file rows, in the order of merging.
#[must_use]
pub fn file_rows(rows: u32) -> Vec<Row> {
    let shape =
        Shape { level: Level::Archive, triads: 1, rows: [0, rows, 0], continuing: 0, bundles: 80, seed: 1 };
    let (from, to) = (WallMicros(1_700_000_000_000_000), WallMicros(1_700_003_600_000_000));
    let mut made =
        self::rows(&shape, FactKind::File, &mut vec![0; rows as usize], 0, (from, to), (false, false));
    made.sort_by_cached_key(order);
    made
}

/// Makes one table's rows. `slots` say in which triad the fact that each holds was born.
fn rows(
    shape: &Shape,
    kind: FactKind,
    slots: &mut [u32],
    now: u32,
    (from, to): (WallMicros, WallMicros),
    (has_left, has_right): (bool, bool),
) -> Vec<Row> {
    let mut rows = Vec::with_capacity(slots.len());
    for (slot, born) in (0u32..).zip(slots) {
        let dice = roll(shape.seed, kind, slot, now);
        let cut_left = has_left && *born < now;
        let cut_right = has_right && dice % 1000 < u64::from(shape.continuing);
        let middle = from.0 + (to.0 - from.0) / 2;
        // Those that begin here do so in the first half, those that end here in the second, but most that do both are short.
        let length = (to.0 - from.0) / 2;
        let at = |part: u64| (part % 4096) as i64 * (length / 4096) / INTERVAL * INTERVAL;
        let first = if cut_left { from.0 } else { from.0 + INTERVAL + at(dice >> 10) };
        let last = if cut_right {
            to.0
        } else if dice >> 60 != 0 && !cut_left {
            first + (dice >> 30) as i64 % 200 * INTERVAL
        } else {
            middle + at(dice >> 22)
        };
        let last = last.clamp(first, to.0);
        let life = Lifetime {
            first_seen: Some(WallMicros(first)),
            last_seen: Some(WallMicros(last)),
            appeared_after: (!cut_left).then_some(WallMicros(first - INTERVAL)),
            gone_by: (!cut_right).then_some(WallMicros(last + INTERVAL)),
            cut_left,
            cut_right,
            ..Lifetime::default()
        };
        let fact = fact(kind, slot, *born, shape.rows[0].max(1));
        rows.push(Row { run: RUN, zone: ZoneOffset::UTC, digest: fact.digest(), life, fact });
        if !cut_right {
            *born = now + 1;
        }
    }
    rows
}

/// splitmix64 (Steele, Lea, Flood 2014) over what there is to tell apart.
fn roll(seed: u64, kind: FactKind, slot: u32, now: u32) -> u64 {
    let mut z = seed ^ (kind as u64) << 60 ^ u64::from(slot) << 24 ^ u64::from(now);
    z = z.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn fact(kind: FactKind, slot: u32, born: u32, processes: u32) -> Fact {
    let entity = |i: u32, born: u32| Entity::Started {
        boot: BOOT,
        pid: Pid(1000 + i),
        start: StartTicks(u64::from(born) * 100_000 + u64::from(i)),
    };
    let ids = Ids::of([1000; 4]);
    match kind {
        FactKind::Process => Fact::from(Process {
            key: ProcessKey {
                entity: entity(slot, born),
                ppid: Pid(1),
                ids,
                comm: format!("worker-{}", slot % 50).as_str().into(),
                arguments: Some(format!("/usr/lib/app/worker\0--slot={slot}\0").as_str().into()),
                exe: Reading::Known("/usr/lib/app/worker".into()),
                cwd: Reading::Known("/var/lib/app".into()),
                session: 1000,
                tty: 0,
                login_uid: None,
                cgroup: Reading::Known("0::/system.slice/app.service\n".into()),
                namespaces: Reading::Known(Namespaces::default()),
                zombie: false,
                files: Files::Read,
                marks: ProcessMarks::default(),
            },
            details: ProcessDetails::default(),
        }),
        FactKind::File => Fact::File(OpenFile {
            key: FileKey {
                entity: entity(slot % processes, 0),
                fd: slot / processes,
                path: format!("/var/lib/app/data/{slot}/segment-{born:04}.db").as_str().into(),
                mode: FileMode::ReadWrite,
                deleted: false,
            },
            details: FileDetails { ppid: Some(Pid(1)), ids: Some(ids), comm: Some("worker".into()) },
        }),
        _ => {
            let octets = slot.to_be_bytes();
            Fact::from(Endpoint {
                key: EndpointKey {
                    transport: Transport::Tcp,
                    local: ([10, 0, 0, 1], 443).into(),
                    remote: ([10, octets[1], octets[2], octets[3]], 40_000).into(),
                    state: TcpState::Established,
                    socket: SocketId::Cookie(u64::from(born) << 32 | u64::from(slot)),
                    netns: Some(4_026_531_840),
                    holder: Some(entity(slot % processes, 0)),
                },
                details: EndpointDetails {
                    uid: Some(33),
                    inode: Some(u64::from(slot) + 100_000),
                    ..EndpointDetails::default()
                },
            })
        }
    }
}

fn bundle(cid: &Cid, triad: TriadId, seq: u64, first: WallMicros) -> StoredBundle {
    let last = WallMicros(first.0 + BUNDLE - INTERVAL);
    let sha256 = Sha256::of(format!("{cid} {seq}").as_bytes());
    let span = |source| Span { source, first, last, joins_left: true, joins_right: true };
    StoredBundle {
        entry: BundleEntry {
            cid: Some(cid.clone()),
            sha256,
            name: format!("{:016}#+0000#{sha256}.tar", last.0),
            format: BundleFormat::V2,
            seq: BundleSeq(seq),
            previous: None,
            run: RUN,
            boot: BOOT,
            zone: ZoneOffset::UTC,
            first,
            last,
            interval_micros: INTERVAL.cast_unsigned(),
            samples: 300,
            left_out: 0,
            complete: true,
            streamed: false,
            received: last,
        },
        spans: vec![span(Source::Process), span(Source::Endpoint)],
        gaps: Vec::new(),
        triad,
    }
}
