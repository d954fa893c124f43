//! The sink of scp's old protocol (`scp -t`), for clients of the first POFR, which know nothing else.
//!
//! ```text
//! client   C0644 174080 1795412776422153#+0000#f60e….tar\n      a file: mode, bytes, name
//! server   \0                                                   go on
//! client   <174080 bytes> \0
//! server   \0                                                   stored
//! ```
//!
//! `T` (times, with -p) is answered and ignored, `D` and `E` (directories, with -r) are refused. The path that the client names
//! on its command line means nothing here: a bundle goes to the client's inbox, under its own name, by the same rules as in a
//! session of ours.

use super::{
    Account, Landing, Put, Rules, SessionError,
    arriving::Arriving,
    landing::charge,
    session::{Ended, Trouble},
};
use pofr_core::{
    raw::RawText,
    wire::{
        link::{LinkError, No},
        name::BundleName,
    },
};
use std::io::{self, Read, Write};

/// A line of the protocol is no longer than this.
const MAX_LINE: usize = 1024;

/// Tells whether a command is the sink of scp: `scp`, with `-t` among its options.
#[must_use]
pub fn is_sink(command: &str) -> bool {
    let mut words = command.split_whitespace();
    let program = words.next().unwrap_or("");
    let is_scp = program == "scp" || program.ends_with("/scp");
    is_scp
        && words.take_while(|word| word.starts_with('-') && *word != "--").any(|word| {
            // Options of one letter may stand together; none of scp's that a client passes on takes a value.
            !word.starts_with("--") && word.contains('t') && !word.contains('f')
        })
}

/// Takes what a client sends by scp, until it has no more.
///
/// # Errors
/// [`SessionError`] where the link breaks within a file, or the inbox fails.
pub fn sink(
    up: impl Read,
    down: impl Write,
    account: &Account,
    landing: Landing,
    rules: Rules,
    log: &mut dyn FnMut(&str),
) -> Result<Ended, SessionError> {
    Sink { up, down, account, landing, rules, log }.run()
}

struct Sink<'a, R, W> {
    up: R,
    down: W,
    account: &'a Account,
    landing: Landing,
    rules: Rules,
    log: &'a mut dyn FnMut(&str),
}

