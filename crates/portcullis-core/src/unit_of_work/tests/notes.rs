//! Notes: a change leaves them in the log, and nothing else does.

use super::*;
use crate::{Actor, Owner, SessionMeta};

fn elevated(scope: &str) -> EventKind {
    EventKind::Elevated(scope.to_owned())
}

#[test]
fn s097_the_changes_of_a_session_are_logged_in_order_and_writes_of_data_are_not() {
    let world = World::new();
    let mut visit = world.without_cookie();
    visit.set("cart", 1);
    assert_eq!(visit.events(), [EventKind::Created]);
    let key = visit.save().key();

    let mut visit = world.visit(key);
    visit.set("cart", 2);
    assert_eq!(visit.events(), []);
    visit.authenticate("alice");
    visit.regenerate();
    visit.elevate("payments");
    let expected = [
        EventKind::Authenticated,
        EventKind::Regenerated,
        elevated("payments"),
    ];
    assert_eq!(visit.events(), expected);
    visit.save().key();
    visit.set("cart", 3);
    assert_eq!(visit.events(), [], "it is logged once");
}

#[test]
fn s097_the_log_holds_the_whole_course_of_a_session() {
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
fn a_sign_in_without_a_session_logs_the_sign_in_alone() {
    let world = World::new();
    let mut visit = world.without_cookie();
    visit.set("cart", 1);
    visit.authenticate("alice");
    assert_eq!(visit.events(), [EventKind::Authenticated]);
}

#[test]
fn a_change_that_the_request_itself_undid_is_not_logged() {
    let world = World::new();
    let mut visit = world.without_cookie();
    visit.authenticate("alice");
    visit.elevate("payments");
    visit.regenerate();
    visit.authenticate("bob");
    let expected = [EventKind::Regenerated, EventKind::Authenticated];
    assert_eq!(visit.events(), expected);
}

#[test]
fn the_changes_of_a_failed_request_are_not_logged() {
    let world = World::new();
    let mut visit = world.visit(world.session_of("alice"));
    visit.elevate("payments");
    visit.regenerate();
    visit.fail();
    assert_eq!(visit.events(), [EventKind::Regenerated]);
}

#[test]
fn a_change_after_a_rebase_is_logged_once() {
    let world = World::new();
    let key = world.anonymous();
    let (mut slow, mut fast) = (world.visit(key), world.visit(key));
    slow.authenticate("alice");
    fast.set("cart", 5);
    fast.save();
    slow.save();
    let events = world.log();
    let sign_ins = events
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
fn s098_a_note_holds_the_actor_and_the_client() {
    let world = World::new();
    let client = Client::of_user_agent(b"curl/8.5.0");
    let unit =
        UnitOfWork::without_session(world.settings.clone(), None).from_client(client.clone());
    let mut visit = world.visit_with(unit);
    visit.authenticate("alice");
    let expected = Note::new(EventKind::Authenticated, Actor::Client, Some(client));
    assert_eq!(visit.write().notes, [expected]);
}

#[test]
fn the_end_of_a_session_is_logged_with_its_reason() {
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
fn the_end_of_the_old_session_is_logged_only_if_it_becomes_another_one() {
    let world = World::new();
    let (anonymous, of_alice) = (world.anonymous(), world.session_of("alice"));
    type Operation = fn(&mut Visit<'_>);
    let cases: [(SessionIdHash, Operation, bool); 6] = [
        (anonymous, |visit| visit.authenticate("alice"), true),
        (anonymous, |visit| visit.regenerate(), false),
        (of_alice, |visit| visit.authenticate("alice"), false),
        (of_alice, |visit| visit.authenticate("bob"), true),
        (of_alice, |visit| visit.elevate("payments"), false),
        (of_alice, |visit| visit.regenerate(), false),
    ];
    let end = EventKind::Ended(EndReason::ReplacedAtSignIn);
    for (key, operation, another) in cases {
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
fn the_meta_holds_the_user_and_the_time_of_the_authentication() {
    let world = World::new();
    let mut visit = world.visit(world.anonymous());
    assert_eq!(visit.unit.origin.as_ref().unwrap().view.meta().owner, None);
    let at = world.now();
    visit.authenticate("alice");
    world.pass(MINUTE);
    let requested = visit.write().meta;
    let owner = Owner {
        user: "alice".into(),
        authenticated_at: at,
    };
    let expected = SessionMeta::new(visit.info().handle, Some(owner));
    assert_eq!(requested, expected, "since the handler asked for it");

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
fn the_store_receives_the_end_of_the_last_elevation() {
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
fn t59_the_store_receives_the_real_end_of_an_elevation_after_a_slow_sign_in() {
    let world = World::new();
    let anonymous = world.anonymous();
    for mut visit in [world.without_cookie(), world.visit(anonymous)] {
        visit.authenticate("alice");
        visit.elevate("general");
        world.pass(3 * MINUTE);
        let stored = visit.write().elevated_until;
        let key = visit.save().key();
        assert_eq!(world.visit(key).elevated_until("general"), stored);
        assert_eq!(stored, Some(world.now().after(15 * MINUTE)));
    }
}
