//! The list of the user's devices: every live session of the user, and nothing else.

use std::collections::BTreeSet;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use portcullis::{client::ClientAddresses, settings::SessionLimit};
use portcullis_tests::{
    Backend, Client, Moment, Op, Redis, World, about, key, minutes, on_every_store,
};

on_every_store![
    s072_the_list_shows_every_live_session_of_the_user_and_no_other,
    s072_the_most_recently_active_comes_first,
    t19_a_session_that_ended_is_not_in_the_list,
    t19_a_session_is_in_the_list_once_under_the_same_name_whatever_its_identifier,
    t08_of_two_sign_ins_at_once_both_are_listed,
    t77_s072_no_list_shows_an_identifier_or_what_a_store_knows_of_it,
    s073_the_name_of_a_session_is_no_cookie,
    users_of_any_bytes_have_lists_of_their_own,
    sessions_are_listed_however_long_the_name_of_their_user_is,
    s075_the_list_is_for_users_who_are_signed_in,
    s083_a_device_has_a_name_of_fixed_words_and_no_address,
    where_addresses_are_used_the_list_has_the_network_or_what_the_application_chose,
    the_list_shows_elevations,
    an_operator_sees_the_list_of_every_user_and_is_in_none,
    what_cannot_be_read_is_left_out_and_revoked_all_the_same,
    rule_8_while_the_store_is_down_the_list_is_unavailable_and_no_user_is_signed_out,
];

const FIREFOX: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0";

async fn names(client: &Client) -> BTreeSet<String> {
    let devices = client.devices().await;
    devices.into_iter().map(|device| device.handle).collect()
}

async fn handles<const N: usize>(clients: [&Client; N]) -> BTreeSet<String> {
    let mut handles = BTreeSet::new();
    for client in clients {
        handles.insert(client.handle().await);
    }
    handles
}

async fn s072_the_list_shows_every_live_session_of_the_user_and_no_other<B: Backend>() {
    let world = World::<B>::start().await;
    let (desk, phone) = (
        world.signed_in("alice").await,
        world.signed_in("alice").await,
    );
    let bob = world.signed_in("bob").await;
    world.shopping(&[1]).await;
    assert_eq!(names(&desk).await, handles([&desk, &phone]).await);
    assert_eq!(names(&bob).await, handles([&bob]).await);
    for client in [&desk, &phone] {
        let devices = client.devices().await;
        assert!(devices.iter().all(|it| it.user.as_deref() == Some("alice")));
        let current: Vec<_> = devices.into_iter().filter(|it| it.current).collect();
        assert_eq!(current.len(), 1);
        assert_eq!(current[0].handle, client.handle().await);
    }
    // Another server has the same list.
    let server = world.another_server().await;
    assert_eq!(
        names(&desk.at(server.address())).await,
        handles([&desk, &phone]).await
    );
}

async fn s072_the_most_recently_active_comes_first<B: Backend>() {
    let world = World::<B>::start().await;
    let (desk, phone) = (
        world.signed_in("alice").await,
        world.signed_in("alice").await,
    );
    for (active, other) in [(&desk, &phone), (&phone, &desk)] {
        world.advance(minutes(5));
        active.get("/me").await.is(200);
        let devices = other.devices().await;
        assert_eq!(devices[0].handle, active.handle().await);
        about(devices[0].inactive, minutes(0));
        about(devices[1].inactive, minutes(5));
    }
    about(desk.devices().await[0].age, minutes(10));
}

async fn t19_a_session_that_ended_is_not_in_the_list<B: Backend>() {
    let three = SessionLimit::displace(3).unwrap();
    let world = World::<B>::with(|layer| layer.session_limit(three)).await;
    let (desk, phone) = (
        world.signed_in("alice").await,
        world.signed_in("alice").await,
    );
    phone.post("/logout").await.is(204);
    assert_eq!(names(&desk).await, handles([&desk]).await);

    let idle = world.signed_in("alice").await;
    world.advance(minutes(20));
    desk.get("/me").await.is(200);
    assert_eq!(names(&desk).await, handles([&desk, &idle]).await);
    world.advance(minutes(10));
    assert_eq!(names(&desk).await, handles([&desk]).await);

    let others = [
        world.signed_in("alice").await,
        world.signed_in("alice").await,
        world.signed_in("alice").await,
    ];
    assert_eq!(names(&others[0]).await, handles(others.each_ref()).await);
    others[0].elevate().await;
    let ended = others[1].handle().await;
    others[0]
        .delete(&format!("/sessions/{ended}"))
        .await
        .is(200);
    assert_eq!(names(&others[0]).await.len(), 2);
    others[0].delete("/sessions/others").await.is(200);
    assert_eq!(names(&others[0]).await, handles([&others[0]]).await);

    // A session that signs in as another user is no longer in the list of the first one.
    let other = world.signed_in("alice").await;
    other.post("/login?user=bob").await.is(204);
    assert_eq!(names(&others[0]).await, handles([&others[0]]).await);
    assert_eq!(names(&other).await, handles([&other]).await);
}

