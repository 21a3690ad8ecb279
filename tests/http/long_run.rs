//! Many users at two servers, for a long time, while Redis hangs, closes connections or dies. Every
//! response stays true.
//!
//! The steps are drawn from a seed. A run that failed can be repeated with its seed, though not
//! with the same timing.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use portcullis::{RedisStore, SessionLayer};
use portcullis_core::{
    Bucket, SessionId,
    store::{Loaded, Store},
};
use portcullis_redis::testing::{TestServer, wait_until};
use portcullis_tests::{Client, Gates, Reply, Server, SessionView, key, routes};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tokio::{task::JoinSet, time::sleep};

/// Seeds that are always run. A seed that has failed is added.
const SEEDS: [u64; 1] = [1];

/// The number of faults of Redis in a run.
const ROUNDS: usize = 16;
/// At least so many sessions end in a run, or it shows nothing.
const ENOUGH: usize = 10;

const USERS: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn responses_stay_true_though_redis_hangs_and_closes_connections() {
    run_all(&[], false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn responses_stay_true_though_redis_is_killed_again_and_again_and_keeps_its_data() {
    run_all(&["--appendonly", "yes", "--appendfsync", "always"], true).await;
}

async fn run_all(options: &'static [&'static str], kills: bool) {
    let mut runs = JoinSet::new();
    for seed in SEEDS.into_iter().chain([rand::random()]) {
        runs.spawn(async move {
            let run = tokio::spawn(LongRun::run(seed, options, kills));
            run.await
                .unwrap_or_else(|_| panic!("the run of seed {seed} fails"));
        });
    }
    while let Some(run) = runs.join_next().await {
        run.unwrap();
    }
}

/// The identifiers of all responses.
#[derive(Default)]
struct Answers {
    /// All identifiers that were set.
    ids: HashSet<String>,
    /// Those that are dead according to a response.
    dead: HashSet<String>,
}

/// Shared by all users.
#[derive(Clone)]
struct Site {
    stores: [RedisStore; 2],
    /// A browser without cookies at each server.
    browsers: [Client; 2],
    answers: Arc<Mutex<Answers>>,
    closes: Arc<AtomicBool>,
}

struct LongRun {
    redis: TestServer,
    site: Site,
    random: SmallRng,
    _servers: [Server; 2],
}

impl LongRun {
    async fn run(seed: u64, options: &[&str], kills: bool) {
        let mut run = Self::start(seed, options).await;
        let mut users = JoinSet::new();
        for number in 0..USERS {
            let random = SmallRng::seed_from_u64(seed.wrapping_add(number as u64 + 1));
            let user = User::new(number, random, run.site.clone());
            users.spawn(user.run());
        }
        for _ in 0..ROUNDS {
            let calm = run.random.random_range(50..300);
            sleep(Duration::from_millis(calm)).await;
            run.cause_fault(kills).await;
        }
        // A busy machine needs more time.
        while run.site.answers.lock().unwrap().dead.len() <= ENOUGH {
            sleep(Duration::from_millis(50)).await;
        }
        run.site.closes.store(true, Ordering::Relaxed);
        let mut left = Vec::new();
        while let Some(user) = users.join_next().await {
            left.push(user.unwrap());
        }
        run.check(left).await;
    }

    async fn start(seed: u64, options: &[&str]) -> Self {
        let redis = TestServer::start_with(options);
        let open = async || {
            let builder = RedisStore::builder(redis.url()).wait(Duration::from_millis(200));
            builder.connect().await.unwrap()
        };
        let stores = [open().await, open().await];
        let gates = Gates::default();
        let serve = async |store: &RedisStore| {
            let layer = SessionLayer::new(store.clone());
            Server::of_router(routes(gates.clone()).layer(layer)).await
        };
        let servers = [serve(&stores[0]).await, serve(&stores[1]).await];
        let browser = |server: &Server| Client::new(server.address(), gates.clone());
        let site = Site {
            browsers: [browser(&servers[0]), browser(&servers[1])],
            stores,
            answers: Arc::default(),
            closes: Arc::default(),
        };
        Self {
            redis,
            site,
            random: SmallRng::seed_from_u64(seed),
            _servers: servers,
        }
    }

    async fn cause_fault(&mut self, kills: bool) {
        let for_a_while = self.random.random_range(20..600);
        let for_a_while = sleep(Duration::from_millis(for_a_while));
        match self.random.random_range(0..if kills { 3 } else { 2 }) {
            0 => {
                self.redis.pause();
                for_a_while.await;
                self.redis.resume();
            }
            1 => {
                self.redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
            }
            _ => {
                self.redis.kill();
                for_a_while.await;
                self.redis.restart();
            }
        }
    }

    /// Checks that the store agrees with all responses once Redis is healthy again.
    async fn check(self, users: Vec<User>) {
        let unused = SessionId::generate(Bucket::random().unwrap())
            .unwrap()
            .key();
        for store in &self.site.stores {
            while store.load(&unused).await.is_err() {
                sleep(Duration::from_millis(10)).await;
            }
            let all = || format!("{store:?}").contains("to_withdraw: 0");
            wait_until("all withdrawals are done", all).await;
        }
        let builder = RedisStore::builder(self.redis.url()).wait(Duration::from_secs(10));
        let store = builder.connect().await.unwrap();
        for mut user in users {
            user.read_all().await;
        }
        let Answers { ids, dead } = std::mem::take(&mut *self.site.answers.lock().unwrap());
        let mut live = 0;
        for id in &ids {
            if let Loaded::Live(_) = store.load(&key(id)).await.unwrap() {
                assert!(!dead.contains(id), "{id} is dead, and yet live");
                live += 1;
            }
        }
        assert_eq!(
            live,
            self.live(),
            "some live sessions were never returned to a client"
        );
    }

    fn live(&self) -> usize {
        let mut keys = self.redis.cli(&["KEYS", "*"]).texts();
        keys.retain(|key| !key.contains("}:") && key.contains('{'));
        let is_live = |key: &&String| self.redis.cli(&["GETRANGE", key, "0", "0"]).text() == "1";
        keys.iter().filter(is_live).count()
    }
}

/// A user with two names and three browsers, and what the responses imply for each session.
struct User {
    names: [String; 2],
    browsers: Vec<Browser>,
    random: SmallRng,
    site: Site,
}

struct Browser {
    client: Client,
    session: Option<Session>,
}

/// What the responses imply for a session.
#[derive(Debug, Clone)]
struct Session {
    id: String,
    user: Option<String>,
    /// The bounds of its counter.
    at_least: u64,
    at_most: u64,
    /// It may have ended, or end at any moment: a response left the outcome unknown.
    unknown: bool,
}

impl User {
    fn new(number: usize, random: SmallRng, site: Site) -> Self {
        let browser = || Browser {
            client: site.browsers[0].fork(),
            session: None,
        };
        Self {
            names: ["a", "b"].map(|name| format!("{name}{number}")),
            browsers: vec![browser(), browser(), browser()],
            random,
            site,
        }
    }

    async fn run(mut self) -> Self {
        while !self.site.closes.load(Ordering::Relaxed) {
            let browser = self.random.random_range(0..self.browsers.len());
            match self.random.random_range(0..20) {
                0..=9 => self.count(browser).await,
                10..=12 => self.sign_in(browser).await,
                13..=14 => self.replace_identifier(browser).await,
                15 => self.sign_out(browser).await,
                16 => self.revoke().await,
                _ => self.read(browser).await,
            }
            sleep(Duration::from_millis(5)).await;
        }
        self
    }

    /// This browser, at one of the servers.
    fn at_any_server(&mut self, browser: usize) -> Client {
        let server = self.random.random_range(0..2);
        let there = self.site.browsers[server].address();
        self.browsers[browser].client.at(there)
    }

    /// Several requests at once add one each.
    async fn count(&mut self, browser: usize) {
        let session = self.browsers[browser].session.as_ref();
        let together = match session {
            Some(session) if !session.unknown => self.random.random_range(1..4),
            // Each would begin a session of its own.
            _ => 1,
        };
        let clients: Vec<_> = (0..together).map(|_| self.at_any_server(browser)).collect();
        let flights: Vec<_> = clients
            .iter()
            .map(|client| client.post("/number/n").start())
            .collect();
        for flight in flights {
            let reply = flight.reply().await;
            let id = new_id(&reply);
            match (reply.status(), id) {
                (204, Some(id)) => {
                    self.has_ended(browser, &reply);
                    self.note_session(browser, id, None, 1, 1);
                }
                (204, None) => {
                    let session = self.browsers[browser].session.as_mut().unwrap();
                    session.at_least += 1;
                    session.at_most += 1;
                }
                (503, None) => {
                    if let Some(session) = &mut self.browsers[browser].session {
                        session.at_most += 1;
                    }
                }
                (401, None) => self.has_ended(browser, &reply),
                _ => panic!("{reply:?}"),
            }
        }
    }

    async fn sign_in(&mut self, browser: usize) {
        let name = self.names[self.random.random_range(0..2)].clone();
        let client = self.at_any_server(browser);
        let reply = client.post(&format!("/login?user={name}")).await;
        match (reply.status(), new_id(&reply)) {
            (204, Some(id)) => {
                let (at_least, at_most) = match self.browsers[browser].session.take() {
                    None => (0, 0),
                    Some(old) => {
                        let moves = old.user.as_ref().is_none_or(|user| *user == name);
                        let (least, most) = if moves {
                            (old.at_least, old.at_most)
                        } else {
                            (0, 0)
                        };
                        let least = if old.unknown { 0 } else { least };
                        self.note_dead(&old.id);
                        (least, most)
                    }
                };
                self.note_session(browser, id, Some(name), at_least, at_most);
            }
            (503, None) => self.note_unknown(browser),
            (401, None) => self.has_ended(browser, &reply),
            _ => panic!("{reply:?}"),
        }
    }

    async fn replace_identifier(&mut self, browser: usize) {
        let Some(session) = self.browsers[browser].session.clone() else {
            return;
        };
        let client = self.at_any_server(browser);
        let elevates = session.user.is_some() && self.random.random_ratio(1, 2);
        let target = if elevates { "/elevate" } else { "/regenerate" };
        let reply = client.post(target).await;
        match (reply.status(), new_id(&reply)) {
            (204, Some(id)) => {
                self.note_dead(&session.id);
                self.site.answers.lock().unwrap().ids.insert(id.clone());
                self.browsers[browser].session = Some(Session { id, ..session });
            }
            (503, None) => self.note_unknown(browser),
            // There was no session to get another identifier.
            (204, None) => self.has_ended(browser, &reply),
            (401 | 403, None) => self.has_ended(browser, &reply),
            _ => panic!("{reply:?}"),
        }
    }

    async fn sign_out(&mut self, browser: usize) {
        let Some(session) = self.browsers[browser].session.clone() else {
            return;
        };
        let reply = self.at_any_server(browser).post("/logout").await;
        match reply.status() {
            204 => {
                self.note_dead(&session.id);
                self.start_anew(browser);
            }
            503 => self.note_unknown(browser),
            401 => self.has_ended(browser, &reply),
            _ => panic!("{reply:?}"),
        }
    }

    /// An operator ends all that are signed in under a name.
    async fn revoke(&mut self) {
        let name = self.names[self.random.random_range(0..2)].clone();
        let operator = self.site.browsers[self.random.random_range(0..2)].fork();
        let reply = operator.delete(&format!("/operator/{name}")).await;
        for browser in 0..self.browsers.len() {
            let session = self.browsers[browser].session.clone();
            let Some(session) = session.filter(|it| it.user.as_ref() == Some(&name)) else {
                continue;
            };
            match reply.status() {
                200 => {
                    self.note_dead(&session.id);
                    self.start_anew(browser);
                }
                503 => self.note_unknown(browser),
                _ => panic!("{reply:?}"),
            }
        }
        // A sign-in at that very moment counts as before it.
        for store in &self.site.stores {
            let then = store.clock().latest;
            while store.clock().earliest <= then {
                sleep(Duration::from_millis(1)).await;
            }
        }
    }

    async fn read(&mut self, browser: usize) {
        let client = self.at_any_server(browser);
        let reply = client.get("/passive/session").await;
        if reply.status() == 503 {
            return;
        }
        let view: SessionView = reply.is(200).json();
        let Some(session) = self.browsers[browser].session.clone() else {
            assert_eq!((view.user, view.handle), (None, None));
            return;
        };
        if view.handle.is_none() {
            return self.has_ended(browser, &reply);
        }
        assert_eq!(view.user, session.user, "{session:?}");
        let reply = client.get("/number/n").await;
        match reply.status() {
            200 if session.unknown && reply.body() == "None" => {}
            200 => {
                let number = reply
                    .body()
                    .trim_start_matches("Some(")
                    .trim_end_matches(')');
                let number = number.parse().unwrap_or(0);
                let range = session.at_least..=session.at_most;
                assert!(range.contains(&number), "{number} in {session:?}");
            }
            503 => {}
            401 => self.has_ended(browser, &reply),
            _ => panic!("{reply:?}"),
        }
    }

    async fn read_all(&mut self) {
        for browser in 0..self.browsers.len() {
            self.read(browser).await;
        }
    }

    fn note_session(
        &mut self,
        browser: usize,
        id: String,
        user: Option<String>,
        at_least: u64,
        at_most: u64,
    ) {
        self.site.answers.lock().unwrap().ids.insert(id.clone());
        self.browsers[browser].session = Some(Session {
            id,
            user,
            at_least,
            at_most,
            unknown: false,
        });
    }

    /// The session of this browser has ended. Its outcome must have been unknown.
    fn has_ended(&mut self, browser: usize, reply: &Reply) {
        if let Some(session) = self.browsers[browser].session.take() {
            assert!(session.unknown, "{session:?}: {reply:?}");
        }
        if new_id(reply).is_none() {
            self.start_anew(browser);
        }
    }

    fn note_unknown(&mut self, browser: usize) {
        if let Some(session) = &mut self.browsers[browser].session {
            session.unknown = true;
        }
    }

    fn start_anew(&mut self, browser: usize) {
        self.browsers[browser] = Browser {
            client: self.site.browsers[0].fork(),
            session: None,
        };
    }

    fn note_dead(&self, id: &str) {
        self.site.answers.lock().unwrap().dead.insert(id.to_owned());
    }
}

/// The identifier that a response sets. A 503 leaves the browser's cookies unchanged.
fn new_id(reply: &Reply) -> Option<String> {
    if reply.status() == 503 {
        reply.keeps_the_cookie();
    }
    let cookies = reply.set_cookies().into_iter();
    let mut new = cookies.filter(|cookie| !cookie.removes());
    new.next().map(|cookie| cookie.value)
}
