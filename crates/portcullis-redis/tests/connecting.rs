//! What is refused when the application starts.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::{Duration, Instant};

use portcullis_core::{
    EndReason,
    store::{LogQuery, Store},
};
use portcullis_redis::{ConnectError, RedisStore, testing::TestServer};
use support::{Anonymous, create, key, live};

async fn error(url: &str) -> ConnectError {
    let error = RedisStore::connect(url).await.unwrap_err();
    let text = format!("{error} {error:?} {:?}", RedisStore::builder(url));
    assert!(!text.contains("hunter2"), "{text}");
    error
}

#[tokio::test]
async fn an_address_that_is_not_understood_is_refused_and_its_password_not_repeated() {
    for url in [
        "http://a:hunter2@localhost",
        "redis-shard://a:hunter2@localhost",
        "redis+sentinel://hunter2@localhost",
    ] {
        let error = error(url).await;
        assert!(matches!(error, ConnectError::Scheme { .. }), "{error}");
        assert!(
            error
                .to_string()
                .contains("supported are redis://, redis-cluster://"),
            "{error}"
        );
    }
    for url in [
        "redis://",
        "redis://a:hunter2@",
        "redis://a:hunter2@localhost:port",
        "redis://a:hunter2@localhost/x",
        "redis://a:hunter2@localhost?db=3",
        "redis://a:hunter2@localhost#3",
        "redis-cluster://a:hunter2@localhost#3",
        "redis-sentinel://a:hunter2@localhost/x?sentinelServiceName=a",
        "redis://a:hunter2@localhost:99999",
        "redis://a:hunter2@x@localhost",
        "redis-cluster://a:hunter2@localhost:port",
        "redis-cluster://a:hunter2@localhost?node=localhost",
        "redis-sentinel://a:hunter2@localhost",
        "redis-sentinel://localhost?sentinelServiceName=a&sentinelPassword=hunter2@",
    ] {
        let error = error(url).await;
        assert!(matches!(error, ConnectError::Address(_)), "{url}: {error}");
    }
    assert!(matches!(
        error("hunter2").await,
        ConnectError::Scheme { .. }
    ));
}

