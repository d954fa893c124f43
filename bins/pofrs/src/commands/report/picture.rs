//! The picture: when how much happened, which processes ran when, and where the record is incomplete. SVG within the page.
//!
//! Geometry stands in attributes, colours in classes: the page's policy lets no style in from elsewhere.

use super::{
    gathered::{BINS, Gathered},
    html::{Text, cut},
};
use pofr_core::{fact::Fact, gap::Severity, time::WallMicros};
use pofr_schema::query::{Bound, Found};
use std::fmt::Write as _;

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
    let lanes = lanes(&gathered.processes);
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
    for (i, found) in lanes.iter().enumerate() {
        lane(out, found, &scale, first + i as f64 * LANE, gathered);
    }
    out.push_str("</svg>\n");
    let left = gathered.counts[0].saturating_sub(lanes.len() as u64);
    let _ = writeln!(
        out,
        "<p class=\"soft\">How many began in each {BINS}th of the time, and the first {} processes that began in it ({left} others are not drawn). Pale: the \
         record does not show the begin or the end. Red: nothing is known; yellow: less than usual.</p>",
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

/// Returns the processes that get a lane: the first that began within the time; where none did, the first.
fn lanes(processes: &[Found]) -> Vec<&Found> {
    let mut began: Vec<&Found> = processes.iter().filter(|f| f.extent().began != Bound::Open).collect();
    if began.is_empty() {
        began = processes.iter().collect();
    }
    began.sort_by_key(|found| found.extent().from);
    began.truncate(LANES);
    began
}

fn lane(out: &mut String, found: &Found, scale: &Scale, y: f64, gathered: &Gathered) {
    let Fact::Process(process) = &found.row().fact else { return };
    let (pid, name) = (process.key.entity.pid(), process.key.comm.escaped());
    let _ = writeln!(out, "<text x=\"6\" y=\"{:.1}\">{pid} {}</text>", y + 10.0, Text(cut(&name, 14)));
    let title = format!("{pid} {}: {}", crate::commands::at::command(process), gathered.lived(found));
    for part in &found.parts {
        let extent = pofr_schema::query::Extent::of(std::slice::from_ref(part));
        let open = extent.began == Bound::Open || extent.ended == Bound::Open;
        let (x, width) = scale.stretch(extent.from, extent.until);
        rect(
            out,
            if open { "process open" } else { "process" },
            (x, y + 2.0, width, LANE - 5.0),
            &cut(&title, 300),
        );
    }
    for endpoint in &gathered.endpoints {
        let Fact::Endpoint(e) = &endpoint.row().fact else { continue };
        if e.key.holder == Some(process.key.entity) {
            let x = scale.x(endpoint.extent().from);
            let title = crate::output::fact::ends(e, endpoint.direction);
            let _ = writeln!(
                out,
                "<circle class=\"net\" cx=\"{x:.1}\" cy=\"{:.1}\" r=\"3.2\"><title>{}</title></circle>",
                y + LANE / 2.0 - 0.5,
                Text(title)
            );
        }
    }
}
