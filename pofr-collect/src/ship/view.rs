//! The spool as the shipper sees it: sealed bundles by their numbers, the open one as a file that grows. It only reads; what
//! the server has it says in `.acked`.

use crate::spool::ACKED;
use pofr_core::{
    identity::{BundleSeq, RunId},
    wire::{
        link::Splice,
        v2::{Decoder, layout},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// A stream's header has no more bytes than this.
const HEADER_BYTES: u64 = 1 << 20;

/// A sealed bundle that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its file name.
    pub name: String,
    /// Bytes of the tar.
    pub size: u64,
    /// Its run, its number, and where its records stand.
    pub splice: Splice,
}

/// The bundle that is being written.
#[derive(Debug)]
pub struct OpenBundleView {
    /// Its run.
    pub run: RunId,
    /// Its number.
    pub seq: BundleSeq,
    /// Its frames; what is behind the end is still to come.
    pub file: File,
}

/// A spool to be read.
#[derive(Debug)]
pub struct SpoolView {
    dir: PathBuf,
    /// What is known of the sealed bundles, by name; `None` of one that is none.
    known: BTreeMap<String, Option<Waiting>>,
    /// When the directory had changed last, as of the last listing: seconds, nanoseconds.
    listed: Option<(i64, i64)>,
    /// Those that the server has.
    acked: HashSet<String>,
}

impl SpoolView {
    /// Looks at the spool in `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), known: BTreeMap::new(), listed: None, acked: HashSet::new() }
    }

    /// Returns the sealed bundles that the server does not have, by their numbers. A directory that is not there is an empty one.
    ///
    /// # Errors
    /// Where the spool cannot be read.
    pub fn sealed(&mut self) -> io::Result<Vec<Waiting>> {
        self.list()?;
        let mut waiting: Vec<Waiting> =
            self.known.values().flatten().filter(|w| !self.acked.contains(&w.name)).cloned().collect();
        waiting.sort_by(|a, b| (a.splice.seq, &a.name).cmp(&(b.splice.seq, &b.name)));
        Ok(waiting)
    }

    /// Says that the server has a bundle: the recorder will remove it.
    ///
    /// # Errors
    /// Where that cannot be said. It is remembered all the same.
    pub fn acknowledge(&mut self, name: &str) -> io::Result<()> {
        self.acked.insert(name.to_owned());
        let path = self.dir.join(ACKED).join(name);
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o644).open(path).map(drop)
    }

    /// Opens a sealed bundle.
    ///
    /// # Errors
    /// `NotFound` where it is gone: the spool was full.
    pub fn read(&self, waiting: &Waiting) -> io::Result<File> {
        File::open(self.dir.join(&waiting.name))
    }

    /// Returns the bundle that is being written, unless it is `than`; `None` where there is none, or nothing of it is written yet.
    ///
    /// # Errors
    /// Where the spool cannot be read.
    pub fn open_other(&self, than: Option<BundleSeq>) -> io::Result<Option<OpenBundleView>> {
        let dir = self.dir.join(".open");
        let entries = match std::fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let seq = |path: &Path| {
            let is_frames = path.extension().is_some_and(|e| e == "frames");
            is_frames.then(|| path.file_stem()?.to_str()?.parse::<u64>().ok())?
        };
        let newest = entries.filter_map(|e| Some(e.ok()?.path())).filter_map(|p| Some((seq(&p)?, p))).max();
        let Some((seq, path)) = newest.filter(|(seq, _)| Some(BundleSeq(*seq)) != than) else {
            return Ok(None);
        };
        let file = match File::open(path) {
            // It was sealed just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut begin = Vec::new();
        file.try_clone()?.take(HEADER_BYTES).read_to_end(&mut begin)?;
        let header = Decoder::new(&begin, u64::MAX).ok().map(|decoder| decoder.header().clone());
        let header = header.filter(|header| header.seq.0 == seq);
        Ok(header.map(|header| OpenBundleView { run: header.run, seq: header.seq, file }))
    }

    /// Lists the directory, where it has changed.
    fn list(&mut self) -> io::Result<()> {
        let found = match self.dir.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.known.clear();
                return Ok(());
            }
            other => other?,
        };
        // A change within the same tick of the kernel's clock as the last listing does not show.
        let (changed, now) = (
            (found.mtime(), found.mtime_nsec()),
            rustix::time::clock_gettime(rustix::time::ClockId::Realtime),
        );
        if self.listed == Some(changed) {
            return Ok(());
        }
        let mut names = BTreeSet::new();
        for entry in std::fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            names.extend(name.to_str().filter(|name| name.ends_with(".tar")).map(str::to_owned));
        }
        self.known.retain(|name, _| names.contains(name));
        for name in names {
            if self.known.contains_key(&name) {
                continue;
            }
            match self.look(&name) {
                Ok(found) => {
                    self.known.insert(name, found);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(io::Error::new(error.kind(), format!("{name}: {error}"))),
            }
        }
        self.forget_removed();
        self.listed = (now.tv_sec > changed.0 + 1).then_some(changed);
        Ok(())
    }

    /// Looks at a bundle; `None` where it is none.
    fn look(&self, name: &str) -> io::Result<Option<Waiting>> {
        let file = File::open(self.dir.join(name))?;
        let size = file.metadata()?.len();
        let found = match layout(io::BufReader::new(file)) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!("{name} is no bundle and stays where it is: {error}");
                return Ok(None);
            }
        };
        let Some(run) = RunId::parse(&found.manifest.run) else { return Ok(None) };
        let seq = BundleSeq(found.manifest.seq);
        let splice = Splice { run, seq, records_at: found.records_at, records_len: found.records_len };
        Ok(Some(Waiting { name: name.to_owned(), size, splice }))
    }

    /// Takes back what was said of bundles that are gone, and remembers what a shipper before this one said.
    fn forget_removed(&mut self) {
        let Ok(entries) = std::fs::read_dir(self.dir.join(ACKED)) else { return };
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            if self.known.contains_key(&name) {
                self.acked.insert(name);
            } else {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        self.acked.retain(|name| self.known.contains_key(name));
    }
}
