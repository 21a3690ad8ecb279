//! The class of a session: chosen at sign-in, with limits of its own.

use super::*;
use crate::{ClassCode, store::SessionLimit};

const ADMIN: Class = Class::new("admin", 'a');
const UNKNOWN: Class = Class::new("unknown", 'u');

/// Administrators have 10 minutes and 2 hours, and an elevation of 5 minutes.
fn world() -> World {
    let mut world = World::new();
    let timeouts = Timeouts::new(10 * MINUTE, 2 * HOUR).unwrap();
    let admin = ClassLimits {
        session_limit: Some(SessionLimit::displace(2).unwrap()),
        ..ClassLimits::new(timeouts.with_elevation(5 * MINUTE).unwrap())
    };
    let policy = Arc::make_mut(&mut world.settings.policy);
    policy.classes.push((ADMIN.code(), admin));
    world
}

fn sign_in(world: &World, change: impl FnOnce(&mut UnitOfWork)) -> Visit<'_> {
    let mut visit = world.without_cookie();
    visit.authenticate("alice");
    change(&mut visit.unit);
    visit
}

fn as_admin(world: &World) -> SessionIdHash {
    let now = world.now();
    sign_in(world, |unit| unit.set_class(ADMIN, now).unwrap())
        .save()
        .key()
}

#[test]
fn a_sign_in_of_a_class_has_the_limits_of_the_class() {
    let world = world();
    let key = as_admin(&world);
    let visit = world.visit(key);
    let info = visit.info();
    assert_eq!(info.idle_timeout, 10 * MINUTE);
    assert_eq!(info.absolute_deadline, world.now().after(2 * HOUR));
    assert_eq!(visit.unit.view().class(), ADMIN.code());
}

#[test]
fn a_session_keeps_its_class_under_a_new_identifier() {
    let world = world();
    let mut visit = world.visit(as_admin(&world));
    visit.elevate("general");
    let until = visit.elevated_until("general");
    assert_eq!(until, Some(world.now().after(5 * MINUTE)));
    let visit = world.visit(visit.save().key());
    assert_eq!(visit.unit.view().class(), ADMIN.code());
}

#[test]
fn another_sign_in_has_no_class() {
    let world = world();
    let mut visit = world.visit(as_admin(&world));
    visit.authenticate("alice");
    let visit = world.visit(visit.save().key());
    assert_eq!(visit.unit.view().class(), ClassCode::NONE);
    assert_eq!(visit.info().idle_timeout, 30 * MINUTE);
}

#[test]
fn a_class_is_chosen_at_sign_in_and_not_later() {
    let world = world();
    let mut visit = world.visit(as_admin(&world));
    let refused = visit.unit.set_class(ADMIN, world.now());
    assert!(matches!(refused, Err(ChangeError::NoSignIn { .. })));
}

#[test]
fn a_class_that_the_policy_does_not_have_is_refused() {
    let world = world();
    let now = world.now();
    let visit = sign_in(&world, |unit| {
        let refused = unit.set_class(UNKNOWN, now).unwrap_err();
        let text = refused.to_string();
        assert!(text.contains("`unknown`"), "{text}");
    });
    assert_eq!(visit.unit.view().class(), ClassCode::NONE);
}

#[test]
fn a_class_that_remembers_no_sign_in_refuses_one_that_is_remembered() {
    let world = world();
    let now = world.now();
    sign_in(&world, |unit| {
        unit.remember(now).unwrap();
        let refused = unit.set_class(ADMIN, now);
        assert!(matches!(refused, Err(ChangeError::RememberMeOff)));
    });
    sign_in(&world, |unit| {
        unit.set_class(ADMIN, now).unwrap();
        let refused = unit.remember(now);
        assert!(matches!(refused, Err(ChangeError::RememberMeOff)));
    });
}

#[test]
fn an_elevation_of_the_same_request_has_the_limits_of_the_class() {
    let world = world();
    let now = world.now();
    let visit = sign_in(&world, |unit| {
        unit.elevate("general", now).unwrap();
        unit.set_class(ADMIN, now).unwrap();
    });
    let until = visit.elevated_until("general");
    assert_eq!(until, Some(now.after(5 * MINUTE)));
}

#[test]
fn a_class_has_a_limit_of_sessions_of_its_own() {
    let world = world();
    let ordinary = world.session_of("alice");
    let admins = [as_admin(&world), as_admin(&world), as_admin(&world)];
    let live = |key: &SessionIdHash| world.stored(*key).is_some();
    assert_eq!(admins.iter().filter(|key| live(key)).count(), 2);
    assert!(live(&ordinary));
}
