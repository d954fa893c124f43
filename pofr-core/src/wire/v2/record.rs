//! Headers and records to messages and back.

use super::{
    Header, WireError, bulk, fact,
    fields::{self, Fields},
    message::{
        BeganMessage, EndedMessage, FORMAT_VERSION, GapMessage, HeaderMessage, LearnedMessage, PassedMessage,
        RecordKind, RecordMessage, SampleMessage, SinceMessage, sample as tags,
    },
};
use crate::{
    digest::Sha256,
    gap::{Gap, Severity},
    identity::{BootId, BundleSeq, Cid, Pid, RunId},
    limits,
    record::{Added, Event, FactId, Learned, Record, Sample},
    source::Source,
    time::{WallMicros, ZoneOffset},
};
use prost::Message as _;

pub(super) fn encode_header(header: &Header) -> HeaderMessage {
    HeaderMessage {
        version: FORMAT_VERSION,
        cid: header.cid.as_str().to_owned(),
        run: header.run.0.to_vec(),
        boot: header.boot.0.to_vec(),
        seq: header.seq.0,
        previous: header.previous.map_or_else(Vec::new, |d| d.0.to_vec()),
        zone_minutes: header.zone.minutes().into(),
        interval_micros: header.interval_micros,
        opened_wall: header.opened_wall.0,
        opened_boot: header.opened_boot_micros,
        recorder_pids: header.recorder_pids.iter().map(|p| p.0).collect(),
        sources: header.sources.iter().map(|s| s.name().to_owned()).collect(),
        missing: header.missing.iter().map(|s| s.0).collect(),
    }
}

pub(super) fn decode_header(m: HeaderMessage) -> Result<Header, WireError> {
    const PART: &str = "header";
    if m.version != FORMAT_VERSION {
        return Err(WireError::Version { part: PART.into(), found: m.version, known: FORMAT_VERSION });
    }
    let bad = |what: &str| WireError::malformed(PART, what);
    Ok(Header {
        cid: Cid::parse(&m.cid).ok_or_else(|| bad("the client's id is not one"))?,
        run: RunId(m.run.try_into().map_err(|_| bad("a run id that is not 16 bytes"))?),
        boot: BootId(m.boot.try_into().map_err(|_| bad("a boot id that is not 16 bytes"))?),
        seq: BundleSeq(m.seq),
        previous: match m.previous.len() {
            0 => None,
            _ => Some(Sha256(
                m.previous.try_into().map_err(|_| bad("a previous sha256 that is not 32 bytes"))?,
            )),
        },
        zone: ZoneOffset::from_minutes(m.zone_minutes).ok_or_else(|| bad("a zone beyond 24 hours"))?,
        interval_micros: m.interval_micros,
        opened_wall: WallMicros(m.opened_wall),
        opened_boot_micros: m.opened_boot,
        recorder_pids: m.recorder_pids.into_iter().map(Pid).collect(),
        sources: m
            .sources
            .iter()
            .map(|name| Source::parse(name).ok_or_else(|| bad("a source without a good name")))
            .collect::<Result<_, _>>()?,
        missing: m.missing.into_iter().map(BundleSeq).collect(),
    })
}

