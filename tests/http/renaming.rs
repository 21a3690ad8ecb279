//! A cookie that gets another name while servers are replaced one by one.

use axum::{Router, routing};
use portcullis::{
    CookieConfig, MemoryStore, SessionLayer, Timeouts, audit::EventKind::MalformedIdentifier,
    settings::SessionLimit,
};
use portcullis_tests::{
    Backend, COOKIE as OLD, CapturedLog, Client, Gate, Moment, Op, Reply, Server, World, hours,
    on_every_store, seconds,
};

on_every_store![
    a_session_that_came_under_the_former_name_continues_under_the_new_one,
    a_new_identifier_comes_under_the_new_name_alone,
    s006_a_persistent_cookie_keeps_its_end_under_the_new_name,
    the_layers_own_name_wins,
    a_sign_in_removes_what_came_under_other_names,
    s013_a_sign_out_removes_the_cookie_under_each_name_it_came,
    a_sign_out_clears_site_data_also_for_a_cookie_of_the_former_name,
    rule_4_a_cookie_that_is_not_live_is_left_unchanged,
    rule_2_a_refusal_renames_nothing,
    rule_8_a_failure_of_the_store_renames_nothing,
    a_request_that_does_not_load_its_session_renames_nothing,
    no_session_is_lost_and_none_comes_back_while_servers_of_both_names_answer,
];

const NEW: &str = "__Host-Http-shop";

/// A site in the second step of a rename. One server sets the old name and one the new, and each
/// accepts both.
struct Rollout<B: Backend> {
    old: World<B>,
    new: Server,
}

impl<B: Backend> Rollout<B> {
    async fn start() -> Self {
        Self::with(|layer| layer).await
    }

    async fn with(configure: impl Fn(SessionLayer) -> SessionLayer) -> Self {
        let named = |layer: SessionLayer, own, other| {
            let cookie = CookieConfig::builder().name(own).also_accept(other);
            let cookie = cookie.persistent().build().unwrap();
            configure(layer.cookie(cookie).realm("id").unwrap())
        };
        let old = World::<B>::with(|layer| named(layer, OLD, NEW)).await;
        let layer = SessionLayer::new(old.store.clone()).sweeping(false);
        let layer = named(layer.audit(old.audit.clone()), NEW, OLD);
        let new = old.serve(layer).await;
        Self { old, new }
    }

    /// A browser that has signed in at the server with the old name and is about to visit the
    /// other.
    async fn arriving(&self, user: &str) -> Client {
        let client = self.old.signed_in(user).await;
        assert_eq!(client.cookie_names(), [OLD]);
        client.at(self.new.address())
    }
}

/// The response sets this identifier under the one name and removes the cookie of the other. It has
/// no other cookie.
#[track_caller]
fn renames(reply: &Reply, (from, to): (&str, &str)) -> String {
    let [set, removal] = &reply.set_cookies()[..] else {
        panic!("{reply:?}");
    };
    assert!(!set.removes() && removal.removes(), "{reply:?}");
    assert_eq!([&set.name, &removal.name], [to, from]);
    assert_eq!(set.scope(), removal.scope());
    assert_eq!(removal.value, "");
    set.value.clone()
}

async fn a_session_that_came_under_the_former_name_continues_under_the_new_one<B: Backend>() {
    let site = Rollout::<B>::start().await;
    let client = site.arriving("alice").await;
    let id = client.id();
    let reply = client.get("/me").await;
    assert_eq!(reply.is(200).body(), "alice");
    assert_eq!(renames(&reply, (OLD, NEW)), id);
    let scope = ["httponly", "path=/", "samesite=lax", "secure"];
    assert_eq!(reply.set_cookies()[0].scope(), scope);
    assert!(reply.header("cache-control").contains("no-store"));
    assert_eq!(site.old.store.take_calls(), [Op::Load]);
    assert_eq!(client.cookie_names(), [NEW]);
    client.get("/me").await.is(200).keeps_the_cookie();
    // A refusal that ends nothing renames the cookie like any other response.
    let client = site.arriving("alice").await;
    renames(client.get("/danger").await.is(401), (OLD, NEW));
    let client = site.arriving("alice").await;
    renames(client.get("/me").answered(500).await.is(500), (OLD, NEW));
}

async fn a_new_identifier_comes_under_the_new_name_alone<B: Backend>() {
    let site = Rollout::<B>::start().await;
    for change in [
        "/regenerate",
        "/elevate",
        "/login?user=alice",
        "/everything",
    ] {
        let client = site.arriving("alice").await;
        let former = client.fork();
        let id = renames(client.post(change).await.is(204), (OLD, NEW));
        assert_ne!(id, former.id(), "{change}");
        assert_eq!(client.cookie_names(), [NEW]);
        client.get("/me").await.is(200).keeps_the_cookie();
        former.get("/me").await.is(401).keeps_the_cookie();
    }
}

