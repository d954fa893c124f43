//! `/proc/PID/net/{tcp,tcp6,udp,udp6}`: the sockets of a namespace that sock_diag does not show us (proc_pid_net(5)).
//!
//! One real line: `   0: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 21230 1 …`

use super::{Family, Socket};
use crate::sys;
use pofr_core::{
    collector::CollectError,
    fact::{SocketId, TcpState},
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

/// Adds all sockets of a table to `out`. A table that is not there is empty: without IPv6 there is no `tcp6`.
pub(super) fn read(path: &Path, family: Family, out: &mut Vec<Socket>) -> Result<(), CollectError> {
    let what = || format!("cannot read {}", path.display());
    match std::fs::read(path) {
        Ok(text) => {
            parse(&text, family, out).map_err(|detail| CollectError::Malformed { what: what(), detail })
        }
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound && family.six && has_table(path) => Ok(()),
        Err(cause) => Err(CollectError::Unavailable { what: what(), cause }),
    }
}

/// Adds the sockets in a table's text to `out`, but for those in a state that we have no name for.
fn parse(text: &[u8], family: Family, out: &mut Vec<Socket>) -> Result<(), String> {
    // The first line says what the columns are.
    let lines = text.split(|byte| *byte == b'\n').skip(1).filter(|line| !line.trim_ascii().is_empty());
    for line in lines {
        let (state, socket) =
            self::line(line, family).ok_or_else(|| format!("no socket: {}", line.escape_ascii()))?;
        out.extend(TcpState::from_kernel(state).map(|state| Socket { state, ..socket }));
    }
    Ok(())
}

/// Reads a line: the number of the state, and the socket without it.
fn line(line: &[u8], family: Family) -> Option<(u8, Socket)> {
    let mut fields = line.split(|byte| *byte == b' ').filter(|field| !field.is_empty());
    // The number of the line, then the addresses.
    let (local, remote) = (address(fields.nth(1)?, family)?, address(fields.next()?, family)?);
    let state = u8::try_from(hex(fields.next()?, 2)?).ok()?;
    // Queues, timer, retransmissions; a timeout behind the uid.
    let (uid, inode) = (sys::parse(fields.nth(3)?)?, sys::parse(fields.nth(1)?)?);
    let id = if inode == 0 { SocketId::None } else { SocketId::Inode(inode) };
    let transport = family.transport;
    Some((state, Socket { id, transport, local, remote, state: TcpState::Close, uid, inode }))
}

/// Reads `0100007F:0CEA`: the address as numbers of 32 bits, in which the machine has the bytes as they are sent; the port.
fn address(text: &[u8], family: Family) -> Option<SocketAddr> {
    let (address, port) = text.split_at_checked(if family.six { 32 } else { 8 })?;
    let port = u16::try_from(hex(port.strip_prefix(b":")?, 4)?).ok()?;
    let mut bytes = [0; 16];
    for (to, digits) in bytes.chunks_exact_mut(4).zip(address.chunks_exact(8)) {
        to.copy_from_slice(&hex(digits, 8)?.to_ne_bytes());
    }
    let ip: IpAddr = if family.six {
        Ipv6Addr::from(bytes).into()
    } else {
        Ipv4Addr::from(*bytes.first_chunk::<4>()?).into()
    };
    Some(SocketAddr::new(ip, port))
}

/// Reads a number of so many hexadecimal digits.
fn hex(digits: &[u8], length: usize) -> Option<u32> {
    if digits.len() != length {
        return None;
    }
    digits.iter().try_fold(0, |sum: u32, digit| Some(sum << 4 | char::from(*digit).to_digit(16)?))
}

/// Tells whether the table of the same protocol over IPv4 is there: then the missing one does not mean that the process is gone.
fn has_table(six: &Path) -> bool {
    six.to_str().and_then(|path| path.strip_suffix('6')).is_some_and(|four| Path::new(four).exists())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samplers::endpoint::FAMILIES;
    use procfs::{
        FromBufReadSI as _, LocalSystemInfo,
        net::{TcpNetEntries, UdpNetEntries},
    };
    use std::net::{TcpListener, TcpStream, UdpSocket};

    const HEAD: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    #[test]
    #[cfg(target_endian = "little")]
    fn lines_of_the_kernel_are_sockets() {
        let tcp = format!(
            "{HEAD}   0: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 21230 1 0000000000000000 100 0 0 10 0\n   \
            1: 0100007F:9C40 0100007F:0CEA 06 00000000:00000000 03:00001770 00000000     0        0 0 3 0000000000000000\n   \
            2: 0100007F:9C40 0100007F:0CEA FF 00000000:00000000 03:00001770 00000000     0        0 7 3 0000000000000000\n"
        );
        let mut sockets = Vec::new();
        parse(tcp.as_bytes(), FAMILIES[0], &mut sockets).unwrap();
        let text: Vec<_> = sockets
            .iter()
            .map(|s| format!("{} {} {:?} {} {:?}", s.local, s.remote, s.state, s.uid, s.id))
            .collect();
        assert_eq!(
            text,
            [
                "127.0.0.1:3306 0.0.0.0:0 Listen 101 Inode(21230)",
                "127.0.0.1:40000 127.0.0.1:3306 TimeWait 0 None"
            ]
        );
        let udp = format!(
            "{HEAD}  305: 000080FE00000000FF005450B6E5DFFE:0222 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 19 2 0000000000000000 0\n"
        );
        sockets.clear();
        parse(udp.as_bytes(), FAMILIES[3], &mut sockets).unwrap();
        assert_eq!(sockets[0].local, "[fe80::5054:ff:fedf:e5b6]:546".parse().unwrap());
        // Cut off anywhere within the columns that count.
        for end in HEAD.len() + 5..tcp.find(" 21230").unwrap() {
            assert!(parse(&tcp.as_bytes()[..end], FAMILIES[0], &mut sockets).is_err(), "{end}");
        }
    }

    /// Addresses, state, uid and inode.
    type Columns = (SocketAddr, SocketAddr, u8, u32, u64);

    /// What another reader of the same text finds.
    fn by_procfs(text: &[u8], family: Family) -> Option<Vec<Columns>> {
        use pofr_core::fact::Transport::{Tcp, Udp};
        let info = &LocalSystemInfo;
        Some(match family.transport {
            Tcp => {
                let all = TcpNetEntries::from_buf_read(text, info).ok()?.0.into_iter();
                all.map(|e| (e.local_address, e.remote_address, e.state.to_u8(), e.uid, e.inode)).collect()
            }
            Udp => {
                let all = UdpNetEntries::from_buf_read(text, info).ok()?.0.into_iter();
                all.map(|e| (e.local_address, e.remote_address, e.state.to_u8(), e.uid, e.inode)).collect()
            }
        })
    }

    #[test]
    fn this_machine_s_own_tables_are_read_as_another_reader_does() {
        let listeners = ["127.0.0.1:0", "[::1]:0"].map(|address| TcpListener::bind(address).unwrap());
        let ends = listeners.each_ref().map(|l| TcpStream::connect(l.local_addr().unwrap()).unwrap());
        let udp = ["127.0.0.1:0", "[::1]:0"].map(|address| UdpSocket::bind(address).unwrap());
        for family in FAMILIES {
            let text = std::fs::read(Path::new("/proc/self/net").join(family.table)).unwrap();
            let mut sockets = Vec::new();
            parse(&text, family, &mut sockets).unwrap();
            assert!(!sockets.is_empty(), "{family:?}");
            let ours = sockets.iter().map(|s| (s.local, s.remote, s.state as u8, s.uid, s.inode));
            assert_eq!(ours.collect::<Vec<_>>(), by_procfs(&text, family).unwrap(), "{family:?}");
        }
        drop((listeners, ends, udp));
    }

    proptest::proptest! {
        #[test]
        fn anything_can_be_read(text in "[-0-9A-F: \n]{0,300}", bytes in proptest::collection::vec(0..=255_u8, 0..300), at in 0..200_usize) {
            let good = format!("{HEAD}   0: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 21230 1\n");
            for family in FAMILIES {
                for text in [text.as_bytes(), &bytes, &[&good.as_bytes()[..at.min(good.len())], &bytes].concat()] {
                    let _ = parse(text, family, &mut Vec::new());
                }
            }
        }
    }
}
