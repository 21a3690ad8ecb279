//! Users who are suspended by an operator, and resumed.

use portcullis::{
    Sessions,
    audit::{
        Actor,
        EventKind::{self, *},
        LogQuery,
    },
    session::{
        EndReason::RevokedByOperator,
        Resumed::{Done, NotSuspended},
    },
};
use portcullis_tests::{
    Backend, Client, Moment, Op, Reply, World, late, on_every_store, seconds, soon, within,
};

on_every_store![
    a_suspended_user_is_signed_out_everywhere_at_once,
    a_suspended_user_cannot_sign_in_on_any_server,
    a_refused_sign_in_leaves_the_visitor_and_tells_nothing_of_the_suspension,
    a_sign_in_under_way_is_refused_if_its_user_is_suspended_meanwhile,
    a_sign_in_under_way_is_refused_if_its_user_was_resumed_meanwhile,
    a_write_under_way_is_refused_if_its_user_is_suspended_meanwhile,
    a_resumed_user_signs_in_anew_and_no_session_is_revived,
    other_users_are_not_affected,
    the_streams_and_sockets_of_a_suspended_user_end,
    the_streams_of_a_suspended_user_end_on_other_servers,
    rule_12_a_suspension_its_end_and_what_they_cause_are_events,
    rule_8_a_suspension_that_cannot_be_carried_out_is_an_error_and_can_be_repeated,
    an_operator_sees_who_is_suspended_since_when_by_whom_and_why,
];

fn operator<B: Backend>(world: &World<B>) -> Sessions {
    world.layer.sessions().as_operator("olga")
}

#[track_caller]
fn is_suspended(reply: &Reply) {
    reply.is_problem(403, "user-suspended").keeps_the_cookie();
}

async fn sign_in(client: &Client) -> Reply {
    client.post("/login?user=alice").await
}

async fn a_suspended_user_is_signed_out_everywhere_at_once<B: Backend>() {
    let world = World::<B>::start().await;
    let server = world.another_server().await;
    let [desk, phone] = world.elevated_and_other("alice").await;
    phone.at(server.address()).get("/me").await.is(200);
    let report = operator(&world).suspend("alice", None).await.unwrap();
    assert_eq!((report.ended.len(), report.was_suspended), (2, false));
    for client in [&desk, &phone, &phone.at(server.address())] {
        client.gets_end_reason("revoked_by_operator").await;
        client.post("/elevate").await.is(401);
    }
    assert_eq!(world.ended(&desk.id()).await, Some(RevokedByOperator));
}

async fn a_suspended_user_cannot_sign_in_on_any_server<B: Backend>() {
    let world = World::<B>::start().await;
    let server = world.another_server().await;
    operator(&world).suspend("alice", None).await.unwrap();
    for client in [world.client(), world.client_of(&server)] {
        for route in [
            "/login?user=alice",
            "/login-asking?user=alice",
            "/reset?user=alice",
        ] {
            world.backend.later().await;
            is_suspended(&client.post(route).await);
        }
        assert!(!client.has_cookie());
    }
    assert_eq!(world.backend.live(), 0);
}

async fn a_refused_sign_in_leaves_the_visitor_and_tells_nothing_of_the_suspension<B: Backend>() {
    let world = World::<B>::start().await;
    let reason = Some("stolen laptop");
    operator(&world).suspend("alice", reason).await.unwrap();
    let client = world.shopping(&[1]).await;
    let reply = sign_in(&client).await;
    is_suspended(&reply);
    for secret in ["alice", "olga", "stolen"] {
        assert!(!reply.body().contains(secret), "{}", reply.body());
    }
    let view = client.view().await;
    assert_eq!((view.user, view.cart), (None, vec![1]));
    client.post("/cart?item=2").await.is(204);
    client.post("/login?user=bob").await.is(204).new_id();
    assert_eq!(client.view().await.cart, [1, 2]);
}

