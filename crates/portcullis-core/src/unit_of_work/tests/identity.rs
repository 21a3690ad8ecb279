//! The user of a session, its identifier and its deadlines.

use std::num::NonZeroUsize;

use super::*;
use crate::{
    Bucket,
    store::{Deadline, Limits, OnLimit, Revocation, RevokeScope},
};

const LIMITS: Limits = Limits {
    idle: Duration::from_secs(30 * 60),
    absolute: Duration::from_secs(24 * 60 * 60),
};

#[test]
fn a_handler_sees_the_times_of_its_session() {
    let world = World::new();
    let began = world.now();
    let key = world.anonymous();
    world.pass(2 * MINUTE);
    world.visit(key).save();
    let info = world.visit(key).info();
    assert_eq!(info.created_at, began);
    assert_eq!(info.authenticated_at, None);
    assert_eq!(info.last_active_at, began.after(2 * MINUTE));
    assert_eq!(info.idle_deadline, began.after(32 * MINUTE));
    assert_eq!(info.absolute_deadline, began.after(4 * HOUR));

    world.pass(MINUTE);
    let mut visit = world.visit(key);
    visit.authenticate("alice");
    let unsaved = visit.info();
    let signed_in = visit.save().key();
    let info = world.visit(signed_in).info();
    assert_eq!(
        info, unsaved,
        "a handler sees before the write what is stored by it"
    );
    assert_eq!(info.created_at, began.after(3 * MINUTE));
    assert_eq!(info.authenticated_at, Some(began.after(3 * MINUTE)));
}

#[test]
fn t20_an_unknown_identifier_is_not_adopted() {
    let world = World::new();
    let planted = SessionId::generate(Bucket::random().unwrap())
        .unwrap()
        .key();
    for sign_in in [false, true] {
        let mut visit = world.visit(planted);
        visit.set("cart", 1);
        if sign_in {
            visit.authenticate("alice");
        }
        assert_ne!(visit.save().key(), planted);
        assert!(world.stored(planted).is_none());
    }
}

#[test]
fn t21_signing_in_moves_an_anonymous_session_to_its_user() {
    let world = World::new();
    let old = world.anonymous();
    let before = world.visit(old).info();
    world.pass(20 * MINUTE);

    let mut visit = world.visit(old);
    visit.authenticate("alice");
    let Step::Replace {
        old: ref replaced,
        ref id,
        deadline,
        ..
    } = visit.step()
    else {
        panic!("{:?}", visit.step());
    };
    assert_eq!(replaced.key, old);
    assert_eq!(id.key().bucket(), bucket_of("alice"));
    assert_eq!(deadline, Deadline::Restart(LIMITS));

    let new = visit.save().key();
    assert_eq!(world.end_of(old), Some(EndReason::ReplacedAtSignIn));
    let visit = world.visit(new);
    assert_eq!(visit.user(), Some("alice"));
    assert_eq!(visit.get("cart"), Some(1));
    assert_ne!(visit.info().handle, before.handle);
    assert_eq!(visit.info().absolute_deadline, world.now().after(24 * HOUR));
}

#[test]
fn signing_in_without_a_session_creates_one_in_the_users_bucket() {
    let world = World::new();
    let mut visit = world.without_cookie();
    visit.authenticate("alice");
    assert!(matches!(visit.step(), Step::Create { .. }));
    let key = visit.save().key();
    assert_eq!(key.bucket(), bucket_of("alice"));
    assert_eq!(world.visit(key).user(), Some("alice"));
}

#[test]
fn s039_the_same_user_again_restarts_the_deadlines_and_keeps_the_session() {
    let world = World::new();
    let old = world.elevated("alice", "payments");
    let before = world.visit(old).info();
    world.pass(10 * MINUTE);

    let mut visit = world.visit(old);
    visit.authenticate("alice");
    let new = visit.save().key();
    assert_eq!(world.end_of(old), Some(EndReason::ReplacedAtSignIn));
    let visit = world.visit(new);
    let info = visit.info();
    assert_eq!(
        (info.handle, info.created_at),
        (before.handle, before.created_at)
    );
    assert_eq!(visit.get("cart"), Some(1));
    assert_eq!(info.authenticated_at, Some(world.now()));
    assert_eq!(info.absolute_deadline, world.now().after(24 * HOUR));
    assert_eq!(info.idle_deadline, world.now().after(30 * MINUTE));
    assert!(!visit.is_elevated("payments"));
}

#[test]
fn the_creation_of_a_session_is_remembered_through_many_sign_ins() {
    let world = World::new();
    let mut key = world.session_of("alice");
    let before = world.visit(key).info();
    for _ in 0..5 {
        world.pass(7 * MINUTE);
        let mut visit = world.visit(key);
        visit.authenticate("alice");
        visit.authenticate("alice");
        key = visit.save().key();
        assert_eq!(world.visit(key).info().created_at, before.created_at);
    }
}

