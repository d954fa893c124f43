//! What a storm did, as it wrote it down itself.

use serde::{Deserialize, Serialize};
use std::{fs::File, io::BufReader, path::Path};

/// The name of the file, in the storm's directory.
const FILE: &str = "truth.json";

/// What a storm did.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Truth {
    /// The storm's own process.
    pub(crate) storm: u32,
    /// Processes, with their class.
    pub(crate) lives: Vec<Life>,
    /// Connections: the client's port.
    pub(crate) connections: Vec<u16>,
    /// The port that was connected to.
    pub(crate) port: u16,
    /// Files that the storm itself opened and closed, with their class.
    pub(crate) openings: Vec<(Class, String)>,
    /// How long the flood took, µs, and the connections.
    pub(crate) flood_micros: u64,
    pub(crate) connections_micros: u64,
}

/// A kind of short things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Class {
    /// As fast as the machine can.
    Flood,
    /// At a steady rate, sleeping so many ms.
    Steady(u32),
}

/// A process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Life {
    /// Its class.
    pub(crate) class: Class,
    /// What it can be known by in its arguments.
    pub(crate) tag: String,
    /// Its number.
    pub(crate) pid: u32,
    /// What it exited with.
    pub(crate) code: u32,
    /// A file that it had open while it slept.
    pub(crate) file: Option<String>,
}

impl Truth {
    /// Reads what the storm in `dir` wrote.
    pub(crate) fn read(dir: &Path) -> anyhow::Result<Self> {
        Ok(serde_json::from_reader(BufReader::new(File::open(dir.join(FILE))?))?)
    }

    /// Writes it.
    pub(crate) fn write(&self, dir: &Path) -> anyhow::Result<()> {
        Ok(serde_json::to_writer(File::create(dir.join(FILE))?, self)?)
    }
}
