//! Opens: which opening a closing belongs to.
//!
//! The kernel tells both with the process and the file, but not with the descriptor. Of two openings of one file by one process the
//! first that ends is taken for the one that began last.

use super::event::Handle;
use pofr_core::{identity::Pid, time::WallMicros};
use std::collections::HashMap;

/// So many openings are remembered; whoever holds more open at once is told of without their beginnings.
const REMEMBERED: usize = 65_536;

/// Openings without their closings so far.
#[derive(Debug, Default)]
pub(super) struct Opens {
    open: HashMap<(Pid, Handle), Vec<WallMicros>>,
    count: usize,
}

impl Opens {
    /// Takes note of an opening.
    pub(super) fn opened(&mut self, pid: Pid, file: Handle, at: WallMicros) {
        if self.count == REMEMBERED {
            self.clear();
        }
        self.open.entry((pid, file)).or_default().push(at);
        self.count += 1;
    }

    /// Returns when what is closed now was opened, where that is known.
    pub(super) fn closed(&mut self, pid: Pid, file: Handle) -> Option<WallMicros> {
        let key = (pid, file);
        let times = self.open.get_mut(&key)?;
        let at = times.pop();
        if times.is_empty() {
            self.open.remove(&key);
        }
        self.count -= usize::from(at.is_some());
        at
    }

    /// Forgets all, after events were lost.
    pub(super) fn clear(&mut self) {
        self.open.clear();
        self.count = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closing_finds_its_opening_and_memory_is_bounded() {
        let file = |n: u32| Handle { filesystem: [0; 8], bytes: n.to_ne_bytes().to_vec() };
        let mut opens = Opens::default();
        opens.opened(Pid(1), file(1), WallMicros(1));
        opens.opened(Pid(1), file(1), WallMicros(2));
        opens.opened(Pid(2), file(1), WallMicros(3));
        assert_eq!(opens.closed(Pid(1), file(1)), Some(WallMicros(2)));
        assert_eq!(opens.closed(Pid(1), file(1)), Some(WallMicros(1)));
        assert_eq!(opens.closed(Pid(1), file(1)), None);
        assert_eq!(opens.closed(Pid(1), file(2)), None);
        for n in 0..2 * REMEMBERED as u32 {
            opens.opened(Pid(9), file(n), WallMicros(4));
            assert!(opens.open.len() <= REMEMBERED && opens.count <= REMEMBERED);
        }
        assert_eq!(opens.closed(Pid(9), file(2 * REMEMBERED as u32 - 1)), Some(WallMicros(4)));
    }
}