#[test]
fn t25_signing_in_as_another_user_takes_nothing_over() {
    let world = World::new();
    let old = world.elevated("alice", "payments");
    let before = world.visit(old).info();
    world.pass(MINUTE);

    let mut visit = world.visit(old);
    visit.set("secret", 42);
    visit.authenticate("bob");
    visit.set("greeting", 1);
    let new = visit.save().key();
    assert_eq!(new.bucket(), bucket_of("bob"));
    assert_eq!(world.end_of(old), Some(EndReason::ReplacedAtSignIn));
    let visit = world.visit(new);
    assert_eq!(visit.user(), Some("bob"));
    assert_eq!((visit.get("cart"), visit.get("secret")), (None, None));
    assert_eq!(
        visit.get("greeting"),
        Some(1),
        "what was written for the new user is his"
    );
    assert!(!visit.is_elevated("payments"));
    assert_ne!(visit.info().handle, before.handle);
    assert_eq!(visit.info().created_at, world.now());
}

#[test]
fn t25_nothing_is_taken_over_even_if_the_first_user_signs_in_again() {
    let world = World::new();
    let old = world.session_of("alice");
    let before = world.visit(old).info();
    let mut visit = world.visit(old);
    visit.authenticate("bob");
    visit.set("of bob", 1);
    visit.authenticate("alice");
    let key = visit.save().key();
    let visit = world.visit(key);
    assert_eq!(visit.user(), Some("alice"));
    assert_eq!((visit.get("cart"), visit.get("of bob")), (None, None));
    assert_ne!(visit.info().handle, before.handle);
}

#[test]
fn users_are_compared_byte_by_byte() {
    let world = World::new();
    let mut visit = world.visit(world.session_of("alice"));
    visit.authenticate("Alice");
    assert_eq!(visit.get("cart"), None);
}

#[test]
fn an_empty_user_is_refused() {
    let world = World::new();
    let mut visit = world.visit(world.anonymous());
    let refused = visit.unit.authenticate("".into(), world.now());
    assert!(matches!(refused, Err(ChangeError::EmptyUser)));
    assert_eq!(visit.user(), None);
    assert!(!visit.unit.is_dirty());
}

#[test]
fn a_name_that_is_too_long_is_refused_and_nothing_is_changed() {
    let world = World::new();
    let mut visit = world.visit(world.anonymous());
    visit.set("cart", 2);
    let (longest, longer) = ("a".repeat(1024), "a".repeat(1025));
    let refused = visit.unit.authenticate(longer.into(), world.now());
    assert!(matches!(
        refused,
        Err(ChangeError::UserTooLong {
            bytes: 1025,
            limit: 1024
        })
    ));
    assert_eq!((visit.user(), visit.get("cart")), (None, Some(2)));
    assert!(matches!(visit.step(), Step::Commit { .. }));
    visit.authenticate(&longest);
    let visit = world.visit(visit.save().key());
    assert_eq!(visit.user(), Some(longest.as_str()));
}

#[test]
fn t23_regenerating_changes_the_identifier_and_nothing_else() {
    let world = World::new();
    for old in [world.anonymous(), world.session_of("alice")] {
        let before = world.visit(old);
        let mut visit = world.visit(old);
        visit.regenerate();
        assert!(matches!(
            visit.step(),
            Step::Replace {
                deadline: Deadline::Keep(Activity::Active),
                ..
            }
        ));
        let new = visit.save().key();
        assert_ne!(new, old);
        assert_eq!(
            new.bucket(),
            old.bucket(),
            "it stays where its user's sessions are"
        );
        assert_eq!(world.end_of(old), Some(EndReason::Replaced));
        let visit = world.visit(new);
        assert_eq!(visit.info(), before.info());
        assert_eq!(visit.user(), before.user());
        assert_eq!(visit.get("cart"), Some(1));
    }
}

#[test]
fn t36_regenerating_in_a_passive_request_is_no_activity() {
    let world = World::new();
    let key = world.session_of("alice");
    world.pass(10 * MINUTE);
    let mut visit = world.visit(key);
    visit.activity = Activity::Passive;
    visit.regenerate();
    let before = visit.info();
    let new = visit.save().key();
    assert_eq!(world.visit(new).info(), before);
}

