//! Writes of one server to one session: they wait for each other, and are stored together.

use axum::{body::Body, response::Response};
use http::{Request, header::COOKIE};
use portcullis::audit::EventKind;
use portcullis_tests::{
    Backend, Client, Gate, Moment,
    Op::{Commit, End, Replace, Touch},
    Redis, Reply, World, about, minutes, on_every_store, seconds,
};
use tower::ServiceExt;

use crate::write_queue::{WriteQueue, writes};

on_every_store![
    writes_that_wait_are_stored_in_one_write,
    no_more_than_64_are_stored_together,
    an_update_that_fails_refuses_its_request_alone,
    a_limit_that_is_exceeded_refuses_that_request_alone,
    a_function_that_panics_breaks_its_request_alone,
    the_first_that_panics_still_writes_for_the_others,
    what_changes_the_identifier_or_ends_the_session_has_its_turn_alone,
    a_sign_in_keeps_what_was_written_before_its_turn,
    a_request_that_waits_for_a_session_that_ended_is_refused_without_another_write,
    what_each_request_noticed_goes_into_the_one_write,
    writes_together_are_activity_if_one_of_them_is,
    a_request_sees_what_was_written_with_it,
    a_function_may_read_its_session_and_not_change_it_while_another_request_writes_for_it,
    changes_that_cancel_each_other_out_are_not_written,
    all_grouped_requests_are_refused_where_the_record_can_no_longer_be_read,
    a_lost_answer_refuses_all_grouped_requests_and_nothing_is_done_twice,
    a_store_that_is_down_keeps_no_request_waiting_for_its_turn,
    a_request_whose_client_has_disconnected_keeps_its_place,
    beyond_256_that_wait_a_write_is_refused_at_once_and_a_logout_is_not,
    when_the_runtime_of_the_first_stops_the_next_one_leads,
    when_the_runtime_of_the_first_stops_at_the_store_the_outcome_of_its_group_is_unknown,
    of_2000_at_once_each_is_applied_once_or_refused,
];

async fn writes_that_wait_are_stored_in_one_write<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.post("/put/removed/1").await.is(204);
    world.forget();
    let paths = [
        "/put/a/1",
        "/number/n",
        "/put/b/2",
        "/cart?item=1",
        "/number/n",
    ];
    let mut queue = WriteQueue::of(&world, &client, paths).await;
    queue.join(&world, client.delete("/key/removed")).await;
    assert_eq!(queue.statuses().await, [204, 204, 204, 204, 204, 200]);
    assert_eq!(writes(&world), [Commit, Commit]);
    assert_eq!(client.get("/get/a").await.body(), "1");
    assert_eq!(client.get("/get/b").await.body(), "2");
    assert_eq!(client.get("/number/n").await.body(), "Some(2)");
    assert_eq!(client.view().await.cart, [1]);
    client.get("/get/removed").await.is(404);
}

async fn no_more_than_64_are_stored_together<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let mut queue = WriteQueue::begin(&world, client.post("/number/n")).await;
    for _ in 0..65 {
        queue.join(&world, client.post("/number/n")).await;
    }
    assert_eq!(queue.statuses().await, [204; 66]);
    assert_eq!(writes(&world), [Commit, Commit, Commit]);
    assert_eq!(client.get("/number/n").await.body(), "Some(66)");
}

async fn an_update_that_fails_refuses_its_request_alone<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    // The number of the second request is a text when its turn comes.
    let paths = [
        "/put/n/text",
        "/number/n",
        "/put/b/1",
        "/number/n",
        "/put/c/2",
    ];
    let queue = WriteQueue::of(&world, &client, paths).await;
    assert_eq!(queue.statuses().await, [204, 500, 204, 500, 204]);
    assert_eq!(writes(&world), [Commit, Commit]);
    for (key, value) in [("n", "text"), ("b", "1"), ("c", "2")] {
        assert_eq!(client.get(&format!("/get/{key}")).await.body(), value);
    }
}

async fn a_limit_that_is_exceeded_refuses_that_request_alone<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let paths = ["/big/a/40000", "/put/b/1", "/big/c/40000", "/put/d/2"];
    let replies = WriteQueue::of(&world, &client, paths).await.replies().await;
    let statuses: Vec<_> = replies.iter().map(Reply::status).collect();
    assert_eq!(statuses, [204, 204, 413, 204]);
    replies[2].is_problem(413, "session-too-large");
    assert_eq!(writes(&world), [Commit, Commit]);
    client.get("/get/c").await.is(404);
    assert_eq!(client.get("/get/d").await.body(), "2");
}

