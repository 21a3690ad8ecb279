//! Sessions ended from elsewhere: by their user, or by an operator.

use portcullis::{
    Actor,
    EndReason::{RevokedByOperator, RevokedByUser, SignedOut},
    EventKind::{self, *},
    StoreErrorKind,
};
use portcullis_tests::{
    Backend, Client, Gate, Moment, Op, Redis, Reply, World, a_moment, minutes, on_every_store,
};

on_every_store![
    s059_s063_a_revoked_session_is_dead_on_every_server_and_its_client_gets_the_reason,
    s064_a_revoked_session_does_not_come_back,
    s074_to_end_other_sessions_needs_a_recent_proof_and_to_sign_out_does_not,
    t78_s075_somebody_elses_session_is_not_found_just_like_none,
    s067_after_a_change_of_the_password_only_this_session_continues_under_a_new_identifier,
    to_revoke_all_signs_out_here_too_and_removes_the_cookie,
    to_revoke_the_current_session_is_to_sign_out,
    s068_an_operator_ends_sessions_in_their_own_name,
    rule_12_each_end_is_reported_once_with_session_and_user,
    rule_2_a_write_under_way_in_a_revoked_session_is_refused_with_the_reason,
    rule_2_what_only_read_in_a_revoked_session_passes,
    t06_a_sign_in_under_way_while_all_are_revoked_is_refused,
    t06_a_sign_in_from_an_anonymous_session_under_way_is_refused_too,
    t06_a_sign_in_whose_password_was_still_being_verified_does_not_either,
    rule_1_a_revocation_from_a_session_that_ended_meanwhile_ends_no_other_session,
    t06_a_sign_in_that_begins_afterwards_succeeds,
    t06_a_rotation_under_way_while_all_are_revoked_is_refused,
    t06_a_rotation_that_was_faster_is_revoked_all_the_same,
    t06_a_proof_under_way_in_the_session_that_is_kept_succeeds,
    t06_an_own_revocation_held_up_follows_a_new_identifier,
    rule_8_a_revocation_that_cannot_be_carried_out_is_an_error_and_can_be_repeated,
    a_revocation_whose_answer_was_lost_is_not_taken_for_done_and_can_be_repeated,
    s102_a_revocation_whose_client_disconnected_is_finished_and_reported,
    rule_13_a_handler_that_failed_after_a_revocation_does_not_undo_it,
    a_report_counts_the_sessions_that_this_revocation_ended,
];

#[track_caller]
fn was_refused(reply: &Reply, reason: Option<&str>) {
    reply.is_problem(401, "session-ended").keeps_the_cookie();
    assert_eq!(reply.reason().as_deref(), reason);
}

async fn revoke(client: &Client, other: &Client) -> Reply {
    let handle = other.handle().await;
    client.delete(&format!("/sessions/{handle}")).await
}

async fn s059_s063_a_revoked_session_is_dead_on_every_server_and_its_client_gets_the_reason<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    let server = world.another_server().await;
    let [desk, phone] = world.elevated_and_other("alice").await;
    phone.at(server.address()).get("/me").await.is(200);
    let copy = phone.fork();
    assert_eq!(revoke(&desk, &phone).await.is(200).body(), "1");
    for client in [&phone, &copy, &phone.at(server.address())] {
        client.gets_end_reason("revoked_by_user").await;
    }
    desk.get("/me").await.is(200);
    assert_eq!(desk.devices().await.len(), 1);
    assert_eq!(world.ended(&phone.id()).await, Some(RevokedByUser));
}

async fn s064_a_revoked_session_does_not_come_back<B: Backend>() {
    let world = World::<B>::start().await;
    let [desk, phone] = world.elevated_and_other("alice").await;
    phone.post("/put/a/secret").await.is(204);
    let before = phone.id();
    phone.elevate().await;
    let after = phone.id();
    revoke(&desk, &phone).await.is(200);
    for id in [&before, &after] {
        let copy = world.client().with_id(id);
        copy.get("/me").await.is(401);
        copy.get("/get/a").await.is(404);
        for change in ["/elevate", "/regenerate", "/transfer", "/logout"] {
            copy.post(change).await;
            copy.get("/me").await.is(401);
        }
    }
    // A write under the dead identifier begins an anonymous session.
    phone.post("/cart?item=1").await.is(204).new_id();
    let view = phone.view().await;
    assert_eq!((view.user, view.cart), (None, vec![1]));
    phone.get("/get/a").await.is(404);
    phone.post("/login?user=alice").await.is(204);
    assert_eq!(desk.devices().await.len(), 2);
}

