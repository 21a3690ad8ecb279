//! Records that cannot be read: damaged, of a newer version, or with a value of another type.

use bytes::Bytes;
use portcullis::audit::EventKind;
use portcullis_core::store::Loaded;
use portcullis_redis::testing::Answer;
use portcullis_tests::{Backend, Gate, Moment, Op, Redis, World, on_every_store};

on_every_store![
    t48_s135_a_damaged_record_is_no_session,
    s135_a_damaged_record_gives_nothing_to_the_session_that_follows,
    s138_a_record_of_a_newer_version_is_left_alone,
    s138_a_field_of_a_newer_version_survives_writes_until_the_next_sign_in,
    s135_a_record_that_is_damaged_meanwhile_grants_nothing,
    s138_a_record_that_became_newer_meanwhile_is_left_alone,
    t70_a_value_of_another_type_is_an_error_and_everything_else_works,
    t70_a_value_that_became_another_type_meanwhile_is_an_error_and_stays,
];

async fn t48_s135_a_damaged_record_is_no_session<B: Backend>() {
    let world = World::<B>::start().await;
    let sound = world
        .live(&world.signed_in("alice").await.id())
        .await
        .payload;
    let mut flipped = sound.to_vec();
    flipped[1] ^= 0xff;
    for payload in [
        Bytes::new(),
        Bytes::from_static(b"\x01garbage"),
        Bytes::from_static(b"\0"),
        Bytes::from_static(b"\x01\xdd\xff\xff\xff\xff"),
        Bytes::from_static(b"\x01\xdf\xff\xff\xff\xff"),
        sound.slice(..sound.len() - 1),
        sound.slice(..1),
        Bytes::from(flipped),
    ] {
        let client = world.signed_in("alice").await;
        world.overwrite(&client.id(), payload.clone()).await;
        client
            .get("/me")
            .await
            .is_problem(401, "authentication-required")
            .keeps_the_cookie();
        assert_eq!(
            world.audit.take_kinds(),
            [EventKind::RecordDamaged],
            "{payload:?}"
        );
        client.post("/transfer").await.is(401).keeps_the_cookie();
        client.post("/logout").await.is(204).keeps_the_cookie();
    }
}

async fn s135_a_damaged_record_gives_nothing_to_the_session_that_follows<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.post("/cart?item=1").await.is(204);
    let old = client.id();
    world.overwrite(&old, "\0garbage").await;
    assert_ne!(client.post("/cart?item=2").await.is(204).new_id(), old);
    let view = client.view().await;
    assert_eq!((view.user, view.cart), (None, vec![2]));
}

async fn s138_a_record_of_a_newer_version_is_left_alone<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let sound = world.live(&client.id()).await.payload;
    let newer = [&[2_u8][..], &sound[1..]].concat();
    world.overwrite(&client.id(), newer.clone()).await;
    for (method, target) in [
        ("GET", "/me"),
        ("GET", "/maybe"),
        ("POST", "/put/a/b"),
        ("POST", "/login?user=alice"),
        ("POST", "/logout"),
    ] {
        let reply = client.call(method.parse().unwrap(), target).await;
        reply
            .is_problem(503, "session-unavailable")
            .keeps_the_cookie();
        assert!(!reply.header("retry-after").is_empty());
    }
    assert_eq!(world.live(&client.id()).await.payload, newer);
    world.overwrite(&client.id(), sound).await;
    client.get("/me").await.is(200);
}

async fn s138_a_field_of_a_newer_version_survives_writes_until_the_next_sign_in<B: Backend>() {
    const FIELD: &[u8] = b"\x7f\xa5later";
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let mut newer = world.live(&client.id()).await.payload.to_vec();
    // After the format and the number of fields, which is then one more.
    newer[1] += 1;
    newer.splice(2..2, FIELD.iter().copied());
    world.overwrite(&client.id(), newer).await;
    for (target, keeps) in [
        ("/put/a/b", true),
        ("/regenerate", true),
        ("/put/a/c", true),
        ("/login?user=alice", false),
    ] {
        client.post(target).await.is(204);
        let payload = world.live(&client.id()).await.payload;
        let kept = payload.windows(FIELD.len()).any(|part| part == FIELD);
        assert_eq!(kept, keeps, "{target}");
    }
}

async fn s135_a_record_that_is_damaged_meanwhile_grants_nothing<B: Backend>() {
    let world = World::<B>::start().await;
    for change in ["/put/a/b", "/elevate", "/login?user=alice"] {
        let client = world.signed_in("alice").await;
        let gate = Gate::closed();
        let slow = client.post(change).held_at(&gate).start();
        gate.reached().await;
        world.overwrite(&client.id(), "\0garbage").await;
        gate.open();
        slow.reply()
            .await
            .is_problem(401, "session-ended")
            .keeps_the_cookie();
        assert!(world.audit.has(&EventKind::RecordDamaged), "{change}");
        client.get("/me").await.is(401);
    }
}

async fn s138_a_record_that_became_newer_meanwhile_is_left_alone<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let load = world.store.hold(Op::Load, Moment::After);
    let slow = client.post("/put/a/b").start();
    load.reached().await;
    world.overwrite(&client.id(), "\x02of tomorrow").await;
    load.open();
    slow.reply()
        .await
        .is_problem(503, "session-unavailable")
        .keeps_the_cookie();
    assert_eq!(world.live(&client.id()).await.payload, "\x02of tomorrow");
}

