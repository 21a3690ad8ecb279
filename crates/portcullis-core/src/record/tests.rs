use proptest::{collection::btree_map, prelude::*};

use super::{
    fields::MOST_UNKNOWN,
    msgpack::{Append, tests::value},
    *,
};
use crate::{ClassCode, Network, Source, Timestamp, UserId, elevation::Elevation};

/// A record with all fields.
fn record() -> Record {
    let mut record = anonymous();
    let head = &mut record.head;
    head.user = Some(UserId::from("alice"));
    head.restart(Duration::from_secs(86_400), Duration::from_secs(7));
    head.elevations
        .push(Elevation::new("payments".into(), Duration::from_secs(60)));
    let elsewhere =
        Client::of_user_agent(b"Wget/1").with_network(Network::of([192, 0, 2, 1].into()));
    head.device.as_mut().unwrap().observe(&elsewhere);
    head.persistent = true;
    record.data.insert("cart".into(), vec![0xc0; 300].into());
    record
}

fn anonymous() -> Record {
    let client = Client::of_user_agent(b"curl/8.5.0");
    let lifetime = Duration::from_secs(86_400);
    Record::new(SessionHandle::generate().unwrap(), lifetime, Some(client))
}

const HANDLE: &[u8] = b"\x00\xc4\x0chandlehandle";
const LIFETIME: &[u8] = &[2, 60];
const DEVICE: &[u8] = &[5, 0x81, 0, 0x92, 0x92, 1, 1, 0xc0];

/// A record with these fields and no data.
fn of_fields(fields: &[&[u8]]) -> Bytes {
    let mut bytes = vec![FORMAT];
    bytes.append_map(fields.len()).unwrap();
    bytes.extend(fields.concat());
    bytes.append_map(0).unwrap();
    bytes.into()
}

/// A field that no version has, of this many bytes in all.
fn unknown_field(length: usize) -> Vec<u8> {
    let mut field = vec![127];
    field.append_bin(&vec![7; length - 4]).unwrap();
    assert_eq!(field.len(), length);
    field
}

/// The fields of the head, each as it is written.
fn fields(record: &Bytes) -> Vec<Bytes> {
    let mut reader = values(record).unwrap();
    let mut fields = Vec::new();
    for _ in 0..reader.map().unwrap() {
        let start = reader.rest();
        reader.uint().unwrap();
        reader.skip().unwrap();
        let length = start.len() - reader.rest().len();
        fields.push(record.slice_ref(&start[..length]));
    }
    fields
}

fn decoded(fields: &[&[u8]]) -> Result<Record, Unreadable> {
    Record::decode(&of_fields(fields))
}

#[test]
fn a_record_is_read_back_as_it_was_written() {
    let record = record();
    assert_eq!(Record::decode(&record.encode().unwrap()), Ok(record));
}

#[test]
fn the_layout_of_a_record_is_fixed() {
    let mut record = Record::new(
        SessionHandle::from_bytes(*b"handlehandle"),
        Duration::from_millis(300),
        Some(Client::of_user_agent(b"curl/8.5.0")),
    );
    let head: &[u8] = b"\x00\xc4\x0chandlehandle\x02\xcd\x01\x2c\x05\x81\x00\x92\x92\x20\x00\xc0";
    assert_eq!(
        record.encode().unwrap(),
        [b"\x01\x83", head, b"\x80"].concat()
    );

    record.head.user = Some("ada".into());
    record
        .head
        .restart(Duration::from_millis(9), Duration::from_millis(8));
    let elevation = Elevation::new("pay".into(), Duration::from_millis(7));
    record.head.elevations.push(elevation);
    let wget = Client::of_user_agent(b"Wget/1").with_network(Network::of([192, 0, 2, 1].into()));
    record.head.device.as_mut().unwrap().observe(&wget);
    record.head.persistent = true;
    record.head.shorten_idle(Duration::from_millis(6));
    record.head.lifetime_is_shortened = true;
    record.data.insert("a".into(), vec![5].into());
    let parts: [&[u8]; 13] = [
        b"\x01\x89",
        b"\x00\xc4\x0chandlehandle",
        b"\x01\xc4\x03ada",
        b"\x02\x09",
        b"\x03\x08",
        b"\x04\x91\x82\x00\xa3pay\x01\x07",
        b"\x05\x83\x00\x92\x92\x20\x00\xc0",
        b"\x01\x91\x92\x92\x21\x00\xc4\x03\xc0\x00\x02",
        b"\x02\xa1n",
        b"\x0c\xc3",
        b"\x08\x06",
        b"\x14\xc3",
        b"\x81\xa1a\xc4\x01\x05",
    ];
    assert_eq!(record.encode().unwrap(), parts.concat());
}

