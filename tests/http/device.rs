//! A session that is used on another device, as far as its requests show.

use portcullis::{
    SessionLayer,
    audit::{Actor, EventKind::*},
    client::{
        ClientAddresses,
        ClientChange::{Both, Name, Network},
        DeviceBinding, ForwardedHeader,
    },
    session::EndReason::DeviceChanged as Other,
};
use portcullis_tests::{Backend, Client, Device, Gate, Moment, Op, World, minutes, on_every_store};

on_every_store![
    s077_by_default_another_device_is_reported_once_flagged_and_served,
    s079_the_same_browser_in_a_newer_version_is_the_same_device,
    s077_a_client_without_a_user_agent_is_another_device,
    s077_each_other_device_is_reported_once,
    s084_only_an_authentication_makes_another_device_the_known_one,
    s078_step_up_asks_for_a_new_proof_and_ends_elevations,
    s078_step_up_leaves_the_page_of_the_proof_reachable,
    s084_step_up_grants_nothing_where_the_change_cannot_be_written,
    s078_an_end_is_reported_with_the_reason_and_removes_the_cookie,
    s078_an_end_holds_for_the_owner_too,
    s078_an_address_that_changes_never_ends_a_session_by_default,
    s079_an_address_in_the_same_network_is_no_change,
    t79_addresses_are_ignored_by_default,
    t79_s080_a_header_of_a_peer_that_is_no_proxy_is_ignored,
    t79_s080_behind_a_proxy_the_nearest_hop_that_is_no_proxy_is_the_client,
    where_binding_is_off_nothing_is_compared,
    rule_2_a_noticed_device_refuses_no_request_that_only_read,
    a_device_that_cannot_be_noted_refuses_no_request_that_only_read,
    rule_9_two_requests_that_notice_at_once_report_once,
    a_failed_handler_does_not_hide_the_device,
    operators_see_a_flagged_session_until_it_ends,
];

const FIREFOX: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0";
const NEWER_FIREFOX: &str =
    "Mozilla/5.0 (Windows NT 11.0; Win64; x64; rv:151.0) Gecko/20100101 Firefox/151.0.1";
const SAFARI: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";
const CURL: &str = "curl/8.5.0";

/// A Firefox in which `user` is signed in, and curl with its cookie.
async fn owner_and_thief<B: Backend>(world: &World<B>, user: &str) -> [Client; 2] {
    let owner = world.client().calling_itself(FIREFOX);
    let sign_in = owner.post(&format!("/login?user={user}")).await;
    sign_in.is(204).new_id();
    world.forget();
    [owner.clone(), owner.fork().calling_itself(CURL)]
}

async fn bound<B: Backend>(binding: impl Into<Option<DeviceBinding>>) -> World<B> {
    World::with(|layer: SessionLayer| {
        let layer = layer.device_binding(binding);
        layer.reauthentication_page("/confirm").unwrap()
    })
    .await
}

async fn at_addresses<B: Backend>(addresses: ClientAddresses) -> World<B> {
    World::with(|layer| layer.client_addresses(addresses)).await
}

async fn s077_by_default_another_device_is_reported_once_flagged_and_served<B: Backend>() {
    let world = World::<B>::start().await;
    let [owner, thief] = owner_and_thief(&world, "alice").await;
    let id = owner.id();
    for _ in 0..3 {
        let reply = thief.get("/me").await;
        assert_eq!(reply.is(200).keeps_the_cookie().body(), "alice");
    }
    let [event] = &world.audit.take()[..] else {
        panic!("one event")
    };
    assert_eq!(
        (&event.kind, &event.actor),
        (&DeviceChanged(Name), &Actor::Client)
    );
    assert_eq!(event.client.as_ref().unwrap().to_string(), "curl");
    assert_eq!(event.session.unwrap().to_string(), owner.handle().await);
    assert_eq!(event.user, Some("alice".into()));
    let device = owner.devices().await.remove(0);
    assert_eq!(device.flagged.as_deref(), Some("name"));
    assert_eq!(device.client.as_deref(), Some("Firefox on Windows"));
    assert_eq!(owner.view().await.flagged.as_deref(), Some("name"));
    owner.elevate().await;
    assert_ne!(owner.id(), id);
    assert_eq!(owner.devices().await[0].flagged, None);
}

