//! One change is one event, with its kind, moment, session and user.

use std::collections::BTreeSet;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use portcullis::{
    SessionLayer,
    audit::{
        Event,
        EventKind::{self, *},
        LogQuery, TracingAudit,
    },
    policy::PolicyChange,
    session::{
        EndReason::{Replaced, ReplacedAtSignIn, SignedOut},
        Selection,
    },
    settings::SessionLimit,
};
use portcullis_core::{Bucket, SessionId};
use portcullis_tests::{
    Backend, Call, CapturedAudit, CapturedLog, Client, Gate, Moment, Op, World, hours, minutes,
    on_every_store,
};

on_every_store![
    rule_12_every_change_is_one_event,
    rule_12_an_operation_that_was_not_carried_out_is_no_event,
    rule_12_an_event_is_not_lost_with_the_client_that_caused_it,
    rule_12_an_event_names_session_user_and_moment,
    signing_in_as_another_user_reports_the_session_that_ended,
    a_refused_operation_is_reported_with_its_reason,
    reading_and_writing_values_are_no_events,
    the_names_of_events_are_stable,
    s097_every_kind_of_event_is_emitted,
    s100_a_correlator_is_stable_across_identifiers_and_reveals_nothing_without_the_key,
    s100_servers_with_one_key_use_one_correlator_for_a_session,
    s103_an_identifier_that_is_guessed_twice_has_one_correlator,
    every_event_of_a_request_names_its_client,
    a_page_that_polls_with_a_session_ended_elsewhere_causes_one_event,
    several_audits_receive_each_event,
    an_audit_receives_the_events_of_its_own_process_and_the_log_has_all,
    @one_thread:
    s101_no_client_can_write_a_line_of_the_log,
    without_an_audit_of_the_application_events_are_logged,
    a_page_left_open_after_a_timeout_causes_no_warning_and_one_event,
];

async fn rule_12_every_change_is_one_event<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.client();
    let general = || Elevated("general".into());
    for (change, events) in [
        ("/cart?item=1", vec![Created]),
        (
            "/login?user=alice",
            vec![Ended(ReplacedAtSignIn), Authenticated],
        ),
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

async fn rule_12_an_operation_that_was_not_carried_out_is_no_event<B: Backend>() {
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
            // An end that failed is tried once more.
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
        world.client_disconnected().await;
        done.open();
        world.audit.until(event.clone()).await;
        assert_eq!(world.audit.take_kinds(), [event]);
    }
}

async fn rule_12_an_event_names_session_user_and_moment<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let handle = client.view().await.handle;
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
        let passed = portcullis::store::Store::now(&world.store).since(event.at);
        assert!(passed < minutes(1), "{change}: {passed:?}");
    }
}

/// No other event reports that the session of the former user ended.
async fn signing_in_as_another_user_reports_the_session_that_ended<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let alice = client.view().await.handle;
    client.post("/login?user=bob").await.is(204);
    let events: Vec<_> = world
        .audit
        .take()
        .into_iter()
        .map(|event| (event.kind, event.session.map(|s| s.to_string()), event.user))
        .collect();
    let bob = client.view().await.handle;
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(
        matches!(&events[0], (Ended(_), session, Some(user)) if *session == alice && user.as_str() == Some("alice")),
        "{events:?}"
    );
    assert_eq!(events[1], (Authenticated, bob, Some("bob".into())));
}

