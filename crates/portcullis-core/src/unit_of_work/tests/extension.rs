//! The request to stay signed in.

use super::*;

const A_MOMENT: Duration = Duration::from_millis(5);

#[test]
fn s107_an_extension_is_written_at_once_and_moves_the_idle_deadline_alone() {
    let world = World::new();
    let key = world.elevated("alice", "payments");
    let before = world.visit(key).info();
    world.pass(A_MOMENT);
    let mut visit = world.visit(key);
    visit.activity = Activity::Passive;
    assert!(visit.extend());
    assert!(matches!(visit.step(), Step::Extend { .. }));
    assert!(matches!(visit.save(), Saved::Touched));
    assert!(!visit.unit.is_dirty());

    let after = world.visit(key).info();
    assert_eq!(after.idle_deadline, before.idle_deadline.after(A_MOMENT));
    assert_eq!(after.absolute_deadline, before.absolute_deadline);
    assert!(world.visit(key).is_elevated("payments"));
}

#[test]
fn an_extension_is_a_part_of_another_write() {
    let world = World::new();
    for change in [
        (|visit: &mut Visit<'_>| visit.set("extra", 1)) as fn(&mut Visit<'_>),
        |visit| visit.regenerate(),
    ] {
        let key = world.session_of("alice");
        world.pass(MINUTE);
        let mut visit = world.visit(key);
        visit.activity = Activity::Passive;
        visit.extend();
        change(&mut visit);
        let key = visit.save().key();
        let info = world.visit(key).info();
        assert_eq!(info.idle_deadline, world.now().after(30 * MINUTE));
    }
}

#[test]
fn without_a_session_there_is_nothing_to_extend() {
    let world = World::new();
    let mut visit = world.without_cookie();
    assert!(!visit.extend());
    assert!(matches!(visit.step(), Step::Nothing));

    let key = world.session_of("alice");
    let mut visit = world.visit(key);
    visit.unit.terminate();
    assert!(!visit.extend());
}

#[test]
fn rule_13_a_handler_that_failed_extends_nothing() {
    let world = World::new();
    let key = world.session_of("alice");
    let mut visit = world.visit(key);
    visit.activity = Activity::Passive;
    visit.extend();
    visit.fail();
    assert!(matches!(visit.step(), Step::Nothing));
}

#[test]
fn t82_an_extension_is_offered_as_long_as_it_gains_something() {
    let world = World::new();
    let key = world.session_of("alice");
    let info = world.visit(key).info();
    let to = |passed| info.extends_to(world.now().after(passed));
    assert_eq!(to(MINUTE), Some(world.now().after(31 * MINUTE)));
    assert_eq!(to(24 * HOUR - MINUTE), Some(info.absolute_deadline));

    world.pass(20 * MINUTE);
    let last = SessionInfo {
        idle_deadline: info.absolute_deadline,
        ..info
    };
    assert_eq!(last.extends_to(world.now()), None);
}
