//! From a value to bytes.

use std::{fmt, ops::Range};

use serde::{Serialize, ser};

use super::{MAX_LEVELS, OCTETS, SOME};
use crate::record::{
    Unencodable,
    msgpack::{Append, Reader, Token},
};

/// Maps with at most this many keys are compared pair by pair.
const FEW_KEYS: usize = 8;

/// Why a value cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EncodeError {
    /// The encoder's own message is dropped, since it may quote the value.
    Refused,
    TooDeep,
    /// Serde's buffer cannot hold such integers.
    WideInteger,
    /// A derived `Deserialize` refuses a field that occurs twice, and so does a tag.
    RepeatedKey,
    /// A derived `Deserialize` of a struct with a flattened field reads every key as a field name.
    FlattenedKey,
    TooLong,
}

impl EncodeError {
    /// The reason as a text that holds nothing of the value.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Refused => "its `Serialize` refused",
            Self::TooDeep => "it is nested too deeply (128 levels at most)",
            Self::WideInteger => {
                "an integer in it has 128 bits, which serde cannot read back everywhere; store it as text"
            }
            Self::RepeatedKey => "a map or struct in it has one key twice, perhaps a flattened one",
            Self::FlattenedKey => {
                "a map in it that is flattened, or of unknown length, has a key that is neither text nor number nor boolean"
            }
            Self::TooLong => "a part of it is larger than 4 GiB",
        }
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for EncodeError {}

impl ser::Error for EncodeError {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Refused
    }
}

impl From<Unencodable> for EncodeError {
    fn from(_: Unencodable) -> Self {
        Self::TooLong
    }
}

/// Encodes a value so that it can be decoded as its own type by every way that serde has, or
/// refuses it.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let mut encoder = Encoder {
        out: Vec::with_capacity(128),
        levels: MAX_LEVELS,
        is_octet: false,
        keys: Vec::new(),
    };
    value.serialize(&mut encoder)?;
    Ok(encoder.out)
}

struct Encoder {
    out: Vec<u8>,
    /// How many more levels are allowed.
    levels: u8,
    /// Whether the last value written is one `u8`.
    is_octet: bool,
    /// The keys of the maps that are being written. The innermost map's keys are last.
    keys: Vec<Range<usize>>,
}

impl Encoder {
    fn descend(&mut self) -> Result<(), EncodeError> {
        self.levels = self.levels.checked_sub(1).ok_or(EncodeError::TooDeep)?;
        Ok(())
    }

    /// Writes a value one level deeper, with nothing around it.
    fn nested<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        let outer = self.levels;
        self.descend()?;
        value.serialize(&mut *self)?;
        self.levels = outer;
        Ok(())
    }

    /// Begins a variant. The caller then writes its content.
    fn variant(&mut self, name: &str) -> Result<(), EncodeError> {
        self.descend()?;
        self.out.append_map(1)?;
        self.out.append_str(name)?;
        Ok(())
    }

    fn items(&mut self, length: Option<usize>, outer: u8) -> Result<Items<'_>, EncodeError> {
        self.descend()?;
        let start = self.out.len();
        let announced = length.unwrap_or(0);
        self.out.append_array(announced)?;
        Ok(Items {
            body: self.out.len(),
            encoder: self,
            outer,
            start,
            announced,
            count: 0,
            are_octets: true,
        })
    }

    fn pairs(&mut self, length: Option<usize>, outer: u8) -> Result<Pairs<'_>, EncodeError> {
        self.descend()?;
        let start = self.out.len();
        let announced = length.unwrap_or(0);
        self.out.append_map(announced)?;
        Ok(Pairs {
            body: self.out.len(),
            first_key: self.keys.len(),
            encoder: self,
            outer,
            start,
            announced,
            may_be_flattened: length.is_none(),
            count: 0,
        })
    }

    /// Whether a key occurs twice among those from number `first` on.
    fn repeats_key_from(&mut self, first: usize) -> bool {
        let Self { out, keys, .. } = self;
        let keys = keys.get_mut(first..).unwrap_or_default();
        let key = |range: &Range<usize>| out.get(range.clone()).unwrap_or_default();
        if keys.len() <= FEW_KEYS {
            let mut rest = &*keys;
            while let Some((one, others)) = rest.split_first() {
                if others.iter().any(|other| key(one) == key(other)) {
                    return true;
                }
                rest = others;
            }
            return false;
        }
        keys.sort_unstable_by(|one, other| key(one).cmp(key(other)));
        !keys.is_sorted_by(|one, other| key(one) < key(other))
    }
}

