//! Signals: the first that asks to end seals the bundle, the second ends at once.

use nix::sys::signal::{SigSet, Signal};
use pofr_collect::Stop;

/// Lets SIGINT, SIGTERM and SIGHUP tell `stop`. To be called before any other thread is started, so that all of them
/// leave these signals to the one that waits for them.
pub(crate) fn tell(stop: Stop) -> anyhow::Result<()> {
    let set: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    set.thread_block()?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut told = false;
        while set.wait().is_ok() {
            if told {
                std::process::exit(130);
            }
            told = true;
            stop.stop();
        }
    })?;
    Ok(())
}
