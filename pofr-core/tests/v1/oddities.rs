//! What is odd about v1 halves, one by one, in records as the first POFR's client writes them.

use pofr_core::{
    fact::{Fact, FileKey, Files, Process, SocketId},
    time::WallMicros,
    time::ZoneOffset,
    wire::v1::{Clash, Half, NetHalf, ProcHalf, RawSnapshot, Which, decode, pair},
};

fn half(text: &[u8]) -> ProcHalf {
    ProcHalf::parse(text).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(text)))
}

fn one(text: &[u8]) -> (Process, Vec<FileKey>) {
    let half = half(text);
    assert_eq!((half.processes.len(), half.pid_only), (1, 0));
    let seen = half.processes.into_iter().next().unwrap();
    (seen.process, seen.files.into_iter().map(|f| f.key).collect())
}

fn paths(files: &[FileKey]) -> Vec<(&[u8], u32, bool)> {
    files.iter().map(|f| (f.path.as_bytes(), f.fd, f.deleted)).collect()
}

#[test]
fn a_process_without_command_line_and_files() {
    let (p, files) =
        one(b"9,8###2###0###0###0###0###0###kthreadd###--NOCMDARGENTRY--###POFRv1NOOPENFILES \n");
    assert_eq!((p.key.comm.as_bytes(), p.arguments().unwrap().as_bytes()), (&b"kthreadd"[..], &b""[..]));
    assert_eq!((files.len(), p.key.files), (0, Files::Read));
}

#[test]
fn a_command_line_cut_after_its_newline_spans_two_lines() {
    let text = b"9,8###7###1###1000###1001###100###101###sh###sh\0-c\0echo \n###/dev/null /x \n\
        9,8###18###7###0###0###0###0###x###\n###POFRv1NOOPENFILES \n\
        9,8###19###7###0###0###0###0###y###y\0### \n###POFRv1NOOPENFILES \n";
    let half = half(text);
    let arguments: Vec<_> =
        half.processes.iter().map(|p| p.process.arguments().unwrap().as_bytes()).collect();
    assert_eq!(arguments, [&b"sh\0-c\0echo \n"[..], b"\n", b"y\0### \n"]);
    let ids = half.processes[0].process.key.ids;
    assert_eq!(ids.numbers(), [1000, 1001, 100, 101]);
    assert_eq!(half.processes[0].files.len(), 2);
    assert_eq!(half.undecidable, 0);
}

#[test]
fn files_keep_what_they_came_with() {
    let (_, files) = one(
        b"9,8###7###1###0###0###0###0###x###x\0###/a /a  /b___c___(deleted)  socket:[7] /a___(deleted) /\xff \n",
    );
    let expected: [(&[u8], u32, bool); 8] = [
        (b"/a", 0, false),
        (b"/a", 1, false),
        (b"", 0, false),
        (b"/b___c", 0, true),
        (b"", 1, false),
        (b"socket:[7]", 0, false),
        (b"/a", 0, true),
        (b"/\xff", 0, false),
    ];
    assert_eq!(paths(&files), expected);
    // One unreadable link and no more is not the same as no file.
    assert_eq!(paths(&one(b"9,8###7###1###0###0###0###0###x###x\0### \n").1), [(&b""[..], 0, false)]);
}

#[test]
fn a_process_gone_while_being_read_is_counted_and_left_out() {
    let half = half(
        b"9,8###246#####################--NOCMDARGENTRY--###POFRv1NOOPENFILES \n\
          9,8###247#####################sleep\x001\0###/dev/null \n",
    );
    assert_eq!((half.processes.len(), half.pid_only), (0, 2));
}

#[test]
fn a_name_may_be_empty() {
    let (p, _) = one(b"9,8###7###1###0###0###0###0######/bin/x\0###POFRv1NOOPENFILES \n");
    assert_eq!((p.key.comm.as_bytes(), p.arguments().unwrap().as_bytes()), (&b""[..], &b"/bin/x\0"[..]));
}

