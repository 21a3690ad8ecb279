//! Elevations: granted to a user, for a scope, until a fixed end.

use super::*;
use crate::store::Deadline;

#[test]
fn s049_without_a_user_there_is_nothing_to_elevate() {
    let world = World::new();
    let key = world.anonymous();
    for mut visit in [world.without_cookie(), world.visit(key)] {
        let refused = visit.unit.elevate("general", world.now());
        assert!(matches!(refused, Err(ChangeError::NotAuthenticated)));
        assert!(!visit.is_elevated("general"));
        assert!(!visit.unit.is_dirty());
    }
}

#[test]
fn t24_an_elevation_comes_with_a_new_identifier_and_the_old_one_has_none() {
    let world = World::new();
    let old = world.session_of("alice");
    let mut visit = world.visit(old);
    visit.elevate("general");
    assert!(matches!(
        visit.step(),
        Step::Replace {
            deadline: Deadline::Keep(_),
            ..
        }
    ));
    let new = visit.save().key();
    assert!(world.visit(new).is_elevated("general"));
    assert_eq!(world.end_of(old), Some(EndReason::Replaced));
    assert!(!world.visit(old).is_elevated("general"));
}

#[test]
fn t59_an_elevation_does_not_slide() {
    let world = World::new();
    let key = world.elevated("alice", "general");
    let until = world.now().after(15 * MINUTE);
    for minute in 0..15 {
        let mut visit = world.visit(key);
        assert_eq!(visit.elevated_until("general"), Some(until));
        visit.set("minute", minute);
        visit.save().key();
        world.pass(MINUTE);
    }
    assert!(!world.visit(key).is_elevated("general"));
}

#[test]
fn t49_an_elevation_has_ended_at_its_deadline() {
    let world = World::new();
    let key = world.elevated("alice", "general");
    world.pass(15 * MINUTE - MILLI);
    assert!(world.visit(key).is_elevated("general"));
    world.pass(MILLI);
    assert!(!world.visit(key).is_elevated("general"));
}

#[test]
fn t60_an_elevation_ends_with_its_session() {
    let mut world = World::new();
    world.ordinary().timeouts = Timeouts::new(10 * MINUTE, HOUR).unwrap();
    let idle = world.elevated("alice", "general");
    world.pass(10 * MINUTE);
    assert!(!world.visit(idle).is_elevated("general"));

    let key = world.session_of("alice");
    for _ in 0..7 {
        world.pass(8 * MINUTE);
        world.visit(key).save();
    }
    let mut visit = world.visit(key);
    visit.elevate("general");
    let deadline = visit.info().absolute_deadline;
    assert_eq!(
        visit.elevated_until("general"),
        Some(deadline),
        "capped to what is left"
    );
    let key = visit.save().key();
    world.pass(4 * MINUTE - MILLI);
    assert!(world.visit(key).is_elevated("general"));
    world.pass(MILLI);
    assert!(!world.visit(key).is_elevated("general"));
}

#[test]
fn an_elevation_counts_for_its_scope_alone() {
    let world = World::new();
    let visit = world.visit(world.elevated("alice", "payments"));
    assert!(visit.is_elevated("payments"));
    for other in ["general", "payment", "payments ", "Payments", ""] {
        assert!(!visit.is_elevated(other));
    }
}

#[test]
fn elevating_again_renews_that_scope_and_leaves_the_others() {
    let world = World::new();
    let key = world.elevated("alice", "payments");
    let payments_until = world.now().after(15 * MINUTE);
    let mut visit = world.visit(key);
    visit.elevate("admin");
    let key = visit.save().key();

    world.pass(5 * MINUTE);
    let mut visit = world.visit(key);
    visit.elevate("admin");
    let key = visit.save().key();
    let visit = world.visit(key);
    assert_eq!(visit.elevated_until("payments"), Some(payments_until));
    assert_eq!(
        visit.elevated_until("admin"),
        Some(world.now().after(15 * MINUTE))
    );
    assert_eq!(
        visit
            .unit
            .view
            .0
            .as_ref()
            .unwrap()
            .record
            .head
            .elevations
            .len(),
        2
    );
}

