//! Two layers on one store: what each of them has of its own, and what they share on purpose.

use std::time::Duration;

use portcullis::{
    CookieConfig, SessionLayer, Timeouts,
    audit::{EventKind::*, LogQuery},
    cookie::SameSite,
    session::EndReason::{RevokedByOperator, SignedOut},
    settings::{Realm, SessionLimit},
    store::Store,
};
use portcullis_core::store::Hint;
use portcullis_tests::{
    Backend, COOKIE, Client, Device, Moment, Op, Redis, Server, World, hours, minutes,
    on_every_store, soon,
};

on_every_store![
    s018_an_identifier_opens_nothing_in_another_realm,
    each_realm_has_its_own_cookie_and_timeouts_for_one_browser,
    an_elevation_in_one_realm_does_not_hold_in_the_other,
    lists_and_limits_are_kept_by_realm,
    the_history_is_kept_by_realm,
    a_revocation_ends_sessions_of_its_realm_alone,
    a_sign_in_under_way_is_not_refused_for_a_revocation_in_another_realm,
    a_live_connection_stays_open_when_a_session_of_another_realm_ends,
    layers_of_one_realm_share_sessions_whatever_their_cookies_are_called,
    s063_a_revocation_in_every_realm_ends_the_sessions_of_all,
    a_revocation_in_every_realm_does_what_it_can_and_reports_what_failed,
    the_registry_knows_the_realms_in_use,
];

const ADMIN: &str = "__Host-Http-admin";

/// A shop with the defaults and, on the same store, the pages of its operators.
struct TwoApplications<B: Backend> {
    shop: World<B>,
    layer: SessionLayer,
    admin: Server,
}

impl<B: Backend> TwoApplications<B> {
    async fn start() -> Self {
        Self::with(|layer| layer).await
    }

    async fn with(configure: impl Fn(SessionLayer) -> SessionLayer) -> Self {
        let shop = World::<B>::with(&configure).await;
        let layer = SessionLayer::new(shop.store.clone())
            .sweeping(false)
            .audit(shop.audit.clone())
            .timeouts(Timeouts::new(minutes(5), hours(8)).unwrap())
            .cookie(cookie(ADMIN));
        let layer = configure(layer);
        let admin = shop.serve(layer.clone()).await;
        Self { shop, layer, admin }
    }

    /// A user signs in to the shop.
    async fn in_shop(&self, user: &str) -> Client {
        self.shop.signed_in(user).await
    }

    /// A user signs in to the pages of the operators.
    async fn in_admin(&self, user: &str) -> Client {
        let client = self.shop.client_of(&self.admin);
        self.shop.backend.later().await;
        let signed_in = client.post(&format!("/login?user={user}")).await;
        signed_in.is(204).new_id();
        self.shop.forget();
        client
    }

    /// A browser with a session in each of them.
    async fn in_both(&self, user: &str) -> [Client; 2] {
        [self.in_shop(user).await, self.in_admin(user).await]
    }

    /// The lists, as an operator's page of each of them shows them.
    async fn lists_of(&self, user: &str) -> [usize; 2] {
        let page = format!("/operator/{user}");
        let mut counts = [0; 2];
        let pages = [self.shop.client(), self.shop.client_of(&self.admin)];
        for (count, client) in counts.iter_mut().zip(pages) {
            *count = client.get(&page).await.json::<Vec<Device>>().len();
        }
        counts
    }
}

fn cookie(name: &'static str) -> CookieConfig {
    let builder = CookieConfig::builder().name(name);
    builder.same_site(SameSite::Strict).build().unwrap()
}

async fn s018_an_identifier_opens_nothing_in_another_realm<B: Backend>() {
    let world = TwoApplications::<B>::start().await;
    let [shop, admin] = world.in_both("alice").await;
    let (of_shop, of_admin) = (shop.id(), admin.cookie(ADMIN).unwrap());
    let crossed = world.shop.client_of(&world.admin);
    let crossed = crossed.with_cookie(ADMIN, &of_shop);
    for client in [crossed, world.shop.client().with_id(&of_admin)] {
        client.get("/me").await.is(401).keeps_the_cookie();
        client.post("/transfer").await.is(401).keeps_the_cookie();
        client.post("/logout").await.is(204).keeps_the_cookie();
        // A write under it begins an anonymous session.
        client.post("/cart?item=1").await.is(204).new_id();
        assert_eq!(client.view().await.user, None);
    }
    shop.get("/me").await.is(200);
    admin.get("/me").await.is(200);
}

async fn each_realm_has_its_own_cookie_and_timeouts_for_one_browser<B: Backend>() {
    let world = TwoApplications::<B>::start().await;
    let shop = world.in_shop("alice").await;
    let admin = shop.at(world.admin.address());
    let signed_in = admin.post("/login?user=olga").await.set_cookie();
    assert_eq!(signed_in.name, ADMIN);
    assert_eq!(signed_in.attributes["samesite"], "strict");
    assert_eq!(shop.cookie_names(), [ADMIN, COOKIE]);
    assert_eq!(shop.get("/me").await.body(), "alice");
    assert_eq!(admin.get("/me").await.body(), "olga");
    world.shop.advance(minutes(6));
    admin.get("/me").await.is(401).keeps_the_cookie();
    assert_eq!(shop.get("/me").await.body(), "alice");
    shop.post("/logout").await.is(204).removes_the_cookie();
    assert_eq!(shop.cookie_names(), [ADMIN]);
}

