//! Hostile bytes: whatever comes, the reader answers and its promises hold; and whatever a process calls
//! itself, nothing but the border of its own name and command line can become uncertain.

use crate::{
    checks,
    fixture::{HALVES, TARS},
};
use pofr_core::wire::v1::{ProcHalf, Which};
use proptest::{collection::vec, prelude::*, sample::Index};

/// One change to a text.
#[derive(Clone, Debug)]
enum Edit {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Delete(Index, usize),
    Copy(Index, Index, usize),
}

/// Bytes that mean something in a half, and some that do not.
fn telling() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&[u8]> = vec![
        b"###",
        b"#",
        b"\n",
        b" ",
        b"\0",
        b"9,8",
        b"9,8###7###1###0###0###0###0###",
        b"--NOCMDARGENTRY--",
        b"POFRv1NOOPENFILES",
        b"___(deleted)",
        b"socket:[7]",
        b":",
        b"\\n",
        b"\\",
        b"\xff",
        b"x",
        b"  sl  l\n",
        b"0: 0100007F:1F90 0A01A8C0:FFFF 01 0:0 00:0 0 0 0 5 ",
    ];
    vec(prop_oneof![4 => proptest::sample::select(words).prop_map(<[u8]>::to_vec), 1 => vec(any::<u8>(), 0..4)], 0..30)
        .prop_map(|words| words.concat())
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let at = any::<Index>;
    let edit = prop_oneof![
        (at(), any::<u8>()).prop_map(|(i, b)| Edit::Set(i, b)),
        (at(), telling()).prop_map(|(i, bytes)| Edit::Insert(i, bytes)),
        (at(), 0..600usize).prop_map(|(i, n)| Edit::Delete(i, n)),
        (at(), at(), 0..600usize).prop_map(|(i, j, n)| Edit::Copy(i, j, n)),
    ];
    vec(edit, 1..6)
}

