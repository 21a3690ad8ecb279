//! Serde's whole data model: each value comes back equal, or is refused when it is encoded.

use std::{cell::RefCell, fmt};

use proptest::{collection::vec, prelude::*, sample::select};
use serde::{
    Deserializer, Serializer,
    de::{
        DeserializeSeed, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess, VariantAccess,
        Visitor,
    },
    ser::{
        SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant,
    },
};

use super::*;

const FIELDS: [&str; 4] = ["a", "b", "c", "d"];
const VARIANTS: [&str; 4] = ["A", "B", "C", "D"];

/// A type, as serde sees it.
#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Unit,
    UnitStruct,
    Bool,
    Int(Int),
    F32,
    F64,
    Char,
    Str,
    Bytes,
    Option(Box<Shape>),
    Newtype(Box<Shape>),
    Seq(Box<Shape>),
    Tuple(Vec<Shape>),
    TupleStruct(Vec<Shape>),
    Map(Box<(Shape, Shape)>),
    Struct(Vec<Shape>),
    Enum(Vec<Content>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Int {
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
}

/// The content of a variant.
#[derive(Debug, Clone, PartialEq)]
enum Content {
    Unit,
    Newtype(Shape),
    Tuple(Vec<Shape>),
    Struct(Vec<Shape>),
}

/// A value of a type.
#[derive(Debug, Clone, PartialEq)]
enum Datum {
    Unit,
    Bool(bool),
    Int(i128),
    /// The bits.
    Float(u64),
    Char(char),
    Str(String),
    Bytes(Vec<u8>),
    Option(Option<Box<Datum>>),
    One(Box<Datum>),
    Many(Vec<Datum>),
    Pairs(Vec<(Datum, Datum)>),
    Variant(usize, Box<Datum>),
}

fn shapes() -> impl Strategy<Value = Shape> {
    let int = select(vec![
        Int::I8,
        Int::I16,
        Int::I32,
        Int::I64,
        Int::U8,
        Int::U16,
        Int::U32,
        Int::U64,
    ]);
    let leaf = prop_oneof![
        4 => int.prop_map(Shape::Int),
        2 => Just(Shape::Int(Int::U8)),
        7 => select(vec![
            Shape::Unit,
            Shape::UnitStruct,
            Shape::Bool,
            Shape::F32,
            Shape::F64,
            Shape::Char,
            Shape::Str,
            Shape::Bytes,
        ]),
    ];
    leaf.prop_recursive(5, 24, 4, |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        let many = vec(inner.clone(), 0..=4);
        let content = prop_oneof![
            Just(Content::Unit),
            inner.clone().prop_map(Content::Newtype),
            many.clone().prop_map(Content::Tuple),
            many.clone().prop_map(Content::Struct),
        ];
        prop_oneof![
            boxed.clone().prop_map(Shape::Option),
            boxed.clone().prop_map(Shape::Newtype),
            boxed.prop_map(Shape::Seq),
            many.clone().prop_map(Shape::Tuple),
            many.clone().prop_map(Shape::TupleStruct),
            many.prop_map(Shape::Struct),
            (inner.clone(), inner).prop_map(|pair| Shape::Map(Box::new(pair))),
            vec(content, 1..=4).prop_map(Shape::Enum),
        ]
    })
}