async fn s079_the_same_browser_in_a_newer_version_is_the_same_device<B: Backend>() {
    for binding in [
        DeviceBinding::Observe,
        DeviceBinding::StepUp,
        DeviceBinding::End,
    ] {
        let world = bound::<B>(binding).await;
        let [owner, _] = owner_and_thief(&world, "alice").await;
        let updated = owner.calling_itself(NEWER_FIREFOX);
        updated.get("/me").await.is(200).keeps_the_cookie();
        assert_eq!(world.audit.take_kinds(), []);
        assert_eq!(world.store.take_calls(), [Op::Load]);
        assert_eq!(owner.view().await.flagged, None);
    }
}

async fn s077_a_client_without_a_user_agent_is_another_device<B: Backend>() {
    let world = bound::<B>(DeviceBinding::End).await;
    for agent in ["", "nonsense", "\t"] {
        let [owner, _] = owner_and_thief(&world, "alice").await;
        let thief = owner.fork().calling_itself(agent);
        thief.get("/me").await.is(401).removes_the_cookie();
    }
    let [owner, _] = owner_and_thief(&world, "alice").await;
    let silent = world.client().with_id(&owner.id());
    silent.get("/me").await.is(401).removes_the_cookie();
    // And in the other direction.
    let silent = world.signed_in("alice").await;
    let thief = silent.calling_itself(FIREFOX);
    thief.get("/me").await.is(401).removes_the_cookie();
}

async fn s077_each_other_device_is_reported_once<B: Backend>() {
    let world = World::<B>::start().await;
    let [owner, thief] = owner_and_thief(&world, "alice").await;
    let phone = owner.calling_itself(SAFARI);
    for (client, kinds) in [
        (&thief, vec![DeviceChanged(Name)]),
        (&owner, vec![]),
        (&phone, vec![DeviceChanged(Name)]),
        (&thief, vec![]),
        (&phone, vec![]),
    ] {
        world.forget();
        client.get("/me").await.is(200);
        assert_eq!(world.audit.take_kinds(), kinds);
    }
}

async fn s084_only_an_authentication_makes_another_device_the_known_one<B: Backend>() {
    let world = World::<B>::start().await;
    for proof in ["/elevate", "/login?user=alice"] {
        let [owner, _] = owner_and_thief(&world, "alice").await;
        let new = owner.calling_itself(SAFARI);
        new.get("/me").await.is(200);
        for change in ["/put/a/b", "/regenerate"] {
            new.post(change).await.is(204);
            let view = new.view().await;
            assert_eq!(view.flagged.as_deref(), Some("name"), "{change}");
        }
        new.post(proof).await.is(204);
        assert_eq!(new.view().await.flagged, None, "{proof}");
        let device = new.devices().await.remove(0);
        assert_eq!(device.client.as_deref(), Some("Safari on iPhone"));
        world.forget();
        owner.get("/me").await.is(200);
        assert_eq!(world.audit.take_kinds(), [DeviceChanged(Name)]);
        new.post("/logout").await.is(204);
    }
}

async fn s078_step_up_asks_for_a_new_proof_and_ends_elevations<B: Backend>() {
    let world = bound::<B>(DeviceBinding::StepUp).await;
    let [owner, _] = owner_and_thief(&world, "alice").await;
    owner.elevate().await;
    owner.get("/danger").await.is(200);
    let before = owner.fork();
    world.forget();
    let thief = owner.calling_itself(CURL);
    for target in ["/danger", "/me", "/account", "/sessions", "/danger"] {
        let reply = thief.get(target).await;
        reply.is_problem(401, "elevation-required");
        assert!(reply.header("www-authenticate").contains("max_age"));
    }
    assert_eq!(
        world.audit.take_kinds(),
        [DeviceChanged(Name), ElevationDropped]
    );
    // Rule 3: the elevation ended with its identifier.
    before.get("/session").await.is(200);
    assert_eq!(before.view().await.ended.as_deref(), Some("replaced"));
    assert_eq!(owner.view().await.elevated_left, None);
    assert_eq!(thief.view().await.user.as_deref(), Some("alice"));
    thief.post("/put/a/b").await.is(204);
    // The flag belongs to the session, so its owner must authenticate too.
    owner.get("/me").await.is(401);
    owner.post("/elevate").await.is(204);
    owner.get("/me").await.is(200);
    owner.get("/danger").await.is(200);
    assert_eq!(owner.view().await.flagged, None);
}

