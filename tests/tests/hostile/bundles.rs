//! Bundles, good ones and bad ones of each kind.

use pofr_core::{
    collector::Closing,
    digest::Sha256,
    fact::{Custom, Fact},
    gap::{Gap, Severity},
    identity::{BootId, BundleSeq, Cid, RunId},
    record::{Added, Event, FactId, Learned, Record, Sample},
    source::Source,
    time::{WallMicros, ZoneOffset},
    wire::v2,
};
use pofr_tests::world::endpoint;
use std::collections::BTreeMap;
pub(super) const START: i64 = 1_700_000_000_000_000;

pub(super) fn cid() -> Cid {
    Cid::parse("victim").unwrap()
}

pub(super) fn header(seq: u64) -> v2::Header {
    v2::Header {
        cid: cid(),
        run: RunId([1; 16]),
        boot: BootId([2; 16]),
        seq: BundleSeq(seq),
        previous: None,
        zone: ZoneOffset::UTC,
        interval_micros: 100_000,
        opened_wall: WallMicros(START),
        opened_boot_micros: 0,
        recorder_pids: Vec::new(),
        sources: vec![Source::Endpoint],
        missing: Vec::new(),
    }
}

fn sample(seq: u64, tick: i64, keyframe: bool, added: Vec<Fact>) -> Record {
    Record::Sample(Sample {
        source: Source::Endpoint,
        stamp: WallMicros(START + i64::try_from(seq).unwrap() * 1_000_000 + tick * 100_000),
        span_micros: 5,
        keyframe,
        removed: Vec::new(),
        lost: Vec::new(),
        learned: Vec::new(),
        added: added.into_iter().map(Added::from).collect(),
    })
}

pub(super) fn keyframe(seq: u64) -> Record {
    sample(seq, 0, true, vec![endpoint(1), endpoint(2)])
}

fn frames(header: &v2::Header, records: &[Record]) -> Vec<u8> {
    let mut encoder = v2::Encoder::new(header);
    records.iter().for_each(|record| encoder.push(record));
    encoder.flush().unwrap()
}

pub(super) fn seal(header: &v2::Header, records: &[Record]) -> Vec<u8> {
    v2::seal(&frames(header, records), true, &Closing::default()).unwrap().tar
}

/// The members of a good bundle.
fn members(header: &v2::Header, records: &[Record]) -> (serde_json::Value, Vec<u8>) {
    let frames = frames(header, records);
    let manifest = v2::seal(&frames, true, &Closing::default()).unwrap().manifest;
    (serde_json::to_value(manifest).unwrap(), frames)
}

fn pack(members: &[(&str, &[u8], tar::EntryType)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes, kind) in members {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        header.set_entry_type(*kind);
        let links = matches!(kind, tar::EntryType::Symlink | tar::EntryType::Link);
        if links {
            header.set_size(0);
            header.set_link_name("/etc/shadow").unwrap();
        }
        // Written as bytes: the library would not let such names pass.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, if links { &b""[..] } else { bytes }).unwrap();
    }
    builder.into_inner().unwrap()
}

const FILE: tar::EntryType = tar::EntryType::Regular;

/// A bundle with this manifest and these records, whether they fit or not.
fn fake(manifest: &serde_json::Value, records: &[u8]) -> Vec<u8> {
    let mut manifest = manifest.clone();
    if manifest["records_sha256"] != "wrong" {
        manifest["records_sha256"] = Sha256::of(records).to_string().into();
    } else {
        manifest["records_sha256"] = "0".repeat(64).into();
    }
    let json = serde_json::to_vec(&manifest).unwrap();
    pack(&[("manifest.json", &json, FILE), ("records.pb.zst", records, FILE)])
}

fn with(manifest: &serde_json::Value, field: &str, value: impl Into<serde_json::Value>) -> serde_json::Value {
    let mut manifest = manifest.clone();
    manifest[field] = value.into();
    manifest
}

