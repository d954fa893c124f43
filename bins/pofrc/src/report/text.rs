//! The report as a person reads it, in lines of up to 80 columns where names and paths allow.

use super::Report;
use crate::units;
use std::time::Duration;

impl Report {
    /// Writes the report for a person.
    pub(crate) fn text(&self) -> String {
        let mut text = Text::new(11);
        let with = match self.capabilities.as_slice() {
            [] => "no capability".to_owned(),
            some => some.iter().map(|name| name.trim_start_matches("CAP_")).collect::<Vec<_>>().join(", "),
        };
        let up = units::span(Duration::from_micros(self.uptime_us / 1_000_000 * 1_000_000));
        text.line("recording", &format!("process {}, for {up}, as user {}", self.pid, self.user));
        text.line("with", &with);
        text.line("client", &self.client);
        self.samples(&mut text);
        self.cost(&mut text);
        self.kept(&mut text);
        let losses: Vec<_> =
            self.losses.iter().map(|(name, lost)| format!("{name} {}", units::count(*lost))).collect();
        text.line("lost", &if losses.is_empty() { "no event".to_owned() } else { losses.join(", ") });
        for (source, audit) in &self.audits {
            let found = format!(
                "{source}: {}, {}, {} changed by others",
                units::many(audit.looks, "look"),
                units::many(audit.misses, "miss"),
                units::count(audit.by_others)
            );
            text.line("audit", &found);
        }
        for note in &self.notes {
            text.line("note", note);
        }
        text.said
    }

    fn samples(&self, text: &mut Text) {
        let samples = &self.samples;
        let interval = units::span(Duration::from_micros(samples.interval_asked_us));
        let asked = samples.rate_asked;
        let rate = match samples.rate_reached {
            Some(rate) => format!("{rate:.2} a second of {asked:.2}"),
            None => format!("{asked:.2} a second, if that is reached"),
        };
        text.line("samples", &format!("every {interval}; {rate}"));
        let late = match samples.skipped {
            0 => String::new(),
            skipped => format!(", {} late", units::count(skipped)),
        };
        text.line(
            "",
            &format!("{} so far{late}, {}", units::count(samples.ticks), units::many(samples.gaps, "gap")),
        );
        if let Some(ago) = samples.last_us_ago.filter(|ago| *ago > 3 * samples.interval_us.max(1_000_000)) {
            text.line("", &format!("the last one {} ago", units::span(Duration::from_micros(ago))));
        }
        let facts: Vec<_> = samples
            .facts
            .iter()
            .map(|(source, count)| format!("{source} {}", units::count(*count)))
            .collect();
        if !facts.is_empty() {
            text.line("facts", &facts.join(", "));
        }
        if samples.denied_processes > 0 {
            let denied = units::many(samples.denied_processes, "process");
            text.line("", &format!("the open files of {denied} are denied to us"));
        }
    }

    fn cost(&self, text: &mut Text) {
        let cost = &self.cost;
        let cpu = cost.cpu_share.map_or("not known yet".to_owned(), |share| {
            format!("{} of a core in the last minute", units::percent(share))
        });
        text.line("CPU", &format!("{cpu}, at most {}", units::limit(cost.cpu_share_max)));
        if let Some(over) = &cost.over_budget {
            text.line("", over);
        }
        let memory = cost.resident_bytes.map_or("not known".to_owned(), units::bytes);
        let max =
            cost.resident_bytes_max.map_or(String::new(), |max| format!(", at most {}", units::bytes(max)));
        text.line("memory", &format!("{memory}{max}"));
    }

    fn kept(&self, text: &mut Text) {
        let spool = &self.spool;
        text.line("spool", &spool.dir.display().to_string());
        let dropped = match spool.dropped {
            0 => String::new(),
            dropped => format!(", {} dropped", units::count(dropped)),
        };
        text.line(
            "",
            &format!(
                "{}, {} of {}{dropped}",
                units::many(spool.bundles, "bundle"),
                units::bytes(spool.bytes),
                units::bytes(spool.bytes_max)
            ),
        );
        if let Some(why) = &spool.no_room {
            text.line(
                "NO ROOM",
                &format!("{} are held in memory: {why}", units::bytes(spool.bytes_in_memory)),
            );
        }
        match &self.last_bundle {
            Some(last) => text.line("last", &format!("bundle {}, {}", last.seq, short(&last.name))),
            None => text.line("last", "no bundle is sealed yet"),
        }
        match &self.shipping {
            Some(shipping) => shipping.describe(text),
            None => text.line("server", "none is registered: bundles wait in the spool"),
        }
    }
}

/// Shortens a bundle's name to its first 12 digits of the digest, which tell it apart.
pub(crate) fn short(name: &str) -> String {
    match name.rsplit_once('#') {
        Some((front, digest)) if digest.len() > 12 && digest.is_ascii() => {
            format!("{front}#{}….tar", &digest[..12])
        }
        _ => name.to_owned(),
    }
}

/// Writes a label and what is said of it, in lines of up to 80 columns, broken between words.
pub(crate) fn wrapped(label: &str, said: &str) -> String {
    let mut text = Text::new(label.chars().count() + 1);
    text.line(label, said);
    text.said
}

/// Lines of labels and what is said of them.
#[derive(Debug)]
pub(super) struct Text {
    said: String,
    label: usize,
}

impl Text {
    fn new(label: usize) -> Self {
        Self { said: String::new(), label }
    }

    pub(super) fn line(&mut self, label: &str, said: &str) {
        const COLUMNS: usize = 80;
        let mut line = format!("{label:0$}", self.label);
        let mut is_empty = true;
        for word in said.split(' ') {
            if !is_empty && line.chars().count() + 1 + word.chars().count() > COLUMNS {
                self.said += &line;
                self.said.push('\n');
                (line, is_empty) = (" ".repeat(self.label), true);
            }
            if !is_empty {
                line.push(' ');
            }
            line += word;
            is_empty = false;
        }
        self.said += line.trim_end();
        self.said.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        let text = wrapped("note:", &"word ".repeat(30));
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.starts_with("note: word word"), "{text}");
        assert!(text.lines().nth(1).is_some_and(|line| line.starts_with("      word")), "{text}");
    }

    #[test]
    fn a_bundles_name_keeps_what_tells_it_apart() {
        let name = format!("1795434795702210#+0000#{}.tar", "ab".repeat(32));
        assert_eq!(short(&name), "1795434795702210#+0000#abababababab….tar");
        assert_eq!(short("x"), "x");
    }
}
