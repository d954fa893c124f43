//! The report: what `pofrc status` tells, as JSON and as text.

mod shipping;
mod text;

pub(crate) use text::{short, wrapped};

use crate::shipper::Account;
use pofr_core::collector::Audit;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// How a recording goes. Times are µs, sizes bytes, shares of one core.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) running: bool,
    pub(crate) version: String,
    pub(crate) pid: i32,
    pub(crate) start_ticks: u64,
    pub(crate) uptime_us: u64,
    pub(crate) started_us: u64,
    pub(crate) user: u32,
    pub(crate) capabilities: Vec<String>,
    pub(crate) client: String,
    pub(crate) server: Option<String>,
    /// How the sending goes; `null` where no server is registered.
    #[serde(default)]
    pub(crate) shipping: Option<Account>,
    pub(crate) samples: Samples,
    pub(crate) cost: Cost,
    pub(crate) spool: SpoolReport,
    pub(crate) last_bundle: Option<LastBundle>,
    /// Events lost since the start, by event source.
    pub(crate) losses: BTreeMap<String, u64>,
    /// What the rolling audits found since the start, by source.
    pub(crate) audits: BTreeMap<String, Audit>,
    /// What works less well than it could, and why.
    pub(crate) notes: Vec<String>,
}

/// How often the machine is looked at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Samples {
    pub(crate) interval_asked_us: u64,
    pub(crate) interval_us: u64,
    /// Ticks a second.
    pub(crate) rate_asked: f64,
    /// The same over the last minute.
    pub(crate) rate_reached: Option<f64>,
    pub(crate) ticks: u64,
    pub(crate) skipped: u64,
    pub(crate) readings: u64,
    /// Facts at the last reading, by source.
    pub(crate) facts: BTreeMap<String, u64>,
    pub(crate) denied_processes: u64,
    pub(crate) gaps: u64,
    pub(crate) last_us_ago: Option<u64>,
}

/// What it costs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// Over the last minute.
    pub(crate) cpu_share: Option<f64>,
    pub(crate) cpu_us: u64,
    pub(crate) cpu_share_max: f64,
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) resident_bytes_max: Option<u64>,
    pub(crate) over_budget: Option<String>,
}

/// What waits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SpoolReport {
    pub(crate) dir: PathBuf,
    pub(crate) state: PathBuf,
    pub(crate) bundles: u64,
    pub(crate) bytes: u64,
    pub(crate) bytes_max: u64,
    pub(crate) dropped: u64,
    /// Bytes in memory, for which there is no room.
    #[serde(default)]
    pub(crate) bytes_in_memory: u64,
    /// Why there is none, where that is so.
    #[serde(default)]
    pub(crate) no_room: Option<String>,
}

/// The bundle that was sealed last.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LastBundle {
    pub(crate) seq: u64,
    pub(crate) name: String,
    pub(crate) bytes: Option<u64>,
}
