//! Fields: walks over a message without making anything of it (protobuf's encoding, protobuf.dev/programming-guides/encoding).
//!
//! Nine messages of ten are open files, and a keyframe has them all; so samples and files are read where they lie, without a
//! message in between.

/// Why bytes are no message.
type Bad = String;

/// Walks over a message's fields.
pub(super) struct Fields<'a>(&'a [u8]);

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// A varint.
    Number(u64),
    /// Bytes, a text, a message or packed numbers.
    Bytes(&'a [u8]),
    /// Four or eight bytes: no message of ours has such.
    Fixed,
}

impl<'a> Fields<'a> {
    /// Begins at a message's first field.
    pub(super) const fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let key = self.varint()?;
        let length = match key & 7 {
            0 => return Some((key >> 3, Value::Number(self.varint()?))),
            1 => 8,
            2 => usize::try_from(self.varint()?).ok()?,
            5 => 4,
            _ => return None,
        };
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some((key >> 3, if key & 7 == 2 { Value::Bytes(bytes) } else { Value::Fixed }))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                // The tenth byte has one bit left.
                return (shift < 63 || *byte < 2).then_some(value);
            }
        }
        None
    }
}

impl<'a> Iterator for Fields<'a> {
    /// A field's number and its value, or that there is no such thing at this place.
    type Item = Result<(u64, Value<'a>), Bad>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or_else(|| "what stands there is no protobuf".to_owned()))
    }
}

impl<'a> Value<'a> {
    pub(super) fn bytes(self) -> Result<&'a [u8], Bad> {
        if let Self::Bytes(bytes) = self { Ok(bytes) } else { Err("a number where bytes belong".into()) }
    }

    pub(super) fn text(self) -> Result<&'a str, Bad> {
        std::str::from_utf8(self.bytes()?).map_err(|e| e.to_string())
    }

    pub(super) fn number(self) -> Result<u64, Bad> {
        if let Self::Number(number) = self { Ok(number) } else { Err("bytes where a number belongs".into()) }
    }

    pub(super) fn u32(self) -> Result<u32, Bad> {
        let number = self.number()?;
        u32::try_from(number).map_err(|_| format!("{number} where 32 bits are at hand"))
    }

    pub(super) fn i64(self) -> Result<i64, Bad> {
        Ok(self.number()?.cast_signed())
    }

    pub(super) fn flag(self) -> Result<bool, Bad> {
        Ok(self.number()? != 0)
    }

    /// Gives each number that one field of a repeated number holds: one, or many packed.
    pub(super) fn numbers(self, mut each: impl FnMut(u32)) -> Result<(), Bad> {
        let Self::Bytes(packed) = self else {
            each(self.u32()?);
            return Ok(());
        };
        let mut packed = Fields(packed);
        while !packed.0.is_empty() {
            let number = packed.varint().ok_or("packed numbers that are none")?;
            each(Value::Number(number).u32()?);
        }
        Ok(())
    }
}

/// Returns the number and the bytes of the one field of those `known` that a message has, which is a `what` of some kind; fields
/// that this program does not know are skipped.
pub(super) fn kind<'a>(
    message: &'a [u8],
    known: std::ops::RangeInclusive<u64>,
    what: &str,
) -> Result<(u64, &'a [u8]), Bad> {
    let mut found = None;
    for field in Fields::of(message) {
        let (tag, value) = field?;
        if known.contains(&tag) && found.replace((tag, value.bytes()?)).is_some() {
            return Err(format!("a {what} of two kinds"));
        }
    }
    found.ok_or_else(|| format!("a {what} of a kind that this program does not know"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::v2::message::SampleMessage;
    use prost::Message as _;

    #[test]
    fn fields_are_those_that_were_written() {
        let message = SampleMessage {
            stamp: -5,
            span_micros: u32::MAX,
            removed: vec![1, 300, u32::MAX],
            added: vec![vec![1, 2, 3]],
            ..Default::default()
        };
        let message = message.encode_to_vec();
        let fields: Vec<_> = Fields::of(&message).map(Result::unwrap).collect();
        assert_eq!(fields.iter().map(|(tag, _)| *tag).collect::<Vec<_>>(), [2, 3, 5, 8]);
        assert_eq!(fields[0].1.i64(), Ok(-5));
        assert_eq!(fields[1].1.u32(), Ok(u32::MAX));
        let mut removed = vec![7];
        fields[2].1.numbers(|n| removed.push(n)).unwrap();
        assert_eq!(removed, [7, 1, 300, u32::MAX]);
        assert_eq!(fields[3].1.bytes(), Ok(&[1, 2, 3][..]));
        fields[0].1.u32().unwrap_err();
        fields[0].1.bytes().unwrap_err();
        fields[3].1.number().unwrap_err();
    }

    #[test]
    fn what_is_no_protobuf_is_told_once() {
        // Cut within a key, a varint and bytes; a varint of 65 bits and of 11 bytes; a group, which ours never are.
        let eleven = [&[0x08][..], &[0x80; 10], &[0x01]].concat();
        let wide = [&[0x08][..], &[0xff; 9], &[0x02]].concat();
        for bad in [&[0x80][..], &[0x08, 0x80], &[0x0a, 2, 0], &[0x0b], &eleven, &wide] {
            let fields: Vec<_> = Fields::of(bad).collect();
            assert!(matches!(fields[..], [Err(_)]), "{bad:?}: {fields:?}");
        }
        let widest = [&[0x08][..], &[0xff; 9], &[0x01]].concat();
        assert_eq!(Fields::of(&widest).next(), Some(Ok((1, Value::Number(u64::MAX)))));
        assert_eq!(Fields::of(&[0x0d, 0, 0, 0, 0]).next(), Some(Ok((1, Value::Fixed))));
    }

    #[test]
    fn a_message_is_of_one_kind() {
        assert_eq!(kind(&[0x0a, 1, 7], 1..=6, "record"), Ok((1, &[7][..])));
        // One that is not known, which a later version may have added.
        assert_eq!(kind(&[0x78, 1, 0x0a, 1, 7], 1..=6, "record"), Ok((1, &[7][..])));
        for bad in [&[][..], &[0x78, 1], &[0x0a, 0, 0x12, 0], &[0x0a, 0, 0x0a, 0], &[0x08, 1]] {
            kind(bad, 1..=6, "record").unwrap_err();
        }
    }
}
