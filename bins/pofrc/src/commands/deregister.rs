//! `pofrc deregister`: ends the sending, and forgets the server.

use super::register::explain;
use crate::{
    cli::Deregister,
    exit::Exit,
    plan,
    registration::{Conversation, agreed},
    shipper::{Place, ShipFile},
    ssh::{Desk, Login, Options},
    state::Registration,
    target::Target,
};
use pofr_core::{
    identity::Cid,
    wire::link::{Goodbye, Service},
};
use std::time::Duration;

/// The shipper has so long to end.
const PATIENCE: Duration = Duration::from_secs(15);

/// Deregisters, if a person agrees.
pub(super) fn run(args: &Deregister) -> anyhow::Result<Exit> {
    let place = plan::ship_place(&args.place, args.state.as_deref(), None)?;
    let Some(registration) = place.state.registration()? else {
        println!("no server is registered");
        return Ok(Exit::Done);
    };
    let server = registration.address();
    println!("client {} at {server}", registration.cid);
    println!("its key goes, and with it every way of sending as this client; what waits in the spool stays");
    if !args.yes && !agreed("Deregister?")? {
        println!("nothing was changed");
        return Ok(Exit::Refused);
    }
    end_shipper(&place)?;
    if registration.account().is_some()
        && let Err(error) = take_leave(&place, &registration)
    {
        eprintln!("pofrc: {server} was not told: {error:#}");
    }
    place.state.forget(true)?;
    ShipFile::new(&place.run.ship_dir()).remove()?;
    println!("deregistered. On the server, the administrator ends it with");
    println!("  pofrs remove {} --keep-data", registration.cid);
    Ok(Exit::Done)
}

/// Ends the shipper, if one runs.
pub(super) fn end_shipper(place: &Place) -> anyhow::Result<()> {
    if let Some(target) = place.run.shipper()?.map(Target::hold).transpose()?.flatten() {
        target.end()?;
        target.wait(PATIENCE);
    }
    Ok(())
}

/// Tells the server.
fn take_leave(place: &Place, registration: &Registration) -> anyhow::Result<()> {
    let (desk, cid) = knock(place, registration)?;
    let conversation = Conversation::begin(desk, Service::Receive, &cid)
        .map_err(|(desk, verdict)| explain(desk, verdict).into_error())?;
    drop(conversation.leave(Goodbye::Deregistered));
    Ok(())
}

/// Logs in as the client.
pub(super) fn knock(place: &Place, registration: &Registration) -> anyhow::Result<(Desk, Cid)> {
    let cid = Cid::parse(&registration.cid).ok_or_else(|| anyhow::anyhow!("the client id is none"))?;
    let options = Options {
        host: registration.server.clone(),
        port: registration.port,
        account: registration.account().unwrap_or_default().to_owned(),
        key: Some(place.state.key()),
        known_hosts: place.state.known_hosts(),
    };
    Ok((Desk::open(&options, Login::Key, place.state.path())?, cid))
}
