//! A machine to measure on: as many processes, files and endpoints as wanted, always the same ones.

use pofr_core::{
    coverage::{PlacedSpan, Succession},
    diff::Differ,
    fact::{
        Endpoint, EndpointDetails, EndpointKey, Fact, FileDetails, FileKey, FileMode, Files, Ids, Namespaces,
        OpenFile, Process, ProcessDetails, ProcessKey, ProcessMarks, SocketId, TcpState, Transport,
    },
    identity::{BootId, BundleSeq, Cid, Entity, Pid, RunId, StartTicks},
    lifetime::{Tracked, Tracker},
    raw::Reading,
    record::{Record, Sample},
    source::Source,
    time::{WallMicros, ZoneOffset},
    wire::v2,
};

/// The run that everything belongs to.
pub const RUN: RunId = RunId([7; 16]);
/// The boot of that run.
pub const BOOT: BootId = BootId([9; 16]);

/// A machine of some size.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// How many processes.
    pub processes: u32,
    /// How many files each.
    pub files: u32,
    /// How many endpoints.
    pub endpoints: u32,
    /// How many processes come and go with each sample.
    pub churn: u32,
}

impl Machine {
    /// The load that MEASURED figures call b: 400 processes × 22 files, 1,000 sockets.
    pub const B: Self = Self { processes: 400, files: 22, endpoints: 1000, churn: 6 };
    /// 300 processes × 20 files and 200 sockets; 20 processes, with their files, and 20 connections come and go each second at
    /// 3.3 Hz.
    pub const OFFICE: Self = Self { processes: 300, files: 20, endpoints: 200, churn: 6 };

    /// Returns the process facts, with their files, of sample number `n`.
    #[must_use]
    pub fn processes(&self, n: u32) -> Vec<Fact> {
        let stay = 0..self.processes - self.churn;
        let come = (0..self.churn).map(|i| self.processes + n * self.churn + i);
        stay.chain(come).flat_map(|i| self.process(i)).collect()
    }

    fn process(&self, i: u32) -> impl Iterator<Item = Fact> + use<> {
        let entity = Entity::Started { boot: BOOT, pid: Pid(1000 + i), start: StartTicks(u64::from(i) * 13) };
        let process = Fact::from(Process {
            key: ProcessKey {
                entity,
                ppid: Pid(1),
                ids: Ids::of([1000; 4]),
                comm: format!("worker-{}", i % 50).as_str().into(),
                arguments: Some(
                    format!("/usr/lib/app/worker-{}\0--slot={i}\0--log=/var/log/app\0", i % 50)
                        .as_str()
                        .into(),
                ),
                exe: Reading::Known(format!("/usr/lib/app/worker-{}", i % 50).as_str().into()),
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
        });
        let files = (0..self.files).map(move |fd| {
            Fact::File(OpenFile {
                key: FileKey {
                    entity,
                    fd,
                    path: format!("/var/lib/app/data/{i}/segment-{fd:04}.db").as_str().into(),
                    mode: FileMode::ReadWrite,
                    deleted: false,
                },
                details: FileDetails::default(),
            })
        });
        std::iter::once(process).chain(files)
    }

    /// Returns the endpoint facts of sample number `n`.
    #[must_use]
    pub fn endpoints(&self, n: u32) -> Vec<Fact> {
        let stay = 0..self.endpoints - self.churn.min(self.endpoints);
        let come = (0..self.churn.min(self.endpoints)).map(|i| self.endpoints + n * self.churn + i);
        let fact = |i: u32| {
            Fact::from(Endpoint {
                key: EndpointKey {
                    transport: Transport::Tcp,
                    local: ([10, 0, 0, 1], 443).into(),
                    remote: ([10, 1, (i >> 8) as u8, i as u8], 40_000).into(),
                    state: TcpState::Established,
                    socket: SocketId::Cookie(i.into()),
                    netns: Some(4_026_531_840),
                    holder: None,
                },
                details: EndpointDetails {
                    uid: Some(33),
                    inode: Some(u64::from(i) + 100_000),
                    ..EndpointDetails::default()
                },
            })
        };
        stay.chain(come).map(fact).collect()
    }

    /// Returns the records of a bundle of so many samples, the first of which is number `from`.
    ///
    /// # Panics
    /// Never: the stamps rise.
    #[must_use]
    pub fn records(&self, from: u32, samples: u32) -> Vec<Record> {
        let mut differ = Differ::default();
        let mut observe = |source: &Source, n: u32, facts: Vec<Fact>| -> Sample {
            differ.observe(source, stamp(n), 1000, facts.into()).expect("stamps rise")
        };
        (from..from + samples)
            .flat_map(|n| {
                [
                    Record::Sample(observe(&Source::Process, n, self.processes(n))),
                    Record::Sample(observe(&Source::Endpoint, n, self.endpoints(n))),
                ]
            })
            .collect()
    }

    /// Returns the stream of such a bundle, as frames of ten records.
    ///
    /// # Panics
    /// Where zstd fails.
    #[must_use]
    pub fn frames(&self, seq: u64, from: u32, samples: u32) -> Vec<u8> {
        let mut encoder = v2::Encoder::new(&header(seq));
        let mut frames = Vec::new();
        for chunk in self.records(from, samples).chunks(10) {
            for record in chunk {
                encoder.push(record);
            }
            frames.extend(encoder.flush().expect("zstd works"));
        }
        frames
    }

    /// Returns such a bundle's rows and spans.
    ///
    /// # Panics
    /// Never: the records are good.
    #[must_use]
    pub fn tracked(&self, seq: u64, from: u32, samples: u32) -> (Tracked, Vec<PlacedSpan>) {
        let mut tracker = Tracker::new(RUN, ZoneOffset::UTC);
        for record in self.records(from, samples) {
            tracker.apply(record).expect("the records are good");
        }
        let tracked = tracker.finish();
        let place = |span: &pofr_core::coverage::Span| PlacedSpan {
            run: RUN,
            boot: BOOT,
            seq: BundleSeq(seq),
            succession: Succession::Numbered,
            group: i64::try_from(seq).unwrap_or(i64::MAX),
            span: span.clone(),
        };
        let spans = tracked.spans.iter().map(place).collect();
        (tracked, spans)
    }
}

/// Returns the stamp of sample number `n`, at 3.3 Hz.
#[must_use]
pub fn stamp(n: u32) -> WallMicros {
    WallMicros(1_700_000_000_000_000 + i64::from(n) * 300_000)
}

/// Returns a header for a bundle.
///
/// # Panics
/// Never: the id is good.
#[must_use]
pub fn header(seq: u64) -> v2::Header {
    v2::Header {
        cid: Cid::parse("bench").expect("a good id"),
        run: RUN,
        boot: BOOT,
        seq: BundleSeq(seq),
        previous: None,
        zone: ZoneOffset::UTC,
        interval_micros: 300_000,
        opened_wall: stamp(0),
        opened_boot_micros: 0,
        recorder_pids: Vec::new(),
        sources: vec![Source::Process, Source::Endpoint],
        missing: Vec::new(),
    }
}
