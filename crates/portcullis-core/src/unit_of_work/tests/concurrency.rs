//! Another request was faster: operations are applied to what it stored, and no change is lost.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::elevation::Elevation;

/// Two requests with one cookie, both of which have read the session.
fn two(world: &World, key: SessionIdHash) -> [Visit<'_>; 2] {
    [world.visit(key), world.visit(key)]
}

#[test]
fn t80_writes_to_different_values_both_survive() {
    let world = World::new();
    let key = world.anonymous();
    let [mut slow, mut fast] = two(&world, key);
    slow.set("slow", 1);
    fast.set("fast", 2);
    assert!(fast.remove("cart"));
    fast.save().key();
    assert_eq!(slow.save().key(), key);
    for visit in [slow, world.visit(key)] {
        assert_eq!((visit.get("slow"), visit.get("fast")), (Some(1), Some(2)));
        assert_eq!(visit.get("cart"), None);
    }
}

#[test]
fn t80_an_update_is_applied_again_to_the_stored_value() {
    let world = World::new();
    let key = world.anonymous();
    let [mut slow, mut fast] = two(&world, key);
    let calls = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&calls);
    let change = move |cart: &mut u32| {
        counter.fetch_add(1, Ordering::SeqCst);
        *cart += 10;
    };
    slow.unit.update(&"cart", change, world.now()).unwrap();
    assert_eq!(slow.get("cart"), Some(11));
    fast.count_up("cart").unwrap();
    fast.save().key();
    slow.save().key();
    assert_eq!(world.visit(key).get("cart"), Some(12));
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[test]
fn of_two_writes_of_one_value_the_later_wins() {
    let world = World::new();
    let key = world.anonymous();
    let [mut slow, mut fast] = two(&world, key);
    slow.set("cart", 2);
    fast.set("cart", 3);
    fast.save().key();
    slow.save().key();
    assert_eq!(world.visit(key).get("cart"), Some(2));
}

#[test]
fn changes_that_another_request_stored_already_are_not_written_again() {
    let world = World::new();
    let key = world.anonymous();
    let [mut slow, mut fast] = two(&world, key);
    slow.set("cart", 2);
    fast.set("cart", 2);
    fast.save().key();
    assert!(matches!(slow.save(), Saved::Nothing));
}

#[test]
fn a_touch_of_another_request_is_no_conflict() {
    let world = World::new();
    let key = world.anonymous();
    world.pass(5 * MINUTE);
    let [mut slow, mut fast] = two(&world, key);
    assert!(matches!(fast.save(), Saved::Touched));
    slow.set("cart", 2);
    assert!(matches!(slow.step(), Step::Commit { .. }));
    slow.save().key();
}

#[test]
fn t45_activity_of_the_faster_request_is_not_undone() {
    let world = World::new();
    let key = world.anonymous();
    world.pass(5 * MINUTE);
    let [mut slow, mut fast] = two(&world, key);
    fast.set("fast", 1);
    fast.save().key();
    slow.activity = Activity::Passive;
    slow.set("slow", 1);
    slow.save().key();
    assert_eq!(world.visit(key).info().last_active_at, world.now());
}

#[test]
fn a_new_identifier_keeps_what_the_faster_request_wrote() {
    let world = World::new();
    let key = world.anonymous();
    let [mut slow, mut fast] = two(&world, key);
    slow.authenticate("alice");
    let handle = slow.info().handle;
    fast.set("cart", 5);
    fast.save().key();
    let new = slow.save().key();
    let visit = world.visit(new);
    assert_eq!((visit.user(), visit.get("cart")), (Some("alice"), Some(5)));
    assert_eq!(visit.info().handle, handle, "the handler saw this handle");
}

#[test]
fn t63_an_elevation_granted_meanwhile_survives_a_write_of_data() {
    let world = World::new();
    let key = world.session_of("alice");
    let mut slow = world.visit(key);
    slow.set("cart", 2);

    // No operation grants one without a new identifier, but the write must keep it.
    let stored = world.stored(key).unwrap();
    let mut record = Record::decode(&stored.payload).unwrap();
    record
        .head
        .elevations
        .push(Elevation::new("general".into(), HOUR * 24 - MINUTE));
    let write = RecordWrite {
        meta: record.head.meta(stored.timing.absolute_deadline),
        payload: record.encode().unwrap(),
        elevated_until: None,
        flagged: false,
        new_limits: NewLimits::default(),
        notes: Vec::new(),
    };
    let commit = world
        .store
        .commit(Commit::new(&key, stored.revision, &write, Activity::Active));
    ready(commit).unwrap();

    slow.save().key();
    let visit = world.visit(key);
    let until = visit.info().absolute_deadline.before(HOUR * 24 - MINUTE);
    assert_eq!(visit.elevated_until("general"), Some(until));
    assert_eq!(visit.get("cart"), Some(2));
}

#[test]
fn t63_a_slow_write_neither_ends_nor_revives_an_elevation() {
    let world = World::new();
    let plain = world.session_of("alice");
    let [mut slow, mut fast] = two(&world, plain);
    slow.set("cart", 2);
    fast.elevate("general");
    let elevated = fast.save().key();
    assert!(matches!(slow.save(), Saved::Lost));
    assert!(world.visit(elevated).is_elevated("general"));

    let [mut slow, mut fast] = two(&world, elevated);
    slow.set("cart", 3);
    assert!(fast.drop_elevation());
    let dropped = fast.save().key();
    assert!(matches!(slow.save(), Saved::Lost));
    assert!(!world.visit(dropped).is_elevated("general"));
    assert_eq!(world.visit(dropped).get("cart"), Some(1));
}

