//! Why a session ended: one word in the audit, in the refusal and for the page, for a day.

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
    who_signed_out,
    who_was_idle,
    who_was_signed_in_for_too_long,
    who_signed_out_elsewhere,
    who_was_signed_out_by_an_operator,
    who_signed_in_too_often,
    who_used_the_session_on_another_device,
    who_has_just_signed_in_anew,
    whose_session_was_renewed_a_moment_ago,
    t26_the_very_next_request_after_an_expiry_is_told_though_nobody_swept,
    t26_a_write_across_an_expiry_is_told_why,
    t26_a_person_is_sent_to_the_page_and_the_page_knows_why,
    s103_what_ended_long_ago_is_as_unknown_as_what_never_was,
    who_never_had_a_session_is_told_of_none,
];

/// The reason is told of this session once, and whoever comes back with `client`'s cookie is told it too: at once, a day
/// later, and on another server. Not for ever.
async fn is_told<B: Backend>(world: &World<B>, client: &Client, handle: &str, reason: EndReason) {
    let word = reason.as_str();
    for _ in 0..2 {
        has_reason(client, word).await;
    }
    let _ = world.layer.sessions().sweep().await.unwrap();
    let ended = |event: &Event| event.kind == EventKind::Ended(reason);
    let told: Vec<_> = world.audit.take_ends().into_iter().filter(ended).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].session.unwrap().to_string(), handle);

    world.advance(hours(23));
    let server = world.another_server().await;
    has_reason(&client.at(server.address()), word).await;
    world.advance(hours(2));
    is_unknown(client).await;
}

async fn has_reason(client: &Client, word: &str) {
    let reply = client.get("/me").await;
    reply
        .is_problem(401, "authentication-required")
        .keeps_the_cookie();
    assert_eq!(reply.reason().as_deref(), Some(word));
    let detail: serde_json::Value = reply.json();
    let reason = EndReason::ALL.into_iter().find(|it| it.as_str() == word);
    assert_eq!(detail["detail"], reason.unwrap().message());
    let page = client.look().await;
    assert_eq!((page.ended.as_deref(), page.user), (Some(word), None));
}

async fn is_unknown(client: &Client) {
    let reply = client.get("/me").await;
    reply.is_problem(401, "authentication-required");
    assert_eq!(reply.reason(), None);
    assert_eq!(client.look().await.ended, None);
}

async fn who_signed_out<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let (tab, handle) = (client.fork(), client.handle().await);
    client.post("/logout").await.is(204);
    is_told(&world, &tab, &handle, EndReason::SignedOut).await;
}

async fn who_was_idle<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let handle = client.handle().await;
    world.advance(minutes(30));
    is_told(&world, &client, &handle, EndReason::IdleTimeout).await;
}

async fn who_was_signed_in_for_too_long<B: Backend>() {
    let timeouts = Timeouts::new(minutes(30), minutes(50)).unwrap();
    let world = World::<B>::with(|layer| layer.timeouts(timeouts)).await;
    let client = world.signed_in("alice").await;
    let handle = client.handle().await;
    world.advance(minutes(25));
    client.get("/me").await.is(200);
    world.advance(minutes(25));
    is_told(&world, &client, &handle, EndReason::AbsoluteTimeout).await;
}

async fn who_signed_out_elsewhere<B: Backend>() {
    let world = World::<B>::start().await;
    let [desk, phone] = world.elevated_and_other("alice").await;
    let handle = phone.handle().await;
    desk.delete(&format!("/sessions/{handle}")).await.is(200);
    is_told(&world, &phone, &handle, EndReason::RevokedByUser).await;
}

async fn who_was_signed_out_by_an_operator<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let handle = client.handle().await;
    world.client().delete("/operator/alice").await.is(200);
    is_told(&world, &client, &handle, EndReason::RevokedByOperator).await;
}

async fn who_signed_in_too_often<B: Backend>() {
    let one = SessionLimit::displace(1).unwrap();
    let world = World::<B>::with(|layer| layer.session_limit(one)).await;
    let client = world.signed_in("alice").await;
    let handle = client.handle().await;
    world.client().post("/login?user=alice").await.is(204);
    is_told(&world, &client, &handle, EndReason::Displaced).await;
}

async fn who_used_the_session_on_another_device<B: Backend>() {
    let world = World::<B>::with(|layer| layer.device_binding(DeviceBinding::End)).await;
    let client = world.signed_in("alice").await;
    let handle = client.handle().await;
    let thief = client.fork().calling_itself("curl/8");
    let reply = thief.get("/me").await;
    reply.is(401).removes_the_cookie();
    assert_eq!(reply.reason().as_deref(), Some("device_changed"));
    is_told(&world, &client, &handle, EndReason::DeviceChanged).await;
}

/// Remembered for a minute: the other identifier is in the same browser.
async fn is_told_for_a_minute<B: Backend>(change: &str, reason: EndReason) {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let tab = client.fork();
    client.post(change).await.is(204).new_id();
    world.advance(seconds(50));
    has_reason(&tab, reason.as_str()).await;
    let used = EventKind::UsedAfterEnd(reason);
    assert!(world.audit.take_kinds().contains(&used));
    world.advance(seconds(20));
    is_unknown(&tab).await;
    client.get("/me").await.is(200);
}

async fn who_has_just_signed_in_anew<B: Backend>() {
    is_told_for_a_minute::<B>("/login?user=alice", EndReason::ReplacedAtSignIn).await;
    is_told_for_a_minute::<B>("/login?user=bob", EndReason::ReplacedAtSignIn).await;
}

async fn whose_session_was_renewed_a_moment_ago<B: Backend>() {
    is_told_for_a_minute::<B>("/regenerate", EndReason::Replaced).await;
    is_told_for_a_minute::<B>("/elevate", EndReason::Replaced).await;
}

async fn t26_the_very_next_request_after_an_expiry_is_told_though_nobody_swept<B: Backend>() {
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
        has_reason(&client, "idle_timeout").await;
        let used = EventKind::UsedAfterEnd(EndReason::IdleTimeout);
        let told = world.audit.take();
        assert!(told.iter().all(|event| event.kind == used), "{told:?}");
        assert_eq!(told[0].session.unwrap().to_string(), handle);
    }
}

async fn t26_a_write_across_an_expiry_is_told_why<B: Backend>() {
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

async fn t26_a_person_is_sent_to_the_page_and_the_page_knows_why<B: Backend>() {
    let world = World::<B>::with(|layer| layer.sign_in_page("/session").unwrap()).await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(30));
    let person = client.get("/account").header("sec-fetch-mode", "navigate");
    let reply = person.await;
    reply.is(303).keeps_the_cookie();
    assert_eq!(reply.header("location"), "/session?return_to=/account");
    let page = client.get("/session").header("sec-fetch-mode", "navigate");
    let look: portcullis_tests::Look = page.await.is(200).json();
    assert_eq!(look.ended.as_deref(), Some("idle_timeout"));
    // Who has signed in again is told of nothing.
    client.post("/login?user=alice").await.is(204);
    assert_eq!(client.look().await.ended, None);
}

async fn s103_what_ended_long_ago_is_as_unknown_as_what_never_was<B: Backend>() {
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

async fn who_never_had_a_session_is_told_of_none<B: Backend>() {
    let world = World::<B>::start().await;
    let nonsense = world.client().with_id("nonsense");
    for client in [world.client(), nonsense] {
        is_unknown(&client).await;
    }
}