async fn an_elevation_in_one_realm_does_not_hold_in_the_other<B: Backend>() {
    let world = TwoApplications::<B>::start().await;
    let [shop, admin] = world.in_both("alice").await;
    shop.elevate().await;
    shop.get("/danger").await.is(200);
    let refused = admin.get("/danger").await;
    refused.is_problem(401, "elevation-required");
    admin.elevate().await;
    shop.post("/drop").await.is(200);
    shop.get("/danger").await.is(401);
    admin.get("/danger").await.is(200);
}

async fn lists_and_limits_are_kept_by_realm<B: Backend>() {
    let one = SessionLimit::refuse(1).unwrap();
    let world = TwoApplications::<B>::with(|layer| layer.session_limit(one)).await;
    let [shop, admin] = world.in_both("alice").await;
    assert_eq!(world.lists_of("alice").await, [1, 1]);
    for another in [world.shop.client(), world.shop.client_of(&world.admin)] {
        let refused = another.post("/login?user=alice").await;
        refused.is_problem(409, "session-limit-reached");
    }
    shop.post("/logout").await.is(204);
    assert_eq!(world.lists_of("alice").await, [0, 1]);
    world.in_shop("alice").await;
    admin.get("/me").await.is(200);
    let handle = admin.handle().await;
    let wrong = format!("/operator/alice/{handle}");
    shop.delete(&wrong).await.is(404);
}

async fn the_history_is_kept_by_realm<B: Backend>() {
    let world = TwoApplications::<B>::start().await;
    let [shop, admin] = world.in_both("alice").await;
    admin.elevate().await;
    shop.post("/regenerate").await.is(204);
    let everything = || LogQuery {
        user: Some("alice".into()),
        most: 100,
        ..LogQuery::default()
    };
    for (layer, kinds) in [
        (&world.shop.layer, [Regenerated, Authenticated]),
        (&world.layer, [Elevated("general".into()), Authenticated]),
    ] {
        let logged = layer.sessions().history(everything()).await.unwrap();
        let events = logged.into_iter().map(|line| line.event.unwrap());
        let events: Vec<_> = events.map(|event| event.kind).collect();
        assert_eq!(events, kinds);
    }
}

async fn a_revocation_ends_sessions_of_its_realm_alone<B: Backend>() {
    let world = TwoApplications::<B>::start().await;
    let [shop, admin] = world.in_both("alice").await;
    world.shop.backend.later().await;
    let operators = world.shop.client_of(&world.admin);
    assert_eq!(operators.delete("/operator/alice").await.body(), "1");
    admin.get("/me").await.is(401);
    shop.get("/me").await.is(200);
    shop.post("/put/a/b").await.is(204);
    assert_eq!(operators.delete("/operator").await.is(200).body(), "0");
    shop.elevate().await;
    assert_eq!(shop.delete("/sessions/others").await.body(), "0");
    let ends = world.shop.audit.take_ends();
    let ends: Vec<_> = ends.into_iter().map(|event| event.kind).collect();
    assert_eq!(ends, [Ended(RevokedByOperator)]);
    world.in_admin("alice").await;
    shop.post("/reset?user=alice").await.is(204);
    assert_eq!(world.lists_of("alice").await, [1, 1]);
}

async fn a_sign_in_under_way_is_not_refused_for_a_revocation_in_another_realm<B: Backend>() {
    let world = TwoApplications::<B>::start().await;
    let shop = world.shop.client();
    let gate = world.shop.store.hold(Op::Create, Moment::Before);
    let sign_in = shop.post("/login?user=alice").start();
    gate.reached().await;
    world.shop.backend.later().await;
    let operators = world.shop.client_of(&world.admin);
    operators.delete("/operator/alice").await.is(200);
    gate.open();
    sign_in.reply().await.is(204).new_id();
    shop.get("/me").await.is(200);
}

async fn a_live_connection_stays_open_when_a_session_of_another_realm_ends<B: Backend>() {
    let world = TwoApplications::<B>::with(soon).await;
    let [shop, admin] = world.in_both("alice").await;
    let mut of_shop = shop.get("/live").listen().await;
    let mut of_admin = admin.get("/live").listen().await;
    world.shop.backend.later().await;
    let sessions = world.layer.sessions();
    let receipt = sessions.revoke_all("alice").await.unwrap();
    assert_eq!(receipt.ended.len(), 1);
    assert_eq!(of_admin.reason().await, "revoked_by_operator");
    of_shop.go_on().await;
    shop.post("/logout").await.is(204);
    assert_eq!(of_shop.reason().await, "signed_out");
}

