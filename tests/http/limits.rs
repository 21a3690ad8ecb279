//! Bounds on what anonymous clients and handlers can make a server store.

use portcullis::{audit::LogQuery, session::SessionHandle};

use portcullis_tests::{Backend, Moment, Op, World, on_every_store};

on_every_store![
    t68_s035_visitors_who_write_nothing_leave_no_trace,
    s035_a_write_that_leaves_nothing_behind_begins_no_session,
    t69_a_value_that_is_too_large_is_refused_and_nothing_is_lost,
    t69_the_limit_counts_all_values_and_their_names,
    t69_an_update_that_grows_too_large_is_refused_and_nothing_is_lost,
    t69_two_writes_that_fit_only_one_by_one_do_not_both_pass,
    the_limit_can_be_set_within_reason,
    the_name_of_a_user_may_be_a_kibibyte_long,
    no_store_command_is_sent_for_an_invalid_user,
    the_name_of_an_operator_is_truncated,
];

async fn t68_s035_visitors_who_write_nothing_leave_no_trace<B: Backend>() {
    let world = World::<B>::start().await;
    for _ in 0..50 {
        for target in ["/public", "/session", "/maybe", "/cart", "/get/a", "/me"] {
            world.client().get(target).await.keeps_the_cookie();
        }
        for change in [
            "/public",
            "/clear",
            "/regenerate",
            "/drop",
            "/logout",
            "/transfer",
        ] {
            world.client().post(change).await.keeps_the_cookie();
        }
    }
    assert_eq!(world.store.take_calls(), []);
    assert_eq!(world.backend.live(), 0);
}

async fn s035_a_write_that_leaves_nothing_behind_begins_no_session<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.client();
    client
        .call("DELETE".parse().unwrap(), "/key/a")
        .await
        .is(200)
        .keeps_the_cookie();
    client.post("/elevate").await.is(401).keeps_the_cookie();
    client
        .post("/login?user=")
        .await
        .is_problem(500, "session-error")
        .keeps_the_cookie();
    client.post("/nested/panic").breaks().await;
    client
        .post("/big/a/100000")
        .await
        .is(413)
        .keeps_the_cookie();
    assert_eq!(world.store.take_calls(), []);
}

async fn t69_a_value_that_is_too_large_is_refused_and_nothing_is_lost<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.post("/put/a/b").await.is(204);
    for bytes in [65_536, 5_000_000] {
        let reply = client.post(&format!("/big/a/{bytes}")).await;
        reply
            .is_problem(413, "session-too-large")
            .keeps_the_cookie();
    }
    assert_eq!(client.get("/get/a").await.body(), "b");
    assert_eq!(client.get("/me").await.body(), "alice");
}

async fn t69_the_limit_counts_all_values_and_their_names<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    // A name of one byte, and three bytes with which a long text begins.
    let most = 65_536 - 4;
    client.post(&format!("/big/a/{}", most + 1)).await.is(413);
    client.post(&format!("/big/a/{most}")).await.is(204);
    client.post("/put/b/c").await.is(413);
    client.post("/regenerate").await.is(204);
    client.post("/big/a/10").await.is(204);
    client.post("/put/b/c").await.is(204);
    assert_eq!(client.get("/get/a").await.body(), "x".repeat(10));
}

async fn t69_an_update_that_grows_too_large_is_refused_and_nothing_is_lost<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.post(&format!("/big/a/{}", 65_536 - 4)).await.is(204);
    client
        .post("/cart?item=1")
        .await
        .is_problem(413, "session-too-large");
    assert!(client.view().await.cart.is_empty());
    assert_eq!(client.get("/get/a").await.body().len(), 65_532);
}

async fn t69_two_writes_that_fit_only_one_by_one_do_not_both_pass<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let other = world.another_process().await;
    let gate = world.store.hold_each(Op::Commit, Moment::Before, 2);
    let there = client.at(other.address());
    let flights = [
        client.post("/big/a/40000").start(),
        there.post("/big/b/40000").start(),
    ];
    gate.reached().await;
    gate.reached().await;
    gate.open();
    let mut statuses = Vec::new();
    for flight in flights {
        statuses.push(flight.reply().await.keeps_the_cookie().status());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 413]);
    let (a, b) = (
        client.get("/get/a").await.status(),
        client.get("/get/b").await.status(),
    );
    assert_eq!(a + b, 200 + 404);
}

async fn the_limit_can_be_set_within_reason<B: Backend>() {
    let world = World::<B>::with(|layer| {
        assert!(layer.clone().payload_limit(2 * 1024 * 1024).is_err());
        layer.payload_limit(100).unwrap()
    })
    .await;
    let client = world.signed_in("alice").await;
    client.post("/big/a/90").await.is(204);
    client.post("/big/b/10").await.is(413);
}

async fn the_name_of_a_user_may_be_a_kibibyte_long<B: Backend>() {
    let world = World::<B>::start().await;
    let (longest, longer) = ("a".repeat(1024), "a".repeat(1025));
    let client = world.client();
    client.post("/put/a/b").await.is(204);
    world.forget();
    for name in [longer, "a".repeat(1_000_000)] {
        let reply = client.post("/login-bytes").body(name).await;
        reply.is_problem(500, "session-error").keeps_the_cookie();
    }
    assert!(!world.store.take_calls().contains(&Op::Replace));
    client
        .post("/login-bytes")
        .body(longest.clone())
        .await
        .is(204);
    assert_eq!(client.get("/me").await.body(), longest);
    client.get("/get/a").await.is(200);
    let sessions = world.layer.sessions();
    assert_eq!(sessions.list(&longest).await.unwrap().len(), 1);
    let receipt = sessions.revoke_all(&longest).await.unwrap();
    assert_eq!(receipt.ended.len(), 1);
    client.get("/me").await.is(401);
}

async fn no_store_command_is_sent_for_an_invalid_user<B: Backend>() {
    let world = World::<B>::start().await;
    let (sessions, handle) = (world.layer.sessions(), SessionHandle::from_bytes([7; 12]));
    for user in [String::new(), "a".repeat(1025)] {
        let listed = sessions.list(&user).await.unwrap();
        let receipts = [
            sessions.revoke(&user, handle).await.unwrap(),
            sessions.revoke_others(&user, handle).await.unwrap(),
            sessions.revoke_all(&user).await.unwrap(),
        ];
        let query = LogQuery {
            user: Some((&user).into()),
            ..LogQuery::default()
        };
        let logged = sessions.history(query).await.unwrap();
        assert!(listed.is_empty() && logged.is_empty());
        assert!(receipts.iter().all(|receipt| receipt.ended.is_empty()));
    }
    assert_eq!(world.store.take_calls(), []);
}

async fn the_name_of_an_operator_is_truncated<B: Backend>() {
    let world = World::<B>::start().await;
    world.signed_in("alice").await;
    // The 1024th byte is the first of two that make one character.
    let (kept, name) = ("o".repeat(1023), "o".repeat(1023) + "é and more");
    let sessions = world.layer.sessions().as_operator(name);
    sessions.revoke_all("alice").await.unwrap();
    let events = world.audit.take();
    assert_eq!(events[0].actor.operator(), Some(kept.as_str()));
}
