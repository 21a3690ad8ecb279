//! More than one cookie of the session's name.

use portcullis::{
    CookieConfig, SessionLayer, audit::EventKind, cookie::SameSite, session::EndReason,
    settings::SessionLimit,
};
use portcullis_core::{Bucket, SessionId, store::Loaded};
use portcullis_tests::{
    Backend, COOKIE, Call, Client, Gate, Moment, Op, Reply, SessionView, World, hours, minutes,
    on_every_store,
};

on_every_store![
    s009_a_value_that_is_no_identifier_locks_no_user_out,
    s009_of_two_under_a_host_name_the_live_one_counts,
    a_dead_one_beside_a_live_one_is_not_reported_again_and_again,
    s009_t29_two_live_ones_under_a_host_name_are_no_session,
    rule_6_a_read_of_two_candidates_is_no_activity,
    rule_2_data_is_not_written_to_one_of_two_live_ones,
    a_sign_in_with_two_live_cookies_ends_both_and_carries_nothing_over,
    rule_13_a_refused_sign_in_with_two_live_ones_ends_neither,
    a_sign_in_with_two_live_ones_ends_them_before_it_counts_against_the_limit,
    s059_a_sign_out_with_two_live_ones_ends_both,
    rule_4_a_sign_out_that_lost_one_of_two_removes_no_cookie,
    rule_8_a_failure_between_two_ends_is_reported_and_can_be_repaired,
    rule_8_a_store_that_does_not_answer_for_the_second_is_an_error,
    what_is_replaced_beside_a_dead_one_is_still_replaced,
    s009_t29_two_under_any_other_name_are_no_session_and_not_loaded,
    s009_three_are_no_session_and_not_loaded,
    a_live_one_of_two_under_an_accepted_name_is_renamed,
    a_former_cookie_is_expired_with_each_cookie_that_is_set_or_removed,
    a_changed_domain_locks_a_user_out_until_the_next_sign_in_at_most,
    a_partitioned_cookie_replaces_one_that_is_not,
];

/// All cookies of these values under the session's name, in this order.
fn cookies(ids: &[&str]) -> String {
    named(COOKIE, ids)
}

fn named(name: &str, ids: &[&str]) -> String {
    let pairs: Vec<_> = ids.iter().map(|id| format!("{name}={id}")).collect();
    pairs.join("; ")
}

/// An identifier that was never handed out.
fn unknown() -> String {
    let id = SessionId::generate(Bucket::random().unwrap());
    id.unwrap().expose()
}

/// The session of this identifier, as the application sees it. This is no activity.
async fn view<B: Backend>(world: &World<B>, id: &str) -> SessionView {
    world.client().with_id(id).view().await
}

/// Two browsers' sessions, one of them elevated, each with something in the cart.
async fn two_live<B: Backend>(world: &World<B>) -> [String; 2] {
    let [alice, bob] = [world.signed_in("alice").await, world.signed_in("bob").await];
    alice.post("/cart?item=1").await.is(204);
    bob.post("/cart?item=2").await.is(204);
    alice.elevate().await;
    world.forget();
    [alice.id(), bob.id()]
}

async fn s009_a_value_that_is_no_identifier_locks_no_user_out<B: Backend>() {
    for name in [COOKIE, "__Secure-id", "id"] {
        let cookie = CookieConfig::builder().name(name).build().unwrap();
        let world = World::<B>::with(|layer| layer.cookie(cookie)).await;
        let id = world.client().post("/login?user=alice").await.new_id();
        world.forget();
        for bogus in ["", "x", &id[1..], &format!("{id}A"), "\u{1f980}"] {
            for ids in [[bogus, &id], [&id, bogus]] {
                let call = world.client().get("/me").raw_cookie(named(name, &ids));
                call.await.is(200).keeps_the_cookie();
                assert_eq!(world.audit.take_kinds(), []);
                assert_eq!(world.store.take_calls(), [Op::Load]);
            }
        }
        let bogus = named(name, &["", "x"]);
        world.client().get("/me").raw_cookie(bogus).await.is(401);
        assert_eq!(world.audit.take_kinds(), [EventKind::MalformedIdentifier]);
        assert_eq!(world.store.take_calls(), []);
    }
}

