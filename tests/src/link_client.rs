//! A client that speaks the link through the real `ssh`, a message at a time: for what pofrc would never say.

use crate::machine::Machine;
use pofr_core::{
    identity::Cid,
    wire::link::{Answer, Down, REGISTRATION_NAMESPACE, Reader, Request, Service, Up, Writer},
};
use ssh_key::{HashAlg, LineEnding, PrivateKey, private::Ed25519Keypair};
use std::{
    io,
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

/// A key pair, the same for the same number.
#[derive(Clone, Debug)]
pub struct Identity(PrivateKey);

impl Identity {
    /// Makes the pair of that number.
    #[must_use]
    pub fn new(number: u8) -> Self {
        Self(PrivateKey::from(Ed25519Keypair::from_seed(&[number; 32])))
    }

    /// Returns the public key's line.
    #[must_use]
    pub fn line(&self) -> String {
        self.0.public_key().to_openssh().unwrap()
    }

    /// Returns the private key's file.
    #[must_use]
    pub fn file(&self) -> String {
        self.0.to_openssh(LineEnding::LF).unwrap().to_string()
    }

    /// Signs (PROTOCOL.sshsig).
    #[must_use]
    pub fn sign(&self, namespace: &str, message: &[u8]) -> String {
        self.0.sign(namespace, HashAlg::Sha512, message).unwrap().to_pem(LineEnding::LF).unwrap()
    }

    /// Writes the private key to a file on a machine, and returns the path.
    pub fn install(&self, machine: &Machine, name: &str) -> String {
        let path = format!("/root/{name}");
        machine.write(&path, &self.file());
        machine.text(&format!("chmod 600 {path}"));
        path
    }
}

/// Returns `ssh` with a key, as an account of the machine itself; what follows it is ssh's.
#[must_use]
pub fn ssh(key: &str, account: &str, options: &str, command: &str) -> String {
    format!(
        "ssh -F /dev/null -o BatchMode=yes -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
         -o LogLevel=ERROR -i {key} {options} {account}@127.0.0.1 {command}"
    )
}

/// A session.
#[derive(Debug)]
pub struct LinkClient {
    child: Child,
    reader: Reader<ChildStdout>,
    writer: Option<Writer<ChildStdin>>,
}

impl LinkClient {
    /// Logs in.
    ///
    /// # Panics
    /// Where ssh cannot be run.
    #[must_use]
    pub fn connect(machine: &Machine, key: &str, account: &str) -> Self {
        let mut child = machine
            .shell(&format!("exec {}", ssh(key, account, "", "")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (up, down) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, reader: Reader::new(down), writer: Some(Writer::new(up)) }
    }

    /// Says something that has no answer.
    pub fn say(&mut self, up: &Up) -> bool {
        self.writer.as_mut().is_some_and(|writer| writer.write(up).is_ok())
    }

    /// Says something and returns the answer; `None` where the session is over.
    pub fn ask(&mut self, up: &Up) -> Option<Down> {
        self.say(up);
        self.reader.read().ok().flatten()
    }

    /// Begins a session.
    pub fn hello(&mut self, service: Service, cid: &str) -> Option<Down> {
        // A cid that is none can be said all the same.
        let mut hello = Up::hello(service, &Cid::parse("x").unwrap(), "test");
        if let Up::Hello { cid: said, .. } = &mut hello {
            cid.clone_into(said);
        }
        self.ask(&hello)
    }

    /// Asks to be registered.
    pub fn request(&mut self, cid: &str, identity: &Identity) -> Option<Down> {
        self.ask(&Up::Request(Request {
            cid: cid.to_owned(),
            uuid: "4c4c4544-0034-4610-8047-b6c04f533733".to_owned(),
            public_key: identity.line(),
            host_name: "web".to_owned(),
            about: "Linux".to_owned(),
        }))
    }

    /// Asks for the answer, signing with a key.
    pub fn answer(&mut self, cid: &str, identity: &Identity) -> Result<Answer, Option<Down>> {
        let nonce = match self.ask(&Up::Ask { cid: cid.to_owned() }) {
            Some(Down::Nonce(nonce)) => nonce,
            other => return Err(other),
        };
        let signature = identity.sign(REGISTRATION_NAMESPACE, &nonce);
        match self.ask(&Up::Signed { signature }) {
            Some(Down::Answer(answer)) => Ok(answer),
            other => Err(other),
        }
    }

    /// Ends the session.
    pub fn end(mut self) -> io::Result<()> {
        self.writer = None;
        self.child.wait().map(drop)
    }
}

impl Drop for LinkClient {
    fn drop(&mut self) {
        self.writer = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
