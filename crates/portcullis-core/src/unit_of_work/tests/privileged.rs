//! Privileged activity: what keeps elevations open, and what does not.

use super::*;

/// The privileged idle timeout of these tests.
const IDLE: Duration = Duration::from_secs(5 * 60);

fn world() -> World {
    let mut world = World::new();
    let timeouts = Timeouts::default().with_privileged_idle(IDLE).unwrap();
    world.ordinary().timeouts = timeouts;
    world
}

/// The visit was to a route that demands privilege, if it is `privileged`.
fn visit(world: &World, key: SessionIdHash, privileged: bool) {
    let mut visit = world.visit(key);
    visit.activity = match privileged {
        true => Activity::Privileged { idle: IDLE },
        false => Activity::Active,
    };
    visit.save();
}

#[test]
fn p08_use_of_ordinary_routes_does_not_keep_an_elevation_open() {
    let world = world();
    let key = world.elevated("alice", "general");
    for _ in 0..4 {
        world.pass(MINUTE);
        visit(&world, key, false);
        assert!(world.visit(key).is_elevated("general"));
    }
    world.pass(MINUTE);
    let now = world.visit(key);
    assert!(!now.is_elevated("general"));
    assert_eq!(now.user(), Some("alice"), "the session is live");
}

#[test]
fn p24_privileged_activity_keeps_an_elevation_open_until_its_fixed_end() {
    let world = world();
    let key = world.elevated("alice", "general");
    for _ in 0..14 {
        world.pass(MINUTE);
        visit(&world, key, true);
        assert!(world.visit(key).is_elevated("general"));
    }
    world.pass(MINUTE);
    assert!(!world.visit(key).is_elevated("general"));
}

#[test]
fn privileged_activity_after_the_end_restores_no_elevation() {
    let world = world();
    let key = world.elevated("alice", "general");
    world.pass(IDLE - MILLI);
    let mut slow = world.visit(key);
    slow.activity = Activity::Privileged { idle: IDLE };
    world.pass(MILLI);
    slow.save();
    assert!(!world.visit(key).is_elevated("general"));
}

#[test]
fn p25_a_proof_restores_what_privileged_routes_ask_for() {
    let world = world();
    let old = world.session_of("alice");
    world.pass(20 * MINUTE);
    let mut visit = world.visit(old);
    let recent = DemandLimits {
        idle: Some(IDLE),
        max_auth_age: Some(IDLE),
        scope: None,
    };
    let meets_until = |visit: &Visit<'_>| {
        let policy = &world.settings.policy;
        visit.unit.view().meets_until(&recent, policy, world.now())
    };
    assert_eq!(meets_until(&visit), None);
    visit.elevate("general");
    let until = Some(world.now().after(IDLE));
    assert_eq!(meets_until(&visit), until);
    let key = visit.save().key();
    assert_eq!(meets_until(&world.visit(key)), until);
}

#[test]
fn another_elevation_does_not_prolong_the_privileged_idle_timeout_of_the_first() {
    let mut world = world();
    let key = world.elevated("alice", "general");
    world.ordinary().timeouts = Timeouts::default();
    let mut visit = world.visit(key);
    visit.elevate("payments");
    let key = visit.save().key();
    world.pass(IDLE);
    let visit = world.visit(key);
    assert!(!visit.is_elevated("general"));
    assert!(!visit.is_elevated("payments"));
}

#[test]
fn privileged_activity_is_written_in_steps_of_the_privileged_idle_timeout() {
    let world = world();
    let key = world.elevated("alice", "general");
    for (after, touches) in [(9, false), (1, true)] {
        world.pass(Duration::from_secs(after));
        let mut visit = world.visit(key);
        visit.activity = Activity::Privileged { idle: IDLE };
        let touched = matches!(visit.step(), Step::Touch { .. });
        assert_eq!(touched, touches, "{after}");
    }
}
