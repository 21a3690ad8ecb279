//! Deep nesting is refused on both sides before the stack is used up.

use serde::de::IgnoredAny;

use super::*;
use crate::record::msgpack::Append;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Plain {
    Leaf(u8),
    Deeper(Vec<Plain>),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Inside {
    Leaf { n: u8 },
    Deeper { it: Box<Inside> },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    n: u8,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Rest {
    it: Option<Box<Flat>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Wrapped(Option<Box<Wrapped>>);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Outside {
    Leaf,
    Newtype(Box<Outside>),
    Tuple(u8, Box<Outside>),
    Struct { it: Box<Outside> },
}

fn plain(levels: u8) -> Plain {
    (0..levels).fold(Plain::Leaf(1), |inner, _| Plain::Deeper(vec![inner]))
}

fn inside(levels: u8) -> Inside {
    (1..levels).fold(Inside::Leaf { n: 1 }, |inner, _| Inside::Deeper {
        it: Box::new(inner),
    })
}

/// Each has two levels: the struct and the option.
fn flat(levels: u8) -> Flat {
    let flat = |it| Flat {
        n: 1,
        rest: Rest { it },
    };
    (0..levels / 2 - 1).fold(flat(None), |inner, _| flat(Some(Box::new(inner))))
}

fn wrapped(levels: u8) -> Wrapped {
    (0..levels / 2).fold(Wrapped(None), |inner, _| Wrapped(Some(Box::new(inner))))
}

fn outside(levels: u8) -> Outside {
    (0..levels).fold(Outside::Leaf, |inner, _| Outside::Newtype(Box::new(inner)))
}

fn outside_tuple(levels: u8) -> Outside {
    (0..levels / 2).fold(Outside::Leaf, |inner, _| Outside::Tuple(1, inner.into()))
}

fn outside_struct(levels: u8) -> Outside {
    (0..levels / 2).fold(Outside::Leaf, |inner, _| Outside::Struct {
        it: inner.into(),
    })
}

/// Runs on a quarter of the stack that threads of Rust and tokio have.
fn on_little_stack(run: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(512 * 1024);
    thread.spawn(run).unwrap().join().unwrap();
}

#[test]
fn a_value_with_the_most_levels_comes_back() {
    on_little_stack(|| {
        comes_back(plain(MAX_LEVELS));
        comes_back(inside(MAX_LEVELS));
        comes_back(flat(MAX_LEVELS));
        comes_back(wrapped(MAX_LEVELS - 2));
        comes_back(outside(MAX_LEVELS));
        comes_back(outside_tuple(MAX_LEVELS));
        comes_back(outside_struct(MAX_LEVELS));
    });
}

#[test]
fn a_value_with_more_levels_is_refused_before_it_is_stored() {
    for levels in [MAX_LEVELS + 2, u8::MAX] {
        on_little_stack(move || {
            is_refused(plain(levels), EncodeError::TooDeep);
            is_refused(inside(levels), EncodeError::TooDeep);
            is_refused(flat(levels), EncodeError::TooDeep);
            is_refused(wrapped(levels), EncodeError::TooDeep);
            is_refused(outside(levels), EncodeError::TooDeep);
            is_refused(outside_tuple(levels), EncodeError::TooDeep);
            is_refused(outside_struct(levels), EncodeError::TooDeep);
        });
    }
}

#[test]
fn the_messages_name_the_most_levels() {
    let levels = format!("({MAX_LEVELS} levels at most)");
    for reason in [EncodeError::TooDeep.reason(), DecodeError::TooDeep.reason()] {
        assert!(reason.ends_with(&levels), "{reason}");
    }
}

/// As many levels of each kind as a session may have bytes, and more.
fn hostile() -> Vec<Vec<u8>> {
    let repeated = |level: &[u8]| [level.repeat(100_000), vec![1]].concat();
    let mut somes = vec![0xc0];
    for _ in 0..1000 {
        let inner = std::mem::take(&mut somes);
        somes.append_ext(SOME, &inner).unwrap();
    }
    vec![
        repeated(&[0x91]),
        repeated(&[0x81, 0xa2, b'i', b't']),
        repeated(&[0x82, 0xa1, b'n', 1, 0xa2, b'i', b't']),
        repeated(b"\x82\xa4kind\xa6Deeper\xa2it"),
        repeated(b"\x81\xa7Newtype"),
        repeated(b"\x81\xa6Struct\x81\xa2it"),
        repeated(&[0x81]),
        vec![1],
        vec![0xc7, 3, OCTETS, 1, 2, 3],
        somes,
    ]
}

#[test]
fn deep_bytes_from_another_program_are_refused() {
    on_little_stack(|| {
        for bytes in hostile() {
            let _ = decode::<Plain>(&bytes);
            let _ = decode::<Inside>(&bytes);
            let _ = decode::<Flat>(&bytes);
            let _ = decode::<Wrapped>(&bytes);
            let _ = decode::<Vec<Wrapped>>(&bytes);
            let _ = decode::<Outside>(&bytes);
            let _ = decode::<model::Any>(&bytes);
            let _ = decode::<IgnoredAny>(&bytes);
        }
        let bytes = [[0x91].repeat(100_000), vec![1]].concat();
        assert_eq!(decode::<model::Any>(&bytes), Err(DecodeError::TooDeep));
    });
}

#[test]
fn a_field_that_the_type_does_not_have_may_be_as_deep_as_any_other() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Nothing {}
    let deep = Field {
        it: plain(MAX_LEVELS - 1),
    };
    let bytes = encode(&deep).unwrap();
    assert_eq!(decode(&bytes), Ok(Nothing {}));
}