async fn s009_of_two_under_a_host_name_the_live_one_counts<B: Backend>() {
    let world = World::<B>::start().await;
    let expired = world.signed_in("alice").await.id();
    world.advance(hours(24));
    let signed_out = world.signed_in("alice").await;
    signed_out.fork().post("/logout").await.is(204);
    let replaced = world.signed_in("alice").await;
    replaced.fork().post("/regenerate").await.is(204);
    for dead in [expired, signed_out.id(), replaced.id(), unknown()] {
        let bob = world.signed_in("bob").await;
        for both in [[&dead[..], &bob.id()], [&bob.id(), &dead]] {
            let client = world.client();
            let call = |call: Call| call.raw_cookie(cookies(&both));
            let reply = call(client.get("/me")).await;
            assert_eq!(reply.is(200).keeps_the_cookie().body(), "bob");
            let view: SessionView = call(client.get("/session")).await.json();
            assert_eq!(view.ended, None);
            call(client.post("/cart?item=1"))
                .await
                .is(204)
                .keeps_the_cookie();
        }
        assert_eq!(bob.view().await.cart, [1, 1]);
    }
}

async fn a_dead_one_beside_a_live_one_is_not_reported_again_and_again<B: Backend>() {
    let world = World::<B>::start().await;
    let dead = world.signed_in("alice").await;
    dead.fork().post("/logout").await.is(204);
    let id = world.signed_in("alice").await.id();
    for both in [[&dead.id()[..], &id], [&unknown(), &id]] {
        let call = world.client().get("/me").raw_cookie(cookies(&both));
        call.await.is(200);
        assert_eq!(world.audit.take_kinds(), []);
        assert_eq!(world.store.take_calls(), [Op::Load, Op::Load]);
    }
}

async fn s009_t29_two_live_ones_under_a_host_name_are_no_session<B: Backend>() {
    let world = World::<B>::start().await;
    let [alice, bob] = two_live(&world).await;
    let get = |target| world.client().get(target);
    for call in [
        get("/me").raw_cookie(cookies(&[&alice, &bob])),
        get("/me").raw_cookie(cookies(&[&bob, &alice])),
        get("/me")
            .raw_cookie(cookies(&[&bob]))
            .raw_cookie(cookies(&[&alice])),
        get("/me").raw_cookie(cookies(&[&alice, "x", &bob, &alice])),
    ] {
        world.forget();
        call.await
            .is_problem(401, "authentication-required")
            .keeps_the_cookie();
        assert_eq!(world.audit.take_kinds(), [EventKind::AmbiguousIdentifier]);
        assert_eq!(world.store.take_calls(), [Op::Load, Op::Load]);
    }
    let maybe = get("/maybe").raw_cookie(cookies(&[&alice, &bob])).await;
    let no_session = "session false, signed in false, elevated false";
    assert_eq!(maybe.keeps_the_cookie().body(), no_session);
    assert_eq!(view(&world, &alice).await.user.unwrap(), "alice");
    assert_eq!(view(&world, &bob).await.user.unwrap(), "bob");
}

async fn rule_6_a_read_of_two_candidates_is_no_activity<B: Backend>() {
    let world = World::<B>::start().await;
    let [alice, bob] = two_live(&world).await;
    let dead = world.signed_in("carol").await;
    dead.fork().post("/logout").await.is(204);
    world.advance(minutes(10));
    world.forget();
    for both in [[&alice, &bob], [&bob, &alice]] {
        let both = cookies(&both.map(String::as_str));
        world.client().get("/me").raw_cookie(both).await.is(401);
    }
    assert_eq!(world.store.take_calls(), [Op::Load; 4]);
    for id in [&alice, &bob] {
        let inactive = view(&world, id).await.inactive;
        assert!(inactive >= 600_000, "{inactive}");
    }
    // A request with a user is.
    let both = cookies(&[&dead.id(), &bob]);
    world.client().get("/me").raw_cookie(both).await.is(200);
    let inactive = view(&world, &bob).await.inactive;
    assert!(inactive < 600_000, "{inactive}");
}