fn data_of(shape: &Shape) -> BoxedStrategy<Datum> {
    let all = |shapes: &[Shape]| {
        let all: Vec<_> = shapes.iter().map(data_of).collect();
        all.prop_map(Datum::Many).boxed()
    };
    match shape {
        Shape::Unit | Shape::UnitStruct => Just(Datum::Unit).boxed(),
        Shape::Bool => any::<bool>().prop_map(Datum::Bool).boxed(),
        Shape::Int(Int::I8) => any::<i8>().prop_map(|n| Datum::Int(n.into())).boxed(),
        Shape::Int(Int::I16) => any::<i16>().prop_map(|n| Datum::Int(n.into())).boxed(),
        Shape::Int(Int::I32) => any::<i32>().prop_map(|n| Datum::Int(n.into())).boxed(),
        Shape::Int(Int::I64) => any::<i64>().prop_map(|n| Datum::Int(n.into())).boxed(),
        Shape::Int(Int::U8) => any::<u8>().prop_map(|n| Datum::Int(n.into())).boxed(),
        Shape::Int(Int::U16) => any::<u16>().prop_map(|n| Datum::Int(n.into())).boxed(),
        Shape::Int(Int::U32) => any::<u32>().prop_map(|n| Datum::Int(n.into())).boxed(),
        Shape::Int(Int::U64) => any::<u64>().prop_map(|n| Datum::Int(n.into())).boxed(),
        Shape::F32 => any::<f32>()
            .prop_map(|n| Datum::Float(n.to_bits().into()))
            .boxed(),
        Shape::F64 => any::<f64>().prop_map(|n| Datum::Float(n.to_bits())).boxed(),
        Shape::Char => any::<char>().prop_map(Datum::Char).boxed(),
        Shape::Str => prop_oneof![
            any::<String>(),
            // Names that the surrounding types use.
            select(vec!["a", "kind", "n", "it", "A"]).prop_map(str::to_owned),
        ]
        .prop_map(Datum::Str)
        .boxed(),
        Shape::Bytes => vec(any::<u8>(), 0..20).prop_map(Datum::Bytes).boxed(),
        Shape::Option(inner) => proptest::option::of(data_of(inner).prop_map(Box::new))
            .prop_map(Datum::Option)
            .boxed(),
        Shape::Newtype(inner) => data_of(inner)
            .prop_map(|it| Datum::One(Box::new(it)))
            .boxed(),
        Shape::Seq(inner) => vec(data_of(inner), 0..20).prop_map(Datum::Many).boxed(),
        Shape::Tuple(all_of) | Shape::TupleStruct(all_of) | Shape::Struct(all_of) => all(all_of),
        Shape::Map(pair) => vec((data_of(&pair.0), data_of(&pair.1)), 0..4)
            .prop_map(Datum::Pairs)
            .boxed(),
        Shape::Enum(variants) => {
            let variants = variants.iter().enumerate().map(|(number, content)| {
                let content = match content {
                    Content::Unit => Just(Datum::Unit).boxed(),
                    Content::Newtype(inner) => data_of(inner),
                    Content::Tuple(all_of) | Content::Struct(all_of) => all(all_of),
                };
                content
                    .prop_map(move |it| Datum::Variant(number, Box::new(it)))
                    .boxed()
            });
            proptest::strategy::Union::new(variants).boxed()
        }
    }
}

thread_local! {
    /// The type that `It` has at the moment.
    static SHAPE: RefCell<Shape> = const { RefCell::new(Shape::Unit) };
}

/// A value of the chosen type.
#[derive(Debug, Clone, PartialEq)]
struct It(Datum);

