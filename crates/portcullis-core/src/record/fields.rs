//! Maps from small integers to values, in any order. Later versions may add fields.
//!
//! A field that this version does not know is kept as it was written, and is written again with the
//! known ones. So a server of an older version may rewrite what a newer one wrote, and nothing is
//! lost.

use std::fmt;

use super::{
    Unencodable,
    msgpack::{Append, Damaged, Reader},
};

/// Keys are smaller than this, so each takes one byte.
const KEYS: u8 = 128;

/// How many bytes of unknown fields a head may hold in all. With more, the record counts as that of
/// a newer version and is not changed.
pub(super) const MOST_UNKNOWN: usize = 4096;

/// The fields of a map that this version does not know, as they were written. Usually there are
/// none.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Unknown(Option<Box<Fields>>);

#[derive(Clone, Default, PartialEq, Eq)]
struct Fields {
    number: u8,
    bytes: Vec<u8>,
}

impl Unknown {
    /// A reader at the value of this field, if it is among them.
    pub(super) fn find(&self, wanted: u8) -> Option<Reader<'_>> {
        let mut reader = Reader::new(&self.0.as_ref()?.bytes);
        while let Some((&key, value)) = reader.rest().split_first() {
            reader = Reader::new(value);
            if key == wanted {
                return Some(reader);
            }
            reader.skip().ok()?;
        }
        None
    }

    /// Their size in bytes.
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |fields| fields.bytes.len())
    }

    fn push(&mut self, field: &[u8]) {
        let fields = self.0.get_or_insert_default();
        fields.number += 1;
        fields.bytes.extend_from_slice(field);
    }
}

/// Shows their number and nothing of their content.
impl fmt::Debug for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.0.as_ref().map_or(0, |fields| fields.number);
        write!(f, "Unknown({number})")
    }
}

/// Whether a field is known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    /// It is known, and its value was read.
    Known,
    /// It is unknown, and nothing was read.
    Unknown,
}

/// Reads a map. `read_value` receives each key, and the reader at its value.
///
/// A key that occurs twice is damage, whether it is known or not.
pub(crate) fn read<'b>(
    reader: &mut Reader<'b>,
    mut read_value: impl FnMut(u8, &mut Reader<'b>) -> Result<Field, Damaged>,
) -> Result<Unknown, Damaged> {
    let mut unknown = Unknown::default();
    let mut seen = 0_u128;
    for _ in 0..reader.map()? {
        let field = reader.rest();
        let (&key, value) = field.split_first().ok_or(Damaged)?;
        if key >= KEYS || seen & (1 << key) != 0 {
            return Err(Damaged);
        }
        seen |= 1 << key;
        *reader = Reader::new(value);
        if read_value(key, reader)? == Field::Unknown {
            reader.skip()?;
            let length = field.len() - reader.rest().len();
            unknown.push(field.get(..length).ok_or(Damaged)?);
        }
    }
    Ok(unknown)
}

/// Writes a map.
pub(crate) struct Writer<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    fields: u8,
}

impl<'o> Writer<'o> {
    /// Appends a map to `out`.
    pub(crate) fn new(out: &'o mut Vec<u8>) -> Self {
        let start = out.len();
        // The number of fields is not known yet. Usually it fits into this byte.
        out.push(0);
        Self {
            out,
            start,
            fields: 0,
        }
    }

    /// Begins a field. The caller appends its value, and nothing else.
    pub(crate) fn field(&mut self, key: u8) -> &mut Vec<u8> {
        self.fields += 1;
        self.out.push(key);
        self.out
    }

    /// Ends the map with the fields that were unknown when it was read.
    pub(crate) fn finish(self, unknown: &Unknown) -> Result<(), Unencodable> {
        let mut number = usize::from(self.fields);
        if let Some(unknown) = &unknown.0 {
            self.out.extend_from_slice(&unknown.bytes);
            number += usize::from(unknown.number);
        }
        self.out.replace_by_map(self.start, number)
    }
}
