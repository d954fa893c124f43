//! Random machines: what their recorder sees, tick by tick, and ([`play`]) the bundles that come of it.

mod play;

pub use play::{Bundle, Happened, RunLog, play};

use pofr_core::{
    fact::{
        Endpoint, EndpointDetails, EndpointKey, Fact, FileDetails, FileKey, FileMode, Files, Ids, OpenFile,
        Process, ProcessDetails, ProcessKey, ProcessMarks, SocketId, TcpState, Transport,
    },
    identity::{BootId, Entity, Pid, StartTicks},
    raw::Reading,
};
use proptest::prelude::*;

/// How many processes there can be; each has two programs and two files.
pub const PROCESSES: u32 = 4;
/// How many endpoints there can be.
pub const ENDPOINTS: u16 = 4;

/// One thing that happens to a recorder.
#[derive(Clone, Debug)]
pub enum Step {
    /// It samples: which processes are there and how, which endpoints. `None`: that sampler failed.
    Tick {
        /// The processes.
        processes: Option<Vec<Seen>>,
        /// The endpoints' ports.
        endpoints: Option<Vec<u16>>,
    },
    /// An event source tells.
    Event {
        /// What it says.
        what: What,
        /// Of which fact.
        fact: Box<Fact>,
    },
}

/// A process as a sample shows it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its process id.
    pub pid: u32,
    /// Which of two programs it runs.
    pub program: u8,
    /// Whether its files can be read.
    pub readable: bool,
    /// Which of two files it has open.
    pub files: [bool; 2],
}

/// One run of a recorder.
#[derive(Clone, Debug)]
pub struct Run {
    /// Whether the machine was booted anew before it.
    pub new_boot: bool,
    /// How far the wall clock jumped before it, µs; may be back.
    pub jump: i64,
    /// What happens, and whether the recorder would like to begin a bundle there.
    pub steps: Vec<(Step, bool)>,
}

/// What a fake event source says at a moment.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// The fact began.
    Began,
    /// The fact ended.
    Ended,
    /// The fact came and went.
    Passed,
}

fn entity(boot: BootId, pid: u32) -> Entity {
    Entity::Started { boot, pid: Pid(pid), start: StartTicks(u64::from(pid) * 100) }
}

/// Makes a process fact.
#[must_use]
pub fn process(boot: BootId, seen: &Seen) -> Fact {
    Fact::from(Process {
        key: ProcessKey {
            entity: entity(boot, seen.pid),
            ppid: Pid(1),
            ids: Ids::of([0; 4]),
            comm: if seen.program == 0 { "sh".into() } else { "vi".into() },
            arguments: Some(format!("sh\0-c\0curl http://h/{}", seen.pid).as_str().into()),
            exe: Reading::Absent,
            cwd: Reading::Denied,
            session: 1,
            tty: 0,
            login_uid: None,
            cgroup: Reading::Unknown,
            namespaces: Reading::Absent,
            zombie: false,
            files: if seen.readable { Files::Read } else { Files::Denied },
            marks: ProcessMarks::default(),
        },
        details: ProcessDetails::default(),
    })
}

/// Makes a file fact.
#[must_use]
pub fn file(boot: BootId, pid: u32, fd: u32) -> Fact {
    Fact::File(OpenFile {
        key: FileKey {
            entity: entity(boot, pid),
            fd,
            path: format!("/tmp/{pid}/{fd}").as_str().into(),
            mode: FileMode::Read,
            deleted: false,
        },
        details: FileDetails::default(),
    })
}

/// Makes an endpoint fact.
#[must_use]
pub fn endpoint(port: u16) -> Fact {
    Fact::from(Endpoint {
        key: EndpointKey {
            transport: Transport::Tcp,
            local: ([127, 0, 0, 1], port).into(),
            remote: ([0, 0, 0, 0], 0).into(),
            state: TcpState::Listen,
            socket: SocketId::Cookie(port.into()),
            netns: None,
            holder: None,
        },
        details: EndpointDetails { uid: Some(0), ..EndpointDetails::default() },
    })
}

/// Returns the facts of one reading.
#[must_use]
pub fn facts(boot: BootId, processes: &[Seen]) -> Vec<Fact> {
    let mut facts = Vec::new();
    for seen in processes {
        facts.push(process(boot, seen));
        for (fd, open) in (0..).zip(seen.files) {
            if open && seen.readable {
                facts.push(file(boot, seen.pid, fd));
            }
        }
    }
    facts
}

fn seen() -> impl Strategy<Value = Vec<Seen>> {
    let one = (any::<bool>(), 0..2u8, prop::bool::weighted(0.85), any::<[bool; 2]>());
    prop::collection::vec(one, PROCESSES as usize).prop_map(|all| {
        let there = (1..).zip(all).filter(|(_, (there, ..))| *there);
        there.map(|(pid, (_, program, readable, files))| Seen { pid, program, readable, files }).collect()
    })
}

fn step() -> impl Strategy<Value = Step> {
    let boot = BootId([1; 16]);
    let any_fact = prop_oneof![
        (1..=PROCESSES, 0..2u8).prop_map(move |(pid, program)| {
            process(boot, &Seen { pid, program, readable: true, files: [false; 2] })
        }),
        (1..=PROCESSES, 0..2u32).prop_map(move |(pid, fd)| file(boot, pid, fd)),
        (1..=ENDPOINTS).prop_map(endpoint),
    ];
    let ports = prop::collection::btree_set(1..=ENDPOINTS, 0..=ENDPOINTS as usize);
    prop_oneof![
        5 => (prop::option::weighted(0.95, seen()), prop::option::weighted(0.95, ports)).prop_map(|(processes, ports)| {
            Step::Tick { processes, endpoints: ports.map(|p| p.into_iter().collect()) }
        }),
        2 => (prop::sample::select(vec![What::Began, What::Ended, What::Passed]), any_fact)
            .prop_map(|(what, fact)| Step::Event { what, fact: Box::new(fact) }),
    ]
}

/// Makes up a machine's history.
pub fn history() -> impl Strategy<Value = Vec<Run>> {
    let run = (
        any::<bool>(),
        -3_000_000i64..3_000_000,
        prop::collection::vec((step(), prop::bool::weighted(0.3)), 1..24),
    );
    prop::collection::vec(run, 1..4).prop_map(|runs| {
        runs.into_iter().map(|(new_boot, jump, steps)| Run { new_boot, jump, steps }).collect()
    })
}
