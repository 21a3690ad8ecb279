//! Where commands find the sessions.

use std::{fs, num::NonZeroU32, time::Duration};

use portcullis::{LogQuery, Logged, RedisStore, Sessions, Store, Timestamp};
use portcullis_redis::RedisStoreBuilder;

use crate::{
    args::{Connection, Look},
    exit::Failure,
    moment::Clock,
    text,
};

/// An operator can be further away than the application, and waits longer than a request may.
const WAIT: Duration = Duration::from_secs(3);

/// A store that answered, and what is done with it.
pub(crate) struct Desk {
    store: RedisStore,
    pub(crate) sessions: Sessions,
    look: Look,
}

impl Desk {
    pub(crate) async fn open(connection: &Connection, look: Look) -> Result<Self, Failure> {
        Self::with(builder(connection)?, look).await
    }

    /// The same, where revocations wait for this many replicas.
    pub(crate) async fn confirming(
        connection: &Connection,
        look: Look,
        replicas: Option<NonZeroU32>,
    ) -> Result<Self, Failure> {
        let builder = builder(connection)?;
        let builder = match replicas {
            Some(replicas) => builder.confirm_by_replicas(replicas.get()),
            None => builder,
        };
        Self::with(builder, look).await
    }

    async fn with(builder: RedisStoreBuilder, look: Look) -> Result<Self, Failure> {
        // `check` tells of eviction. Where an application runs with it all the same, its sessions can be ended.
        let builder = builder.wait(WAIT).allow_unsafe_eviction();
        let store = builder.connect().await?;
        Ok(Self {
            sessions: Sessions::new(store.clone()),
            store,
            look,
        })
    }

    /// The server's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.store.now()
    }

    pub(crate) fn clock(&self) -> Clock {
        Clock {
            now: self.now(),
            utc: self.look.utc,
        }
    }

    /// The newest `most` events that the query asks for and `is_wanted`, newest first. A query cannot say all of what
    /// is wanted, so where the first are not enough, all are read.
    pub(crate) async fn newest(
        &self,
        query: &LogQuery,
        most: usize,
        is_wanted: impl Fn(&Logged) -> bool,
    ) -> Result<Vec<Logged>, Failure> {
        let mut wanted = Vec::new();
        for read in [most, most.saturating_mul(20), usize::MAX] {
            let query = LogQuery {
                most: read,
                ..query.clone()
            };
            wanted = self.sessions.history(query).await?;
            let is_all = wanted.len() < read;
            wanted.retain(&is_wanted);
            if is_all || wanted.len() >= most {
                break;
            }
        }
        wanted.truncate(most);
        Ok(wanted)
    }
}

pub(crate) fn builder(connection: &Connection) -> Result<RedisStoreBuilder, Failure> {
    let builder = RedisStore::builder(&connection.redis_url).key_prefix(&connection.prefix);
    let Some(file) = &connection.ca_certificate else {
        return Ok(builder);
    };
    let pem = fs::read(file).map_err(|error| {
        let file = text::shown(&file.to_string_lossy());
        Failure::Usage(format!("the certificate in {file} cannot be read: {error}"))
    })?;
    Ok(builder.ca_certificate_pem(pem))
}
