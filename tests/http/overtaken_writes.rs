//! Writes that wait while another server writes to the same session.

use portcullis_tests::{
    Backend, Call, Moment,
    Op::{Commit, Replace},
    World, on_every_store,
};

use crate::write_queue::{WriteQueue, writes};

on_every_store![
    a_write_of_another_server_meanwhile_loses_nothing,
    a_request_that_has_seen_what_another_server_wrote_overwrites_it,
    a_request_that_has_seen_what_another_server_wrote_overwrites_it_behind_one_that_has_not,
    a_request_that_has_seen_a_newer_value_than_the_conflict_returned_overwrites_it,
    what_fits_is_not_refused_for_what_another_server_has_removed,
    what_fits_is_not_refused_for_a_change_that_was_not_written,
    a_new_identifier_is_not_refused_for_what_another_server_has_removed,
];

async fn a_write_of_another_server_meanwhile_loses_nothing<B: Backend>() {
    let world = World::<B>::start().await;
    let other = world.another_process().await;
    let client = world.signed_in("alice").await;
    let queue = WriteQueue::of(&world, &client, ["/number/n", "/number/n", "/put/a/1"]).await;
    let there = client.at(other.address());
    there.post("/number/n").await.is(204);
    assert_eq!(queue.statuses().await, [204; 3]);
    // The write of the other server, the one that lost to it, and the group.
    assert_eq!(writes(&world), [Commit, Commit, Commit]);
    assert_eq!(client.get("/number/n").await.body(), "Some(3)");
    assert_eq!(client.get("/get/a").await.body(), "1");
}

/// The first request has its answer from the store. The others wait behind it, and have read what
/// another server has written since.
async fn overtaken<B: Backend>(world: &World<B>, first: Call) -> WriteQueue {
    world.forget();
    let gate = world.store.hold(Commit, Moment::After);
    let flights = vec![first.start()];
    gate.reached().await;
    world.requests_waiting(1).await;
    WriteQueue { gate, flights }
}

async fn a_request_that_has_seen_what_another_server_wrote_overwrites_it<B: Backend>() {
    let world = World::<B>::start().await;
    let other = world.another_process().await;
    let client = world.signed_in("alice").await;
    let mut queue = overtaken(&world, client.post("/put/a/1")).await;
    client.at(other.address()).post("/put/a/2").await.is(204);
    queue.join(&world, client.post("/put/a/1")).await;
    assert_eq!(queue.statuses().await, [204; 2]);
    assert_eq!(writes(&world), [Commit; 3]);
    assert_eq!(client.get("/get/a").await.body(), "1");
}

async fn a_request_that_has_seen_what_another_server_wrote_overwrites_it_behind_one_that_has_not<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    let other = world.another_process().await;
    let client = world.signed_in("alice").await;
    client.post("/put/a/0").await.is(204);
    // The leader has a turn of its own, so that the next request builds only on what it has read.
    world.forget();
    let gate = world.store.hold(Replace, Moment::Before);
    world.store.fail(Replace, Moment::Before);
    let mut queue = WriteQueue {
        gate,
        flights: vec![client.fork().post("/regenerate").start()],
    };
    queue.gate.reached().await;
    world.requests_waiting(1).await;
    queue.join(&world, client.post("/put/a/1")).await;
    client.at(other.address()).post("/put/a/2").await.is(204);
    queue.join(&world, client.post("/put/a/0")).await;
    assert_eq!(queue.statuses().await, [503, 204, 204]);
    assert_eq!(client.get("/get/a").await.body(), "0");
}

async fn a_request_that_has_seen_a_newer_value_than_the_conflict_returned_overwrites_it<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    let other = world.another_process().await;
    // The request that loses is the first one, or the next one behind it.
    for behind in [false, true] {
        let client = world.signed_in("alice").await;
        let there = client.at(other.address());
        client.post("/put/a/1").await.is(204);
        let first = if behind { "/put/b/1" } else { "/put/a/2" };
        let mut queue = WriteQueue::begin(&world, client.post(first)).await;
        if behind {
            queue.join(&world, client.post("/put/a/2")).await;
            let next = world.store.hold(Commit, Moment::Before);
            queue.gate.open();
            next.reached().await;
            queue.gate = next;
        }
        there.post("/put/a/2").await.is(204);
        let conflict = world.store.hold(Commit, Moment::After);
        queue.gate.open();
        conflict.reached().await;
        there.post("/put/a/3").await.is(204);
        queue.join(&world, client.post("/put/a/2")).await;
        queue.gate = conflict;
        let statuses = queue.statuses().await;
        assert!(statuses.iter().all(|status| *status == 204), "{statuses:?}");
        assert_eq!(client.get("/get/a").await.body(), "2", "{behind}");
    }
}

async fn what_fits_is_not_refused_for_what_another_server_has_removed<B: Backend>() {
    let world = World::<B>::with(|layer| layer.payload_limit(1000).unwrap()).await;
    let other = world.another_process().await;
    let client = world.signed_in("alice").await;
    let mut queue = overtaken(&world, client.post("/big/a/800")).await;
    client.at(other.address()).delete("/key/a").await.is(200);
    queue.join(&world, client.post("/big/b/800")).await;
    assert_eq!(queue.statuses().await, [204; 2]);
    client.get("/get/b").await.is(200);
}

async fn what_fits_is_not_refused_for_a_change_that_was_not_written<B: Backend>() {
    let world = World::<B>::with(|layer| layer.payload_limit(1000).unwrap()).await;
    let other = world.another_process().await;
    let client = world.signed_in("alice").await;
    let mut queue = overtaken(&world, client.post("/big/a/500")).await;
    queue.join(&world, client.post("/big/b/400")).await;
    queue.join(&world, client.post("/big/c/400")).await;
    // The two values do not fit together, until they are written.
    client.at(other.address()).delete("/key/a").await.is(200);
    assert_eq!(queue.statuses().await, [204; 3]);
    client.get("/get/c").await.is(200);
}

async fn a_new_identifier_is_not_refused_for_what_another_server_has_removed<B: Backend>() {
    let world = World::<B>::with(|layer| layer.payload_limit(1000).unwrap()).await;
    let other = world.another_process().await;
    let client = world.signed_in("alice").await;
    let mut queue = overtaken(&world, client.post("/big/a/800")).await;
    client.at(other.address()).delete("/key/a").await.is(200);
    queue
        .join(&world, client.post("/big/b/800/regenerate"))
        .await;
    assert_eq!(queue.statuses().await, [204; 2]);
    client.get("/get/b").await.is(200);
}
