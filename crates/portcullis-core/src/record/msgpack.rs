//! The part of MessagePack in which records are written. It is read from a slice without copying.
//!
//! Every length is checked against the rest of the slice before it is used, and nothing is
//! allocated for it. Integers and lengths may be written wider than needed, as MessagePack allows.

use super::Unencodable;

/// The most levels of arrays and maps that a skipped value may have. Skipping is recursive.
const DEPTH: u8 = 16;

const NIL: u8 = 0xc0;
const FALSE: u8 = 0xc2;
const TRUE: u8 = 0xc3;

/// The bytes are not what was expected, or are cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damaged;

/// The next value, or the start of an array or a map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Token<'b> {
    Nil,
    Bool(bool),
    /// A non-negative integer of any width.
    Uint(u64),
    /// A negative integer.
    Int(i64),
    F32(f32),
    F64(f64),
    Str(&'b str),
    Bin(&'b [u8]),
    /// An array. This many elements follow.
    Array(u32),
    /// A map. This many pairs follow.
    Map(u32),
    /// An extension: its type and its bytes.
    Ext(u8, &'b [u8]),
}

impl Token<'_> {
    fn int(number: impl Into<i64>) -> Self {
        let number = number.into();
        u64::try_from(number).map_or(Self::Int(number), Self::Uint)
    }
}

/// Reads one value after the other.
pub(crate) struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The bytes that are still unread.
    pub(crate) fn rest(&self) -> &'b [u8] {
        self.rest
    }

    pub(crate) fn bool(&mut self) -> Result<bool, Damaged> {
        match self.byte()? {
            FALSE => Ok(false),
            TRUE => Ok(true),
            _ => Err(Damaged),
        }
    }

    pub(crate) fn uint(&mut self) -> Result<u64, Damaged> {
        Ok(match self.byte()? {
            small @ 0..=0x7f => small.into(),
            0xcc => self.u8()?.into(),
            0xcd => self.u16()?.into(),
            0xce => self.u32()?.into(),
            0xcf => u64::from_be_bytes(self.chunk()?),
            _ => return Err(Damaged),
        })
    }

    pub(crate) fn bin(&mut self) -> Result<&'b [u8], Damaged> {
        let length = match self.byte()? {
            0xc4 => self.u8()?.into(),
            0xc5 => self.u16()?.into(),
            0xc6 => self.u32()?,
            _ => return Err(Damaged),
        };
        self.take(length)
    }

    /// Binary of exactly `N` bytes.
    pub(crate) fn bin_of<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        self.bin()?.try_into().map_err(|_| Damaged)
    }

    pub(crate) fn str(&mut self) -> Result<&'b str, Damaged> {
        let length = match self.byte()? {
            short @ 0xa0..=0xbf => u32::from(short & 0x1f),
            0xd9 => self.u8()?.into(),
            0xda => self.u16()?.into(),
            0xdb => self.u32()?,
            _ => return Err(Damaged),
        };
        std::str::from_utf8(self.take(length)?).map_err(|_| Damaged)
    }

    /// The number of elements that follow.
    pub(crate) fn array(&mut self) -> Result<u32, Damaged> {
        match self.byte()? {
            short @ 0x90..=0x9f => Ok(u32::from(short & 0x0f)),
            0xdc => self.u16().map(u32::from),
            0xdd => self.u32(),
            _ => Err(Damaged),
        }
    }

    /// The number of pairs that follow.
    pub(crate) fn map(&mut self) -> Result<u32, Damaged> {
        match self.byte()? {
            short @ 0x80..=0x8f => Ok(u32::from(short & 0x0f)),
            0xde => self.u16().map(u32::from),
            0xdf => self.u32(),
            _ => Err(Damaged),
        }
    }

    /// The next value, or the start of an array or a map.
    pub(crate) fn token(&mut self) -> Result<Token<'b>, Damaged> {
        let first = *self.rest.first().ok_or(Damaged)?;
        Ok(match first {
            0x00..=0x7f | 0xcc..=0xcf => Token::Uint(self.uint()?),
            0x80..=0x8f | 0xde | 0xdf => Token::Map(self.map()?),
            0x90..=0x9f | 0xdc | 0xdd => Token::Array(self.array()?),
            0xa0..=0xbf | 0xd9..=0xdb => Token::Str(self.str()?),
            0xc4..=0xc6 => Token::Bin(self.bin()?),
            _ => {
                self.byte()?;
                match first {
                    NIL => Token::Nil,
                    0xc2 => Token::Bool(false),
                    0xc3 => Token::Bool(true),
                    0xca => Token::F32(f32::from_be_bytes(self.chunk()?)),
                    0xcb => Token::F64(f64::from_be_bytes(self.chunk()?)),
                    0xd0 => Token::int(i8::from_be_bytes(self.chunk()?)),
                    0xd1 => Token::int(i16::from_be_bytes(self.chunk()?)),
                    0xd2 => Token::int(i32::from_be_bytes(self.chunk()?)),
                    0xd3 => Token::int(i64::from_be_bytes(self.chunk()?)),
                    0xe0..=0xff => Token::int(first.cast_signed()),
                    0xc7 => {
                        let length = self.u8()?;
                        self.ext(length)?
                    }
                    0xc8 => {
                        let length = self.u16()?;
                        self.ext(length)?
                    }
                    0xc9 => {
                        let length = self.u32()?;
                        self.ext(length)?
                    }
                    0xd4..=0xd8 => self.ext(1_u8 << (first - 0xd4))?,
                    _ => return Err(Damaged),
                }
            }
        })
    }

    fn ext(&mut self, length: impl TryInto<usize>) -> Result<Token<'b>, Damaged> {
        let kind = self.u8()?;
        Ok(Token::Ext(kind, self.take(length)?))
    }

    /// Whether the next value is nil. It is read if so.
    pub(crate) fn nil(&mut self) -> bool {
        match self.rest.split_first() {
            Some((&NIL, rest)) => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Skips a value of any type.
    pub(crate) fn skip(&mut self) -> Result<(), Damaged> {
        self.skip_within(DEPTH)
    }

    /// Skips this many values of any type.
    pub(crate) fn skip_all(&mut self, values: u32) -> Result<(), Damaged> {
        (0..values).try_for_each(|_| self.skip())
    }

    /// Skips a value of any type with at most this many levels of arrays and maps.
    pub(crate) fn skip_within(&mut self, depth: u8) -> Result<(), Damaged> {
        let (bytes, values) = match self.byte()? {
            // Small integers, nil, booleans.
            0x00..=0x7f | 0xe0..=0xff | NIL | FALSE | TRUE => return Ok(()),
            // Maps and arrays.
            short @ 0x80..=0x8f => (0, 2 * u64::from(short & 0x0f)),
            short @ 0x90..=0x9f => (0, u64::from(short & 0x0f)),
            0xdc => (0, self.u16()?.into()),
            0xdd => (0, self.u32()?.into()),
            0xde => (0, 2 * u64::from(self.u16()?)),
            0xdf => (0, 2 * u64::from(self.u32()?)),
            // Strings and binary.
            short @ 0xa0..=0xbf => (u64::from(short & 0x1f), 0),
            0xc4 | 0xd9 => (self.u8()?.into(), 0),
            0xc5 | 0xda => (self.u16()?.into(), 0),
            0xc6 | 0xdb => (self.u32()?.into(), 0),
            // Extensions: a byte for the type, then the bytes.
            0xc7 => (u64::from(self.u8()?) + 1, 0),
            0xc8 => (u64::from(self.u16()?) + 1, 0),
            0xc9 => (u64::from(self.u32()?) + 1, 0),
            fixed @ 0xd4..=0xd8 => ((1 << (fixed - 0xd4)) + 1, 0),
            // Numbers.
            0xcc | 0xd0 => (1, 0),
            0xcd | 0xd1 => (2, 0),
            0xca | 0xce | 0xd2 => (4, 0),
            0xcb | 0xcf | 0xd3 => (8, 0),
            // Never used.
            0xc1 => return Err(Damaged),
        };
        self.take(bytes)?;
        if values == 0 {
            return Ok(());
        }
        let depth = depth.checked_sub(1).ok_or(Damaged)?;
        (0..values).try_for_each(|_| self.skip_within(depth))
    }

    fn byte(&mut self) -> Result<u8, Damaged> {
        let (first, rest) = self.rest.split_first().ok_or(Damaged)?;
        self.rest = rest;
        Ok(*first)
    }

    fn u8(&mut self) -> Result<u8, Damaged> {
        self.byte()
    }

    fn u16(&mut self) -> Result<u16, Damaged> {
        self.chunk().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, Damaged> {
        self.chunk().map(u32::from_be_bytes)
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let (chunk, rest) = self.rest.split_first_chunk().ok_or(Damaged)?;
        self.rest = rest;
        Ok(*chunk)
    }

    fn take(&mut self, length: impl TryInto<usize>) -> Result<&'b [u8], Damaged> {
        let length = length.try_into().map_err(|_| Damaged)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Damaged)?;
        self.rest = rest;
        Ok(taken)
    }
}