async fn t70_a_value_of_another_type_is_an_error_and_everything_else_works<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.post("/put/a/private-text").await.is(204);
    for method in ["GET", "POST"] {
        let reply = client.call(method.parse().unwrap(), "/number/a").await;
        reply.is_problem(500, "session-error").keeps_the_cookie();
        assert!(!reply.body().contains("private-text") && !reply.body().contains("u64"));
    }
    assert_eq!(client.get("/get/a").await.body(), "private-text");
    assert_eq!(client.get("/me").await.body(), "alice");
    client.post("/number/b").await.is(204);
    assert_eq!(client.get("/number/b").await.body(), "Some(1)");
}

async fn t70_a_value_that_became_another_type_meanwhile_is_an_error_and_stays<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let gate = Gate::closed();
    let slow = client.post("/number/a").held_at(&gate).start();
    gate.reached().await;
    client.post("/put/a/text").await.is(204);
    gate.open();
    let reply = slow.reply().await;
    reply.is_problem(500, "session-error").keeps_the_cookie();
    assert_eq!(client.get("/get/a").await.body(), "text");
}

/// Runs a command on the only key in Redis.
fn on_the_key(world: &World<Redis>, command: &[&str]) -> Answer {
    let key = world.backend.keys().remove(0);
    let parts: Vec<_> = command
        .iter()
        .map(|part| if *part == "KEY" { &key } else { *part })
        .collect();
    world.backend.server().cli(&parts)
}

#[tokio::test]
async fn t48_s135_whatever_stands_in_redis_in_place_of_a_record_is_no_session() {
    let sound = format!(
        "1{:011x}{:09x}{:011x}{:011x}000{:08x}",
        9_000_000_000_000_u64, 60_000, 1_000, 1_000, 7
    );
    for value in [
        "",
        "1",
        "0",
        "garbage",
        &sound[..20],
        &sound[..53],
        &sound.replace('7', "g"),
        &sound,
        &format!("{}\u{1}", sound),
        "-",
        "-Z",
        "-ooo",
    ] {
        let world = World::<Redis>::start().await;
        let client = world.signed_in("alice").await;
        on_the_key(&world, &["SET", "KEY", value, "KEEPTTL"]);
        client.get("/me").await.is(401).keeps_the_cookie();
        client.post("/transfer").await.is(401).keeps_the_cookie();
        client.post("/login?user=alice").await.is(204).new_id();
    }
}

#[tokio::test]
async fn s135_a_key_of_another_type_in_redis_is_no_session() {
    let world = World::<Redis>::start().await;
    let client = world.signed_in("alice").await;
    let gate = Gate::closed();
    let slow = client.post("/put/a/b").held_at(&gate).start();
    gate.reached().await;
    let key = world.backend.keys().remove(0);
    world.backend.server().cli(&["DEL", &key]);
    world.backend.server().cli(&["LPUSH", &key, "x"]);
    gate.open();
    slow.reply()
        .await
        .is_problem(401, "session-ended")
        .keeps_the_cookie();
    world.forget();
    client.get("/me").await.is(401).keeps_the_cookie();
    assert_eq!(world.audit.take_kinds(), [EventKind::RecordDamaged]);
    assert_eq!(world.stored(&client.id()).await, Loaded::Damaged);
}

#[tokio::test]
async fn s138_a_header_of_a_newer_version_in_redis_is_left_alone() {
    let world = World::<Redis>::start().await;
    let client = world.signed_in("alice").await;
    let gate = Gate::closed();
    let slow = client.post("/put/a/b").held_at(&gate).start();
    gate.reached().await;
    on_the_key(&world, &["SET", "KEY", "2 of tomorrow", "KEEPTTL"]);
    gate.open();
    slow.reply()
        .await
        .is_problem(503, "session-unavailable")
        .keeps_the_cookie();
    for (method, target) in [("GET", "/me"), ("POST", "/put/a/b"), ("POST", "/logout")] {
        let reply = client.call(method.parse().unwrap(), target).await;
        reply
            .is_problem(503, "session-unavailable")
            .keeps_the_cookie();
    }
    assert_eq!(on_the_key(&world, &["GET", "KEY"]).text(), "2 of tomorrow");
}

/// A reason that a later version has introduced is still an end.
#[tokio::test]
async fn s138_an_end_for_an_unknown_reason_is_an_end() {
    let world = World::<Redis>::start().await;
    let client = world.signed_in("alice").await;
    on_the_key(&world, &["SET", "KEY", "-z", "KEEPTTL"]);
    client.get("/me").await.is(401).keeps_the_cookie();
    client.post("/cart?item=1").await.is(204).new_id();
}

/// By `PERSIST`, a careless restore or a tool that copies keys.
#[tokio::test]
async fn t47_a_key_in_redis_that_lost_its_time_to_live_still_ends_in_time() {
    let world = World::<Redis>::start().await;
    let client = world.signed_in("alice").await;
    let record = on_the_key(&world, &["GET", "KEY"]);
    let Answer::Bytes(record) = record else {
        panic!("no record")
    };
    // Its last activity was in 2001.
    let idle = [&record[..21], b"0e8d4a51000", &record[32..]].concat();
    let key = world.backend.keys().remove(0);
    world
        .backend
        .server()
        .cli_bytes(&[b"SET", key.as_bytes(), &idle]);
    client.get("/me").await.is(401).keeps_the_cookie();
    client.post("/logout").await.is(204).keeps_the_cookie();

    let slow = world.signed_in("alice").await;
    slow.post("/put/a/b").await.is(204);
    for key in world.backend.keys() {
        world.backend.server().cli(&["PERSIST", &key]);
    }
    slow.post("/put/a/c").await.is(204);
    let lasting = |key: &&String| world.backend.server().cli(&["PTTL", key]).integer() == -1;
    assert_eq!(world.backend.keys().iter().filter(lasting).count(), 1);
}