#[test]
fn every_plan_to_regenerate_draws_another_identifier() {
    let world = World::new();
    let mut visit = world.visit(world.session_of("alice"));
    visit.regenerate();
    let keys = [visit.step(), visit.step()].map(|step| match step {
        Step::Replace { id, .. } => id.key(),
        other => panic!("{other:?}"),
    });
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn data_and_a_new_identifier_are_written_in_one_step() {
    let world = World::new();
    let mut visit = world.visit(world.session_of("alice"));
    visit.set("before", 1);
    visit.regenerate();
    visit.set("after", 2);
    let key = visit.save().key();
    let visit = world.visit(key);
    assert_eq!(
        (visit.get("before"), visit.get("after")),
        (Some(1), Some(2))
    );
}

#[test]
fn t39_only_a_sign_in_moves_the_absolute_deadline() {
    let world = World::new();
    let mut key = world.session_of("alice");
    let deadline = world.visit(key).info().absolute_deadline;
    let changes: [fn(&mut Visit<'_>); 6] = [
        |_| {},
        |visit| visit.set("cart", 9),
        |visit| visit.elevate("payments"),
        |visit| assert!(visit.drop_elevation()),
        |visit| visit.regenerate(),
        |visit| visit.clear(),
    ];
    for change in changes {
        world.pass(5 * MINUTE);
        let mut visit = world.visit(key);
        change(&mut visit);
        if let Saved::As(new) = visit.save() {
            key = new;
        }
        assert_eq!(world.visit(key).info().absolute_deadline, deadline);
    }
}

#[test]
fn t26_an_anonymous_write_under_a_replaced_identifier_is_refused() {
    let world = World::new();
    let old = world.anonymous();
    let mut rotating = world.visit(old);
    rotating.authenticate("alice");
    let new = rotating.save().key();

    let mut late = world.visit(old);
    assert!(matches!(late.step(), Step::Nothing), "a read passes");
    late.set("cart", 2);
    assert!(matches!(late.step(), Step::Refuse));
    assert!(matches!(late.save(), Saved::Refused));
    late.count_up("visits").unwrap();
    assert!(matches!(late.save(), Saved::Refused));
    assert_eq!(world.visit(new).get("cart"), Some(1));
    assert_eq!(world.store.live(), 1);
}

#[test]
fn a_sign_in_under_a_replaced_identifier_starts_a_session() {
    let world = World::new();
    let old = world.anonymous();
    let mut rotating = world.visit(old);
    rotating.regenerate();
    rotating.save().key();

    let mut late = world.visit(old);
    late.set("cart", 2);
    late.authenticate("alice");
    assert!(matches!(late.step(), Step::Create { .. }));
    let key = late.save().key();
    late.set("cart", 3);
    assert_eq!(
        late.save().key(),
        key,
        "now it has a session like any other"
    );
}

#[test]
fn after_a_sign_out_anonymous_writes_start_a_session() {
    let world = World::new();
    let key = world.session_of("alice");
    let mut leaving = world.visit(key);
    leaving.unit.terminate();
    leaving.save();

    let mut visit = world.visit(key);
    assert_eq!(visit.user(), None);
    visit.set("cart", 5);
    assert_ne!(visit.save().key(), key);
}

#[test]
fn operations_that_needed_no_write_are_not_part_of_the_next_one() {
    let world = World::new();
    let key = world.session_of("alice");
    let mut visit = world.visit(key);
    visit.set("cart", 1);
    visit.unit.retain_only_the_end();
    let mut faster = world.visit(key);
    faster.set("cart", 2);
    faster.save();
    visit.set("other", 3);
    visit.save();
    assert_eq!(world.visit(key).get("cart"), Some(2));
}

#[test]
fn the_subject_is_the_stored_session_not_the_requested_one() {
    let world = World::new();
    assert!(world.without_cookie().unit.subject().is_none());
    let mut visit = world.visit(world.session_of("alice"));
    let handle = visit.info().handle;
    let alice = UserId::from("alice");
    visit.authenticate("bob");
    assert_eq!(visit.unit.subject(), Some((handle, Some(&alice))));
    assert!(!visit.unit.has_ended_a_session());
    visit.unit.terminate();
    visit.authenticate("carol");
    assert_eq!(visit.unit.subject(), Some((handle, Some(&alice))));
    assert!(visit.unit.has_ended_a_session());
}

#[test]
fn an_earlier_view_does_not_change() {
    let world = World::new();
    let mut visit = world.visit(world.session_of("alice"));
    let taken = visit.unit.view().clone();
    visit.set("cart", 2);
    visit.unit.terminate();
    assert_eq!(taken.get::<u32>(&"cart").unwrap(), Some(1));
    assert!(taken.exists() && taken.contains("cart"));
    assert!(!visit.unit.view().exists());
}

#[test]
fn t76_a_sign_in_over_the_limit_is_refused_and_the_session_stays() {
    let mut world = World::new();
    world.ordinary().session_limit = Some(crate::store::SessionLimit {
        most: NonZeroUsize::MIN,
        excess: OnLimit::Refuse,
    });
    let first = world.session_of("alice");
    let anonymous = world.anonymous();
    for mut visit in [world.without_cookie(), world.visit(anonymous)] {
        visit.authenticate("alice");
        assert!(matches!(visit.save(), Saved::AtLimit));
    }
    assert_eq!(world.visit(first).user(), Some("alice"));
    assert_eq!(world.visit(anonymous).get("cart"), Some(1));

    let mut again = world.visit(first);
    again.authenticate("alice");
    again.save().key();
}

#[test]
fn t06_a_sign_in_under_way_does_not_outlive_a_revocation_of_all() {
    let world = World::new();
    let anonymous = world.anonymous();
    let mut slow = world.visit(anonymous);
    slow.authenticate("alice");
    world.pass(MILLI);
    let reason = EndReason::RevokedByUser;
    let revocation = Revocation {
        user: "alice".into(),
        which: RevokeScope::All,
        reason,
        note: Note::of_system(EventKind::Ended(reason)),
        longest: None,
    };
    ready(world.store.revoke(&revocation)).unwrap();
    assert!(matches!(slow.save(), Saved::Lost));
    world.pass(MILLI);
    slow.authenticate("alice");
    slow.save().key();
}
