//! Why a session ended: the same reason in the audit, in the refusal and for the page, for a day.

use portcullis::{
    Timeouts,
    audit::{Event, EventKind},
    client::DeviceBinding,
    session::EndReason,
    settings::SessionLimit,
};
use portcullis_tests::{
    Backend, Client, Gate, Moment, Op, World, hours, minutes, on_every_store, seconds,
};

on_every_store![
    a_signed_out_session,
    an_idle_session,
    a_session_past_its_absolute_deadline,
    a_session_revoked_by_its_user,
    a_session_revoked_by_an_operator,
    a_displaced_session,
    a_session_used_on_another_device,
    a_session_replaced_by_a_sign_in,
    a_session_with_a_replaced_identifier,
    t26_the_very_next_request_after_an_expiry_gets_the_reason_without_a_sweep,
    t26_a_write_across_an_expiry_gets_the_reason,
    t26_a_browser_is_redirected_to_the_page_and_the_page_has_the_reason,
    s103_a_session_that_ended_long_ago_is_as_unknown_as_one_that_never_existed,
    a_client_that_never_had_a_session_gets_no_reason,
];

/// The end of this session is reported once, with the reason. A request with `client`'s cookie gets
/// it too: at once, a day later, and on another server. Some time later it does not.
async fn ends_with_reason<B: Backend>(
    world: &World<B>,
    client: &Client,
    handle: &str,
    reason: EndReason,
) {
    let word = reason.as_str();
    for _ in 0..2 {
        gets_reason(client, word).await;
    }
    let _ = world.layer.sessions().sweep().await.unwrap();
    let ended = |event: &Event| event.kind == EventKind::Ended(reason);
    let events: Vec<_> = world.audit.take_ends().into_iter().filter(ended).collect();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0].session.unwrap().to_string(), handle);

    world.advance(hours(23));
    let server = world.another_server().await;
    gets_reason(&client.at(server.address()), word).await;
    world.advance(hours(2));
    is_unknown(client).await;
}

async fn gets_reason(client: &Client, word: &str) {
    let reply = client.get("/me").await;
    reply
        .is_problem(401, "authentication-required")
        .keeps_the_cookie();
    assert_eq!(reply.reason().as_deref(), Some(word));
    let detail: serde_json::Value = reply.json();
    let reason = EndReason::ALL.into_iter().find(|it| it.as_str() == word);
    assert_eq!(detail["detail"], reason.unwrap().message());
    let page = client.view().await;
    assert_eq!((page.ended.as_deref(), page.user), (Some(word), None));
}

async fn is_unknown(client: &Client) {
    let reply = client.get("/me").await;
    reply.is_problem(401, "authentication-required");
    assert_eq!(reply.reason(), None);
    assert_eq!(client.view().await.ended, None);
}

async fn a_signed_out_session<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let (tab, handle) = (client.fork(), client.handle().await);
    client.post("/logout").await.is(204);
    ends_with_reason(&world, &tab, &handle, EndReason::SignedOut).await;
}

async fn an_idle_session<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let handle = client.handle().await;
    world.advance(minutes(30));
    ends_with_reason(&world, &client, &handle, EndReason::IdleTimeout).await;
}

async fn a_session_past_its_absolute_deadline<B: Backend>() {
    let timeouts = Timeouts::new(minutes(30), minutes(50)).unwrap();
    let world = World::<B>::with(|layer| layer.timeouts(timeouts)).await;
    let client = world.signed_in("alice").await;
    let handle = client.handle().await;
    world.advance(minutes(25));
    client.get("/me").await.is(200);
    world.advance(minutes(25));
    ends_with_reason(&world, &client, &handle, EndReason::AbsoluteTimeout).await;
}

async fn a_session_revoked_by_its_user<B: Backend>() {
    let world = World::<B>::start().await;
    let [desk, phone] = world.elevated_and_other("alice").await;
    let handle = phone.handle().await;
    desk.delete(&format!("/sessions/{handle}")).await.is(200);
    ends_with_reason(&world, &phone, &handle, EndReason::RevokedByUser).await;
}

async fn a_session_revoked_by_an_operator<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let handle = client.handle().await;
    world.client().delete("/operator/alice").await.is(200);
    ends_with_reason(&world, &client, &handle, EndReason::RevokedByOperator).await;
}

async fn a_displaced_session<B: Backend>() {
    let one = SessionLimit::displace(1).unwrap();
    let world = World::<B>::with(|layer| layer.session_limit(one)).await;
    let client = world.signed_in("alice").await;
    let handle = client.handle().await;
    world.client().post("/login?user=alice").await.is(204);
    ends_with_reason(&world, &client, &handle, EndReason::Displaced).await;
}

