//! `pofrc register`: lets a server know this client, and waits until its administrator has decided.

use crate::{
    cli::Register,
    exit::Exit,
    key::ClientKey,
    places::make_private,
    plan,
    registration::{Conversation, HostKey, Verdict, Way, shown},
    run_dir,
    shipper::{Begun, Place, begin},
    ssh::{Desk, Login, Options},
    state::{Registration, Standing, StateDir, address, write_private},
    user::{self, User},
};
use anyhow::{Context as _, bail};
use pofr_collect::{HostView, spool::own_client_id};
use pofr_core::{
    identity::Cid,
    wire::link::{Answer, Goodbye, Service, status_line},
};
use std::{io::BufRead as _, time::Duration};

/// How often the server is asked what became of the request.
const ASK: Duration = Duration::from_secs(2);
/// After how long a session that broke is made again.
const AGAIN: Duration = Duration::from_secs(5);

/// Registers, or takes a registration up again.
pub(super) fn run(args: &Register) -> anyhow::Result<Exit> {
    let place = plan::ship_place(&args.place, args.state.as_deref(), None)?;
    let recorder = place.recorder.as_deref().map(User::named).transpose()?;
    make_private(place.state.path(), recorder.map(|user| user.uid))?;
    let view = HostView::live()?;
    let cid = own_client_id(&view, place.state.path())?;
    let before = place.state.registration()?;
    let Some(desk) = desk(args, &place.state, before.as_ref(), &cid)? else {
        // Nothing is asked for that is not so already.
        return Ok(tell(&before.context("the registration is gone")?));
    };
    let key = match ClientKey::read(&place.state.key())? {
        Some(key) => key,
        None => {
            let key = ClientKey::make(args.key_type)?;
            key.write(&place.state.key())?;
            key
        }
    };
    println!("client {}, key {}", cid, key.fingerprint());
    let mut waiting = Waiting { args, state: &place.state, view: &view, cid: &cid, key: &key, desk };
    let settled = waiting.settle()?;
    place.state.register(&settled)?;
    if settled.account().is_some() {
        run_dir::remove(&place.state.invitation())?;
        user::make_shippers(&place)?;
        begin_shipping(place)?;
    }
    Ok(tell(&settled))
}

/// Where to knock, and what is known of the registration so far.
struct KnockAt {
    registration: Registration,
    login: Login,
}

/// Finds out where to knock; `None` where there is nothing to knock for.
fn desk(
    args: &Register,
    state: &StateDir,
    before: Option<&Registration>,
    cid: &Cid,
) -> anyhow::Result<Option<KnockAt>> {
    let way = match (&args.invite, &args.server) {
        (Some(token), _) => Way::invited(&token_of(token)?)?,
        (None, Some(server)) => Way::by_name(server, args.fingerprint.as_deref(), args.yes)?,
        (None, None) => match before {
            Some(before) if before.status == Standing::Pending => {
                let login = if state.invitation().exists() { Login::Key } else { Login::Password };
                return Ok(Some(KnockAt { registration: before.clone(), login }));
            }
            Some(_) => return Ok(None),
            None => bail!("no server is known: give --invite TOKEN or --server HOST"),
        },
    };
    if let Some(before) = before.filter(|before| before.account().is_some())
        && (&before.server, before.port) != (&way.host, way.port)
    {
        bail!("this client is registered at {}: `pofrc deregister` first", before.address());
    }
    pin(state, &way.host_key, &way)?;
    let login = match &way.key {
        Some(key) => {
            write_private(&state.invitation(), key.as_bytes())?;
            Login::Key
        }
        None => {
            run_dir::remove(&state.invitation())?;
            Login::Password
        }
    };
    let registration = Registration::new(way.host, way.port, cid, way.account);
    // One that is granted stays so until the server says otherwise.
    if before.is_none_or(|before| before.account().is_none()) {
        state.register(&registration)?;
    }
    Ok(Some(KnockAt { registration, login }))
}

/// Reads the token, from the input where it is `-`: a command line is for everyone to see.
fn token_of(token: &str) -> anyhow::Result<String> {
    if token != "-" {
        return Ok(token.to_owned());
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("cannot read the invitation")?;
    Ok(line)
}

fn pin(state: &StateDir, key: &HostKey, way: &Way) -> anyhow::Result<()> {
    println!("server {}, host key {}", address(&way.host, way.port), key.fingerprint());
    write_private(&state.known_hosts(), key.pin(&way.host, way.port)?.as_bytes())
}

/// A registration that is under way.
struct Waiting<'a> {
    args: &'a Register,
    state: &'a StateDir,
    view: &'a HostView,
    cid: &'a Cid,
    key: &'a ClientKey,
    desk: KnockAt,
}