async fn s078_step_up_leaves_the_page_of_the_proof_reachable<B: Backend>() {
    let world = bound::<B>(DeviceBinding::StepUp).await;
    let [owner, _] = owner_and_thief(&world, "alice").await;
    let new = owner.calling_itself(SAFARI);
    let page = new.get("/account").header("sec-fetch-mode", "navigate");
    let reply = page.await;
    reply.is(303).keeps_the_cookie();
    assert_eq!(
        reply.header("location"),
        "/confirm?scope=general&return_to=/account"
    );
    assert_eq!(
        new.get("/confirm?return_to=/account").await.is(200).body(),
        "alice"
    );
    new.get("/confirmed").await.is(404);
    new.get("/me").await.is(401);
    new.post("/confirm").await.is(204).new_id();
    new.get("/account").await.is(200);
    new.get("/danger").await.is(200);
    // A client that is not signed in is refused everywhere.
    world.client().get("/confirm").await.is(401);
}

async fn s084_step_up_grants_nothing_where_the_change_cannot_be_written<B: Backend>() {
    let world = bound::<B>(DeviceBinding::StepUp).await;
    let [owner, _] = owner_and_thief(&world, "alice").await;
    owner.elevate().await;
    let thief = owner.calling_itself(CURL);
    for moment in [Moment::Before, Moment::After] {
        world.store.fail(Op::Replace, moment);
        let reply = thief.get("/danger").await;
        assert_ne!(reply.status(), 200, "{moment:?}");
        assert_ne!(reply.body(), "danger");
    }
    thief.get("/danger").await.is(401);
}

async fn s078_an_end_is_reported_with_the_reason_and_removes_the_cookie<B: Backend>() {
    let world = bound::<B>(DeviceBinding::End).await;
    for (target, status, body) in [
        ("/me", 401, None),
        ("/account", 401, None),
        (
            "/maybe",
            200,
            Some("session false, signed in false, elevated false"),
        ),
        ("/cart", 200, Some("[]")),
    ] {
        let [owner, thief] = owner_and_thief(&world, "alice").await;
        owner.post("/cart?item=1").await.is(204);
        let handle = owner.handle().await;
        world.forget();
        let reply = thief.get(target).await;
        reply.is(status).removes_the_cookie();
        match body {
            Some(body) => assert_eq!(reply.body(), body),
            None => assert_eq!(reply.reason().as_deref(), Some("device_changed")),
        }
        let [event] = &world.audit.take()[..] else {
            panic!("one event")
        };
        assert_eq!((&event.kind, &event.actor), (&Ended(Other), &Actor::System));
        assert_eq!(event.session.unwrap().to_string(), handle);
        assert_eq!(event.client.as_ref().unwrap().to_string(), "curl");
        assert_eq!(world.ended(&owner.id()).await, Some(Other));
    }
    assert_eq!(world.backend.live(), 0);
}

async fn s078_an_end_holds_for_the_owner_too<B: Backend>() {
    let world = bound::<B>(DeviceBinding::End).await;
    let [owner, thief] = owner_and_thief(&world, "alice").await;
    thief.get("/public").await.is(200).keeps_the_cookie();
    owner.get("/me").await.is(200);
    thief.get("/session").await.is(200).removes_the_cookie();
    let reply = owner.get("/me").await;
    reply.is(401).keeps_the_cookie();
    assert_eq!(reply.reason().as_deref(), Some("device_changed"));
    owner.post("/login?user=alice").await.is(204).new_id();
    owner.get("/me").await.is(200);
}

async fn s078_an_address_that_changes_never_ends_a_session_by_default<B: Backend>() {
    let world = at_addresses::<B>(ClientAddresses::peer()).await;
    let [owner, _] = owner_and_thief(&world, "alice").await;
    owner.elevate().await;
    let roaming = owner.from_address([127, 0, 7, 1]);
    world.forget();
    for _ in 0..2 {
        roaming.get("/me").await.is(200).keeps_the_cookie();
        roaming.get("/danger").await.is(200).keeps_the_cookie();
        owner.get("/danger").await.is(200).keeps_the_cookie();
    }
    assert_eq!(world.audit.take_kinds(), [DeviceChanged(Network)]);
    let both = owner
        .fork()
        .calling_itself(CURL)
        .from_address([127, 0, 8, 1]);
    both.get("/me").await.is(200);
    assert_eq!(world.audit.take_kinds(), [DeviceChanged(Both)]);
    let device = owner.devices().await.remove(0);
    assert_eq!(device.flagged.as_deref(), Some("name_and_network"));
    assert_eq!(
        device.client.as_deref(),
        Some("Firefox on Windows, 127.0.0.0/24")
    );
}

