//! What was streamed of a bundle that never came: it is in the record as an incomplete bundle, and makes room for the whole one
//! if that comes after all.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

use pofr_core::{
    Store,
    collector::Closing,
    digest::{KeyDigest, Sha256},
    fact::FactKind,
    identity::{BundleSeq, Cid},
    store::{ActionKind, Ledger, TriadId, chain},
    time::WallMicros,
    wire::{
        name::BundleName,
        v2::{self, Encoder, Limits},
    },
};
use pofr_ingest::{
    Layout, Options, Stop,
    levels::Policy,
    merge,
    service::{self, Keep, Service, Turn, TurnError, Until},
};
use pofr_schema::Access;
use pofr_tests::{
    days::{Days, days},
    record::contents,
    stores::TestStore,
};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

const CID: &str = "days";

/// A bundle whose every record is in a frame of its own, as a recorder flushes them.
struct Whole {
    name: String,
    tar: Vec<u8>,
    frames: Vec<u8>,
    /// Where each frame ends.
    ends: Vec<usize>,
    header: v2::Header,
}

impl Whole {
    fn stream_name(&self) -> String {
        format!("{}-{}.frames", self.header.run, self.header.seq.0)
    }
}

/// Makes the bundles of some days anew, flushed often, in a chain.
fn flushed(days: &Days) -> Vec<Whole> {
    let mut previous = None;
    days.bundles
        .iter()
        .map(|path| {
            let bundle = v2::open(&fs::read(path).unwrap(), Limits::default()).unwrap();
            let header = v2::Header { previous, ..bundle.header.clone() };
            let mut encoder = Encoder::new(&header);
            let mut frames = Vec::new();
            for record in bundle.records().unwrap() {
                encoder.push(&record.unwrap());
                frames.extend(encoder.flush().unwrap());
            }
            let sealed = v2::seal(&frames, true, &Closing::default()).unwrap();
            previous = Some(sealed.sha256);
            let ends = v2::frame_ends(&frames);
            assert_eq!(ends.last(), Some(&frames.len()));
            Whole { name: sealed.name, tar: sealed.tar, frames, ends, header }
        })
        .collect()
}

#[derive(Default)]
struct Heard(Mutex<Vec<(String, String)>>);

impl service::Observer for Heard {
    fn waiting(&self, _: u64, _: usize) {}
    fn taken(&self, _: &Cid) {}
    fn merging(&self, _: &Cid, _: pofr_core::store::Level, _: u64, _: u64) {}
    fn turn(&self, _: &Cid, turn: &Turn) {
        self.0.lock().unwrap().extend(turn.ingested.quarantined.iter().cloned());
    }
    fn failed(&self, cid: &Cid, error: &TurnError, _: Duration) {
        panic!("{cid}: {error}");
    }
    fn idle(&self) {}
}

struct Site {
    store: Box<dyn Store>,
    layout: Layout,
    keep: Keep,
}

impl Site {
    fn new(url: &str, dir: &Path) -> Self {
        let store = pofr_schema::open(url, Access::Write).unwrap();
        Self { store, layout: Layout::new(dir), keep: Keep::Forever }
    }

    fn cid() -> Cid {
        Cid::parse(CID).unwrap()
    }

    fn inbox(&self) -> PathBuf {
        self.layout.inbox_dir(&Self::cid())
    }

    fn send(&self, whole: &Whole) {
        fs::create_dir_all(self.inbox()).unwrap();
        fs::write(self.inbox().join(&whole.name), &whole.tar).unwrap();
    }