#[test]
fn the_recorder_leaves_itself_out() {
    let snapshot = decode(&RawSnapshot {
        stamp: WallMicros(1),
        zone: ZoneOffset::UTC,
        proc: Some(
            b"9,8###9###1###0###0###0###0###scan###s\0###/dev/null socket:[30] socket:[32] \n\
              9,8###8###1###0###0###0###0###send###s\0###socket:[31] \n\
              9,8###10###8###0###0###0###0###ssh###s\0###socket:[32] socket:[32] \n\
              9,8###11###8###0###0###0###0###ssh###s\0###socket:[32] \n"
                .to_vec(),
        ),
        net: Some(format!("9,8###{}######{}###", table(&[30, 31, 32, 33, 33, 0]), table(&[])).into_bytes()),
    })
    .unwrap();
    let pids: Vec<u32> = snapshot
        .processes
        .unwrap()
        .iter()
        .filter_map(|f| if let Fact::Process(p) = f { Some(p.key.entity.pid().0) } else { None })
        .collect();
    assert_eq!(pids, [10, 11]);
    let ends: Vec<_> = snapshot
        .endpoints
        .unwrap()
        .into_iter()
        .map(|f| {
            let Fact::Endpoint(e) = f else { panic!() };
            (e.key.socket, e.key.holder.map(|h| h.pid().0))
        })
        .collect();
    // 30 and 31 are the recorder's alone; 32 is shared; nobody holds 33, which the kernel printed twice.
    let inode = SocketId::Inode;
    assert_eq!(
        ends,
        [(inode(32), Some(10)), (inode(32), Some(11)), (inode(33), None), (SocketId::None, None)]
    );
}

/// Returns an IPv4 TCP table as the client packs it.
fn table(inodes: &[u64]) -> String {
    let mut text = String::from("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when\n");
    for (sl, inode) in inodes.iter().enumerate() {
        text += &format!(
            " {:4}: 0100007F:{:04X} 0200007F:0050 01 00000000:00000000 00:00000000 00000000  1000        0 \
             {inode} 1 0000000000000000 20 0 0 10 -1  \n",
            if *inode == 33 { 33 } else { sl },
            if *inode == 33 { 33 } else { 4096 + sl },
        );
    }
    text
}

#[test]
fn addresses_and_states_of_all_four_tables() {
    let v6 = "00000000000000000000000001000000:1F90 B80D01200000000067452301EFCDAB89:0016";
    let text = format!(
        "1,2###  sl  local\n    0: 0100007F:1F90 0A01A8C0:FFFF 03 0:0 00:0 0 1000 0 5 1 0\n     \
         1: 0100007F:1F90 0A01A8C0:FFFE 05 0:0 00:0 0 0 0 0 3 0\n###  sl  local\n     \
         0: {v6} 0A 0:0 00:0 0 1000 0 8 1 0 100 0 0 10 0\n\
         ###   sl  local\n    12: 00000000:0044 00000000:0000 07 0:0 00:0 0 101 0 6 2 0 0\n###"
    );
    let half = NetHalf::parse(text.as_bytes()).unwrap();
    let seen: Vec<_> = half
        .sockets
        .iter()
        .map(|s| {
            let (local, remote) = (s.local.to_string(), s.remote.to_string());
            format!("{} {local} {remote} {} {:?} {}", s.transport.text(), s.state.text(), s.uid, s.inode)
        })
        .collect();
    assert_eq!(
        seen,
        [
            "tcp 127.0.0.1:8080 192.168.1.10:65535 SYN-RECV Some(1000) 5",
            "tcp 127.0.0.1:8080 192.168.1.10:65534 FIN-WAIT-2 None 0",
            "tcp [::1]:8080 [2001:db8::123:4567:89ab:cdef]:22 LISTEN Some(1000) 8",
            "udp 0.0.0.0:68 0.0.0.0:0 UNCONN Some(101) 6",
        ]
    );
    assert_eq!(NetHalf::parse(b"1,2############").unwrap().sockets, [], "every family may be off");
}