async fn rule_2_data_is_not_written_to_one_of_two_live_ones<B: Backend>() {
    let world = World::<B>::start().await;
    let [alice, bob] = two_live(&world).await;
    let both = cookies(&[&alice, &bob]);
    for change in [
        "/cart?item=3",
        "/put/a/b",
        "/commit-only",
        "/commit-ignored",
    ] {
        world.forget();
        let call = world.client().post(change).raw_cookie(&both);
        call.await
            .is_problem(401, "authentication-required")
            .keeps_the_cookie();
        let events = [EventKind::AmbiguousIdentifier, EventKind::WriteRefused];
        assert_eq!(world.audit.take_kinds()[..2], events);
    }
    // The application itself reports that it was refused.
    let call = world.client().post("/cart?item=3").answered(422);
    call.raw_cookie(&both).await.is(422).keeps_the_cookie();
    for nothing_to_change in ["/regenerate", "/drop"] {
        let call = world.client().post(nothing_to_change).raw_cookie(&both);
        assert!(call.await.keeps_the_cookie().status() < 300);
    }
    assert_eq!(view(&world, &alice).await.cart, [1]);
    assert_eq!(view(&world, &bob).await.cart, [2]);
    assert_eq!(world.backend.live(), 2);
}

/// The response removes the other cookie and then hands out this identifier.
#[track_caller]
fn set_after_a_removal(reply: &Reply) -> String {
    let [removal, set] = &reply.set_cookies()[..] else {
        panic!("{reply:?}");
    };
    assert!(removal.removes() && !set.removes(), "{reply:?}");
    assert_eq!((&removal.name[..], &set.name[..]), (COOKIE, COOKIE));
    assert!(removal.attributes.contains_key("partitioned"));
    assert!(!set.attributes.contains_key("partitioned"));
    set.value.clone()
}

async fn a_sign_in_with_two_live_cookies_ends_both_and_carries_nothing_over<B: Backend>() {
    for user in ["alice", "bob", "carol"] {
        let world = World::<B>::start().await;
        let [alice, bob] = two_live(&world).await;
        world.backend.later().await;
        let both = cookies(&[&alice, &bob]);
        let call = world.client().post(&format!("/login?user={user}"));
        let id = set_after_a_removal(call.raw_cookie(both).await.is(204));
        for old in [&alice, &bob] {
            assert_eq!(world.ended(old).await, Some(EndReason::ReplacedAtSignIn));
        }
        let view = view(&world, &id).await;
        assert_eq!(view.user.as_deref(), Some(user));
        assert_eq!((view.cart, view.elevated_left), (vec![], None));
        assert!(view.age < 60_000);
        assert_eq!(world.backend.live(), 1);
        let ended = EventKind::Ended(EndReason::ReplacedAtSignIn);
        let expected = [
            EventKind::AmbiguousIdentifier,
            ended.clone(),
            ended,
            EventKind::Authenticated,
        ];
        assert_eq!(world.audit.take_kinds(), expected);
    }
}

async fn rule_13_a_refused_sign_in_with_two_live_ones_ends_neither<B: Backend>() {
    let world = World::<B>::start().await;
    let [alice, bob] = two_live(&world).await;
    let both = cookies(&[&alice, &bob]);
    for status in [401, 422, 500] {
        let call = world.client().post("/login?user=alice").answered(status);
        call.raw_cookie(&both).await.is(status).keeps_the_cookie();
        let call = world.client().post("/login?user=").raw_cookie(&both);
        call.await.is(500).keeps_the_cookie();
    }
    assert_eq!(world.backend.live(), 2);
    assert_eq!(view(&world, &alice).await.cart, [1]);
}

