//! The store's log: the events of the audit, to be read later.

use portcullis::{
    audit::{Event, EventKind, LogQuery, Logged},
    session::EndReason,
    settings::SessionLimit,
};
use portcullis_tests::{
    Backend, Client, Gate, LogLine, Moment, Op, Redis, World, minutes, on_every_store,
};

on_every_store![
    rule_12_the_log_has_the_events_of_the_audit_in_their_order,
    the_log_is_read_by_another_server_after_the_first_one_is_gone,
    ends_without_a_sign_out_are_in_the_log,
    s102_a_change_whose_client_disconnected_is_in_the_log,
    rule_12_a_change_whose_answer_was_lost_is_in_the_log,
    rule_12_what_was_refused_is_in_the_log_as_refused_and_nothing_else,
    s103_a_use_after_the_end_is_in_the_log_of_the_user_or_session,
    s098_values_that_any_client_can_invent_are_not_logged,
    users_see_their_own_history_and_no_other,
    users_do_not_see_the_name_of_the_operator,
    the_newest_come_first_and_no_more_than_asked_for,
    a_session_can_be_followed_alone,
    a_repeated_refused_operation_fills_one_line_and_the_audit_receives_each,
];

/// The lines as the pages show them.
fn lines<'e>(events: impl IntoIterator<Item = &'e Event>) -> Vec<LogLine> {
    let line = |event: &Event| LogLine {
        event: [event.kind.as_str(), event.kind.detail().unwrap_or_default()].join(" "),
        session: event.session.map(|session| session.to_string()),
        user: event.user.as_ref().map(ToString::to_string),
        actor: [
            event.actor.as_str(),
            event.actor.operator().unwrap_or_default(),
        ]
        .join(" "),
        correlator: event.correlator.map(|correlator| correlator.to_string()),
        client: event.client.as_ref().map(ToString::to_string),
    };
    events.into_iter().map(line).collect()
}

async fn history(client: &Client) -> Vec<LogLine> {
    let mut lines: Vec<LogLine> = client.get("/history").await.is(200).json();
    lines.reverse();
    lines
}

async fn logged<B: Backend>(world: &World<B>, query: LogQuery) -> Vec<Event> {
    let logged = world.layer.sessions().history(query).await.unwrap();
    let mut places: Vec<_> = logged.iter().map(|line| line.place).collect();
    places.dedup();
    assert_eq!(places.len(), logged.len());
    assert!(places.is_sorted_by(|one, next| one > next));
    let event = |line: Logged| line.event.unwrap();
    logged.into_iter().map(event).rev().collect()
}

fn of(user: &str) -> LogQuery {
    LogQuery {
        user: Some(user.into()),
        most: 1000,
        ..LogQuery::default()
    }
}

/// All kinds of changes of some sessions of alice.
async fn story<B: Backend>(world: &World<B>) -> Client {
    let (desk, phone) = (
        world.client().calling_itself("curl/8"),
        world.client().calling_itself("Wget/1"),
    );
    for change in [
        "/login?user=alice",
        "/elevate",
        "/drop",
        "/login?user=alice",
        "/put/a/b",
        "/elevate/payments",
        "/regenerate",
    ] {
        desk.post(change).await;
    }
    phone.post("/cart?item=1").await.is(204);
    phone.post("/login?user=alice").await.is(204);
    phone.calling_itself("curl/8").get("/me").await.is(200);
    for _ in 0..2 {
        world.client().post("/login?user=alice").await.is(204);
    }
    phone.elevate().await;
    desk.get("/me").await;
    phone.delete("/sessions/others").await.is(200);
    let tablet = world.client();
    portcullis_tests::a_moment().await;
    world.advance(minutes(1));
    tablet.post("/login?user=alice").await.is(204);
    let handle = tablet.handle().await;
    phone
        .delete(&format!("/operator/alice/{handle}"))
        .await
        .is(200);
    let other = world.client();
    other.post("/login?user=alice").await.is(204);
    other.post("/login?user=bob").await.is(204);
    phone
}

