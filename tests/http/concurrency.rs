//! Several requests of one browser at once.

use portcullis_tests::{Backend, Call, Client, Flight, Gate, Moment, Op, World, on_every_store};

on_every_store![
    t80_rule_9_writes_to_different_values_all_survive,
    rule_9_no_update_is_lost_however_many_come_at_once,
    rule_9_an_update_is_applied_to_what_another_request_just_wrote,
    rule_9_of_two_plain_writes_to_one_value_one_stands,
    rule_9_a_removal_survives_a_write_to_another_value,
    rule_9_a_rotation_loses_no_write_that_came_before_it,
    t26_of_many_requests_with_the_old_identifier_none_starts_a_session,
    t26_requests_that_only_read_pass_while_another_rotates,
    t08_one_user_signs_in_on_two_devices_at_once,
    of_two_sign_ins_in_one_browser_one_counts,
    of_two_first_writes_in_one_browser_each_is_a_session_of_its_own,
    of_two_rotations_at_once_one_counts,
    an_update_that_was_applied_again_is_written_once,
    a_write_that_never_succeeds_is_answered_with_an_error,
    a_change_that_was_refused_is_not_written_with_a_later_one,
];

const CROWD: usize = 20;

/// Sends these requests so that all of them have read the session before any writes it.
async fn at_once<B: Backend>(world: &World<B>, call: impl Fn(usize) -> Call) -> Vec<u16> {
    let gate = Gate::closed();
    let held = (0..CROWD).map(|n| call(n).held_at(&gate).start());
    let flights: Vec<_> = held.collect();
    for _ in 0..CROWD {
        gate.reached().await;
    }
    let commit = world.store.hold(Op::Commit, Moment::Before);
    gate.open();
    world.requests_waiting(CROWD).await;
    commit.open();
    let mut statuses = Vec::new();
    for flight in flights {
        statuses.push(flight.reply().await.keeps_the_cookie().status());
    }
    statuses
}

async fn t80_rule_9_writes_to_different_values_all_survive<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let put = |n| client.post(&format!("/put/key{n}/{n}"));
    let statuses = at_once(&world, put).await;
    assert_eq!(statuses, [204; CROWD]);
    for n in 0..CROWD {
        assert_eq!(
            client.get(&format!("/get/key{n}")).await.body(),
            n.to_string()
        );
    }
}

async fn rule_9_no_update_is_lost_however_many_come_at_once<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let add = |n| client.post(&format!("/cart?item={n}"));
    let statuses = at_once(&world, add).await;
    assert_eq!(statuses, [204; CROWD]);
    let mut cart = client.view().await.cart;
    cart.sort_unstable();
    assert_eq!(cart, (0..CROWD as u32).collect::<Vec<_>>());
}

async fn rule_9_an_update_is_applied_to_what_another_request_just_wrote<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.shopping(&[1]).await;
    let gate = Gate::closed();
    let slow = client.post("/cart?item=3").held_at(&gate).start();
    gate.reached().await;
    client.post("/cart?item=2").await.is(204);
    gate.open();
    slow.reply().await.is(204);
    assert_eq!(client.view().await.cart, [1, 2, 3]);
}

async fn rule_9_of_two_plain_writes_to_one_value_one_stands<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let gate = Gate::closed();
    let slow = client.post("/put/a/slow").held_at(&gate).start();
    gate.reached().await;
    client.post("/put/a/fast").await.is(204);
    gate.open();
    slow.reply().await.is(204);
    assert_eq!(client.get("/get/a").await.body(), "slow");
}

async fn rule_9_a_removal_survives_a_write_to_another_value<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.post("/put/a/1").await.is(204);
    let gate = Gate::closed();
    let remove = client.call("DELETE".parse().unwrap(), "/key/a");
    let slow = remove.held_at(&gate).start();
    gate.reached().await;
    client.post("/put/b/2").await.is(204);
    gate.open();
    slow.reply().await.is(200);
    client.get("/get/a").await.is(404);
    assert_eq!(client.get("/get/b").await.body(), "2");
}