async fn a_session_used_on_another_device<B: Backend>() {
    let world = World::<B>::with(|layer| layer.device_binding(DeviceBinding::End)).await;
    let client = world.signed_in("alice").await;
    let handle = client.handle().await;
    let thief = client.fork().calling_itself("curl/8");
    let reply = thief.get("/me").await;
    reply.is(401).removes_the_cookie();
    assert_eq!(reply.reason().as_deref(), Some("device_changed"));
    ends_with_reason(&world, &client, &handle, EndReason::DeviceChanged).await;
}

/// The reason is kept for a minute: the other identifier is in the same browser.
async fn gets_the_reason_for_a_minute<B: Backend>(change: &str, reason: EndReason) {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let tab = client.fork();
    client.post(change).await.is(204).new_id();
    world.advance(seconds(50));
    gets_reason(&tab, reason.as_str()).await;
    let used = EventKind::UsedAfterEnd(reason);
    assert!(world.audit.take_kinds().contains(&used));
    world.advance(seconds(20));
    is_unknown(&tab).await;
    client.get("/me").await.is(200);
}

async fn a_session_replaced_by_a_sign_in<B: Backend>() {
    gets_the_reason_for_a_minute::<B>("/login?user=alice", EndReason::ReplacedAtSignIn).await;
    gets_the_reason_for_a_minute::<B>("/login?user=bob", EndReason::ReplacedAtSignIn).await;
}

async fn a_session_with_a_replaced_identifier<B: Backend>() {
    gets_the_reason_for_a_minute::<B>("/regenerate", EndReason::Replaced).await;
    gets_the_reason_for_a_minute::<B>("/elevate", EndReason::Replaced).await;
}

async fn t26_the_very_next_request_after_an_expiry_gets_the_reason_without_a_sweep<B: Backend>() {
    let world = World::<B>::start().await;
    for user in [Some("alice"), None] {
        let client = match user {
            Some(user) => world.signed_in(user).await,
            None => world.shopping(&[1]).await,
        };
        let handle = client.handle().await;
        world.advance(minutes(30));
        let server = world.another_server().await;
        let reply = client.at(server.address()).get("/me").await;
        assert_eq!(reply.is(401).reason().as_deref(), Some("idle_timeout"));
        gets_reason(&client, "idle_timeout").await;
        let used = EventKind::UsedAfterEnd(EndReason::IdleTimeout);
        let events = world.audit.take();
        assert!(events.iter().all(|event| event.kind == used), "{events:?}");
        assert_eq!(events[0].session.unwrap().to_string(), handle);
    }
}

async fn t26_a_write_across_an_expiry_gets_the_reason<B: Backend>() {
    let world = World::<B>::start().await;
    for (change, op) in [("/put/a/b", Op::Commit), ("/regenerate", Op::Replace)] {
        let client = world.signed_in("alice").await;
        let held = world.store.hold(op, Moment::Before);
        let slow = client.post(change).start();
        held.reached().await;
        world.advance(minutes(30));
        held.open();
        let reply = slow.reply().await;
        reply.is_problem(401, "session-ended").keeps_the_cookie();
        assert_eq!(reply.reason().as_deref(), Some("idle_timeout"));
    }
    let client = world.signed_in("alice").await;
    let tab = client.fork();
    let gate = Gate::closed();
    let slow = tab.post("/put/a/b").held_at(&gate).start();
    gate.reached().await;
    client.post("/logout").await.is(204);
    gate.open();
    let reply = slow.reply().await;
    assert_eq!(reply.is(401).reason().as_deref(), Some("signed_out"));
}

async fn t26_a_browser_is_redirected_to_the_page_and_the_page_has_the_reason<B: Backend>() {
    let world = World::<B>::with(|layer| layer.sign_in_page("/session").unwrap()).await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(30));
    let page = client.get("/account").header("sec-fetch-mode", "navigate");
    let reply = page.await;
    reply.is(303).keeps_the_cookie();
    assert_eq!(reply.header("location"), "/session?return_to=/account");
    let page = client.get("/session").header("sec-fetch-mode", "navigate");
    let view: portcullis_tests::SessionView = page.await.is(200).json();
    assert_eq!(view.ended.as_deref(), Some("idle_timeout"));
    // A client that has signed in again gets no reason.
    client.post("/login?user=alice").await.is(204);
    assert_eq!(client.view().await.ended, None);
}

async fn s103_a_session_that_ended_long_ago_is_as_unknown_as_one_that_never_existed<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let tab = client.fork();
    client.post("/logout").await.is(204);
    world.advance(hours(25));
    for client in [&tab, &world.client().with_id(&"A".repeat(43))] {
        world.forget();
        is_unknown(client).await;
        assert_eq!(
            world.audit.take_kinds(),
            [const { EventKind::UnknownIdentifier }; 2]
        );
    }
}

async fn a_client_that_never_had_a_session_gets_no_reason<B: Backend>() {
    let world = World::<B>::start().await;
    let nonsense = world.client().with_id("nonsense");
    for client in [world.client(), nonsense] {
        is_unknown(&client).await;
    }
}