async fn a_sign_in_with_two_live_ones_ends_them_before_it_counts_against_the_limit<B: Backend>() {
    let two = SessionLimit::refuse(2).unwrap();
    let world = World::<B>::with(|layer| layer.session_limit(two)).await;
    let [one, other] = [
        world.signed_in("alice").await.id(),
        world.signed_in("alice").await.id(),
    ];
    world.backend.later().await;
    let call = world.client().post("/login?user=alice");
    let call = call.raw_cookie(cookies(&[&one, &other]));
    set_after_a_removal(call.await.is(204));
    assert_eq!(world.backend.live(), 1);
}

async fn s059_a_sign_out_with_two_live_ones_ends_both<B: Backend>() {
    for path in ["/logout", "/session/sign-out", "/everything?logout=1"] {
        let world = World::<B>::start().await;
        let [alice, bob] = two_live(&world).await;
        let client = world.client();
        let call = client.post(path).raw_cookie(cookies(&[&alice, &bob]));
        let reply = call.await;
        let removed = reply.set_cookies();
        assert!(reply.status() < 300 && removed.len() == 2, "{reply:?}");
        for cookie in &removed {
            assert!(cookie.removes() && cookie.name == COOKIE, "{reply:?}");
        }
        let partitioned = |n: usize| removed[n].attributes.contains_key("partitioned");
        assert!(partitioned(0) != partitioned(1));
        assert!(!reply.header("clear-site-data").is_empty());
        for old in [&alice, &bob] {
            assert_eq!(world.ended(old).await, Some(EndReason::SignedOut));
        }
        assert_eq!(world.backend.live(), 0);
        let events = world.audit.take_kinds();
        let ended = EventKind::Ended(EndReason::SignedOut);
        assert_eq!(events.iter().filter(|event| **event == ended).count(), 2);
    }
}

async fn rule_4_a_sign_out_that_lost_one_of_two_removes_no_cookie<B: Backend>() {
    for first in [true, false] {
        let world = World::<B>::start().await;
        let [alice, bob] = two_live(&world).await;
        let gate = Gate::closed();
        let call = world.client().post("/logout").held_at(&gate);
        let slow = call.raw_cookie(cookies(&[&alice, &bob])).start();
        gate.reached().await;
        let lost = if first { &alice } else { &bob };
        let other = world.client().with_id(lost);
        other.post("/logout").await.is(204).removes_the_cookie();
        gate.open();
        slow.reply().await.is(204).keeps_the_cookie();
        assert_eq!(world.backend.live(), 0);
    }
}

async fn rule_8_a_failure_between_two_ends_is_reported_and_can_be_repaired<B: Backend>() {
    let world = World::<B>::start().await;
    let [alice, bob] = two_live(&world).await;
    let both = cookies(&[&alice, &bob]);
    let sign_out = || world.client().post("/logout").raw_cookie(&both);
    // Both attempts at the first end; the second session is ended all the same.
    world.store.fail(Op::End, Moment::Before);
    world.store.fail(Op::End, Moment::Before);
    sign_out().await.is(503).keeps_the_cookie();
    assert_eq!(world.backend.live(), 1);
    sign_out().await.is(204).removes_the_cookie();
    assert_eq!(world.backend.live(), 0);
}

async fn rule_8_a_store_that_does_not_answer_for_the_second_is_an_error<B: Backend>() {
    let world = World::<B>::start().await;
    let [alice, bob] = two_live(&world).await;
    let both = cookies(&[&alice, &bob]);
    let held = world.store.hold(Op::Load, Moment::After);
    let request = world.client().get("/me").raw_cookie(&both).start();
    held.reached().await;
    world.store.set_down(true);
    held.open();
    request
        .reply()
        .await
        .is_problem(503, "session-unavailable")
        .keeps_the_cookie();
    world.store.set_down(false);
    world.client().get("/me").raw_cookie(&both).await.is(401);
}

