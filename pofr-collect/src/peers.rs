//! Peers: the network namespaces besides ours whose sockets' ends we hear of.
//!
//! A netlink socket with `NETLINK_LISTEN_ALL_NSID` is told what happens in every namespace for which ours has a number (an *nsid*,
//! ip-netns(8)): it takes CAP_NET_BROADCAST when it is opened, nobody enters anything, and no namespace is kept alive by it. So the
//! endpoint sampler gives those that it finds a number, if they have none, and tells here which is which; `socket-events` asks.

use crate::netlink::{
    self, ERROR, NetlinkError, REQUEST, Socket, attribute, messages, push_attribute, push_header,
};
use rustix::io::Errno;
use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::{AsFd, AsRawFd as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// `RTM_NEWNSID`, `RTM_GETNSID` (include/uapi/linux/rtnetlink.h).
const NEW: u16 = 88;
const GET: u16 = 90;
/// `NLM_F_ACK`.
const ACKNOWLEDGE: u16 = 4;
/// `NETNSA_NSID`, `NETNSA_FD` (include/uapi/linux/net_namespace.h).
const NUMBER: u16 = 1;
const FILE: u16 = 3;
/// The bit that an inode number of nsfs has and a number of a namespace cannot have.
const SIGN: u32 = 1 << 31;

/// What is known of the others. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peers(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Whether `socket-events` hears of others; why not, where that was said.
    hears: bool,
    why_not: Option<String>,
    /// The inodes of namespaces, by the numbers that ours has for them.
    numbers: BTreeMap<i32, u32>,
    /// Those that are there.
    there: BTreeSet<u32>,
}

/// The number of a namespace that is gone is kept: ends that were announced before may come later. Beyond so many it is not.
const MOST_NUMBERS: usize = 10_000;

impl Peers {
    /// Says whether ends in other namespaces are heard of, or why not.
    pub(crate) fn hear(&self, result: Result<(), String>) {
        let mut state = self.lock();
        state.hears = result.is_ok();
        state.why_not = result.err();
    }

    /// Returns why no ends in other namespaces are heard of; `None` where they are.
    pub(crate) fn why_not(&self) -> Option<String> {
        let state = self.lock();
        (!state.hears).then(|| state.why_not.clone().unwrap_or_else(|| "nobody listens".to_owned()))
    }

    /// Takes note of a namespace's number.
    pub(crate) fn introduce(&self, number: i32, inode: u32) {
        let mut state = self.lock();
        let State { numbers, there, .. } = &mut *state;
        if numbers.len() >= MOST_NUMBERS {
            numbers.retain(|_, of| there.contains(of));
        }
        numbers.insert(number, inode);
        there.insert(inode);
    }

    /// Takes note that a namespace is gone.
    pub(crate) fn leave(&self, inode: u32) {
        self.lock().there.remove(&inode);
    }

    /// Returns the namespace that has a number.
    pub(crate) fn of(&self, number: i32) -> Option<u32> {
        self.lock().numbers.get(&number).copied()
    }

    /// Tells whether the ends in a namespace are heard of.
    pub(crate) fn is_heard(&self, inode: u32) -> bool {
        let state = self.lock();
        state.hears && state.there.contains(&inode)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the number that the calling thread's namespace has for another, and gives it one where it has none: that of its inode, so
/// that no other ever has the same while this one is there. It takes CAP_NET_ADMIN.
pub(crate) fn number(namespace: impl AsFd, inode: u32) -> Result<i32, NetlinkError> {
    const WHAT: &str = "number of a network namespace";
    let refused = |cause| NetlinkError::refused(WHAT, cause);
    let socket = Socket::open(None, 0).map_err(refused)?;
    let fd = namespace.as_fd().as_raw_fd().cast_unsigned();
    let wanted = (inode & !SIGN).cast_signed();
    let mut buffer = vec![0; 8 << 10];
    match ask(&socket, NEW, Some(wanted), fd, &mut buffer) {
        Ok(_) => return Ok(wanted),
        // It has one.
        Err(Errno::EXIST) => {}
        Err(error) => return Err(refused(error)),
    }
    match ask(&socket, GET, None, fd, &mut buffer) {
        Ok(Some(number)) if number >= 0 => Ok(number),
        Ok(_) => Err(NetlinkError::malformed(WHAT, "it has none")),
        Err(error) => Err(refused(error)),
    }
}

/// Asks one thing; returns the number in the answer, if there is one in it.
fn ask(
    socket: &Socket,
    kind: u16,
    number: Option<i32>,
    fd: u32,
    buffer: &mut [u8],
) -> Result<Option<i32>, Errno> {
    let mut attributes = Vec::new();
    if let Some(number) = number {
        push_attribute(&mut attributes, NUMBER, &number.to_ne_bytes());
    }
    push_attribute(&mut attributes, FILE, &fd.to_ne_bytes());
    let mut request = Vec::new();
    // struct rtgenmsg, padded.
    push_header(&mut request, 4 + attributes.len(), kind, REQUEST | ACKNOWLEDGE, u32::from(kind));
    request.extend([0; 4]);
    request.extend(attributes);
    socket.send(&request)?;
    let mut answer = None;
    loop {
        for message in messages(socket.wait(buffer)?).filter(|message| message.sequence == u32::from(kind)) {
            match message.error() {
                Some(error) => return Err(error),
                None if message.kind == ERROR => return Ok(answer),
                None => {
                    let number = attribute(message.payload.get(4..).unwrap_or_default(), NUMBER);
                    answer = number.and_then(|number| netlink::u32_at(number, 0)).map(u32::cast_signed);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_introduced_is_known_until_forgotten() {
        let peers = Peers::default();
        assert_eq!(peers.why_not().as_deref(), Some("nobody listens"));
        peers.introduce(7, 4_026_532_177);
        assert_eq!((peers.of(7), peers.of(8)), (Some(4_026_532_177), None));
        assert!(!peers.is_heard(4_026_532_177));
        peers.hear(Ok(()));
        assert!(peers.is_heard(4_026_532_177) && !peers.is_heard(1));
        assert_eq!(peers.why_not(), None);
        peers.leave(4_026_532_177);
        assert!(!peers.is_heard(4_026_532_177));
        assert_eq!(peers.of(7), Some(4_026_532_177), "what it said last may come yet");
    }

    #[test]
    fn a_namespace_has_one_number() {
        use std::{
            io::BufRead as _,
            os::unix::fs::MetadataExt as _,
            process::{Command, Stdio},
        };
        let mut child = Command::new("unshare")
            .args(["-n", "sh", "-c", "echo up; exec sleep 1000"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let made = std::fs::File::open(format!("/proc/{}/ns/net", child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        if said != "up\n" {
            eprintln!("NOT TRIED: no namespace can be made");
            return;
        }
        let made = made.unwrap();
        let inode = u32::try_from(made.metadata().unwrap().ino()).unwrap();
        let first = number(&made, inode).unwrap();
        assert_eq!(first.cast_unsigned(), inode & !SIGN);
        assert_eq!(number(&made, inode).unwrap(), first, "again");
    }
}