async fn s074_to_end_other_sessions_needs_a_recent_proof_and_to_sign_out_does_not<B: Backend>() {
    let world = World::<B>::start().await;
    let (desk, phone) = (
        world.signed_in("alice").await,
        world.signed_in("alice").await,
    );
    let one = format!("/sessions/{}", phone.handle().await);
    for target in [&one, "/sessions/others", "/sessions"] {
        world.forget();
        let reply = desk.delete(target).await;
        reply
            .is_problem(401, "elevation-required")
            .keeps_the_cookie();
        assert_eq!(world.store.take_calls(), [Op::Load]);
    }
    desk.elevate().await;
    world.advance(minutes(15));
    desk.delete(&one)
        .await
        .is_problem(401, "elevation-required");
    phone.get("/me").await.is(200);
    desk.post("/logout").await.is(204).removes_the_cookie();
}

async fn t78_s075_somebody_elses_session_is_not_found_just_like_none<B: Backend>() {
    let world = World::<B>::start().await;
    let [alice, ended] = world.elevated_and_other("alice").await;
    let bob = world.signed_in("bob").await;
    let (bobs, mine) = (bob.handle().await, ended.handle().await);
    ended.post("/logout").await.is(204);
    let mut answers = Vec::new();
    for handle in [&bobs, "AAAAAAAAAAAAAAAA", &mine] {
        world.forget();
        let reply = alice.delete(&format!("/sessions/{handle}")).await;
        reply.is(404).keeps_the_cookie();
        answers.push((reply.body().to_owned(), world.store.take_calls()));
        let [event] = &world.audit.take()[..] else {
            panic!("one event")
        };
        assert_eq!(event.kind, RevocationRefused);
        let session = event.session.map(|session| session.to_string());
        assert_eq!(session, Some(alice.handle().await));
        assert_eq!(event.user, Some("alice".into()));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    alice.delete("/sessions/nonsense").await.is(404);
    assert_eq!(bob.get("/me").await.is(200).body(), "bob");
}

async fn s067_after_a_change_of_the_password_only_this_session_continues_under_a_new_identifier<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    let [desk, phone] = world.elevated_and_other("alice").await;
    let tablet = world.signed_in("alice").await;
    let bob = world.signed_in("bob").await;
    desk.post("/put/a/b").await.is(204);
    let (before, handle) = (desk.fork(), desk.handle().await);
    let reply = desk.post("/password").await;
    assert_eq!(reply.is(200).body(), "2");
    assert_ne!(reply.new_id(), before.id());
    for other in [&phone, &tablet] {
        other.gets_end_reason("revoked_by_user").await;
    }
    before.get("/me").await.is(401);
    assert_eq!(desk.handle().await, handle);
    assert_eq!(desk.get("/get/a").await.body(), "b");
    desk.post("/put/a/c").await.is(204);
    desk.elevate().await;
    bob.get("/me").await.is(200);
    assert_eq!(world.backend.live(), 2);
}

async fn to_revoke_all_signs_out_here_too_and_removes_the_cookie<B: Backend>() {
    let world = World::<B>::start().await;
    let [desk, phone] = world.elevated_and_other("alice").await;
    let copy = desk.fork();
    let reply = desk.delete("/sessions").await;
    assert_eq!(reply.is(200).removes_the_cookie().body(), "2");
    assert!(!desk.has_cookie());
    phone.gets_end_reason("revoked_by_user").await;
    copy.gets_end_reason("signed_out").await;
    assert_eq!(world.backend.live(), 0);
}