impl Serialize for It {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shape = SHAPE.with_borrow(Shape::clone);
        Typed(&shape, &self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for It {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let shape = SHAPE.with_borrow(Shape::clone);
        shape.deserialize(deserializer).map(Self)
    }
}

struct Typed<'t>(&'t Shape, &'t Datum);

impl Serialize for Typed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.0, self.1) {
            (Shape::Unit, _) => serializer.serialize_unit(),
            (Shape::UnitStruct, _) => serializer.serialize_unit_struct("U"),
            (_, Datum::Bool(it)) => serializer.serialize_bool(*it),
            (Shape::Int(Int::I8), Datum::Int(it)) => serializer.serialize_i8(*it as i8),
            (Shape::Int(Int::I16), Datum::Int(it)) => serializer.serialize_i16(*it as i16),
            (Shape::Int(Int::I32), Datum::Int(it)) => serializer.serialize_i32(*it as i32),
            (Shape::Int(Int::I64), Datum::Int(it)) => serializer.serialize_i64(*it as i64),
            (Shape::Int(Int::U8), Datum::Int(it)) => serializer.serialize_u8(*it as u8),
            (Shape::Int(Int::U16), Datum::Int(it)) => serializer.serialize_u16(*it as u16),
            (Shape::Int(Int::U32), Datum::Int(it)) => serializer.serialize_u32(*it as u32),
            (_, Datum::Int(it)) => serializer.serialize_u64(*it as u64),
            (Shape::F32, Datum::Float(it)) => serializer.serialize_f32(f32::from_bits(*it as u32)),
            (_, Datum::Float(it)) => serializer.serialize_f64(f64::from_bits(*it)),
            (_, Datum::Char(it)) => serializer.serialize_char(*it),
            (_, Datum::Str(it)) => serializer.serialize_str(it),
            (_, Datum::Bytes(it)) => serializer.serialize_bytes(it),
            (_, Datum::Option(None)) => serializer.serialize_none(),
            (Shape::Option(shape), Datum::Option(Some(it))) => {
                serializer.serialize_some(&Typed(shape, it))
            }
            (Shape::Newtype(shape), Datum::One(it)) => {
                serializer.serialize_newtype_struct("N", &Typed(shape, it))
            }
            (Shape::Seq(shape), Datum::Many(items)) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                items
                    .iter()
                    .try_for_each(|it| seq.serialize_element(&Typed(shape, it)))?;
                seq.end()
            }
            (Shape::Tuple(shapes), Datum::Many(items)) => {
                let mut tuple = serializer.serialize_tuple(items.len())?;
                for (shape, it) in shapes.iter().zip(items) {
                    tuple.serialize_element(&Typed(shape, it))?;
                }
                tuple.end()
            }
            (Shape::TupleStruct(shapes), Datum::Many(items)) => {
                let mut tuple = serializer.serialize_tuple_struct("T", items.len())?;
                for (shape, it) in shapes.iter().zip(items) {
                    tuple.serialize_field(&Typed(shape, it))?;
                }
                tuple.end()
            }
            (Shape::Map(shapes), Datum::Pairs(pairs)) => {
                let mut map = serializer.serialize_map(Some(pairs.len()))?;
                for (key, value) in pairs {
                    map.serialize_entry(&Typed(&shapes.0, key), &Typed(&shapes.1, value))?;
                }
                map.end()
            }
            (Shape::Struct(shapes), Datum::Many(items)) => {
                let mut fields = serializer.serialize_struct("S", items.len())?;
                for ((name, shape), it) in FIELDS.iter().zip(shapes).zip(items) {
                    fields.serialize_field(name, &Typed(shape, it))?;
                }
                fields.end()
            }
            (Shape::Enum(variants), Datum::Variant(number, it)) => {
                let (name, index) = (VARIANTS[*number], *number as u32);
                match (&variants[*number], &**it) {
                    (Content::Newtype(shape), it) => {
                        serializer.serialize_newtype_variant("E", index, name, &Typed(shape, it))
                    }
                    (Content::Tuple(shapes), Datum::Many(items)) => {
                        let length = items.len();
                        let mut tuple =
                            serializer.serialize_tuple_variant("E", index, name, length)?;
                        for (shape, it) in shapes.iter().zip(items) {
                            tuple.serialize_field(&Typed(shape, it))?;
                        }
                        tuple.end()
                    }
                    (Content::Struct(shapes), Datum::Many(items)) => {
                        let length = items.len();
                        let mut fields =
                            serializer.serialize_struct_variant("E", index, name, length)?;
                        for ((name, shape), it) in FIELDS.iter().zip(shapes).zip(items) {
                            fields.serialize_field(name, &Typed(shape, it))?;
                        }
                        fields.end()
                    }
                    _ => serializer.serialize_unit_variant("E", index, name),
                }
            }
            (shape, it) => panic!("{it:?} is no {shape:?}"),
        }
    }
}

impl<'de> DeserializeSeed<'de> for &Shape {
    type Value = Datum;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Datum, D::Error> {
        let int = |it: i128| Datum::Int(it);
        match self {
            Shape::Unit => <()>::deserialize(from).map(|()| Datum::Unit),
            Shape::UnitStruct => from.deserialize_unit_struct("U", Reading(self)),
            Shape::Bool => bool::deserialize(from).map(Datum::Bool),
            Shape::Int(Int::I8) => i8::deserialize(from).map(|it| int(it.into())),
            Shape::Int(Int::I16) => i16::deserialize(from).map(|it| int(it.into())),
            Shape::Int(Int::I32) => i32::deserialize(from).map(|it| int(it.into())),
            Shape::Int(Int::I64) => i64::deserialize(from).map(|it| int(it.into())),
            Shape::Int(Int::U8) => u8::deserialize(from).map(|it| int(it.into())),
            Shape::Int(Int::U16) => u16::deserialize(from).map(|it| int(it.into())),
            Shape::Int(Int::U32) => u32::deserialize(from).map(|it| int(it.into())),
            Shape::Int(Int::U64) => u64::deserialize(from).map(|it| int(it.into())),
            Shape::F32 => f32::deserialize(from).map(|it| Datum::Float(it.to_bits().into())),
            Shape::F64 => f64::deserialize(from).map(|it| Datum::Float(it.to_bits())),
            Shape::Char => char::deserialize(from).map(Datum::Char),
            Shape::Str => String::deserialize(from).map(Datum::Str),
            Shape::Bytes => from.deserialize_byte_buf(Reading(self)),
            Shape::Option(_) => from.deserialize_option(Reading(self)),
            Shape::Newtype(_) => from.deserialize_newtype_struct("N", Reading(self)),
            Shape::Seq(_) => from.deserialize_seq(Reading(self)),
            Shape::Tuple(shapes) => from.deserialize_tuple(shapes.len(), Reading(self)),
            Shape::TupleStruct(shapes) => {
                from.deserialize_tuple_struct("T", shapes.len(), Reading(self))
            }
            Shape::Map(_) => from.deserialize_map(Reading(self)),
            Shape::Struct(shapes) => {
                from.deserialize_struct("S", &FIELDS[..shapes.len()], Reading(self))
            }
            Shape::Enum(variants) => {
                from.deserialize_enum("E", &VARIANTS[..variants.len()], Reading(self))
            }
        }
    }
}

