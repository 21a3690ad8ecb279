//! Ended means ended: for slow requests, for parallel ones, and for the browser's cookie.

use portcullis::{audit::EventKind, session::EndReason};

use portcullis_tests::{Backend, Gate, Moment, Op, World, hours, minutes, on_every_store};

on_every_store![
    s059_after_logout_the_identifier_is_dead_for_every_client,
    s062_signing_out_again_succeeds_and_leaves_the_cookie_alone,
    t01_a_slow_write_after_logout_is_refused_and_carries_no_cookie,
    t01_a_write_that_reaches_the_store_after_logout_creates_nothing,
    t02_a_slow_read_after_logout_passes_and_revives_nothing,
    t03_a_late_response_sets_no_cookie,
    t04_t05_nothing_that_renews_a_session_revives_one_that_ended,
    t04_a_rotation_that_reaches_the_store_after_logout_creates_nothing,
    t14_logout_is_not_undone_by_the_activity_of_its_own_request,
    rule_2_a_request_that_answers_with_a_failure_keeps_its_response,
    rule_2_a_refused_commit_that_the_handler_ignores_is_reported_all_the_same,
    rule_4_no_removal_for_an_identifier_that_is_unknown_expired_or_replaced,
    rule_4_of_two_parallel_logouts_one_removes_the_cookie,
    t04_a_logout_that_lost_to_a_rotation_ends_the_session_all_the_same,
    rule_2_a_logout_that_lost_to_a_sign_in_is_an_error_and_ends_no_other_session,
    rule_2_a_logout_with_a_replaced_identifier_does_not_report_success,
    what_is_written_after_signing_out_begins_a_new_session,
    signing_out_without_a_session_does_nothing,
    s021_signing_out_on_one_server_holds_on_every_other,
    a_page_can_show_why_the_session_ended,
];

async fn s059_after_logout_the_identifier_is_dead_for_every_client<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let copy = client.fork();
    client.post("/logout").await.is(204).removes_the_cookie();
    assert!(!client.has_cookie());
    copy.get("/me").await.is(401).keeps_the_cookie();
    assert_eq!(world.ended(&copy.id()).await, Some(EndReason::SignedOut));
    assert_eq!(world.backend.live(), 0);
}

async fn s062_signing_out_again_succeeds_and_leaves_the_cookie_alone<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let copy = client.fork();
    client.post("/logout").await.is(204).removes_the_cookie();
    copy.post("/logout").await.is(204).keeps_the_cookie();
    client.post("/logout").await.is(204).keeps_the_cookie();
}

async fn t01_a_slow_write_after_logout_is_refused_and_carries_no_cookie<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let (id, gate) = (client.id(), Gate::closed());
    let slow = client.post("/cart?item=1").held_at(&gate).start();
    gate.reached().await;
    client.post("/logout").await.is(204).removes_the_cookie();
    world.forget();
    gate.open();

    slow.reply()
        .await
        .is_problem(401, "session-ended")
        .keeps_the_cookie();
    let [event] = &world.audit.take()[..] else {
        panic!("one event")
    };
    assert_eq!(event.kind, EventKind::WriteRefused);
    assert_eq!(event.user, Some("alice".into()));
    assert!(event.session.is_some());
    assert_eq!(world.ended(&id).await, Some(EndReason::SignedOut));
    assert_eq!(world.backend.live(), 0);
}

async fn t01_a_write_that_reaches_the_store_after_logout_creates_nothing<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let other = world.another_process().await;
    let commit = world.store.hold(Op::Commit, Moment::Before);
    let slow = client.post("/put/a/b").start();
    commit.reached().await;
    let there = client.at(other.address());
    there.post("/logout").await.is(204).removes_the_cookie();
    commit.open();
    slow.reply()
        .await
        .is_problem(401, "session-ended")
        .keeps_the_cookie();
    assert_eq!(world.backend.live(), 0);
}

async fn t02_a_slow_read_after_logout_passes_and_revives_nothing<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(5));
    let touch = world.store.hold(Op::Touch, Moment::Before);
    let slow = client.get("/me").start();
    touch.reached().await;
    client.post("/logout").await.is(204).removes_the_cookie();
    world.forget();
    touch.open();
    slow.reply().await.is(200).keeps_the_cookie();
    assert_eq!(world.audit.take_kinds(), []);
    assert_eq!(world.backend.live(), 0);
}