async fn what_is_replaced_beside_a_dead_one_is_still_replaced<B: Backend>() {
    let world = World::<B>::start().await;
    let dead = world.signed_in("alice").await;
    dead.fork().post("/logout").await.is(204);
    let replaced = world.signed_in("alice").await;
    replaced.fork().post("/regenerate").await.is(204);
    for both in [[dead.id(), replaced.id()], [replaced.id(), dead.id()]] {
        let both = cookies(&[&both[0], &both[1]]);
        let call = world.client().post("/put/a/b").raw_cookie(&both);
        call.await
            .is_problem(401, "session-replaced")
            .keeps_the_cookie();
        let view = world.client().get("/session").raw_cookie(&both).await;
        let view: SessionView = view.json();
        assert_eq!(view.ended.as_deref(), Some("replaced"));
    }
}

async fn s009_t29_two_under_any_other_name_are_no_session_and_not_loaded<B: Backend>() {
    for name in ["id", "__Secure-id", "__host-id"] {
        let cookie = CookieConfig::builder().name(name).build().unwrap();
        let world = World::<B>::with(|layer| layer.cookie(cookie)).await;
        let sign_in = || world.client().post("/login?user=alice");
        let [one, other] = [sign_in().await.new_id(), sign_in().await.new_id()];
        let unknown = unknown();
        for both in [[&one, &other], [&other, &one], [&one, &unknown]] {
            world.forget();
            let both = named(name, &both.map(String::as_str));
            let call = world.client().get("/me").raw_cookie(&both);
            call.await.is(401).keeps_the_cookie();
            assert_eq!(world.audit.take_kinds(), [EventKind::AmbiguousIdentifier]);
            assert_eq!(world.store.take_calls(), []);
            // Nothing is known of them, so nothing of them is ended.
            world
                .client()
                .post("/logout")
                .raw_cookie(&both)
                .await
                .keeps_the_cookie();
            sign_in().raw_cookie(&both).await.is(204).new_id();
        }
        for id in [&one, &other] {
            let live = matches!(world.stored(id).await, Loaded::Live(_));
            assert!(live, "{name}");
        }
    }
}

async fn s009_three_are_no_session_and_not_loaded<B: Backend>() {
    let world = World::<B>::start().await;
    let [alice, bob] = two_live(&world).await;
    let unknown = unknown();
    let three = cookies(&[&unknown, &alice, &bob]);
    world.client().get("/me").raw_cookie(&three).await.is(401);
    world
        .client()
        .post("/logout")
        .raw_cookie(&three)
        .await
        .keeps_the_cookie();
    let events = [
        EventKind::AmbiguousIdentifier,
        EventKind::AmbiguousIdentifier,
    ];
    assert_eq!(world.audit.take_kinds(), events);
    assert_eq!(world.store.take_calls(), []);
    let call = world.client().post("/login?user=carol").raw_cookie(&three);
    call.await.is(204).new_id();
    assert_eq!(world.backend.live(), 3);
}

async fn a_live_one_of_two_under_an_accepted_name_is_renamed<B: Backend>() {
    let new = "__Host-Http-shop";
    let cookie = CookieConfig::builder().name(new).also_accept(COOKIE);
    let cookie = cookie.build().unwrap();
    let world = World::<B>::with(|layer| layer.cookie(cookie)).await;
    let sign_in = world.client().post("/login?user=alice").await;
    let (live, dead) = (sign_in.new_id(), unknown());
    for ids in [[&dead, &live], [&live, &dead]] {
        let call = world.client().get("/me");
        let reply = call.raw_cookie(cookies(&ids.map(String::as_str))).await;
        let [set, removal] = &reply.is(200).set_cookies()[..] else {
            panic!("{reply:?}");
        };
        assert_eq!((&set.name[..], &set.value), (new, &live));
        assert!(removal.removes() && removal.name == COOKIE);
    }
}

fn shared() -> CookieConfig {
    let shared = CookieConfig::builder().name("shop").domain("shop.example");
    shared.path("/app").build().unwrap()
}