#[test]
fn t61_an_elevation_is_not_granted_to_a_session_that_has_another_user_now() {
    let world = World::new();
    let key = world.session_of("alice");
    let [mut slow, mut fast] = two(&world, key);
    slow.elevate("general");
    fast.authenticate("bob");
    let of_bob = fast.save().key();
    assert!(matches!(slow.save(), Saved::Lost));
    assert!(!world.visit(of_bob).is_elevated("general"));
}

#[test]
fn a_value_that_no_longer_fits_is_refused_and_changes_nothing() {
    let world = World::new();
    let key = world.anonymous();
    let [mut slow, mut fast] = two(&world, key);
    slow.set_text("slow", &"s".repeat(600)).unwrap();
    fast.set_text("fast", &"f".repeat(600)).unwrap();
    fast.save().key();
    let stored = world.stored(key);
    assert!(matches!(
        slow.save(),
        Saved::Failed(ChangeError::TooLarge { limit: 1000, .. })
    ));
    assert_eq!(world.stored(key), stored);
}

#[test]
fn t80_after_a_refusal_the_faster_request_is_not_overwritten_either() {
    let world = World::new();
    let key = world.anonymous();
    let [mut slow, mut fast] = two(&world, key);
    slow.set_text("slow", &"s".repeat(600)).unwrap();
    fast.set_text("fast", &"f".repeat(600)).unwrap();
    fast.save().key();
    assert!(matches!(slow.save(), Saved::Failed(_)));

    // The handler continues, and the layer tries once more at the end.
    slow.set("cart", 2);
    slow.save();
    let text: Option<String> = world.visit(key).unit.view().get(&"fast").unwrap();
    assert_eq!(
        text.map(|text| text.len()),
        Some(600),
        "the other request's value is lost"
    );
}

#[test]
fn an_update_of_a_value_that_has_another_type_now_is_refused_and_changes_nothing() {
    let world = World::new();
    let key = world.anonymous();
    let [mut slow, mut fast] = two(&world, key);
    slow.count_up("cart").unwrap();
    fast.set_text("cart", "three pears").unwrap();
    fast.save().key();
    let stored = world.stored(key);
    let saved = slow.save();
    assert!(matches!(saved, Saved::Failed(ChangeError::Decode { ref key, .. }) if key == "cart"));
    assert_eq!(world.stored(key), stored);
}

#[test]
fn only_an_unreadable_value_is_removed_even_if_another_was_stored_meanwhile() {
    let world = World::new();
    for (meanwhile, left) in [("three pears", Some("three pears")), ("", None)] {
        let key = world.anonymous();
        let [mut slow, mut fast] = two(&world, key);
        let now = world.now();
        slow.unit.remove_unreadable::<String>(&"cart", now).unwrap();
        assert!(!slow.unit.view().contains("cart"));
        match meanwhile {
            "" => fast.set("cart", 2),
            text => fast.set_text("cart", text).unwrap(),
        }
        fast.save().key();
        slow.save();
        let cart: Option<String> = world.visit(key).unit.view().get(&"cart").unwrap();
        assert_eq!(cart.as_deref(), left);
    }
}

#[test]
fn a_readable_value_is_not_removed_and_nothing_is_written() {
    let world = World::new();
    for mut visit in [world.without_cookie(), world.visit(world.anonymous())] {
        let now = world.now();
        visit.unit.remove_unreadable::<u32>(&"cart", now).unwrap();
        assert!(matches!(visit.step(), Step::Nothing));
    }
}

#[test]
fn s135_operations_are_not_applied_to_an_unreadable_record() {
    let world = World::new();
    let key = world.anonymous();
    for (payload, newer) in [(&[0_u8][..], false), (&[2], true)] {
        let mut slow = world.visit(key);
        slow.set("cart", 2);
        let mut stored = world.stored(key).unwrap();
        stored.payload = Bytes::copy_from_slice(payload);
        let Err(ChangeError::Unusable(reason)) = slow.unit.rebase(&stored) else {
            panic!("an unreadable record was read");
        };
        assert_eq!(reason.is_some(), newer);
    }
}

proptest! {
    #[test]
    fn t80_however_two_requests_interleave_no_update_is_lost(
        turns in prop::collection::vec((0..2_usize, any::<bool>()), 1..60),
    ) {
        let world = World::new();
        let key = world.anonymous();
        let mut visits = two(&world, key);
        let mut asked = [0, 0];
        for (who, save) in turns {
            if save {
                visits[who].save();
            } else {
                visits[who].count_up("both").unwrap();
                visits[who].count_up(["first", "second"][who]).unwrap();
                asked[who] += 1;
            }
        }
        for visit in &mut visits {
            visit.save();
        }
        let visit = world.visit(key);
        prop_assert_eq!(visit.get("both").unwrap_or(0), asked[0] + asked[1]);
        prop_assert_eq!(visit.get("first").unwrap_or(0), asked[0]);
        prop_assert_eq!(visit.get("second").unwrap_or(0), asked[1]);
    }
}
