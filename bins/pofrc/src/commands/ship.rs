//! `pofrc ship`: the shipper itself, as `start` starts it.

use crate::{
    cli::Ship,
    exit::Exit,
    privileges,
    shipper::{ShipFile, is_told_to_begin},
    signals,
    ssh::{Options, Shipping, orphans},
    state::StateDir,
};
use anyhow::{Context as _, bail};
use pofr_collect::{ShipReport, ShipSettings, Shipper, Stop};
use pofr_core::identity::Cid;
use std::{path::Path, time::Duration};

/// A log longer than this, bytes, begins anew.
const LOG_BYTES: u64 = 1 << 20;

/// Ships until told to stop, or refused.
pub(super) fn run(args: &Ship) -> anyhow::Result<Exit> {
    let stop = Stop::new().context("cannot make a stop")?;
    signals::block()?;
    signals::tell(stop.clone())?;
    // It was started as `exe`; the recorder's name is another's.
    rustix::thread::set_name(c"pofrc-ship").context("cannot take the name")?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    privileges::drop_all()?;
    orphans::adopt()?;
    if args.on_word && !is_told_to_begin() {
        bail!("whoever started this shipper has not written it down");
    }
    if stop.wait(args.after) {
        return Ok(Exit::Done);
    }
    let state = StateDir::new(&args.state);
    let registration = state.registration()?.context("no server is registered")?;
    let Some(account) = registration.account() else { bail!("the registration is not granted") };
    let cid = Cid::parse(&registration.cid).context("the registration's client id is none")?;
    let settings = ShipSettings {
        software: concat!("pofrc ", env!("CARGO_PKG_VERSION")).to_owned(),
        bandwidth: args.bandwidth,
        backlog: Some(args.backlog_rate.unwrap_or(ShipSettings::BACKLOG)),
        ..ShipSettings::new(cid, &args.spool)
    };
    let options = Options {
        host: registration.server.clone(),
        port: registration.port,
        account: account.to_owned(),
        key: Some(state.key()),
        known_hosts: state.known_hosts(),
    };
    if let Some(last) = &args.until {
        end_with(last, stop.clone())?;
    }
    let transport = Shipping::new(options, &args.dir, &stop, settings.grace)?;
    let file = ShipFile::new(&args.dir);
    let mut shipper = Shipper::new(settings, transport).telling(move |report| tell(&file, report));
    let ended = shipper.run(&stop);
    drop(shipper);
    orphans::end_all();
    match ended {
        Ok(()) => Ok(Exit::Done),
        // Said by the shipper already, and in its file.
        Err(_) => Ok(Exit::Refused),
    }
}

fn tell(file: &ShipFile, report: &ShipReport) {
    if let Err(error) = file.write(report) {
        tracing::warn!("cannot say how it goes: {error}");
    }
    let stderr = rustix::stdio::stderr();
    let is_long = rustix::fs::fstat(stderr).is_ok_and(|found| {
        rustix::fs::FileType::from_raw_mode(found.st_mode).is_file()
            && u64::try_from(found.st_size).is_ok_and(|size| size > LOG_BYTES)
    });
    if is_long {
        let _ = rustix::fs::ftruncate(stderr, 0);
    }
}

/// Stops once `last` is there: the recorder has ended in order.
fn end_with(last: &Path, stop: Stop) -> anyhow::Result<()> {
    let last = last.to_owned();
    let watch = move || {
        while !stop.wait(Duration::from_secs(1)) {
            if last.exists() {
                stop.stop();
            }
        }
    };
    std::thread::Builder::new().name("recorder".to_owned()).spawn(watch).context("cannot start a thread")?;
    Ok(())
}