pub(super) fn encode(record: &Record) -> RecordMessage {
    let kind = match record {
        Record::Sample(sample) => RecordKind::Sample(SampleMessage {
            source: sample.source.name().to_owned(),
            stamp: sample.stamp.0,
            span_micros: sample.span_micros,
            keyframe: sample.keyframe,
            removed: sample.removed.iter().map(|id| id.0).collect(),
            lost: sample.lost.iter().map(|id| id.0).collect(),
            learned: sample.learned.iter().map(encode_learned).collect(),
            added: sample.added.iter().map(|a| fact::encode(&a.fact)).collect(),
            unsure: (0u32..).zip(&sample.added).filter(|(_, a)| a.unsure).map(|(i, _)| i).collect(),
            since: (0u32..)
                .zip(&sample.added)
                .filter_map(|(position, a)| Some(SinceMessage { position, at: a.since?.0 }))
                .collect(),
        }),
        Record::Event(Event::Began { fact, at }) => {
            RecordKind::Began(BeganMessage { fact: fact::encode(fact), at: at.0 })
        }
        Record::Event(Event::Ended { id, at }) => RecordKind::Ended(EndedMessage { id: id.0, at: at.0 }),
        Record::Event(Event::Passed { fact, began, ended }) => RecordKind::Passed(PassedMessage {
            fact: fact::encode(fact),
            began: began.map(|t| t.0),
            ended: ended.0,
        }),
        Record::Event(Event::Learned(learned)) => RecordKind::Learned(encode_learned(learned)),
        Record::Gap(gap) => RecordKind::Gap(GapMessage {
            source: gap.source.as_ref().map_or_else(String::new, |s| s.name().to_owned()),
            blind: gap.severity == Severity::Blind,
            reason: gap.reason.clone(),
            from: gap.from.0,
            to: gap.to.map(|t| t.0),
            lost: gap.lost,
        }),
    };
    RecordMessage { kind: Some(kind) }
}

/// Finds a fact that a sample adds by its position.
fn at(added: &mut [Added], position: u32) -> Result<&mut Added, String> {
    let length = added.len();
    let position = usize::try_from(position).unwrap_or(usize::MAX);
    added.get_mut(position).ok_or_else(|| format!("fact {position} of a sample that adds {length}"))
}

fn encode_learned(learned: &Learned) -> LearnedMessage {
    LearnedMessage { id: learned.id.0, fact: fact::encode(&learned.fact) }
}

/// Reads a record's message; the error says what is wrong with it.
pub(super) fn read(message: &[u8], boot: BootId) -> Result<Record, String> {
    let (tag, bytes) = fields::kind(message, 1..=6, "record")?;
    if tag == 1 {
        return read_sample(bytes, boot).map(Record::Sample);
    }
    bulk::fact(bytes)?;
    let bad = |e: prost::DecodeError| e.to_string();
    Ok(match tag {
        2 => {
            let m = BeganMessage::decode(bytes).map_err(bad)?;
            Record::Event(Event::Began { fact: fact::read(&m.fact, boot)?, at: WallMicros(m.at) })
        }
        3 => {
            let m = EndedMessage::decode(bytes).map_err(bad)?;
            Record::Event(Event::Ended { id: FactId(m.id), at: WallMicros(m.at) })
        }
        4 => {
            let m = PassedMessage::decode(bytes).map_err(bad)?;
            Record::Event(Event::Passed {
                fact: fact::read(&m.fact, boot)?,
                began: m.began.map(WallMicros),
                ended: WallMicros(m.ended),
            })
        }
        5 => Record::Event(Event::Learned(read_learned(bytes, boot)?)),
        _ => Record::Gap(decode_gap(GapMessage::decode(bytes).map_err(bad)?)?),
    })
}

fn read_sample(message: &[u8], boot: BootId) -> Result<Sample, String> {
    let bulk = bulk::sample(message)?;
    let mut sample = Sample {
        source: Source::Process,
        stamp: WallMicros(0),
        span_micros: 0,
        keyframe: false,
        removed: Vec::new(),
        lost: Vec::new(),
        // Made at its size: facts are large, and a vector that grows moves them.
        learned: Vec::with_capacity(bulk.learned),
        added: Vec::with_capacity(bulk.added),
    };
    let (mut source, mut unsure, mut since) = ("", Vec::new(), Vec::new());
    for field in Fields::of(message) {
        let (tag, value) = field?;
        match tag {
            tags::SOURCE => source = value.text()?,
            tags::STAMP => sample.stamp = WallMicros(value.i64()?),
            tags::SPAN => sample.span_micros = value.u32()?,
            tags::KEYFRAME => sample.keyframe = value.flag()?,
            tags::REMOVED => value.numbers(|n| sample.removed.push(FactId(n)))?,
            tags::LOST => value.numbers(|n| sample.lost.push(FactId(n)))?,
            tags::LEARNED => sample.learned.push(read_learned(value.bytes()?, boot)?),
            tags::ADDED => sample.added.push(fact::read(value.bytes()?, boot)?.into()),
            tags::UNSURE => value.numbers(|n| unsure.push(n))?,
            tags::SINCE => since.push(SinceMessage::decode(value.bytes()?).map_err(|e| e.to_string())?),
            _ => {}
        }
    }
    sample.source = Source::parse(source).ok_or_else(|| format!("{source:?} names no source"))?;
    for position in unsure {
        at(&mut sample.added, position)?.unsure = true;
    }
    for since in since {
        at(&mut sample.added, since.position)?.since = Some(WallMicros(since.at));
    }
    Ok(sample)
}