async fn s006_a_persistent_cookie_keeps_its_end_under_the_new_name<B: Backend>() {
    let day = Timeouts::new(hours(24), hours(24)).unwrap();
    let site = Rollout::<B>::with(|layer| layer.timeouts(day)).await;
    let client = site.arriving("alice").await;
    site.old.advance(hours(20));
    let reply = client.get("/me").await;
    renames(&reply, (OLD, NEW));
    let left: u64 = reply.set_cookies()[0].attributes["max-age"]
        .parse()
        .unwrap();
    let bounds = hours(4) - seconds(10)..=hours(4);
    assert!(bounds.contains(&seconds(left)), "{left}");
}

async fn the_layers_own_name_wins<B: Backend>() {
    let site = Rollout::<B>::start().await;
    let mallory = site.arriving("mallory").await;
    let alice = site.arriving("alice").await;
    let planted = mallory.id();
    renames(&alice.get("/me").await, (OLD, NEW));
    let twice = alice.fork();
    let twice = twice.with_cookie(OLD, &alice.cookie(NEW).unwrap());
    twice.get("/me").await.is(200).keeps_the_cookie();
    let alice = alice.with_cookie(OLD, &planted);
    let reply = alice.get("/me").await;
    assert_eq!(reply.is(200).keeps_the_cookie().body(), "alice");
    // The next cookie that is set removes the other one.
    renames(alice.post("/regenerate").await.is(204), (OLD, NEW));
    assert_eq!(alice.cookie_names(), [NEW]);
    // A value that is no identifier does not hide one that is.
    let mallory = mallory.with_cookie(NEW, "nonsense");
    renames(&mallory.get("/me").await, (OLD, NEW));
    site.old.forget();
    let no_session = site.old.client_of(&site.new).with_cookie(NEW, "nonsense");
    let no_session = no_session.with_cookie(OLD, "nonsense");
    no_session.get("/me").await.is(401).keeps_the_cookie();
    assert_eq!(site.old.audit.take_kinds(), [MalformedIdentifier]);
    assert_eq!(site.old.store.take_calls(), []);
}

async fn a_sign_in_removes_what_came_under_other_names<B: Backend>() {
    let site = Rollout::<B>::start().await;
    for value in ["nonsense", &"A".repeat(43)] {
        let client = site.old.client_of(&site.new).with_cookie(OLD, value);
        client.get("/me").await.is(401).keeps_the_cookie();
        renames(client.post("/login?user=alice").await.is(204), (OLD, NEW));
        assert_eq!(client.cookie_names(), [NEW]);
    }
}

async fn s013_a_sign_out_removes_the_cookie_under_each_name_it_came<B: Backend>() {
    let site = Rollout::<B>::start().await;
    for renamed in [false, true] {
        let client = site.arriving("alice").await;
        let id = client.id();
        if renamed {
            client.get("/me").await.is(200);
        }
        let client = client.with_cookie(OLD, &id);
        let reply = client.post("/logout").await;
        let cookies = reply.is(204).set_cookies();
        assert!(cookies.iter().all(|cookie| cookie.removes()), "{reply:?}");
        let names: Vec<_> = cookies.iter().map(|cookie| cookie.name.as_str()).collect();
        assert_eq!(names, [NEW, OLD]);
        assert!(!reply.header("clear-site-data").is_empty());
        assert_eq!(client.cookie_names(), [""; 0]);
    }
}

async fn a_sign_out_clears_site_data_also_for_a_cookie_of_the_former_name<B: Backend>() {
    let site = Rollout::<B>::start().await;
    let client = site.arriving("alice").await;
    let late = client.fork();
    client.post("/logout").await.is(204);
    let reply = late.post("/logout").await;
    reply.is(204).keeps_the_cookie();
    assert!(!reply.header("clear-site-data").is_empty());
}

async fn rule_4_a_cookie_that_is_not_live_is_left_unchanged<B: Backend>() {
    let site = Rollout::<B>::start().await;
    let [signed_out, replaced, expired, unknown] = [
        site.arriving("alice").await,
        site.arriving("alice").await,
        site.arriving("alice").await,
        site.old.client_of(&site.new).with_id(&"A".repeat(43)),
    ];
    signed_out.fork().post("/logout").await.is(204);
    replaced.fork().post("/regenerate").await.is(204);
    for client in [&signed_out, &replaced, &unknown] {
        client.get("/me").await.is(401).keeps_the_cookie();
        client.get("/maybe").await.is(200).keeps_the_cookie();
    }
    site.old.advance(hours(24));
    expired.get("/me").await.is(401).keeps_the_cookie();
}

