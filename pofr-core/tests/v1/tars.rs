//! Bad tars: each kind has its own message, and names the member.

use crate::fixture::TARS;
use flate2::{Compression, write::GzEncoder};
use pofr_core::wire::v1::{Caps, Which, read_tar};
use std::io::Write as _;

const NAME: &str = "/dev/shm/1795412711319353#+0000.proc.gz";
const OTHER: &str = "/dev/shm/1795412711319353#+0000.net.gz";

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::default());
    out.write_all(text).unwrap();
    out.finish().unwrap()
}

/// Writes one member as ustar has it (tar(5)): a header of 512 bytes, the data, zeros up to the next block.
fn member(path: &str, kind: u8, size: usize, data: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    let (prefix, name) = path.rsplit_once('/').unwrap_or(("", path));
    put(0, name);
    put(100, "000644\0");
    put(124, &format!("{size:011o}\0"));
    put(136, "15300751450\0");
    put(148, "        ");
    put(257, "ustar\x0000");
    put(345, prefix);
    header[156] = kind;
    let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut out = header.to_vec();
    out.extend(data);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

fn file(path: &str, data: &[u8]) -> Vec<u8> {
    member(path, b'0', data.len(), data)
}

fn tar(members: &[Vec<u8>]) -> Vec<u8> {
    [members.concat(), vec![0; 1024]].concat()
}

#[test]
fn what_a_client_writes_is_taken() {
    let text = b"9,8###7###1###0###0###0###0###x###x\0###/a \n";
    let members = [
        file(NAME, &gzip(text)),
        file(NAME, &gzip(text)), // Once more, the same.
        file("1795412711319354#-0330.net.gz", &gzip(b"n")),
        file("/dev/shm/lastreb.proc", b"Mon Nov 23 10:00:00 2026\n"),
        member("/dev/shm", b'5', 0, b""),
        member("/dev/shm/", b'5', 0, b""),
    ];
    let halves = read_tar(&tar(&members), &Caps::default()).unwrap();
    let seen: Vec<_> = halves.iter().map(|h| (h.stamp.0, h.zone.minutes(), h.which, h.text.len())).collect();
    assert_eq!(
        seen,
        [(1_795_412_711_319_353, 0, Which::Proc, text.len()), (1_795_412_711_319_354, -210, Which::Net, 1)]
    );
    assert_eq!(read_tar(&tar(&[]), &Caps::default()).unwrap(), []);
    assert_eq!(read_tar(&vec![0; 10_240], &Caps::default()).unwrap(), []);
}

#[test]
fn each_bad_tar_says_what_is_wrong() {
    let good = gzip(b"text");
    let whole = tar(&[file(NAME, &good)]);
    let changed = |at: usize, to: u8| {
        let mut tar = whole.clone();
        tar[at] = to;
        tar
    };
    let mut wrong_crc = good.clone();
    let trailer = wrong_crc.len() - 8;
    wrong_crc[trailer] ^= 1;
    let zeros = gzip(&vec![0; 4 << 20]);
    let table: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "no end mark at byte 0"),
        (whole[..512].to_vec(), "cut off inside member /dev/shm/1795412711319353#+0000.proc.gz"),
        (whole[..300].to_vec(), "cannot read the tar after byte 0"),
        (whole[..1024].to_vec(), "no end mark at byte 1024"),
        (whole[..1536].to_vec(), "no end mark at byte 1024"),
        ([whole.clone(), b"x".to_vec()].concat(), "after its end mark, at byte 2048"),
        ([whole.clone(), whole.clone()].concat(), "after its end mark, at byte 2048"),
        (changed(3, b'8'), "cannot read the tar after byte 0"),
        (changed(1024, 1), "cannot read the tar after byte 1024"),
        (b"\x1f\x8b not a tar at all".repeat(100), "cannot read the tar after byte 0"),
        (tar(&[member(NAME, b'1', 0, b"")]), "is a hard link"),
        (tar(&[member(NAME, b'2', 0, b"")]), "is a symbolic link"),
        (tar(&[member(NAME, b'3', 0, b"")]), "is a character device"),
        (tar(&[member(NAME, b'4', 0, b"")]), "is a block device"),
        (tar(&[member(NAME, b'6', 0, b"")]), "is a fifo"),
        (tar(&[member("x", b'x', 19, b"19 path=/etc/passwd")]), "is a pax extension header"),
        (tar(&[member("x", b'L', 4, b"/etc")]), "is a GNU long name"),
        (tar(&[member("x", b'S', 0, b"")]), "is a sparse file"),
        (tar(&[member(NAME, b'Z', 0, b"")]), "of an unknown kind"),
        (tar(&[member("/etc", b'5', 0, b"")]), "member etc is a directory other than /dev/shm"),
        (tar(&[member("/dev/shm/..", b'5', 0, b"")]), "member /dev/shm/.. is a directory other"),
        (tar(&[file("../1795412711319353#+0000.proc.gz", &good)]), "lies in another directory"),
        (tar(&[file("/root/.ssh/authorized_keys", b"x")]), "lies in another directory"),
        (tar(&[file("/dev/shm/passwd", b"x")]), "does not end in .proc.gz or .net.gz"),
        (tar(&[file("/dev/shm/\x1b[2J.net.gz", b"x")]), "\\x1b[2J.net.gz: has no #"),
        (tar(&[file(NAME, &good), file(NAME, &gzip(b"other"))]), "is there twice"),
        (tar(&[member(NAME, b'0', 1 << 30, b"")]), "has 1073741824 bytes, more than 16777216"),
        (tar(&[member(NAME, b'0', 2000, b"")]), "cut off inside member"),
        (tar(&[file(NAME, b"")]), "cannot unpack member"),
        (tar(&[file(NAME, b"not gzip")]), "cannot unpack member"),
        (tar(&[file(NAME, &good[..good.len() - 5])]), "cannot unpack member"),
        (tar(&[file(NAME, &wrong_crc)]), "cannot unpack member"),
        (tar(&[file(NAME, &[&good[..], b"x"].concat())]), "has 1 bytes after its gzip stream"),
        (tar(&[file(NAME, &zeros)]), "unpacks to more than 250 times its size"),
        (tar(&[file(NAME, &gzip(&vec![b'x'; 9 << 20]))]), "unpacks to more than 8388608 bytes"),
        (
            tar(&[file(NAME, &gzip(&vec![1; 1 << 20])), file(OTHER, &gzip(&vec![1; 1 << 20]))]),
            "tar unpacks to more than 2000000 bytes, at member /dev/shm/1795412711319353#+0000.net.gz",
        ),
        (tar(&vec![member("/dev/shm", b'5', 0, b""); 4097]), "more than 4096 members"),
    ];
    let mut messages = Vec::new();
    for (i, (bytes, what)) in table.iter().enumerate() {
        let mut caps = Caps { text_bytes: 8 << 20, ratio_from_bytes: 1 << 20, ..Caps::default() };
        if what.contains("8388608") {
            caps.ratio = 1 << 20;
        }
        if what.contains("2000000") {
            caps.total_text_bytes = 2_000_000;
        }
        let message = match read_tar(bytes, &caps) {
            Err(error) => error.to_string(),
            Ok(halves) => panic!("{i} ({what}) is taken: {halves:?}"),
        };
        assert!(message.contains(what), "{i}: {message}, not {what}");
        assert!(!message.contains('\x1b'));
        messages.push(message);
    }
}

#[test]
fn a_real_tar_cut_anywhere_is_not_taken() {
    let (_, whole) = &TARS[0];
    let step = 997;
    for end in (0..whole.len()).step_by(step) {
        let taken = read_tar(&whole[..end], &Caps::default());
        assert!(taken.is_err(), "cut at {end}: {} halves", taken.unwrap().len());
    }
}
