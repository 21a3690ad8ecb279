//! Values: when they are written, and what they cannot reach.

use bytes::Bytes;
use proptest::prelude::*;
use serde::{Serializer, ser::Error};

use super::*;
use crate::{Key, store::StoreErrorKind};

#[test]
fn a_request_that_asks_for_nothing_writes_nothing() {
    let world = World::new();
    assert!(matches!(world.without_cookie().step(), Step::Nothing));
    assert!(!world.without_cookie().unit.is_dirty());

    let key = world.anonymous();
    assert!(matches!(world.visit(key).step(), Step::Nothing));
    assert!(!world.visit(key).unit.is_dirty());
}

#[test]
fn s035_without_a_session_only_a_write_creates_one() {
    let world = World::new();
    let mut visit = world.without_cookie();
    assert_eq!(visit.get("cart"), None);
    assert!(!visit.remove("cart"));
    visit.clear();
    visit.regenerate();
    assert!(!visit.drop_elevation());
    visit.unit.terminate();
    let plan = visit.plan();
    assert!(plan.ends.is_empty() && matches!(plan.step, Step::Nothing));
    assert!(!visit.unit.view().exists());
}

#[test]
fn a_visitor_may_store_less_than_a_user_until_they_sign_in() {
    let mut world = World::new();
    world.settings.visitors = VisitorLimits::new(4 * HOUR, 100).unwrap();
    let mut visit = world.without_cookie();
    let now = world.now();
    let large = "x".repeat(200);
    let refused = visit.unit.insert(&"note", &large, now);
    assert!(matches!(
        refused,
        Err(ChangeError::TooLarge { limit: 100, .. })
    ));
    visit.authenticate("alice");
    visit.unit.insert(&"note", &large, now).unwrap();
    let key = visit.save().key();
    assert_eq!(
        world.visit(key).info().absolute_deadline,
        now.after(24 * HOUR)
    );
}

#[test]
fn lower_limits_of_all_sessions_apply_to_visitors_too() {
    let mut world = World::new();
    world.settings.visitors = VisitorLimits::new(100 * HOUR, 1_000_000).unwrap();
    let mut visit = world.without_cookie();
    let refused = visit.unit.insert(&"note", &"x".repeat(2000), world.now());
    assert!(matches!(
        refused,
        Err(ChangeError::TooLarge { limit: 1000, .. })
    ));
    visit.set("cart", 7);
    let Step::Create { limits, .. } = visit.step() else {
        panic!("{:?}", visit.step());
    };
    assert_eq!((limits.idle, limits.absolute), (30 * MINUTE, 24 * HOUR));
}

#[test]
fn an_anonymous_write_creates_a_session_with_the_limits_of_visitors() {
    let world = World::new();
    let mut visit = world.without_cookie();
    visit.set("cart", 7);
    let Step::Create { limits, .. } = visit.step() else {
        panic!("{:?}", visit.step());
    };
    assert_eq!((limits.idle, limits.absolute), (30 * MINUTE, 4 * HOUR));

    let key = visit.save().key();
    assert_eq!(world.visit(key).get("cart"), Some(7));
    assert_eq!(world.visit(key).user(), None);
    assert!(matches!(visit.step(), Step::Nothing), "it is written once");
}

#[test]
fn a_value_that_is_inserted_and_removed_leaves_nothing_to_write() {
    let world = World::new();
    let key = world.anonymous();
    for mut visit in [world.without_cookie(), world.visit(key)] {
        visit.set("note", 1);
        assert!(visit.remove("note"));
        assert!(matches!(visit.step(), Step::Nothing));
    }
}

#[test]
fn setting_a_value_that_is_stored_already_writes_nothing() {
    let world = World::new();
    let mut visit = world.visit(world.anonymous());
    visit.set("cart", 1);
    assert!(matches!(visit.step(), Step::Nothing));
    visit.set("cart", 2);
    assert!(matches!(visit.step(), Step::Commit { .. }));
}

