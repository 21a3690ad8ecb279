//! A handler that fails or refuses grants nothing. What takes rights away is carried out in every
//! case.

use super::*;
use crate::store::Deadline;

#[test]
fn s139_a_failed_request_writes_no_data() {
    let world = World::new();
    let key = world.session_of("alice");
    let mut visit = world.visit(key);
    visit.set("cart", 2);
    visit.count_up("visits").unwrap();
    visit.clear();
    visit.fail();
    assert!(matches!(visit.step(), Step::Nothing));
    assert_eq!(visit.get("cart"), Some(1), "it shows what is stored");
    assert!(!visit.unit.is_dirty());
}

#[test]
fn a_failed_request_starts_no_session() {
    let world = World::new();
    let mut visit = world.without_cookie();
    visit.set("cart", 1);
    visit.authenticate("alice");
    visit.elevate("general");
    visit.regenerate();
    visit.fail();
    assert!(matches!(visit.step(), Step::Nothing));
    assert!(!visit.unit.view().exists());
}

#[test]
fn a_failed_sign_in_binds_no_user() {
    let world = World::new();
    let anonymous = world.anonymous();
    let mut visit = world.visit(anonymous);
    visit.authenticate("alice");
    visit.fail();
    assert!(matches!(visit.step(), Step::Nothing));
    assert_eq!(visit.user(), None);

    let mut visit = world.visit(world.session_of("alice"));
    visit.authenticate("bob");
    visit.fail();
    assert!(matches!(visit.step(), Step::Nothing));
    assert_eq!((visit.user(), visit.get("cart")), (Some("alice"), Some(1)));
}

#[test]
fn s054_a_failed_request_grants_no_elevation() {
    let world = World::new();
    let mut visit = world.visit(world.session_of("alice"));
    visit.elevate("general");
    visit.fail();
    assert!(!visit.is_elevated("general"));
    assert!(matches!(visit.step(), Step::Nothing));
}

#[test]
fn a_failed_request_prolongs_no_elevation() {
    let world = World::new();
    let key = world.elevated("alice", "general");
    let until = world.visit(key).elevated_until("general");
    world.pass(MINUTE);
    let mut visit = world.visit(key);
    visit.elevate("general");
    visit.fail();
    assert_eq!(visit.elevated_until("general"), until);
}

/// Checks that the session under `old` continues under a new identifier, without any other change.
fn saves_a_new_identifier_alone(world: &World, old: SessionIdHash, mut visit: Visit<'_>) {
    assert!(matches!(
        visit.step(),
        Step::Replace {
            deadline: Deadline::Keep(_),
            ..
        }
    ));
    let new = visit.save().key();
    assert_eq!(world.end_of(old), Some(EndReason::Replaced));
    let visit = world.visit(new);
    assert_eq!((visit.user(), visit.get("cart")), (Some("alice"), Some(1)));
    assert!(!visit.is_elevated("general"));
}

#[test]
fn a_failed_request_still_gets_its_new_identifier() {
    let world = World::new();
    let old = world.elevated("alice", "general");
    let mut visit = world.visit(old);
    visit.set("cart", 2);
    visit.regenerate();
    visit.elevate("general");
    visit.fail();
    saves_a_new_identifier_alone(&world, old, visit);
}

#[test]
fn a_failed_request_still_drops_an_elevation() {
    let world = World::new();
    let old = world.elevated("alice", "general");
    let mut visit = world.visit(old);
    assert!(visit.drop_elevation());
    visit.set("cart", 2);
    visit.fail();
    let new = visit.save().key();
    assert_eq!(world.end_of(old), Some(EndReason::Replaced));
    let visit = world.visit(new);
    assert!(!visit.is_elevated("general"));
    assert_eq!(visit.get("cart"), Some(1));
}

#[test]
fn a_failed_request_still_ends_its_session_and_does_nothing_after_it() {
    let world = World::new();
    let key = world.session_of("alice");
    let mut visit = world.visit(key);
    visit.unit.terminate();
    visit.authenticate("bob");
    visit.regenerate();
    visit.fail();
    assert_eq!(visit.end(), Some((key, EndReason::SignedOut)));
    assert!(matches!(visit.step(), Step::Nothing));
    visit.save();
    assert_eq!(world.store.live(), 0);
}