/// Records that follow a good header, as raw messages.
fn raw_records(messages: &[&[u8]]) -> Vec<u8> {
    let mut stream = zstd::stream::decode_all(&*frames(&header(5), &[])).unwrap();
    for message in messages {
        stream.push(u8::try_from(message.len()).unwrap());
        stream.extend_from_slice(message);
    }
    zstd::bulk::compress(&stream, 1).unwrap()
}

pub(super) fn named(bytes: &[u8]) -> String {
    format!("{START:016}#+0000#{}.tar", Sha256::of(bytes))
}

fn custom_endpoint_source() -> Fact {
    Fact::Custom(Custom { source: Source::Custom("x".into()), name: "n".into(), attributes: BTreeMap::new() })
}

/// Of these the beginning is good: a keyframe stands before the record that is not.
pub(super) const BEGINNING_GOOD: [&str; 8] = [
    "records cut within a frame",
    "a keyframe twice",
    "an unknown number removed",
    "a number removed twice",
    "an unknown number ended",
    "details of another fact",
    "time runs back",
    "a gap before 1970",
];

/// Every kind of bad bundle: what it is called here, its bytes, and words that its message must have.
pub(super) fn kinds() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let good = header(5);
    let (manifest, records) = members(&good, &[keyframe(5)]);
    let json = serde_json::to_vec(&manifest).unwrap();
    let tar = seal(&good, &[keyframe(5)]);
    let bad_stream = |records: &[Record]| {
        let (manifest, frames) = members(&good, records);
        fake(&manifest, &frames)
    };
    let other = |change: &dyn Fn(&mut v2::Header)| {
        let mut header = header(5);
        change(&mut header);
        seal(&header, &[keyframe(5)])
    };
    let gone = |id: u32| {
        let Record::Sample(mut s) = sample(5, 1, false, Vec::new()) else { unreachable!() };
        s.removed = vec![FactId(id)];
        Record::Sample(s)
    };
    let gap = |from: i64| Gap {
        source: None,
        severity: Severity::Thin,
        reason: String::new(),
        from: WallMicros(from),
        to: None,
        lost: None,
    };
    vec![
        ("empty file", Vec::new(), "tar is cut off"),
        ("cut tar", tar[..tar.len() / 2].to_vec(), "tar"),
        ("not a tar", vec![b'x'; 4096], "tar"),
        (
            "strange member",
            pack(&[("manifest.json", &json, FILE), ("../../etc/passwd2", b"", FILE)]),
            "unexpected member",
        ),
        (
            "member twice",
            pack(&[("manifest.json", &json, FILE), ("manifest.json", &json, FILE)]),
            "there twice",
        ),
        (
            "symlink member",
            pack(&[("manifest.json", &json, FILE), ("records.pb.zst", b"", tar::EntryType::Symlink)]),
            "not a regular file",
        ),
        (
            "hard link member",
            pack(&[("manifest.json", &json, FILE), ("manifest.sig", b"", tar::EntryType::Link)]),
            "manifest.sig: not a regular",
        ),
        ("no records", pack(&[("manifest.json", &json, FILE)]), "records.pb.zst: missing"),
        (
            "manifest is no JSON",
            pack(&[("manifest.json", b"{", FILE), ("records.pb.zst", &records, FILE)]),
            "manifest.json: EOF",
        ),
        ("manifest is newer", fake(&with(&manifest, "version", 3), &records), "format version 3"),
        (
            "manifest lacks a field",
            fake(
                &{
                    let mut m = manifest.clone();
                    m.as_object_mut().unwrap().remove("seq");
                    m
                },
                &records,
            ),
            "missing field `seq`",
        ),
        (
            "wrong digest of the records",
            fake(&with(&manifest, "records_sha256", "wrong"), &records),
            "sha256 is",
        ),
        (
            "manifest of another client",
            fake(&with(&manifest, "cid", "someone"), &records),
            "cid is not the records' cid",
        ),
        (
            "manifest with another number",
            fake(&with(&manifest, "seq", 6), &records),
            "seq is not the records' seq",
        ),
        (
            "manifest with other times",
            fake(&with(&manifest, "wall", vec![1, 2]), &records),
            "the manifest says that its samples are from",
        ),
        ("records are no zstd", fake(&manifest, b"this is not zstd"), "header"),
        (
            "records cut within a frame",
            fake(&manifest, &records[..records.len() - 3]),
            "the stream ends within a frame",
        ),
        ("empty records", fake(&manifest, b""), "the stream is empty"),
        (
            "a bomb",
            fake(&manifest, &zstd::bulk::compress(&vec![0x80; 64 << 20], 19).unwrap()),
            "a length of more than five bytes",
        ),
        ("a long message", fake(&manifest, &raw_records(&[&[0x0a, 0xff, 0xff, 0xff, 0x7f]])), "record 1"),
        (
            "huge records",
            {
                let many: Vec<Fact> = (0..60_000).map(endpoint).collect();
                bad_stream(&[sample(5, 0, true, many)])
            },
            "larger than",
        ),
        (
            "a record of unknown kind",
            fake(&manifest, &raw_records(&[&[0x7a, 0x00]])),
            "a record of a kind that this program does not know",
        ),
        (
            "a fact of unknown kind",
            fake(&manifest, &raw_records(&[&[0x12, 0x04, 0x0a, 0x02, 0x7a, 0x00]])),
            "a fact of a kind that this program does not know",
        ),
        (
            "a delta first",
            bad_stream(&[sample(5, 0, false, Vec::new())]),
            "is a delta where a keyframe is due",
        ),
        (
            "a keyframe twice",
            bad_stream(&[keyframe(5), sample(5, 1, true, Vec::new())]),
            "is a keyframe where a delta is due",
        ),
        ("an unknown number removed", bad_stream(&[keyframe(5), gone(77)]), "removal names fact 77"),
        (
            "a number removed twice",
            bad_stream(&[keyframe(5), gone(0), {
                let Record::Sample(mut s) = gone(0) else { unreachable!() };
                s.stamp = s.stamp.plus(1);
                Record::Sample(s)
            }]),
            "removal names fact 0",
        ),
        (
            "an unknown number ended",
            bad_stream(&[keyframe(5), Record::Event(Event::Ended { id: FactId(9), at: WallMicros(START) })]),
            "end names fact 9",
        ),
        (
            "details of another fact",
            bad_stream(&[
                keyframe(5),
                Record::Event(Event::Learned(Learned { id: FactId(0), fact: endpoint(9) })),
            ]),
            "told to be another",
        ),
        (
            "a fact shown twice",
            bad_stream(&[sample(5, 0, true, vec![endpoint(1), endpoint(1)])]),
            "shown twice",
        ),
        (
            "a fact of another source",
            bad_stream(&[sample(5, 0, true, vec![custom_endpoint_source()])]),
            "shows a fact of x",
        ),
        (
            "time runs back",
            bad_stream(&[keyframe(5), sample(5, -1, false, Vec::new())]),
            "is not later than the one before",
        ),
        ("the year 5000", bad_stream(&[sample(96_000_000_000, 0, true, Vec::new())]), "out of range"),
        ("a gap before 1970", bad_stream(&[keyframe(5), Record::Gap(gap(-5))]), "out of range"),
        ("no sample", bad_stream(&[Record::Gap(gap(START))]), "holds no sample"),
        ("another client's", other(&|h| h.cid = Cid::parse("someone").unwrap()), "it is of client someone"),
        ("a run of two boots", other(&|h| h.boot = BootId([3; 16])), "is stored as one of boot"),
        (
            "a forked chain",
            seal(&header(2), &[keyframe(2), sample(2, 1, false, Vec::new())]),
            "bundle 2 of run",
        ),
        ("times of another bundle", seal(&header(5), &[keyframe(2)]), "overlap those of bundle 2"),
    ]
}
