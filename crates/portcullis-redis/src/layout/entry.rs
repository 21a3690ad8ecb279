//! How lists hold a session. `lua/prelude.lua` has the same layout.
//!
//! An entry is the kind, the class, the digest of the key and the name. An entry of a session that
//! an identity provider began also has the tag of the provider. The list of a user holds entries.
//! The list of a bucket holds members: a code, the entry, the absolute deadline in hexadecimal, and
//! the user.

use bytes::Bytes;
use portcullis_core::{
    Bucket, ClassCode, SessionHandle, SessionIdHash, SessionMeta, Source, UserId,
};

use super::record::name_of;

const DIGEST: usize = 16;
const NAME: usize = 12;
const TAG: usize = 16;
const DEADLINE: usize = 11;

/// A session in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: SessionIdHash,
    pub(crate) handle: SessionHandle,
    pub(crate) class: ClassCode,
    pub(crate) source: Source,
}

impl Entry {
    pub(crate) fn of(key: &SessionIdHash, meta: &SessionMeta) -> Self {
        Self {
            key: *key,
            handle: meta.handle,
            class: meta.class,
            source: meta.source,
        }
    }

    /// The entry as lists and scripts have it.
    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(2 + DIGEST + NAME + TAG);
        bytes.push(match self.source {
            Source::Local => b'l',
            Source::Federated(_) => b'f',
        });
        // One of `0-9` and `a-z`.
        bytes.extend(u8::try_from(self.class.as_char()));
        bytes.extend_from_slice(self.key.digest());
        bytes.extend_from_slice(self.handle.as_bytes());
        if let Source::Federated(tag) = &self.source {
            bytes.extend_from_slice(tag);
        }
        bytes.into()
    }

    /// Parses an entry of a list of this bucket. `None` for an entry of a later version.
    pub(crate) fn parse(bucket: Bucket, bytes: &[u8]) -> Option<Self> {
        let (entry, rest) = Self::split(bucket, bytes)?;
        rest.is_empty().then_some(entry)
    }

    /// The entry at the beginning of these bytes, and the rest.
    fn split(bucket: Bucket, bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (&[kind, class], rest) = bytes.split_first_chunk()?;
        let (digest, rest) = rest.split_first_chunk::<DIGEST>()?;
        let (name, rest) = rest.split_at_checked(NAME)?;
        let (source, rest) = match kind {
            b'l' => (Source::Local, rest),
            b'f' => {
                let (tag, rest) = rest.split_first_chunk::<TAG>()?;
                (Source::Federated(*tag), rest)
            }
            _ => return None,
        };
        let entry = Self {
            key: SessionIdHash::from_parts(bucket, *digest),
            handle: name_of(name)?,
            class: ClassCode::from_char(char::from(class))?,
            source,
        };
        Some((entry, rest))
    }
}

/// A session in the list of a bucket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) entry: Entry,
    pub(crate) user: Option<UserId>,
}

impl Member {
    /// `None` for a member of a later version.
    pub(crate) fn parse(bucket: Bucket, bytes: &[u8]) -> Option<Self> {
        let (b's' | b'e', rest) = bytes.split_first()? else {
            return None;
        };
        let (entry, rest) = Entry::split(bucket, rest)?;
        let (_deadline, user) = rest.split_at_checked(DEADLINE)?;
        Some(Self {
            entry,
            user: (!user.is_empty()).then(|| UserId::from(user)),
        })
    }
}

/// The digest of a session's key in a reply.
pub(crate) fn digest_of(bytes: &[u8]) -> Option<[u8; DIGEST]> {
    bytes.try_into().ok()
}

/// The public names in a reply.
pub(crate) fn names_of(list: &[Bytes]) -> Vec<SessionHandle> {
    list.iter().filter_map(|name| name_of(name)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    fn entry(source: Source) -> Entry {
        let bucket = Bucket::from_number(5).unwrap();
        Entry {
            key: SessionIdHash::from_parts(bucket, [7; 16]),
            handle: SessionHandle::from_bytes([9; 12]),
            class: ClassCode::from_char('a').unwrap(),
            source,
        }
    }

    #[test]
    fn an_entry_is_parsed_unless_it_is_cut_short_or_of_another_kind() {
        for source in [Source::Local, Source::Federated([3; 16])] {
            let entry = entry(source);
            let (bytes, bucket) = (entry.encode(), entry.key.bucket());
            assert_eq!(Entry::parse(bucket, &bytes), Some(entry));
            for length in 0..bytes.len() {
                assert_eq!(Entry::parse(bucket, &bytes[..length]), None);
            }
            let mut later = bytes.to_vec();
            later[0] = b'z';
            assert_eq!(Entry::parse(bucket, &later), None);
            assert_eq!(Entry::parse(bucket, &[&bytes[..], b"x"].concat()), None);
        }
    }

    #[test]
    fn a_member_that_is_cut_short_is_none() {
        for source in [Source::Local, Source::Federated([3; 16])] {
            let entry = entry(source);
            let bucket = entry.key.bucket();
            let mut bytes = [b"s", &entry.encode()[..], b"0019a000000"].concat();
            for length in 0..bytes.len() {
                assert_eq!(Member::parse(bucket, &bytes[..length]), None);
            }
            let member = |user| Member {
                entry: entry.clone(),
                user,
            };
            assert_eq!(Member::parse(bucket, &bytes), Some(member(None)));
            bytes.extend_from_slice(b"a\0b");
            let user = Some(UserId::from("a\0b"));
            assert_eq!(Member::parse(bucket, &bytes), Some(member(user)));
            bytes[0] = b'x';
            assert_eq!(Member::parse(bucket, &bytes), None);
        }
    }
}
