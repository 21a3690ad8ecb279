//! How many commands an operation costs.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use portcullis_core::{
    EndReason,
    store::{
        Activity, Committed, CommittedSession, CreatedSession, Deadline, Loaded, Replaced, Store,
    },
};
use portcullis_redis::testing::TestServer;
use support::{Anonymous, LIMITS, calls, create, key, key_of, payload, server_and_store};

/// What clients sent since the last `CONFIG RESETSTAT`, without the supervisor's questions for the time.
fn sent(server: &TestServer) -> (u64, u64, u64, u64) {
    let counts = (
        calls(server, "get"),
        calls(server, "evalsha"),
        calls(server, "eval"),
        calls(server, "del"),
    );
    server.cli(&["CONFIG", "RESETSTAT"]);
    counts
}

#[tokio::test]
async fn reading_is_one_get_and_every_change_is_one_script() {
    let (server, store) = server_and_store().await;
    let (first, second, elsewhere) = (key(), key(), key_of("bob"));
    // The first use of each script sends it.
    warm_up(&store).await;
    server.cli(&["CONFIG", "RESETSTAT"]);

    let (_, revision) = create(&store, &first).await;
    assert_eq!(sent(&server), (0, 1, 0, 0));

    assert!(matches!(store.load(&first).await.unwrap(), Loaded::Live(_)));
    assert_eq!(sent(&server), (1, 0, 0, 0));
    // Where there is nothing, the list is asked whether its time was over, and the key once more in the same breath.
    assert_eq!(store.load(&second).await.unwrap(), Loaded::Absent);
    assert_eq!(sent(&server), (2, 1, 0, 0));

    store.touch_anonymous(&first).await.unwrap();
    assert_eq!(sent(&server), (0, 1, 0, 0));

    let committed = store
        .commit_anonymous(&first, revision, payload(), Activity::Active)
        .await
        .unwrap();
    let Committed::Done(CommittedSession { revision, .. }) = committed else {
        panic!("{committed:?}")
    };
    assert_eq!(sent(&server), (0, 1, 0, 0));

    let keep = Deadline::Keep(Activity::Active);
    let replaced = store
        .replace_anonymous(&first, &second, revision, payload(), keep)
        .await
        .unwrap();
    let Replaced::Done(CreatedSession { revision, .. }) = replaced else {
        panic!("{replaced:?}")
    };
    // The script itself buries the old key with DEL.
    assert_eq!(sent(&server), (0, 1, 0, 1));

    let restart = Deadline::Restart(LIMITS);
    store
        .replace_anonymous(&second, &elsewhere, revision, payload(), restart)
        .await
        .unwrap();
    assert_eq!(sent(&server), (0, 2, 0, 1));

    store
        .end_anonymous(&elsewhere, EndReason::SignedOut)
        .await
        .unwrap();
    assert_eq!(sent(&server), (0, 1, 0, 1));
}

#[tokio::test]
async fn a_server_that_forgot_the_scripts_is_told_them_once() {
    let (server, store) = server_and_store().await;
    let key = key();
    create(&store, &key).await;
    store.touch_anonymous(&key).await.unwrap();
    server.cli(&["SCRIPT", "FLUSH"]);
    server.cli(&["CONFIG", "RESETSTAT"]);
    store.touch_anonymous(&key).await.unwrap();
    assert_eq!(sent(&server), (0, 1, 1, 0));
    store.touch_anonymous(&key).await.unwrap();
    assert_eq!(sent(&server), (0, 1, 0, 0));
}

#[tokio::test]
async fn no_command_looks_at_all_keys() {
    let (server, store) = server_and_store().await;
    warm_up(&store).await;
    let stats = server.cli(&["INFO", "commandstats"]).text();
    for command in ["keys", "scan", "flushall", "flushdb", "config"] {
        assert_eq!(calls(&server, command), 0, "{stats}");
    }
}

async fn warm_up(store: &portcullis_redis::RedisStore) {
    let (first, second, elsewhere) = (key(), key(), key_of("bob"));
    let (_, revision) = create(store, &first).await;
    assert_eq!(store.load(&second).await.unwrap(), Loaded::Absent);
    store.touch_anonymous(&first).await.unwrap();
    let Committed::Done(CommittedSession { revision, .. }) = store
        .commit_anonymous(&first, revision, payload(), Activity::Active)
        .await
        .unwrap()
    else {
        panic!("not committed")
    };
    let keep = Deadline::Keep(Activity::Active);
    let Replaced::Done(CreatedSession { revision, .. }) = store
        .replace_anonymous(&first, &second, revision, payload(), keep)
        .await
        .unwrap()
    else {
        panic!("not replaced")
    };
    store
        .replace_anonymous(
            &second,
            &elsewhere,
            revision,
            payload(),
            Deadline::Restart(LIMITS),
        )
        .await
        .unwrap();
    store
        .end_anonymous(&elsewhere, EndReason::SignedOut)
        .await
        .unwrap();
}