#[test]
fn a_record_cut_short_anywhere_is_damaged() {
    let bytes = record().encode().unwrap();
    for end in 0..bytes.len() {
        let cut = bytes.slice(..end);
        assert_eq!(Record::decode(&cut), Err(Unreadable::Damaged));
    }
}

#[test]
fn s135_a_byte_after_the_end_is_damage() {
    let bytes = [&record().encode().unwrap()[..], &[0xc0]].concat();
    assert_eq!(Record::decode(&bytes.into()), Err(Unreadable::Damaged));
}

#[test]
fn the_head_is_read_without_the_data() {
    let record = record();
    let head = Head::decode(&record.encode().unwrap()).unwrap();
    assert!(head == record.head);
}

#[test]
fn s138_a_record_of_a_newer_format_is_not_a_damaged_one() {
    let mut bytes = record().encode().unwrap().to_vec();
    bytes[0] = FORMAT + 1;
    let decode = |bytes: &[u8]| Record::decode(&Bytes::copy_from_slice(bytes));
    assert_eq!(decode(&bytes), Err(Unreadable::Newer));
    for first in [0, b'1', b'{', 0xff] {
        bytes[0] = first;
        assert_eq!(decode(&bytes), Err(Unreadable::Damaged));
    }
}

#[test]
fn an_anonymous_record_costs_few_bytes_beside_its_data() {
    assert!(anonymous().encode().unwrap().len() <= 32);
}

#[test]
fn a_record_needs_a_handle_and_a_lifetime_and_nothing_else() {
    assert!(decoded(&[HANDLE, LIFETIME]).is_ok());
    assert!(decoded(&[LIFETIME, HANDLE]).is_ok());
    for fields in [&[][..], &[HANDLE], &[LIFETIME], &[HANDLE, DEVICE]] {
        assert_eq!(decoded(fields), Err(Unreadable::Damaged));
    }
}

#[test]
fn s135_a_field_that_occurs_twice_is_damage() {
    assert!(decoded(&[HANDLE, LIFETIME, DEVICE, &[127, 1]]).is_ok());
    for again in [HANDLE, LIFETIME, DEVICE, &[127, 1], &[127, 2]] {
        let found = decoded(&[HANDLE, LIFETIME, DEVICE, &[127, 1], again]);
        assert_eq!(found, Err(Unreadable::Damaged), "{again:?}");
    }
}

#[test]
fn s135_a_known_field_has_exactly_its_type() {
    for field in [
        // The handle: a byte less, as text.
        b"\x00\xc4\x0bhandlehandl" as &[u8],
        b"\x00\xachandlehandle",
        // The user: text, nil.
        b"\x01\xa5alice",
        b"\x01\xc0",
        // Lifetime and age: negative, a float, nil.
        b"\x02\xff",
        b"\x03\xff",
        b"\x03\xca\0\0\0\0",
        b"\x03\xc0",
        // Elevations: a number; more than there are; a number in them; one without an end. One
        // without a scope; one with a field that occurs twice.
        b"\x04\x01",
        b"\x04\xdd\xff\xff\xff\xff",
        b"\x04\x91\x01",
        b"\x04\x91\x81\x00\xa3pay",
        b"\x04\x91\x81\x01\x07",
        b"\x04\x91\x83\x00\xa3pay\x01\x07\x01\x07",
        // The device: nil; without a client; with a name of one number. With an address of no valid
        // length; with an unknown change.
        b"\x05\xc0",
        b"\x05\x80",
        b"\x05\x81\x00\x92\x91\x01\xc0",
        b"\x05\x81\x00\x92\x92\x01\x01\xc4\x05\x01\x02\x03\x04\x05",
        b"\x05\x82\x00\x92\x92\x01\x01\xc0\x02\xa1x",
        // Unknown: nested too deeply, longer than there is, of no type.
        &[&[127][..], &[0x91; 100], &[0xc0]].concat(),
        b"\x7f\xc6\xff\xff\xff\xff",
        b"\x7f\xdf\xff\xff\xff\xff",
        b"\x7f\xc1",
        // Keys: beyond what one byte holds, text, negative, nil.
        b"\x80\x01",
        b"\xcc\x80\x01",
        b"\xcc\x7f\x01",
        b"\xa1k\x01",
        b"\xff\x01",
        b"\xc0\x01",
    ] {
        let mut fields = vec![HANDLE, LIFETIME];
        fields.retain(|known| known[0] != field[0]);
        fields.push(field);
        assert_eq!(decoded(&fields), Err(Unreadable::Damaged), "{field:x?}");
    }
    let no_map = Bytes::from_static(&[FORMAT, 0x90, 0x80]);
    assert_eq!(Record::decode(&no_map), Err(Unreadable::Damaged));
}