async fn a_sign_in_under_way_is_refused_if_its_user_is_suspended_meanwhile<B: Backend>() {
    let world = World::<B>::start().await;
    for (op, client) in [
        (Op::Create, world.client()),
        (Op::Replace, world.shopping(&[1]).await),
    ] {
        let gate = world.store.hold(op, Moment::Before);
        let flight = client.post("/login?user=alice").start();
        gate.reached().await;
        operator(&world).suspend("alice", None).await.unwrap();
        gate.open();
        is_suspended(&flight.reply().await);
        operator(&world).resume("alice").await.unwrap();
        world.backend.later().await;
    }
}

/// The user was verified while they were suspended.
async fn a_sign_in_under_way_is_refused_if_its_user_was_resumed_meanwhile<B: Backend>() {
    let world = World::<B>::start().await;
    operator(&world).suspend("alice", None).await.unwrap();
    let client = world.client();
    let gate = world.store.hold(Op::Create, Moment::Before);
    let flight = client.post("/login?user=alice").start();
    gate.reached().await;
    world.backend.later().await;
    operator(&world).resume("alice").await.unwrap();
    gate.open();
    flight.reply().await.is_problem(401, "session-ended");
    assert_eq!(world.backend.live(), 0);
}

async fn a_write_under_way_is_refused_if_its_user_is_suspended_meanwhile<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let gate = world.store.hold(Op::Commit, Moment::Before);
    let flight = client.post("/cart?item=1").start();
    gate.reached().await;
    operator(&world).suspend("alice", None).await.unwrap();
    gate.open();
    let reply = flight.reply().await;
    reply.is_problem(401, "session-ended").keeps_the_cookie();
    assert_eq!(reply.reason().as_deref(), Some("revoked_by_operator"));
}

async fn a_resumed_user_signs_in_anew_and_no_session_is_revived<B: Backend>() {
    let world = World::<B>::start().await;
    let server = world.another_server().await;
    let client = world.signed_in("alice").await;
    let copy = client.fork();
    operator(&world).suspend("alice", None).await.unwrap();
    assert_eq!(operator(&world).resume("alice").await.unwrap(), Done);
    copy.get("/me").await.is(401);
    world.backend.later().await;
    sign_in(&client).await.is(204).new_id();
    assert_eq!(client.get("/me").await.is(200).body(), "alice");
    copy.get("/me").await.is(401);
    let elsewhere = world.client_of(&server);
    sign_in(&elsewhere).await.is(204);
    assert_eq!(client.devices().await.len(), 2);
}

async fn other_users_are_not_affected<B: Backend>() {
    let world = World::<B>::start().await;
    let bob = world.signed_in("bob").await;
    operator(&world).suspend("alice", None).await.unwrap();
    bob.get("/me").await.is(200);
    bob.post("/cart?item=1").await.is(204);
    bob.post("/elevate").await.is(204);
    world.signed_in("bob").await;
    assert_eq!(bob.devices().await.len(), 2);
}

async fn the_streams_and_sockets_of_a_suspended_user_end<B: Backend>() {
    let world = World::<B>::with(late).await;
    let client = world.signed_in("alice").await;
    let mut events = client.get("/live").listen().await;
    let mut socket = client.get("/socket").socket().await;
    events.go_on().await;
    socket.echoes("before").await;
    operator(&world).suspend("alice", None).await.unwrap();
    let reason = within(seconds(5), events.reason()).await;
    assert_eq!(reason, "revoked_by_operator");
    let closed = within(seconds(5), socket.closed()).await;
    assert_eq!(closed, (4401, "revoked_by_operator".to_owned()));
}

async fn the_streams_of_a_suspended_user_end_on_other_servers<B: Backend>() {
    let world = World::<B>::with(soon).await;
    let elsewhere = world.another_layer().await;
    let client = world.signed_in("alice").await;
    let mut events = client.get("/live").listen().await;
    events.go_on().await;
    let sessions = elsewhere.sessions();
    sessions.suspend("alice", None).await.unwrap();
    let reason = within(seconds(3), events.reason()).await;
    assert_eq!(reason, "revoked_by_operator");
}