#[test]
fn s040_a_read_is_stored_as_activity_once_a_minute() {
    let world = World::new();
    let key = world.anonymous();
    world.pass(MINUTE - MILLI);
    assert!(matches!(world.visit(key).step(), Step::Nothing));
    world.pass(MILLI);
    let mut visit = world.visit(key);
    assert!(matches!(visit.step(), Step::Touch(step) if *step.key() == key));
    assert!(matches!(visit.save(), Saved::Touched));
    assert_eq!(visit.info().last_active_at, world.now());
    assert!(matches!(visit.step(), Step::Nothing));
}

#[test]
fn s041_a_write_moves_the_last_activity_in_the_same_steps_as_a_read() {
    let world = World::new();
    let key = world.session_of("alice");
    for (later, moved) in [
        (Duration::from_secs(59), false),
        (Duration::from_secs(1), true),
        (Duration::from_secs(1), false),
    ] {
        let before = world.stored(key).unwrap().timing.last_active_at;
        world.pass(later);
        let mut visit = world.visit(key);
        visit.set("cart", visit.get("cart").unwrap_or_default() + 1);
        visit.save().key();
        let after = world.stored(key).unwrap().timing.last_active_at;
        assert_eq!(after == world.now(), moved, "{later:?}");
        assert_eq!(after != before, moved, "{later:?}");
    }
}

#[test]
fn t36_a_passive_request_is_no_activity_even_if_it_writes() {
    let world = World::new();
    let key = world.anonymous();
    let began = world.now();
    world.pass(10 * MINUTE);
    let mut visit = world.visit(key);
    visit.activity = Activity::Passive;
    assert!(matches!(visit.step(), Step::Nothing));
    visit.set("seen", 1);
    visit.save().key();
    assert_eq!(world.visit(key).info().last_active_at, began);
}

#[test]
fn an_update_starts_from_the_default_or_from_the_stored_value() {
    let world = World::new();
    let mut visit = world.without_cookie();
    visit.count_up("visits").unwrap();
    visit.count_up("visits").unwrap();
    let key = visit.save().key();
    let mut visit = world.visit(key);
    visit.count_up("visits").unwrap();
    assert_eq!(visit.get("visits"), Some(3));
}

#[test]
fn a_typed_key_and_its_name_are_the_same_place() {
    const CART: Key<u32> = Key::new("cart");
    let world = World::new();
    let visit = world.visit(world.anonymous());
    assert_eq!(visit.unit.view().get(&CART).unwrap(), Some(1));
}

#[test]
fn clearing_removes_every_value_and_nothing_else() {
    let world = World::new();
    let mut visit = world.visit(world.elevated("alice", "payments"));
    let before = visit.info();
    visit.clear();
    let key = visit.save().key();
    let visit = world.visit(key);
    assert_eq!(visit.get("cart"), None);
    assert_eq!(visit.user(), Some("alice"));
    assert!(visit.is_elevated("payments"));
    assert_eq!(visit.info(), before);
}

#[test]
fn s140_a_session_holds_as_much_as_its_limit_and_not_a_byte_more() {
    let world = World::new();
    let mut visit = world.without_cookie();
    // One byte for the name, and three for the length of the text.
    visit.set_text("a", &"x".repeat(996)).unwrap();
    assert!(matches!(
        visit.set_text("b", ""),
        Err(ChangeError::TooLarge {
            size: 1002,
            limit: 1000
        })
    ));
    assert!(matches!(
        visit.set_text("a", &"x".repeat(997)),
        Err(ChangeError::TooLarge {
            size: 1001,
            limit: 1000
        })
    ));
    let now = world.now();
    let grow = visit
        .unit
        .update(&"a", |text: &mut String| text.push('x'), now);
    assert!(matches!(grow, Err(ChangeError::TooLarge { .. })));

    let text: Option<String> = visit.unit.view().get(&"a").unwrap();
    assert_eq!(text.unwrap().len(), 996);
    visit.set_text("a", &"y".repeat(996)).unwrap();
}

#[test]
fn a_write_that_is_refused_starts_no_session() {
    let world = World::new();
    let mut visit = world.without_cookie();
    visit.set_text("a", &"x".repeat(2000)).unwrap_err();
    assert!(!visit.unit.view().exists());
    assert!(matches!(visit.step(), Step::Nothing));
}