#[test]
fn a_write_that_was_stored_before_the_failure_stays() {
    let world = World::new();
    let key = world.session_of("alice");
    let mut visit = world.visit(key);
    visit.set("cart", 2);
    visit.save().key();
    visit.set("cart", 3);
    visit.fail();
    assert!(matches!(visit.save(), Saved::Nothing));
    assert_eq!(visit.get("cart"), Some(2));
    assert_eq!(world.visit(key).get("cart"), Some(2));
}

#[test]
fn a_request_whose_response_carries_no_cookie_keeps_its_end_alone() {
    let world = World::new();
    let key = world.session_of("alice");
    let mut visit = world.visit(key);
    visit.set("cart", 2);
    visit.regenerate();
    visit.unit.retain_only_the_end();
    assert!(matches!(visit.step(), Step::Nothing));
    assert_eq!(visit.get("cart"), Some(1));

    let mut visit = world.visit(key);
    visit.unit.terminate();
    visit.authenticate("bob");
    visit.unit.retain_only_the_end();
    assert_eq!(visit.end(), Some((key, EndReason::SignedOut)));
    assert!(matches!(visit.step(), Step::Nothing));
    assert_eq!(visit.user(), None);
}

#[test]
fn a_refused_sign_in_binds_no_user_and_later_writes_are_dropped() {
    let world = World::new();
    for key in [world.anonymous(), world.session_of("alice")] {
        let mut visit = world.visit(key);
        let user = visit.user().map(str::to_owned);
        visit.set("attempts", 1);
        visit.authenticate("bob");
        visit.set("attempts", 0);
        visit.set("cart", 2);
        visit.refuse();
        assert_eq!(visit.user(), user.as_deref());
        assert!(matches!(visit.step(), Step::Commit { .. }));
        assert_eq!(visit.events(), []);
        assert_eq!(visit.save().key(), key, "the identifier stays");
        let visit = world.visit(key);
        assert_eq!(
            (visit.get("attempts"), visit.get("cart")),
            (Some(1), Some(1))
        );
    }
}

#[test]
fn a_refused_elevation_is_not_granted_and_later_writes_are_dropped() {
    let world = World::new();
    let key = world.session_of("alice");
    let mut visit = world.visit(key);
    visit.elevate("general");
    visit.set("cart", 2);
    visit.refuse();
    assert!(!visit.is_elevated("general"));
    assert!(matches!(visit.step(), Step::Nothing));
    assert!(!visit.unit.is_dirty());
}

#[test]
fn without_a_grant_a_refused_request_writes_all_it_wanted() {
    let world = World::new();
    let mut visit = world.visit(world.elevated("alice", "general"));
    visit.set("cart", 2);
    visit.regenerate();
    visit.count_up("cart").unwrap();
    assert!(!visit.unit.rollback_grants(), "there is nothing to drop");
    let new = visit.save().key();
    assert_eq!(world.visit(new).get("cart"), Some(3));
}

#[test]
fn a_refused_visitor_begins_a_session_with_the_writes_before_the_sign_in() {
    let world = World::new();
    let mut visit = world.without_cookie();
    visit.set("attempts", 1);
    visit.authenticate("alice");
    visit.elevate("general");
    visit.refuse();
    assert_eq!(visit.events(), [EventKind::Created]);
    let key = visit.save().key();
    let visit = world.visit(key);
    assert_eq!((visit.user(), visit.get("attempts")), (None, Some(1)));

    let mut visit = world.without_cookie();
    visit.authenticate("alice");
    visit.set("attempts", 1);
    visit.refuse();
    assert!(matches!(visit.step(), Step::Nothing));
    assert!(!visit.unit.view().exists());
}

#[test]
fn a_new_identifier_after_a_refused_grant_is_given_to_the_previous_session() {
    let world = World::new();
    let old = world.elevated("alice", "general");
    let mut visit = world.visit(old);
    visit.authenticate("bob");
    visit.regenerate();
    visit.set("cart", 2);
    visit.refuse();
    assert_eq!(visit.events(), [EventKind::Regenerated]);
    saves_a_new_identifier_alone(&world, old, visit);
}