async fn s079_an_address_in_the_same_network_is_no_change<B: Backend>() {
    for addresses in [ClientAddresses::peer(), ClientAddresses::peer().whole()] {
        let world = at_addresses::<B>(addresses).await;
        let [owner, _] = owner_and_thief(&world, "alice").await;
        owner
            .from_address([127, 0, 0, 200])
            .get("/me")
            .await
            .is(200);
        assert_eq!(world.audit.take_kinds(), []);
    }
}

async fn t79_addresses_are_ignored_by_default<B: Backend>() {
    let world = bound::<B>(DeviceBinding::End).await;
    let [owner, _] = owner_and_thief(&world, "alice").await;
    let elsewhere = owner.from_address([127, 99, 0, 1]).get("/me");
    let reply = elsewhere.header("x-forwarded-for", "203.0.113.7").await;
    reply.is(200).keeps_the_cookie();
    assert_eq!(world.audit.take_kinds(), []);
}

const HEADERS: [(&str, &str); 2] = [
    ("x-forwarded-for", "203.0.113.7"),
    ("forwarded", "for=203.0.113.7"),
];

async fn t79_s080_a_header_of_a_peer_that_is_no_proxy_is_ignored<B: Backend>() {
    let behind = ClientAddresses::behind(["127.0.3.0/24"]).unwrap();
    for addresses in [
        ClientAddresses::peer(),
        behind.clone(),
        behind.header(ForwardedHeader::Forwarded),
    ] {
        let world = at_addresses::<B>(addresses.whole()).await;
        let [owner, _] = owner_and_thief(&world, "alice").await;
        for (name, value) in HEADERS {
            let reply = owner.get("/me").header(name, value).await;
            reply.is(200);
            assert_eq!(world.audit.take_kinds(), []);
            let sign_in = owner.post("/login?user=alice").header(name, value);
            sign_in.await.is(204);
            let [event] = &world.audit.take()[..] else {
                panic!("one event")
            };
            let client = event.client.as_ref().unwrap().to_string();
            assert_eq!(client, "Firefox on Windows, 127.0.0.1");
        }
    }
}

async fn t79_s080_behind_a_proxy_the_nearest_hop_that_is_no_proxy_is_the_client<B: Backend>() {
    let behind = ClientAddresses::behind(["127.0.3.0/24", "10.0.0.0/8"]).unwrap();
    for (header, fields) in [
        (
            ForwardedHeader::XForwardedFor,
            ["203.0.113.7", "1.2.3.4, 203.0.113.7, 10.1.1.1"],
        ),
        (
            ForwardedHeader::Forwarded,
            [
                "for=203.0.113.7",
                "for=1.2.3.4, for=\"203.0.113.7:99\", for=10.1.1.1",
            ],
        ),
    ] {
        let world = at_addresses::<B>(behind.clone().header(header)).await;
        let proxy = world
            .client()
            .calling_itself(FIREFOX)
            .from_address([127, 0, 3, 9]);
        let name = match header {
            ForwardedHeader::Forwarded => "forwarded",
            _ => "x-forwarded-for",
        };
        let sign_in = proxy.post("/login?user=alice").header(name, fields[0]);
        sign_in.await.is(204);
        world.forget();
        // Addresses that the client itself put in front are ignored, and so is the other header.
        let other = ["x-forwarded-for", "forwarded"]
            .into_iter()
            .find(|it| *it != name);
        let request = proxy.get("/sessions").header(name, fields[1]);
        let devices: Vec<Device> = request
            .header(other.unwrap(), "9.9.9.9")
            .await
            .is(200)
            .json();
        assert_eq!(
            devices[0].client.as_deref(),
            Some("Firefox on Windows, 203.0.113.0/24")
        );
        assert_eq!(world.audit.take_kinds(), []);
        proxy.get("/me").header(name, "198.51.100.1").await.is(200);
        assert_eq!(world.audit.take_kinds(), [DeviceChanged(Network)]);
    }
}

async fn where_binding_is_off_nothing_is_compared<B: Backend>() {
    let world = bound::<B>(None).await;
    let [_, thief] = owner_and_thief(&world, "alice").await;
    thief.get("/me").await.is(200);
    assert_eq!(world.store.take_calls(), [Op::Load]);
    assert_eq!(world.audit.take_kinds(), []);
}

