//! The picture: when how much happened, which processes ran when, and where the record is incomplete. SVG within the page.
//!
//! Geometry stands in attributes, colours in classes: the page's policy lets no style in from elsewhere.

use super::{
    gathered::{BINS, Gathered},
    html::{Text, cut},
};
use pofr_core::{fact::Fact, gap::Severity, identity::Entity, time::WallMicros};
use pofr_schema::query::{Bound, Extent, Found};
use std::{collections::HashMap, fmt::Write as _};

/// The picture's width, and where its time begins.
const WIDTH: f64 = 1000.0;
const LEFT: f64 = 150.0;
/// The height of a histogram, and of a process's lane.
const BARS: f64 = 44.0;
const LANE: f64 = 15.0;
/// Processes that get a lane.
const LANES: usize = 60;
/// Times on the axis.
const TICKS: u32 = 6;

/// Draws the picture.
pub(super) fn draw(gathered: &Gathered, out: &mut String) {
    let lanes = lanes(gathered);
    let top = 24.0;
    let height = top + 3.0 * BARS + 14.0 + lanes.len() as f64 * LANE + 8.0;
    let scale = Scale { from: gathered.from, until: gathered.until };
    let _ = writeln!(out, "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"timeline\">");
    for gap in &gathered.gaps {
        let class = if gap.severity == Severity::Blind { "blind" } else { "thin" };
        let (x, width) = scale.stretch(gap.from, gap.to.unwrap_or(gathered.until));
        let title = format!("{}: {}", gap.source.as_ref().map_or("all sources", |s| s.name()), gap.reason);
        rect(out, class, (x, top, width, height - top), &title);
    }
    for tick in 0..=TICKS {
        let x = LEFT + (WIDTH - LEFT - 8.0) * f64::from(tick) / f64::from(TICKS);
        let at = scale.at(f64::from(tick) / f64::from(TICKS));
        let anchor = match tick {
            0 => "start",
            TICKS => "end",
            _ => "middle",
        };
        let _ =
            writeln!(out, "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top}\" y2=\"{height}\"/>");
        let text = gathered.zones.second(at);
        let text = if gathered.is_of_one_day() {
            text.get(11..).unwrap_or(&text)
        } else {
            text.get(5..16).unwrap_or(&text)
        };
        let _ = writeln!(
            out,
            "<text class=\"soft\" x=\"{x:.1}\" y=\"16\" text-anchor=\"{anchor}\">{}</text>",
            Text(text)
        );
    }
    for (i, (class, label, bins)) in [
        ("process", "processes", &gathered.bins[0]),
        ("file", "files", &gathered.bins[1]),
        ("net", "endpoints", &gathered.bins[2]),
    ]
    .into_iter()
    .enumerate()
    {
        histogram(out, class, label, bins, top + i as f64 * BARS);
    }
    let first = top + 3.0 * BARS + 14.0;
    for (i, lane) in lanes.iter().enumerate() {
        draw_lane(out, lane, &scale, first + i as f64 * LANE, gathered);
    }
    out.push_str("</svg>\n");
    let _ = writeln!(
        out,
        "<p class=\"soft\">How many began in each {BINS}th of the time, and {} processes: those that held network endpoints (dots) and those that lived \
         longest. Pale: the record does not show the begin or the end. Red: nothing is known; yellow: less than usual.</p>",
        lanes.len()
    );
}

/// Where a time lies.
struct Scale {
    from: WallMicros,
    until: WallMicros,
}

impl Scale {
    fn x(&self, at: WallMicros) -> f64 {
        let whole = self.until.since(self.from).max(1) as f64;
        let part = (at.since(self.from) as f64 / whole).clamp(0.0, 1.0);
        LEFT + (WIDTH - LEFT - 8.0) * part
    }

    /// Returns where a stretch begins and how wide it is; what is short is still seen.
    fn stretch(&self, from: WallMicros, until: WallMicros) -> (f64, f64) {
        let x = self.x(from);
        (x, (self.x(until) - x).max(1.5))
    }

    fn at(&self, part: f64) -> WallMicros {
        self.from.plus((self.until.since(self.from) as f64 * part) as i64)
    }
}

fn rect(out: &mut String, class: &str, (x, y, width, height): (f64, f64, f64, f64), title: &str) {
    let _ = writeln!(
        out,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"><title>{}</title></rect>",
        Text(title)
    );
}