/// The first request, then each of these. One of them panics.
async fn panics_alone<B: Backend>(paths: [&str; 4], panics: usize) {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let queue = WriteQueue::of(&world, &client, paths).await;
    queue.gate.open();
    for (at, flight) in queue.flights.into_iter().enumerate() {
        if at == panics {
            flight.breaks().await;
        } else {
            flight.reply().await.is(204);
        }
    }
    assert_eq!(writes(&world), [Commit, Commit]);
    assert_eq!(client.get("/get/b").await.body(), "2");
    assert_eq!(client.get("/get/c").await.body(), "3");
    assert_eq!(client.get("/number/n").await.body(), "None");
    client.post("/put/later/4").await.is(204);
}

async fn a_function_that_panics_breaks_its_request_alone<B: Backend>() {
    let paths = ["/put/a/1", "/put/b/2", "/nested/panic-later/n", "/put/c/3"];
    panics_alone::<B>(paths, 2).await;
}

async fn the_first_that_panics_still_writes_for_the_others<B: Backend>() {
    let paths = ["/put/a/1", "/nested/panic-later/n", "/put/b/2", "/put/c/3"];
    panics_alone::<B>(paths, 1).await;
}

async fn what_changes_the_identifier_or_ends_the_session_has_its_turn_alone<B: Backend>() {
    let world = World::<B>::start().await;
    for (change, op) in [
        ("/regenerate", Replace),
        ("/elevate", Replace),
        ("/login?user=alice", Replace),
        ("/logout", End),
    ] {
        let client = world.signed_in("alice").await;
        let old = client.fork();
        let mut queue = WriteQueue::of(&world, &old, ["/put/a/1", "/put/b/2"]).await;
        queue.join(&world, client.post(change)).await;
        queue.join(&world, old.post("/put/c/3")).await;
        // The writes before it are stored, and the one after it is refused.
        assert_eq!(queue.statuses().await, [204, 204, 204, 401], "{change}");
        assert_eq!(writes(&world), [Commit, Commit, op], "{change}");
        if op == Replace {
            assert_eq!(client.get("/get/b").await.body(), "2", "{change}");
            client.get("/get/c").await.is(404);
            client.post("/logout").await.is(204);
        }
    }
}

async fn a_sign_in_keeps_what_was_written_before_its_turn<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.shopping(&[1]).await;
    let paths = ["/cart?item=2", "/cart?item=3", "/login?user=alice"];
    let queue = WriteQueue::of(&world, &client, paths).await;
    assert_eq!(queue.statuses().await, [204; 3]);
    assert_eq!(writes(&world), [Commit, Commit, Replace]);
    let view = client.view().await;
    assert_eq!(view.cart, [1, 2, 3]);
    assert_eq!(view.user.as_deref(), Some("alice"));
}

async fn a_request_that_waits_for_a_session_that_ended_is_refused_without_another_write<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    let other = world.another_process().await;
    let client = world.signed_in("alice").await;
    let mut queue = WriteQueue::of(&world, &client, ["/put/a/1", "/put/b/2", "/put/c/3"]).await;
    queue.join(&world, client.post("/regenerate")).await;
    queue.join(&world, client.post("/put/d/4")).await;
    client
        .fork()
        .at(other.address())
        .post("/logout")
        .await
        .is(204);
    for reply in queue.replies().await {
        reply.is_problem(401, "session-ended").keeps_the_cookie();
        assert_eq!(reply.reason().as_deref(), Some("signed_out"));
    }
    // One write for the first, and at most one for all others.
    let written = writes(&world);
    assert!(
        matches!(written[..], [Commit, End] | [Commit, End, Commit]),
        "{written:?}"
    );
}

const FIREFOX: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0";
const SAFARI: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";

