//! Remembered sign-ins.

use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Visit<'_> {
    fn remember(&mut self) -> Result<(), ChangeError> {
        let now = self.now();
        self.unit.remember(now)
    }

    fn is_remembered(&self) -> bool {
        self.unit.view().is_remembered()
    }
}

/// A session of `user` who asked to be remembered.
fn remembered(world: &World, user: &str) -> SessionIdHash {
    let mut visit = world.without_cookie();
    visit.authenticate(user);
    visit.remember().unwrap();
    visit.save().key()
}

#[test]
fn a_remembered_session_has_its_own_limits_from_the_sign_in_on() {
    let world = World::new();
    for before in [None, Some(world.anonymous()), Some(world.session_of("bob"))] {
        let mut visit = before.map_or_else(|| world.without_cookie(), |key| world.visit(key));
        visit.authenticate("alice");
        visit.remember().unwrap();
        let seen = visit.info();
        let visit = world.visit(visit.save().key());
        let info = visit.info();
        assert!(visit.is_remembered() && info.remembered);
        assert_eq!(info, seen);
        assert_eq!(info.idle_timeout, 14 * DAY);
        assert_eq!(info.absolute_deadline, world.now().after(90 * DAY));
        assert_eq!(info.authenticated_at, Some(world.now()));
        assert_eq!(info.created_at, world.now());
    }
}

#[test]
fn a_remembered_session_ends_by_its_own_limits() {
    for (days, live) in [(13, true), (14, false)] {
        let world = World::new();
        let key = remembered(&world, "alice");
        world.pass(days * DAY);
        assert_eq!(world.stored(key).is_some(), live, "{days}");
    }
    let world = World::new();
    let key = remembered(&world, "alice");
    for _ in 0..8 {
        world.pass(11 * DAY);
        assert!(matches!(world.visit(key).save(), Saved::Touched));
    }
    world.pass(2 * DAY);
    assert!(world.stored(key).is_none());
}

#[test]
fn a_new_identifier_keeps_the_session_remembered() {
    let world = World::new();
    let changes: [fn(&mut Visit<'_>); 4] = [
        |visit| visit.regenerate(),
        |visit| visit.elevate("general"),
        |visit| assert!(visit.drop_elevation()),
        |visit| visit.set("cart", 1),
    ];
    let mut key = remembered(&world, "alice");
    let deadline = world.visit(key).info().absolute_deadline;
    for change in changes {
        world.pass(MINUTE);
        let mut visit = world.visit(key);
        change(&mut visit);
        key = visit.save().key();
        let info = world.visit(key).info();
        assert!(info.remembered);
        assert_eq!(info.idle_timeout, 14 * DAY);
        assert_eq!(info.absolute_deadline, deadline);
    }
}

#[test]
fn the_next_sign_in_decides_again_whether_it_is_remembered() {
    for user in ["alice", "bob"] {
        for again in [false, true] {
            let world = World::new();
            let mut visit = world.visit(remembered(&world, "alice"));
            visit.authenticate(user);
            if again {
                visit.remember().unwrap();
            }
            let info = world.visit(visit.save().key()).info();
            let (idle, absolute) = match again {
                true => (14 * DAY, 90 * DAY),
                false => (30 * MINUTE, DAY),
            };
            assert_eq!((info.remembered, info.idle_timeout), (again, idle));
            assert_eq!(info.absolute_deadline, world.now().after(absolute));
        }
    }
    // Also in one request.
    let world = World::new();
    let mut visit = world.without_cookie();
    visit.authenticate("alice");
    visit.remember().unwrap();
    visit.authenticate("alice");
    assert!(!world.visit(visit.save().key()).is_remembered());
}

#[test]
fn only_a_sign_in_of_the_same_request_is_remembered() {
    let world = World::new();
    let refused = |visit: &mut Visit<'_>| {
        let remembered = visit.remember();
        assert!(matches!(remembered, Err(ChangeError::NoSignIn { .. })));
    };
    refused(&mut world.without_cookie());
    refused(&mut world.visit(world.anonymous()));
    refused(&mut world.visit(world.elevated("alice", "general")));
    let mut visit = world.without_cookie();
    visit.authenticate("alice");
    visit.save().key();
    refused(&mut visit);
    visit.authenticate("alice");
    visit.unit.terminate();
    refused(&mut visit);
}

#[test]
fn a_policy_may_forbid_remembered_sign_ins() {
    let mut world = World::new();
    assert_eq!(world.settings.policy.longest(), 90 * DAY);
    world.ordinary().remember_me = None;
    assert_eq!(world.settings.policy.longest(), DAY);
    let mut visit = world.without_cookie();
    visit.authenticate("alice");
    assert!(matches!(visit.remember(), Err(ChangeError::RememberMeOff)));
    assert!(!world.visit(visit.save().key()).is_remembered());
}

#[test]
fn rule_13_remembering_is_dropped_with_its_sign_in() {
    for drop in [UnitOfWork::rollback_grants, UnitOfWork::rollback] {
        let world = World::new();
        let mut visit = world.visit(world.session_of("alice"));
        visit.authenticate("alice");
        visit.remember().unwrap();
        assert!(drop(&mut visit.unit));
        assert!(!visit.is_remembered());
        assert!(matches!(visit.save(), Saved::Nothing));
    }
}

#[test]
fn rule_7_remembering_grants_no_elevation_and_moves_no_end_of_one() {
    let world = World::new();
    let visit = world.visit(remembered(&world, "alice"));
    assert!(!visit.is_elevated("general"));
    let mut visit = world.without_cookie();
    visit.authenticate("alice");
    visit.elevate("general");
    visit.remember().unwrap();
    visit.remember().unwrap();
    let until = visit.elevated_until("general");
    assert_eq!(until, Some(world.now().after(15 * MINUTE)));
    let key = visit.save().key();
    world.pass(15 * MINUTE - MILLI);
    assert!(world.visit(key).is_elevated("general"));
    world.pass(MILLI);
    assert!(!world.visit(key).is_elevated("general"));
    // The store has the same end.
    assert_eq!(world.log().last(), Some(&EventKind::ElevationEnded));
}

#[test]
fn t53_a_sign_in_that_another_request_overtook_is_still_remembered() {
    let world = World::new();
    let key = world.anonymous();
    let mut slow = world.visit(key);
    slow.authenticate("alice");
    slow.remember().unwrap();
    let mut faster = world.visit(key);
    faster.set("cart", 2);
    faster.save().key();
    let visit = world.visit(slow.save().key());
    assert!(visit.is_remembered());
    assert_eq!(visit.get("cart"), Some(2));
}