fn histogram(out: &mut String, class: &str, label: &str, bins: &[u64; BINS], y: f64) {
    let most = bins.iter().copied().max().unwrap_or(0).max(1);
    let _ = writeln!(out, "<text x=\"6\" y=\"{:.1}\">{label}</text>", y + BARS - 16.0);
    let _ = writeln!(out, "<text class=\"soft\" x=\"6\" y=\"{:.1}\">at most {most}</text>", y + BARS - 4.0);
    let width = (WIDTH - LEFT - 8.0) / BINS as f64;
    for (i, n) in bins.iter().enumerate().filter(|(_, n)| **n > 0) {
        let height = ((BARS - 8.0) * *n as f64 / most as f64).max(1.0);
        let x = LEFT + i as f64 * width;
        rect(out, class, (x, y + BARS - height, width - 0.6, height), &format!("{n} {label}"));
    }
}

/// A process's lane: all of its facts, in the order of time.
struct Lane<'a> {
    facts: Vec<&'a Found>,
    /// When it began, where the record shows that.
    began: Option<WallMicros>,
    lasted: i64,
    endpoints: Vec<&'a Found>,
}

/// Returns the processes that get a lane: those with network endpoints first, then those that lived longest; in the order of
/// their begins. Those that were there all the time tell nothing.
fn lanes(gathered: &Gathered) -> Vec<Lane<'_>> {
    let mut lanes: HashMap<Entity, Lane<'_>> = HashMap::new();
    for found in &gathered.processes {
        let Fact::Process(process) = &found.row().fact else { continue };
        let extent = found.extent();
        let began = (extent.began != Bound::Open).then_some(extent.from);
        let lane = lanes.entry(process.key.entity).or_insert_with(|| Lane {
            facts: Vec::new(),
            began,
            lasted: 0,
            endpoints: Vec::new(),
        });
        lane.facts.push(found);
        lane.began = lane.began.and(began.min(lane.began));
        lane.lasted = lane.lasted.saturating_add(extent.until.since(extent.from));
    }
    for found in &gathered.endpoints {
        if let Fact::Endpoint(endpoint) = &found.row().fact
            && let Some(lane) = endpoint.key.holder.and_then(|holder| lanes.get_mut(&holder))
        {
            lane.endpoints.push(found);
        }
    }
    let mut lanes: Vec<Lane<'_>> = lanes.into_values().collect();
    let is_all_the_time = |lane: &Lane<'_>| lane.began.is_none() && lane.endpoints.is_empty();
    if lanes.iter().any(|lane| !is_all_the_time(lane)) {
        lanes.retain(|lane| !is_all_the_time(lane));
    }
    let first = |lane: &Lane<'_>| (lane.facts[0].extent().from, lane.facts[0].row().digest);
    lanes.sort_by_key(|lane| (lane.endpoints.is_empty(), -lane.lasted, first(lane)));
    lanes.truncate(LANES);
    lanes.sort_by_key(first);
    lanes
}

fn draw_lane(out: &mut String, lane: &Lane<'_>, scale: &Scale, y: f64, gathered: &Gathered) {
    // What it became last is what people know it by; a fork still has its parent's name.
    let last = lane.facts.iter().rev().find_map(|found| match &found.row().fact {
        Fact::Process(process) if !process.key.comm.as_bytes().is_empty() => Some(process),
        _ => None,
    });
    let Fact::Process(first) = &lane.facts[0].row().fact else { return };
    let (pid, name) = (first.key.entity.pid(), last.map_or_else(|| "?".to_owned(), |p| p.key.comm.escaped()));
    let _ = writeln!(out, "<text x=\"6\" y=\"{:.1}\">{pid} {}</text>", y + 10.0, Text(cut(&name, 14)));
    for found in &lane.facts {
        let Fact::Process(process) = &found.row().fact else { continue };
        let title = format!("{pid} {}: {}", crate::output::fact::ran(process), gathered.lived(found));
        for part in &found.parts {
            let extent = Extent::of(std::slice::from_ref(part));
            let open = extent.began == Bound::Open || extent.ended == Bound::Open;
            let (x, width) = scale.stretch(extent.from, extent.until);
            let class = if open { "process open" } else { "process" };
            rect(out, class, (x, y + 2.0, width, LANE - 5.0), &cut(&title, 300));
        }
    }
    for found in &lane.endpoints {
        let Fact::Endpoint(endpoint) = &found.row().fact else { continue };
        let (x, middle) = (scale.x(found.extent().from), y + LANE / 2.0 - 0.5);
        let title = crate::output::fact::ends(endpoint, found.direction);
        let _ = writeln!(
            out,
            "<circle class=\"net\" cx=\"{x:.1}\" cy=\"{middle:.1}\" r=\"3.2\"><title>{}</title></circle>",
            Text(title)
        );
    }
}