/// Appends values, each in its shortest form.
pub(crate) trait Append {
    fn append_nil(&mut self);
    fn append_bool(&mut self, value: bool);
    fn append_uint(&mut self, number: u64);
    fn append_int(&mut self, number: i64);
    fn append_f32(&mut self, number: f32);
    fn append_f64(&mut self, number: f64);
    fn append_bin(&mut self, bytes: &[u8]) -> Result<(), Unencodable>;
    fn append_str(&mut self, text: &str) -> Result<(), Unencodable>;
    /// An extension of this type.
    fn append_ext(&mut self, kind: u8, bytes: &[u8]) -> Result<(), Unencodable>;
    /// The start of an array. The caller then appends its elements.
    fn append_array(&mut self, elements: usize) -> Result<(), Unencodable>;
    /// The start of a map. The caller then appends its pairs.
    fn append_map(&mut self, pairs: usize) -> Result<(), Unencodable>;
    /// Replaces the byte at `at` by the start of a map whose number of pairs was not known before.
    fn replace_by_map(&mut self, at: usize, pairs: usize) -> Result<(), Unencodable>;
}

impl Append for Vec<u8> {
    fn append_nil(&mut self) {
        self.push(NIL);
    }

    fn append_bool(&mut self, value: bool) {
        self.push(if value { TRUE } else { FALSE });
    }

