//! One look at a client: its record, its inbox, its quarantine.

use super::trouble::{Kind, Trouble};
use crate::output::{number, when};
use pofr_core::{
    gap::{self, Severity},
    identity::Cid,
    raw::RawText,
    store::{
        ClientReader, Ledger, Level,
        chain::{self, Fault},
    },
    time::{WallMicros, ZoneOffset},
};
use pofr_ingest::{Layout, track, verify::FORK};
use serde::Serialize;
use std::{collections::BTreeSet, fs, os::unix::fs::MetadataExt as _, path::Path};

/// How to look.
pub(crate) struct Looker {
    /// Where inboxes are.
    pub(crate) layout: Layout,
    /// How long a client may send nothing, µs.
    pub(crate) silence: i64,
    /// From when on faults count.
    pub(crate) since: WallMicros,
    /// Now.
    pub(crate) now: WallMicros,
}

/// What was seen.
#[derive(Debug, Serialize)]
pub(crate) struct Look {
    pub(crate) client: Cid,
    #[serde(skip)]
    pub(crate) zone: ZoneOffset,
    #[serde(skip)]
    pub(crate) now: WallMicros,
    pub(crate) last: Option<WallMicros>,
    pub(crate) received: Option<WallMicros>,
    pub(crate) lag: Option<i64>,
    pub(crate) waiting: u64,
    pub(crate) rows: ByLevel,
    pub(crate) triads: ByLevel,
    pub(crate) gaps: Gaps,
    pub(crate) lost: u64,
    pub(crate) quarantined: u64,
    pub(crate) on_hold: bool,
    pub(crate) forgotten_before: Option<WallMicros>,
    pub(crate) troubles: Vec<Trouble>,
}

/// Something counted at each level.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct ByLevel {
    pub(crate) slice: u64,
    pub(crate) archive: u64,
    pub(crate) period: u64,
}

impl ByLevel {
    fn at(&mut self, level: Level) -> &mut u64 {
        match level {
            Level::Slice => &mut self.slice,
            Level::Archive => &mut self.archive,
            Level::Period => &mut self.period,
        }
    }
}

/// How many gaps began of late.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Gaps {
    pub(crate) blind: u64,
    pub(crate) thin: u64,
}

/// Files in a directory: how many, and when the first and the last of them were last written, µs since 1970.
#[derive(Default)]
struct Files {
    count: u64,
    oldest: Option<WallMicros>,
    newest: Option<WallMicros>,
}

impl Looker {
    /// Looks.
    pub(crate) fn look(&self, reader: &mut dyn ClientReader, client: Cid) -> anyhow::Result<Look> {
        let ledger = reader.recent(self.since)?;
        let inbox = self.layout.inbox_dir(&client);
        let waiting = Files::of(&inbox, |_| true);
        let newest = ledger.bundles.iter().max_by_key(|b| b.entry.received).map(|b| &b.entry);
        let last = ledger.bundles.iter().map(|b| b.entry.last).max();
        let mut look = Look {
            zone: newest.map_or(ZoneOffset::UTC, |entry| entry.zone),
            now: self.now,
            last,
            received: newest.map(|entry| entry.received),
            lag: last.map(|last| self.now.since(last).max(0)),
            waiting: waiting.count,
            rows: ByLevel::default(),
            triads: ByLevel::default(),
            gaps: Gaps::default(),
            lost: 0,
            quarantined: 0,
            on_hold: ledger.hold().is_some(),
            forgotten_before: ledger.forgotten_before(),
            troubles: Vec::new(),
            client,
        };
        for triad in ledger.live() {
            *look.rows.at(triad.level) += triad.rows.iter().sum::<u64>();
            *look.triads.at(triad.level) += 1;
        }
        self.silence(&mut look, &waiting);
        self.chain(&mut look, &ledger);
        self.losses(&mut look, &ledger);
        self.quarantine(&mut look, &inbox.join("quarantine"));
        Ok(look)
    }

    fn silence(&self, look: &mut Look, waiting: &Files) {
        if let Some(oldest) = waiting.oldest
            && self.now.since(oldest) > self.silence
        {
            let (bundles, time) =
                (number::counted(waiting.count, "bundle"), when::length(self.now.since(oldest)));
            let text = format!("{bundles} wait for up to {time}: is pofrs ingest --watch running?");
            look.trouble(Kind::Waiting, "waiting", text, oldest);
        }
        let heard = look.received.max(waiting.newest);
        if let Some(heard) = heard
            && self.now.since(heard) > self.silence
        {
            let text = format!("silent for {}", when::length(self.now.since(heard)));
            look.trouble(Kind::Silent, "silent", text, heard);
        }
    }

