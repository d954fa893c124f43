//! Signals: the first that asks to end seals the bundle. A second SIGINT ends at once; other signals may come twice, since
//! cron, a service manager and `pofrc stop` do not know of each other.

use anyhow::Context as _;
use nix::sys::signal::{SigSet, Signal};
use pofr_collect::Stop;

/// The signals that ask to end.
fn asking() -> SigSet {
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect()
}

/// Keeps these signals from ending the program. To be called before any other thread is started, so that all of them
/// leave the signals to the one that waits for them.
pub(crate) fn block() -> anyhow::Result<()> {
    asking().thread_block().context("cannot block signals")
}

/// Lets the signals tell `stop` from now on.
pub(crate) fn tell(stop: Stop) -> anyhow::Result<()> {
    let wait = move || {
        let mut told = false;
        while let Ok(signal) = asking().wait() {
            if told && signal == Signal::SIGINT {
                std::process::exit(130);
            }
            told = true;
            stop.stop();
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait).context("cannot wait for signals")?;
    Ok(())
}