/// The visitor that `derive` would generate for a type.
struct Reading<'s>(&'s Shape);

impl Reading<'_> {
    /// The fields of a struct, in any order, and no others.
    fn fields<'de, A: MapAccess<'de>>(shapes: &[Shape], mut map: A) -> Result<Datum, A::Error> {
        let mut found = vec![None; shapes.len()];
        while let Some(name) = map.next_key::<String>()? {
            match FIELDS[..shapes.len()]
                .iter()
                .position(|field| *field == name)
            {
                Some(at) if found[at].is_some() => return Err(A::Error::duplicate_field("")),
                Some(at) => found[at] = Some(map.next_value_seed(&shapes[at])?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let all: Option<Vec<Datum>> = found.into_iter().collect();
        all.map(Datum::Many)
            .ok_or_else(|| A::Error::missing_field(""))
    }

    fn items<'de, A: SeqAccess<'de>>(shapes: &[Shape], mut seq: A) -> Result<Datum, A::Error> {
        let mut items = Vec::new();
        for (at, shape) in shapes.iter().enumerate() {
            let item = seq.next_element_seed(shape)?;
            items.push(item.ok_or_else(|| A::Error::invalid_length(at, &"more"))?);
        }
        Ok(Datum::Many(items))
    }
}

impl<'de> Visitor<'de> for Reading<'_> {
    type Value = Datum;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }

    fn visit_unit<E: Error>(self) -> Result<Datum, E> {
        match self.0 {
            Shape::UnitStruct => Ok(Datum::Unit),
            Shape::Option(_) => Ok(Datum::Option(None)),
            _ => Err(E::invalid_type(serde::de::Unexpected::Unit, &self)),
        }
    }

    fn visit_none<E: Error>(self) -> Result<Datum, E> {
        self.visit_unit()
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Datum, E> {
        match self.0 {
            Shape::Bytes => Ok(Datum::Bytes(bytes.to_owned())),
            _ => Err(E::invalid_type(serde::de::Unexpected::Bytes(bytes), &self)),
        }
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Datum, D::Error> {
        match self.0 {
            Shape::Option(shape) => {
                let inner = shape.deserialize(from)?;
                Ok(Datum::Option(Some(Box::new(inner))))
            }
            _ => Err(D::Error::invalid_type(serde::de::Unexpected::Option, &self)),
        }
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> Result<Datum, D::Error> {
        match self.0 {
            Shape::Newtype(shape) => Ok(Datum::One(Box::new(shape.deserialize(from)?))),
            _ => Err(D::Error::custom("a newtype")),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Datum, A::Error> {
        match self.0 {
            Shape::Seq(shape) => {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element_seed(&**shape)? {
                    items.push(item);
                }
                Ok(Datum::Many(items))
            }
            Shape::Tuple(shapes) | Shape::TupleStruct(shapes) | Shape::Struct(shapes) => {
                Self::items(shapes, seq)
            }
            _ => Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Datum, A::Error> {
        match self.0 {
            Shape::Map(shapes) => {
                let mut pairs = Vec::new();
                while let Some(key) = map.next_key_seed(&shapes.0)? {
                    pairs.push((key, map.next_value_seed(&shapes.1)?));
                }
                Ok(Datum::Pairs(pairs))
            }
            Shape::Struct(shapes) => Self::fields(shapes, map),
            _ => Err(A::Error::invalid_type(serde::de::Unexpected::Map, &self)),
        }
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Datum, A::Error> {
        let Shape::Enum(variants) = self.0 else {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Enum, &self));
        };
        let (name, content) = access.variant::<String>()?;
        let number = VARIANTS[..variants.len()].iter().position(|it| *it == name);
        let number = number.ok_or_else(|| A::Error::unknown_variant(&name, &VARIANTS))?;
        let it = match &variants[number] {
            Content::Unit => content.unit_variant().map(|()| Datum::Unit),
            Content::Newtype(shape) => content.newtype_variant_seed(shape),
            Content::Tuple(shapes) => {
                content.tuple_variant(shapes.len(), Reading(&Shape::Tuple(shapes.clone())))
            }
            Content::Struct(shapes) => {
                let fields = &FIELDS[..shapes.len()];
                content.struct_variant(fields, Reading(&Shape::Struct(shapes.clone())))
            }
        };
        Ok(Datum::Variant(number, Box::new(it?)))
    }
}

/// Any value, for types that are read by what they find.
#[derive(Debug, PartialEq)]
pub(super) struct Any;

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Any)
    }
}

macro_rules! visit_scalars {
    ($($visit:ident($type:ty))*) => {
        $(fn $visit<E: Error>(self, _: $type) -> Result<Any, E> {
            Ok(Any)
        })*
    };
}

impl<'de> Visitor<'de> for Any {
    type Value = Any;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    visit_scalars! {
        visit_bool(bool) visit_i64(i64) visit_u64(u64) visit_f64(f64) visit_str(&str)
        visit_bytes(&[u8])
    }

    fn visit_unit<E: Error>(self) -> Result<Any, E> {
        Ok(Any)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Any, D::Error> {
        Any::deserialize(from)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Any, A::Error> {
        while seq.next_element::<Any>()?.is_some() {}
        Ok(Any)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Any, A::Error> {
        while map.next_entry::<Any, Any>()?.is_some() {}
        Ok(Any)
    }
}

/// Whether a map in it has a key twice.
fn repeats_a_key(datum: &Datum) -> bool {
    match datum {
        Datum::Option(Some(it)) | Datum::One(it) | Datum::Variant(_, it) => repeats_a_key(it),
        Datum::Many(items) => items.iter().any(repeats_a_key),
        Datum::Pairs(pairs) => {
            let keys = |at: usize| pairs[..at].iter().any(|(key, _)| *key == pairs[at].0);
            (0..pairs.len()).any(keys)
                || pairs
                    .iter()
                    .any(|(key, value)| repeats_a_key(key) || repeats_a_key(value))
        }
        _ => false,
    }
}

fn comes_back_or_is_refused<T>(value: T) -> Result<(), TestCaseError>
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    if let Ok(bytes) = encode(&value) {
        prop_assert_eq!(decode::<T>(&bytes), Ok(value), "{:x?}", bytes);
    }
    Ok(())
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum TaggedNewtype<T> {
    It(T),
}

/// Serde reads a flattened `None` as an empty map, if the type allows that.
fn is_optional(shape: &Shape) -> bool {
    match shape {
        Shape::Option(_) => true,
        Shape::Newtype(shape) => is_optional(shape),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_value_comes_back_equal_or_is_refused(
        (shape, datum) in shapes().prop_flat_map(|shape| (Just(shape.clone()), data_of(&shape)))
    ) {
        SHAPE.set(shape.clone());
        let it = It(datum);
        let is_refused = encode(&it).is_err();
        prop_assert_eq!(is_refused, repeats_a_key(&it.0));
        comes_back_or_is_refused(it.clone())?;
        comes_back_or_is_refused(vec![it.clone(), it.clone()])?;
        comes_back_or_is_refused(Some(Some(it.clone())))?;

        let it = || it.clone();
        let rest = Field { it: it() };
        let in_types = [
            encode(&Untagged::It(it())).is_err(),
            encode(&Tagged::It { it: it() }).is_err(),
            encode(&Flattened { n: 1, rest: Field { it: it() } }).is_err(),
        ];
        prop_assert_eq!(in_types, [is_refused; 3], "nothing else is refused there");
        comes_back_or_is_refused(Untagged::It(it()))?;
        comes_back_or_is_refused(Tagged::It { it: it() })?;
        comes_back_or_is_refused(Adjacent::It(it()))?;
        comes_back_or_is_refused(Untagged::It(Adjacent::It(it())))?;
        comes_back_or_is_refused(TaggedNewtype::It(it()))?;
        comes_back_or_is_refused(Untagged::It(TaggedNewtype::It(it())))?;
        comes_back_or_is_refused(Flattened { n: 1, rest })?;
        if !is_optional(&shape) {
            comes_back_or_is_refused(Flattened { n: 1, rest: it() })?;
        }
    }
}