    /// Puts bytes where a session streams those of an open bundle to.
    fn stream(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let dir = self.inbox().join(".open");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(name), bytes).unwrap();
        dir.join(name)
    }

    /// Takes in what there is; returns what was put in quarantine, and why.
    fn ingest(&self, give_up: Duration) -> Vec<(String, String)> {
        let service = Service {
            give_up,
            store: &*self.store,
            layout: self.layout.clone(),
            options: Options::default(),
            policy: Policy::default(),
            keep: self.keep,
            who: "tests".into(),
            only: None,
        };
        let heard = Heard::default();
        service.run(Until::Empty, &Stop::default(), &heard);
        heard.0.into_inner().unwrap()
    }

    fn ledger(&self) -> Ledger {
        self.store.read(&Self::cid()).unwrap().ledger().unwrap()
    }

    /// Everything in one period, whose rows do not depend on what came when, but for what is said of bundles that were withdrawn.
    fn merged(&self) -> Vec<String> {
        let force = merge::Options { force: true, ..merge::Options::default() };
        let mut writer = self.store.write(&Self::cid()).unwrap();
        merge::archive(&mut *writer, &force, &mut |_, _| {}).unwrap();
        merge::period(&mut *writer, None, &mut |_, _| {}).unwrap();
        drop(writer);
        let all = contents(&mut *self.store.read(&Self::cid()).unwrap());
        all.into_iter().filter(|line| !line.contains(r#""streamed":true"#)).collect()
    }

    /// What held at a moment, for certain.
    fn at(&self, t: WallMicros) -> BTreeSet<KeyDigest> {
        let mut reader = self.store.read(&Self::cid()).unwrap();
        let kinds = [FactKind::Process, FactKind::File];
        let states = kinds.map(|kind| reader.state_at(kind, t).unwrap().certain);
        states.iter().flatten().map(|row| row.digest).collect()
    }
}

/// Long after anything in this test was written.
const NEVER: Duration = Duration::from_secs(3600);

fn on_every_store(test: impl Fn(&dyn Fn(&str) -> Site, &Days, &[Whole])) {
    let dir = tempfile::tempdir().unwrap();
    let days = days(&dir.path().join("days"), 5, 8);
    let wholes = flushed(&days);
    for store in TestStore::all(dir.path()) {
        let count = std::cell::Cell::new(0);
        let site = |name: &str| {
            count.set(count.get() + 1);
            let place = dir.path().join(format!("{}-{}-{name}", store.name(), count.get()));
            fs::create_dir_all(&place).unwrap();
            let site = Site::new(&store.url(), &place);
            // Of each test's sites, one is in use at a time.
            if !site.store.clients().unwrap().is_empty() {
                site.store.remove_client(&Site::cid()).unwrap();
                // Its connections are to what was removed.
                drop(site);
                return Site::new(&store.url(), &place);
            }
            site
        };
        test(&site, &days, &wholes);
    }
}

/// What the samples of a bundle's first frames showed.
fn shown(days: &Days, whole: &Whole, frames: usize) -> Vec<(WallMicros, BTreeSet<KeyDigest>)> {
    let first = whole.header.opened_wall;
    days.shown.range(first..).take(frames).map(|(t, facts)| (*t, facts.clone())).collect()
}

#[test]
fn what_was_streamed_is_replayed_and_makes_room_for_the_whole() {
    on_every_store(|site, days, wholes| {
        let reference = site("reference");
        wholes.iter().for_each(|whole| reference.send(whole));
        reference.ingest(NEVER);
        let wanted = reference.merged();
        for merge_between in [false, true] {
            let site = site("streamed");
            wholes[..2].iter().for_each(|whole| site.send(whole));
            // Four frames and a piece of the fifth had come when the machine was gone.
            let cut = wholes[2].ends[3] + 5;
            let stream = site.stream(&wholes[2].stream_name(), &wholes[2].frames[..cut]);
            assert_eq!(site.ingest(NEVER), []);
            assert!(stream.exists(), "it may still go on");
            assert_eq!(site.ledger().bundles.len(), 2);
            assert_eq!(site.ingest(Duration::ZERO), []);
            assert!(!stream.exists());
            let ledger = site.ledger();
            let streamed = ledger.bundles.iter().find(|b| b.entry.streamed).unwrap();
            assert!(!streamed.entry.complete && streamed.entry.seq == BundleSeq(3));
            assert_eq!(chain::faults(&ledger), []);
            for (t, facts) in shown(days, &wholes[2], 4) {
                assert_eq!(site.at(t), facts, "replayed at {t}");
            }
            let gaps = pofr_core::gap::of(&ledger);
            assert!(gaps.iter().any(|gap| gap.reason.contains("as it was streamed")), "{gaps:?}");
            assert!(!gaps.iter().any(|gap| gap.reason.contains("missing")), "{gaps:?}");
            if merge_between {
                site.merged();
            }
            wholes[2..].iter().for_each(|whole| site.send(whole));
            assert_eq!(site.ingest(NEVER), []);
            let found = site.merged();
            let differing: Vec<_> = found.iter().filter(|line| !wanted.contains(line)).collect();
            assert_eq!(found, wanted, "as if it had never been streamed; {merge_between}, {differing:#?}");
            let ledger = site.ledger();
            assert_eq!(chain::faults(&ledger), []);
            assert!(ledger.actions.iter().any(|action| action.kind == ActionKind::Withdraw));
            assert!(ledger.bundles.iter().all(|b| !b.entry.streamed || b.triad == TriadId::NONE));
            let kept: BTreeSet<Sha256> = site.layout.kept(&Site::cid()).all().unwrap().into_keys().collect();
            let names = wholes.iter().map(|w| w.name.parse::<BundleName>().unwrap().sha256);
            assert_eq!(kept, names.collect(), "nor among the kept bundles");
        }
    });
}

#[test]
fn a_rewritten_past_is_refused() {
    on_every_store(|site, days, wholes| {
        let site = site("rewritten");
        wholes[..2].iter().for_each(|whole| site.send(whole));
        site.stream(&wholes[2].stream_name(), &wholes[2].frames[..wholes[2].ends[3]]);
        site.ingest(Duration::ZERO);
        // The same bundle, but for something that happened in its first samples.
        let mut encoder = Encoder::new(&wholes[2].header);
        let original = v2::open(&wholes[2].tar, Limits::default()).unwrap();
        let mut frames = Vec::new();
        for (i, record) in original.records().unwrap().enumerate() {
            let mut record = record.unwrap();
            if let (0, pofr_core::record::Record::Sample(sample)) = (i, &mut record) {
                sample.span_micros += 1;
            }
            encoder.push(&record);
            frames.extend(encoder.flush().unwrap());
        }
        let forged = v2::seal(&frames, true, &Closing::default()).unwrap();
        fs::write(site.inbox().join(&forged.name), &forged.tar).unwrap();
        let quarantined = site.ingest(NEVER);
        assert!(
            matches!(&quarantined[..], [(_, why)] if why.contains("or one was forged")),
            "{quarantined:?}: {:#?}",
            site.ledger().bundles.iter().map(|b| &b.entry).collect::<Vec<_>>()
        );
        for (t, facts) in shown(days, &wholes[2], 4) {
            assert_eq!(site.at(t), facts, "what was streamed stands");
        }
        // The other way round: what was streamed is not what the stored bundle begins with.
        let later = site;
        later.send(&wholes[2]);
        assert_eq!(later.ingest(NEVER), [], "the true one is taken");
        later.stream(&wholes[2].stream_name(), &frames[..wholes[2].ends[3]]);
        later.ingest(Duration::ZERO);
        let faults = chain::faults(&later.ledger());
        assert!(matches!(faults[..], [chain::Fault::Fork { seq: BundleSeq(3), .. }]), "{faults:?}");
    });
}

#[test]
fn what_is_left_of_a_stream_whose_bundle_is_stored_changes_nothing() {
    on_every_store(|site, _, wholes| {
        for keep in [Keep::Forever, Keep::No] {
            let site = Site { keep, ..site("left") };
            wholes[..3].iter().for_each(|whole| site.send(whole));
            site.ingest(NEVER);
            let before = site.ledger();
            for end in [wholes[2].ends[2], wholes[2].frames.len()] {
                let stream = site.stream(&wholes[2].stream_name(), &wholes[2].frames[..end]);
                assert_eq!(site.ingest(Duration::ZERO), []);
                assert!(!stream.exists());
                assert_eq!(site.ledger().bundles, before.bundles);
            }
        }
    });
}

#[test]
fn hostile_streams_go_to_quarantine() {
    on_every_store(|site, _, wholes| {
        let site = site("hostile");
        site.send(&wholes[0]);
        let name = wholes[1].stream_name();
        let outside = site.inbox().join("../outside");
        fs::write(&outside, &wholes[1].frames).unwrap();
        let other = v2::Header { cid: Cid::parse("another").unwrap(), ..wholes[1].header.clone() };
        let others = Encoder::new(&other).flush().unwrap();
        let table: [(&str, &dyn Fn(), &str); 5] = [
            (
                "a link",
                &|| symlink(&outside, site.inbox().join(".open").join(&name)).unwrap(),
                "cannot be read",
            ),
            (
                "a second link",
                &|| fs::hard_link(&outside, site.inbox().join(".open").join(&name)).unwrap(),
                "one link",
            ),
            ("noise", &|| drop(site.stream(&name, b"no frames at all")), "no whole frame"),
            ("another client's", &|| drop(site.stream(&name, &others)), "of client another"),
            (
                "another bundle's",
                &|| drop(site.stream(&wholes[2].stream_name(), &wholes[1].frames)),
                "is bundle 2 of run",
            ),
        ];
        fs::create_dir_all(site.inbox().join(".open")).unwrap();
        for (what, make, why) in table {
            make();
            let quarantined = site.ingest(Duration::ZERO);
            assert!(
                quarantined.len() == 1 && quarantined[0].1.contains(why),
                "{what}: {quarantined:?}, not {why}"
            );
            assert_eq!(fs::read_dir(site.inbox().join(".open")).unwrap().count(), 0, "{what}");
            assert_eq!(site.ledger().bundles.len(), 1, "{what}");
        }
        let stream = site.stream(&name, b"");
        assert_eq!(site.ingest(Duration::ZERO), [], "nothing came of it, and that is all");
        assert!(!stream.exists());
        assert_eq!(fs::read(&outside).unwrap(), wholes[1].frames, "what a link points at is left alone");
    });
}

#[test]
fn a_bomb_is_cut_off_at_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let wholes = flushed(&days(dir.path(), 1, 4));
    let whole = &wholes[0];
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 1).unwrap();
    let v2::Salvaged { good, header, .. } = v2::salvage_within(&[&whole.frames[..], &bomb].concat(), 1 << 20);
    assert_eq!((good, header), (whole.frames.len(), Some(whole.header.clone())));
}

#[test]
fn the_address_of_the_last_session_is_written_down() {
    on_every_store(|site, _, wholes| {
        let site = site("address");
        site.send(&wholes[0]);
        site.ingest(NEVER);
        let last_ip = || site.store.clients().unwrap()[0].last_ip.clone();
        assert_eq!(last_ip(), None);
        let note = |ip: &str| {
            let text = format!(r#"{{"ip":"{ip}","since":1,"software":"pofrc"}}"#);
            fs::write(site.inbox().join(".session.json"), text).unwrap();
            site.ingest(NEVER);
        };
        note("2001:db8::7");
        assert_eq!(last_ip().as_deref(), Some("2001:db8::7"));
        note("192.0.2.1'; DROP TABLE lhlttable; --");
        assert_eq!(last_ip().as_deref(), Some("2001:db8::7"), "what is no address is not written");
    });
}
