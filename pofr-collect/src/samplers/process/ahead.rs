//! What of a tick's processes may make its reader wait is asked ahead of the looks at them, in one round trip.

use super::{
    incremental::{Incremental, Tick},
    known::Due,
    sharing::place,
};

impl Incremental {
    /// Asks of all processes that are to be read. Who did not answer before is read again when it may be asked again.
    pub(super) fn ask_ahead(&mut self, tick: &Tick<'_>) {
        self.look.begin();
        for pid in self.look.answers.due() {
            if let Some(at) = place(&self.table, pid.0)
                && self.table[at].due == Due::Not
            {
                self.table[at].due = Due::Moved;
            }
        }
        let due = self.table.iter().filter(|known| {
            matches!(known.due, Due::New | Due::Moved)
                && !known.kernel_thread
                && !known.left_out
                && known.thread_of == 0
        });
        self.look.answers.ask_ahead(tick.view, due.map(|known| known.pid));
    }
}
