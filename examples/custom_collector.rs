//! A collector of one's own: what is mounted where. Its facts travel and are stored like the built-in ones.

use pofr_collect::{HostView, Recorder, Registry, Settings, Spool, SpoolSettings, Stop};
use pofr_core::{
    Collector, Source,
    collector::{CollectError, Observation},
    fact::{Custom, Fact},
    raw::RawText,
    record::Record,
    wire::v2,
};
use std::{collections::BTreeMap, error::Error, path::PathBuf, time::Duration};

/// Reads the mount table.
struct Mounts {
    /// `/proc/self/mounts`, or a captured one.
    table: PathBuf,
    source: Source,
}

impl Mounts {
    fn new(view: &HostView) -> Self {
        let source = Source::parse("mounts").expect("a good name");
        Self { table: view.proc_root.join("self/mounts"), source }
    }
}

impl Collector for Mounts {
    fn source(&self) -> Source {
        self.source.clone()
    }

    /// Every five seconds, and at the start of each bundle.
    fn every_micros(&self) -> u64 {
        5_000_000
    }

    fn sample(&mut self, out: &mut Observation) -> Result<(), CollectError> {
        let table = std::fs::read(&self.table).map_err(|cause| CollectError::Unavailable {
            what: format!("cannot read {}", self.table.display()),
            cause,
        })?;
        // One real line: `tmpfs /dev/shm tmpfs rw,nosuid,nodev 0 0`
        for line in table.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            let fields: Vec<RawText> = line.split(|b| *b == b' ').map(RawText::from).collect();
            let [device, point, kind, options, ..] = &fields[..] else {
                return Err(CollectError::Malformed {
                    what: self.table.display().to_string(),
                    detail: format!("no mount: {:?}", RawText::from(line)),
                });
            };
            let attributes = [("device", device), ("kind", kind), ("options", options)];
            out.show(Fact::Custom(Custom {
                source: self.source.clone(),
                name: point.clone(),
                attributes: attributes.map(|(name, value)| (name.to_owned(), value.clone())).into(),
            }));
        }
        Ok(())
    }
}

/// Records for half a second, and reads from the bundle what is mounted.
fn run() -> Result<BTreeMap<String, String>, Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let view = HostView::live()?;
    let registry = Registry::built_in(&view).sampler(Mounts::new(&view));
    let spool = Spool::open(&view, SpoolSettings::beside(dir.path()))?;
    let mut recorder = Recorder::new(view, registry, Settings::default(), spool)?;
    recorder.run(&Stop::new()?, Some(Duration::from_millis(500)))?;

    let mut mounted = BTreeMap::new();
    for path in recorder.into_sink().bundles() {
        let bundle = v2::open(&std::fs::read(path)?, v2::Limits::default())?;
        for record in bundle.records()? {
            let Record::Sample(sample) = record? else { continue };
            for added in sample.added {
                if let Fact::Custom(mount) = added.fact {
                    mounted.insert(mount.name.escaped(), mount.attributes["kind"].escaped());
                }
            }
        }
    }
    Ok(mounted)
}

fn main() -> Result<(), Box<dyn Error>> {
    for (point, kind) in run()? {
        println!("{kind:12} {point}");
    }
    Ok(())
}

#[cfg(test)]
#[test]
fn it_finds_proc_in_the_bundle() {
    assert_eq!(run().unwrap().get("/proc").map(String::as_str), Some("proc"));
}