/// A sequence or tuple that is being written.
struct Items<'e> {
    encoder: &'e mut Encoder,
    /// How many levels are around it.
    outer: u8,
    start: usize,
    body: usize,
    announced: usize,
    count: usize,
    are_octets: bool,
}

impl Items<'_> {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.encoder.is_octet = false;
        value.serialize(&mut *self.encoder)?;
        self.are_octets &= self.encoder.is_octet;
        self.count += 1;
        Ok(())
    }

    fn finish(self) -> Result<(), EncodeError> {
        let out = &mut self.encoder.out;
        if self.are_octets && self.count > 0 {
            let array = out.len() - self.start;
            let body = out.get(self.body..).unwrap_or_default();
            // The marker, the length unless it is one of a few, and the type.
            let header = match self.count {
                1 | 2 | 4 | 8 | 16 => 2,
                0..=0xff => 3,
                0x100..=0xffff => 4,
                _ => 6,
            };
            if header + self.count < array {
                let octets = octets_of(body, self.count);
                out.truncate(self.start);
                out.append_ext(OCTETS, &octets)?;
                self.encoder.is_octet = false;
                self.encoder.levels = self.outer;
                return Ok(());
            }
        }
        if self.count != self.announced {
            let mut header = Vec::new();
            header.append_array(self.count)?;
            out.splice(self.start..self.body, header);
        }
        self.encoder.is_octet = false;
        self.encoder.levels = self.outer;
        Ok(())
    }
}

/// The octets that `body` holds as integers.
fn octets_of(body: &[u8], count: usize) -> Vec<u8> {
    let mut octets = Vec::with_capacity(count);
    let mut body = body.iter();
    while let Some(&first) = body.next() {
        // From 128 on, an integer has a marker before it.
        octets.push(match first {
            0..=0x7f => first,
            _ => body.next().copied().unwrap_or_default(),
        });
    }
    octets
}

/// A map or struct that is being written.
struct Pairs<'e> {
    encoder: &'e mut Encoder,
    /// How many levels are around it.
    outer: u8,
    start: usize,
    body: usize,
    announced: usize,
    count: usize,
    first_key: usize,
    /// Whether it may be a struct with a flattened field, which announces no length.
    may_be_flattened: bool,
}

impl Pairs<'_> {
    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        let start = self.encoder.out.len();
        key.serialize(&mut *self.encoder)?;
        let range = start..self.encoder.out.len();
        if self.may_be_flattened {
            let written = self.encoder.out.get(range.clone()).unwrap_or_default();
            match Reader::new(written).token() {
                Ok(
                    Token::Str(_)
                    | Token::Uint(_)
                    | Token::Int(_)
                    | Token::F32(_)
                    | Token::F64(_)
                    | Token::Bool(_),
                ) => {}
                _ => return Err(EncodeError::FlattenedKey),
            }
        }
        self.encoder.keys.push(range);
        Ok(())
    }

    fn name(&mut self, name: &str) -> Result<(), EncodeError> {
        let start = self.encoder.out.len();
        self.encoder.out.append_str(name)?;
        self.encoder.keys.push(start..self.encoder.out.len());
        Ok(())
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        value.serialize(&mut *self.encoder)?;
        self.count += 1;
        Ok(())
    }

    fn finish(self) -> Result<(), EncodeError> {
        if self.encoder.repeats_key_from(self.first_key) {
            return Err(EncodeError::RepeatedKey);
        }
        self.encoder.keys.truncate(self.first_key);
        if self.count != self.announced {
            let mut header = Vec::new();
            header.append_map(self.count)?;
            self.encoder.out.splice(self.start..self.body, header);
        }
        self.encoder.is_octet = false;
        self.encoder.levels = self.outer;
        Ok(())
    }
}

/// Writes scalars, each in one call.
macro_rules! append {
    ($($method:ident($type:ty) => $append:ident;)*) => {
        $(fn $method(self, value: $type) -> Result<(), EncodeError> {
            self.out.$append(value.into());
            Ok(())
        })*
    };
}