#[test]
fn s138_a_record_with_too_many_unknown_fields_is_of_a_newer_version() {
    let known = [HANDLE, LIFETIME];
    let most = decoded(&[&known[..], &[&unknown_field(MOST_UNKNOWN)]].concat()).unwrap();
    assert_eq!(Record::decode(&most.encode().unwrap()), Ok(most));

    let too_many = unknown_field(MOST_UNKNOWN + 1);
    let found = decoded(&[&known[..], &[&too_many]].concat());
    assert_eq!(found, Err(Unreadable::Newer));
    let cut = decoded(&[HANDLE, &too_many]);
    assert_eq!(cut, Err(Unreadable::Damaged), "it has no lifetime");

    let nested = [&[4, 0x91, 0x83, 0, 0xa1, b's', 1, 7][..], &too_many].concat();
    let found = decoded(&[&known[..], &[&nested]].concat());
    assert_eq!(found, Err(Unreadable::Newer));
}

#[test]
fn s138_lists_hold_the_class_and_the_tag_that_a_later_version_wrote() {
    let mut bytes = record().encode().unwrap().to_vec();
    // After the format and the number of fields: `15: "a"`, and `16:` sixteen bytes.
    bytes[1] += 2;
    let fields = [&[15, 0xa1, b'a', 16, 0xc4, 16][..], &[7; 16]].concat();
    bytes.splice(2..2, fields);
    let record = Record::decode(&bytes.into()).unwrap();
    let meta = record.head.meta(Timestamp::from_millis(0));
    assert_eq!(Some(meta.class), ClassCode::from_char('a'));
    assert_eq!(meta.source, Source::Federated([7; 16]));
}

#[test]
fn the_largest_head_fits_into_what_a_list_reads() {
    let size = |record: &Record| {
        let bytes = record.encode().unwrap();
        let enough = (0..=bytes.len()).find(|end| Head::decode(&bytes[..*end]).is_ok());
        enough.unwrap()
    };
    assert!(size(&record()) < 200, "{}", size(&record()));
    let mut full = record();
    full.head.user = Some(UserId::from(&*"u".repeat(1024)));
    for scope in 0..8 {
        let scope = format!("a scope with quite a long name {scope}");
        let elevation = Elevation::new(scope, Duration::from_secs(60));
        full.head.elevations.push(elevation);
    }
    let address = "2001:db8:1111:2222:3333:4444:5555:6666".parse().unwrap();
    let device = full.head.device.as_mut().unwrap();
    for agent in ["Wget/1", "okhttp/1", "node/1", "iPhone Safari/1"] {
        let client = Client::of_user_agent(agent.as_bytes()).with_address(address);
        device.observe(&client);
    }
    assert!(
        size(&full) < crate::store::Listed::PAYLOAD,
        "{}",
        size(&full)
    );
}

#[test]
fn s138_records_with_other_unknown_fields_are_not_the_same() {
    let with = |field| decoded(&[HANDLE, LIFETIME, field]).unwrap();
    assert_eq!(with(&[127, 1]), with(&[127, 1]));
    assert_ne!(with(&[127, 1]), with(&[127, 2]));
    assert_ne!(Ok(with(&[127, 1])), decoded(&[HANDLE, LIFETIME]));
}

