//! Two live sessions that came with one request, of which neither counts.

use super::*;

/// A request with the sessions of these keys.
fn with_both(world: &World, keys: [SessionIdHash; 2]) -> Visit<'_> {
    let candidates = keys.map(|key| Origin::read(key, &world.stored(key).unwrap()).unwrap());
    world.visit_with(UnitOfWork::of_candidates(
        world.settings.clone(),
        candidates,
    ))
}

fn ends(visit: &Visit<'_>) -> Vec<(SessionIdHash, EndReason)> {
    let plan = visit.plan();
    let ends = plan.ends.into_iter();
    ends.map(|ending| (ending.key, ending.reason)).collect()
}

#[test]
fn a_request_with_two_sessions_sees_none_and_asks_nothing_of_the_store() {
    let world = World::new();
    let keys = [world.elevated("alice", "general"), world.anonymous()];
    let mut visit = with_both(&world, keys);
    assert_eq!((visit.user(), visit.get("cart")), (None, None));
    visit.regenerate();
    assert!(!visit.drop_elevation() && !visit.remove("cart"));
    assert!(matches!(visit.step(), Step::Nothing) && ends(&visit).is_empty());
    assert!(visit.unit.subject().is_none() && !visit.unit.is_dirty());
}

#[test]
fn rule_2_data_is_refused_and_a_sign_in_is_not() {
    let world = World::new();
    let keys = [world.session_of("alice"), world.session_of("bob")];
    let mut visit = with_both(&world, keys);
    visit.set("cart", 9);
    assert!(matches!(visit.save(), Saved::Refused) && ends(&visit).is_empty());
    visit.unit.retain_only_the_end();
    visit.authenticate("alice");
    let replaced = EndReason::ReplacedAtSignIn;
    assert_eq!(ends(&visit), keys.map(|key| (key, replaced)));
    let new = visit.save().key();
    assert_eq!(keys.map(|key| world.end_of(key)), [Some(replaced); 2]);
    let mut visit = world.visit(new);
    assert_eq!((visit.user(), visit.get("cart")), (Some("alice"), None));
    visit.unit.terminate();
    assert_eq!(ends(&visit), [(new, EndReason::SignedOut)]);
}

#[test]
fn rule_13_a_sign_in_that_is_dropped_ends_neither() {
    let world = World::new();
    let keys = [world.session_of("alice"), world.session_of("bob")];
    let drops: [fn(&mut UnitOfWork) -> bool; 3] =
        [UnitOfWork::rollback_grants, UnitOfWork::rollback, |unit| {
            unit.retain_background_ops();
            true
        }];
    for drop in drops {
        let mut visit = with_both(&world, keys);
        visit.authenticate("alice");
        assert!(drop(&mut visit.unit));
        assert!(matches!(visit.save(), Saved::Nothing));
        assert_eq!(world.store.live(), 2);
    }
}

#[test]
fn s059_a_sign_out_ends_both_even_if_the_request_fails() {
    for signs_in in [false, true] {
        let world = World::new();
        let keys = [world.session_of("alice"), world.session_of("bob")];
        let mut visit = with_both(&world, keys);
        visit.unit.terminate();
        if signs_in {
            visit.authenticate("alice");
            visit.unit.rollback();
        }
        assert!(visit.unit.is_dirty() && visit.unit.has_ended_a_session());
        assert_eq!(ends(&visit), keys.map(|key| (key, EndReason::SignedOut)));
        visit.save();
        assert_eq!(world.store.live(), 0);
        assert!(!visit.unit.is_dirty() && ends(&visit).is_empty());
        // Another session begins as after any sign-out.
        visit.set("cart", 1);
        visit.save().key();
    }
}