async fn rule_2_a_refusal_renames_nothing<B: Backend>() {
    let one = SessionLimit::refuse(1).unwrap();
    let site = Rollout::<B>::with(|layer| layer.session_limit(one)).await;
    for change in ["/put/a/b", "/elevate", "/logout"] {
        let client = site.arriving("alice").await;
        let gate = Gate::closed();
        let slow = client.post(change).held_at(&gate).start();
        gate.reached().await;
        let operator = site.old.client();
        operator.delete("/operator/alice").await.is(200);
        gate.open();
        slow.reply().await.keeps_the_cookie();
    }
    site.old.signed_in("alice").await;
    let visitor = site.old.shopping(&[1]).await.at(site.new.address());
    let refused = visitor.post("/login?user=alice").await;
    refused
        .is_problem(409, "session-limit-reached")
        .keeps_the_cookie();
    renames(&visitor.get("/cart").await, (OLD, NEW));
}

async fn rule_8_a_failure_of_the_store_renames_nothing<B: Backend>() {
    let site = Rollout::<B>::start().await;
    let client = site.arriving("alice").await;
    for (op, moment) in [
        (Op::Load, Moment::Before),
        (Op::Commit, Moment::Before),
        (Op::Commit, Moment::After),
    ] {
        site.old.store.fail(op, moment);
        client.post("/put/a/b").await.is(503).keeps_the_cookie();
    }
    renames(&client.get("/get/a").await, (OLD, NEW));
}

async fn a_request_that_does_not_load_its_session_renames_nothing<B: Backend>() {
    let site = Rollout::<B>::start().await;
    let client = site.arriving("alice").await;
    client.get("/public").await.is(200).keeps_the_cookie();
    assert_eq!(site.old.store.take_calls(), []);
}

async fn no_session_is_lost_and_none_comes_back_while_servers_of_both_names_answer<B: Backend>() {
    let site = Rollout::<B>::start().await;
    let (there, back) = ((OLD, NEW), (NEW, OLD));
    let alice = site.old.signed_in("alice").await;
    let bob = site.old.signed_in("bob").await;
    let at_new = |client: &Client| client.at(site.new.address());
    alice.post("/put/a/b").await.is(204).keeps_the_cookie();

    renames(&at_new(&alice).get("/me").await, there);
    renames(&at_new(&bob).get("/me").await, there);
    let copies = [bob.fork(), alice.fork()];
    renames(&alice.get("/me").await, back);
    renames(&at_new(&alice).post("/elevate").await, there);
    alice.get("/danger").await.is(200);
    assert_eq!(alice.cookie_names(), [OLD]);

    site.old.backend.later().await;
    let operator = at_new(&site.old.client());
    assert_eq!(operator.delete("/operator/bob").await.body(), "1");
    for client in [&bob, &at_new(&bob), &copies[0], &copies[1]] {
        client.get("/me").await.is(401).keeps_the_cookie();
    }

    alice.post("/regenerate").await.is(204).new_id();
    renames(&at_new(&alice).post("/regenerate").await, there);
    renames(&alice.post("/regenerate").await, back);
    let at_new = at_new(&alice);
    assert_eq!(at_new.get("/get/a").await.is(200).body(), "b");
    assert_eq!(at_new.get("/me").await.body(), "alice");
    assert_eq!(alice.cookie_names(), [NEW]);
    assert_eq!(site.old.backend.live(), 1);
}

/// The realm follows the name of the cookie unless it is named.
#[tokio::test]
async fn a_renamed_cookie_that_leaves_its_sessions_behind_is_warned_of_once() {
    let layer = |accepted| {
        let cookie = CookieConfig::builder().name(NEW).also_accept(accepted);
        SessionLayer::new(MemoryStore::new()).cookie(cookie.build().unwrap())
    };
    for (layer, warnings) in [
        (layer(OLD), 1),
        (layer(OLD).realm("id").unwrap(), 0),
        // Another prefix is no other realm.
        (layer("shop"), 0),
    ] {
        let log = CapturedLog::start();
        for _ in 0..3 {
            let route = routing::get(async || "");
            let _: Router = Router::new().route("/", route).layer(layer.clone());
        }
        assert_eq!(log.count("names no realm"), warnings);
    }
}