async fn with_three<B: Backend>() -> World<B> {
    let three = SessionLimit::displace(3).unwrap();
    World::with(|layer| layer.session_limit(three).correlation_key([7; 32])).await
}

fn of_alice(events: &[Event]) -> Vec<&Event> {
    // Observations are written in the background.
    let changed = |event: &&Event| !matches!(event.kind, EventKind::UsedAfterEnd(_));
    let alices = events
        .iter()
        .filter(|event| event.user == Some("alice".into()));
    alices.filter(changed).collect()
}

async fn rule_12_the_log_has_the_events_of_the_audit_in_their_order<B: Backend>() {
    let world = with_three::<B>().await;
    story(&world).await;
    let events = world.audit.take();
    let events = lines(of_alice(&events));
    let logged = lines(of_alice(&logged(&world, of("alice")).await));
    let kinds: Vec<_> = logged.iter().map(|line| line.event.as_str()).collect();
    assert!(
        kinds.contains(&"session_ended displaced_by_limit"),
        "{kinds:?}"
    );
    assert!(kinds.contains(&"session_device_changed name"), "{kinds:?}");
    // The ends of one revocation have no order.
    let sorted = |mut lines: Vec<LogLine>| {
        lines.sort_by_key(|line| (line.event.clone(), line.session.clone()));
        lines
    };
    let is_end = |line: &LogLine| line.event.ends_with("revoked_by_user");
    let without = |lines: &[LogLine]| -> Vec<LogLine> {
        lines.iter().filter(|line| !is_end(line)).cloned().collect()
    };
    assert_eq!(without(&logged), without(&events));
    assert_eq!(sorted(logged), sorted(events));
}

async fn the_log_is_read_by_another_server_after_the_first_one_is_gone<B: Backend>() {
    let world = with_three::<B>().await;
    story(&world).await;
    let here = lines(&logged(&world, of("alice")).await);
    let events = world.audit.take();
    let layer = world.another_layer().await.correlation_key([7; 32]);
    let World { backend, .. } = world;
    let sessions = layer.sessions();
    let mut there: Vec<_> = sessions
        .history(of("alice"))
        .await
        .unwrap()
        .into_iter()
        .map(|line| line.event.unwrap())
        .collect();
    there.reverse();
    assert_eq!(lines(&there), here);
    let events: Vec<_> = of_alice(&events)
        .into_iter()
        .map(|event| event.at)
        .collect();
    let last = there.last().unwrap().at;
    assert!(last.since(*events.last().unwrap()) < minutes(3));
    drop(backend);
}

async fn ends_without_a_sign_out_are_in_the_log<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.elevate().await;
    world.advance(minutes(20));
    world.layer.sessions().sweep().await.unwrap();
    world.advance(minutes(20));
    world
        .another_layer()
        .await
        .sessions()
        .sweep()
        .await
        .unwrap();
    let events = logged(&world, of("alice")).await;
    let kinds: Vec<_> = events.iter().map(|event| event.kind.clone()).collect();
    assert_eq!(
        kinds,
        [
            EventKind::Authenticated,
            EventKind::Elevated("general".into()),
            EventKind::ElevationEnded,
            EventKind::Ended(EndReason::IdleTimeout),
        ]
    );
    // The history of an anonymous session too.
    let anonymous = world.shopping(&[1]).await;
    let handle = anonymous.handle().await;
    world.advance(minutes(30));
    anonymous.get("/me").await.is(401);
    let all = logged(&world, LogQuery::default()).await;
    let last = all.last().unwrap();
    assert_eq!(last.kind, EventKind::Ended(EndReason::IdleTimeout));
    assert_eq!(last.session.unwrap().to_string(), handle);
}

async fn s102_a_change_whose_client_disconnected_is_in_the_log<B: Backend>() {
    let world = World::<B>::start().await;
    for (op, change, event) in [
        (Op::Replace, "/regenerate", EventKind::Regenerated),
        (Op::End, "/logout", EventKind::Ended(EndReason::SignedOut)),
    ] {
        let client = world.signed_in("alice").await;
        let held = world.store.hold(op, Moment::Before);
        let flight = client.post(change).start();
        held.reached().await;
        flight.disconnect().await;
        world.client_disconnected().await;
        held.open();
        world.audit.until(event.clone()).await;
        let events = logged(&world, of("alice")).await;
        assert_eq!(events.last().unwrap().kind, event);
    }
}

