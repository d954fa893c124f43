//! Asking the pipeline to end: after the bundles that are being stored, or when a client has had its turn.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

/// Tells whether to go on. Copies share the flag, not the time.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    told: Arc<AtomicBool>,
    deadline: Option<Instant>,
}

impl Stop {
    /// Tells all copies to end.
    pub fn stop(&self) {
        self.told.store(true, Ordering::Relaxed);
    }

    /// Tells whether somebody said to end.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.told.load(Ordering::Relaxed)
    }

    /// Makes a copy that ends by itself at `deadline`, after what is in work then.
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Self {
        Self { told: Arc::clone(&self.told), deadline: Some(deadline) }
    }

    /// Tells whether it is time to end.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.is_told() || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn copies_share_the_flag_and_not_the_time() {
        let stop = Stop::default();
        let turn = stop.until(Instant::now());
        assert!(turn.is_due() && !turn.is_told() && !stop.is_due());
        let later = stop.until(Instant::now() + Duration::from_secs(3600));
        assert!(!later.is_due());
        stop.stop();
        assert!(later.is_due() && later.is_told());
    }
}
