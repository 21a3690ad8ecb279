//! A handler that fails grants nothing; what takes rights away is carried out all the same.

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
    assert!(!visit.draft.is_dirty());
}

#[test]
fn a_failed_request_starts_no_session() {
    let world = World::new();
    let mut visit = world.stranger();
    visit.set("cart", 1);
    visit.authenticate("alice");
    visit.elevate("general");
    visit.regenerate();
    visit.fail();
    assert!(matches!(visit.step(), Step::Nothing));
    assert!(!visit.draft.view().exists());
}

#[test]
fn a_failed_sign_in_binds_nobody() {
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

#[test]
fn a_new_identifier_is_given_all_the_same() {
    let world = World::new();
    let old = world.elevated("alice", "general");
    let mut visit = world.visit(old);
    visit.set("cart", 2);
    visit.regenerate();
    visit.elevate("general");
    visit.fail();
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
fn an_elevation_is_dropped_all_the_same() {
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
fn an_end_is_carried_out_all_the_same_and_nothing_after_it() {
    let world = World::new();
    let key = world.session_of("alice");
    let mut visit = world.visit(key);
    visit.draft.terminate();
    visit.authenticate("bob");
    visit.regenerate();
    visit.fail();
    assert_eq!(visit.end(), Some((key, EndReason::SignedOut)));
    assert!(matches!(visit.step(), Step::Nothing));
    visit.save();
    assert_eq!(world.store.live(), 0);
}

#[test]
fn what_was_written_before_the_failure_stays() {
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
fn a_request_whose_answer_carries_no_cookie_keeps_its_end_alone() {
    let world = World::new();
    let key = world.session_of("alice");
    let mut visit = world.visit(key);
    visit.set("cart", 2);
    visit.regenerate();
    visit.draft.keep_only_the_end();
    assert!(matches!(visit.step(), Step::Nothing));
    assert_eq!(visit.get("cart"), Some(1));

    let mut visit = world.visit(key);
    visit.draft.terminate();
    visit.authenticate("bob");
    visit.draft.keep_only_the_end();
    assert_eq!(visit.end(), Some((key, EndReason::SignedOut)));
    assert!(matches!(visit.step(), Step::Nothing));
    assert_eq!(visit.user(), None);
}