#[tokio::test]
async fn settings_out_of_range_are_refused() {
    for wait in [0, 9, 10_001] {
        let builder = RedisStore::builder("redis://127.0.0.1:1").wait(Duration::from_millis(wait));
        assert!(
            matches!(builder.connect().await, Err(ConnectError::Setting(_))),
            "{wait}"
        );
    }
    let builder = RedisStore::builder("redis://127.0.0.1:1").key_prefix("{x}");
    assert!(matches!(
        builder.connect().await,
        Err(ConnectError::Setting(_))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_or_hangs_is_reported_in_bounded_time() {
    let mut server = TestServer::start();
    let url = format!("redis://app:hunter2@127.0.0.1:{}", server.port());
    server.pause();
    let since = Instant::now();
    assert!(matches!(
        error(&url).await,
        ConnectError::Unreachable { .. }
    ));
    assert!(
        since.elapsed() < Duration::from_millis(2500),
        "{:?}",
        since.elapsed()
    );
    server.kill();
    let since = Instant::now();
    let error = error(&url).await;
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains(&format!("127.0.0.1:{}", server.port())),
        "{error}"
    );
    assert!(
        since.elapsed() < Duration::from_millis(500),
        "{:?}",
        since.elapsed()
    );
}

#[tokio::test]
async fn a_wrong_password_a_missing_one_and_an_unknown_user_are_refused() {
    let server = TestServer::start_with(&["--requirepass", "right"]);
    let port = server.port();
    for credentials in [":hunter2@", "app:hunter2@", "app@", ""] {
        let error = error(&format!("redis://{credentials}127.0.0.1:{port}")).await;
        assert!(
            matches!(error, ConnectError::Refused { .. }),
            "{credentials}: {error}"
        );
    }
    let store = RedisStore::connect(format!("redis://:right@127.0.0.1:{port}/3"))
        .await
        .unwrap();
    let key = key();
    create(&store, &key).await;
    live(&store, &key).await;
    let shown = format!("{store:?}");
    assert!(
        shown.contains(&format!("127.0.0.1:{port}")) && !shown.contains("right"),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_answers_is_not_taken_for_one_that_is_away() {
    let server = TestServer::start();
    let port = server.port();
    let no_such = error(&format!("redis://127.0.0.1:{port}/99")).await;
    assert!(
        matches!(no_such, ConnectError::Database { .. }),
        "{no_such}"
    );
    for rule in ["-select", "-time"] {
        server.cli(&[
            "ACL", "SETUSER", "app", "reset", "on", ">hunter2", "~pc:*", "+@all", rule,
        ]);
        let refused = error(&format!("redis://app:hunter2@127.0.0.1:{port}/3")).await;
        assert!(matches!(refused, ConnectError::Refused { .. }), "{refused}");
        assert!(refused.to_string().contains("NOPERM"), "{refused}");
    }
    let service = format!("redis-sentinel://127.0.0.1:{port}?sentinelServiceName=a");
    let no_sentinel = error(&service).await;
    assert!(
        matches!(no_sentinel, ConnectError::Sentinel { .. }),
        "{no_sentinel}"
    );
    assert!(
        no_sentinel.to_string().contains("is no Sentinel"),
        "{no_sentinel}"
    );
}

#[tokio::test]
async fn lists_logs_and_counts_are_of_the_database_in_the_address() {
    let server = TestServer::start();
    let in_database = async |number: u8| {
        let builder = RedisStore::builder(format!("{}/{number}", server.url()));
        builder
            .wait(Duration::from_secs(5))
            .connect()
            .await
            .unwrap()
    };
    let (three, four) = (in_database(3).await, in_database(4).await);
    support::create_owned(&three, "alice").await;
    for (store, sessions) in [(&three, 1), (&four, 0)] {
        assert_eq!(store.list(&"alice".into()).await.unwrap().len(), sessions);
        assert_eq!(store.count().await.unwrap().total(), sessions as u64);
        let logged = store.read_log(&LogQuery::default()).await.unwrap();
        assert_eq!(logged.len(), sessions);
    }
    assert_eq!(server.cli(&["DBSIZE"]).integer(), 0);
}

#[tokio::test]
async fn a_user_without_a_password_is_that_user_and_not_the_default_one() {
    let server = TestServer::start();
    server.cli(&[
        "ACL",
        "SETUSER",
        "nobody",
        "on",
        "nopass",
        "resetkeys",
        "~other:*",
        "+@all",
    ]);
    let store = RedisStore::connect(format!("redis://nobody@127.0.0.1:{}", server.port()))
        .await
        .unwrap();
    let refused = Store::load(&store, &key()).await;
    assert_eq!(
        support::kind(refused),
        portcullis_core::store::StoreErrorKind::Misconfigured
    );
}

#[tokio::test]
async fn a_server_that_evicts_any_key_is_refused_unless_that_is_allowed() {
    for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-random"] {
        let server =
            TestServer::start_with(&["--maxmemory", "100mb", "--maxmemory-policy", policy]);
        let error = error(&server.url()).await;
        assert!(
            matches!(&error, ConnectError::UnsafeEviction { .. }),
            "{error}"
        );
        assert!(error.to_string().contains(policy), "{error}");
        let store = RedisStore::builder(server.url())
            .allow_unsafe_eviction()
            .connect()
            .await
            .unwrap();
        create(&store, &key()).await;
        // Without a limit nothing is evicted.
        server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
        RedisStore::connect(server.url()).await.unwrap();
    }
    for policy in ["noeviction", "volatile-ttl", "volatile-lru"] {
        let server =
            TestServer::start_with(&["--maxmemory", "100mb", "--maxmemory-policy", policy]);
        RedisStore::connect(server.url()).await.unwrap();
    }
}

#[tokio::test]
async fn two_prefixes_on_one_server_do_not_see_each_other() {
    let server = TestServer::start();
    let one = RedisStore::connect(server.url()).await.unwrap();
    let other = RedisStore::builder(server.url())
        .key_prefix("other")
        .connect()
        .await
        .unwrap();
    let key = key();
    create(&one, &key).await;
    create(&other, &key).await;
    assert_eq!(support::sessions(&server).len(), 2);
    let mut keys = server.cli(&["KEYS", "*"]).texts();
    // Each has a session, a list and a log.
    assert_eq!(keys.len(), 6);
    keys.retain(|key| !key.starts_with("other:id:{"));
    assert_eq!(keys.len(), 3);
    assert!(
        keys.iter().all(|key| key.starts_with("pc:id:{")),
        "{keys:?}"
    );
    other
        .end_anonymous(&key, EndReason::SignedOut)
        .await
        .unwrap();
    live(&one, &key).await;
}
