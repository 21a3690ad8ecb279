//! An end is final: for the request that ends a session, and for requests under way with it.

use super::*;

#[test]
fn s059_an_end_drops_all_other_operations() {
    let world = World::new();
    let key = world.elevated("alice", "general");
    let mut visit = world.visit(key);
    visit.set("cart", 9);
    visit.regenerate();
    visit.unit.terminate();
    assert_eq!(visit.end(), Some((key, EndReason::SignedOut)));
    assert!(
        matches!(visit.step(), Step::Nothing),
        "what was asked for before is dropped"
    );
    assert!(matches!(visit.save(), Saved::Nothing));
    assert!(!visit.unit.is_dirty());
    assert_eq!(world.end_of(key), Some(EndReason::SignedOut));
    assert_eq!(world.store.live(), 0);
}

#[test]
fn after_ending_the_handler_sees_no_session() {
    let world = World::new();
    let mut visit = world.visit(world.elevated("alice", "general"));
    visit.unit.terminate();
    assert_eq!((visit.user(), visit.get("cart")), (None, None));
    assert!(!visit.is_elevated("general"));
    assert!(!visit.unit.view().exists());
    visit.regenerate();
    assert!(!visit.drop_elevation() && !visit.remove("cart"));
    assert!(matches!(visit.step(), Step::Nothing));
    let elevated = visit.unit.elevate("general", world.now());
    assert!(matches!(elevated, Err(ChangeError::NotAuthenticated)));
}

#[test]
fn s062_ending_twice_is_ending_once() {
    let world = World::new();
    let key = world.session_of("alice");
    let mut visit = world.visit(key);
    visit.unit.terminate();
    visit.unit.terminate();
    assert_eq!(visit.end(), Some((key, EndReason::SignedOut)));
    visit.save();
    assert!(visit.plan().ends.is_empty());
    visit.unit.terminate();
    assert!(visit.plan().ends.is_empty() && !visit.unit.is_dirty());
}

#[test]
fn a_write_after_an_end_starts_another_session() {
    let world = World::new();
    let old = world.session_of("alice");
    let before = world.visit(old).info();
    let mut visit = world.visit(old);
    visit.unit.terminate();
    visit.set("flash", 1);
    assert_eq!(visit.end(), Some((old, EndReason::SignedOut)));
    assert!(matches!(visit.step(), Step::Create { .. }));

    let new = visit.save().key();
    assert_ne!(new, old);
    assert_eq!(world.end_of(old), Some(EndReason::SignedOut));
    let visit = world.visit(new);
    assert_eq!((visit.user(), visit.get("cart")), (None, None));
    assert_eq!(visit.get("flash"), Some(1));
    assert_ne!(visit.info().handle, before.handle);
}

#[test]
fn signing_in_after_an_end_starts_another_session_even_for_the_same_user() {
    let world = World::new();
    let old = world.session_of("alice");
    let before = world.visit(old).info();
    let mut visit = world.visit(old);
    visit.unit.terminate();
    visit.authenticate("alice");
    assert_eq!(visit.end(), Some((old, EndReason::SignedOut)));
    assert!(
        matches!(visit.step(), Step::Create { ref id, .. } if id.key().bucket() == old.bucket())
    );

    let new = visit.save().key();
    assert_eq!(world.end_of(old), Some(EndReason::SignedOut));
    let visit = world.visit(new);
    assert_eq!((visit.user(), visit.get("cart")), (Some("alice"), None));
    assert_ne!(visit.info().handle, before.handle);
}

#[test]
fn a_session_started_after_an_end_can_be_ended_too() {
    let world = World::new();
    let mut visit = world.visit(world.session_of("alice"));
    visit.unit.terminate();
    visit.set("flash", 1);
    let key = visit.save().key();
    visit.unit.terminate();
    assert_eq!(visit.end(), Some((key, EndReason::SignedOut)));
    visit.save();
    assert_eq!(world.store.live(), 0);
}