async fn rule_9_a_rotation_loses_no_write_that_came_before_it<B: Backend>() {
    let world = World::<B>::start().await;
    let other = world.another_process().await;
    for rotation in ["/regenerate", "/elevate", "/login?user=alice"] {
        let client = world.signed_in("alice").await;
        let replace = world.store.hold(Op::Replace, Moment::Before);
        let slow = client.post(rotation).start();
        replace.reached().await;
        let there = client.at(other.address());
        there.post("/cart?item=1").await.is(204);
        replace.open();
        slow.reply().await.is(204).new_id();
        assert_eq!(client.view().await.cart, [1], "{rotation}");
        assert_eq!(world.backend.live(), 1, "{rotation}");
        client.post("/logout").await.is(204);
    }
}

async fn t26_of_many_requests_with_the_old_identifier_none_starts_a_session<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let other = world.another_process().await;
    let gate = world.store.hold(Op::Commit, Moment::Before);
    let flights: Vec<_> = (0..10)
        .map(|n| client.post(&format!("/put/key{n}/x")).start())
        .collect();
    world.requests_waiting(10).await;
    let there = client.at(other.address());
    there.post("/regenerate").await.is(204).new_id();
    let fresh = client.id();
    gate.open();
    for flight in flights {
        flight
            .reply()
            .await
            .is_problem(401, "session-ended")
            .keeps_the_cookie();
    }
    assert_eq!((client.id(), world.backend.live()), (fresh, 1));

    // Requests that start with the old identifier a moment later get the same.
    let late = world.signed_in("bob").await;
    let old = late.fork();
    late.post("/regenerate").await.is(204);
    for write in ["/cart?item=1", "/put/a/b"] {
        old.post(write)
            .await
            .is_problem(401, "session-replaced")
            .keeps_the_cookie();
    }
    assert_eq!(world.backend.live(), 2);
}

async fn t26_requests_that_only_read_pass_while_another_rotates<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let gate = Gate::closed();
    let flights: Vec<_> = (0..10)
        .map(|_| client.get("/me").held_at(&gate).start())
        .collect();
    for _ in 0..10 {
        gate.reached().await;
    }
    client.post("/regenerate").await.is(204);
    gate.open();
    for flight in flights {
        assert_eq!(flight.reply().await.keeps_the_cookie().body(), "alice");
    }
}

async fn t08_one_user_signs_in_on_two_devices_at_once<B: Backend>() {
    let world = World::<B>::start().await;
    let (desk, phone) = (world.client(), world.client());
    let gate = world.store.hold_each(Op::Create, Moment::Before, 2);
    let flights = [&desk, &phone].map(|client| client.post("/login?user=alice").start());
    gate.reached().await;
    gate.reached().await;
    gate.open();
    for flight in flights {
        flight.reply().await.is(204).new_id();
    }
    assert_ne!(desk.view().await.handle, phone.view().await.handle);
    assert_eq!(world.backend.live(), 2);
}

async fn of_two_sign_ins_in_one_browser_one_counts<B: Backend>() {
    let world = World::<B>::start().await;
    let other = world.another_process().await;
    for users in [["alice", "alice"], ["alice", "bob"]] {
        let client = world.shopping(&[1]).await;
        let [here, there] = users.map(|user| format!("/login?user={user}"));
        let gate = world.store.hold_each(Op::Replace, Moment::Before, 2);
        let flights = [
            client.post(&here).start(),
            client.at(other.address()).post(&there).start(),
        ];
        gate.reached().await;
        gate.reached().await;
        gate.open();
        let mut statuses = Vec::new();
        for flight in flights {
            let reply = flight.reply().await;
            statuses.push((reply.status(), reply.set_cookies().len()));
        }
        statuses.sort_unstable();
        assert_eq!(statuses, [(204, 1), (401, 0)]);
        assert!(users.contains(&client.view().await.user.unwrap().as_str()));
        assert_eq!(world.backend.live(), 1);
        client.post("/logout").await.is(204);
    }
}