async fn rule_12_a_change_whose_answer_was_lost_is_in_the_log<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.store.fail(Op::Replace, Moment::After);
    client.post("/regenerate").await.is(503);
    assert_eq!(world.audit.take_kinds(), [EventKind::StoreFailed]);
    let events = logged(&world, of("alice")).await;
    assert_eq!(events.last().unwrap().kind, EventKind::Regenerated);
}

/// Waits for lines that are written in the background.
async fn last_logged<B: Backend>(world: &World<B>, query: LogQuery, kind: &EventKind) -> Event {
    for _ in 0..500 {
        let last = logged(world, query.clone()).await.pop();
        if let Some(event) = last.filter(|event| event.kind == *kind) {
            return event;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("no {kind:?} in the log")
}

async fn rule_12_what_was_refused_is_in_the_log_as_refused_and_nothing_else<B: Backend>() {
    let world = World::<B>::start().await;
    for change in ["/elevate", "/regenerate", "/login?user=alice", "/put/a/b"] {
        let client = world.signed_in("alice").await;
        let handle = client.handle().await;
        let gate = Gate::closed();
        let slow = client.post(change).held_at(&gate).start();
        gate.reached().await;
        client.post("/logout").await.is(204);
        gate.open();
        slow.reply().await.is(401);
        let refused = last_logged(&world, of("alice"), &EventKind::WriteRefused).await;
        assert_eq!(refused.session.unwrap().to_string(), handle);
        assert!(refused.client.is_some());
    }
    // Operations that failed because of the store left no line.
    let client = world.signed_in("alice").await;
    world.store.fail(Op::Replace, Moment::Before);
    client.post("/elevate").await.is(503);
    client.post("/elevate").answered(500).await.is(500);
    let kinds: Vec<_> = logged(&world, of("alice"))
        .await
        .into_iter()
        .map(|event| event.kind)
        .collect();
    let signed_in_and_out = [
        EventKind::Authenticated,
        EventKind::Ended(EndReason::SignedOut),
        EventKind::WriteRefused,
    ];
    let mut expected = vec![signed_in_and_out; 4].concat();
    expected.push(EventKind::Authenticated);
    assert_eq!(kinds, expected);
}

async fn s103_a_use_after_the_end_is_in_the_log_of_the_user_or_session<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let (thief, handle) = (
        client.fork().calling_itself("curl/8"),
        client.handle().await,
    );
    client.post("/logout").await.is(204);
    thief.get("/me").await.is(401);
    let used = EventKind::UsedAfterEnd(EndReason::SignedOut);
    let event = last_logged(&world, LogQuery::default(), &used).await;
    assert_eq!(event.session.unwrap().to_string(), handle);
    assert_eq!(event.client.unwrap().to_string(), "curl");
}

async fn s098_values_that_any_client_can_invent_are_not_logged<B: Backend>() {
    let world = World::<B>::start().await;
    let anonymous = world.client();
    for _ in 0..20 {
        anonymous
            .clone()
            .with_id(&"A".repeat(43))
            .get("/me")
            .await
            .is(401);
        anonymous
            .clone()
            .with_id("nonsense")
            .get("/me")
            .await
            .is(401);
        let both = format!(
            "__Host-Http-id={}; __Host-Http-id={}",
            "A".repeat(43),
            "B".repeat(43)
        );
        anonymous.get("/me").raw_cookie(both).await.is(401);
    }
    assert_eq!(world.audit.take().len(), 60);
    // This line comes after them in the same queue.
    let client = world.signed_in("alice").await;
    let thief = client.fork();
    client.post("/logout").await.is(204);
    thief.get("/me").await.is(401);
    let used = EventKind::UsedAfterEnd(EndReason::SignedOut);
    last_logged(&world, LogQuery::default(), &used).await;
    let all = logged(&world, LogQuery::default()).await;
    assert_eq!(all.len(), 3, "{all:?}");
}

async fn users_see_their_own_history_and_no_other<B: Backend>() {
    let world = World::<B>::start().await;
    let (alice, bob) = (world.signed_in("alice").await, world.signed_in("bob").await);
    alice.elevate().await;
    for (client, user, count) in [(&alice, "alice", 2), (&bob, "bob", 1)] {
        let lines = history(client).await;
        assert_eq!(lines.len(), count);
        assert!(lines.iter().all(|line| line.user.as_deref() == Some(user)));
    }
    let all: Vec<LogLine> = bob.get("/operator/history").await.is(200).json();
    assert_eq!(all.len(), 3);
}

async fn users_do_not_see_the_name_of_the_operator<B: Backend>() {
    let world = World::<B>::start().await;
    let (desk, phone) = (
        world.signed_in("alice").await,
        world.signed_in("alice").await,
    );
    let operator = world.client().calling_itself("curl/8");
    let handle = phone.handle().await;
    let one = format!("/operator/alice/{handle}");
    operator.delete(&one).await.is(200);
    let seen = history(&desk).await.pop().unwrap();
    assert_eq!(seen.event, "session_ended revoked_by_operator");
    assert_eq!(seen.session, Some(handle));
    assert_eq!((seen.actor.as_str(), seen.client), ("operator ", None));
    let kept = lines(&logged(&world, of("alice")).await).pop().unwrap();
    assert_eq!(kept.actor, "operator ops\nolga");
    assert_eq!(kept.client.as_deref(), Some("curl"));
}

async fn the_newest_come_first_and_no_more_than_asked_for<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for _ in 0..5 {
        client.elevate().await;
        client.post("/drop").await.is(200);
    }
    let query = LogQuery {
        most: 3,
        ..of("alice")
    };
    let events = logged(&world, query).await;
    let kinds: Vec<_> = events.into_iter().map(|event| event.kind).collect();
    let elevated = EventKind::Elevated("general".into());
    let dropped = EventKind::ElevationDropped;
    assert_eq!(kinds, [dropped.clone(), elevated, dropped]);
}