impl Waiting<'_> {
    /// Knocks until there is an answer, or once where nobody wants to wait.
    fn settle(&mut self) -> anyhow::Result<Registration> {
        loop {
            let error = match self.knock() {
                Ok(settled) => return Ok(settled),
                Err(refused @ Verdict::Refused { last: true, .. }) => return Err(refused.into_error()),
                Err(for_now) => for_now.into_error(),
            };
            // Without a request there is nothing to wait for, and nobody wants to be asked for a password twice.
            if self.desk.registration.request_id.is_none() || self.desk.login == Login::Password {
                return Err(error);
            }
            eprintln!("pofrc: {error:#}; trying again in {} s", AGAIN.as_secs());
            std::thread::sleep(AGAIN);
        }
    }

    /// One session with the registration account.
    fn knock(&mut self) -> Result<Registration, Verdict> {
        let known = &self.desk.registration;
        let options = Options {
            host: known.server.clone(),
            port: known.port,
            account: known.desk.clone(),
            key: (self.desk.login == Login::Key).then(|| self.state.invitation()),
            known_hosts: self.state.known_hosts(),
        };
        let session = Desk::open(&options, self.desk.login, self.state.path())?;
        let mut conversation = Conversation::begin(session, Service::Register, self.cid)
            .map_err(|(desk, verdict)| explain(desk, verdict))?;
        match self.talk(&mut conversation) {
            Ok(settled) => {
                drop(conversation.leave(Goodbye::Stopping));
                Ok(settled)
            }
            Err(verdict) => Err(explain(conversation.into_session(), verdict)),
        }
    }

    fn talk(&mut self, conversation: &mut Conversation<Desk>) -> Result<Registration, Verdict> {
        let request_id = conversation.request(self.view, self.cid, self.key)?;
        let is_new = self.desk.registration.request_id.as_ref() != Some(&request_id);
        self.desk.registration.request_id = Some(request_id.clone());
        let mut settled = self.desk.registration.clone();
        if is_new {
            println!("requested: {}", shown(&request_id));
        }
        let mut told = false;
        loop {
            settled.status = match conversation.answer(self.cid, self.key)? {
                Answer::Granted { ciduser, registration_id, account } => {
                    Standing::Granted { ciduser, registration_id, account }
                }
                Answer::Denied { reason } => Standing::Denied { reason },
                Answer::Pending => {
                    self.state.register(&settled)?;
                    if self.args.no_wait {
                        return Ok(settled);
                    }
                    if is_new && !told {
                        println!("waiting for the administrator: pofrs approve {}", self.cid);
                        told = true;
                    }
                    std::thread::sleep(ASK);
                    continue;
                }
            };
            return Ok(settled);
        }
    }
}

/// Asks ssh why a session broke.
pub(super) fn explain(desk: Desk, verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Broken(error) => Verdict::Broken(desk.why().unwrap_or(error)),
        refused => refused,
    }
}

/// Says what became of it.
fn tell(settled: &Registration) -> Exit {
    match &settled.status {
        Standing::Granted { ciduser, registration_id, .. } => {
            println!("{}", shown(&status_line(ciduser, registration_id)));
            println!("GRANTED: bundles go to {}", settled.address());
            Exit::Done
        }
        Standing::Denied { reason } => {
            println!("DENIED: {}", shown(reason));
            Exit::Refused
        }
        Standing::Pending => {
            println!("PENDING: `pofrc register` fetches the answer");
            Exit::Done
        }
    }
}

/// Begins to send, where a recorder is at work.
fn begin_shipping(place: Place) -> anyhow::Result<()> {
    let Some(place) = place.of_the_recorder()? else {
        println!("`pofrc start --detach` records and sends");
        return Ok(());
    };
    crate::shipper::ShipFile::new(&place.run.ship_dir()).remove()?;
    if let Begun::Runs { pid, note, .. } = begin(&place, true, true)? {
        println!("sending: process {pid}");
        note.iter().for_each(|note| println!("note: {note}"));
        println!(
            "the recorder that runs does not sign its bundles: `pofrc stop`, `pofrc start --detach` has it do so"
        );
    }
    Ok(())
}
