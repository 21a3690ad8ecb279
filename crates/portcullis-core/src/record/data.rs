//! The application's data, and its encoding: a map from names to binary.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    Unencodable,
    msgpack::{Append, Damaged, Reader},
};

/// Encoded values by name, each in MessagePack. Values that were read are slices of the record's
/// bytes, so they are never copied.
pub(crate) type Data = BTreeMap<String, Bytes>;

pub(super) fn write(data: &Data, out: &mut Vec<u8>) -> Result<(), Unencodable> {
    out.append_map(data.len())?;
    data.iter().try_for_each(|(name, value)| {
        out.append_str(name)?;
        out.append_bin(value)
    })
}

/// Reads the next map of `source`, from which the reader borrows. A name that occurs twice is
/// damage.
pub(super) fn read(reader: &mut Reader<'_>, source: &Bytes) -> Result<Data, Damaged> {
    let mut data = Data::new();
    for _ in 0..reader.map()? {
        let name = reader.str()?.to_owned();
        let value = source.slice_ref(reader.bin()?);
        if data.insert(name, value).is_some() {
            return Err(Damaged);
        }
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_read_are_slices_of_the_source() {
        let value = Bytes::from(vec![7; 300]);
        let data = Data::from([("empty".into(), Bytes::new()), ("value".into(), value)]);
        let mut source = Vec::new();
        write(&data, &mut source).unwrap();
        let source = Bytes::from(source);
        let found = read(&mut Reader::new(&source), &source).unwrap();
        assert_eq!(found, data);
        let range = source.as_ptr_range();
        assert!(range.contains(&found["value"].as_ptr()));
    }

    #[test]
    fn s135_anything_but_a_map_of_bytes_is_refused() {
        for source in [
            // A number as a value, a number as a name, text as a value, the same name twice.
            &[0x81, 0xa1, b'n', 0x01][..],
            &[0x81, 0x01, 0xc4, 0],
            &[0x81, 0xa1, b'n', 0xa1, b'v'],
            &[0x82, 0xa1, b'n', 0xc4, 0, 0xa1, b'n', 0xc4, 0],
            &[0x90],
            &[],
        ] {
            let source = Bytes::copy_from_slice(source);
            let found = read(&mut Reader::new(&source), &source);
            assert_eq!(found, Err(Damaged), "{source:?}");
        }
    }
}
