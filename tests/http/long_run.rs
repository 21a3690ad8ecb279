//! Many people at two servers, for a long time, while Redis hangs, cuts them off or dies. Whatever they were told is true.
//!
//! What happens is drawn from a seed. A run that failed is walked again with its seed, though not in the same time.

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
use portcullis_tests::{Client, Gates, Look, Reply, Server, key, routes};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tokio::{task::JoinSet, time::sleep};

/// Some that are always run. One that has failed is added.
const SEEDS: [u64; 1] = [1];

/// How often something happens to Redis.
const ROUNDS: usize = 16;
/// So many sessions at least end in a run, or it shows nothing.
const ENOUGH: usize = 10;

const PEOPLE: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn what_people_were_told_is_true_though_redis_hangs_and_cuts_them_off() {
    run_all(&[], false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn what_people_were_told_is_true_though_redis_dies_again_and_again_and_keeps_its_data() {
    run_all(&["--appendonly", "yes", "--appendfsync", "always"], true).await;
}

async fn run_all(options: &'static [&'static str], kills: bool) {
    let mut runs = JoinSet::new();
    for seed in SEEDS.into_iter().chain([rand::random()]) {
        runs.spawn(async move {
            let run = tokio::spawn(LongRun::go(seed, options, kills));
            run.await
                .unwrap_or_else(|_| panic!("the run of seed {seed} fails"));
        });
    }
    while let Some(run) = runs.join_next().await {
        run.unwrap();
    }
}

/// What all have been told.
#[derive(Default)]
struct Told {
    /// All identifiers that anybody was given.
    given: HashSet<String>,
    /// Those that somebody was told are dead.
    dead: HashSet<String>,
}

/// What the people have in common.
#[derive(Clone)]
struct Site {
    stores: [RedisStore; 2],
    /// A browser without cookies at each server.
    browsers: [Client; 2],
    told: Arc<Mutex<Told>>,
    closes: Arc<AtomicBool>,
}

struct LongRun {
    redis: TestServer,
    site: Site,
    random: SmallRng,
    _servers: [Server; 2],
}

impl LongRun {
    async fn go(seed: u64, options: &[&str], kills: bool) {
        let mut run = Self::start(seed, options).await;
        let mut people = JoinSet::new();
        for number in 0..PEOPLE {
            let random = SmallRng::seed_from_u64(seed.wrapping_add(number as u64 + 1));
            let person = Person::new(number, random, run.site.clone());
            people.spawn(person.lives());
        }
        for _ in 0..ROUNDS {
            let calm = run.random.random_range(50..300);
            sleep(Duration::from_millis(calm)).await;
            run.something_happens(kills).await;
        }
        // On a busy machine less happens in that time.
        while run.site.told.lock().unwrap().dead.len() <= ENOUGH {
            sleep(Duration::from_millis(50)).await;
        }
        run.site.closes.store(true, Ordering::Relaxed);
        let mut left = Vec::new();
        while let Some(person) = people.join_next().await {
            left.push(person.unwrap());
        }
        run.ends(left).await;
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
            told: Arc::default(),
            closes: Arc::default(),
        };
        Self {
            redis,
            site,
            random: SmallRng::seed_from_u64(seed),
            _servers: servers,
        }
    }

    async fn something_happens(&mut self, kills: bool) {
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

    /// When all is well again, it is as everybody was told.
    async fn ends(self, people: Vec<Person>) {
        let nobody = SessionId::generate(Bucket::random().unwrap())
            .unwrap()
            .key();
        for store in &self.site.stores {
            while store.load(&nobody).await.is_err() {
                sleep(Duration::from_millis(10)).await;
            }
            let all = || format!("{store:?}").contains("to_withdraw: 0");
            wait_until("all is undone that has to be", all).await;
        }
        let builder = RedisStore::builder(self.redis.url()).wait(Duration::from_secs(10));
        let store = builder.connect().await.unwrap();
        for mut person in people {
            person.looks_at_everything().await;
        }
        let Told { given, dead } = std::mem::take(&mut *self.site.told.lock().unwrap());
        let mut living = 0;
        for id in &given {
            if let Loaded::Live(_) = store.load(&key(id)).await.unwrap() {
                assert!(!dead.contains(id), "{id} is dead, and lives");
                living += 1;
            }
        }
        assert_eq!(living, self.live(), "nobody was given some that live");
    }

    fn live(&self) -> usize {
        let mut keys = self.redis.cli(&["KEYS", "*"]).texts();
        keys.retain(|key| !key.contains("}:") && key.contains('{'));
        let is_live = |key: &&String| self.redis.cli(&["GETRANGE", key, "0", "0"]).text() == "1";
        keys.iter().filter(is_live).count()
    }
}

/// Somebody with two names and three browsers, who knows what they were told.
struct Person {
    names: [String; 2],
    browsers: Vec<Browser>,
    random: SmallRng,
    site: Site,
}

struct Browser {
    client: Client,
    session: Option<Session>,
}

/// What is known of a session.
#[derive(Debug, Clone)]
struct Session {
    id: String,
    user: Option<String>,
    /// What its counter may show.
    at_least: u64,
    at_most: u64,
    /// It may have ended, or end at any moment: somebody was told that it is not known.
    in_doubt: bool,
}

impl Person {
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

    async fn lives(mut self) -> Self {
        while !self.site.closes.load(Ordering::Relaxed) {
            let browser = self.random.random_range(0..self.browsers.len());
            match self.random.random_range(0..20) {
                0..=9 => self.counts(browser).await,
                10..=12 => self.signs_in(browser).await,
                13..=14 => self.gets_another_identifier(browser).await,
                15 => self.signs_out(browser).await,
                16 => self.is_revoked().await,
                _ => self.looks(browser).await,
            }
            sleep(Duration::from_millis(5)).await;
        }
        self
    }

    /// This browser, at one of the servers.
    fn anywhere(&mut self, browser: usize) -> Client {
        let server = self.random.random_range(0..2);
        let there = self.site.browsers[server].address();
        self.browsers[browser].client.at(there)
    }

    /// Several requests at once add one each.
    async fn counts(&mut self, browser: usize) {
        let session = self.browsers[browser].session.as_ref();
        let together = match session {
            Some(session) if !session.in_doubt => self.random.random_range(1..4),
            // Each would begin a session of its own.
            _ => 1,
        };
        let clients: Vec<_> = (0..together).map(|_| self.anywhere(browser)).collect();
        let flights: Vec<_> = clients
            .iter()
            .map(|client| client.post("/number/n").start())
            .collect();
        for flight in flights {
            let reply = flight.reply().await;
            let given = given(&reply);
            match (reply.status(), given) {
                (204, Some(id)) => {
                    self.is_over(browser, &reply);
                    self.begins(browser, id, None, 1, 1);
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
                (401, None) => self.is_over(browser, &reply),
                _ => panic!("{reply:?}"),
            }
        }
    }

    async fn signs_in(&mut self, browser: usize) {
        let name = self.names[self.random.random_range(0..2)].clone();
        let client = self.anywhere(browser);
        let reply = client.post(&format!("/login?user={name}")).await;
        match (reply.status(), given(&reply)) {
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
                        let least = if old.in_doubt { 0 } else { least };
                        self.is_dead(&old.id);
                        (least, most)
                    }
                };
                self.begins(browser, id, Some(name), at_least, at_most);
            }
            (503, None) => self.is_in_doubt(browser),
            (401, None) => self.is_over(browser, &reply),
            _ => panic!("{reply:?}"),
        }
    }

    async fn gets_another_identifier(&mut self, browser: usize) {
        let Some(session) = self.browsers[browser].session.clone() else {
            return;
        };
        let client = self.anywhere(browser);
        let elevates = session.user.is_some() && self.random.random_ratio(1, 2);
        let target = if elevates { "/elevate" } else { "/regenerate" };
        let reply = client.post(target).await;
        match (reply.status(), given(&reply)) {
            (204, Some(id)) => {
                self.is_dead(&session.id);
                self.site.told.lock().unwrap().given.insert(id.clone());
                self.browsers[browser].session = Some(Session { id, ..session });
            }
            (503, None) => self.is_in_doubt(browser),
            // There was nothing to be given another identifier.
            (204, None) => self.is_over(browser, &reply),
            (401 | 403, None) => self.is_over(browser, &reply),
            _ => panic!("{reply:?}"),
        }
    }

    async fn signs_out(&mut self, browser: usize) {
        let Some(session) = self.browsers[browser].session.clone() else {
            return;
        };
        let reply = self.anywhere(browser).post("/logout").await;
        match reply.status() {
            204 => {
                self.is_dead(&session.id);
                self.starts_afresh(browser);
            }
            503 => self.is_in_doubt(browser),
            401 => self.is_over(browser, &reply),
            _ => panic!("{reply:?}"),
        }
    }

    /// An operator ends all that are signed in under a name.
    async fn is_revoked(&mut self) {
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
                    self.is_dead(&session.id);
                    self.starts_afresh(browser);
                }
                503 => self.is_in_doubt(browser),
                _ => panic!("{reply:?}"),
            }
        }
        // Who signs in at that very moment counts as before it.
        for store in &self.site.stores {
            let then = store.clock().latest;
            while store.clock().earliest <= then {
                sleep(Duration::from_millis(1)).await;
            }
        }
    }

    async fn looks(&mut self, browser: usize) {
        let client = self.anywhere(browser);
        let reply = client.get("/passive/session").await;
        if reply.status() == 503 {
            return;
        }
        let look: Look = reply.is(200).json();
        let Some(session) = self.browsers[browser].session.clone() else {
            assert_eq!((look.user, look.handle), (None, None));
            return;
        };
        if look.handle.is_none() {
            return self.is_over(browser, &reply);
        }
        assert_eq!(look.user, session.user, "{session:?}");
        let reply = client.get("/number/n").await;
        match reply.status() {
            200 if session.in_doubt && reply.body() == "None" => {}
            200 => {
                let told = reply
                    .body()
                    .trim_start_matches("Some(")
                    .trim_end_matches(')');
                let number = told.parse().unwrap_or(0);
                let range = session.at_least..=session.at_most;
                assert!(range.contains(&number), "{number} in {session:?}");
            }
            503 => {}
            401 => self.is_over(browser, &reply),
            _ => panic!("{reply:?}"),
        }
    }

    async fn looks_at_everything(&mut self) {
        for browser in 0..self.browsers.len() {
            self.looks(browser).await;
        }
    }

    fn begins(
        &mut self,
        browser: usize,
        id: String,
        user: Option<String>,
        at_least: u64,
        at_most: u64,
    ) {
        self.site.told.lock().unwrap().given.insert(id.clone());
        self.browsers[browser].session = Some(Session {
            id,
            user,
            at_least,
            at_most,
            in_doubt: false,
        });
    }

    /// The session of this browser has gone. It must be one that could.
    fn is_over(&mut self, browser: usize, reply: &Reply) {
        if let Some(session) = self.browsers[browser].session.take() {
            assert!(session.in_doubt, "{session:?}: {reply:?}");
        }
        if given(reply).is_none() {
            self.starts_afresh(browser);
        }
    }

    fn is_in_doubt(&mut self, browser: usize) {
        if let Some(session) = &mut self.browsers[browser].session {
            session.in_doubt = true;
        }
    }

    fn starts_afresh(&mut self, browser: usize) {
        self.browsers[browser] = Browser {
            client: self.site.browsers[0].fork(),
            session: None,
        };
    }

    fn is_dead(&self, id: &str) {
        self.site.told.lock().unwrap().dead.insert(id.to_owned());
    }
}

/// The identifier that a response gives. What is not available leaves the browser's cookies alone.
fn given(reply: &Reply) -> Option<String> {
    if reply.status() == 503 {
        reply.keeps_the_cookie();
    }
    let cookies = reply.set_cookies().into_iter();
    let mut given = cookies.filter(|cookie| !cookie.removes());
    given.next().map(|cookie| cookie.value)
}
