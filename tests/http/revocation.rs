//! Sessions ended from elsewhere: by their user, or by an operator.

use portcullis::{
    audit::{
        Actor,
        EventKind::{self, *},
    },
    session::EndReason::{RevokedByOperator, RevokedByUser, SignedOut},
    store::StoreErrorKind,
};
use portcullis_tests::{
    Backend, Client, Moment, Op, Redis, Reply, World, a_moment, minutes, on_every_store,
};

on_every_store![
    s059_s063_a_revoked_session_is_dead_on_every_server_and_its_client_gets_the_reason,
    s064_a_revoked_session_does_not_come_back,
    s074_to_end_other_sessions_needs_a_recent_proof_and_to_sign_out_does_not,
    t78_s075_the_session_of_another_user_is_not_found_like_an_unknown_one,
    s067_after_a_change_of_the_password_only_this_session_continues_under_a_new_identifier,
    to_revoke_all_signs_out_here_too_and_removes_the_cookie,
    to_revoke_the_current_session_is_to_sign_out,
    s068_an_operator_ends_sessions_in_their_own_name,
    rule_12_each_end_is_reported_once_with_session_and_user,
    rule_8_a_revocation_that_cannot_be_carried_out_is_an_error_and_can_be_repeated,
    a_revocation_whose_answer_was_lost_is_not_taken_for_done_and_can_be_repeated,
    s102_a_revocation_whose_client_disconnected_is_finished_and_reported,
    rule_13_a_handler_that_failed_after_a_revocation_does_not_undo_it,
    a_report_counts_the_sessions_that_this_revocation_ended,
];

#[track_caller]
pub(crate) fn was_refused(reply: &Reply, reason: Option<&str>) {
    reply.is_problem(401, "session-ended").keeps_the_cookie();
    assert_eq!(reply.reason().as_deref(), reason);
}

pub(crate) async fn revoke(client: &Client, other: &Client) -> Reply {
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

async fn t78_s075_the_session_of_another_user_is_not_found_like_an_unknown_one<B: Backend>() {
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
    let (others_ended, last) = (&events[..2], &events[2]);
    assert_eq!(events.len(), 3);
    let mut names: Vec<_> = others_ended
        .iter()
        .map(|event| event.session.unwrap().to_string())
        .collect();
    names.sort_unstable();
    others.sort_unstable();
    assert_eq!(names, others);
    assert!(
        others_ended
            .iter()
            .all(|event| event.kind == Ended(RevokedByUser))
    );
    assert!(
        others_ended
            .iter()
            .all(|event| event.actor == Actor::Client)
    );
    assert!(
        others_ended
            .iter()
            .all(|event| event.user == Some("alice".into()))
    );
    assert_eq!(last.kind, Ended(SignedOut));
    assert_eq!(last.session.unwrap().to_string(), current);
}

pub(crate) async fn revoke_all_as_operator<B: Backend>(world: &World<B>, user: &str) {
    a_moment().await;
    world.advance(minutes(1));
    let target = format!("/operator/{user}");
    world.client().delete(&target).await.is(200);
    world.backend.later().await;
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
