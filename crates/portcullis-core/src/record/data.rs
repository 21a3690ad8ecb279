//! What the application put into a session, and how it is written down: a map from names to binary.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    Unencodable,
    msgpack::{Append, Damaged, Reader},
};

/// Values by name, each in MessagePack. Those that were read are parts of what was read: they are not copied, however
/// large they are and however often the session is.
pub(crate) type Data = BTreeMap<String, Bytes>;

pub(super) fn write(data: &Data, out: &mut Vec<u8>) -> Result<(), Unencodable> {
    out.append_map(data.len())?;
    data.iter().try_for_each(|(name, value)| {
        out.append_str(name)?;
        out.append_bin(value)
    })
}

/// Reads what is next in `source`, from which the reader borrows. A name that comes twice is damage.
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
    fn what_is_read_is_a_part_of_the_source() {
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
    fn s135_what_is_no_map_of_bytes_is_refused() {
        for source in [
            // A number for a value, a number for a name, text for a value, the same name twice.
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
