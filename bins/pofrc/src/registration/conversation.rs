//! What is said in a registration: who we are, and, for a signature of the server's nonce, what became of it.

use crate::key::ClientKey;
use anyhow::anyhow;
use pofr_collect::{HostView, machine_id};
use pofr_core::{
    identity::Cid,
    wire::link::{
        Answer, Down, Goodbye, LinkError, REGISTRATION_NAMESPACE, Reader, Refusal, Request, Service, Up,
        Writer,
    },
};
use std::io::{Read, Write};

/// A session with a registration account.
#[derive(Debug)]
pub(crate) struct Conversation<S> {
    session: S,
}

/// Why a registration does not go on.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The session broke; another may do better.
    Broken(anyhow::Error),
    /// The server does not want this client.
    Refused { code: Refusal, text: String, last: bool },
}

impl From<LinkError> for Verdict {
    fn from(error: LinkError) -> Self {
        Self::Broken(error.into())
    }
}

impl From<anyhow::Error> for Verdict {
    fn from(error: anyhow::Error) -> Self {
        Self::Broken(error)
    }
}

impl<S: Read + Write> Conversation<S> {
    /// Greets the server.
    pub(crate) fn begin(session: S, service: Service, cid: &Cid) -> Result<Self, (S, Verdict)> {
        let mut conversation = Self { session };
        let hello = Up::hello(service, cid, concat!("pofrc ", env!("CARGO_PKG_VERSION")));
        match conversation.ask(&hello) {
            Ok(Down::Welcome { .. }) => Ok(conversation),
            Ok(other) => Err((conversation.session, unexpected(&hello, &other).into())),
            Err(verdict) => Err((conversation.session, verdict)),
        }
    }

    /// Asks to be registered; returns the request's id.
    pub(crate) fn request(&mut self, view: &HostView, cid: &Cid, key: &ClientKey) -> Result<String, Verdict> {
        let system = rustix::system::uname();
        let text = |text: &std::ffi::CStr| text.to_string_lossy().chars().take(80).collect::<String>();
        let about = [system.sysname(), system.release(), system.machine()].map(text).join(" ");
        let request = Up::Request(Request {
            cid: cid.as_str().to_owned(),
            uuid: machine_id(view),
            public_key: key.public_line()?,
            host_name: text(system.nodename()),
            about,
        });
        match self.ask(&request)? {
            Down::Requested { request_id } => Ok(request_id),
            other => Err(unexpected(&request, &other).into()),
        }
    }

    /// Asks what became of the request.
    pub(crate) fn answer(&mut self, cid: &Cid, key: &ClientKey) -> Result<Answer, Verdict> {
        let ask = Up::Ask { cid: cid.as_str().to_owned() };
        let nonce = match self.ask(&ask)? {
            Down::Nonce(nonce) => nonce,
            other => return Err(unexpected(&ask, &other).into()),
        };
        let signature = key.sign(REGISTRATION_NAMESPACE, &nonce).map_err(|e| anyhow!("cannot sign: {e}"))?;
        let signed = Up::Signed { signature };
        match self.ask(&signed)? {
            Down::Answer(answer) => Ok(answer),
            other => Err(unexpected(&signed, &other).into()),
        }
    }

    /// Names another key as this one's successor; returns the request's id.
    pub(crate) fn rotate(&mut self, old: &ClientKey, new: &ClientKey) -> Result<String, Verdict> {
        let public_key = new.public_line()?;
        let namespace = pofr_core::wire::link::ROTATION_NAMESPACE;
        let signature =
            old.sign(namespace, public_key.as_bytes()).map_err(|e| anyhow!("cannot sign: {e}"))?;
        let rotate = Up::Rotate { public_key, signature };
        match self.ask(&rotate)? {
            Down::Requested { request_id } => Ok(request_id),
            other => Err(unexpected(&rotate, &other).into()),
        }
    }

    /// Leaves.
    pub(crate) fn leave(mut self, why: Goodbye) -> S {
        let _ = Writer::new(&mut self.session).write(&Up::Bye(why));
        self.session
    }

    /// Gives the session back, to learn why it broke.
    pub(crate) fn into_session(self) -> S {
        self.session
    }

    fn ask(&mut self, up: &Up) -> Result<Down, Verdict> {
        Writer::new(&mut self.session).write(up)?;
        match Reader::new(&mut self.session).read()? {
            Some(Down::Refused { code, text, last }) => Err(Verdict::Refused { code, text, last }),
            Some(down) => Ok(down),
            None => Err(anyhow!("the server ended the session").into()),
        }
    }
}

fn unexpected(asked: &Up, answer: &Down) -> anyhow::Error {
    anyhow!("the server answered {} with {}", asked.kind(), answer.kind())
}

impl Verdict {
    /// Turns it into an error that ends the command.
    pub(crate) fn into_error(self) -> anyhow::Error {
        match self {
            Self::Broken(error) => error,
            Self::Refused { code: Refusal::KeyDiffers, text, .. } => anyhow!(
                "the server refuses: {}\nhint: is this machine a clone? Then remove its state, so that it gets an id of its own",
                shown(&text)
            ),
            Self::Refused { text, .. } => anyhow!("the server refuses: {}", shown(&text)),
        }
    }
}

/// Makes sure that a text can be shown on a terminal.
pub(crate) fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