async fn t03_a_late_response_sets_no_cookie<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for change in [
        "/regenerate",
        "/elevate",
        "/cart?item=1",
        "/login?user=alice",
    ] {
        let gate = Gate::closed();
        let slow = client.post(change).held_at(&gate).start();
        gate.reached().await;
        client.post("/logout").await.is(204).removes_the_cookie();
        gate.open();
        slow.reply().await.is(401).keeps_the_cookie();
        assert!(!client.has_cookie(), "{change}");
        assert_eq!(world.backend.live(), 0, "{change}");
        client.post("/login?user=alice").await.is(204);
    }
}

async fn t04_t05_nothing_that_renews_a_session_revives_one_that_ended<B: Backend>() {
    let world = World::<B>::start().await;
    for change in [
        "/elevate",
        "/elevate/payments",
        "/regenerate",
        "/login?user=alice",
        "/login?user=bob",
        "/clear-and-login?user=alice",
        "/put/a/b",
        "/commit-between",
    ] {
        let client = world.signed_in("alice").await;
        client.post("/put/x/y").await.is(204);
        let gate = world.store.hold(Op::Load, Moment::After);
        let slow = client.post(change).start();
        gate.reached().await;
        client.fork().post("/logout").await.is(204);
        gate.open();
        slow.reply()
            .await
            .is_problem(401, "session-ended")
            .keeps_the_cookie();
        assert_eq!(world.backend.live(), 0, "{change}");
    }
}

async fn t04_a_rotation_that_reaches_the_store_after_logout_creates_nothing<B: Backend>() {
    let world = World::<B>::start().await;
    let other = world.another_process().await;
    for change in ["/elevate", "/regenerate", "/login?user=bob"] {
        let client = world.signed_in("alice").await;
        let there = client.fork().at(other.address());
        let replace = world.store.hold(Op::Replace, Moment::Before);
        let slow = client.post(change).start();
        replace.reached().await;
        there.post("/logout").await.is(204);
        replace.open();
        slow.reply().await.is(401).keeps_the_cookie();
        assert_eq!(world.backend.live(), 0, "{change}");
    }
}

async fn t14_logout_is_not_undone_by_the_activity_of_its_own_request<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(5));
    world.forget();
    client.post("/logout").await.is(204).removes_the_cookie();
    assert_eq!(world.store.take_calls(), [Op::Load, Op::End]);
    assert_eq!(world.backend.live(), 0);
}

async fn rule_2_a_request_that_answers_with_a_failure_keeps_its_response<B: Backend>() {
    let world = World::<B>::start().await;
    for status in [404, 409] {
        let client = world.signed_in("alice").await;
        let gate = Gate::closed();
        let slow = client
            .post("/put/a/b")
            .answered(status)
            .held_at(&gate)
            .start();
        gate.reached().await;
        client.fork().post("/logout").await.is(204);
        gate.open();
        slow.reply().await.is(status).keeps_the_cookie();
        assert!(world.audit.has(&EventKind::WriteRefused));
    }
}

/// The handler ignores the result of its commit and continues.
async fn rule_2_a_refused_commit_that_the_handler_ignores_is_reported_all_the_same<B: Backend>() {
    let world = World::<B>::start().await;
    let other = world.another_process().await;
    for change in ["/commit-ignored", "/commit-only/ignored"] {
        let client = world.signed_in("alice").await;
        let commit = world.store.hold(Op::Commit, Moment::Before);
        let slow = client.post(change).start();
        commit.reached().await;
        let there = client.fork().at(other.address());
        there.post("/logout").await.is(204);
        commit.open();
        let reply = slow.reply().await;
        reply.is_problem(401, "session-ended").keeps_the_cookie();
        assert_eq!(world.backend.live(), 0, "{change}");
    }
}

async fn rule_4_no_removal_for_an_identifier_that_is_unknown_expired_or_replaced<B: Backend>() {
    let world = World::<B>::start().await;
    let unknown = world.client().with_id(&"A".repeat(43));
    let expired = world.signed_in("alice").await;
    world.advance(hours(24));
    let ended = world.signed_in("bob").await;
    ended.fork().post("/logout").await.is(204);
    let replaced = world.signed_in("carol").await;
    replaced.fork().post("/regenerate").await.is(204);
    for client in [unknown, expired, ended, replaced] {
        for (method, target) in [
            ("GET", "/me"),
            ("GET", "/session"),
            ("GET", "/maybe"),
            ("POST", "/logout"),
        ] {
            let reply = client.call(method.parse().unwrap(), target).await;
            reply.keeps_the_cookie();
        }
    }
}

async fn rule_4_of_two_parallel_logouts_one_removes_the_cookie<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let other = world.another_process().await;
    let gate = world.store.hold_each(Op::End, Moment::Before, 2);
    let flights = [
        client.post("/logout").start(),
        client.at(other.address()).post("/logout").start(),
    ];
    gate.reached().await;
    gate.reached().await;
    gate.open();
    let mut removed = 0;
    for flight in flights {
        removed += flight.reply().await.is(204).set_cookies().len();
    }
    assert_eq!(removed, 1);
    assert_eq!(
        world.audit.take_kinds(),
        [EventKind::Ended(EndReason::SignedOut)]
    );
}

