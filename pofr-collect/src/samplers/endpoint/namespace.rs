//! A network namespace: what was last told of its sockets, and what of that is different now.

use super::{Socket, Tick};
use pofr_core::{
    collector::Reread,
    fact::{Endpoint, EndpointDetails, EndpointKey, Fact, SocketId, Subject},
    time::WallMicros,
};
use std::cmp::Ordering;

/// What was told of a namespace.
#[derive(Debug, Default)]
pub(super) struct Namespace {
    /// The sockets as they were listed, to see at once that nothing has changed.
    listed: Vec<Socket>,
    /// The same in order, each once: a socket that moves in the kernel's table while that is listed is told twice.
    sorted: Vec<Socket>,
    spare: Vec<Socket>,
    /// When it was last read: `CLOCK_BOOTTIME`, µs, and the stamp.
    read: Option<(i64, WallMicros)>,
}

impl Namespace {
    /// Returns when it was last read, on `CLOCK_BOOTTIME`, µs, and by the run's clock.
    pub(super) const fn read(&self) -> Option<(i64, WallMicros)> {
        self.read
    }

    /// Returns the inodes of its sockets.
    pub(super) fn inodes(&self) -> impl Iterator<Item = u64> {
        self.sorted.iter().map(|socket| socket.inode).filter(|inode| *inode != 0)
    }

    /// Takes note that all is as it was told, holders too.
    pub(super) const fn stay(&mut self, tick: &Tick<'_>) {
        self.read = Some((tick.now, tick.stamp));
    }

    /// Reports those of `sockets`, which are all that there are now, that are not as they were told, and those that are gone.
    pub(super) fn tell(
        &mut self,
        netns: Option<u32>,
        sockets: &mut Vec<Socket>,
        since: Option<WallMicros>,
        tick: &mut Tick<'_>,
    ) {
        self.read = Some((tick.now, tick.stamp));
        if self.listed == *sockets {
            self.tell_holders(netns, tick);
            return;
        }
        std::mem::swap(&mut self.listed, sockets);
        std::mem::swap(&mut self.sorted, &mut self.spare);
        self.sorted.clear();
        self.sorted.extend_from_slice(&self.listed);
        self.sorted.sort_unstable();
        self.sorted.dedup();
        let mut before = self.spare.chunk_by(|a, b| a.id == b.id).peekable();
        for now in self.sorted.chunk_by(|a, b| a.id == b.id) {
            while let Some(gone) = before.next_if(|before| before[0].id < now[0].id) {
                tick.gone(netns, gone);
            }
            let same = before.next_if(|before| before[0].id.cmp(&now[0].id) == Ordering::Equal) == Some(now);
            if !same || now.iter().any(|socket| tick.changed.contains(&socket.inode)) {
                tick.tell(netns, now, since);
            }
        }
        before.for_each(|gone| tick.gone(netns, gone));
    }

    /// Reports those sockets that are as they were told but for who holds them.
    pub(super) fn tell_holders(&self, netns: Option<u32>, tick: &mut Tick<'_>) {
        if tick.changed.is_empty() {
            return;
        }
        for sockets in self.sorted.chunk_by(|a, b| a.id == b.id) {
            if sockets.iter().any(|socket| tick.changed.contains(&socket.inode)) {
                tick.tell(netns, sockets, None);
            }
        }
    }
}

impl Tick<'_> {
    /// Reports that a socket is gone.
    fn gone(&mut self, netns: Option<u32>, sockets: &[Socket]) {
        self.read.push(Subject::Socket(netns, sockets[0].id).into());
        if let SocketId::Cookie(cookie) = sockets[0].id {
            self.left_out.remove(&cookie);
        }
    }

    /// Reports what is known of one socket now, once per holder.
    fn tell(&mut self, netns: Option<u32>, sockets: &[Socket], since: Option<WallMicros>) {
        self.read.push(Reread { subject: Subject::Socket(netns, sockets[0].id), since });
        for socket in sockets {
            let owned = socket.inode != 0;
            let details = EndpointDetails {
                uid: owned.then_some(socket.uid),
                inode: owned.then_some(socket.inode),
                ..EndpointDetails::default()
            };
            let holders = self.holders(socket);
            if let SocketId::Cookie(cookie) = socket.id {
                if holders.is_empty() {
                    self.left_out.insert(cookie);
                } else {
                    self.left_out.remove(&cookie);
                }
            }
            for holder in holders {
                let key = EndpointKey {
                    transport: socket.transport,
                    local: socket.local,
                    remote: socket.remote,
                    state: socket.state,
                    socket: socket.id,
                    netns,
                    holder,
                };
                self.out.show(Fact::from(Endpoint { key, details: details.clone() }));
            }
        }
    }
}