async fn layers_of_one_realm_share_sessions_whatever_their_cookies_are_called<B: Backend>() {
    let one = SessionLimit::refuse(1).unwrap();
    let world = World::<B>::with(|layer| layer.realm("both").unwrap().session_limit(one)).await;
    let layer = SessionLayer::new(world.store.clone());
    let layer = layer.sweeping(false).cookie(cookie(ADMIN));
    let other = world.serve(layer.realm("both").unwrap()).await;
    let shop = world.signed_in("alice").await;
    let there = world.client_of(&other).with_cookie(ADMIN, &shop.id());
    assert_eq!(there.get("/me").await.is(200).body(), "alice");
    there.elevate().await;
    shop.get("/me").await.is(401);
    let shop = shop.with_id(&there.cookie(ADMIN).unwrap());
    shop.get("/danger").await.is(200);
    let refused = world.client().post("/login?user=alice").await;
    refused.is_problem(409, "session-limit-reached");
    there.post("/logout").await.is(204).removes_the_cookie();
    shop.gets_end_reason(SignedOut.as_str()).await;
}

async fn s063_a_revocation_in_every_realm_ends_the_sessions_of_all<B: Backend>() {
    let world = TwoApplications::<B>::start().await;
    are_registered(&world, ["admin", "id"]).await;
    let [shop, admin] = world.in_both("alice").await;
    let (bobs, visitor) = (world.in_admin("bob").await, world.shop.shopping(&[1]).await);
    let mut handles = [shop.handle().await, admin.handle().await];
    world.shop.backend.later().await;
    world.shop.forget();
    let sessions = world.shop.layer.sessions().as_operator("olga");
    let receipt = sessions.revoke_all_in_every_realm("alice").await.unwrap();
    let mut ended: Vec<_> = receipt.ended.iter().map(ToString::to_string).collect();
    ended.sort_unstable();
    handles.sort_unstable();
    assert_eq!(ended, handles);
    shop.gets_end_reason("revoked_by_operator").await;
    admin.gets_end_reason("revoked_by_operator").await;
    bobs.get("/me").await.is(200);
    assert_eq!(visitor.view().await.cart, [1]);
    let events = world.shop.audit.take_ends();
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(
        events
            .iter()
            .all(|event| event.actor.operator() == Some("olga"))
    );
    let again = sessions.revoke_all_in_every_realm("alice").await.unwrap();
    assert_eq!(again.ended, []);
}

async fn a_revocation_in_every_realm_does_what_it_can_and_reports_what_failed<B: Backend>() {
    let world = TwoApplications::<B>::start().await;
    are_registered(&world, ["admin", "id"]).await;
    let [shop, admin] = world.in_both("alice").await;
    world.shop.backend.later().await;
    let sessions = world.shop.layer.sessions();
    world.shop.store.fail(Op::Revoke, Moment::Before);
    assert!(sessions.revoke_all_in_every_realm("alice").await.is_err());
    shop.get("/me").await.is(200);
    admin.get("/me").await.is(401);
    let receipt = sessions.revoke_all_in_every_realm("alice").await.unwrap();
    assert_eq!(receipt.ended.len(), 1);
    shop.get("/me").await.is(401);
}

async fn the_registry_knows_the_realms_in_use<B: Backend>() {
    let world = TwoApplications::<B>::start().await;
    are_registered(&world, ["admin", "id"]).await;
    for layer in [&world.shop.layer, &world.layer] {
        let registered = layer.sessions().realms().await.unwrap();
        let known: Vec<_> = registered
            .iter()
            .map(|known| (known.realm.as_str(), known.cookie.as_str(), known.longest))
            .collect();
        let expected = [("admin", ADMIN, hours(8)), ("id", COOKIE, hours(24))];
        assert_eq!(known, expected);
        let now = world.shop.store.now();
        for known in registered {
            let ago = now.since(known.seen_at).max(known.seen_at.since(now));
            assert!(ago < minutes(1), "{ago:?}");
        }
    }
}

/// Layers register their realms in the background.
async fn are_registered<B: Backend, const N: usize>(
    world: &TwoApplications<B>,
    expected: [&str; N],
) {
    let sessions = world.shop.layer.sessions();
    let registered = async {
        loop {
            let realms = sessions.realms().await.unwrap();
            if realms.iter().map(|known| known.realm.as_str()).eq(expected) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(10), registered);
    done.await.expect("the realms are registered");
}

/// A server is notified only of ends in its realm.
#[tokio::test(flavor = "multi_thread")]
async fn redis_notifies_only_the_servers_of_the_realm() {
    let world = TwoApplications::<Redis>::start().await;
    let other = world.shop.backend.other_store().await;
    let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
    let of_shop = other.in_realm(&Realm::default());
    let listening = tokio::spawn(async move {
        let send = |hint| sender.send(hint).unwrap();
        of_shop.listen(&send).await;
    });
    // The first notification is that it may have missed some.
    assert_eq!(events.recv().await, Some(Hint::Missed));
    let [shop, admin] = world.in_both("alice").await;
    let handle = shop.handle().await;
    admin.post("/regenerate").await.is(204);
    admin.post("/logout").await.is(204);
    shop.post("/logout").await.is(204);
    let Some(Hint::Changed(changed)) = events.recv().await else {
        panic!("a session of the shop has ended");
    };
    assert_eq!(changed.to_string(), handle);
    listening.abort();
}
