//! The encoding of the application's values: self-describing MessagePack.
//!
//! Every serializer and deserializer here says that it is human-readable. Serde reads tagged,
//! untagged and flattened types from a buffer that says the same. So an IP address is text for
//! both.
//!
//! Two extensions of MessagePack keep what its own types would lose:
//!
//! | type | payload | what it is |
//! |---|---|---|
//! | 1 | one value | `Some` around a value that is nil, or that is itself such a `Some` |
//! | 2 | bytes | a sequence or tuple of `u8`, where an array would be longer |
//!
//! A value that serde could not read back from its buffer is refused when it is encoded, wherever
//! it stands. The encoder cannot know how the value will be read. See `EncodeError`.

mod decode;
mod encode;

pub(crate) use self::{decode::decode, encode::encode};

/// The most levels of nesting that a value may have, when it is written and when it is read.
///
/// Each sequence, map, struct, variant with content, newtype and `Some` is one level, since both
/// sides recurse into it. All levels take less than 512 KiB of stack in a debug build.
pub(crate) const MAX_LEVELS: u8 = 128;

/// The type of the extension that is `Some` around its payload.
const SOME: u8 = 1;

/// The type of the extension that is a sequence of `u8`.
const OCTETS: u8 = 2;

#[cfg(test)]
mod tests;