    fn append_uint(&mut self, number: u64) {
        if let Ok(number) = u8::try_from(number) {
            if number > 0x7f {
                self.push(0xcc);
            }
            self.push(number);
        } else if let Ok(number) = u16::try_from(number) {
            self.push(0xcd);
            self.extend(number.to_be_bytes());
        } else if let Ok(number) = u32::try_from(number) {
            self.push(0xce);
            self.extend(number.to_be_bytes());
        } else {
            self.push(0xcf);
            self.extend(number.to_be_bytes());
        }
    }

    fn append_int(&mut self, number: i64) {
        if let Ok(number) = u64::try_from(number) {
            self.append_uint(number);
        } else if let Ok(number) = i8::try_from(number) {
            if number < -0x20 {
                self.push(0xd0);
            }
            self.push(number.cast_unsigned());
        } else if let Ok(number) = i16::try_from(number) {
            self.push(0xd1);
            self.extend(number.to_be_bytes());
        } else if let Ok(number) = i32::try_from(number) {
            self.push(0xd2);
            self.extend(number.to_be_bytes());
        } else {
            self.push(0xd3);
            self.extend(number.to_be_bytes());
        }
    }

    fn append_f32(&mut self, number: f32) {
        self.push(0xca);
        self.extend(number.to_be_bytes());
    }

    fn append_f64(&mut self, number: f64) {
        self.push(0xcb);
        self.extend(number.to_be_bytes());
    }

    fn append_ext(&mut self, kind: u8, bytes: &[u8]) -> Result<(), Unencodable> {
        match bytes.len() {
            1 => self.push(0xd4),
            2 => self.push(0xd5),
            4 => self.push(0xd6),
            8 => self.push(0xd7),
            16 => self.push(0xd8),
            length => append_length(self, length, [0xc7, 0xc8, 0xc9])?,
        }
        self.push(kind);
        self.extend_from_slice(bytes);
        Ok(())
    }

    fn append_bin(&mut self, bytes: &[u8]) -> Result<(), Unencodable> {
        append_length(self, bytes.len(), [0xc4, 0xc5, 0xc6])?;
        self.extend_from_slice(bytes);
        Ok(())
    }

