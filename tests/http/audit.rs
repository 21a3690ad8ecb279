//! One change, one event: what happened, when, to whose session.

use portcullis::{
    EndReason::{Replaced, SignedOut},
    EventKind::{self, *},
    SessionLayer, TracingAudit,
};
use portcullis_tests::{
    Backend, CapturedLog, Client, Gate, Moment, Op, World, minutes, on_every_store,
};

on_every_store![
    rule_12_every_change_is_one_event,
    rule_12_what_was_not_carried_out_is_no_event,
    rule_12_an_event_is_not_lost_with_the_client_that_caused_it,
    rule_12_an_event_names_session_user_and_moment,
    signing_in_as_somebody_else_tells_of_the_session_that_ended,
    what_is_refused_is_told_with_its_reason,
    reading_and_writing_values_are_no_events,
    the_words_of_events_are_stable,
    @one_thread:
    without_an_audit_of_ones_own_events_are_logged,
];

async fn rule_12_every_change_is_one_event<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.client();
    let general = || Elevated("general".into());
    for (change, events) in [
        ("/cart?item=1", vec![Created]),
        ("/login?user=alice", vec![Authenticated]),
        ("/login?user=alice", vec![Authenticated]),
        ("/elevate", vec![general()]),
        ("/elevate/payments", vec![Elevated("payments".into())]),
        ("/drop", vec![ElevationDropped]),
        ("/drop", vec![]),
        ("/regenerate", vec![Regenerated]),
        ("/logout", vec![Ended(SignedOut)]),
        ("/logout", vec![]),
        ("/login?user=bob", vec![Authenticated]),
        ("/logout-and-put", vec![Ended(SignedOut), Created]),
    ] {
        client.post(change).await;
        assert_eq!(world.audit.take_kinds(), events, "{change}");
    }
}

async fn rule_12_what_was_not_carried_out_is_no_event<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for change in ["/elevate", "/login?user=bob", "/cart?item=1"] {
        client.post(change).answered(500).await.is(500);
        client.post(change).panicking().breaks().await;
    }
    assert_eq!(world.audit.take_kinds(), []);
    for (op, change) in [(Op::Replace, "/elevate"), (Op::End, "/logout")] {
        world.store.fail(op, Moment::Before);
        if op == Op::End {
            // An end that failed is asked for once more.
            world.store.fail(op, Moment::Before);
        }
        client.post(change).await.is(503);
        assert_eq!(world.audit.take_kinds(), [StoreFailed], "{change}");
    }
}

async fn rule_12_an_event_is_not_lost_with_the_client_that_caused_it<B: Backend>() {
    let world = World::<B>::start().await;
    for (op, change, event) in [
        (Op::Replace, "/regenerate", Regenerated),
        (Op::Replace, "/elevate", Elevated("general".into())),
        (Op::End, "/logout", Ended(SignedOut)),
    ] {
        let client = world.signed_in("alice").await;
        let done = world.store.hold(op, Moment::After);
        let flight = client.post(change).start();
        done.reached().await;
        flight.disconnect().await;
        world.departed().await;
        done.open();
        world.audit.until(event.clone()).await;
        assert_eq!(world.audit.take_kinds(), [event]);
    }
}

async fn rule_12_an_event_names_session_user_and_moment<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let handle = client.look().await.handle;
    for change in [
        "/elevate",
        "/drop",
        "/regenerate",
        "/login?user=alice",
        "/logout",
    ] {
        world.advance(minutes(1));
        client.post(change).await;
        let [event] = &world.audit.take()[..] else {
            panic!("one event after {change}")
        };
        let session = event.session.map(|session| session.to_string());
        assert_eq!(
            (session, &event.user),
            (handle.clone(), &Some("alice".into())),
            "{change}"
        );
        let passed = portcullis::Store::now(&world.store).since(event.at);
        assert!(passed < minutes(1), "{change}: {passed:?}");
    }
}