impl<'e> ser::Serializer for &'e mut Encoder {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Items<'e>;
    type SerializeTuple = Items<'e>;
    type SerializeTupleStruct = Items<'e>;
    type SerializeTupleVariant = Items<'e>;
    type SerializeMap = Pairs<'e>;
    type SerializeStruct = Pairs<'e>;
    type SerializeStructVariant = Pairs<'e>;

    append! {
        serialize_i8(i8) => append_int;
        serialize_i16(i16) => append_int;
        serialize_i32(i32) => append_int;
        serialize_i64(i64) => append_int;
        serialize_u16(u16) => append_uint;
        serialize_u32(u32) => append_uint;
        serialize_u64(u64) => append_uint;
    }

    fn serialize_u8(self, value: u8) -> Result<(), EncodeError> {
        self.out.append_uint(value.into());
        self.is_octet = true;
        Ok(())
    }

    fn serialize_i128(self, _: i128) -> Result<(), EncodeError> {
        Err(EncodeError::WideInteger)
    }

    fn serialize_u128(self, _: u128) -> Result<(), EncodeError> {
        Err(EncodeError::WideInteger)
    }

    fn serialize_bool(self, value: bool) -> Result<(), EncodeError> {
        self.out.append_bool(value);
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), EncodeError> {
        self.out.append_f32(value);
        Ok(())
    }

    fn serialize_f64(self, value: f64) -> Result<(), EncodeError> {
        self.out.append_f64(value);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), EncodeError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), EncodeError> {
        Ok(self.out.append_str(value)?)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), EncodeError> {
        Ok(self.out.append_bin(value)?)
    }

    fn serialize_none(self) -> Result<(), EncodeError> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        let start = self.out.len();
        self.nested(value)?;
        let written = self.out.get(start..).unwrap_or_default();
        if let Ok(Token::Nil | Token::Ext(SOME, _)) = Reader::new(written).token() {
            let written = self.out.split_off(start);
            self.out.append_ext(SOME, &written)?;
        }
        Ok(())
    }

    fn serialize_unit(self) -> Result<(), EncodeError> {
        self.out.append_nil();
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), EncodeError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), EncodeError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        self.nested(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        let outer = self.levels;
        self.variant(variant)?;
        value.serialize(&mut *self)?;
        self.is_octet = false;
        self.levels = outer;
        Ok(())
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Items<'e>, EncodeError> {
        let outer = self.levels;
        self.items(length, outer)
    }

    fn serialize_tuple(self, length: usize) -> Result<Items<'e>, EncodeError> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        length: usize,
    ) -> Result<Items<'e>, EncodeError> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Items<'e>, EncodeError> {
        let outer = self.levels;
        self.variant(variant)?;
        self.items(Some(length), outer)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Pairs<'e>, EncodeError> {
        let outer = self.levels;
        self.pairs(length, outer)
    }

    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Pairs<'e>, EncodeError> {
        self.serialize_map(Some(length))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Pairs<'e>, EncodeError> {
        let outer = self.levels;
        self.variant(variant)?;
        self.pairs(Some(length), outer)
    }
}

macro_rules! items {
    ($($trait:ident::$push:ident;)*) => {
        $(impl ser::$trait for Items<'_> {
            type Ok = ();
            type Error = EncodeError;

            fn $push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
                self.push(value)
            }

            fn end(self) -> Result<(), EncodeError> {
                self.finish()
            }
        })*
    };
}

items! {
    SerializeSeq::serialize_element;
    SerializeTuple::serialize_element;
    SerializeTupleStruct::serialize_field;
    SerializeTupleVariant::serialize_field;
}

impl ser::SerializeMap for Pairs<'_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        self.key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.value(value)
    }

    fn end(self) -> Result<(), EncodeError> {
        self.finish()
    }
}

macro_rules! fields {
    ($($trait:ident)*) => {
        $(impl ser::$trait for Pairs<'_> {
            type Ok = ();
            type Error = EncodeError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), EncodeError> {
                self.name(name)?;
                self.value(value)
            }

            fn end(self) -> Result<(), EncodeError> {
                self.finish()
            }
        })*
    };
}

fields!(SerializeStruct SerializeStructVariant);