async fn to_revoke_the_current_session_is_to_sign_out<B: Backend>() {
    let world = World::<B>::start().await;
    let [desk, phone] = world.elevated_and_other("alice").await;
    let copy = desk.fork();
    let reply = revoke(&desk, &copy).await;
    assert_eq!(reply.is(200).removes_the_cookie().body(), "1");
    copy.gets_end_reason("signed_out").await;
    phone.get("/me").await.is(200);
    assert_eq!(phone.devices().await.len(), 1);
}

async fn s068_an_operator_ends_sessions_in_their_own_name<B: Backend>() {
    let world = World::<B>::start().await;
    let (desk, phone) = (
        world.signed_in("alice").await,
        world.signed_in("alice").await,
    );
    let bob = world.signed_in("bob").await;
    let operator = world.client().calling_itself("curl/8");
    let handle = desk.handle().await;
    let wrong = format!("/operator/bob/{handle}");
    operator.delete(&wrong).await.is(404);
    world.forget();
    let right = format!("/operator/alice/{handle}");
    assert_eq!(operator.delete(&right).await.is(200).body(), "1");
    desk.gets_end_reason("revoked_by_operator").await;
    phone.get("/me").await.is(200);
    assert_eq!(operator.delete("/operator/alice").await.body(), "1");
    phone.gets_end_reason("revoked_by_operator").await;
    bob.get("/me").await.is(200);

    let events = world.audit.take_ends();
    assert_eq!(events.len(), 2);
    for event in &events {
        assert_eq!(event.kind, Ended(RevokedByOperator));
        assert_eq!(event.actor, Actor::Operator("ops\nolga".into()));
        assert_eq!(event.user, Some("alice".into()));
        assert_eq!(event.client.as_ref().unwrap().to_string(), "curl");
    }
    assert_eq!(events[0].session.unwrap().to_string(), handle);
}

async fn rule_12_each_end_is_reported_once_with_session_and_user<B: Backend>() {
    let world = World::<B>::start().await;
    let [desk, phone] = world.elevated_and_other("alice").await;
    let tablet = world.signed_in("alice").await;
    let mut others = [phone.handle().await, tablet.handle().await];
    let current = desk.handle().await;
    desk.delete("/sessions").await.is(200);
    let events = world.audit.take_ends();
    let (events, last) = (&events[..2], &events[2]);
    assert_eq!(events.len(), 3);
    let mut names: Vec<_> = events
        .iter()
        .map(|event| event.session.unwrap().to_string())
        .collect();
    names.sort_unstable();
    others.sort_unstable();
    assert_eq!(names, others);
    assert!(
        events
            .iter()
            .all(|event| event.kind == Ended(RevokedByUser))
    );
    assert!(events.iter().all(|event| event.actor == Actor::Client));
    assert!(
        events
            .iter()
            .all(|event| event.user == Some("alice".into()))
    );
    assert_eq!(last.kind, Ended(SignedOut));
    assert_eq!(last.session.unwrap().to_string(), current);
}

async fn rule_2_a_write_under_way_in_a_revoked_session_is_refused_with_the_reason<B: Backend>() {
    let world = World::<B>::start().await;
    let [desk, _] = world.elevated_and_other("alice").await;
    for change in [
        "/put/a/b",
        "/cart?item=1",
        "/regenerate",
        "/elevate",
        "/login?user=alice",
        "/login?user=bob",
    ] {
        for by_operator in [false, true] {
            let phone = world.signed_in("alice").await;
            let handle = phone.handle().await;
            let live = world.backend.live();
            let gate = Gate::closed();
            let slow = phone.post(change).held_at(&gate).start();
            gate.reached().await;
            let (revoked, reason) = match by_operator {
                false => (revoke(&desk, &phone).await, "revoked_by_user"),
                true => {
                    let target = format!("/operator/alice/{handle}");
                    (desk.delete(&target).await, "revoked_by_operator")
                }
            };
            revoked.is(200);
            world.forget();
            gate.open();
            was_refused(&slow.reply().await, Some(reason));
            let [event] = &world.audit.take()[..] else {
                panic!("one event for {change}")
            };
            assert_eq!(event.kind, WriteRefused);
            assert_eq!(event.session.unwrap().to_string(), handle);
            assert_eq!(event.user, Some("alice".into()));
            assert_eq!(world.backend.live(), live - 1);
        }
    }
}