async fn what_each_request_noticed_goes_into_the_one_write<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.client().calling_itself(FIREFOX);
    client.post("/login?user=alice").await.is(204);
    world.forget();
    let mut queue = WriteQueue::begin(&world, client.post("/put/a/1")).await;
    for agent in [SAFARI, "curl/8.5.0", SAFARI] {
        queue
            .join(&world, client.calling_itself(agent).get("/me"))
            .await;
    }
    assert_eq!(queue.statuses().await, [204, 200, 200, 200]);
    assert_eq!(writes(&world), [Commit, Commit]);
    // Each of the two devices is reported once, with its client.
    let events = world.audit.take();
    let changed =
        |event: &portcullis::audit::Event| matches!(event.kind, EventKind::DeviceChanged(_));
    assert!(events.iter().all(changed), "{events:?}");
    let clients: Vec<_> = events
        .iter()
        .map(|event| event.client.clone().unwrap().to_string())
        .collect();
    assert_eq!(clients.len(), 2, "{clients:?}");
    assert!(
        clients[0].contains("Safari") && clients[1].contains("curl"),
        "{clients:?}"
    );
    let logged: Vec<portcullis_tests::LogLine> = client.get("/history").await.json();
    let logged = logged
        .iter()
        .filter(|queue| queue.event.starts_with("session_device_changed"));
    assert_eq!(logged.count(), 2);
}

async fn writes_together_are_activity_if_one_of_them_is<B: Backend>() {
    let world = World::<B>::start().await;
    for (second, inactive) in [("/passive/put/c/3", minutes(5)), ("/put/c/3", seconds(0))] {
        let client = world.signed_in("alice").await;
        world.advance(minutes(5));
        let paths = [
            "/passive/put/a/1",
            "/passive/put/b/2",
            second,
            "/passive/put/d/4",
        ];
        let queue = WriteQueue::of(&world, &client, paths).await;
        assert_eq!(queue.statuses().await, [204; 4]);
        about(client.view().await.inactive, inactive);
    }
}

async fn a_request_sees_what_was_written_with_it<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let mut queue = WriteQueue::of(&world, &client, ["/cart?item=1", "/cart?item=2"]).await;
    let (gate, name) = world.gate();
    queue
        .flights
        .push(client.post(&format!("/commit-and-read/{name}")).start());
    gate.reached().await;
    gate.open();
    let replies = queue.replies().await;
    assert_eq!(replies[2].is(200).body(), "[1,2]");
}

async fn a_function_may_read_its_session_and_not_change_it_while_another_request_writes_for_it<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let paths = ["/put/a/1", "/cart?item=1", "/nested/read", "/nested/write"];
    let queue = WriteQueue::of(&world, &client, paths).await;
    assert_eq!(queue.statuses().await, [204, 204, 200, 200]);
    assert_eq!(writes(&world), [Commit, Commit]);
    assert_eq!(client.view().await.cart, [1, 9, 9]);
    client.get("/get/inner").await.is(404);
}

async fn changes_that_cancel_each_other_out_are_not_written<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let paths = ["/passive/put/a/1", "/put/a/2", "/put/a/1"];
    for (time, written) in [(0, vec![Commit]), (5, vec![Commit, Touch])] {
        client.post("/clear").await.is(204);
        world.advance(minutes(time));
        let queue = WriteQueue::of(&world, &client, paths).await;
        assert_eq!(queue.statuses().await, [204; 3]);
        assert_eq!(writes(&world), written);
        assert_eq!(client.get("/get/a").await.body(), "1");
        about(client.view().await.inactive, seconds(0));
    }
}

async fn all_grouped_requests_are_refused_where_the_record_can_no_longer_be_read<B: Backend>() {
    let world = World::<B>::start().await;
    for (payload, status, code) in [
        (&[0_u8][..], 401, "session-ended"),
        (&[2], 503, "session-unavailable"),
    ] {
        let client = world.signed_in("alice").await;
        let mut queue = WriteQueue::of(&world, &client, ["/put/a/1", "/put/b/2", "/put/c/3"]).await;
        let together = world.store.hold(Commit, Moment::Before);
        queue.gate.open();
        together.reached().await;
        world.overwrite(&client.id(), payload.to_vec()).await;
        together.open();
        queue.flights.remove(0).reply().await.is(204);
        for reply in queue.replies().await {
            reply.is_problem(status, code).keeps_the_cookie();
        }
        assert_eq!(writes(&world), [Commit, Commit]);
    }
}

