//! From bytes to a value.

use std::{fmt, slice};

use serde::{
    de::{
        self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess,
        Unexpected, VariantAccess, Visitor, value::BorrowedStrDeserializer,
    },
    forward_to_deserialize_any,
};

use super::{MAX_LEVELS, OCTETS, SOME};
use crate::record::msgpack::{Damaged, Reader, Token};

/// Why bytes are not a value of the requested type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DecodeError {
    OtherType,
    OutOfRange,
    OtherLength,
    MissingField,
    UnknownVariant,
    TooDeep,
    Damaged,
    /// The decoder's own message is dropped, since it may quote the value.
    Refused,
}

impl DecodeError {
    /// The reason as a text that holds nothing of the value.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::OtherType => "another type is stored",
            Self::OutOfRange => "a number is out of range",
            Self::OtherLength => "the number of elements or fields differs",
            Self::MissingField => "a field is missing",
            Self::UnknownVariant => "a variant is unknown",
            Self::TooDeep => "it is nested too deeply (128 levels at most)",
            Self::Damaged => "it is damaged",
            Self::Refused => "its `Deserialize` refused",
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Refused
    }

    fn invalid_type(_: Unexpected<'_>, _: &dyn de::Expected) -> Self {
        Self::OtherType
    }

    fn invalid_value(found: Unexpected<'_>, _: &dyn de::Expected) -> Self {
        match found {
            Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => {
                Self::OutOfRange
            }
            _ => Self::Refused,
        }
    }

    fn invalid_length(_: usize, _: &dyn de::Expected) -> Self {
        Self::OtherLength
    }

    fn unknown_variant(_: &str, _: &'static [&'static str]) -> Self {
        Self::UnknownVariant
    }

    fn missing_field(_: &'static str) -> Self {
        Self::MissingField
    }
}

impl From<Damaged> for DecodeError {
    fn from(_: Damaged) -> Self {
        Self::Damaged
    }
}

/// Decodes one value from all of `bytes`.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut decoder = Decoder {
        reader: Reader::new(bytes),
        levels: MAX_LEVELS,
    };
    let value = T::deserialize(&mut decoder)?;
    match decoder.reader.rest() {
        [] => Ok(value),
        _ => Err(DecodeError::Damaged),
    }
}

struct Decoder<'de> {
    reader: Reader<'de>,
    /// How many more levels are allowed.
    levels: u8,
}

impl<'de> Decoder<'de> {
    /// Reads a part that is one level deeper.
    fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let outer = self.levels;
        self.levels = outer.checked_sub(1).ok_or(DecodeError::TooDeep)?;
        let value = read(self)?;
        self.levels = outer;
        Ok(value)
    }

    /// A decoder for the payload of a `Some`, one level deeper.
    fn inside(&self, payload: &'de [u8]) -> Result<Decoder<'de>, DecodeError> {
        Ok(Decoder {
            reader: Reader::new(payload),
            levels: self.levels.checked_sub(1).ok_or(DecodeError::TooDeep)?,
        })
    }

    /// The next token, which stays unread.
    fn peek(&self) -> Result<Token<'de>, DecodeError> {
        Ok(Reader::new(self.reader.rest()).token()?)
    }

    fn some<V: Visitor<'de>>(
        &self,
        payload: &'de [u8],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let mut inside = self.inside(payload)?;
        let value = visitor.visit_some(&mut inside)?;
        match inside.reader.rest() {
            [] => Ok(value),
            _ => Err(DecodeError::Damaged),
        }
    }

    fn array<V: Visitor<'de>>(&mut self, left: u32, visitor: V) -> Result<V::Value, DecodeError> {
        self.nested(|decoder| {
            let mut parts = Parts { decoder, left };
            let value = visitor.visit_seq(&mut parts)?;
            parts.are_all_read().map(|()| value)
        })
    }

    /// Reads the elements of a sequence of `u8` whose bytes were already read.
    fn octets<V: Visitor<'de>>(&self, octets: &[u8], visitor: V) -> Result<V::Value, DecodeError> {
        let mut octets = Octets {
            left: octets.iter(),
            levels: self.levels.checked_sub(1).ok_or(DecodeError::TooDeep)?,
        };
        let value = visitor.visit_seq(&mut octets)?;
        match octets.left.len() {
            0 => Ok(value),
            _ => Err(DecodeError::OtherLength),
        }
    }

    fn map<V: Visitor<'de>>(&mut self, left: u32, visitor: V) -> Result<V::Value, DecodeError> {
        self.nested(|decoder| {
            let mut parts = Parts { decoder, left };
            let value = visitor.visit_map(&mut parts)?;
            parts.are_all_read().map(|()| value)
        })
    }
}

