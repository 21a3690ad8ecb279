use std::{
    collections::{BTreeMap, HashMap},
    fmt::Debug,
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned, ser::SerializeMap};
use serde_bytes::ByteBuf;

use super::{decode::DecodeError, encode::EncodeError, *};

mod levels;
mod model;

/// The ways in which serde reads a value.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged<T> {
    It(T),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged<T> {
    It { it: T },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "it")]
enum Adjacent<T> {
    It(T),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Field<T> {
    it: T,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Flattened<T> {
    n: u8,
    #[serde(flatten)]
    rest: T,
}

fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T) {
    let bytes = encode(&value).unwrap();
    assert_eq!(decode::<T>(&bytes), Ok(value), "{bytes:x?}");
}

fn comes_back_everywhere<T>(value: T)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug + Clone,
{
    comes_back(value.clone());
    comes_back(Untagged::It(value.clone()));
    comes_back(Tagged::It { it: value.clone() });
    comes_back(Adjacent::It(value.clone()));
    comes_back(Untagged::It(Adjacent::It(value.clone())));
    let rest = Field { it: value };
    comes_back(Flattened { n: 1, rest });
}

fn is_refused<T: Serialize>(value: T, why: EncodeError) {
    assert_eq!(encode(&value), Err(why));
}

#[test]
fn addresses_and_times_come_back_from_every_kind_of_type() {
    for address in ["192.0.2.1", "2001:db8::1"] {
        let address: IpAddr = address.parse().unwrap();
        comes_back_everywhere(address);
        comes_back_everywhere(SocketAddr::new(address, 443));
        comes_back_everywhere(BTreeMap::from([(address, 7)]));
    }
    comes_back_everywhere(SystemTime::UNIX_EPOCH + Duration::new(1, 2));
    comes_back_everywhere(std::path::PathBuf::from("/a"));
}

#[test]
fn an_option_of_an_option_comes_back_as_it_was() {
    comes_back_everywhere([None, Some(None), Some(Some(())), Some(Some(()))]);
    comes_back_everywhere([Some(Some(None)), Some(None), None, Some(Some(Some(3_u8)))]);
    comes_back_everywhere(vec![Some(()), None]);
    comes_back_everywhere(Some(Untagged::It(())).map(|_| Some(())));
}

#[test]
fn an_integer_of_128_bits_is_refused_since_it_could_be_in_a_tagged_type() {
    is_refused(1_u128, EncodeError::WideInteger);
    is_refused(Untagged::It(1_i128), EncodeError::WideInteger);
    is_refused(Tagged::It { it: Some(1_u128) }, EncodeError::WideInteger);
}

#[test]
fn a_sequence_of_u8_takes_a_byte_for_each() {
    for length in [1, 2, 3, 4, 8, 15, 16, 17, 255, 256, 65_535, 65_536] {
        for octet in [0_u8, 127, 128, 255] {
            let octets = vec![octet; length];
            assert!(encode(&octets).unwrap().len() <= length + 6);
            comes_back_everywhere(octets);
        }
    }
    comes_back_everywhere([[255_u8; 32]; 2]);
    comes_back_everywhere((200_u8, 255_u8, Some(255_u8)));
    comes_back_everywhere(vec![Some(Some(255_u8)); 9]);
    comes_back_everywhere(vec![Some(255_u8), None, Some(255)]);
    comes_back_everywhere(vec![std::num::Wrapping(255_u8); 40]);
    comes_back_everywhere(vec![255_u16; 40]);
    comes_back_everywhere(vec![(255_u8, 255_u8, 255_u8, 255_u8); 40]);
}

#[test]
fn bytes_and_sequences_of_u8_are_read_as_each_other() {
    let octets = vec![255_u8; 40];
    let bytes = encode(&octets).unwrap();
    assert_eq!(decode(&bytes), Ok(ByteBuf::from(octets.clone())));
    let bytes = encode(&ByteBuf::from(octets.clone())).unwrap();
    assert_eq!(decode(&bytes), Ok(octets));
}

#[test]
fn a_key_that_occurs_twice_is_refused() {
    let rest = BTreeMap::from([("n", 1)]);
    is_refused(Flattened { n: 1, rest }, EncodeError::RepeatedKey);

    #[derive(Serialize)]
    #[serde(tag = "kind")]
    enum Newtype {
        It(HashMap<&'static str, u8>),
    }
    let tagged = |name| Newtype::It(HashMap::from([(name, 1)]));
    is_refused(tagged("kind"), EncodeError::RepeatedKey);
    encode(&tagged("other")).unwrap();

    let many = |last: u32| {
        let keys = (0..100).chain([last]);
        Flattened {
            n: 1,
            rest: Pairs(keys.collect(), None),
        }
    };
    is_refused(many(50), EncodeError::RepeatedKey);
    encode(&many(100)).unwrap();
}

#[test]
fn a_key_that_no_flattened_map_can_have_is_refused() {
    let rest = BTreeMap::from([((1, 2), 3)]);
    is_refused(Flattened { n: 1, rest: &rest }, EncodeError::FlattenedKey);
    comes_back(rest);
    for key in [-1, 1] {
        let rest = BTreeMap::from([(key, 3)]);
        comes_back(Flattened { n: 1, rest });
    }
}

/// A map with these keys that announces that length.
struct Pairs(Vec<u32>, Option<usize>);

impl Serialize for Pairs {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(self.1)?;
        self.0
            .iter()
            .try_for_each(|key| map.serialize_entry(key, key))?;
        map.end()
    }
}

#[test]
fn a_length_that_was_announced_wrongly_is_corrected() {
    for length in [0, 1, 15, 16, 70_000] {
        for announced in [None, Some(0), Some(1), Some(16), Some(100_000)] {
            let keys: Vec<u32> = (0..length).collect();
            let bytes = encode(&Pairs(keys.clone(), announced)).unwrap();
            let read: BTreeMap<u32, u32> = decode(&bytes).unwrap();
            assert!(read.into_keys().eq(keys));
        }
    }
}

#[test]
fn a_value_of_another_type_is_refused_with_the_reason() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Two {
        it: u8,
        other: u8,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    enum One {
        It,
    }
    let read = |bytes: Vec<u8>| decode::<u8>(&bytes).unwrap_err();
    assert_eq!(read(encode("text").unwrap()), DecodeError::OtherType);
    assert_eq!(read(encode(&300).unwrap()), DecodeError::OutOfRange);
    assert_eq!(read(vec![1, 2]), DecodeError::Damaged);
    assert_eq!(read(vec![]), DecodeError::Damaged);
    let field = encode(&Field { it: 1 }).unwrap();
    assert_eq!(decode::<Two>(&field), Err(DecodeError::MissingField));
    let variant = encode("Other").unwrap();
    assert_eq!(decode::<One>(&variant), Err(DecodeError::UnknownVariant));
    for length in [1, 3, 40] {
        for octet in [1_u8, 255] {
            let items = encode(&vec![octet; length]).unwrap();
            assert_eq!(decode::<(u8, u8)>(&items), Err(DecodeError::OtherLength));
        }
    }
}

proptest::proptest! {
    #[test]
    fn random_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = decode::<model::Any>(&bytes);
        let _ = decode::<Untagged<Option<Vec<u8>>>>(&bytes);
        let _ = decode::<BTreeMap<String, IpAddr>>(&bytes);
    }
}