async fn a_lost_answer_refuses_all_grouped_requests_and_nothing_is_done_twice<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let paths = [
        "/cart?item=1",
        "/cart?item=2",
        "/cart?item=3",
        "/cart?item=4",
    ];
    let mut queue = WriteQueue::of(&world, &client, paths).await;
    let together = world.store.hold(Commit, Moment::Before);
    queue.gate.open();
    together.reached().await;
    queue.join(&world, client.post("/cart?item=5")).await;
    world.store.fail(Commit, Moment::After);
    together.open();
    let replies = queue.replies().await;
    replies[0].is(204);
    for lost in &replies[1..4] {
        lost.is_problem(503, "session-unavailable")
            .keeps_the_cookie();
        assert_eq!(lost.header("retry-after"), "1");
    }
    replies[4].is(204);
    // The store had executed it.
    assert_eq!(client.view().await.cart, [1, 2, 3, 4, 5]);
    let failures = world.audit.take_kinds();
    assert_eq!(failures, vec![EventKind::StoreFailed; 3]);
}

async fn a_store_that_is_down_keeps_no_request_waiting_for_its_turn<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let mut queue = WriteQueue::begin(&world, client.post("/put/a/1")).await;
    for _ in 0..3 {
        queue.join(&world, client.post("/regenerate")).await;
        queue.join(&world, client.post("/put/b/2")).await;
    }
    queue.join(&world, client.post("/logout")).await;
    world.store.set_down(true);
    let replies = queue.replies().await;
    for reply in &replies {
        reply
            .is_problem(503, "session-unavailable")
            .keeps_the_cookie();
    }
    // Two groups of writes, then the ends. Each request tries its own end.
    assert_eq!(writes(&world), [Commit, Replace, End, End]);
    world.store.set_down(false);
    client.get("/me").await.is(200);
    client.post("/put/a/1").await.is(204);
}

async fn a_request_whose_client_has_disconnected_keeps_its_place<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let mut queue = WriteQueue::of(
        &world,
        &client,
        ["/put/a/1", "/cart?item=1", "/cart?item=2"],
    )
    .await;
    queue.flights.remove(1).disconnect().await;
    world.client_disconnected().await;
    queue.join(&world, client.post("/cart?item=3")).await;
    // It would be the next leader.
    assert_eq!(queue.statuses().await, [204; 3]);
    assert_eq!(writes(&world), [Commit, Commit]);
    assert_eq!(client.view().await.cart, [1, 2, 3]);
}

async fn beyond_256_that_wait_a_write_is_refused_at_once_and_a_logout_is_not<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let mut queue = WriteQueue::begin(&world, client.post("/number/n")).await;
    queue.crowd(&world, &client, 256).await;
    for change in ["/number/n", "/regenerate"] {
        let refused = client.post(change).await;
        refused
            .is_problem(503, "session-unavailable")
            .keeps_the_cookie();
        assert_eq!(refused.header("retry-after"), "1");
    }
    queue.gate.open();
    for flight in queue.flights {
        flight.reply().await.is(204);
    }
    assert_eq!(writes(&world), [Commit; 5]);
    assert_eq!(client.get("/number/n").await.body(), "Some(257)");

    let mut queue = WriteQueue::begin(&world, client.post("/number/n")).await;
    queue.crowd(&world, &client, 256).await;
    client
        .fork()
        .post("/logout")
        .await
        .is(204)
        .removes_the_cookie();
    for reply in queue.replies().await {
        reply.is_problem(401, "session-ended").keeps_the_cookie();
    }
    let written = writes(&world);
    assert!(written.len() <= 3, "{written:?}");
}

/// A request to the first process without a connection. It can run on another runtime than the
/// others.
async fn ask<B: Backend>(world: &World<B>, client: &Client, path: &str) -> Response {
    let request = request(client, path).body(Body::empty()).unwrap();
    world.app.clone().oneshot(request).await.unwrap()
}