type Operation = fn(&mut Visit<'_>);

/// All operations that a handler can ask for.
const OPERATIONS: [(&str, Operation); 8] = [
    ("a write", |visit| visit.set("cart", 2)),
    ("an update", |visit| visit.count_up("cart").unwrap()),
    ("a removal", |visit| assert!(visit.remove("cart"))),
    ("a clearing", |visit| visit.clear()),
    ("a new identifier", |visit| visit.regenerate()),
    ("an elevation", |visit| visit.elevate("general")),
    ("its drop", |visit| assert!(visit.drop_elevation())),
    ("a sign-in", |visit| visit.authenticate("alice")),
];

#[test]
fn t01_no_operation_of_a_slow_request_outlives_a_sign_out() {
    for (what, operation) in OPERATIONS {
        let world = World::new();
        let key = world.elevated("alice", "payments");
        let mut slow = world.visit(key);
        operation(&mut slow);
        let mut leaving = world.visit(key);
        leaving.unit.terminate();
        leaving.save();

        let saved = slow.save();
        assert!(matches!(saved, Saved::Lost), "{what}: {saved:?}");
        assert_eq!(world.end_of(key), Some(EndReason::SignedOut), "{what}");
        assert_eq!(world.store.live(), 0, "{what}");
        assert_eq!(slow.user(), None, "{what}");
    }
}

#[test]
fn t02_a_slow_request_that_only_read_does_not_bring_the_session_back() {
    let world = World::new();
    let key = world.session_of("alice");
    world.pass(5 * MINUTE);
    let mut slow = world.visit(key);
    let mut leaving = world.visit(key);
    leaving.unit.terminate();
    leaving.save();

    assert!(matches!(slow.step(), Step::Touch { .. }));
    assert!(matches!(slow.save(), Saved::Lost));
    assert_eq!(world.store.live(), 0);
}

#[test]
fn t22_no_operation_of_a_slow_request_reaches_a_replaced_identifier() {
    for (what, operation) in OPERATIONS {
        let world = World::new();
        let old = world.elevated("alice", "payments");
        let mut slow = world.visit(old);
        operation(&mut slow);
        let mut rotating = world.visit(old);
        rotating.regenerate();
        let new = rotating.save().key();
        let stored = world.stored(new);

        let saved = slow.save();
        assert!(matches!(saved, Saved::Lost), "{what}: {saved:?}");
        assert_eq!(world.end_of(old), Some(EndReason::Replaced), "{what}");
        assert_eq!(world.stored(new), stored, "{what}");
        assert_eq!(world.store.live(), 1, "{what}");
    }
}

#[test]
fn t40_no_operation_of_a_slow_request_outlives_a_deadline() {
    for (what, operation) in OPERATIONS {
        let world = World::new();
        let key = world.elevated("alice", "payments");
        let mut slow = world.visit(key);
        operation(&mut slow);
        world.pass(30 * MINUTE);

        let saved = slow.save();
        assert!(matches!(saved, Saved::Lost), "{what}: {saved:?}");
        assert_eq!(world.store.live(), 0, "{what}");
    }
}

#[test]
fn an_end_wins_over_writes_it_did_not_see() {
    let world = World::new();
    let key = world.session_of("alice");
    let mut leaving = world.visit(key);
    leaving.unit.terminate();
    let mut writing = world.visit(key);
    writing.set("cart", 2);
    writing.save().key();
    leaving.save();
    assert_eq!(world.end_of(key), Some(EndReason::SignedOut));
}

#[test]
fn t26_a_request_that_lost_its_session_starts_one_only_by_a_sign_in() {
    let world = World::new();
    for reason in [EndReason::SignedOut, EndReason::Replaced] {
        let key = world.session_of("alice");
        let mut slow = world.visit(key);
        slow.set("cart", 2);
        let mut faster = world.visit(key);
        match reason {
            EndReason::Replaced => faster.regenerate(),
            _ => faster.unit.terminate(),
        }
        faster.save();
        assert!(matches!(slow.save(), Saved::Lost));

        slow.set("cart", 3);
        assert!(matches!(slow.save(), Saved::Refused));
        slow.authenticate("alice");
        assert!(matches!(slow.step(), Step::Create { .. }));
    }
}
