//! One session of the registration account: a message comes, an answer goes.
//!
//! Pure but for the desk's files: no sockets, no clock of its own. What a client is told of a request it is told for a
//! signature of this session's nonce by the key that asked, and a nonce is good once. To who has no such key, a client that
//! waits and one that nobody knows look alike.

use super::{desk::Desk, invitation::Invite, key::ClientKey, request::new_cid};
use pofr_core::{
    identity::Cid,
    raw::RawText,
    time::WallMicros,
    wire::link::{Answer, Down, LINK_VERSION, REGISTRATION_NAMESPACE, Refusal, Service, Up},
};

/// How many messages a session may have: an hour of asking every two seconds.
pub const MOST_MESSAGES: u32 = 4000;
/// How many requests a session may hand in.
const MOST_REQUESTS: u32 = 8;

/// Who is there.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The address, as sshd saw it.
    pub source: String,
    /// The invitation whose key opened the session; `None` where the password did.
    pub invite: Option<Invite>,
}

/// A session.
#[derive(Debug)]
pub struct Conversation<'a> {
    desk: &'a Desk,
    visitor: Visitor,
    greeted: bool,
    nonce: Option<(Cid, [u8; 32])>,
    messages: u32,
    requests: u32,
}

/// What is said, and whether the session goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What is said; a goodbye has no answer.
    pub down: Option<Down>,
    /// Whether the session goes on.
    pub goes_on: bool,
}

impl Reply {
    fn said(down: Down) -> Self {
        Self { down: Some(down), goes_on: true }
    }

    fn refused(code: Refusal, text: impl Into<String>, last: bool) -> Self {
        Self { down: Some(Down::Refused { code, text: text.into(), last }), goes_on: false }
    }
}

impl<'a> Conversation<'a> {
    /// Begins.
    #[must_use]
    pub const fn new(desk: &'a Desk, visitor: Visitor) -> Self {
        Self { desk, visitor, greeted: false, nonce: None, messages: 0, requests: 0 }
    }

    /// Answers a message; `now` is this server's clock.
    pub fn answer(&mut self, up: Up, now: WallMicros) -> Reply {
        self.messages += 1;
        if self.messages > MOST_MESSAGES {
            return Reply::refused(Refusal::Busy, "that was enough for one session: come again", false);
        }
        match up {
            Up::Hello { version, service, .. } if !self.greeted => self.hello(version, service, now),
            Up::Bye(_) => Reply { down: None, goes_on: false },
            _ if !self.greeted => Reply::refused(Refusal::Other, "a session begins with hello", true),
            Up::Request(request) => {
                self.requests += 1;
                if self.requests > MOST_REQUESTS {
                    return Reply::refused(Refusal::TooMany, "too many requests in one session", false);
                }
                let invite = self.visitor.invite.as_ref();
                match self.desk.hand_in(&request, &self.visitor.source, invite, now.0) {
                    Ok(request_id) => Reply::said(Down::Requested { request_id }),
                    Err(error) => {
                        let (code, last) = error.refusal();
                        tracing::warn!(cid = %RawText::from(request.cid.as_str()).escaped(), source = %self.visitor.source, %error, "refused");
                        // Paths of the server's are nobody's business.
                        let text = match code {
                            Refusal::Busy => "the server cannot take requests at the moment".to_owned(),
                            _ => error.to_string(),
                        };
                        Reply::refused(code, text, last)
                    }
                }
            }
            Up::Ask { cid } => self.ask(&cid),
            Up::Signed { signature } => self.signed(&signature),
            other => Reply::refused(Refusal::Other, format!("no {} in a registration", other.kind()), true),
        }
    }

    fn hello(&mut self, version: u32, service: Service, now: WallMicros) -> Reply {
        if version != LINK_VERSION {
            let text = format!("this server speaks version {LINK_VERSION} of the link, not {version}");
            return Reply::refused(Refusal::Version, text, true);
        }
        if service != Service::Register {
            return Reply::refused(Refusal::WrongClient, "this account registers clients, and no more", true);
        }
        self.greeted = true;
        Reply::said(Down::Welcome {
            version: LINK_VERSION,
            software: concat!("pofrs ", env!("CARGO_PKG_VERSION")).to_owned(),
            time: now,
            max_bundle_bytes: 0,
            quota_left_bytes: 0,
            open: None,
        })
    }

    fn ask(&mut self, cid: &str) -> Reply {
        let Ok(cid) = new_cid(cid) else {
            return Reply::refused(Refusal::BadCid, "that is no client id", true);
        };
        match super::random() {
            Ok(nonce) => {
                self.nonce = Some((cid, nonce));
                Reply::said(Down::Nonce(nonce))
            }
            Err(_) => Reply::refused(Refusal::Busy, "no random bytes", false),
        }
    }

    fn signed(&mut self, signature: &str) -> Reply {
        let stranger =
            || Reply::refused(Refusal::BadSignature, "no request with that id and that key is known", true);
        let Some((cid, nonce)) = self.nonce.take() else {
            return Reply::refused(Refusal::BadSignature, "nothing was asked that this could answer", true);
        };
        let known = match self.desk.known(&cid) {
            Ok(Some(known)) => known,
            Ok(None) => return stranger(),
            Err(error) => {
                tracing::error!(%error, "an answer cannot be read");
                return Reply::refused(Refusal::Busy, "the answer cannot be read at the moment", false);
            }
        };
        let verified = ClientKey::parse(&known.request().public_key)
            .and_then(|key| key.verify(REGISTRATION_NAMESPACE, &nonce, signature));
        if verified.is_err() {
            return stranger();
        }
        let answer = match known {
            super::desk::Known::Waiting(_) => Answer::Pending,
            super::desk::Known::Decided(decision) => decision.answer(),
        };
        Reply::said(Down::Answer(answer))
    }
}
