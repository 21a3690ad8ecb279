//! The identifier is in the cookie and nowhere else.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use portcullis_tests::{
    Backend, CapturedLog, Client, Gate, Moment, Op, Redis, Reply, World, minutes, on_every_store,
};

on_every_store![
    @one_thread:
    t77_s023_no_identifier_is_anywhere_but_in_the_cookie,
    t77_no_identifier_of_a_failing_request_is_anywhere_but_in_the_cookie,
];

/// Everything that could reveal an identifier, and every identifier that was set.
struct Watch {
    log: CapturedLog,
    collected: Vec<String>,
    ids: Vec<String>,
}

impl Watch {
    fn start() -> Self {
        Self {
            log: CapturedLog::start(),
            collected: Vec::new(),
            ids: Vec::new(),
        }
    }

    fn take(&mut self, client: &Client, reply: &Reply) {
        let mut headers = reply.headers().clone();
        headers.remove("set-cookie");
        self.collected.push(format!("{headers:?} {}", reply.body()));
        if client.has_cookie() {
            self.ids.push(client.id());
        }
    }

    /// Panics if any identifier is in any text, whole, in part or as bytes.
    fn check<B: Backend>(&mut self, world: &World<B>) {
        self.collected.push(format!("{:?}", world.audit.take()));
        self.collected
            .push(format!("{:?} {:#?}", world.layer, world.backend.store()));
        let log = self.log.text();
        assert!(log.lines().count() > 10, "the log is collected");
        self.collected.push(log);
        let mut places: Vec<_> = self
            .collected
            .iter()
            .map(|text| text.clone().into_bytes())
            .collect();
        places.push(world.backend.contents());
        self.ids.sort();
        self.ids.dedup();
        assert!(self.ids.len() > 3, "identifiers were handed out");
        for id in &self.ids {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(id).expect("an identifier");
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let parts = [id.as_bytes(), &bytes, hex.as_bytes()];
            for window in parts.iter().flat_map(|part| part.windows(10)) {
                let leak = places.iter().find(|place| contains(place, window));
                let shown = leak.map(|place| String::from_utf8_lossy(place));
                assert!(shown.is_none(), "an identifier is in {}", shown.unwrap());
            }
        }
    }
}

fn contains(place: &[u8], part: &[u8]) -> bool {
    place.windows(part.len()).any(|window| window == part)
}

async fn t77_s023_no_identifier_is_anywhere_but_in_the_cookie<B: Backend>() {
    let mut watch = Watch::start();
    let world = World::<B>::start().await;
    let client = world.client();
    for (method, target) in [
        ("POST", "/cart?item=1"),
        ("GET", "/debug"),
        ("POST", "/login?user=alice"),
        ("GET", "/debug"),
        ("POST", "/elevate"),
        ("GET", "/debug"),
        ("GET", "/session"),
        ("POST", "/regenerate"),
        ("POST", "/put/a/b"),
        ("POST", "/drop"),
        ("POST", "/login?user=bob"),
        ("POST", "/logout"),
        ("POST", "/login?user=carol"),
        ("GET", "/debug"),
    ] {
        world.advance(minutes(2));
        let reply = client.call(method.parse().unwrap(), target).await;
        watch.take(&client, &reply);
    }
    watch.check(&world);
}

async fn t77_no_identifier_of_a_failing_request_is_anywhere_but_in_the_cookie<B: Backend>() {
    let mut watch = Watch::start();
    let world = World::<B>::start().await;
    let client = world.client();
    for user in ["alice", "bob", "carol", "dora"] {
        let reply = client.post(&format!("/login?user={user}")).await;
        watch.take(&client, &reply);
        let old = client.fork();
        let gate = Gate::closed();
        let slow = client.post("/put/a/b").held_at(&gate).start();
        gate.reached().await;
        client.post("/regenerate").await.is(204);
        gate.open();
        watch.take(&client, &slow.reply().await);
        for op in [Op::Load, Op::Commit] {
            world.store.fail(op, Moment::Before);
            watch.take(&client, &client.post("/put/a/b").await);
        }
        watch.take(&old, &old.get("/me").await);
        watch.take(&client, &client.post("/big/a/100000").await);
        watch.take(&client, &client.post("/number/a").await);
        world.overwrite(&client.id(), "\0garbage").await;
        watch.take(&client, &client.get("/debug").await);
    }
    watch.check(&world);
}

/// The user's name is inside the record, which only the application reads. Keys appear in tools and
/// logs.
#[tokio::test]
async fn t77_no_key_in_redis_names_a_user() {
    let world = World::<Redis>::start().await;
    let client = world.signed_in("alice-the-user").await;
    client.post("/elevate").await.is(204);
    for key in world.backend.keys() {
        assert!(!key.contains("alice"), "{key}");
    }
}