fn read_learned(message: &[u8], boot: BootId) -> Result<Learned, String> {
    let m = LearnedMessage::decode(message).map_err(|e| e.to_string())?;
    Ok(Learned { id: FactId(m.id), fact: fact::read(&m.fact, boot)? })
}

fn decode_gap(m: GapMessage) -> Result<Gap, String> {
    if m.reason.len() > limits::REASON.readable() {
        return Err(format!("a gap's reason of {} bytes", m.reason.len()));
    }
    Ok(Gap {
        source: match m.source.as_str() {
            "" => None,
            name => Some(Source::parse(name).ok_or_else(|| format!("{name:?} names no source"))?),
        },
        severity: if m.blind { Severity::Blind } else { Severity::Thin },
        reason: m.reason,
        from: WallMicros(m.from),
        to: m.to.map(WallMicros),
        lost: m.lost,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::{Fact, FileDetails, FileKey, FileMode, OpenFile};
    use crate::identity::{Entity, StartTicks};
    use prost::encoding::{WireType, encode_key, encode_varint};

    /// Writes a field of bytes.
    fn field(tag: u32, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode_key(tag, WireType::LengthDelimited, &mut out);
        encode_varint(bytes.len() as u64, &mut out);
        [&out[..], bytes].concat()
    }

    /// Fields of every shape that no message of ours has.
    fn unknown() -> Vec<u8> {
        let mut out = field(1000, b"from a later version");
        encode_key(1001, WireType::Varint, &mut out);
        encode_varint(u64::MAX, &mut out);
        encode_key(1002, WireType::SixtyFourBit, &mut out);
        out.extend([7; 8]);
        encode_key(1003, WireType::ThirtyTwoBit, &mut out);
        out.extend([7; 4]);
        out
    }

    #[test]
    fn what_a_later_version_adds_is_skipped_at_every_depth() {
        let boot = BootId([7; 16]);
        let entity = Entity::Started { boot, pid: Pid(5), start: StartTicks(300) };
        let key = FileKey { entity, fd: 3, path: "/a".into(), mode: FileMode::ReadWrite, deleted: true };
        let fact = Fact::File(OpenFile { key, details: FileDetails::default() });
        let later = unknown();
        let with = |bytes: &[u8]| [&later[..], bytes, &later].concat();
        let entity = with(&[0x08, 5, 0x10, 0xac, 0x02]);
        let file =
            with(&[&field(1, &entity)[..], &[0x10, 3], &field(3, b"/a"), &[0x20, 2, 0x28, 1]].concat());
        let added = with(&field(2, &file));
        // Numbers one by one, as a writer that does not pack them has them.
        let sample = with(
            &[&field(1, b"process")[..], &[0x10, 9, 0x28, 1, 0x28, 2, 0x48, 0], &field(8, &added)].concat(),
        );
        let record = read(&with(&field(1, &sample)), boot).unwrap();
        let expected = Sample {
            source: Source::Process,
            stamp: WallMicros(9),
            span_micros: 0,
            keyframe: false,
            removed: vec![FactId(1), FactId(2)],
            lost: vec![],
            learned: vec![],
            added: vec![Added { fact, unsure: true, since: None }],
        };
        assert_eq!(record, Record::Sample(expected.clone()));
        // What this program writes is read back as the same.
        let written = encode(&Record::Sample(expected)).encode_to_vec();
        assert_eq!(read(&written, boot), Ok(record));
    }
}
