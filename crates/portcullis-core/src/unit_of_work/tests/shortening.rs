//! The application shortens the timeouts of one session.

use super::*;
use crate::policy::Why;

const FIVE: Duration = Duration::from_secs(5 * 60);

/// Shortens the timeouts of the session under `key`.
fn shorten(world: &World, key: SessionIdHash, idle: Option<Duration>, left: Option<Duration>) {
    let mut visit = world.visit(key);
    assert!(visit.shorten(idle, left));
    visit.save();
}

#[test]
fn a_shortened_idle_timeout_holds_until_the_next_authentication() {
    let world = World::new();
    let key = world.session_of("alice");
    shorten(&world, key, Some(FIVE), None);
    assert_eq!(world.visit(key).info().idle_timeout, FIVE);
    let mut visit = world.visit(key);
    visit.elevate("general");
    let key = visit.save().key();
    assert_eq!(world.visit(key).info().idle_timeout, FIVE);
    let mut visit = world.visit(key);
    visit.authenticate("alice");
    let key = visit.save().key();
    assert_eq!(world.visit(key).info().idle_timeout, 30 * MINUTE);
    shorten(&world, key, Some(FIVE), None);
    world.pass(FIVE);
    assert!(world.stored(key).is_none());
}

#[test]
fn a_shortened_session_ends_early_and_everything_else_keeps_its_moment() {
    let world = World::new();
    let key = world.elevated("alice", "general");
    world.pass(MINUTE);
    let before = world.visit(key);
    let (info, elevated) = (before.info(), before.elevated_until("general"));
    shorten(&world, key, None, Some(20 * MINUTE));
    let after = world.visit(key);
    assert_eq!(
        after.info().absolute_deadline,
        world.now().after(20 * MINUTE)
    );
    assert_eq!(after.info().created_at, info.created_at);
    assert_eq!(after.info().authenticated_at, info.authenticated_at);
    assert_eq!(after.elevated_until("general"), elevated);
    shorten(&world, key, None, Some(FIVE));
    let ends = world.visit(key).elevated_until("general");
    assert_eq!(ends, Some(world.now().after(FIVE)));
    world.pass(FIVE);
    assert!(world.stored(key).is_none());
}

#[test]
fn what_would_lengthen_a_session_changes_nothing() {
    let world = World::new();
    let key = world.session_of("alice");
    let mut visit = world.visit(key);
    assert!(!visit.shorten(Some(31 * MINUTE), Some(25 * 60 * MINUTE)));
    assert!(!visit.unit.is_dirty());
    assert!(!world.without_cookie().shorten(Some(FIVE), Some(FIVE)));
}

#[test]
fn less_than_a_second_counts_as_a_second() {
    let world = World::new();
    let key = world.session_of("alice");
    let mut visit = world.visit(key);
    assert!(visit.shorten(Some(Duration::ZERO), Some(Duration::ZERO)));
    let info = visit.info();
    assert_eq!(info.idle_timeout, Duration::from_secs(1));
    assert_eq!(
        info.absolute_deadline,
        world.now().after(Duration::from_secs(1))
    );
}

#[test]
fn a_sign_in_can_be_shortened_in_the_same_request_also_before_its_class_is_set() {
    let world = World::new();
    for remembers in [false, true] {
        let mut visit = world.without_cookie();
        visit.authenticate("alice");
        assert!(visit.shorten(Some(FIVE), Some(20 * MINUTE)));
        if remembers {
            visit.unit.remember(world.now()).unwrap();
        }
        let key = visit.save().key();
        let info = world.visit(key).info();
        assert_eq!(info.idle_timeout, FIVE);
        assert_eq!(info.absolute_deadline, world.now().after(20 * MINUTE));
    }
}

#[test]
fn rule_13_it_takes_effect_also_if_the_request_fails() {
    let world = World::new();
    let key = world.session_of("alice");
    let mut visit = world.visit(key);
    visit.set("cart", 2);
    visit.shorten(Some(FIVE), None);
    visit.fail();
    visit.save();
    let after = world.visit(key);
    assert_eq!(after.get("cart"), Some(1));
    assert_eq!(after.info().idle_timeout, FIVE);
}

#[test]
fn rule_12_it_is_logged_once() {
    let world = World::new();
    let key = world.session_of("alice");
    let before = world.log().len();
    let mut visit = world.visit(key);
    visit.shorten(Some(FIVE), None);
    visit.shorten(None, Some(FIVE));
    visit.save();
    assert_eq!(world.log().split_off(before), [EventKind::Shortened]);
}

#[test]
fn the_explanation_says_that_the_application_shortened_it() {
    let world = World::new();
    let key = world.session_of("alice");
    shorten(&world, key, Some(FIVE), Some(20 * MINUTE));
    let (policy, now) = (&world.settings.policy, world.now());
    let explanation = world.visit(key).unit.view().explain(policy, now);
    let why: Vec<_> = explanation
        .unwrap()
        .limits
        .into_iter()
        .map(|limit| limit.why)
        .collect();
    assert_eq!(why[..2], [Why::Shortened, Why::Shortened]);
}