async fn a_refused_operation_is_reported_with_its_reason<B: Backend>() {
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
    let handle = world.signed_in("bob").await;
    let (name, tab) = (handle.handle().await, handle.fork());
    handle.post("/logout").await.is(204);
    world.forget();
    tab.get("/me").await.is(401);
    let [event] = &world.audit.take()[..] else {
        panic!("one event")
    };
    assert_eq!(event.session.unwrap().to_string(), name);
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

async fn the_names_of_events_are_stable<B: Backend>() {
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
    let texts: Vec<_> = events
        .iter()
        .map(|kind| (kind.as_str(), kind.detail()))
        .collect();
    assert_eq!(
        texts,
        [
            ("session_created", None),
            ("session_ended", Some("replaced_at_sign_in")),
            ("authn_login_success", None),
            ("privilege_elevated", Some("general")),
            ("privilege_dropped", None),
            ("session_renewed", None),
            ("session_ended", Some("signed_out")),
        ]
    );
}

async fn without_an_audit_of_the_application_events_are_logged<B: Backend>() {
    let world = World::<B>::with(|layer: SessionLayer| layer.audit(TracingAudit::default())).await;
    let log = CapturedLog::start();
    let client = world.signed_in("al%0Aice").await;
    let handle = client.view().await.handle.unwrap();
    let gate = Gate::closed();
    let slow = client.post("/put/a/b").held_at(&gate).start();
    gate.reached().await;
    client.post("/logout").await.is(204);
    gate.open();
    slow.reply().await.is(401);
    let text = log.text();
    let line = |texts: &str| {
        let mut lines = text
            .lines()
            .filter(|line| line.contains("portcullis::audit"));
        lines
            .find(|line| line.contains(texts))
            .unwrap_or_else(|| panic!("no {texts} in {text}"))
    };
    for (texts, level) in [
        ("authn_login_success", " INFO "),
        ("session_ended", " INFO "),
        ("session_write_refused", " WARN "),
    ] {
        let line = line(texts);
        assert!(
            line.contains(level) && line.contains(&handle) && line.contains(r#"user="al\\nice""#),
            "{line}"
        );
    }
}

/// One of each. This test fails when a later version adds a kind.
async fn s097_every_kind_of_event_is_emitted<B: Backend>() {
    let one = SessionLimit::refuse(1).unwrap();
    let world = World::<B>::with(|layer| layer.session_limit(one)).await;
    let client = world.client();
    for change in [
        "/cart?item=1",
        "/login?user=alice",
        "/elevate",
        "/drop",
        "/regenerate",
        "/elevate",
    ] {
        client.post(change).await;
    }
    world.client().post("/login?user=alice").await.is(409);
    client.delete("/sessions/AAAAAAAAAAAAAAAA").await.is(404);
    client
        .fork()
        .calling_itself("curl/8")
        .get("/me")
        .await
        .is(200);
    client.post("/shorten?left=36000").await.is(204);
    client.post("/approve/ten").await.is(204);
    client.post("/carry-out/ten").answered(500).await.is(500);
    world.advance(minutes(15));
    world.layer.sessions().sweep().await.unwrap();

    let gate = Gate::closed();
    let slow = client.fork().post("/put/a/b").held_at(&gate).start();
    gate.reached().await;
    let (tab, id) = (client.fork(), client.id());
    client.post("/logout").await.is(204);
    gate.open();
    slow.reply().await.is(401);
    tab.get("/me").await.is(401);
    world.client().post("/cart?item=1").await;
    world.advance(minutes(30));
    world.layer.sessions().sweep().await.unwrap();

    let another = || SessionId::generate(Bucket::random().unwrap()).unwrap();
    let ids = [id, another().expose(), another().expose()];
    for cookie in [
        format!("__Host-Http-id={}", "A".repeat(43)),
        "__Host-Http-id=nonsense".to_owned(),
        ids.map(|id| format!("__Host-Http-id={id}")).join("; "),
    ] {
        world.client().get("/me").raw_cookie(cookie).await.is(401);
    }
    client.post("/login?user=alice").await.is(204);
    world.store.fail(Op::Load, Moment::Before);
    client.get("/me").await.is(503);
    world.overwrite(&client.id(), &b"garbage"[..]).await;
    client.get("/me").await.is(401);
    let sessions = world.layer.sessions();
    sessions.suspend("bob", None).await.unwrap();
    world.client().post("/login?user=bob").await.is(403);
    sessions.resume("bob").await.unwrap();
    let none = Selection::all().older_than(hours(9999));
    sessions.end_selected(&none).await.unwrap();
    let change = PolicyChange::document("schema = 1", None, "ada");
    world.layer.policies().apply(change).await.unwrap();

    let events = world.audit.take_kinds();
    let texts: BTreeSet<_> = events.iter().map(EventKind::as_str).collect();
    let expected = BTreeSet::from([
        "session_created",
        "authn_login_success",
        "privilege_elevated",
        "privilege_dropped",
        "privilege_expired",
        "operation_approved",
        "operation_approval_used",
        "operation_approval_restored",
        "session_renewed",
        "session_shortened",
        "session_ended",
        "session_expired",
        "user_suspended",
        "user_resumed",
        "authn_login_fail",
        "excess_sessions_exceeded",
        "session_device_changed",
        "session_write_refused",
        "authz_fail",
        "session_use_after_expire",
        "session_unknown_id",
        "input_validation_discrete_fail",
        "session_cookie_ambiguous",
        "session_record_invalid",
        "sessions_changed_by_operator",
        "session_policy_activated",
        "security_control_failure",
    ]);
    assert_eq!(expected, EventKind::names().collect());
    assert_eq!(texts, expected);
    // Each change of a session is reported once. The other counts are those of the requests above.
    let count = |word: &str| events.iter().filter(|kind| kind.as_str() == word).count();
    for word in expected {
        let times = match word {
            "session_created" | "authn_login_success" | "privilege_elevated" | "session_ended" => 2,
            _ => 1,
        };
        assert_eq!(count(word), times, "{word}: {events:?}");
    }
}

/// The correlators of the events, each once.
fn correlators(events: &[Event]) -> BTreeSet<String> {
    let correlators = events.iter().filter_map(|event| event.correlator);
    correlators
        .map(|correlator| correlator.to_string())
        .collect()
}

async fn s100_a_correlator_is_stable_across_identifiers_and_reveals_nothing_without_the_key<
    B: Backend,
>() {
    let world = World::<B>::with(|layer| layer.correlation_key([1; 32])).await;
    let mut seen = BTreeSet::new();
    for user in ["alice", "bob"] {
        let client = world.client();
        client.post(&format!("/login?user={user}")).await.is(204);
        for change in ["/regenerate", "/elevate", "/drop", "/elevate"] {
            client.post(change).await.new_id();
        }
        client.post(&format!("/login?user={user}")).await.is(204);
        let (tab, handle) = (client.fork(), client.handle().await);
        client.post("/logout").await.is(204);
        tab.get("/me").await.is(401);
        let events = world.audit.take();
        assert!(events.iter().all(|event| event.correlator.is_some()));
        let one = correlators(&events);
        assert_eq!(one.len(), 1, "{events:?}");
        assert!(!one.contains(&handle));
        seen.extend(one);
    }
    assert_eq!(seen.len(), 2);
    let contents = world.backend.contents();
    for text in &seen {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
        for secret in [text.as_bytes(), &bytes] {
            let found = contents.windows(secret.len()).any(|part| part == secret);
            assert!(!found, "{text} is in the store");
        }
    }
    // Another key gives the same sessions other correlators, also in the log.
    let other = world.another_layer().await.correlation_key([2; 32]);
    let query = LogQuery::default;
    let logged = other.sessions().history(query()).await.unwrap();
    let theirs: Vec<_> = logged.into_iter().map(|line| line.event.unwrap()).collect();
    assert_eq!(correlators(&theirs).len(), 2);
    assert!(correlators(&theirs).is_disjoint(&seen));
    let logged = world.layer.sessions().history(query()).await.unwrap();
    let ours: Vec<_> = logged.into_iter().map(|line| line.event.unwrap()).collect();
    assert_eq!(correlators(&ours), seen);
}

async fn s100_servers_with_one_key_use_one_correlator_for_a_session<B: Backend>() {
    let world = World::<B>::with(|layer| layer.correlation_key([1; 32])).await;
    let client = world.client();
    client.post("/login?user=alice").await.is(204);
    let (audit, layer) = (CapturedAudit::default(), world.another_layer().await);
    let layer = layer.correlation_key([1; 32]).audit(audit.clone());
    let server = world.serve(layer).await;
    client.at(server.address()).post("/logout").await.is(204);
    assert_eq!(correlators(&world.audit.take()), correlators(&audit.take()));
}

async fn s103_an_identifier_that_is_guessed_twice_has_one_correlator<B: Backend>() {
    let world = World::<B>::start().await;
    for last in ["A", "A", "E"] {
        let guess = world.client().with_id(&format!("{}{last}", "A".repeat(42)));
        guess.get("/me").await.is(401);
    }
    let events = world.audit.take();
    let correlators: Vec<_> = events
        .iter()
        .map(|event| event.correlator.unwrap())
        .collect();
    assert_eq!(correlators.len(), 3);
    assert_eq!(correlators[0], correlators[1]);
    assert_ne!(correlators[1], correlators[2]);
    let contents = world.backend.contents();
    let guess = "A".repeat(20);
    assert!(!String::from_utf8_lossy(&contents).contains(&guess));
}

async fn every_event_of_a_request_names_its_client<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.client().calling_itself("curl/8");
    for change in [
        "/cart?item=1",
        "/login?user=alice",
        "/elevate",
        "/regenerate",
        "/login?user=bob",
    ] {
        client.post(change).await.is(204);
    }
    let tab = client.fork();
    client.post("/logout").await.is(204);
    tab.get("/me").await.is(401);
    client.clone().with_id("nonsense").get("/me").await.is(401);
    let events = world.audit.take();
    assert_eq!(events.len(), 10, "{events:?}");
    for event in events {
        let client = event.client.as_ref().map(ToString::to_string);
        assert_eq!(client.as_deref(), Some("curl"), "{event:?}");
    }
}

/// Neither with the name of a user or an operator, nor with an agent or a scope.
async fn s101_no_client_can_write_a_line_of_the_log<B: Backend>() {
    let world = World::<B>::with(|layer: SessionLayer| layer.audit(TracingAudit::default())).await;
    let log = CapturedLog::start();
    let agent = "curl/8\"} forged session_expired \u{1b}[31m";
    let client = world.client();
    let hostile = |call: Call| call.header("user-agent", agent.replace('\u{1b}', "\t\u{80}"));
    let user = b"eve\r\n2026 ERROR forged\x1b[31m\xff\xc2\x85\xe2\x80\xa8";
    hostile(client.post("/login-bytes").body(&user[..]))
        .await
        .is(204);
    hostile(client.post("/elevate/hostile")).await.is(204);
    // The operator is called `ops\nolga`.
    let other = world.client();
    hostile(other.post("/login?user=bob")).await.is(204);
    hostile(other.delete("/operator/bob")).await.is(200);
    let text = log.text();
    let audit = |line: &&str| line.contains("portcullis::audit");
    let lines: Vec<_> = text.lines().filter(audit).collect();
    assert_eq!(lines.len(), 4, "{text}");
    for line in text.lines() {
        // Each line begins with its moment. A forged one would not.
        let begins = line.starts_with("20") && line.as_bytes().get(10) == Some(&b'T');
        assert!(begins, "{line:?}");
    }
    for line in lines {
        let is_plain = |character: char| !character.is_control();
        assert!(line.chars().all(is_plain), "{line:?}");
        assert!(!line.contains("} forged") && line.len() < 600, "{line:?}");
    }
}

/// This happens to sessions most often.
async fn a_page_left_open_after_a_timeout_causes_no_warning_and_one_event<B: Backend>() {
    let world = World::<B>::with(|layer: SessionLayer| layer.audit(TracingAudit::default())).await;
    let client = world.signed_in("alice").await;
    let log = CapturedLog::start();
    world.advance(minutes(30));
    world.forget();
    for _ in 0..5 {
        client.get("/me").await.is(401);
    }
    let used = UsedAfterEnd(portcullis::session::EndReason::IdleTimeout);
    let expired = Ended(portcullis::session::EndReason::IdleTimeout);
    assert_eq!(world.audit.take_kinds(), [expired, used]);
    let text = log.text();
    let lines: Vec<_> = text
        .lines()
        .filter(|line| line.contains("portcullis::audit"))
        .collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines.iter().all(|line| line.contains(" INFO ")), "{text}");
}