#[test]
fn a_value_of_another_type_is_an_error_and_stays() {
    let world = World::new();
    let mut visit = world.visit(world.anonymous());
    let read = visit.unit.view().get::<String>(&"cart");
    assert!(matches!(read, Err(ChangeError::Decode { key, .. }) if key == "cart"));

    let now = world.now();
    let change = |_: &mut String| panic!("called with something that is not stored");
    let update = visit.unit.update(&"cart", change, now);
    assert!(matches!(update, Err(ChangeError::Decode { key, .. }) if key == "cart"));
    assert_eq!(visit.get("cart"), Some(1));
    assert!(matches!(visit.step(), Step::Nothing));
}

#[test]
fn a_value_that_cannot_be_encoded_is_an_error_and_changes_nothing() {
    struct Unwritable;
    impl Serialize for Unwritable {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(S::Error::custom("refused by the test"))
        }
    }
    let world = World::new();
    let mut visit = world.visit(world.anonymous());
    let insert = visit.unit.insert(&"cart", &Unwritable, world.now());
    assert!(matches!(insert, Err(ChangeError::Encode { key, .. }) if key == "cart"));
    assert_eq!(visit.get("cart"), Some(1));
    assert!(!visit.unit.is_dirty());
}

#[test]
fn s135_an_unreadable_record_is_no_session() {
    let world = World::new();
    let key = world.session_of("alice");
    let mut stored = world.stored(key).unwrap();
    for garbage in [&[][..], &[0], &[1], &[1, 0xff], b"{\"user\":\"alice\"}"] {
        stored.payload = Bytes::copy_from_slice(garbage);
        let unit = UnitOfWork::of_session(world.settings.clone(), key, &stored);
        assert!(unit.is_err());
    }
}

#[test]
fn s138_a_record_of_a_newer_version_is_not_a_damaged_one() {
    let world = World::new();
    let key = world.session_of("alice");
    let mut stored = world.stored(key).unwrap();
    stored.payload = Bytes::from_static(&[2]);
    let Err(Unusable::Newer(error)) = UnitOfWork::of_session(world.settings.clone(), key, &stored)
    else {
        panic!("a newer record was read or called damaged");
    };
    assert_eq!(error.kind(), StoreErrorKind::NewerFormat);
}

#[test]
fn s030_values_do_not_reach_the_identity() {
    let world = World::new();
    let mut visit = world.visit(world.anonymous());
    let before = visit.info();
    for name in [
        "user",
        "user_id",
        "_user",
        "_elevated_until",
        "elevations",
        "handle",
        "lifetime",
        "age",
        "absolute_deadline",
        "last_active_at",
        "",
    ] {
        visit.set_text(name, "alice").unwrap();
    }
    assert_identity_is_untouched(&visit, before);
    let key = visit.save().key();
    assert_identity_is_untouched(&world.visit(key), before);
}

#[test]
fn s030_removing_values_does_not_remove_the_identity() {
    let world = World::new();
    let mut visit = world.visit(world.elevated("alice", "payments"));
    for name in ["user", "user_id", "elevations", "handle"] {
        assert!(!visit.remove(name));
    }
    visit.clear();
    assert_eq!(visit.user(), Some("alice"));
    assert!(visit.is_elevated("payments"));
}

fn assert_identity_is_untouched(visit: &Visit<'_>, before: SessionInfo) {
    assert_eq!(visit.user(), None);
    for scope in ["general", "alice", ""] {
        assert!(!visit.is_elevated(scope));
    }
    assert_eq!(visit.info(), before);
}

proptest! {
    #[test]
    fn s030_no_name_and_no_value_reach_the_identity(name: String, value: Vec<u8>) {
        let world = World::new();
        let mut visit = world.visit(world.anonymous());
        let before = visit.info();
        if visit.unit.insert(&name, &value, world.now()).is_ok() {
            let key = visit.save().key();
            assert_identity_is_untouched(&world.visit(key), before);
        }
    }
}
