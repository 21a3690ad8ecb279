//! Answers to commands of Redis.

use bytes::Bytes;
use fred::prelude::Value;

/// The result of a `GET`.
#[derive(Debug)]
pub(crate) enum Fetched {
    Value(Bytes),
    Nothing,
    /// The key holds a value of another type than string.
    OtherType,
}

/// The answer to a command.
#[derive(Debug)]
pub(crate) struct Answer(pub(super) Value);

impl Answer {
    /// The bytes, if the answer has any.
    pub(crate) fn bytes(self) -> Option<Bytes> {
        bytes(self.0)
    }

    /// A list of bytes, with `None` for each absent item.
    pub(crate) fn list(self) -> Vec<Option<Bytes>> {
        match self.0 {
            Value::Array(items) => items.into_iter().map(bytes).collect(),
            _ => Vec::new(),
        }
    }

    /// The fields of a hash with their values, in either version of the protocol.
    pub(crate) fn pairs(self) -> Vec<(Bytes, Bytes)> {
        let mut parts = match self.0 {
            Value::Map(map) => {
                let fields = map.inner().into_iter();
                let pairs = fields.map(|(field, value)| {
                    let field = Bytes::copy_from_slice(field.as_bytes());
                    Some((field, bytes(value)?))
                });
                return pairs.flatten().collect();
            }
            Value::Array(items) => items.into_iter().filter_map(bytes),
            _ => return Vec::new(),
        };
        let mut pairs = Vec::new();
        while let (Some(field), Some(value)) = (parts.next(), parts.next()) {
            pairs.push((field, value));
        }
        pairs
    }

    /// The entries of a stream: the number of each and its fields.
    pub(crate) fn entries(self) -> Vec<(Bytes, Vec<Bytes>)> {
        let Value::Array(items) = self.0 else {
            return Vec::new();
        };
        let entry = |item| {
            let Value::Array(parts) = item else {
                return None;
            };
            let mut parts = parts.into_iter();
            let number = bytes(parts.next()?)?;
            let Value::Array(fields) = parts.next()? else {
                return None;
            };
            Some((number, fields.into_iter().filter_map(bytes).collect()))
        };
        items.into_iter().filter_map(entry).collect()
    }
}

/// The bytes of a string or a status.
pub(super) fn bytes(value: Value) -> Option<Bytes> {
    match value {
        Value::Bytes(bytes) => Some(bytes),
        Value::String(text) => Some(text.into_inner()),
        _ => None,
    }
}