async fn rule_2_what_only_read_in_a_revoked_session_passes<B: Backend>() {
    let world = World::<B>::start().await;
    let [desk, phone] = world.elevated_and_other("alice").await;
    world.advance(minutes(5));
    let gate = Gate::closed();
    let slow = phone.get("/me").held_at(&gate).start();
    gate.reached().await;
    revoke(&desk, &phone).await.is(200);
    gate.open();
    let reply = slow.reply().await;
    assert_eq!(reply.is(200).keeps_the_cookie().body(), "alice");
    phone.gets_end_reason("revoked_by_user").await;
    // A sign-out finds the session ended.
    let [desk, phone] = world.elevated_and_other("carol").await;
    let gate = Gate::closed();
    let slow = phone.post("/logout").held_at(&gate).start();
    gate.reached().await;
    revoke(&desk, &phone).await.is(200);
    gate.open();
    slow.reply().await.is(204).keeps_the_cookie();
}

async fn revoke_all_as_operator<B: Backend>(world: &World<B>, user: &str) {
    a_moment().await;
    world.advance(minutes(1));
    let target = format!("/operator/{user}");
    world.client().delete(&target).await.is(200);
    world.backend.later().await;
}

async fn t06_a_sign_in_under_way_while_all_are_revoked_is_refused<B: Backend>() {
    let world = World::<B>::start().await;
    let old = world.signed_in("alice").await;
    let thief = world.client();
    let gate = world.store.hold(Op::Create, Moment::Before);
    let sign_in = thief.post("/login?user=alice").start();
    gate.reached().await;
    revoke_all_as_operator(&world, "alice").await;
    world.forget();
    gate.open();
    was_refused(&sign_in.reply().await, None);
    let [event] = &world.audit.take()[..] else {
        panic!("one event")
    };
    assert_eq!((&event.kind, event.session), (&WriteRefused, None));
    assert_eq!(event.user, Some("alice".into()));
    assert!(!thief.has_cookie());
    old.get("/me").await.is(401);
    assert_eq!(world.backend.live(), 0);
}

/// A proof given while all were revoked may be one with a password that is no longer valid.
async fn t06_a_sign_in_whose_password_was_still_being_verified_does_not_either<B: Backend>() {
    let world = World::<B>::start().await;
    let thief = world.shopping(&[1]).await;
    let before_the_handler = world.store.hold(Op::Load, Moment::After);
    let sign_in = thief.post("/login?user=alice").start();
    before_the_handler.reached().await;
    a_moment().await;
    revoke_all_as_operator(&world, "alice").await;
    before_the_handler.open();
    sign_in.reply().await.is(401).keeps_the_cookie();
    thief.get("/me").await.is(401);
    thief.post("/login?user=alice").await.is(204).new_id();
}

async fn rule_1_a_revocation_from_a_session_that_ended_meanwhile_ends_no_other_session<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    for target in ["/sessions/others", "/sessions"] {
        let [thief, _] = world.elevated_and_other("alice").await;
        let past_the_guard = world.store.hold(Op::Load, Moment::After);
        let held_up = thief.delete(target).start();
        past_the_guard.reached().await;
        revoke_all_as_operator(&world, "alice").await;
        a_moment().await;
        let alice = world.signed_in("alice").await;
        past_the_guard.open();
        held_up.reply().await.is(401).keeps_the_cookie();
        alice.get("/me").await.is(200);
    }
}

async fn t06_a_sign_in_from_an_anonymous_session_under_way_is_refused_too<B: Backend>() {
    let world = World::<B>::start().await;
    let thief = world.shopping(&[1]).await;
    let bob = world.signed_in("bob").await;
    for client in [&thief, &bob] {
        let gate = world.store.hold(Op::Replace, Moment::Before);
        let sign_in = client.post("/login?user=alice").start();
        gate.reached().await;
        revoke_all_as_operator(&world, "alice").await;
        gate.open();
        sign_in.reply().await.is(401).keeps_the_cookie();
    }
    assert_eq!(thief.view().await.cart, [1]);
    bob.get("/me").await.is(200);
    assert_eq!(world.backend.live(), 2);
    assert_eq!(world.client().get("/operator/alice").await.body(), "[]");
}

