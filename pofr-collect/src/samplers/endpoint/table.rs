//! `/proc/PID/net/{tcp,tcp6,udp,udp6}`: the sockets of a namespace that sock_diag does not show us (proc_pid_net(5)).
//!
//! One real line: `   0: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 21230 1 …`

use super::{Family, Socket};
use pofr_core::{
    collector::CollectError,
    fact::{SocketId, TcpState, Transport},
};
use procfs::{
    FromBufReadSI, LocalSystemInfo, ProcError,
    net::{TcpNetEntries, UdpNetEntries},
};
use std::{fs::File, io::BufReader, net::SocketAddr, path::Path};

/// Adds all sockets of a table to `out`. A table that is not there is empty: without IPv6 there is no `tcp6`.
pub(super) fn read(path: &Path, family: Family, out: &mut Vec<Socket>) -> Result<(), CollectError> {
    let what = || format!("cannot read {}", path.display());
    let file = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound && family.six && has_table(path) => {
            return Ok(());
        }
        Err(cause) => return Err(CollectError::Unavailable { what: what(), cause }),
    };
    let malformed = |cause: ProcError| CollectError::Malformed { what: what(), detail: cause.to_string() };
    let mut add = |local, remote, state, uid, inode| {
        let state = TcpState::from_kernel(state)?;
        let id = if inode == 0 { SocketId::None } else { SocketId::Inode(inode) };
        out.push(Socket {
            transport: family.transport,
            local: plain(local),
            remote: plain(remote),
            state,
            id,
            uid,
            inode,
        });
        Some(())
    };
    match family.transport {
        Transport::Tcp => {
            let entries = TcpNetEntries::from_buf_read(file, &LocalSystemInfo).map_err(malformed)?;
            for e in entries.0 {
                add(e.local_address, e.remote_address, e.state.to_u8(), e.uid, e.inode);
            }
        }
        Transport::Udp => {
            let entries = UdpNetEntries::from_buf_read(file, &LocalSystemInfo).map_err(malformed)?;
            for e in entries.0 {
                add(e.local_address, e.remote_address, e.state.to_u8(), e.uid, e.inode);
            }
        }
    }
    Ok(())
}

/// Tells whether the table of the same protocol over IPv4 is there: then the missing one does not mean that the process is gone.
fn has_table(six: &Path) -> bool {
    six.to_str().and_then(|path| path.strip_suffix('6')).is_some_and(|four| Path::new(four).exists())
}

/// Leaves only address and port.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port())
}
