//! A policy that was activated in the store, and changes.

use super::*;
use crate::policy::PolicyVersion;

impl World {
    /// Activates a version with these timeouts.
    fn activate(&mut self, idle: Duration, absolute: Duration) {
        let now = self.now();
        let policy = Arc::make_mut(&mut self.settings.policy);
        let timeouts = Timeouts::new(idle, absolute).unwrap();
        policy.ordinary.timeouts = timeouts
            .with_privileged_idle(idle.min(15 * MINUTE))
            .unwrap();
        let number = policy.versions.len() as u64 + 1;
        let version = PolicyVersion::new(policy, number, now);
        policy.versions.push(version);
    }

    fn ended_by(&self, key: SessionIdHash) -> Option<u64> {
        let ended = self.visit(key).unit.ended_by_policy(self.now())?;
        Some(ended.version)
    }
}

#[test]
fn p09_a_tightening_ends_a_session_that_is_idle_for_longer() {
    let mut world = World::new();
    let (idle, active) = (world.session_of("alice"), world.session_of("bob"));
    world.pass(10 * MINUTE);
    world.visit(active).save();
    world.pass(10 * MINUTE);
    world.activate(15 * MINUTE, 24 * HOUR);
    assert_eq!(world.ended_by(idle), Some(1));
    assert_eq!(world.ended_by(active), None);
    let deadline = world.visit(active).info().idle_deadline;
    assert_eq!(deadline, world.now().after(5 * MINUTE));
}

#[test]
fn the_next_activity_writes_the_idle_timeout_in_force() {
    let mut world = World::new();
    let key = world.session_of("alice");
    for idle in [15, 60, 30] {
        world.activate(idle * MINUTE, 24 * HOUR);
        world.pass(2 * MINUTE);
        world.visit(key).save();
        let stored = world.stored(key).unwrap();
        assert_eq!(stored.timing.idle_timeout, idle * MINUTE);
        assert_eq!(stored.timing.last_active_at, world.now());
    }
}

#[test]
fn p11_a_loosening_lengthens_nothing_without_activity() {
    let mut world = World::new();
    let key = world.session_of("alice");
    world.activate(60 * MINUTE, 24 * HOUR);
    world.pass(10 * MINUTE);
    let mut passive = world.visit(key);
    passive.activity = Activity::Passive;
    passive.set("cart", 2);
    passive.save();
    assert_eq!(world.visit(key).info().idle_timeout, 30 * MINUTE);
    world.visit(key).save();
    assert_eq!(world.visit(key).info().idle_timeout, 60 * MINUTE);
}

#[test]
fn a_write_of_data_and_a_new_identifier_bring_the_idle_timeout_in_force() {
    let changes: [fn(&mut Visit<'_>); 3] = [
        |visit| visit.set("cart", 2),
        |visit| visit.regenerate(),
        |visit| visit.elevate("general"),
    ];
    for change in changes {
        let mut world = World::new();
        let key = world.session_of("alice");
        world.activate(60 * MINUTE, 24 * HOUR);
        world.pass(2 * MINUTE);
        let mut visit = world.visit(key);
        change(&mut visit);
        let key = visit.save().key();
        assert_eq!(world.visit(key).info().idle_timeout, 60 * MINUTE);
    }
}

#[test]
fn p12_a_shorter_absolute_timeout_counts_from_the_authentication_and_is_not_stored() {
    let mut world = World::new();
    let key = world.session_of("alice");
    let began = world.now();
    let stored = world.stored(key).unwrap().timing.absolute_deadline;
    world.activate(30 * MINUTE, HOUR);
    world.pass(2 * MINUTE);
    let mut visit = world.visit(key);
    assert_eq!(visit.info().absolute_deadline, began.after(HOUR));
    visit.set("cart", 2);
    visit.save();
    assert_eq!(world.stored(key).unwrap().timing.absolute_deadline, stored);
    for _ in 0..2 {
        world.pass(28 * MINUTE);
        world.visit(key).save();
    }
    assert_eq!(world.ended_by(key), None);
    world.pass(2 * MINUTE);
    assert_eq!(world.ended_by(key), Some(1));
}

#[test]
fn a_sign_in_begins_with_the_limits_in_force() {
    let mut world = World::new();
    world.activate(10 * MINUTE, HOUR);
    let key = world.session_of("alice");
    let info = world.visit(key).info();
    assert_eq!(info.idle_timeout, 10 * MINUTE);
    assert_eq!(info.absolute_deadline, world.now().after(HOUR));
}

#[test]
fn a_session_that_the_application_shortened_stays_so_under_a_looser_policy() {
    let mut world = World::new();
    let key = world.session_of("alice");
    let mut visit = world.visit(key);
    visit.shorten(Some(5 * MINUTE), None);
    visit.save();
    world.activate(60 * MINUTE, 24 * HOUR);
    world.pass(2 * MINUTE);
    world.visit(key).save();
    assert_eq!(world.visit(key).info().idle_timeout, 5 * MINUTE);
}

#[test]
fn activity_is_written_in_steps_of_the_limit_in_force() {
    let mut world = World::new();
    let key = world.session_of("alice");
    world.activate(5 * MINUTE, 24 * HOUR);
    world.pass(Duration::from_secs(10));
    assert!(matches!(world.visit(key).step(), Step::Touch(_)));
}