async fn t19_a_session_is_in_the_list_once_under_the_same_name_whatever_its_identifier<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    let (desk, phone) = (
        world.signed_in("alice").await,
        world.signed_in("alice").await,
    );
    let both = handles([&desk, &phone]).await;
    for change in [
        "/regenerate",
        "/elevate",
        "/drop",
        "/put/a/b",
        "/login?user=alice",
        "/everything",
    ] {
        desk.post(change).await;
        assert_eq!(handles([&desk, &phone]).await, both, "{change}");
        assert_eq!(phone.devices().await.len(), 2, "{change}");
        assert_eq!(names(&phone).await, both, "{change}");
    }
}

async fn t08_of_two_sign_ins_at_once_both_are_listed<B: Backend>() {
    let world = World::<B>::start().await;
    let fresh = [world.client(), world.client()];
    let shopping = [world.shopping(&[1]).await, world.shopping(&[2]).await];
    for (clients, op, count) in [(fresh, Op::Create, 2), (shopping, Op::Replace, 4)] {
        let gate = world.store.hold_each(op, Moment::Before, 2);
        let sign_ins = clients
            .each_ref()
            .map(|client| client.post("/login?user=alice").start());
        gate.reached().await;
        gate.reached().await;
        gate.open();
        for sign_in in sign_ins {
            sign_in.reply().await.is(204).new_id();
        }
        let both = handles(clients.each_ref()).await;
        assert_eq!(both.len(), 2);
        assert!(names(&clients[0]).await.is_superset(&both));
        assert_eq!(names(&clients[1]).await.len(), count);
    }
}

async fn t77_s072_no_list_shows_an_identifier_or_what_a_store_knows_of_it<B: Backend>() {
    let world = World::<B>::start().await;
    let clients = [
        world.signed_in("alice").await,
        world.signed_in("alice").await,
    ];
    let old = clients[0].id();
    clients[0].elevate().await;
    let mut ids = clients.each_ref().map(Client::id).to_vec();
    ids.push(old);
    for page in [
        "/sessions",
        "/history",
        "/operator/alice",
        "/operator/history",
    ] {
        let page = clients[0].get(page).await;
        let body = page.is(200).body();
        assert!(body.contains(&clients[1].handle().await), "{body}");
        for id in &ids {
            let key = key(id);
            let hex: String = key
                .digest()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let text = BASE64_URL_SAFE_NO_PAD.encode(key.digest());
            for secret in [&id[..8], &id[20..30], &hex[..8], &text[..8]] {
                assert!(!body.contains(secret), "{body}");
            }
        }
    }
}

async fn s073_the_name_of_a_session_is_no_cookie<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let handle = client.handle().await;
    let long = handle.repeat(3);
    for forged in [&handle, &long[..43]] {
        let thief = world.client().with_id(forged);
        thief.get("/me").await.is(401).keeps_the_cookie();
        thief.get("/sessions").await.is(401);
    }
    client.get("/me").await.is(200);
}

async fn users_of_any_bytes_have_lists_of_their_own<B: Backend>() {
    let world = World::<B>::start().await;
    let long = vec![b'x'; 1024];
    let users: [&[u8]; 8] = [
        b"alice",
        b"alice\n",
        b" alice",
        b"\0",
        b"\xff\xfe",
        b"*{}:?[]",
        "аlice".as_bytes(),
        &long,
    ];
    let mut pairs = Vec::new();
    for user in users {
        let pair = [world.client(), world.client()];
        for client in &pair {
            let sign_in = client.post("/login-bytes").body(user.to_vec());
            sign_in.await.is(204).new_id();
        }
        pairs.push(pair);
    }
    for pair in &pairs {
        assert_eq!(names(&pair[0]).await, handles(pair.each_ref()).await);
    }
    let [first, second] = &pairs[4];
    first.elevate().await;
    assert_eq!(first.delete("/sessions/others").await.body(), "1");
    second.get("/me").await.is(401);
    assert_eq!(world.backend.live(), 15);
}

async fn sessions_are_listed_however_long_the_name_of_their_user_is<B: Backend>() {
    let world = World::<B>::start().await;
    // The longest name that is allowed.
    let user = "u".repeat(1024);
    let (desk, phone) = (world.signed_in(&user).await, world.signed_in(&user).await);
    assert_eq!(names(&desk).await, handles([&desk, &phone]).await);
}

async fn s075_the_list_is_for_users_who_are_signed_in<B: Backend>() {
    let world = World::<B>::start().await;
    world.signed_in("alice").await;
    for anonymous in [world.client(), world.shopping(&[1]).await] {
        anonymous
            .get("/sessions")
            .await
            .is_problem(401, "authentication-required");
        anonymous.get("/history").await.is(401);
    }
}

