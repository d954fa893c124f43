//! A sink that weighs what it is given, as a bundle, and keeps nothing of it.

use pofr_core::{
    Sink,
    collector::{Closing, Opening},
    gap::Gap,
    identity::{BundleSeq, Cid},
    record::Record,
    wire::v2::{Encoder, Header, WireError, seal},
};
use std::time::{Duration, Instant};

/// Records wait so long for those after them to be compressed with, as in the spool.
const PATIENCE: Duration = Duration::from_millis(900);

/// Bytes of a bundle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    /// With the first tick alone: the beginning and all around it.
    pub(super) beginning: u64,
    /// All that came after it.
    pub(super) later: u64,
}

/// The sink.
#[derive(Default)]
pub(super) struct Weighed {
    encoder: Option<Encoder>,
    flushed: Option<Instant>,
    weight: Weight,
}

impl Weighed {
    pub(super) fn weight(&self) -> Weight {
        self.weight
    }
}

impl Sink for Weighed {
    type Error = WireError;

    fn begin(&mut self, opening: &Opening) -> Result<Vec<Gap>, WireError> {
        let opening = opening.clone();
        let header = Header {
            cid: Cid::parse("tune").expect("this is a good id"),
            run: opening.run,
            boot: opening.boot,
            seq: BundleSeq(1),
            previous: None,
            zone: opening.zone,
            interval_micros: opening.interval_micros,
            opened_wall: opening.opened_wall,
            opened_boot_micros: opening.opened_boot_micros,
            recorder_pids: opening.recorder_pids,
            sources: opening.sources,
            missing: Vec::new(),
        };
        self.encoder = Some(Encoder::new(&header));
        Ok(Vec::new())
    }

    fn accept(&mut self, record: &Record) -> Result<(), WireError> {
        if let Some(encoder) = &mut self.encoder {
            encoder.push(record);
        }
        Ok(())
    }

    fn idle(&mut self, _: u64) -> Result<(), WireError> {
        let Some(encoder) = &mut self.encoder else { return Ok(()) };
        match self.flushed {
            None => {
                let frames = encoder.flush()?;
                self.weight.beginning = seal(&frames, true, &Closing::default())?.tar.len() as u64;
            }
            Some(last) if last.elapsed() >= PATIENCE => self.weight.later += encoder.flush()?.len() as u64,
            Some(_) => return Ok(()),
        }
        self.flushed = Some(Instant::now());
        Ok(())
    }

    fn finish(&mut self, _: &Closing) -> Result<(), WireError> {
        if let Some(encoder) = &mut self.encoder {
            self.weight.later += encoder.flush()?.len() as u64;
        }
        Ok(())
    }
}
