//! The changes of several requests in one write. Each request's are applied whole or not at all.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

/// The session as it is stored.
fn origin(world: &World, key: SessionIdHash) -> Origin {
    Origin::read(key, &world.stored(key).unwrap()).unwrap()
}

/// Does with a group what the layer does. `None` if another process was faster.
#[track_caller]
fn write(world: &World, group: Group) -> Option<Origin> {
    match group.step(world.now()).unwrap() {
        InPlace::Commit(write, activity) => {
            let commit =
                world
                    .store
                    .commit(Commit::new(group.key(), group.expected(), &write, activity));
            match ready(commit).unwrap() {
                Committed::Done(CommittedSession {
                    timing, revision, ..
                }) => Some(group.written(timing, revision)),
                Committed::Conflict(_) => None,
                Committed::Gone => panic!("the session has ended"),
            }
        }
        step => panic!("nothing is written: {step:?}"),
    }
}

fn gathered(world: &World, key: SessionIdHash, visits: &mut [Visit<'_>]) -> Group {
    let mut group = Group::on(origin(world, key));
    for visit in visits {
        group.add(&mut visit.unit, visit.activity).unwrap();
    }
    group
}

#[test]
fn rule_9_the_changes_of_all_are_in_one_write() {
    let world = World::new();
    let key = world.anonymous();
    let mut visits = [world.visit(key), world.visit(key), world.visit(key)];
    visits[0].count_up("cart").unwrap();
    visits[1].count_up("cart").unwrap();
    visits[1].set("a", 1);
    visits[2].set("b", 2);
    let group = gathered(&world, key, &mut visits);
    let stored = write(&world, group).unwrap();
    for visit in &mut visits {
        visit.unit.written_as(&stored);
        assert!(!visit.unit.is_dirty());
    }
    for visit in visits.into_iter().chain([world.visit(key)]) {
        assert_eq!(visit.get("cart"), Some(3));
        assert_eq!((visit.get("a"), visit.get("b")), (Some(1), Some(2)));
    }
}

#[test]
fn the_later_change_in_a_group_wins() {
    let world = World::new();
    let key = world.anonymous();
    let mut visits = [world.visit(key), world.visit(key), world.visit(key)];
    visits[0].set("cart", 7);
    visits[0].set("a", 1);
    visits[1].unit.clear(world.now()).unwrap();
    visits[2].count_up("cart").unwrap();
    visits[2].set("b", 2);
    let group = gathered(&world, key, &mut visits);
    write(&world, group).unwrap();
    let visit = world.visit(key);
    assert_eq!((visit.get("cart"), visit.get("a")), (Some(1), None));
    assert_eq!(visit.get("b"), Some(2));
}

#[test]
fn a_group_that_begins_with_a_request_does_not_apply_its_changes_again() {
    let world = World::new();
    let key = world.anonymous();
    let mut first = world.visit(key);
    let mut calls = 0;
    let change = move |n: &mut u32| {
        calls += 1;
        *n = calls;
    };
    first.unit.update(&"calls", change, world.now()).unwrap();
    let mut group = Group::of(&first.unit, Activity::Active).unwrap();
    let mut second = world.visit(key);
    second.set("a", 1);
    group.add(&mut second.unit, Activity::Active).unwrap();
    write(&world, group).unwrap();
    let visit = world.visit(key);
    assert_eq!((visit.get("calls"), visit.get("a")), (Some(1), Some(1)));
    assert!(Group::of(&world.without_cookie().unit, Activity::Active).is_none());
}

/// Checks that a request is left out whole if its first change is possible and its second is not.
#[track_caller]
fn is_left_out(spoil: impl FnOnce(&mut Visit<'_>), expected: impl FnOnce(ChangeError) -> bool) {
    let world = World::new();
    let key = world.anonymous();
    let [mut before, mut bad, mut after] = [world.visit(key), world.visit(key), world.visit(key)];
    before.set_text("text", &"t".repeat(500)).unwrap();
    bad.set("cart", 9);
    spoil(&mut bad);
    after.count_up("cart").unwrap();
    let mut group = gathered(&world, key, std::slice::from_mut(&mut before));
    let refused = group.add(&mut bad.unit, Activity::Active).unwrap_err();
    assert!(expected(refused));
    group.add(&mut after.unit, Activity::Active).unwrap();
    write(&world, group).unwrap();
    assert_eq!(world.visit(key).get("cart"), Some(2));
}

#[test]
fn a_request_that_exceeds_the_limit_is_left_out_whole() {
    is_left_out(
        |bad| bad.set_text("large", &"l".repeat(500)).unwrap(),
        |error| matches!(error, ChangeError::TooLarge { limit: 1000, .. }),
    );
}

#[test]
fn a_request_that_finds_another_type_is_left_out_whole() {
    is_left_out(
        |bad| bad.count_up("text").unwrap(),
        |error| matches!(error, ChangeError::Decode { ref key, .. } if key == "text"),
    );
}

#[test]
fn a_request_that_panics_is_left_out_whole() {
    let world = World::new();
    let key = world.anonymous();
    let [mut bad, mut good] = [world.visit(key), world.visit(key)];
    let mut first = true;
    let change = move |_: &mut u32| assert!(std::mem::take(&mut first), "as the test wants");
    bad.set("cart", 9);
    bad.unit.update(&"n", change, world.now()).unwrap();
    good.count_up("cart").unwrap();
    let mut group = Group::on(origin(&world, key));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _ = group.add(&mut bad.unit, Activity::Active);
    }));
    assert!(panicked.is_err());
    group.add(&mut good.unit, Activity::Active).unwrap();
    write(&world, group).unwrap();
    let visit = world.visit(key);
    assert_eq!((visit.get("cart"), visit.get("n")), (Some(2), None));
}