#[test]
fn an_elevation_right_after_a_sign_in_lasts_as_long_as_any() {
    let world = World::new();
    let mut visit = world.visit(world.anonymous());
    visit.authenticate("alice");
    visit.elevate("general");
    let key = visit.save().key();
    let until = world.now().after(15 * MINUTE);
    assert_eq!(world.visit(key).elevated_until("general"), Some(until));
}

#[test]
fn t59_a_slow_sign_in_does_not_extend_the_elevation_after_it() {
    let world = World::new();
    let anonymous = world.anonymous();
    for mut visit in [world.without_cookie(), world.visit(anonymous)] {
        visit.authenticate("alice");
        world.pass(3 * MINUTE);
        visit.elevate("general");
        world.pass(2 * MINUTE);
        let key = visit.save().key();
        let until = world.now().after(15 * MINUTE);
        assert_eq!(world.visit(key).elevated_until("general"), Some(until));
        assert_eq!(visit.elevated_until("general"), Some(until));
    }
}

#[test]
fn writes_of_data_leave_an_elevation_as_it_is() {
    let world = World::new();
    let key = world.elevated("alice", "general");
    let until = world.visit(key).elevated_until("general");
    world.pass(MINUTE);
    let mut visit = world.visit(key);
    visit.set("cart", 2);
    assert_eq!(visit.elevated_until("general"), until);
    visit.save().key();
    assert_eq!(world.visit(key).elevated_until("general"), until);
}

#[test]
fn t24_a_new_identifier_ends_every_elevation() {
    let world = World::new();
    let mut visit = world.visit(world.elevated("alice", "payments"));
    visit.elevate("admin");
    visit.regenerate();
    assert_nothing_is_elevated(&visit);
    let key = visit.save().key();
    assert_nothing_is_elevated(&world.visit(key));
}

#[test]
fn an_elevation_after_a_new_identifier_counts() {
    let world = World::new();
    let mut visit = world.visit(world.elevated("alice", "payments"));
    visit.regenerate();
    visit.elevate("admin");
    let key = visit.save().key();
    let visit = world.visit(key);
    assert!(visit.is_elevated("admin") && !visit.is_elevated("payments"));
}

#[test]
fn t57_a_sign_in_of_any_user_ends_every_elevation() {
    let world = World::new();
    for user in ["alice", "bob"] {
        let mut visit = world.visit(world.elevated("alice", "payments"));
        visit.authenticate(user);
        assert_nothing_is_elevated(&visit);
        let key = visit.save().key();
        assert_nothing_is_elevated(&world.visit(key));
    }
}

#[test]
fn t57_no_elevation_survives_a_sign_out_and_a_sign_in() {
    let world = World::new();
    for user in ["alice", "bob"] {
        let mut visit = world.visit(world.elevated("alice", "payments"));
        visit.unit.terminate();
        assert_nothing_is_elevated(&visit);
        visit.authenticate(user);
        assert_nothing_is_elevated(&visit);
        let key = visit.save().key();
        assert_nothing_is_elevated(&world.visit(key));
    }
}

#[test]
fn s051_dropping_ends_every_elevation_under_a_new_identifier() {
    let world = World::new();
    let old = world.elevated("alice", "payments");
    let mut visit = world.visit(old);
    let before = visit.info();
    assert!(visit.drop_elevation());
    assert!(!visit.drop_elevation(), "there is nothing left to drop");
    let new = visit.save().key();
    assert_eq!(world.end_of(old), Some(EndReason::Replaced));
    let visit = world.visit(new);
    assert_nothing_is_elevated(&visit);
    assert_eq!(visit.info(), before);
    assert_eq!((visit.user(), visit.get("cart")), (Some("alice"), Some(1)));
}

#[test]
fn without_an_elevation_there_is_nothing_to_drop() {
    let world = World::new();
    let lapsed = world.elevated("alice", "payments");
    world.pass(15 * MINUTE);
    let plain = world.session_of("alice");
    for mut visit in [
        world.without_cookie(),
        world.visit(plain),
        world.visit(lapsed),
    ] {
        assert!(!visit.drop_elevation());
        assert!(!visit.unit.is_dirty());
    }
}

fn assert_nothing_is_elevated(visit: &Visit<'_>) {
    for scope in ["general", "payments", "admin"] {
        assert!(!visit.is_elevated(scope));
    }
}