async fn t06_a_sign_in_that_begins_afterwards_succeeds<B: Backend>() {
    let world = World::<B>::start().await;
    let [desk, _] = world.elevated_and_other("alice").await;
    let revoke = world.store.hold(Op::Revoke, Moment::After);
    let slow = desk.delete("/sessions/others").start();
    revoke.reached().await;
    a_moment().await;
    let fresh = world.signed_in("alice").await;
    let from_shop = world.shopping(&[1]).await;
    from_shop.post("/login?user=alice").await.is(204);
    revoke.open();
    slow.reply().await.is(200);
    for client in [&desk, &fresh, &from_shop] {
        client.get("/me").await.is(200);
        client.post("/put/a/b").await.is(204);
        client.elevate().await;
        world.advance(minutes(2));
        client.get("/me").await.is(200);
    }
    assert_eq!(fresh.devices().await.len(), 3);
}

async fn t06_a_rotation_under_way_while_all_are_revoked_is_refused<B: Backend>() {
    let world = World::<B>::start().await;
    for change in ["/regenerate", "/elevate", "/login?user=alice"] {
        let client = world.signed_in("alice").await;
        let gate = world.store.hold(Op::Replace, Moment::Before);
        let slow = client.post(change).start();
        gate.reached().await;
        revoke_all_as_operator(&world, "alice").await;
        gate.open();
        was_refused(&slow.reply().await, Some("revoked_by_operator"));
        client.gets_end_reason("revoked_by_operator").await;
        assert_eq!(world.backend.live(), 0, "{change}");
        a_moment().await;
    }
}

async fn t06_a_rotation_that_was_faster_is_revoked_all_the_same<B: Backend>() {
    let world = World::<B>::start().await;
    for change in ["/regenerate", "/elevate", "/login?user=alice"] {
        let client = world.signed_in("alice").await;
        let gate = world.store.hold(Op::Replace, Moment::After);
        let slow = client.post(change).start();
        gate.reached().await;
        revoke_all_as_operator(&world, "alice").await;
        gate.open();
        slow.reply().await.is(204).new_id();
        client.gets_end_reason("revoked_by_operator").await;
        assert_eq!(world.backend.live(), 0, "{change}");
        a_moment().await;
    }
}

async fn t06_a_proof_under_way_in_the_session_that_is_kept_succeeds<B: Backend>() {
    let world = World::<B>::start().await;
    let [desk, phone] = world.elevated_and_other("alice").await;
    for change in ["/login?user=alice", "/regenerate", "/elevate"] {
        desk.elevate().await;
        let gate = world.store.hold(Op::Replace, Moment::Before);
        let slow = desk.post(change).start();
        gate.reached().await;
        a_moment().await;
        world.advance(minutes(1));
        desk.delete("/sessions/others").await.is(200);
        gate.open();
        slow.reply().await.is(204).new_id();
        desk.get("/me").await.is(200);
    }
    phone.gets_end_reason("revoked_by_user").await;
}

async fn t06_an_own_revocation_held_up_follows_a_new_identifier<B: Backend>() {
    let world = World::<B>::start().await;
    let [desk, phone] = world.elevated_and_other("alice").await;
    let target = format!("/sessions/{}", phone.handle().await);
    for target in [target.as_str(), "/sessions/others"] {
        phone.post("/login?user=alice").await.is(204);
        let gate = world.store.hold(Op::Revoke, Moment::Before);
        let slow = desk.delete(target).start();
        gate.reached().await;
        for change in ["/regenerate", "/elevate"] {
            phone.post(change).await.is(204);
        }
        a_moment().await;
        world.advance(minutes(1));
        gate.open();
        assert_eq!(slow.reply().await.is(200).body(), "1");
        phone.gets_end_reason("revoked_by_user").await;
    }
}