#[test]
fn a_group_that_lost_to_another_process_is_applied_to_what_that_wrote() {
    let world = World::new();
    let key = world.anonymous();
    let mut visits = [world.visit(key), world.visit(key)];
    for visit in &mut visits {
        visit.count_up("cart").unwrap();
    }
    let group = gathered(&world, key, &mut visits);
    let mut elsewhere = world.visit(key);
    elsewhere.count_up("cart").unwrap();
    elsewhere.save().key();
    assert!(write(&world, group).is_none());
    let group = gathered(&world, key, &mut visits);
    write(&world, group).unwrap();
    assert_eq!(world.visit(key).get("cart"), Some(4));
}

#[test]
fn rule_6_a_group_is_activity_if_one_request_is_and_a_step_has_passed() {
    let world = World::new();
    let key = world.anonymous();
    for (minutes, one_is_active, expected) in [
        (0, true, Activity::Passive),
        (5, false, Activity::Passive),
        (5, true, Activity::Active),
    ] {
        world.pass(minutes * MINUTE);
        let mut visits = [world.visit(key), world.visit(key)];
        for visit in &mut visits {
            visit.count_up("cart").unwrap();
            visit.activity = Activity::Passive;
        }
        if one_is_active {
            visits[0].activity = Activity::Active;
        }
        let group = gathered(&world, key, &mut visits);
        match group.step(world.now()).unwrap() {
            InPlace::Commit(_, activity) => assert_eq!(activity, expected),
            step => panic!("nothing is written: {step:?}"),
        }
    }
}

#[test]
fn a_group_that_changes_nothing_is_not_written() {
    let world = World::new();
    let key = world.anonymous();
    let mut visits = [world.visit(key), world.visit(key)];
    visits[0].set("cart", 5);
    visits[1].set("cart", 1);
    let group = gathered(&world, key, &mut visits);
    assert!(matches!(group.step(world.now()), Ok(InPlace::Nothing)));
    world.pass(5 * MINUTE);
    assert!(matches!(group.step(world.now()), Ok(InPlace::Touch(..))));
    assert!(visits[0].unit.extend(world.now()).unwrap());
    let group = gathered(&world, key, &mut visits);
    assert!(matches!(group.step(world.now()), Ok(InPlace::Extend(..))));
    assert_eq!(world.visit(key).get("cart"), Some(1));
}

#[test]
fn rule_3_a_rotation_starts_from_what_was_written_before_its_turn() {
    let world = World::new();
    let key = world.session_of("alice");
    let mut rotation = world.visit(key);
    rotation.regenerate();
    let mut visits = [world.visit(key), world.visit(key)];
    for visit in &mut visits {
        visit.count_up("cart").unwrap();
    }
    let group = gathered(&world, key, &mut visits);
    let known = write(&world, group).unwrap();
    rotation.unit.rebase_on(known).unwrap();
    let new = rotation.save().key();
    assert_eq!(world.visit(new).get("cart"), Some(3));
    assert_eq!(world.stored(key), None);
}

#[test]
fn a_group_knows_whether_a_request_has_read_the_write_that_it_builds_on() {
    let world = World::new();
    let key = world.anonymous();
    let (before, mut first) = (world.visit(key), world.visit(key));
    first.set("a", 1);
    let group = gathered(&world, key, &mut [first]);
    assert!(group.builds_on_what_was_seen_by(&before.unit));
    write(&world, group).unwrap();
    let group = Group::on(origin(&world, key));
    assert!(!group.builds_on_what_was_seen_by(&before.unit));
    assert!(group.builds_on_what_was_seen_by(&world.visit(key).unit));
    assert!(!group.builds_on_what_was_seen_by(&world.without_cookie().unit));
}