/// Nothing connects them: there is no cookie yet. The browser keeps the cookie of the last
/// response.
async fn of_two_first_writes_in_one_browser_each_is_a_session_of_its_own<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.client();
    let gate = world.store.hold_each(Op::Create, Moment::Before, 2);
    let flights = [1, 2].map(|item| client.post(&format!("/cart?item={item}")).start());
    gate.reached().await;
    gate.reached().await;
    gate.open();
    for flight in flights {
        flight.reply().await.is(204).new_id();
    }
    assert_eq!(client.view().await.cart.len(), 1);
}

async fn of_two_rotations_at_once_one_counts<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let other = world.another_process().await;
    let gate = world.store.hold_each(Op::Replace, Moment::Before, 2);
    let flights = [
        client.post("/regenerate").start(),
        client.at(other.address()).post("/regenerate").start(),
    ];
    gate.reached().await;
    gate.reached().await;
    gate.open();
    let mut cookies = 0;
    for flight in flights {
        cookies += flight.reply().await.set_cookies().len();
    }
    assert_eq!((cookies, world.backend.live()), (1, 1));
    client.get("/me").await.is(200);
}

async fn an_update_that_was_applied_again_is_written_once<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let gate = Gate::closed();
    let slow = client.post("/number/visits").held_at(&gate).start();
    gate.reached().await;
    client.post("/put/a/b").await.is(204);
    world.forget();
    gate.open();
    slow.reply().await.is(204);
    assert_eq!(world.store.take_calls(), [Op::Commit, Op::Commit]);
    assert_eq!(client.get("/number/visits").await.body(), "Some(1)");
}

/// Another server writes again and again between its attempts. The number of attempts is bounded.
async fn a_write_that_never_succeeds_is_answered_with_an_error<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let other = world.another_process().await;
    let there = client.at(other.address());
    let slow = lose(&world, &there, || client.post("/put/slow/1").start());
    let reply = slow.await.reply().await;
    reply
        .is_problem(503, "session-unavailable")
        .keeps_the_cookie();
    assert_eq!(reply.header("retry-after"), "1");
    client.get("/get/slow").await.is(404);
    assert_eq!(client.get("/number/fast").await.body(), "Some(32)");
}

/// How often a write is tried.
const ATTEMPTS: usize = 32;

/// Each time the request reaches the store, `faster` has written before it.
async fn lose<B: Backend>(
    world: &World<B>,
    faster: &Client,
    start: impl FnOnce() -> Flight,
) -> Flight {
    let mut held = world.store.hold(Op::Commit, Moment::Before);
    let slow = start();
    for attempt in 1..=ATTEMPTS {
        held.reached().await;
        faster.post("/number/fast").await.is(204);
        let next = match attempt {
            ATTEMPTS => Gate::closed(),
            _ => world.store.hold(Op::Commit, Moment::Before),
        };
        held.open();
        held = next;
    }
    slow
}

/// The handler gets an error for the change that was not written, and continues.
async fn a_change_that_was_refused_is_not_written_with_a_later_one<B: Backend>() {
    let world = World::<B>::start().await;
    let other = world.another_process().await;
    let client = world.signed_in("alice").await;
    let there = client.at(other.address());
    let slow = lose(&world, &there, || client.post("/commit-ignored").start());
    slow.await.reply().await.is(204);
    client.get("/get/before").await.is(404);
    client.get("/get/after").await.is(200);

    // A handler that ignores the error answers as if it had been written. Its response is replaced.
    let slow = lose(&world, &there, || {
        client.post("/commit-only/ignored").start()
    });
    let reply = slow.await.reply().await;
    reply.is_problem(503, "session-unavailable");
    client.get("/get/before").await.is(404);
}
