//! A throttle: how many events of one directory are told, and of all.
//!
//! What is done to names in a directory and what is done to the files in it have an allowance each: names that are only made and removed
//! do not hide that a file is written. What goes beyond is counted, and told once for some seconds, with the directory and the user
//! who was seen to do it.

use super::{
    super::left_out::{LeftOut, Span},
    event::{Entry, Event, Handle},
};
use crate::{allowance::Allowance, effort::Effort, limits};
use nix::sys::fanotify::MaskFlags;
use pofr_core::{identity::Pid, time::WallMicros};
use std::collections::HashMap;

/// So many directories are kept in mind; what is done in others is only counted then.
const MOST: usize = 4_096;

/// What is told of every place.
#[derive(Debug)]
pub(super) struct Throttle {
    effort: Effort,
    all: Allowance,
    /// By directory and whether it is about names; a file that is marked itself stands for its directory where that is not told.
    places: HashMap<(Handle, bool), Place>,
    /// What was left out of places that there was no room for.
    others: LeftOut,
}

#[derive(Debug)]
struct Place {
    told: Allowance,
    left: LeftOut,
    /// Where that was, and who did it.
    of: Option<(Entry, Pid)>,
}

/// What was left out of one place.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) span: Span,
    /// Something that was done there.
    pub(super) of: Option<(Entry, Pid)>,
}

impl Throttle {
    pub(super) fn new(effort: Effort, now: WallMicros) -> Self {
        let all = Allowance::new(limits::FILE_EVENTS, limits::SAVED_SECONDS, now.0);
        Self { effort, all, places: HashMap::new(), others: LeftOut::default() }
    }

    /// Tells whether an event is told; one that is not is counted.
    pub(super) fn admits(&mut self, event: &Event, now: WallMicros) -> bool {
        let entry = [&event.at, &event.old, &event.new].into_iter().flatten().next();
        let names = MaskFlags::FAN_CREATE
            | MaskFlags::FAN_DELETE
            | MaskFlags::FAN_RENAME
            | MaskFlags::FAN_MOVED_FROM
            | MaskFlags::FAN_MOVED_TO;
        let dir = entry.map(|entry| &entry.dir);
        let Some(of) = dir.or(event.file.as_ref()).cloned() else { return true };
        let key = (of, event.mask.intersects(names));
        if self.places.len() >= MOST && !self.places.contains_key(&key) {
            self.places.retain(|_, place| place.of.is_some());
            if self.places.len() >= MOST {
                self.others.add(1, now);
                return false;
            }
        }
        let place = self.places.entry(key).or_insert_with(|| Place {
            told: Allowance::new(limits::NAMES, limits::SAVED_SECONDS, now.0),
            left: LeftOut::default(),
            of: None,
        });
        let dearness = self.effort.dearness();
        let is_told = place.told.take(dearness, now.0) && self.all.take(dearness, now.0);
        if !is_told && place.left.add(1, now) {
            place.of = entry.cloned().map(|entry| (entry, event.pid));
        }
        is_told
    }

    /// Returns what was left out and is to be told of now.
    pub(super) fn take_due(&mut self, now: WallMicros) -> Vec<Left> {
        let due = |place: &mut Place| place.left.take_due(now).map(|span| Left { span, of: place.of.take() });
        let others = self.others.take_due(now).map(|span| Left { span, of: None });
        self.places.values_mut().filter_map(due).chain(others).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(mask: MaskFlags, dir: u8, file: Option<u8>) -> Event {
        let handle = |byte: u8| Handle { filesystem: [0; 8], bytes: vec![byte] };
        Event {
            mask,
            pid: Pid(7),
            at: Some(Entry { dir: handle(dir), name: b"x".to_vec() }),
            old: None,
            new: None,
            file: file.map(handle),
        }
    }

    #[test]
    fn names_made_in_one_directory_hide_neither_another_nor_what_is_done_to_a_file() {
        let mut throttle = Throttle::new(Effort::default(), WallMicros(0));
        let created = event(MaskFlags::FAN_CREATE, 1, Some(1));
        let told = (0..10_000).filter(|_| throttle.admits(&created, WallMicros(1))).count();
        assert_eq!(told as u64, limits::NAMES * limits::SAVED_SECONDS);
        assert!(throttle.admits(&event(MaskFlags::FAN_CREATE, 2, Some(2)), WallMicros(1)));
        assert!(throttle.admits(&event(MaskFlags::FAN_CLOSE_WRITE, 1, Some(9)), WallMicros(1)));
        let due = throttle.take_due(WallMicros(limits::TELL_MICROS + 1));
        let [Left { span, of: Some((_, Pid(7))) }] = &due[..] else { panic!("{due:?}") };
        assert_eq!(span.count, 10_000 - told as u64);
    }
}