async fn a_session_can_be_followed_alone<B: Backend>() {
    let world = World::<B>::start().await;
    let [desk, phone] = world.elevated_and_other("alice").await;
    for change in ["/regenerate", "/login?user=alice", "/logout"] {
        desk.post(change).await.is(204);
    }
    let session = portcullis::session::SessionHandle::parse(&phone.handle().await);
    let query = LogQuery {
        session,
        ..of("alice")
    };
    let events = logged(&world, query).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].kind, EventKind::Authenticated);
}

/// A full server still ends sessions, without a line in the log if there is no room.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_room_keeps_nothing_from_ending() {
    let world = World::<Redis>::start().await;
    let client = world.signed_in("alice").await;
    world.backend.configure("maxmemory", "1");
    client.post("/logout").await.is(204).removes_the_cookie();
    assert_eq!(
        world.audit.take_kinds(),
        [EventKind::Ended(EndReason::SignedOut)]
    );
    world.backend.configure("maxmemory", "0");
    world.signed_in("alice").await;
}

async fn a_repeated_refused_operation_fills_one_line_and_the_audit_receives_each<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let thief = client.fork();
    client.post("/logout").await.is(204);
    world.audit.take();
    for _ in 0..12 {
        thief.fork().get("/me").await.is(401);
    }
    let used = EventKind::UsedAfterEnd(EndReason::SignedOut);
    assert_eq!(world.audit.take_kinds(), vec![used.clone(); 12]);
    let query = LogQuery {
        names: vec![used.as_str().to_owned()],
        ..LogQuery::default()
    };
    let mut counts = Vec::new();
    // It is written in the background.
    for _ in 0..500 {
        let lines = world.layer.sessions().history(query.clone()).await.unwrap();
        counts = lines.iter().map(|line| line.count).collect();
        if counts == [12] {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("lines of {counts:?} events")
}