    fn chain(&self, look: &mut Look, ledger: &Ledger) {
        let faults = chain::faults(ledger);
        for fault in faults.into_iter().filter(|fault| fault.received() >= self.since) {
            let (kind, key, text) = match fault {
                Fault::Fork { seq, .. } => (
                    Kind::Fork,
                    format!("fork {}", seq.0),
                    format!("bundle {} came twice, and differs: {FORK}", seq.0),
                ),
                Fault::Break { seq, .. } => (
                    Kind::Break,
                    format!("break {}", seq.0),
                    format!("bundle {} does not follow the one before it that is stored: {FORK}", seq.0),
                ),
                Fault::Missing { first, last, .. } if first == last => {
                    (Kind::Loss, format!("missing {}", first.0), format!("bundle {} is missing", first.0))
                }
                Fault::Missing { first, last, .. } => (
                    Kind::Loss,
                    format!("missing {}-{}", first.0, last.0),
                    format!("bundles {} to {} are missing", first.0, last.0),
                ),
            };
            look.trouble(kind, &key, text, fault.received());
        }
    }

    fn losses(&self, look: &mut Look, ledger: &Ledger) {
        let (mut places, mut at, mut samples, mut blind) = (0, self.since, 0, false);
        for bundle in ledger.bundles.iter().filter(|b| b.entry.received >= self.since) {
            samples += bundle.entry.samples;
            for gap in bundle.gaps.iter().filter(|gap| gap.lost.is_some_and(|lost| lost > 0)) {
                look.lost += gap.lost.unwrap_or(0);
                places += 1;
                blind |= gap.severity == Severity::Blind;
                at = bundle.entry.received.max(at);
            }
        }
        // A tick that comes late now and then is no trouble.
        if look.lost > 0 && (blind || look.lost.saturating_mul(100) > samples) {
            let (lost, places) = (number::count(look.lost), number::counted(places, "gap"));
            let text = format!("events or samples lost: {lost}, in {places}; see pofrs gaps");
            look.trouble(Kind::Loss, &format!("lost {}", at.0), text, at);
        }
        for bundle in ledger.bundles.iter().filter(|b| b.entry.received >= self.since) {
            if track::damage(bundle).is_some() {
                let seq = bundle.entry.seq.0;
                let text =
                    format!("bundle {seq} is damaged: only its beginning is in the record; see pofrs verify");
                look.trouble(Kind::Loss, &format!("damaged {seq}"), text, bundle.entry.received);
            }
        }
        // What lies before the first of these bundles is another matter.
        let first = ledger.bundles.iter().map(|b| b.entry.first).min().unwrap_or_default();
        for gap in gap::of(ledger).into_iter().filter(|gap| gap.from >= first) {
            match gap.severity {
                Severity::Blind => look.gaps.blind += 1,
                Severity::Thin => look.gaps.thin += 1,
            }
        }
    }

    /// Counts what was refused, and looks for forks that were kept out of the record.
    fn quarantine(&self, look: &mut Look, dir: &Path) {
        let is_reason = |name: &str| name.ends_with(".reason");
        look.quarantined = Files::of(dir, |name| !is_reason(name)).count;
        let mut forks = BTreeSet::new();
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let written = entry.metadata().ok().map(|m| modified(&m)).unwrap_or_default();
            if is_reason(&name)
                && written >= self.since
                && fs::read_to_string(entry.path()).is_ok_and(|reason| reason.contains(FORK))
            {
                forks.insert((written, name));
            }
        }
        for (written, name) in forks {
            let bundle = RawText::from(name.trim_end_matches(".reason")).escaped();
            let text = format!("a bundle lies in quarantine because {FORK}: {bundle}");
            look.trouble(Kind::Fork, &bundle, text, written);
        }
    }
}

impl Look {
    fn trouble(&mut self, kind: Kind, key: &str, text: String, at: WallMicros) {
        self.troubles.push(Trouble { client: self.client.clone(), kind, key: key.to_owned(), text, at });
    }
}

impl Files {
    /// Counts the files of a directory; one that is not there has none.
    fn of(dir: &Path, wanted: impl Fn(&str) -> bool) -> Self {
        let mut files = Self::default();
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(metadata) = entry.metadata().ok().filter(|m| !m.is_dir()) else { continue };
            if name.starts_with('.') || !wanted(&name) {
                continue;
            }
            let written = Some(modified(&metadata));
            files.count += 1;
            files.oldest = files.oldest.map_or(written, |t| Some(t).min(written));
            files.newest = files.newest.max(written);
        }
        files
    }
}

fn modified(metadata: &fs::Metadata) -> WallMicros {
    WallMicros(metadata.mtime() * 1_000_000 + metadata.mtime_nsec() / 1000)
}
