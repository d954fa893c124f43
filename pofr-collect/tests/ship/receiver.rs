//! A receiver as the link's format describes it, in memory, whose links can be cut and whose answers can be chosen.

use pofr_collect::{Stop, ship::Pipes};
use pofr_core::{
    Transport,
    digest::Sha256,
    identity::{BundleSeq, RunId},
    time::WallMicros,
    transport::{Duplex, Unreachable},
    wire::{
        link::{Down, LINK_VERSION, No, OpenAt, Reader, Refusal, Splice, Up, Writer},
        v2::{Bundle, Limits, open},
    },
};
use std::{
    collections::{HashMap, VecDeque},
    io::{self, Read},
    os::unix::net::UnixStream,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

/// Where the next link breaks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// After so many bytes from the client.
    AfterBytes(usize),
    /// Instead of the answer of this number, whose effect has taken place.
    BeforeAnswer(usize),
}

/// What is said to all that asks for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Say {
    Yes,
    /// To bundles.
    No(No, bool),
    /// To the greeting.
    Refused,
    /// By ssh: the host key is another.
    OtherKey,
    /// There is no link at all.
    NoSession,
}

/// A bundle that was taken.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) manifest: pofr_core::wire::v2::Manifest,
    pub(crate) size: u64,
}

#[derive(Debug)]
struct Shelf {
    /// In the order of arrival.
    stored: Vec<(String, Vec<u8>)>,
    streams: HashMap<(RunId, u64), Vec<u8>>,
    cuts: VecDeque<Cut>,
    say: Say,
    refused: Option<u64>,
    said: Vec<No>,
    sessions: usize,
    farewells: usize,
    data_bytes: u64,
}

/// The receiver. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Receiver(Arc<Mutex<Shelf>>);

impl Receiver {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Shelf {
            stored: Vec::new(),
            streams: HashMap::new(),
            cuts: VecDeque::new(),
            say: Say::Yes,
            refused: None,
            said: Vec::new(),
            sessions: 0,
            farewells: 0,
            data_bytes: 0,
        })))
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap()
    }

    pub(crate) fn transport(&self, stop: &Stop) -> Links {
        Links { receiver: self.clone(), stop: stop.clone() }
    }

    /// Cuts one more of the links to come.
    pub(crate) fn cut(&self, cut: Cut) {
        self.shelf().cuts.push_back(cut);
    }

    pub(crate) fn say_from_then_on(&self, say: Say) {
        self.shelf().say = say;
    }

    /// Does not take the bundle of this number, ever.
    pub(crate) fn refuse(&self, seq: u64) {
        self.shelf().refused = Some(seq);
    }

    /// Pretends that this was streamed.
    pub(crate) fn plant(&self, seq: u64, run: RunId, bytes: &[u8]) {
        self.shelf().streams.insert((run, seq), bytes.to_vec());
    }

    pub(crate) fn stored(&self) -> Vec<Stored> {
        let read = |(_, tar): &(String, Vec<u8>)| {
            let bundle: Bundle = open(tar, Limits::default()).unwrap();
            Stored { manifest: bundle.manifest, size: tar.len() as u64 }
        };
        self.shelf().stored.iter().map(read).collect()
    }

    pub(crate) fn streamed(&self, seq: u64) -> Vec<u8> {
        self.shelf().streams.get(&(crate::spooled::RUN, seq)).cloned().unwrap_or_default()
    }

    pub(crate) fn said(&self, no: No) -> usize {
        self.shelf().said.iter().filter(|said| **said == no).count()
    }

    pub(crate) fn sessions(&self) -> usize {
        self.shelf().sessions
    }

    pub(crate) fn farewells(&self) -> usize {
        self.shelf().farewells
    }

    /// Bytes of bundles that came in Data.
    pub(crate) fn data_bytes(&self) -> u64 {
        self.shelf().data_bytes
    }
}

/// Links to the receiver.
pub(crate) struct Links {
    receiver: Receiver,
    stop: Stop,
}

impl Transport for Links {
    fn connect(&mut self) -> Result<Box<dyn Duplex>, Unreachable> {
        let mut shelf = self.receiver.shelf();
        shelf.sessions += 1;
        // A cut link comes before whatever is said otherwise.
        let cut = shelf.cuts.pop_front();
        match shelf.say {
            Say::OtherKey => return Err(Unreachable::Final("the host key is another".into())),
            Say::NoSession if cut.is_none() => return Err(Unreachable::Retry("nobody is there".into())),
            _ => {}
        }
        drop(shelf);
        let (ours, theirs) = UnixStream::pair().unwrap();
        let session = Session::new(self.receiver.clone(), theirs, cut);
        std::thread::spawn(move || session.keep());
        let write = ours.try_clone().unwrap();
        let (patience, grace) = (Duration::from_secs(30), Duration::from_secs(5));
        Ok(Box::new(Pipes::new(ours.into(), write.into(), patience, &self.stop, grace).unwrap()))
    }
}