#[test]
fn halves_that_no_client_writes_say_what_is_wrong() {
    let good = "9,8###7###1###0###0###0###0###x###x\0###/a \n";
    let table: [(String, &str); 13] = [
        (String::new(), "proc half is empty"),
        (good.trim_end_matches('\n').to_owned(), "cut off in line 1"),
        (format!("{good}{}", &good[..20]), "cut off in line 2"),
        (good.replace(" \n", "\n"), "line 1: does not end with a space"),
        (format!("{good}{}", good.replace("9,8", "9,7")), "line 2: names other recorder pids"),
        (good.replace("9,8", "98"), "the recorder's two pids"),
        (good.replace("###7###", "###7x###"), "the pid is not a number"),
        (good.replace("###1###", "###4294967296###"), "an id is not a number"),
        (good.replace("###x\0", ""), "no ### between name and command line"),
        (good.replace("###x###x\0###", "###"), "fewer than ten fields"),
        (good.replace("/a", "/a\n#"), "line 1: does not end with a space"),
        (good.replace("\0###", "\0\n###/b ###"), "line 1: a newline elsewhere"),
        (format!("\n{good}"), "line 1: does not end with a space"),
    ];
    for (text, what) in table {
        let message = ProcHalf::parse(text.as_bytes()).map(|_| ()).unwrap_err().to_string();
        assert!(message.contains(what), "{text:?}: {message}");
    }
    let line = "0: 0100007F:1F90 0A01A8C0:FFFF 01 0:0 00:0 0 1000 0 5";
    let table: [(String, &str); 11] = [
        (String::new(), "recorder's two pids"),
        ("9,8".to_owned(), "0 tables"),
        ("9,8###############".to_owned(), "5 tables"),
        ("9,8###nonsense\n#########".to_owned(), "table tcp, line 1: is not the header"),
        ("9,8######  sl  local\n 0: short\n######".to_owned(), "table tcp6, line 2: fewer than ten columns"),
        (format!("9,8###  sl  local\n {line}#########"), "table tcp, line 2: is cut off"),
        (format!("9,8###  sl  local\n {}\n#########", line.replace(" 01 ", " 0E ")), "state"),
        (format!("9,8###  sl  local\n {}\n#########", line.replace("0100007F", "100007F")), "local address"),
        (format!("9,8######  sl  local\n {line}\n######"), "table tcp6, line 2: the local address"),
        (format!("9,8#########  sl  local\n {}\n###", line.replace("1000", "-1")), "uid"),
        (format!("9,8############  sl  local\n {}\n", line.replace(" 5", " x")), "table udp6"),
    ];
    for (text, what) in table {
        let message = NetHalf::parse(text.as_bytes()).map(|_| ()).unwrap_err().to_string();
        assert!(message.contains(what), "{text:?}: {message}");
    }
}

#[test]
fn halves_pair_by_stamp_across_tars() {
    let half = |stamp, which, text: &[u8]| Half {
        stamp: WallMicros(stamp),
        zone: ZoneOffset::UTC,
        which,
        text: text.to_vec(),
    };
    let paired = pair([
        half(2, Which::Net, b"n2"),
        half(1, Which::Proc, b"p1"),
        half(2, Which::Proc, b"p2"),
        half(3, Which::Net, b"n3"),
        half(2, Which::Net, b"n2"),
        half(2, Which::Net, b"other"),
    ]);
    let seen: Vec<_> = paired
        .snapshots
        .iter()
        .map(|s| (s.stamp.0, s.proc.as_deref(), s.net.as_deref(), s.is_whole()))
        .collect();
    assert_eq!(
        seen,
        [
            (1, Some(&b"p1"[..]), None, false),
            (2, Some(b"p2"), Some(&b"n2"[..]), true),
            (3, None, Some(&b"n3"[..]), false)
        ]
    );
    assert_eq!(paired.clashes, [Clash { stamp: WallMicros(2), which: Which::Net }]);
    // A net half alone has endpoints, whose holders nobody knows.
    let raw = RawSnapshot {
        stamp: WallMicros(3),
        zone: ZoneOffset::UTC,
        proc: None,
        net: Some(format!("9,8###{}#########", table(&[30])).into_bytes()),
    };
    let decoded = decode(&raw).unwrap();
    assert_eq!((decoded.processes, decoded.endpoints.unwrap().len()), (None, 1));
    let message = decode(&RawSnapshot { net: Some(Vec::new()), ..raw }).unwrap_err().to_string();
    assert_eq!(message, "snapshot @3: net half does not begin with the recorder's two pids");
}
