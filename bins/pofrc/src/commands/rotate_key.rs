//! `pofrc rotate-key`: another key in the old one's place, which that one vouches for.
//!
//! The new key waits in `id.next` until the server's administrator has let it in; from then on the server takes only the new one.

use super::{
    deregister::{end_shipper, knock},
    register::explain,
};
use crate::{
    cli::RotateKey,
    exit::Exit,
    key::{ClientKey, public_half},
    plan,
    registration::{Conversation, Verdict},
    shipper::{Place, ShipFile, begin},
    ssh::{Desk, Login, Options},
    state::Registration,
};
use anyhow::{Context as _, bail};
use pofr_core::{
    identity::Cid,
    wire::link::{Goodbye, Service},
};
use std::time::Duration;

/// How often is tried whether the new key is taken.
const TRY: Duration = Duration::from_secs(5);

/// Asks for the change, and waits until it is made.
pub(super) fn run(args: &RotateKey) -> anyhow::Result<Exit> {
    let place = plan::ship_place(&args.place, args.state.as_deref(), None)?;
    let registration = place.state.registration()?.context("no server is registered")?;
    if registration.account().is_none() {
        bail!("the registration is not granted: there is no key to change");
    }
    let next = place.state.next_key();
    let new = match ClientKey::read(&next)? {
        Some(new) => new,
        None => {
            let new = ClientKey::make(args.key_type)?;
            ask(&place, &registration, &new)?;
            new.write(&next)?;
            println!("waiting for the administrator: pofrs approve {}", registration.cid);
            new
        }
    };
    println!("new key {}", new.fingerprint());
    while !is_taken(&place, &registration)? {
        if args.no_wait {
            println!("PENDING: the old key holds; `pofrc rotate-key` tries again");
            return Ok(Exit::Done);
        }
        std::thread::sleep(TRY);
    }
    end_shipper(&place)?;
    new.write(&place.state.key())?;
    for path in [public_half(&next), next] {
        crate::run_dir::remove(&path)?;
    }
    println!("the server takes the new key");
    ShipFile::new(&place.run.ship_dir()).remove()?;
    if let Some(place) = place.of_the_recorder()? {
        begin(&place, true, true)?;
        println!(
            "the recorder that runs signs with the old key: `pofrc stop`, `pofrc start --detach` has it sign with the new one"
        );
    }
    Ok(Exit::Done)
}

/// Has the old key vouch for the new one.
fn ask(place: &Place, registration: &Registration, new: &ClientKey) -> anyhow::Result<()> {
    let old = ClientKey::read(&place.state.key())?.context("there is no key")?;
    let (desk, cid) = knock(place, registration)?;
    let end = |(desk, verdict): (Desk, Verdict)| explain(desk, verdict).into_error();
    let mut conversation = Conversation::begin(desk, Service::Receive, &cid).map_err(end)?;
    match conversation.rotate(&old, new) {
        Ok(request) => println!("requested: {}", crate::registration::shown(&request)),
        Err(verdict) => return Err(end((conversation.into_session(), verdict))),
    }
    drop(conversation.leave(Goodbye::Stopping));
    Ok(())
}

/// Tells whether the new key opens a session.
fn is_taken(place: &Place, registration: &Registration) -> anyhow::Result<bool> {
    let cid = Cid::parse(&registration.cid).context("the client id is none")?;
    let options = Options {
        host: registration.server.clone(),
        port: registration.port,
        account: registration.account().unwrap_or_default().to_owned(),
        key: Some(place.state.next_key()),
        known_hosts: place.state.known_hosts(),
    };
    let desk = Desk::open(&options, Login::Key, place.state.path())?;
    Ok(match Conversation::begin(desk, Service::Receive, &cid) {
        Ok(conversation) => {
            drop(conversation.leave(Goodbye::Stopping));
            true
        }
        Err(_) => false,
    })
}
