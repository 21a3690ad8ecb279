//! Fields that a later version put into a record.

use super::*;

/// `true` under the last key.
const FIELD: &[u8] = &[127, 0xc3];

/// Adds the field to what is stored under `key`, as a server of a later version would.
fn plant(world: &World, key: SessionIdHash) {
    let stored = world.stored(key).unwrap();
    let record = Record::decode(&stored.payload).unwrap();
    let mut payload = stored.payload.to_vec();
    // After the format and the number of fields, which increases by one.
    payload[1] += 1;
    payload.splice(2..2, FIELD.iter().copied());
    let write = RecordWrite {
        meta: record.head.meta(stored.timing.absolute_deadline),
        payload: payload.into(),
        elevated_until: None,
        flagged: false,
        new_limits: NewLimits::default(),
        notes: Vec::new(),
    };
    let commit = world.store.commit(Commit::new(
        &key,
        stored.revision,
        &write,
        Activity::Passive,
    ));
    assert!(matches!(ready(commit).unwrap(), Committed::Done(..)));
    assert!(has_field(world, key));
}

fn has_field(world: &World, key: SessionIdHash) -> bool {
    let payload = world.stored(key).unwrap().payload;
    payload.windows(FIELD.len()).any(|part| part == FIELD)
}

#[test]
fn s138_a_field_of_a_later_version_stays_with_its_session() {
    let operations: [fn(&mut Visit<'_>); 6] = [
        |visit| visit.set("cart", 2),
        |visit| visit.clear(),
        |visit| visit.regenerate(),
        |visit| visit.elevate("payments"),
        |visit| assert!(visit.drop_elevation()),
        |visit| {
            let client = Client::of_user_agent(b"curl/8.5.0");
            let now = visit.now();
            visit
                .unit
                .record(Op::Observe(client, ClientChange::Name, None), now)
                .unwrap();
            visit.set("cart", 3);
        },
    ];
    for (number, operation) in operations.into_iter().enumerate() {
        let world = World::new();
        let key = world.elevated("alice", "general");
        plant(&world, key);
        let mut visit = world.visit(key);
        operation(&mut visit);
        let key = visit.save().key();
        assert!(has_field(&world, key), "{number}");
    }
}

#[test]
fn s138_a_sign_in_keeps_no_field_of_a_later_version() {
    let sessions: [fn(&World) -> SessionIdHash; 3] = [
        World::anonymous,
        |world| world.session_of("alice"),
        |world| world.session_of("bob"),
    ];
    for (number, session) in sessions.into_iter().enumerate() {
        let world = World::new();
        let key = session(&world);
        plant(&world, key);
        let mut visit = world.visit(key);
        visit.authenticate("alice");
        let key = visit.save().key();
        assert!(!has_field(&world, key), "{number}");
    }
}

#[test]
fn s138_a_write_that_lost_a_race_keeps_the_field_that_won() {
    let world = World::new();
    let key = world.session_of("alice");
    let mut slow = world.visit(key);
    slow.set("cart", 2);
    plant(&world, key);
    assert_eq!(slow.save().key(), key);
    assert!(has_field(&world, key));
    assert_eq!(world.visit(key).get("cart"), Some(2));
}

#[test]
fn s138_reading_a_field_of_a_later_version_writes_nothing() {
    let world = World::new();
    let key = world.session_of("alice");
    plant(&world, key);
    assert!(matches!(world.visit(key).save(), Saved::Nothing));
    assert!(has_field(&world, key));
}