#[test]
fn s138_unknown_fields_of_elevations_and_of_the_device_are_kept() {
    let elevations = b"\x04\x91\x83\x00\xa3pay\x01\x07\x7f\xa5proof";
    let device = b"\x05\x82\x00\x92\x92\x01\x01\xc0\x7f\x92\x01\x02";
    let mut record = decoded(&[HANDLE, LIFETIME, elevations, device]).unwrap();
    assert_eq!(record.head.elevations[0].scope, "pay");
    record.head.user = Some("ada".into());
    let fields = fields(&record.encode().unwrap());
    assert!(fields.contains(&Bytes::from_static(elevations)));
    assert!(fields.contains(&Bytes::from_static(device)));
}

#[test]
fn s138_elements_of_a_client_from_a_later_version_are_skipped() {
    let longer = b"\x05\x81\x00\x93\x93\x01\x02\xa5build\xc4\x03\xc0\x00\x02\x91\x01";
    let known = b"\x05\x81\x00\x92\x92\x01\x02\xc4\x03\xc0\x00\x02";
    let found = decoded(&[HANDLE, LIFETIME, longer]);
    assert_eq!(found, decoded(&[HANDLE, LIFETIME, known]));
    assert!(found.is_ok());
}

fn unknown_key() -> impl Strategy<Value = u8> {
    (6_u8..128).prop_filter("known", |key| ![8, 12, 15, 17, 18, 19, 20].contains(key))
}

#[test]
fn whether_a_session_is_remembered_is_a_boolean() {
    let persistent = |value: &[u8]| {
        let record = decoded(&[HANDLE, LIFETIME, &[&[12], value].concat()]);
        record.map(|record| record.head.persistent)
    };
    assert_eq!(persistent(&[0xc3]), Ok(true));
    assert_eq!(persistent(&[0xc2]), Ok(false));
    for damaged in [&[0xc0][..], &[1], &[0xa1, b't']] {
        assert_eq!(persistent(damaged), Err(Unreadable::Damaged));
    }
}

proptest! {
    #[test]
    fn s138_unknown_fields_are_kept_byte_for_byte(
        unknown in btree_map(unknown_key(), value(), 0..20),
        seed: u64,
    ) {
        let record = record();
        let known = fields(&record.encode().unwrap());
        let unknown: Vec<_> = unknown
            .into_iter()
            .map(|(key, value)| Bytes::from([&[key][..], &value].concat()))
            .collect();
        let length: usize = unknown.iter().map(Bytes::len).sum();
        let mut all = [known.clone(), unknown].concat();
        all.sort_by_key(|field| (u64::from(field[0]) + 1).wrapping_mul(seed | 1));
        let planted: Vec<_> = all.iter().map(|field| &field[..]).collect();

        match decoded(&planted) {
            Err(unreadable) => {
                prop_assert_eq!(unreadable, Unreadable::Newer);
                prop_assert!(length > MOST_UNKNOWN);
            }
            Ok(mut found) => {
                found.data = record.data;
                let written = found.encode().unwrap();
                let kept = fields(&written);
                prop_assert_eq!(&kept[..known.len()], &known[..]);
                let mut kept = kept;
                kept.sort();
                all.sort();
                prop_assert_eq!(kept, all);
                prop_assert_eq!(Record::decode(&written), Ok(found));
            }
        }
    }

    #[test]
    fn s135_no_bytes_make_the_decoder_panic(bytes: Vec<u8>) {
        let _ = Record::decode(&bytes.into());
    }

    #[test]
    fn s135_no_bytes_after_the_format_make_the_decoder_panic(bytes: Vec<u8>) {
        let _ = Record::decode(&[&[FORMAT][..], &bytes].concat().into());
    }

    #[test]
    fn s135_no_changed_byte_makes_the_decoder_panic(at in 0_usize..400, to: u8) {
        let mut bytes = record().encode().unwrap().to_vec();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = to;
        }
        if let Ok(record) = Record::decode(&bytes.into()) {
            prop_assert_eq!(Record::decode(&record.encode().unwrap()), Ok(record));
        }
    }
}