/// A request that is not passive is reported each time.
async fn a_page_that_polls_with_a_session_ended_elsewhere_causes_one_event<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let tab = client.fork();
    client.post("/logout").await.is(204);
    world.forget();
    for _ in 0..5 {
        let poll = tab.fork().get("/me").header("portcullis-passive", "1");
        poll.await.is(401);
    }
    assert_eq!(world.audit.take_kinds(), [UsedAfterEnd(SignedOut)]);
    for _ in 0..2 {
        tab.fork().get("/me").await.is(401);
    }
    assert_eq!(world.audit.take_kinds(), vec![UsedAfterEnd(SignedOut); 2]);
    // Another client with the same header is reported too.
    let thief = tab.fork().calling_itself("curl/8");
    for _ in 0..2 {
        let poll = thief.get("/me").header("portcullis-passive", "1");
        poll.await.is(401);
    }
    assert_eq!(world.audit.take_kinds(), [UsedAfterEnd(SignedOut)]);
}

async fn several_audits_receive_each_event<B: Backend>() {
    let another = CapturedAudit::default();
    let world = World::<B>::with(|layer| layer.audit(another.clone())).await;
    let client = world.signed_in("alice").await;
    another.take();
    client.post("/logout").await.is(204);
    assert_eq!(another.take_kinds(), [Ended(SignedOut)]);
    assert_eq!(world.audit.take_kinds(), [Ended(SignedOut)]);
    // Operations from outside report to these and to their own.
    let theirs = CapturedAudit::default();
    let sessions = world.layer.sessions().audit(theirs.clone());
    world.signed_in("alice").await;
    for audit in [&another, &world.audit] {
        audit.take();
    }
    sessions.revoke_all("alice").await.unwrap();
    for audit in [&another, &world.audit, &theirs] {
        let revoked = portcullis::session::EndReason::RevokedByOperator;
        assert_eq!(audit.take_kinds(), [Ended(revoked)]);
    }
}

async fn an_audit_receives_the_events_of_its_own_process_and_the_log_has_all<B: Backend>() {
    let world = World::<B>::start().await;
    let (theirs, layer) = (CapturedAudit::default(), world.another_layer().await);
    let server = world.serve(layer.audit(theirs.clone())).await;
    let client = world.signed_in("alice").await;
    world.forget();
    client.at(server.address()).post("/logout").await.is(204);
    assert_eq!(theirs.take_kinds(), [Ended(SignedOut)]);
    assert_eq!(world.audit.take_kinds(), []);
    let logged = world.layer.sessions().history(LogQuery::default()).await;
    let newest = logged.unwrap().into_iter().next().unwrap();
    assert_eq!(newest.event.unwrap().kind, Ended(SignedOut));
}