fn edited(original: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut text = original.to_vec();
    for edit in edits {
        let at = |i: &Index, text: &[u8]| i.index(text.len() + 1);
        match edit {
            Edit::Set(i, b) => {
                let at = at(i, &text);
                text.splice(at..text.len().min(at + 1), [*b]);
            }
            Edit::Insert(i, bytes) => {
                let at = at(i, &text);
                text.splice(at..at, bytes.iter().copied());
            }
            Edit::Delete(i, n) => {
                let at = at(i, &text);
                text.drain(at..text.len().min(at + n));
            }
            Edit::Copy(i, j, n) => {
                let (from, to) = (at(i, &text), at(j, &text));
                let piece = text[from..text.len().min(from + n)].to_vec();
                text.splice(to..to, piece);
            }
        }
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_bytes(data in vec(any::<u8>(), 0..2000)) {
        checks::proc(&data);
        checks::net(&data);
        checks::tar(&data);
    }

    #[test]
    fn telling_bytes(data in telling(), head in proptest::sample::select(&["", "9,8###"][..])) {
        let data = [head.as_bytes(), &data].concat();
        checks::proc(&data);
        checks::net(&data);
    }

    #[test]
    fn mutated_halves(which in any::<Index>(), edits in edits()) {
        let half = which.get(&HALVES);
        let text = edited(&half.text, &edits);
        match half.which {
            Which::Proc => checks::proc(&text),
            Which::Net => checks::net(&text),
        }
    }

    #[test]
    fn mutated_tars(edits in edits()) {
        checks::tar(&edited(&TARS[0].1, &edits));
    }
}

/// A process as the kernel would show it to the client.
#[derive(Clone, Debug)]
struct Real {
    pid: u32,
    numbers: [u32; 5],
    comm: Vec<u8>,
    arguments: Vec<u8>,
    links: Vec<Vec<u8>>,
}

fn real() -> impl Strategy<Value = Real> {
    let hostile = |longest: usize| {
        telling().prop_map(move |mut bytes| {
            bytes.truncate(longest);
            bytes
        })
    };
    let comm = hostile(15).prop_map(|comm| comm.split(|b| *b == 0).next().unwrap_or_default().to_vec());
    let link = hostile(60).prop_map(|link| link.split(|b| *b == 0).next().unwrap_or_default().to_vec());
    (100..u32::MAX, any::<[u32; 5]>(), comm, hostile(200), vec(link, 0..5))
        .prop_map(|(pid, numbers, comm, arguments, links)| Real { pid, numbers, comm, arguments, links })
}

/// Writes a record as the first POFR's client does.
fn written(p: &Real) -> Vec<u8> {
    let mut out = b"9,8###".to_vec();
    let numbers: Vec<String> = [p.pid].iter().chain(&p.numbers).map(u32::to_string).collect();
    out.extend(numbers.join("###").bytes());
    out.extend(b"###");
    out.extend(status_name(&p.comm));
    out.extend(b"###");
    out.extend(first_line(&p.arguments));
    out.extend(b"###");
    if p.links.is_empty() {
        out.extend(b"POFRv1NOOPENFILES");
    }
    let links: Vec<Vec<u8>> = p.links.iter().map(|link| told_link(link)).collect();
    out.extend(links.join(&b' '));
    out.extend(b" \n");
    out
}

/// The name: escaped by the kernel, cut at the first colon and trimmed by the client.
fn status_name(comm: &[u8]) -> Vec<u8> {
    let escaped: Vec<u8> = comm
        .iter()
        .flat_map(|b| match b {
            b'\n' => b"\\n".to_vec(),
            b'\\' => b"\\\\".to_vec(),
            b => vec![*b],
        })
        .collect();
    escaped.split(|b| *b == b':').next().unwrap_or_default().trim_ascii().to_vec()
}

/// Undoes the kernel's escapes.
fn unescaped(name: &[u8]) -> Vec<u8> {
    let text: String = name.iter().map(|b| char::from(*b)).collect();
    let text = text.replace("\\\\", "\0").replace("\\n", "\n").replace('\0', "\\");
    text.chars().map(|c| u8::try_from(c).unwrap()).collect()
}

/// The command line up to its first newline; the client's word where there is none.
fn first_line(arguments: &[u8]) -> &[u8] {
    match arguments.iter().position(|b| *b == b'\n') {
        Some(at) => &arguments[..=at],
        None if arguments.is_empty() => b"--NOCMDARGENTRY--",
        None => arguments,
    }
}

/// A link: without `#`, with `___` for each white space.
fn told_link(link: &[u8]) -> Vec<u8> {
    link.iter()
        .filter(|b| **b != b'#')
        .flat_map(|b| if b.is_ascii_whitespace() || *b == 0x0b { b"___".to_vec() } else { vec![*b] })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nothing_a_process_calls_itself_moves_another_border(processes in vec(real(), 1..6)) {
        let text: Vec<u8> = processes.iter().flat_map(written).collect();
        checks::proc(&text);
        let half = ProcHalf::parse(&text).unwrap();
        prop_assert_eq!((half.processes.len(), half.pid_only), (processes.len(), 0));
        let mut wrong = 0_u64;
        for (seen, real) in half.processes.iter().zip(&processes) {
            let key = &seen.process.key;
            let [ruid, euid, rgid, egid] = key.ids.numbers();
            let ids = [key.ppid.0, ruid, euid, rgid, egid];
            prop_assert_eq!((key.entity.pid().0, ids), (real.pid, real.numbers));
            let links: Vec<(Vec<u8>, bool)> = real.links.iter().map(|link| {
                let told = told_link(link);
                match told.strip_suffix(b"___(deleted)") {
                    Some(path) => (path.to_vec(), true),
                    None => (told, false),
                }
            }).collect();
            let files: Vec<_> = seen.files.iter().map(|f| (f.key.path.as_bytes().to_vec(), f.key.deleted)).collect();
            // A link whose text is the client's word for "none" cannot be told from it; the kernel makes no such link.
            if real.links.iter().map(|l| told_link(l)).ne([b"POFRv1NOOPENFILES".to_vec()]) {
                prop_assert_eq!(files, links);
            }
            let arguments = match first_line(&real.arguments) {
                b"--NOCMDARGENTRY--" => b"",
                some => some,
            };
            let name = unescaped(&status_name(&real.comm));
            let told = (key.comm.as_bytes(), key.arguments.as_ref().unwrap().as_bytes());
            wrong += u64::from(told != (&name, arguments));
        }
        prop_assert!(wrong <= half.undecidable, "{wrong} wrong names, {} said to be uncertain", half.undecidable);
    }
}
