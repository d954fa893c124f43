//! The client's end: a server in a thread, and one who talks to it.

use pofr_core::{
    digest::Sha256,
    identity::{BundleSeq, Cid, RunId},
    time::{WallMicros, ZoneOffset},
    wire::{
        link::{Down, LinkError, LinkMessage, Reader, Service, Splice, Up, Writer},
        name::BundleName,
    },
};
use pofr_ingest::receive::{Account, Ended, Landing, Patient, Rules, SessionError, serve};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    thread::JoinHandle,
    time::Duration,
};

pub(crate) const CID: &str = "victim-1";

pub(crate) fn account() -> Account {
    serde_json::from_value(serde_json::json!({
        "cid": CID, "ciduser": "c0ffee", "public_key": "", "quota_bytes": 1 << 30
    }))
    .unwrap()
}

/// A name, and the bytes that it names.
pub(crate) fn bundle(stamp: i64, bytes: &[u8]) -> (String, Vec<u8>) {
    let name = BundleName { stamp: WallMicros(stamp), zone: ZoneOffset::UTC, sha256: Sha256::of(bytes) };
    (name.to_string(), bytes.to_vec())
}

/// An inbox.
pub(crate) struct Inbox {
    dir: PathBuf,
    _guard: Option<tempfile::TempDir>,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        let guard = tempfile::tempdir().unwrap();
        Self { dir: guard.path().to_owned(), _guard: Some(guard) }
    }

    pub(crate) fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), _guard: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn landing(&self) -> Landing {
        Landing::open(self.path()).unwrap()
    }

    /// Returns what is not hidden.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        files(self.path()).into_iter().filter(|(name, _)| !name.starts_with('.')).collect()
    }

    /// Returns the streams of open bundles.
    pub(crate) fn streams(&self) -> BTreeMap<String, Vec<u8>> {
        files(&self.path().join(".open"))
    }

    pub(crate) fn parts(&self) -> Vec<String> {
        files(self.path()).into_keys().filter(|name| name.starts_with(".part-")).collect()
    }

    pub(crate) fn stream_path(&self, run: RunId, seq: u64) -> PathBuf {
        self.path().join(format!(".open/{run}-{seq}.frames"))
    }
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries
        .filter(|e| e.file_type().unwrap().is_file())
        .map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap()))
        .collect()
}

/// A session.
pub(crate) struct Client {
    pub(crate) reader: Reader<UnixStream>,
    pub(crate) writer: Writer<Cut>,
    server: JoinHandle<(Result<Ended, SessionError>, Vec<String>)>,
}

/// A way to the server that breaks after so many bytes.
pub(crate) struct Cut {
    stream: UnixStream,
    left: usize,
}

impl Write for Cut {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.left == 0 {
            self.stream.shutdown(Shutdown::Both)?;
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let n = self.stream.write(&bytes[..bytes.len().min(self.left)])?;
        self.left -= n;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Client {
    pub(crate) fn connect(inbox: &Inbox) -> Self {
        Self::connect_with(inbox, account(), Rules::default(), usize::MAX)
    }

    pub(crate) fn connect_with(inbox: &Inbox, account: Account, rules: Rules, cut_after: usize) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let landing = inbox.landing();
        let server = std::thread::spawn(move || {
            let mut lines = Vec::new();
            let up = Patient::new(theirs.try_clone().unwrap(), Duration::from_secs(60), None);
            let result =
                serve(up, &theirs, &account, landing, rules, &mut |line| lines.push(line.to_owned()));
            let _ = theirs.shutdown(Shutdown::Both);
            (result, lines)
        });
        let reader = Reader::new(ours.try_clone().unwrap());
        Self { reader, writer: Writer::new(Cut { stream: ours, left: cut_after }), server }
    }

    pub(crate) fn hello(&mut self) -> Down {
        self.ask(&Up::hello(Service::Receive, &Cid::parse(CID).unwrap(), "test 1"))
    }

    pub(crate) fn try_hello(&mut self) -> Option<Down> {
        self.try_ask(&Up::hello(Service::Receive, &Cid::parse(CID).unwrap(), "test 1"))
    }

    pub(crate) fn say(&mut self, message: &Up) {
        self.writer.write(message).unwrap();
    }

    pub(crate) fn hear(&mut self) -> Down {
        self.reader.read().unwrap().expect("an answer")
    }

    pub(crate) fn ask(&mut self, message: &Up) -> Down {
        self.say(message);
        self.hear()
    }

    /// Asks over a link that may break: `None` where it did.
    pub(crate) fn try_ask(&mut self, message: &Up) -> Option<Down> {
        self.writer.write(message).ok()?;
        self.reader.read().ok()?
    }

    pub(crate) fn open(&mut self, run: RunId, seq: u64) -> Down {
        self.ask(&Up::Open { run, seq: BundleSeq(seq) })
    }

    /// Sends the bytes that are asked for, in pieces, and ends.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Option<Down> {
        for piece in bytes.chunks(1000) {
            self.writer.write(&Up::Data(piece.to_vec().into())).ok()?;
        }
        self.try_ask(&Up::End)
    }

    /// Offers a bundle and sends it, as a good client does.
    pub(crate) fn give(&mut self, name: &str, bytes: &[u8], splice: Option<Splice>) -> Option<Down> {
        let offer = Up::Offer { name: name.to_owned(), size: bytes.len() as u64, splice };
        match self.try_ask(&offer)? {
            Down::Send { have } => {
                let have = usize::try_from(have).unwrap();
                let at = splice.map_or(0, |s| usize::try_from(s.records_at).unwrap());
                let left_out = [&bytes[..at], &bytes[at + have..]].concat();
                self.send(&left_out)
            }
            other => Some(other),
        }
    }

    /// Ends the session; returns how the server saw it, and what it logged.
    pub(crate) fn end(mut self) -> (Result<Ended, SessionError>, Vec<String>) {
        let _ = self.writer.get_mut().stream.shutdown(Shutdown::Write);
        self.server.join().unwrap()
    }

    /// Writes bytes that are no frame.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.writer.get_mut().stream.write_all(bytes).unwrap();
    }

    pub(crate) fn next<M: LinkMessage>(&mut self) -> Result<Option<M>, LinkError> {
        self.reader.read()
    }
}