async fn rule_8_a_revocation_that_cannot_be_carried_out_is_an_error_and_can_be_repeated<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    let [desk, phone] = world.elevated_and_other("alice").await;
    let one = format!("/sessions/{}", phone.handle().await);
    for target in [&one, "/sessions/others", "/sessions", "/operator/alice"] {
        world.store.fail(Op::Revoke, Moment::Before);
        let reply = desk.delete(target).await;
        reply
            .is_problem(503, "session-unavailable")
            .keeps_the_cookie();
        assert!(!reply.header("retry-after").is_empty());
        assert!(!world.audit.has(&Ended(RevokedByUser)), "{target}");
        phone.get("/me").await.is(200);
        desk.get("/me").await.is(200);
    }
    assert_eq!(desk.delete(&one).await.is(200).body(), "1");
    phone.get("/me").await.is(401);
    assert_eq!(desk.delete("/sessions").await.is(200).body(), "1");
}

async fn a_revocation_whose_answer_was_lost_is_not_taken_for_done_and_can_be_repeated<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    let [desk, phone] = world.elevated_and_other("alice").await;
    world.store.fail(Op::Revoke, Moment::After);
    desk.delete("/sessions/others")
        .await
        .is(503)
        .keeps_the_cookie();
    phone.gets_end_reason("revoked_by_user").await;
    assert_eq!(desk.delete("/sessions/others").await.is(200).body(), "0");
    // The audit received no event. The log was written with the end.
    let history = desk.get("/history").await;
    assert!(history.body().contains("session_ended revoked_by_user"));
}

async fn s102_a_revocation_whose_client_disconnected_is_finished_and_reported<B: Backend>() {
    let world = World::<B>::start().await;
    let [desk, phone] = world.elevated_and_other("alice").await;
    let one = format!("/sessions/{}", phone.handle().await);
    let operator = "/operator/bob";
    let bob = world.signed_in("bob").await;
    for (target, victim, reason) in [
        (one.as_str(), &phone, RevokedByUser),
        (operator, &bob, RevokedByOperator),
    ] {
        let done = world.store.hold(Op::Revoke, Moment::Before);
        let flight = desk.delete(target).start();
        done.reached().await;
        flight.disconnect().await;
        world.client_disconnected().await;
        done.open();
        world.audit.until(Ended(reason)).await;
        victim.gets_end_reason(reason.as_str()).await;
    }
}

async fn rule_13_a_handler_that_failed_after_a_revocation_does_not_undo_it<B: Backend>() {
    let world = World::<B>::start().await;
    let [desk, phone] = world.elevated_and_other("alice").await;
    let one = format!("/sessions/{}", phone.handle().await);
    desk.delete(&one).answered(500).await.is(500);
    phone.gets_end_reason("revoked_by_user").await;
    assert!(world.audit.has(&Ended(RevokedByUser)));

    let phone = world.signed_in("alice").await;
    desk.delete("/sessions/others").panicking().breaks().await;
    phone.gets_end_reason("revoked_by_user").await;

    let id = desk.id();
    let reply = desk.delete("/sessions").answered(500).await;
    reply.is(500).removes_the_cookie();
    assert_eq!(world.ended(&id).await, Some(SignedOut));
    let ends: Vec<EventKind> = world
        .audit
        .take_ends()
        .into_iter()
        .map(|event| event.kind)
        .collect();
    assert_eq!(ends, [Ended(RevokedByUser), Ended(SignedOut)]);
}

async fn a_report_counts_the_sessions_that_this_revocation_ended<B: Backend>() {
    let world = World::<B>::start().await;
    let [desk, phone] = world.elevated_and_other("alice").await;
    let one = format!("/sessions/{}", phone.handle().await);
    world.signed_in("alice").await;
    assert_eq!(desk.delete(&one).await.is(200).body(), "1");
    desk.delete(&one).await.is(404);
    assert_eq!(desk.delete("/sessions/others").await.body(), "1");
    assert_eq!(desk.delete("/sessions/others").await.body(), "0");
    assert_eq!(desk.delete("/operator/unknown").await.body(), "0");
    assert_eq!(desk.delete("/sessions").await.body(), "1");
}