impl<'de> Deserializer<'de> for &mut Decoder<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.reader.token()? {
            Token::Nil => visitor.visit_unit(),
            Token::Bool(value) => visitor.visit_bool(value),
            Token::Uint(value) => visitor.visit_u64(value),
            Token::Int(value) => visitor.visit_i64(value),
            Token::F32(value) => visitor.visit_f32(value),
            Token::F64(value) => visitor.visit_f64(value),
            Token::Str(value) => visitor.visit_borrowed_str(value),
            Token::Bin(value) => visitor.visit_borrowed_bytes(value),
            Token::Array(length) => self.array(length, visitor),
            Token::Map(length) => self.map(length, visitor),
            Token::Ext(SOME, payload) => self.some(payload, visitor),
            Token::Ext(OCTETS, payload) => self.octets(payload, visitor),
            Token::Ext(..) => Err(DecodeError::Damaged),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.peek()? {
            Token::Nil => {
                self.reader.token()?;
                visitor.visit_none()
            }
            Token::Ext(SOME, payload) => {
                self.reader.token()?;
                self.some(payload, visitor)
            }
            _ => self.nested(|decoder| visitor.visit_some(decoder)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.nested(|decoder| visitor.visit_newtype_struct(decoder))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self.reader.token()? {
            Token::Str(variant) => visitor.visit_enum(BorrowedStrDeserializer::new(variant)),
            Token::Map(1) => self.nested(|decoder| visitor.visit_enum(Variant(decoder))),
            _ => Err(DecodeError::OtherType),
        }
    }

    /// A sequence of `u8` may be read as bytes, and bytes as a sequence: types change.
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.peek()? {
            Token::Ext(OCTETS, payload) => {
                self.reader.token()?;
                visitor.visit_borrowed_bytes(payload)
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.peek()? {
            Token::Bin(payload) => {
                self.reader.token()?;
                self.octets(payload, visitor)
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.reader.skip_within(self.levels)?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string
        unit unit_struct map struct identifier
    }
}

/// The elements of an array or the pairs of a map that are still unread.
struct Parts<'d, 'de> {
    decoder: &'d mut Decoder<'de>,
    left: u32,
}

impl Parts<'_, '_> {
    fn next(&mut self) -> bool {
        let is_next = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_next
    }

    fn are_all_read(&self) -> Result<(), DecodeError> {
        match self.left {
            0 => Ok(()),
            _ => Err(DecodeError::OtherLength),
        }
    }

    /// At most this many parts can follow, since each takes at least a byte.
    fn at_most(&self) -> Option<usize> {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        Some(left.min(self.decoder.reader.rest().len()))
    }
}

impl<'de> SeqAccess<'de> for Parts<'_, 'de> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        match self.next() {
            true => seed.deserialize(&mut *self.decoder).map(Some),
            false => Ok(None),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        self.at_most()
    }
}

impl<'de> MapAccess<'de> for Parts<'_, 'de> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DecodeError> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, DecodeError> {
        seed.deserialize(&mut *self.decoder)
    }

    fn size_hint(&self) -> Option<usize> {
        self.at_most()
    }
}

/// A variant with content: the only pair of a map.
struct Variant<'d, 'de>(&'d mut Decoder<'de>);

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Self), DecodeError> {
        Ok((seed.deserialize(&mut *self.0)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        match self.0.reader.token()? {
            Token::Nil => Ok(()),
            _ => Err(DecodeError::OtherType),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<T::Value, DecodeError> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.0.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.0.deserialize_any(visitor)
    }
}

/// The elements of a sequence of `u8` that are still unread.
struct Octets<'o> {
    left: slice::Iter<'o, u8>,
    levels: u8,
}

impl<'de> SeqAccess<'de> for Octets<'_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        let levels = self.levels;
        let octet = self.left.next().map(|&value| Octet { value, levels });
        octet.map(|octet| seed.deserialize(octet)).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}

/// One element of a sequence of `u8`.
struct Octet {
    value: u8,
    levels: u8,
}

impl Octet {
    fn nested(self) -> Result<Self, DecodeError> {
        let levels = self.levels.checked_sub(1).ok_or(DecodeError::TooDeep)?;
        Ok(Self { levels, ..self })
    }
}

impl<'de> Deserializer<'de> for Octet {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_u8(self.value)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_some(self.nested()?)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self.nested()?)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