    fn append_str(&mut self, text: &str) -> Result<(), Unencodable> {
        match u8::try_from(text.len()) {
            Ok(short @ 0..=0x1f) => self.push(0xa0 | short),
            _ => append_length(self, text.len(), [0xd9, 0xda, 0xdb])?,
        }
        self.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn append_array(&mut self, elements: usize) -> Result<(), Unencodable> {
        append_count(self, elements, 0x90, [0xdc, 0xdd])
    }

    fn append_map(&mut self, pairs: usize) -> Result<(), Unencodable> {
        append_count(self, pairs, 0x80, [0xde, 0xdf])
    }

    fn replace_by_map(&mut self, at: usize, pairs: usize) -> Result<(), Unencodable> {
        let marker = self.get_mut(at).ok_or(Unencodable)?;
        match u8::try_from(pairs) {
            Ok(pairs @ 0..=0x0f) => *marker = 0x80 | pairs,
            _ => {
                let mut header = Vec::new();
                header.append_map(pairs)?;
                self.splice(at..=at, header);
            }
        }
        Ok(())
    }
}

fn append_length(
    to: &mut Vec<u8>,
    length: usize,
    [small, medium, large]: [u8; 3],
) -> Result<(), Unencodable> {
    match u8::try_from(length) {
        Ok(length) => to.extend([small, length]),
        Err(_) => append_wide(to, length, [medium, large])?,
    }
    Ok(())
}

fn append_count(
    to: &mut Vec<u8>,
    count: usize,
    short: u8,
    wide: [u8; 2],
) -> Result<(), Unencodable> {
    match u8::try_from(count) {
        Ok(count @ 0..=0x0f) => to.push(short | count),
        _ => append_wide(to, count, wide)?,
    }
    Ok(())
}

fn append_wide(
    to: &mut Vec<u8>,
    length: usize,
    [medium, large]: [u8; 2],
) -> Result<(), Unencodable> {
    if let Ok(length) = u16::try_from(length) {
        to.push(medium);
        to.extend(length.to_be_bytes());
    } else {
        let length = u32::try_from(length).map_err(|_| Unencodable)?;
        to.push(large);
        to.extend(length.to_be_bytes());
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::{collection::vec, prelude::*};
    use serde::{Deserialize, Serialize, de::IgnoredAny};
    use serde_bytes::ByteBuf;

    use super::*;

    fn encoded(value: impl Serialize) -> Vec<u8> {
        rmp_serde::to_vec(&value).unwrap()
    }

    /// A value of any type, encoded.
    pub(in crate::record) fn value() -> impl Strategy<Value = Vec<u8>> {
        let leaf = prop_oneof![
            any::<Option<bool>>().prop_map(encoded),
            any::<i64>().prop_map(encoded),
            any::<u64>().prop_map(encoded),
            any::<f32>().prop_map(encoded),
            any::<f64>().prop_map(encoded),
            any::<String>().prop_map(encoded),
            vec(any::<u8>(), 0..40).prop_map(|bytes| encoded(ByteBuf::from(bytes))),
            vec(any::<u8>(), 5).prop_map(|bytes| [&[0xd6], &bytes[..]].concat()),
            vec(any::<u8>(), 21).prop_map(|bytes| [&[0xc7, 20], &bytes[..]].concat()),
        ];
        leaf.prop_recursive(4, 8, 20, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..20).prop_map(|values| {
                    let mut bytes = Vec::new();
                    bytes.append_array(values.len()).unwrap();
                    [bytes, values.concat()].concat()
                }),
                vec((inner.clone(), inner), 0..20).prop_map(|pairs| {
                    let mut bytes = Vec::new();
                    bytes.append_map(pairs.len()).unwrap();
                    pairs
                        .into_iter()
                        .fold(bytes, |bytes, (name, value)| [bytes, name, value].concat())
                }),
            ]
        })
    }

    fn skipped(bytes: &[u8]) -> Result<usize, Damaged> {
        let mut reader = Reader::new(bytes);
        reader.skip()?;
        Ok(bytes.len() - reader.rest().len())
    }

    #[test]
    fn a_skipped_value_is_nested_sixteen_deep_at_most() {
        let nested = |depth: usize| [vec![0x91; depth], vec![NIL]].concat();
        assert_eq!(skipped(&nested(16)), Ok(17));
        assert_eq!(skipped(&nested(17)), Err(Damaged));
        assert_eq!(skipped(&nested(1_000_000)), Err(Damaged));
    }

    #[test]
    fn a_length_beyond_the_end_is_damaged() {
        for marker in [
            0xc4_u8, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf,
        ] {
            let bytes = [marker, 0xff, 0xff, 0xff, 0xff];
            assert_eq!(skipped(&bytes), Err(Damaged), "{marker:x}");
            assert!(Reader::new(&bytes).bin().is_err());
            assert!(Reader::new(&bytes).str().is_err());
        }
    }

    #[test]
    fn text_is_utf8() {
        assert_eq!(Reader::new(b"\xa1\xff").str(), Err(Damaged));
    }

    /// The number of bytes of a value that is read token by token.
    fn walked(bytes: &[u8]) -> Result<usize, Damaged> {
        let mut reader = Reader::new(bytes);
        let mut left = 1_u64;
        while left > 0 {
            left -= 1;
            left += match reader.token()? {
                Token::Array(elements) => elements.into(),
                Token::Map(pairs) => 2 * u64::from(pairs),
                _ => 0,
            };
        }
        Ok(bytes.len() - reader.rest().len())
    }

    #[test]
    fn extensions_of_every_length_come_back() {
        for length in [0, 1, 2, 3, 4, 5, 8, 9, 16, 17, 255, 256, 65_535, 65_536] {
            let payload = vec![7; length];
            let mut bytes = Vec::new();
            bytes.append_ext(2, &payload).unwrap();
            assert_eq!(Reader::new(&bytes).token(), Ok(Token::Ext(2, &payload)));
            assert_eq!(skipped(&bytes), Ok(bytes.len()));
            assert_eq!(Reader::new(&bytes[..bytes.len() - 1]).token(), Err(Damaged));
        }
    }

    proptest! {
        #[test]
        fn a_value_has_as_many_tokens_as_bytes(value in value(), behind: Vec<u8>) {
            let bytes = [&value[..], &behind].concat();
            prop_assert_eq!(walked(&bytes), Ok(value.len()));
        }

        #[test]
        fn scalars_are_written_as_another_writer_writes_them_and_read_back(
            number: i64,
            bits in 0..64,
            single: u32,
            double: u64,
            flag: bool,
        ) {
            let number = number >> bits;
            let mut bytes = Vec::new();
            bytes.append_int(number);
            prop_assert_eq!(&bytes, &encoded(number));
            prop_assert_eq!(Reader::new(&bytes).token(), Ok(Token::int(number)));

            let (single, double) = (f32::from_bits(single), f64::from_bits(double));
            let mut bytes = Vec::new();
            bytes.append_f32(single);
            bytes.append_f64(double);
            bytes.append_bool(flag);
            prop_assert_eq!(&bytes, &[encoded(single), encoded(double), encoded(flag)].concat());
            let mut reader = Reader::new(&bytes);
            let same = |token, expected: u64| match token {
                Ok(Token::F32(number)) => u64::from(number.to_bits()) == expected,
                Ok(Token::F64(number)) => number.to_bits() == expected,
                _ => false,
            };
            prop_assert!(same(reader.token(), single.to_bits().into()));
            prop_assert!(same(reader.token(), double.to_bits()));
            prop_assert_eq!(reader.token(), Ok(Token::Bool(flag)));
        }

        #[test]
        fn a_value_is_skipped_whole(value in value(), behind: Vec<u8>) {
            let bytes = [&value[..], &behind].concat();
            prop_assert_eq!(skipped(&bytes), Ok(value.len()));
        }

        #[test]
        fn bytes_are_skipped_as_another_reader_skips_them(bytes: Vec<u8>) {
            let mut other = rmp_serde::Deserializer::new(std::io::Cursor::new(&bytes));
            let found = IgnoredAny::deserialize(&mut other).map(|_| other.position() as usize);
            prop_assert_eq!(skipped(&bytes).ok(), found.ok());
        }

        #[test]
        fn numbers_are_written_as_another_writer_writes_them_and_read_back(number: u64, bits in 0..64) {
            let number = number >> bits;
            let mut bytes = Vec::new();
            bytes.append_uint(number);
            prop_assert_eq!(&bytes, &encoded(number));
            prop_assert_eq!(Reader::new(&bytes).uint(), Ok(number));
        }

        #[test]
        fn lengths_are_written_as_another_writer_writes_them_and_read_back(length in prop_oneof![0_usize..300, 65_000_usize..66_000]) {
            let text = "x".repeat(length);
            let mut bytes = Vec::new();
            bytes.append_str(&text).unwrap();
            prop_assert_eq!(&bytes, &encoded(&text));
            prop_assert_eq!(Reader::new(&bytes).str(), Ok(&*text));

            let mut bytes = Vec::new();
            bytes.append_bin(text.as_bytes()).unwrap();
            prop_assert_eq!(&bytes, &encoded(serde_bytes::Bytes::new(text.as_bytes())));
            prop_assert_eq!(Reader::new(&bytes).bin(), Ok(text.as_bytes()));

            let mut bytes = Vec::new();
            bytes.append_array(length).unwrap();
            prop_assert!(encoded(vec![(); length]).starts_with(&bytes));
            prop_assert_eq!(Reader::new(&bytes).array(), Ok(length as u32));

            let mut bytes = Vec::new();
            bytes.append_map(length).unwrap();
            prop_assert_eq!(Reader::new(&bytes).map(), Ok(length as u32));
        }
    }
}
