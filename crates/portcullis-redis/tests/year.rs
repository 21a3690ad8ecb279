//! What a year leaves behind.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod support;

use std::time::Duration;

use portcullis_core::store::{Create, Created, LogLimits, Others, Store};
use portcullis_redis::{RedisStore, testing::TestServer};
use support::{key_of, limits, owned, payload, snapshot::Snapshot, write_of};

const HOUR: u64 = 60 * 60 * 1000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn sign_in(store: &RedisStore, user: &str) {
    let write = write_of(&owned(store, user), payload());
    let limits = limits(47 * HOUR, 30 * 24 * HOUR);
    let created = store
        .create(Create::new(&key_of(user), &write, limits, &Others::Stay))
        .await;
    assert!(matches!(created.unwrap(), Created::Done(..)));
}

fn used(server: &TestServer) -> i64 {
    // What is freed in the background counts until it is.
    server.cli(&["MEMORY", "PURGE"]);
    let info = server.cli(&["INFO", "memory"]).text();
    let used = info
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"));
    used.unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn t71_a_year_of_sign_ins_without_a_sign_out_leaves_what_a_month_does() {
    let server = TestServer::start();
    let log = LogLimits {
        events: 1024,
        age: 30 * DAY,
    };
    let builder = RedisStore::builder(server.url()).log(log);
    let store = builder
        .wait(Duration::from_secs(5))
        .connect()
        .await
        .unwrap();
    let mut figures = Vec::new();
    for day in 1..=365 {
        for user in 0..20 {
            sign_in(&store, &format!("user {user}")).await;
        }
        let (stored, _) = Snapshot::take(&server);
        let live = stored.live().count();
        // Those of today and of yesterday.
        assert_eq!(live, if day == 1 { 20 } else { 40 }, "on day {day}");
        let listed = (stored.listed("x"), stored.listed("u"));
        assert_eq!(listed, (live, live), "on day {day}");
        if [30, 365].contains(&day) {
            let keys = server.cli(&["DBSIZE"]).integer();
            figures.push((keys, used(&server)));
        }
        server.age_sessions(DAY);
        let swept = store.sweep().await.unwrap();
        assert_eq!(swept.expired.len(), if day == 1 { 0 } else { 20 });
    }
    println!("keys and bytes after 30 and 365 days: {figures:?}");
    let [(keys, bytes), (keys_later, bytes_later)] = figures[..] else {
        panic!("{figures:?}")
    };
    assert_eq!(keys, keys_later, "{figures:?}");
    assert!(bytes_later < bytes + bytes / 20, "{figures:?}");
}