/// Nothing else in the audit says that the session of the one before is over.
async fn signing_in_as_somebody_else_tells_of_the_session_that_ended<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let alice = client.look().await.handle;
    client.post("/login?user=bob").await.is(204);
    let events: Vec<_> = world
        .audit
        .take()
        .into_iter()
        .map(|event| (event.kind, event.session.map(|s| s.to_string()), event.user))
        .collect();
    let bob = client.look().await.handle;
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(
        matches!(&events[0], (Ended(_), session, Some(user)) if *session == alice && user.as_str() == Some("alice")),
        "{events:?}"
    );
    assert_eq!(events[1], (Authenticated, bob, Some("bob".into())));
}

async fn what_is_refused_is_told_with_its_reason<B: Backend>() {
    let world = World::<B>::start().await;
    let expect = async |client: &Client, target: &str, events: &[EventKind]| {
        world.forget();
        client.get(target).await;
        assert_eq!(world.audit.take_kinds(), events);
    };
    let client = world.signed_in("alice").await;
    let replaced = client.fork();
    client.post("/regenerate").await.is(204);
    expect(&replaced, "/me", &[UsedAfterEnd(Replaced)]).await;
    let ended = client.fork();
    client.post("/logout").await.is(204);
    expect(&ended, "/me", &[UsedAfterEnd(SignedOut)]).await;
    expect(&ended, "/public", &[]).await;
    expect(
        &world.client().with_id(&"A".repeat(43)),
        "/me",
        &[UnknownIdentifier],
    )
    .await;
    expect(
        &world.client().with_id("nonsense"),
        "/me",
        &[MalformedIdentifier],
    )
    .await;
    expect(&world.client(), "/me", &[]).await;
    world.forget();
    replaced.post("/put/a/b").await.is(401);
    assert_eq!(
        world.audit.take_kinds(),
        [UsedAfterEnd(Replaced), WriteRefused]
    );
}

async fn reading_and_writing_values_are_no_events<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for change in ["/cart?item=1", "/put/a/b", "/number/n", "/clear"] {
        client.post(change).await.is(204);
    }
    world.advance(minutes(5));
    client.get("/me").await.is(200);
    assert_eq!(world.audit.take_kinds(), []);
}

async fn the_words_of_events_are_stable<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.client();
    for change in [
        "/cart?item=1",
        "/login?user=alice",
        "/elevate",
        "/drop",
        "/regenerate",
        "/logout",
    ] {
        client.post(change).await;
    }
    let events = world.audit.take_kinds();
    let words: Vec<_> = events
        .iter()
        .map(|kind| (kind.as_str(), kind.detail()))
        .collect();
    assert_eq!(
        words,
        [
            ("session_created", None),
            ("authn_login_success", None),
            ("privilege_elevated", Some("general")),
            ("privilege_dropped", None),
            ("session_renewed", None),
            ("session_ended", Some("signed_out")),
        ]
    );
}

async fn without_an_audit_of_ones_own_events_are_logged<B: Backend>() {
    let world = World::<B>::with(|layer: SessionLayer| layer.audit(TracingAudit::default())).await;
    let log = CapturedLog::start();
    let client = world.signed_in("al%0Aice").await;
    let handle = client.look().await.handle.unwrap();
    let gate = Gate::closed();
    let slow = client.post("/put/a/b").held_at(&gate).start();
    gate.reached().await;
    client.post("/logout").await.is(204);
    gate.open();
    slow.reply().await.is(401);
    let text = log.text();
    let line = |words: &str| {
        let mut lines = text
            .lines()
            .filter(|line| line.contains("portcullis::audit"));
        lines
            .find(|line| line.contains(words))
            .unwrap_or_else(|| panic!("no {words} in {text}"))
    };
    for (words, level) in [
        ("authn_login_success", " INFO "),
        ("session_ended", " INFO "),
        ("session_write_refused", " WARN "),
    ] {
        let line = line(words);
        assert!(
            line.contains(level) && line.contains(&handle) && line.contains(r"al\nice"),
            "{line}"
        );
    }
}
