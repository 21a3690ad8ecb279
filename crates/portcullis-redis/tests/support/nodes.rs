//! What lies on which node of a cluster, and what holds on each.

use std::time::{Duration, Instant};

use portcullis_core::{
    Bucket, SessionId, SessionIdHash, UserId,
    store::{Create, Created, Loaded, Others, Store},
};
use portcullis_redis::{RedisStore, testing::TestCluster};

use super::{LIMITS, all_of, key_of, owned, payload, spelled, write_of};

/// A key in some bucket of this node.
pub fn key_on(cluster: &TestCluster, node: usize) -> SessionIdHash {
    loop {
        let bucket = Bucket::random().unwrap();
        let key = SessionId::generate(bucket).unwrap().key();
        if cluster.owner(cluster.slot(&spelled(&key))) == node {
            return key;
        }
    }
}

/// A user whose sessions are on this node. Whoever asks under another name gets another one.
pub fn user_on(cluster: &TestCluster, node: usize, name: &str) -> UserId {
    let mut users = (0..).map(|number| UserId::from(format!("{name} {number}")));
    let is_there = |user: &UserId| {
        let slot = cluster.slot(&spelled(&key_of(user.clone())));
        cluster.owner(slot) == node
    };
    users.find(is_there).unwrap()
}

/// A sign-in that looked before a revocation of all is refused, and one that looked after it is not.
pub async fn revokes_what_is_older(store: &RedisStore, user: &UserId) {
    // Longer than the clock of any node is known to.
    let pause = Duration::from_millis(150);
    let early = owned(store, user.clone());
    tokio::time::sleep(pause).await;
    store.revoke(&all_of(user.clone())).await.unwrap();
    tokio::time::sleep(pause).await;
    let late = owned(store, user.clone());
    for (meta, refused) in [(early, true), (late, false)] {
        let write = write_of(&meta, payload());
        let created = store
            .create(Create::new(
                &key_of(user.clone()),
                &write,
                LIMITS,
                &Others::Stay,
            ))
            .await;
        let was_refused = matches!(created.unwrap(), Created::Revoked);
        assert_eq!(was_refused, refused, "{user}");
    }
}

/// For two seconds, whoever asks.
pub async fn stays_ended(store: &RedisStore, key: &SessionIdHash) {
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        let ended = store.load(key).await.unwrap();
        assert!(matches!(ended, Loaded::Ended { .. }), "{ended:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