impl<R: Read, W: Write> Sink<'_, R, W> {
    fn run(&mut self) -> Result<Ended, SessionError> {
        if !self.account.v1 {
            self.fatal("this account is not one of the first POFR's")?;
            return Ok(Ended::Refused);
        }
        self.good()?;
        while let Some(line) = self.line()? {
            match line.split_first() {
                Some((b'C', rest)) => self.file(&String::from_utf8_lossy(rest))?,
                Some((b'T', _)) => self.good()?,
                // What the client says went wrong on its side.
                Some((1 | 2, text)) => {
                    let text = RawText::from(text).escaped();
                    (self.log)(&format!("the client says: {text}"));
                }
                _ => {
                    self.fatal("only files are taken")?;
                    return Ok(Ended::Refused);
                }
            }
        }
        Ok(Ended::Left)
    }

    /// Takes one file, or says why not; the client goes on with the next.
    fn file(&mut self, line: &str) -> Result<(), SessionError> {
        let mut words = line.splitn(3, ' ');
        let size = words.nth(1).and_then(|size| size.parse::<u64>().ok());
        let (Some(size), Some(name)) = (size, words.next()) else {
            return self
                .refuse("a file", &Trouble::new(No::Name, "a line that makes no sense".into(), false));
        };
        let parsed = match name.parse::<BundleName>() {
            Ok(parsed) => parsed,
            Err(error) => {
                return self.refuse("a file", &Trouble::new(No::Name, error.to_string(), false));
            }
        };
        let used = self.landing.used()?.saturating_add(charge(size));
        if size == 0 || size > self.rules.max_bundle {
            let text = format!("{size} bytes, not 1 to {}", self.rules.max_bundle);
            return self.refuse(name, &Trouble::new(No::Size, text, false));
        }
        if used > self.account.quota_bytes {
            let text = format!("{size} bytes do not fit the quota of {}", self.account.quota_bytes);
            return self.refuse(name, &Trouble::new(No::Quota, text, true));
        }
        let (mut arriving, _) = match Arriving::begin(&mut self.landing, parsed, size, None) {
            Ok(begun) => begun,
            Err(error) => {
                return self.refuse(name, &Trouble::new(No::Disk, error.to_string(), true));
            }
        };
        self.good()?;
        let received = self.contents(&mut arriving, size);
        if let Err(error) = received {
            arriving.abandon(&self.landing);
            return Err(error);
        }
        match arriving.finish(&self.landing) {
            Ok(stored) => {
                if stored.put == Put::Named {
                    (self.log)(&format!("stored {} of {} bytes by scp", stored.name, stored.bytes));
                }
                self.good()
            }
            Err(trouble) => self.refuse(name, &trouble),
        }
    }

    /// Reads a file's bytes, and the byte after them by which the client says whether it could read all of it.
    fn contents(&mut self, arriving: &mut Arriving, size: u64) -> Result<(), SessionError> {
        let mut left = size;
        let mut buf = vec![0; 64 << 10];
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(buf.len()).min(buf.len());
            let n = read_some(&mut self.up, &mut buf[..most])?;
            if n == 0 {
                return Err(LinkError::Truncated.into());
            }
            arriving.push(&buf[..n]);
            left -= n as u64;
        }
        let mut status = [0];
        if read_some(&mut self.up, &mut status)? == 0 {
            return Err(LinkError::Truncated.into());
        }
        // Where the client could not read its file, the digest says so as well.
        if status[0] != 0 {
            self.line()?;
        }
        Ok(())
    }

    /// Reads a line without its end; `None` where there is nothing more.
    fn line(&mut self) -> Result<Option<Vec<u8>>, SessionError> {
        let mut line = Vec::new();
        loop {
            let mut byte = [0];
            if read_some(&mut self.up, &mut byte)? == 0 {
                return if line.is_empty() { Ok(None) } else { Err(LinkError::Truncated.into()) };
            }
            match byte[0] {
                b'\n' => return Ok(Some(line)),
                _ if line.len() >= MAX_LINE => {
                    return Err(LinkError::Length { length: line.len() as u64 + 1, limit: MAX_LINE }.into());
                }
                byte => line.push(byte),
            }
        }
    }

    fn good(&mut self) -> Result<(), SessionError> {
        self.say(b"\0")
    }

    fn refuse(&mut self, what: &str, trouble: &Trouble) -> Result<(), SessionError> {
        let text = RawText::from(&*trouble.text).escaped();
        (self.log)(&format!("not taken: {}: {text}", RawText::from(what).escaped()));
        self.say(format!("\x01pofr: {text}\n").as_bytes())
    }

    fn fatal(&mut self, text: &str) -> Result<(), SessionError> {
        (self.log)(&format!("refused: {text}"));
        self.say(format!("\x02pofr: {text}\n").as_bytes())
    }

    fn say(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        let said = self.down.write_all(bytes).and_then(|()| self.down.flush());
        said.map_err(|cause| LinkError::Io(cause).into())
    }
}

fn read_some(from: &mut impl Read, buf: &mut [u8]) -> Result<usize, SessionError> {
    loop {
        match from.read(buf) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other.map_err(|cause| LinkError::Io(cause).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_sink_is_one() {
        for sink in ["scp -t .", "scp -p -t /home/x/", "/usr/bin/scp -v -t -- x", "scp -pt ."] {
            assert!(is_sink(sink), "{sink}");
        }
        for other in ["scp -f .", "scp", "sh -c 'scp -t .'", "scpx -t .", "scp . -t", "scp -- -t", ""] {
            assert!(!is_sink(other), "{other}");
        }
    }
}