#[test]
fn an_elevation_that_is_dropped_after_a_refused_sign_in_stays_dropped() {
    let world = World::new();
    for undo in [Visit::refuse, Visit::fail] {
        let old = world.elevated("alice", "general");
        let mut visit = world.visit(old);
        visit.authenticate("bob");
        assert!(!visit.drop_elevation(), "the sign-in ended it");
        undo(&mut visit);
        assert_eq!(visit.events(), [EventKind::ElevationDropped]);
        let visit = world.visit(visit.save().key());
        assert_eq!(visit.user(), Some("alice"));
        assert!(!visit.is_elevated("general"));
    }
}

#[test]
fn a_granted_sign_in_logs_nothing_of_the_elevations_that_it_ended() {
    let world = World::new();
    let mut visit = world.visit(world.elevated("alice", "general"));
    visit.authenticate("alice");
    visit.drop_elevation();
    assert_eq!(visit.events(), [EventKind::Authenticated]);
}

#[test]
fn a_refused_sign_in_after_a_sign_out_leaves_the_sign_out() {
    let world = World::new();
    let key = world.session_of("alice");
    let mut visit = world.visit(key);
    visit.unit.terminate();
    visit.set("flash", 1);
    visit.authenticate("bob");
    visit.refuse();
    assert_eq!(visit.end(), Some((key, EndReason::SignedOut)));
    let visit = world.visit(visit.save().key());
    assert_eq!((visit.user(), visit.get("flash")), (None, Some(1)));
    assert_eq!(world.store.live(), 1);
}

#[test]
fn a_sign_out_that_ends_nothing_is_refused_unless_a_sign_in_after_it_is_granted() {
    let world = World::new();
    let old = world.session_of("alice");
    let mut visit = world.visit(old);
    visit.regenerate();
    visit.save().key();
    let end_and_sign_in = || {
        let mut visit = world.visit(old);
        visit.unit.terminate();
        visit.authenticate("bob");
        visit
    };
    for undo in [Visit::refuse, Visit::fail] {
        let mut visit = end_and_sign_in();
        undo(&mut visit);
        assert!(matches!(visit.save(), Saved::Refused));
    }
    let mut visit = end_and_sign_in();
    visit.save().key();
    assert!(matches!(visit.step(), Step::Nothing), "it is done");
}

#[test]
fn an_extension_holds_if_it_was_asked_for_before_the_refused_grant() {
    let world = World::new();
    let key = world.session_of("alice");
    let extended = |extends_first: bool| {
        let mut visit = world.visit(key);
        visit.activity = Activity::Passive;
        if extends_first {
            visit.extend();
        }
        visit.elevate("general");
        visit.extend();
        visit.refuse();
        visit.step()
    };
    assert!(matches!(extended(true), Step::Extend { .. }));
    assert!(matches!(extended(false), Step::Nothing));
}

#[test]
fn the_rest_of_a_refused_request_is_applied_to_what_another_request_wrote() {
    let world = World::new();
    let key = world.session_of("alice");
    let mut visit = world.visit(key);
    visit.count_up("cart").unwrap();
    let mut other = world.visit(key);
    other.count_up("cart").unwrap();
    other.save().key();
    visit.elevate("general");
    visit.count_up("cart").unwrap();
    visit.refuse();
    visit.save().key();
    assert_eq!(world.visit(key).get("cart"), Some(3));
}

#[test]
fn a_refusal_after_a_conflict_returns_to_what_the_other_request_wrote() {
    let world = World::new();
    let key = world.session_of("alice");
    let mut visit = world.visit(key);
    visit.count_up("cart").unwrap();
    visit.authenticate("bob");
    let mut other = world.visit(key);
    other.set("cart", 5);
    other.save().key();
    visit.unit.rebase(&world.stored(key).unwrap()).unwrap();
    visit.refuse();
    assert_eq!((visit.user(), visit.get("cart")), (Some("alice"), Some(6)));
    visit.save().key();
    assert_eq!(world.visit(key).get("cart"), Some(6));
}

#[test]
fn a_refusal_calls_no_function_of_the_application() {
    let world = World::new();
    let mut visit = world.visit(world.session_of("alice"));
    let (called, now) = (Arc::new(std::sync::Mutex::new(0)), visit.now());
    let calls = called.clone();
    let change = move |_: &mut u32| *calls.lock().unwrap() += 1;
    visit.unit.update(&"cart", change, now).unwrap();
    visit.elevate("general");
    visit.refuse();
    assert_eq!(*called.lock().unwrap(), 1);
}