async fn rule_12_a_suspension_its_end_and_what_they_cause_are_events<B: Backend>() {
    let world = World::<B>::start().await;
    world.signed_in("alice").await;
    let why = || UserSuspended(Some("stolen laptop".into()));
    let sessions = operator(&world);
    for (reason, kinds) in [
        ("stolen laptop", vec![why(), Ended(RevokedByOperator)]),
        ("another reason", vec![]),
    ] {
        sessions.suspend("alice", Some(reason)).await.unwrap();
        let events = world.audit.take();
        for event in &events {
            assert_eq!(event.user, Some("alice".into()));
            assert_eq!(event.actor, Actor::Operator("olga".into()));
        }
        let reported: Vec<_> = events.into_iter().map(|event| event.kind).collect();
        assert_eq!(reported, kinds);
    }
    is_suspended(&sign_in(&world.client()).await);
    let [event] = &world.audit.take()[..] else {
        panic!("one event")
    };
    assert_eq!(event.kind, SuspendedSignIn);
    assert_eq!(event.user, Some("alice".into()));
    for kinds in [vec![UserResumed], vec![]] {
        sessions.resume("alice").await.unwrap();
        assert_eq!(world.audit.take_kinds(), kinds);
    }

    let query = LogQuery {
        user: Some("alice".into()),
        ..LogQuery::default()
    };
    let logged = sessions.history(query).await.unwrap();
    let changes = logged.into_iter().rev().filter_map(|line| line.event);
    let kinds: Vec<EventKind> = changes.map(|event| event.kind).collect();
    let changes: Vec<_> = kinds
        .into_iter()
        .filter(|kind| *kind != SuspendedSignIn)
        .collect();
    let expected = [Authenticated, why(), Ended(RevokedByOperator), UserResumed];
    assert_eq!(changes, expected);
}

async fn rule_8_a_suspension_that_cannot_be_carried_out_is_an_error_and_can_be_repeated<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    let sessions = operator(&world);
    world.store.fail(Op::Suspend, Moment::Before);
    sessions.suspend("alice", None).await.unwrap_err();
    assert_eq!(world.audit.take_kinds(), []);
    sessions.suspend("alice", None).await.unwrap();
    world.store.fail(Op::Resume, Moment::Before);
    sessions.resume("alice").await.unwrap_err();
    world.audit.take();
    is_suspended(&sign_in(&world.client()).await);
    assert_eq!(sessions.resume("alice").await.unwrap(), Done);
}

async fn an_operator_sees_who_is_suspended_since_when_by_whom_and_why<B: Backend>() {
    let world = World::<B>::start().await;
    let sessions = operator(&world);
    let long = "x".repeat(1023) + "\u{e9}";
    for (user, reason) in [("alice", Some("")), ("bob", Some(&*long))] {
        sessions.suspend(user, reason).await.unwrap();
    }
    let mut suspended = Vec::new();
    loop {
        let after = suspended.last().cloned();
        let page = sessions.suspended(after.as_ref(), 1).await.unwrap();
        let Some(one) = page.into_iter().next() else {
            break;
        };
        assert_eq!(one.actor, Some(Actor::Operator("olga".into())));
        let is_alice = one.user.as_str() == Some("alice");
        let reason = (!is_alice).then(|| "x".repeat(1023));
        assert_eq!(one.reason, reason);
        let again = sessions.suspension(one.user.clone()).await.unwrap();
        assert_eq!(again.as_ref(), Some(&one));
        suspended.push(one.user);
    }
    assert_eq!(suspended.len(), 2);
    assert_eq!(sessions.suspension("carol").await.unwrap(), None);
    // No user has such a name.
    for name in [String::new(), "x".repeat(2000)] {
        let report = sessions.suspend(name.clone(), None).await.unwrap();
        assert!(!report.was_suspended);
        assert_eq!(sessions.suspension(name.clone()).await.unwrap(), None);
        assert_eq!(sessions.resume(name).await.unwrap(), NotSuspended);
    }
}
