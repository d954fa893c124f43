//! Headers and records to messages and back.

use super::{
    Header, WireError, fact,
    message::{
        BeganMessage, EndedMessage, FORMAT_VERSION, FactMessage, GapMessage, HeaderMessage, LearnedMessage,
        PassedMessage, RecordKind, RecordMessage, SampleMessage, SinceMessage,
    },
};
use crate::{
    digest::Sha256,
    fact::Fact,
    gap::{Gap, Severity},
    identity::{BootId, BundleSeq, Cid, Pid, RunId},
    record::{Added, Event, FactId, Learned, Record, Sample},
    source::Source,
    time::{WallMicros, ZoneOffset},
};
use prost::Message as _;

/// A gap's reason is for a person; more than this is an attack on the reader.
const MAX_REASON: usize = 1000;

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
            added: sample.added.iter().map(|a| fact::encode(&a.fact).encode_to_vec().into()).collect(),
            unsure: (0u32..).zip(&sample.added).filter(|(_, a)| a.unsure).map(|(i, _)| i).collect(),
            since: (0u32..)
                .zip(&sample.added)
                .filter_map(|(position, a)| Some(SinceMessage { position, at: a.since?.0 }))
                .collect(),
        }),
        Record::Event(Event::Began { fact, at }) => {
            RecordKind::Began(BeganMessage { fact: Some(fact::encode(fact)), at: at.0 })
        }
        Record::Event(Event::Ended { id, at }) => RecordKind::Ended(EndedMessage { id: id.0, at: at.0 }),
        Record::Event(Event::Passed { fact, began, ended }) => RecordKind::Passed(PassedMessage {
            fact: Some(fact::encode(fact)),
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
    LearnedMessage { id: learned.id.0, fact: Some(fact::encode(&learned.fact)) }
}

/// Reads a record; the error says what is wrong with it.
pub(super) fn decode(message: RecordMessage, boot: BootId) -> Result<Record, String> {
    let fact = |m: Option<FactMessage>| -> Result<Fact, String> {
        fact::decode(m.ok_or("a fact is missing")?, boot)
    };
    let learned = |m: LearnedMessage| -> Result<Learned, String> {
        Ok(Learned { id: FactId(m.id), fact: fact(m.fact)? })
    };
    let kind = message.kind.ok_or("a record of a kind that this program does not know")?;
    Ok(match kind {
        RecordKind::Sample(m) => {
            // Made at its size: facts are large, and a vector that grows moves them.
            let mut added: Vec<Added> = Vec::with_capacity(m.added.len());
            for bytes in m.added {
                added.push(fact::decode_bytes(bytes, boot)?.into());
            }
            for position in m.unsure {
                at(&mut added, position)?.unsure = true;
            }
            for since in m.since {
                at(&mut added, since.position)?.since = Some(WallMicros(since.at));
            }
            Record::Sample(Sample {
                source: Source::parse(&m.source).ok_or_else(|| format!("{:?} names no source", m.source))?,
                stamp: WallMicros(m.stamp),
                span_micros: m.span_micros,
                keyframe: m.keyframe,
                removed: m.removed.into_iter().map(FactId).collect(),
                lost: m.lost.into_iter().map(FactId).collect(),
                learned: m.learned.into_iter().map(learned).collect::<Result<_, _>>()?,
                added,
            })
        }
        RecordKind::Began(m) => Record::Event(Event::Began { fact: fact(m.fact)?, at: WallMicros(m.at) }),
        RecordKind::Ended(m) => Record::Event(Event::Ended { id: FactId(m.id), at: WallMicros(m.at) }),
        RecordKind::Passed(m) => Record::Event(Event::Passed {
            fact: fact(m.fact)?,
            began: m.began.map(WallMicros),
            ended: WallMicros(m.ended),
        }),
        RecordKind::Learned(m) => Record::Event(Event::Learned(learned(m)?)),
        RecordKind::Gap(m) => {
            if m.reason.len() > MAX_REASON {
                return Err(format!("a gap's reason of {} bytes", m.reason.len()));
            }
            Record::Gap(Gap {
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
    })
}
