//! What is left in the log with a change, and nowhere without one.

use super::*;
use crate::{Actor, Owner, SessionMeta};

fn elevated(scope: &str) -> EventKind {
    EventKind::Elevated(scope.to_owned())
}

#[test]
fn s097_the_changes_of_a_life_are_told_in_order_and_writes_of_data_are_none() {
    let world = World::new();
    let mut visit = world.stranger();
    visit.set("cart", 1);
    assert_eq!(visit.told(), [EventKind::Created]);
    let key = visit.save().key();

    let mut visit = world.visit(key);
    visit.set("cart", 2);
    assert_eq!(visit.told(), []);
    visit.authenticate("alice");
    visit.regenerate();
    visit.elevate("payments");
    let expected = [
        EventKind::Authenticated,
        EventKind::Regenerated,
        elevated("payments"),
    ];
    assert_eq!(visit.told(), expected);
    visit.save().key();
    visit.set("cart", 3);
    assert_eq!(visit.told(), [], "it is told once");
}

#[test]
fn s097_a_life_can_be_read_in_the_log() {
    let world = World::new();
    let mut visit = world.visit(world.anonymous());
    visit.authenticate("alice");
    visit.save();
    visit.elevate("payments");
    visit.save();
    assert!(visit.drop_elevation());
    visit.save();
    visit.unit.terminate();
    visit.save();
    let expected = [
        EventKind::Created,
        EventKind::Ended(EndReason::ReplacedAtSignIn),
        EventKind::Authenticated,
        elevated("payments"),
        EventKind::ElevationDropped,
        EventKind::Ended(EndReason::SignedOut),
    ];
    assert_eq!(world.log(), expected);
}

#[test]
fn a_sign_in_without_a_session_tells_of_the_sign_in_alone() {
    let world = World::new();
    let mut visit = world.stranger();
    visit.set("cart", 1);
    visit.authenticate("alice");
    assert_eq!(visit.told(), [EventKind::Authenticated]);
}

#[test]
fn what_a_request_undid_itself_is_not_told() {
    let world = World::new();
    let mut visit = world.stranger();
    visit.authenticate("alice");
    visit.elevate("payments");
    visit.regenerate();
    visit.authenticate("bob");
    let expected = [EventKind::Regenerated, EventKind::Authenticated];
    assert_eq!(visit.told(), expected);
}

#[test]
fn what_a_failed_request_asked_for_is_not_told() {
    let world = World::new();
    let mut visit = world.visit(world.session_of("alice"));
    visit.elevate("payments");
    visit.regenerate();
    visit.fail();
    assert_eq!(visit.told(), [EventKind::Regenerated]);
}

#[test]
fn what_a_rebase_wrote_is_told_once() {
    let world = World::new();
    let key = world.anonymous();
    let (mut slow, mut fast) = (world.visit(key), world.visit(key));
    slow.authenticate("alice");
    fast.set("cart", 5);
    fast.save();
    slow.save();
    let told = world.log();
    let sign_ins = told
        .iter()
        .filter(|kind| **kind == EventKind::Authenticated);
    assert_eq!(sign_ins.count(), 1);
}

#[test]
fn a_refused_request_leaves_nothing_in_the_log() {
    let world = World::new();
    let key = world.session_of("alice");
    let mut slow = world.visit(key);
    slow.elevate("payments");
    let mut leaving = world.visit(key);
    leaving.unit.terminate();
    leaving.save();
    assert!(matches!(slow.save(), Saved::Lost));
    let expected = [
        EventKind::Authenticated,
        EventKind::Ended(EndReason::SignedOut),
    ];
    assert_eq!(world.log(), expected);
}

#[test]
fn s098_a_note_says_who_wished_it_and_from_where() {
    let world = World::new();
    let client = Client::of_user_agent(b"curl/8.5.0");
    let unit = UnitOfWork::without_session(world.policy, None).from_client(client.clone());
    let mut visit = world.visit_with(unit);
    visit.authenticate("alice");
    let expected = Note::new(EventKind::Authenticated, Actor::Client, Some(client));
    assert_eq!(visit.write().notes, [expected]);
}

