//! What the application put into a session, and how it is written down.

use std::{collections::BTreeMap, fmt};

use bytes::Bytes;
use serde::{Deserializer, Serialize, Serializer, de};

/// Values by name, each in MessagePack. Those that were read are parts of what was read: they are not copied, however
/// large they are and however often the session is.
pub(crate) type Data = BTreeMap<String, Bytes>;

/// As it is written.
pub(super) struct Written<'d>(pub(super) &'d Data);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let values = self.0.iter();
        serializer.collect_map(values.map(|(name, value)| (name, serde_bytes::Bytes::new(value))))
    }
}

/// Reads what is [`Written`] next in `source`, from which the deserializer borrows.
pub(super) fn read<'de, D: Deserializer<'de>>(
    deserializer: D,
    source: &Bytes,
) -> Result<Data, D::Error> {
    deserializer.deserialize_map(Parts { source })
}

struct Parts<'s> {
    source: &'s Bytes,
}

impl<'de> de::Visitor<'de> for Parts<'_> {
    type Value = Data;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("values by name")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Data, A::Error> {
        let mut data = Data::new();
        while let Some((name, value)) = map.next_entry::<String, &serde_bytes::Bytes>()? {
            data.insert(name, self.source.slice_ref(value));
        }
        Ok(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_a_part_of_the_source() {
        let value = Bytes::from(vec![7; 300]);
        let data = Data::from([("empty".into(), Bytes::new()), ("value".into(), value)]);
        let source = Bytes::from(rmp_serde::to_vec(&Written(&data)).unwrap());
        let mut deserializer = rmp_serde::Deserializer::from_read_ref(&source);
        let found = read(&mut deserializer, &source).unwrap();
        assert_eq!(found, data);
        let range = source.as_ptr_range();
        assert!(range.contains(&found["value"].as_ptr()));
    }

    #[test]
    fn s135_what_is_no_map_of_bytes_is_refused() {
        for source in [
            &[0x81, 0xa1, b'n', 0x01][..],
            &[0x81, 0x01, 0xc4, 0],
            &[0x90],
            &[],
        ] {
            let source = Bytes::copy_from_slice(source);
            let mut deserializer = rmp_serde::Deserializer::from_read_ref(&source);
            assert!(read(&mut deserializer, &source).is_err(), "{source:?}");
        }
    }
}