async fn a_former_cookie_is_expired_with_each_cookie_that_is_set_or_removed<B: Backend>() {
    let cookie = CookieConfig::builder().name("shop").formerly(shared());
    let cookie = cookie.same_site(SameSite::Strict).build().unwrap();
    let world = World::<B>::with(|layer| layer.cookie(cookie)).await;
    let client = world.client();
    for change in [
        "/cart?item=1",
        "/login?user=alice",
        "/regenerate",
        "/logout",
    ] {
        let reply = client.post(change).await;
        let [former, own] = &reply.set_cookies()[..] else {
            panic!("{change}: {reply:?}");
        };
        assert!(former.removes() && former.name == "shop", "{reply:?}");
        let scope = [
            "domain=shop.example",
            "httponly",
            "path=/app",
            "samesite=lax",
            "secure",
        ];
        assert_eq!(former.scope(), scope);
        let scope = ["httponly", "path=/", "samesite=strict", "secure"];
        assert_eq!(
            (&own.name[..], &own.scope()[..]),
            ("shop", &scope.map(String::from)[..])
        );
        assert_eq!(own.removes(), change == "/logout");
        client.get("/maybe").await.is(200).keeps_the_cookie();
        client.get("/public").await.is(200).keeps_the_cookie();
    }
}

async fn a_changed_domain_locks_a_user_out_until_the_next_sign_in_at_most<B: Backend>() {
    let old = CookieConfig::builder().name("shop").domain("shop.example");
    let old = old.build().unwrap();
    let new = |builder: portcullis::cookie::CookieBuilder| {
        let cookie = builder.formerly(old.clone()).build().unwrap();
        move |layer: SessionLayer| layer.cookie(cookie)
    };
    // With another name as well, no user is signed out.
    let renamed = CookieConfig::builder()
        .name("__Host-shop")
        .also_accept("shop");
    let world = World::<B>::with(new(renamed)).await;
    let id = world.client().post("/login?user=alice").await;
    let id = id.set_cookies()[1].value.clone();
    let client = world.client().with_cookie("shop", &id);
    let reply = client.get("/me").await;
    let cookies = reply.is(200).set_cookies();
    assert_eq!(cookies[0].attributes["domain"], "shop.example");
    assert!(cookies[0].removes() && cookies[1].value == id);
    assert_eq!(client.cookie_names(), ["__Host-shop"]);
    // Under one name, the next sign-in removes the old one.
    let world = World::<B>::with(new(CookieConfig::builder().name("shop"))).await;
    let client: Client = world.client();
    let both = named("shop", &[&unknown(), &unknown()]);
    client
        .get("/me")
        .raw_cookie(&both)
        .await
        .is(401)
        .keeps_the_cookie();
    let reply = client.post("/login?user=alice").raw_cookie(&both).await;
    let cookies = reply.is(204).set_cookies();
    assert_eq!(cookies[0].attributes["domain"], "shop.example");
    assert!(cookies[0].removes() && !cookies[1].removes());
    client.get("/me").await.is(200);
}

async fn a_partitioned_cookie_replaces_one_that_is_not<B: Backend>() {
    let world = World::<B>::start().await;
    let alice = world.signed_in("alice").await;
    let embedded = CookieConfig::builder().dangerous_same_site_none("embedded");
    let embedded = embedded.partitioned().formerly(CookieConfig::default());
    let layer = world.layer.clone().cookie(embedded.build().unwrap());
    let server = world.serve(layer).await;
    let unpartitioned = alice.id();
    let client = alice.at(server.address());
    let reply = client.post("/regenerate").await;
    let cookies_set = reply.is(204).set_cookies();
    let partitioned = |n: usize| cookies_set[n].attributes.contains_key("partitioned");
    assert!(cookies_set[0].removes() && !partitioned(0) && partitioned(1));
    // A browser that keeps the old one anyway is not locked out.
    let both = cookies(&[&unpartitioned, &client.id()]);
    let reply = client.get("/me").raw_cookie(both).await;
    assert_eq!(reply.is(200).keeps_the_cookie().body(), "alice");
}