async fn rule_2_a_noticed_device_refuses_no_request_that_only_read<B: Backend>() {
    for (binding, target, op) in [
        (DeviceBinding::Observe, "/me", Op::Commit),
        (DeviceBinding::StepUp, "/session", Op::Commit),
    ] {
        let world = bound::<B>(binding).await;
        let other = world.another_process().await;
        let [owner, thief] = owner_and_thief(&world, "alice").await;
        let held = world.store.hold(op, Moment::Before);
        let slow = thief.get(target).start();
        held.reached().await;
        owner.at(other.address()).post("/logout").await.is(204);
        world.forget();
        held.open();
        slow.reply().await.is(200).keeps_the_cookie();
        assert_eq!(world.audit.take_kinds(), []);
        assert_eq!(world.backend.live(), 0);
    }
    // A request that writes is refused as usual.
    let world = World::<B>::start().await;
    let [owner, thief] = owner_and_thief(&world, "alice").await;
    let gate = Gate::closed();
    let slow = thief.post("/put/a/b").held_at(&gate).start();
    gate.reached().await;
    owner.post("/logout").await.is(204);
    gate.open();
    let reply = slow.reply().await;
    reply.is_problem(401, "session-ended").keeps_the_cookie();
    assert_eq!(reply.reason().as_deref(), Some("signed_out"));
}

async fn a_device_that_cannot_be_noted_refuses_no_request_that_only_read<B: Backend>() {
    let world = World::<B>::start().await;
    let [_, thief] = owner_and_thief(&world, "alice").await;
    world.store.fail(Op::Commit, Moment::Before);
    thief.get("/me").await.is(200).keeps_the_cookie();
    assert_eq!(world.audit.take_kinds(), []);
    // The next request notes it.
    thief.get("/me").await.is(200);
    assert_eq!(world.audit.take_kinds(), [DeviceChanged(Name)]);
    let [owner, thief] = owner_and_thief(&world, "bob").await;
    world.store.fail(Op::Commit, Moment::Before);
    thief.post("/put/a/b").await.is(503);
    owner.get("/get/a").await.is(404);
}

async fn rule_9_two_requests_that_notice_at_once_report_once<B: Backend>() {
    let world = World::<B>::start().await;
    let other = world.another_process().await;
    let [owner, thief] = owner_and_thief(&world, "alice").await;
    let gate = world.store.hold_each(Op::Commit, Moment::Before, 2);
    let there = thief.at(other.address());
    let flights = [thief.get("/me").start(), there.get("/me").start()];
    gate.reached().await;
    gate.reached().await;
    gate.open();
    for flight in flights {
        flight.reply().await.is(200).keeps_the_cookie();
    }
    assert_eq!(world.audit.take_kinds(), [DeviceChanged(Name)]);
    // Also together with a write of the owner's, which survives.
    let held = world.store.hold(Op::Commit, Moment::Before);
    let slow = owner.calling_itself(SAFARI).get("/me").start();
    held.reached().await;
    owner.at(other.address()).post("/put/a/b").await.is(204);
    held.open();
    slow.reply().await.is(200);
    assert_eq!(owner.get("/get/a").await.body(), "b");
    assert_eq!(world.audit.take_kinds(), [DeviceChanged(Name)]);
}

async fn a_failed_handler_does_not_hide_the_device<B: Backend>() {
    let world = World::<B>::start().await;
    let [owner, thief] = owner_and_thief(&world, "alice").await;
    thief.get("/me").answered(500).await.is(500);
    assert_eq!(world.audit.take_kinds(), [DeviceChanged(Name)]);
    assert_eq!(owner.view().await.flagged.as_deref(), Some("name"));
}

async fn operators_see_a_flagged_session_until_it_ends<B: Backend>() {
    let world = World::<B>::start().await;
    let operator = world.client();
    let flagged = async || -> Vec<String> {
        let list: Vec<Device> = operator.get("/operator/flagged").await.is(200).json();
        list.into_iter().filter_map(|device| device.user).collect()
    };
    assert_eq!(flagged().await, [""; 0]);
    let mut owners = Vec::new();
    for user in ["alice", "bob", "carol"] {
        let [owner, thief] = owner_and_thief(&world, user).await;
        world.advance(minutes(2));
        thief.get("/me").await.is(200);
        owners.push(owner);
    }
    world.signed_in("dora").await;
    assert_eq!(flagged().await, ["carol", "bob", "alice"]);
    owners[0].elevate().await;
    owners[1].post("/logout").await.is(204);
    assert_eq!(flagged().await, ["carol"]);
    world.advance(minutes(30));
    assert_eq!(flagged().await, [""; 0]);
}