async fn s083_a_device_has_a_name_of_fixed_words_and_no_address<B: Backend>() {
    let world = World::<B>::start().await;
    for (agent, text) in [
        (FIREFOX, "Firefox on Windows"),
        ("curl/8.5.0", "curl"),
        ("<script>alert(1)</script> evil", "Unknown client"),
        ("", "Unknown client"),
    ] {
        let client = world.client().calling_itself(agent);
        client.post("/login?user=alice").await.is(204);
        let devices = client.devices().await;
        let current = devices.iter().find(|device| device.current).unwrap();
        assert_eq!(current.client.as_deref(), Some(text));
    }
    let silent = world.signed_in("alice").await;
    let current = silent.devices().await.into_iter().find(|it| it.current);
    assert_eq!(current.unwrap().client.as_deref(), Some("Unknown client"));
    let contents = String::from_utf8_lossy(&world.backend.contents()).into_owned();
    for word in ["Gecko", "140.0", "8.5.0", "alert", "evil", "127.0.0.1"] {
        assert!(!contents.contains(word), "{word}");
    }
}

async fn where_addresses_are_used_the_list_has_the_network_or_what_the_application_chose<
    B: Backend,
>() {
    for (addresses, text) in [
        (None, "curl"),
        (Some(ClientAddresses::peer()), "curl, 127.0.5.0/24"),
        (Some(ClientAddresses::peer().whole()), "curl, 127.0.5.9"),
    ] {
        let world = World::<B>::with(|layer| layer.client_addresses(addresses)).await;
        let client = world
            .client()
            .calling_itself("curl/8")
            .from_address([127, 0, 5, 9]);
        client.post("/login?user=alice").await.is(204);
        assert_eq!(client.devices().await[0].client.as_deref(), Some(text));
    }
}

async fn the_list_shows_elevations<B: Backend>() {
    let world = World::<B>::start().await;
    let (desk, phone) = (
        world.signed_in("alice").await,
        world.signed_in("alice").await,
    );
    phone.elevate().await;
    for device in desk.devices().await {
        match device.current {
            true => assert_eq!(device.elevated_left, None),
            false => about(device.elevated_left.unwrap(), minutes(15)),
        }
    }
    world.advance(minutes(15));
    let devices = desk.devices().await;
    assert!(devices.iter().all(|device| device.elevated_left.is_none()));
}

async fn an_operator_sees_the_list_of_every_user_and_is_in_none<B: Backend>() {
    let world = World::<B>::start().await;
    let (alice, bob) = (world.signed_in("alice").await, world.signed_in("bob").await);
    let list = alice.get("/operator/bob").await;
    let list: Vec<portcullis_tests::Device> = list.is(200).json();
    assert_eq!(list.len(), 1);
    assert_eq!(list[0].handle, bob.handle().await);
    assert!(!list[0].current);
    assert_eq!(alice.get("/operator/unknown").await.body(), "[]");
}

async fn what_cannot_be_read_is_left_out_and_revoked_all_the_same<B: Backend>() {
    let world = World::<B>::start().await;
    let (desk, phone) = (
        world.signed_in("alice").await,
        world.signed_in("alice").await,
    );
    world.overwrite(&phone.id(), &b"\x01garbage"[..]).await;
    assert_eq!(names(&desk).await, handles([&desk]).await);
    desk.elevate().await;
    assert_eq!(desk.delete("/sessions/others").await.is(200).body(), "1");
    assert_eq!(world.backend.live(), 1);
}

async fn rule_8_while_the_store_is_down_the_list_is_unavailable_and_no_user_is_signed_out<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for (op, page) in [(Op::List, "/sessions"), (Op::ReadLog, "/history")] {
        world.store.fail(op, Moment::Before);
        let reply = client.get(page).await;
        reply
            .is_problem(503, "session-unavailable")
            .keeps_the_cookie();
        assert!(!reply.header("retry-after").is_empty());
        assert_eq!(
            world.audit.take_kinds(),
            [portcullis::audit::EventKind::StoreFailed]
        );
        client.get(page).await.is(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_many_takes_redis_one_short_command_for_each() {
    let world = World::<Redis>::with(|layer| layer.session_limit(None)).await;
    for _ in 0..40 {
        world.client().post("/login?user=alice").await.is(204);
    }
    let client = world.signed_in("alice").await;
    // The first one opens a connection.
    client.devices().await;
    let mut monitor = world.backend.monitor();
    assert_eq!(client.devices().await.len(), 41);
    let sent = monitor.sent();
    assert_eq!(sent[..2], ["get", "zrange"]);
    assert_eq!(sent[2..], ["getrange"; 41]);
}