/// Reads until the cut.
struct UpTo {
    stream: UnixStream,
    left: usize,
}

impl Read for UpTo {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = buf.len().min(self.left);
        let n = self.stream.read(&mut buf[..most])?;
        self.left -= n;
        Ok(n)
    }
}

struct Session {
    receiver: Receiver,
    reader: Reader<UpTo>,
    writer: Writer<UnixStream>,
    /// Answers until the link breaks.
    answers: usize,
    offered: Option<(String, u64, Option<Splice>)>,
    data: Vec<u8>,
    open: Option<(RunId, u64)>,
    lost: bool,
}

impl Session {
    fn new(receiver: Receiver, stream: UnixStream, cut: Option<Cut>) -> Self {
        let (left, answers) = match cut {
            Some(Cut::AfterBytes(bytes)) => (bytes, usize::MAX),
            Some(Cut::BeforeAnswer(answers)) => (usize::MAX, answers),
            None => (usize::MAX, usize::MAX),
        };
        Self {
            receiver,
            reader: Reader::new(UpTo { stream: stream.try_clone().unwrap(), left }),
            writer: Writer::new(stream),
            answers,
            offered: None,
            data: Vec::new(),
            open: None,
            lost: false,
        }
    }

    fn keep(mut self) {
        while let Ok(Some(up)) = self.reader.read::<Up>() {
            let Some(down) = self.answer(up) else { continue };
            if self.answers == 0 || self.writer.write(&down).is_err() {
                return;
            }
            self.answers -= 1;
        }
    }

    fn answer(&mut self, up: Up) -> Option<Down> {
        let receiver = self.receiver.clone();
        let mut shelf = receiver.shelf();
        Some(match up {
            Up::Hello { .. } if shelf.say == Say::Refused => Down::refused(Refusal::Revoked, "removed", true),
            Up::Hello { .. } => Down::Welcome {
                version: LINK_VERSION,
                software: "a test".into(),
                time: WallMicros(0),
                max_bundle_bytes: 1 << 30,
                quota_left_bytes: 1 << 30,
                open: None,
            },
            Up::Offer { name, .. } if shelf.stored.iter().any(|(stored, _)| *stored == name) => Down::Have,
            Up::Offer { splice: Some(splice), .. } if shelf.refused == Some(splice.seq.0) => {
                Down::no(No::Other, "not this one", false)
            }
            Up::Offer { name, size, splice } => match shelf.say {
                Say::No(code, retry) => Down::no(code, "not now", retry),
                _ => {
                    let stream = splice.and_then(|splice| shelf.streams.get(&(splice.run, splice.seq.0)));
                    let have = stream.map_or(0, |stream| stream.len() as u64);
                    let have = splice.map_or(0, |splice| have.min(splice.records_len));
                    self.offered = Some((name, size, splice));
                    self.data.clear();
                    Down::Send { have }
                }
            },
            Up::Data(bytes) => {
                shelf.data_bytes += bytes.len() as u64;
                self.data.extend(&bytes);
                return None;
            }
            Up::End => {
                let (name, size, splice) = self.offered.take().unwrap();
                let tar = whole(&shelf, std::mem::take(&mut self.data), splice);
                let sha256 = Sha256::of(&tar);
                if tar.len() as u64 != size || !name.contains(&sha256.to_string()) {
                    shelf.said.push(No::Digest);
                    Down::no(No::Digest, "other bytes", true)
                } else {
                    shelf.stored.push((name, tar));
                    Down::Stored { sha256 }
                }
            }
            Up::Open { run, seq } => {
                self.open = Some((run, seq.0));
                self.lost = false;
                Down::From { bytes: shelf.streams.entry((run, seq.0)).or_default().len() as u64 }
            }
            Up::Frames { offset, bytes } => {
                let stream = shelf.streams.get_mut(&self.open.unwrap()).unwrap();
                self.lost |= offset != stream.len() as u64;
                if !self.lost {
                    stream.extend(&bytes);
                }
                return None;
            }
            Up::Flush if self.lost => Down::no(No::Chain, "lost its place", true),
            Up::Flush => {
                let (run, seq) = self.open.unwrap();
                Down::Kept(OpenAt {
                    run,
                    seq: BundleSeq(seq),
                    bytes: shelf.streams[&(run, seq)].len() as u64,
                })
            }
            Up::Bye(_) => {
                shelf.farewells += 1;
                return None;
            }
            other => panic!("{other:?} was not to be said"),
        })
    }
}

/// Puts a tar together from what was sent and what was streamed.
fn whole(shelf: &Shelf, data: Vec<u8>, splice: Option<Splice>) -> Vec<u8> {
    let Some(splice) = splice else { return data };
    let Some(stream) = shelf.streams.get(&(splice.run, splice.seq.0)) else { return data };
    let have = stream.len().min(usize::try_from(splice.records_len).unwrap());
    let at = usize::try_from(splice.records_at).unwrap();
    [&data[..at], &stream[..have], &data[at..]].concat()
}