#[test]
fn the_end_of_a_session_is_told_of_it_with_its_reason() {
    let world = World::new();
    for reason in [EndReason::SignedOut, EndReason::DeviceChanged] {
        let mut visit = world.visit(world.session_of("alice"));
        let meta = visit.unit.origin.as_ref().unwrap().view.meta();
        visit.unit.terminate_for(reason);
        let ending = visit.plan().ends.pop().unwrap();
        assert_eq!(ending.note.kind, EventKind::Ended(reason));
        assert_eq!((ending.reason, ending.meta), (reason, meta));
    }
}

#[test]
fn the_old_session_is_told_of_only_if_it_becomes_another_one() {
    let world = World::new();
    let (anonymous, of_alice) = (world.anonymous(), world.session_of("alice"));
    type Operation = fn(&mut Visit<'_>);
    let becomes: [(SessionIdHash, Operation, bool); 6] = [
        (anonymous, |visit| visit.authenticate("alice"), true),
        (anonymous, |visit| visit.regenerate(), false),
        (of_alice, |visit| visit.authenticate("alice"), false),
        (of_alice, |visit| visit.authenticate("bob"), true),
        (of_alice, |visit| visit.elevate("payments"), false),
        (of_alice, |visit| visit.regenerate(), false),
    ];
    let end = EventKind::Ended(EndReason::ReplacedAtSignIn);
    for (key, operation, another) in becomes {
        let mut visit = world.visit(key);
        let before = visit.info().handle;
        operation(&mut visit);
        let old = visit.old();
        assert_eq!(old.note.map(|note| note.kind), another.then(|| end.clone()));
        assert_eq!(old.meta.handle, before);
        assert_eq!(visit.write().meta.handle != before, another);
    }
}

#[test]
fn a_label_says_whose_a_session_is_and_since_when() {
    let world = World::new();
    let mut visit = world.visit(world.anonymous());
    assert_eq!(visit.unit.origin.as_ref().unwrap().view.meta().owner, None);
    let at = world.now();
    visit.authenticate("alice");
    world.pass(MINUTE);
    let asked_for = visit.write().meta;
    let owner = Owner {
        user: "alice".into(),
        authenticated_at: at,
    };
    let expected = SessionMeta::new(visit.info().handle, Some(owner));
    assert_eq!(asked_for, expected, "since it was asked for");

    let key = visit.save().key();
    world.pass(MINUTE);
    let mut later = world.visit(key);
    later.set("cart", 2);
    let owner = later.write().meta.owner.unwrap();
    assert_eq!(
        owner.authenticated_at,
        at.after(MINUTE),
        "since it was stored"
    );
}

#[test]
fn the_store_is_told_when_the_last_elevation_runs_out() {
    let world = World::new();
    let mut visit = world.visit(world.session_of("alice"));
    visit.set("cart", 2);
    assert_eq!(visit.write().elevated_until, None);
    visit.elevate("payments");
    let first = world.now().after(15 * MINUTE);
    assert_eq!(visit.write().elevated_until, Some(first));
    visit.save();

    world.pass(MINUTE);
    visit.elevate("admin");
    assert_eq!(visit.write().elevated_until, Some(first.after(MINUTE)));
    visit.save();
    assert!(visit.drop_elevation());
    assert_eq!(visit.write().elevated_until, None);
}

#[test]
fn t59_of_a_slow_sign_in_too_the_store_is_told_when_the_elevation_really_runs_out() {
    let world = World::new();
    let anonymous = world.anonymous();
    for mut visit in [world.stranger(), world.visit(anonymous)] {
        visit.authenticate("alice");
        visit.elevate("general");
        world.pass(3 * MINUTE);
        let told = visit.write().elevated_until;
        let key = visit.save().key();
        assert_eq!(world.visit(key).elevated_until("general"), told);
        assert_eq!(told, Some(world.now().after(15 * MINUTE)));
    }
}
