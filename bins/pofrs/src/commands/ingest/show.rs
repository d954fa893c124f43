//! What the service shows of itself: a line that changes on a terminal, else a line a minute for the log.

use crate::output::{number, progress, when};
use indicatif::ProgressBar;
use pofr_core::{fact::FactKind, identity::Cid, raw::RawText, store::Level, time::WallMicros};
use pofr_ingest::{
    Report,
    ingest::server_clock,
    service::{Observer, Turn, TurnError},
};
use std::{
    collections::{BTreeMap, VecDeque},
    io::{IsTerminal as _, Write as _},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How often a log hears how it goes, with nothing waiting and with a backlog.
const CALM: Duration = Duration::from_secs(60);
const BUSY: Duration = Duration::from_secs(10);
/// Over how long the rate is taken.
const WINDOW: Duration = Duration::from_secs(30);

/// Watches the service.
pub(super) struct Show {
    bar: Option<ProgressBar>,
    watch: bool,
    state: Mutex<State>,
}

/// What has happened so far.
struct State {
    done: Done,
    /// When files were dealt with, by the second: since when, and how many by then.
    history: VecDeque<(Instant, u64)>,
    taken: u64,
    waiting: u64,
    clients: usize,
    /// The last stamp of each client.
    last: BTreeMap<Cid, WallMicros>,
    merging: Option<(Cid, Level, u64, u64)>,
    told: Instant,
    taken_when_told: u64,
}

/// What it all came to.
#[derive(Default)]
pub(super) struct Done {
    /// What became of each client's files; kept only where the end is near.
    pub(super) reports: BTreeMap<Cid, Report>,
    /// How many turns failed.
    pub(super) failed: u64,
    /// How many clients were left to another pofrs.
    pub(super) busy: u64,
}

impl Show {
    pub(super) fn new(watch: bool) -> Self {
        let bar = std::io::stderr().is_terminal().then(progress::message);
        let state = State {
            done: Done::default(),
            history: VecDeque::from([(Instant::now(), 0)]),
            taken: 0,
            waiting: 0,
            clients: 0,
            last: BTreeMap::new(),
            merging: None,
            told: Instant::now(),
            taken_when_told: 0,
        };
        Self { bar, watch, state: Mutex::new(state) }
    }

    /// Returns what it came to.
    pub(super) fn finish(self) -> Done {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).done
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line that stays.
    pub(super) fn say(&self, line: &str) {
        for line in line.lines().map(|line| RawText::from(line).escaped()) {
            match &self.bar {
                Some(bar) => bar.println(line),
                None if self.watch => {
                    let _ = writeln!(std::io::stderr(), "{line}");
                }
                None => {}
            }
        }
    }

    /// Writes a line that stays, whoever listens.
    pub(super) fn warn(&self, line: &str) {
        match &self.bar {
            Some(_) => self.say(line),
            None => {
                for line in line.lines().map(|line| RawText::from(line).escaped()) {
                    let _ = writeln!(std::io::stderr(), "pofrs: {line}");
                }
            }
        }
    }

    /// Shows how it goes.
    fn tell(&self) {
        let mut state = self.state();
        let line = state.line();
        if let Some(bar) = &self.bar {
            drop(state);
            bar.set_message(line);
            bar.tick();
            return;
        }
        let pause = if state.waiting > 0 { BUSY } else { CALM };
        if state.told.elapsed() < pause || (state.taken == state.taken_when_told && state.merging.is_none()) {
            return;
        }
        (state.told, state.taken_when_told) = (Instant::now(), state.taken);
        drop(state);
        self.say(&line);
    }
}

impl State {
    /// Returns files a second, over the last half minute.
    fn rate(&mut self) -> f64 {
        let now = Instant::now();
        if self.history.back().is_none_or(|(at, _)| now - *at >= Duration::from_secs(1)) {
            self.history.push_back((now, self.taken));
        }
        while self.history.len() > 2 && self.history.front().is_some_and(|(at, _)| now - *at > WINDOW) {
            self.history.pop_front();
        }
        let (since, then) = self.history.front().copied().unwrap_or((now, self.taken));
        let seconds = (now - since).as_secs_f64().max(0.001);
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let taken = (self.taken - then) as f64;
        taken / seconds
    }

    fn line(&mut self) -> String {
        let rate = self.rate();
        if let Some((cid, level, done, all)) = &self.merging {
            let what = match level {
                Level::Period => "making a period of",
                _ => "archiving",
            };
            let how_far = match done.saturating_mul(100).checked_div(*all) {
                Some(percent) if done < all => format!("{percent} % of"),
                _ => "indexing".to_owned(),
            };
            let (all, behind) = (number::count(*all), number::count(self.waiting));
            return format!("{what} {cid}: {how_far} {all} rows; {behind} bundles waiting");
        }
        if self.waiting > 0 {
            let waiting = number::counted(self.waiting, "bundle");
            let clients = number::counted(self.clients as u64, "client");
            #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "an estimate")]
            let eta = if rate > 0.01 {
                when::length((self.waiting as f64 / rate * 1e6) as i64)
            } else {
                "?".to_owned()
            };
            return format!("{waiting} of {clients} waiting, {rate:.1} a second, done in {eta}");
        }
        let known = number::counted(self.last.len() as u64, "client");
        let now = server_clock();
        let furthest = self.last.iter().map(|(cid, last)| (now.since(*last), cid)).max();
        let furthest = furthest.map_or_else(String::new, |(lag, cid)| {
            format!("; furthest behind: {cid} by {}", when::length(lag))
        });
        format!("{} taken in, of {known}; nothing waiting{furthest}", number::counted(self.taken, "bundle"))
    }
}

impl Observer for Show {
    fn waiting(&self, files: u64, clients: usize) {
        let mut state = self.state();
        (state.waiting, state.clients) = (files, clients);
        drop(state);
        self.tell();
    }

    fn taken(&self, _: &Cid) {
        let mut state = self.state();
        state.taken += 1;
        state.waiting = state.waiting.saturating_sub(1);
    }

    fn merging(&self, cid: &Cid, level: Level, done: u64, all: u64) {
        self.state().merging = Some((cid.clone(), level, done, all));
        self.tell();
    }

    fn turn(&self, cid: &Cid, turn: &Turn) {
        for (name, reason) in &turn.ingested.quarantined {
            self.warn(&format!("{cid}: {name} lies in quarantine: {reason}"));
        }
        for merged in &turn.merged {
            let (inputs, rows) =
                (number::counted(merged.inputs as u64, "triad"), number::count(merged.rows_in));
            let made = merged.tables.first().map_or("", String::as_str);
            let others = match merged.tables.len() / FactKind::TRIAD.len() {
                0 | 1 => String::new(),
                triads => format!(" and {} more", triads - 1),
            };
            self.say(&format!(
                "{cid}: {inputs} of {rows} rows became {} rows in {made}{others}",
                number::count(merged.rows_out)
            ));
        }
        if turn.pruned > 0 {
            self.say(&format!("{cid}: {} removed from those kept", number::counted(turn.pruned, "bundle")));
        }
        let mut state = self.state();
        state.merging = None;
        if let Some((_, last)) = turn.ingested.span {
            let known = state.last.entry(cid.clone()).or_insert(last);
            *known = last.max(*known);
        }
        if !self.watch {
            state.done.reports.entry(cid.clone()).or_default().add(&turn.ingested);
        }
    }

    fn failed(&self, cid: &Cid, error: &TurnError, again: Duration) {
        let again = if again == Duration::MAX {
            String::new()
        } else {
            format!("; trying again in {} s", again.as_secs())
        };
        self.warn(&format!("{cid}: {error}{again}"));
        let mut state = self.state();
        state.merging = None;
        if error.is_busy() {
            state.done.busy += 1;
        } else {
            state.done.failed += 1;
        }
    }

    fn idle(&self) {
        self.tell();
    }
}