/// One tab signs out. Before its request is executed, another tab's request gives the session a new
/// identifier.
async fn t04_a_logout_that_lost_to_a_rotation_ends_the_session_all_the_same<B: Backend>() {
    let world = World::<B>::start().await;
    let other = world.another_process().await;
    for changes in [
        &["/regenerate"][..],
        &["/elevate"],
        &["/regenerate", "/elevate", "/elevate/payments"],
    ] {
        let client = world.signed_in("alice").await;
        world.forget();
        let there = client.at(other.address());
        let end = world.store.hold(Op::End, Moment::Before);
        let logout = client.post("/logout").start();
        end.reached().await;
        for change in changes {
            there.post(change).await.is(204).new_id();
        }
        let renewed = client.fork();
        renewed.get("/me").await.is(200);
        end.open();
        logout.reply().await.is(204).removes_the_cookie();

        assert!(!client.has_cookie(), "{changes:?}");
        renewed.get("/me").await.is(401).keeps_the_cookie();
        assert_eq!(
            world.ended(&renewed.id()).await,
            Some(EndReason::SignedOut),
            "{changes:?}"
        );
        assert_eq!(world.backend.live(), 0, "{changes:?}");
        let signed_out = EventKind::Ended(EndReason::SignedOut);
        let kinds = world.audit.take_kinds();
        let ends = kinds.iter().filter(|kind| **kind == signed_out);
        assert_eq!(ends.count(), 1, "{changes:?}: {kinds:?}");
    }
}

/// A sign-in begins another session. The former identifier cannot end it.
async fn rule_2_a_logout_that_lost_to_a_sign_in_is_an_error_and_ends_no_other_session<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    let other = world.another_process().await;
    for changes in [
        &["/login?user=alice"][..],
        &["/login?user=bob"],
        &["/regenerate", "/login?user=bob", "/elevate"],
    ] {
        let client = world.signed_in("alice").await;
        let there = client.at(other.address());
        let end = world.store.hold(Op::End, Moment::Before);
        let logout = client.post("/logout").start();
        end.reached().await;
        for change in changes {
            there.post(change).await.is(204).new_id();
        }
        end.open();
        let reply = logout.reply().await;
        reply.is_problem(401, "session-replaced").keeps_the_cookie();
        client.get("/me").await.is(200);
        client.post("/logout").await.is(204).removes_the_cookie();
    }
}

async fn rule_2_a_logout_with_a_replaced_identifier_does_not_report_success<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let tab = client.fork();
    client.post("/elevate").await.is(204).new_id();
    let reply = tab.post("/logout").await;
    reply.is_problem(401, "session-replaced").keeps_the_cookie();
    assert_eq!(reply.reason().as_deref(), Some("replaced"));
    client.get("/me").await.is(200);
}

async fn what_is_written_after_signing_out_begins_a_new_session<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let old = client.fork();
    client.post("/logout-and-put").await.is(204).new_id();
    let view = client.view().await;
    assert_eq!((view.user, view.cart.len()), (None, 0));
    assert_eq!(client.get("/get/flash").await.body(), "signed out");
    old.get("/me").await.is(401);
}

async fn signing_out_without_a_session_does_nothing<B: Backend>() {
    let world = World::<B>::start().await;
    world
        .client()
        .post("/logout")
        .await
        .is(204)
        .keeps_the_cookie();
    assert_eq!(world.store.take_calls(), []);
    assert_eq!(world.audit.take_kinds(), []);
}

async fn s021_signing_out_on_one_server_holds_on_every_other<B: Backend>() {
    let world = World::<B>::start().await;
    let other = world.another_server().await;
    let here = world.signed_in("alice").await;
    let there = here.fork().at(other.address());
    assert_eq!(there.get("/me").await.body(), "alice");
    there.post("/logout").await.is(204).removes_the_cookie();
    here.get("/me").await.is(401).keeps_the_cookie();
}

async fn a_page_can_show_why_the_session_ended<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let copy = client.fork();
    client.post("/regenerate").await.is(204);
    assert_eq!(copy.view().await.ended.as_deref(), Some("replaced"));
    let copy = client.fork();
    client.post("/logout").await.is(204);
    assert_eq!(copy.view().await.ended.as_deref(), Some("signed_out"));
    world.advance(hours(25));
    assert_eq!(copy.view().await.ended, None);
}