fn request(client: &Client, path: &str) -> http::request::Builder {
    let cookie = format!("{}={}", portcullis_tests::COOKIE, client.id());
    Request::post(path).header(COOKIE, cookie)
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

async fn when_the_runtime_of_the_first_stops_the_next_one_leads<B: Backend>() {
    let world = std::sync::Arc::new(World::<B>::start().await);
    let client = world.signed_in("alice").await;
    let doomed = runtime();
    let gate = world.store.hold(Commit, Moment::Before);
    let first = doomed.spawn({
        let (world, client) = (world.clone(), client.clone());
        async move { ask(&world, &client, "/put/a/1").await.status() }
    });
    gate.reached().await;
    world.requests_waiting(1).await;
    let mut flights = Vec::new();
    for path in ["/put/b/2", "/regenerate"] {
        flights.push(client.post(path).start());
        world.requests_waiting(1).await;
    }
    doomed.shutdown_background();
    for flight in flights {
        flight.reply().await.is(204);
    }
    assert!(first.await.is_err());
    assert_eq!(client.get("/get/b").await.body(), "2");
}

async fn when_the_runtime_of_the_first_stops_at_the_store_the_outcome_of_its_group_is_unknown<
    B: Backend,
>() {
    let world = std::sync::Arc::new(World::<B>::start().await);
    let client = world.signed_in("alice").await;
    let mut queue = WriteQueue::begin(&world, client.post("/cart?item=1")).await;
    let done = world.store.hold(Commit, Moment::After);
    let lost = world.store.hold(Commit, Moment::After);
    let doomed = runtime();
    doomed.spawn({
        let (world, client) = (world.clone(), client.clone());
        async move { ask(&world, &client, "/cart?item=2").await.status() }
    });
    world.requests_waiting(1).await;
    queue.join(&world, client.post("/cart?item=3")).await;
    queue.gate.open();
    done.open();
    lost.reached().await;
    queue.join(&world, client.post("/cart?item=4")).await;
    doomed.shutdown_background();
    let replies = queue.replies().await;
    replies[0].is(204);
    replies[1].is_problem(503, "session-unavailable");
    replies[2].is(204);
    assert_eq!(client.view().await.cart, [1, 2, 3, 4]);
}

async fn of_2000_at_once_each_is_applied_once_or_refused<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let (gate, name) = world.gate();
    let mut requests = Vec::new();
    for item in 0..2000 {
        let request = request(&client, &format!("/cart?item={item}"));
        let request = request.header("test-gate", &name).body(Body::empty());
        let answer = world.app.clone().oneshot(request.unwrap());
        requests.push(tokio::spawn(async move {
            (item, answer.await.unwrap().status().as_u16())
        }));
        gate.reached().await;
    }
    gate.open();
    let mut applied = Vec::new();
    for answer in requests {
        match answer.await.unwrap() {
            (item, 204) => applied.push(item),
            (_, status) => assert_eq!(status, 503),
        }
    }
    let mut cart = client.view().await.cart;
    cart.sort_unstable();
    assert_eq!(cart, applied);
    assert!(cart.len() >= 257, "{}", cart.len());
}

/// 60 values of 1000 bytes.
async fn filled<B: Backend>(world: &World<B>) -> Client {
    let client = world.signed_in("alice").await;
    for n in 0..60 {
        client.post(&format!("/big/filling{n}/1000")).await.is(204);
    }
    client
}

/// The number of scripts that ran, as Redis counts them.
fn scripts(redis: &Redis) -> u64 {
    let stats = redis.server().cli(&["INFO", "commandstats"]).text();
    let queue = stats
        .lines()
        .find_map(|queue| queue.strip_prefix("cmdstat_evalsha:calls="));
    let calls = queue.and_then(|queue| queue.split(',').next());
    calls.map_or(0, |calls| calls.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn at_most_two_scripts_are_run_for_ten_writes_at_once() {
    let world = World::<Redis>::start().await;
    let client = filled(&world).await;
    for (requests, most) in [(1, 1), (20, 2), (200, 5)] {
        let before = scripts(&world.backend);
        let mut queue = WriteQueue::begin(&world, client.post("/number/n")).await;
        queue.crowd(&world, &client, requests - 1).await;
        assert_eq!(queue.statuses().await, vec![204; requests]);
        assert_eq!(scripts(&world.backend) - before, most, "{requests} at once");
    }
    assert_eq!(client.get("/number/n").await.body(), "Some(221)");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_most_two_scripts_are_run_for_each_of_200_writes_over_four_servers() {
    let world = World::<Redis>::start().await;
    let client = filled(&world).await;
    let mut servers = Vec::new();
    for _ in 0..4 {
        servers.push(world.another_server().await);
    }
    let gate = Gate::closed();
    let flights: Vec<_> = (0..200)
        .map(|n| {
            let there = client.at(servers[n % 4].address());
            there.post("/number/n").held_at(&gate).start()
        })
        .collect();
    for _ in 0..200 {
        gate.reached().await;
    }
    let before = scripts(&world.backend);
    gate.open();
    for flight in flights {
        flight.reply().await.is(204);
    }
    let run = scripts(&world.backend) - before;
    assert!(run <= 400, "{run} scripts");
    assert_eq!(client.get("/number/n").await.body(), "Some(200)");
}