/// The user's list has lost a session, by eviction or by hand. The revocation finds it in the
/// expiry list.
#[tokio::test(flavor = "multi_thread")]
async fn t07_a_session_that_is_missing_from_its_users_list_is_revoked_with_all() {
    let world = World::<Redis>::start().await;
    let client = world.signed_in("alice").await;
    world.backend.lose_lists_of_users();
    let operator = world.client();
    assert_eq!(operator.get("/operator/alice").await.body(), "[]");
    a_moment().await;
    assert_eq!(operator.delete("/operator/alice").await.body(), "1");
    client.gets_end_reason("revoked_by_operator").await;
}

/// Both lists have lost it. It can be read until it is touched or written, and then it ends.
#[tokio::test(flavor = "multi_thread")]
async fn t07_a_session_that_is_missing_from_every_list_ends_when_it_is_next_written() {
    let world = World::<Redis>::start().await;
    for write in ["/put/a/b", "/regenerate", "/elevate"] {
        let client = world.signed_in("alice").await;
        let handle = client.handle().await;
        for key in world.backend.lists() {
            world.backend.server().cli(&["DEL", &key]);
        }
        a_moment().await;
        let operator = world.client();
        assert_eq!(operator.delete("/operator/alice").await.body(), "0");
        client.post(write).await.is(401).keeps_the_cookie();
        client.get("/me").await.is(401);
        assert!(!world.audit.take_kinds().contains(&Regenerated), "{handle}");
        a_moment().await;
    }
    let client = world.signed_in("alice").await;
    for key in world.backend.lists() {
        world.backend.server().cli(&["DEL", &key]);
    }
    a_moment().await;
    world.client().delete("/operator/alice").await.is(200);
    world.advance(minutes(2));
    client.get("/me").await;
    client.gets_end_reason("revoked_by_operator").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s069_sessions_are_revoked_while_redis_has_no_room_and_by_another_process() {
    let world = World::<Redis>::start().await;
    let [desk, phone] = world.elevated_and_other("alice").await;
    let (tablet, bob) = (world.signed_in("alice").await, world.signed_in("bob").await);
    let server = world.another_server().await;
    world.backend.configure("maxmemory", "1");
    let there = desk.at(server.address());
    assert_eq!(revoke(&there, &phone).await.is(200).body(), "1");
    phone.gets_end_reason("revoked_by_user").await;
    assert_eq!(there.delete("/sessions/others").await.is(200).body(), "1");
    tablet.gets_end_reason("revoked_by_user").await;
    let operator = world.client_of(&server);
    assert_eq!(operator.delete("/operator/bob").await.is(200).body(), "1");
    bob.gets_end_reason("revoked_by_operator").await;
    assert_eq!(there.delete("/sessions").await.is(200).body(), "1");
    assert_eq!(world.backend.live(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_12_the_ends_of_a_revocation_that_failed_halfway_are_reported() {
    let world = World::<Redis>::start().await;
    let newer = world.signed_in("alice").await;
    let redis = world.backend.server();
    let session = world.backend.keys().remove(0);
    redis.cli(&["SETRANGE", &session, "0", "2"]);
    let clients = [
        world.signed_in("alice").await,
        world.signed_in("alice").await,
    ];
    let revoked = world.layer.sessions().revoke_all("alice").await;
    assert_eq!(revoked.unwrap_err().kind(), StoreErrorKind::NewerFormat);
    for client in &clients {
        client.gets_end_reason("revoked_by_operator").await;
    }
    let events = world.audit.take_kinds();
    assert_eq!(
        events[..2],
        [Ended(RevokedByOperator), Ended(RevokedByOperator)]
    );

    redis.cli(&["SETRANGE", &session, "0", "1"]);
    let receipt = world.layer.sessions().revoke_all("alice").await.unwrap();
    assert_eq!(receipt.ended.len(), 1);
    newer.gets_end_reason("revoked_by_operator").await;
}
