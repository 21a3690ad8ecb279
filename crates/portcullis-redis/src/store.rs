//! The store: contract on one side, scripts on the other.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use portcullis_core::{
    EndReason, SessionKey, Timestamp,
    store::{
        Activity, Committed, Created, Deadline, Ended, Limits, Loaded, Revision, Store, StoreError,
        StoreErrorKind, Touched,
    },
};

use crate::{
    ConnectError, RedisStoreBuilder,
    driver::{COMMIT, CREATE, Driver, END, Fetched, REPLACE, Reply, Script, TOUCH},
    keys::Prefix,
    record::{self, Record, millis},
};

/// Sessions in Redis.
///
/// Clones share one connection. It is watched by a task of the Tokio runtime that
/// [`connect`](Self::connect) was called on, which ends with the last clone.
#[derive(Clone)]
pub struct RedisStore {
    inner: Arc<Inner>,
}

struct Inner {
    driver: Driver,
    prefix: Prefix,
}

impl RedisStore {
    /// Connects to the server at `url` with default settings.
    ///
    /// The URL is `redis://[user:password@]host[:port][/database]`, or the same with `rediss://` for TLS.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]: see [`RedisStoreBuilder::connect`].
    ///
    /// ```no_run
    /// # use portcullis_redis::{ConnectError, RedisStore};
    /// # async fn connect() -> Result<(), ConnectError> {
    /// let store = RedisStore::connect("redis://127.0.0.1:6379").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect(url: impl Into<String>) -> Result<Self, ConnectError> {
        Self::builder(url).connect().await
    }

    /// Settings for a store at `url`.
    pub fn builder(url: impl Into<String>) -> RedisStoreBuilder {
        RedisStoreBuilder::new(url.into())
    }

    pub(crate) fn new(driver: Driver, prefix: Prefix) -> Self {
        Self {
            inner: Arc::new(Inner { driver, prefix }),
        }
    }

    pub(crate) async fn run(
        &self,
        script: &Script,
        keys: &[&SessionKey],
        arguments: Vec<Bytes>,
    ) -> Result<Reply, StoreError> {
        let keys = keys
            .iter()
            .map(|key| self.inner.prefix.session(key))
            .collect();
        self.inner.driver.run(script, keys, arguments).await
    }

    /// Removes a key without a trace. Only for one that was never handed out.
    pub(crate) async fn remove(&self, key: &SessionKey) -> Result<(), StoreError> {
        self.inner
            .driver
            .remove(self.inner.prefix.session(key))
            .await
    }
}

/// How many moves of a session an end follows: more than take place within the minute in which they are
/// remembered, unless somebody makes them on purpose. That is an error, never "gone".
const MOVES: usize = 64;

impl Store for RedisStore {
    fn now(&self) -> Timestamp {
        self.inner.driver.now()
    }

    async fn load(&self, key: &SessionKey) -> Result<Loaded, StoreError> {
        let value = match self
            .inner
            .driver
            .get(self.inner.prefix.session(key))
            .await?
        {
            Fetched::Value(value) => value,
            Fetched::Nothing => return Ok(Loaded::Absent),
            Fetched::OtherType => return Ok(damaged()),
        };
        Ok(match Record::parse(&value) {
            // A key may lose its TTL, by PERSIST or a careless restore. The session still ends in time.
            Record::Session(stored) if !stored.timing.is_live(self.now()) => Loaded::Absent,
            Record::Session(stored) => Loaded::Live(stored),
            Record::Ended(Some(reason)) => Loaded::Ended(reason),
            Record::Ended(None) => Loaded::Absent,
            Record::Newer => return Err(StoreError::newer_format()),
            Record::Damaged => damaged(),
        })
    }

    async fn create(
        &self,
        key: &SessionKey,
        payload: Bytes,
        limits: Limits,
    ) -> Result<Created, StoreError> {
        let revision = draw();
        let (idle, absolute) = record::limits(limits);
        let arguments = vec![
            number(idle),
            number(absolute),
            record::revision(revision).into(),
            payload,
            Bytes::new(),
            Bytes::new(),
        ];
        match self.run(&CREATE, &[key], arguments).await? {
            Reply::Done(timing) => Ok(Created::Done(timing, revision)),
            Reply::Taken => Ok(Created::Taken),
            _ => Err(out_of_place()),
        }
    }

    async fn commit(
        &self,
        key: &SessionKey,
        expected: Revision,
        payload: Bytes,
        activity: Activity,
    ) -> Result<Committed, StoreError> {
        let revision = draw_after(expected);
        let arguments = vec![
            record::revision(expected).into(),
            record::revision(revision).into(),
            flag(activity),
            payload,
        ];
        committed(self.run(&COMMIT, &[key], arguments).await?, revision)
    }

    /// Within a bucket this is one atomic step. Between buckets, which may be on different servers, it is
    /// two: the new session is made under a key that nobody knows yet, then the old one is ended if nobody
    /// wrote to it meanwhile, else the new one is taken back. The end is the moment that counts: before it
    /// the old session lives and the new one is unknown to all, after it the old one is dead for everyone.
    async fn replace(
        &self,
        old: &SessionKey,
        new: &SessionKey,
        expected: Revision,
        payload: Bytes,
        deadline: Deadline,
    ) -> Result<Committed, StoreError> {
        if old.bucket() != new.bucket() {
            return self.relocate(old, new, expected, payload, deadline).await;
        }
        let revision = draw_after(expected);
        let (activity, idle, absolute) = match deadline {
            Deadline::Keep(activity) => (flag(activity), Bytes::new(), Bytes::new()),
            Deadline::Restart(limits) => {
                let (idle, absolute) = record::limits(limits);
                (Bytes::new(), number(idle), number(absolute))
            }
        };
        let [code, memory] = epitaph(EndReason::Replaced);
        let arguments = vec![
            record::revision(expected).into(),
            record::revision(revision).into(),
            payload,
            code,
            memory,
            activity,
            idle,
            absolute,
            successor(deadline, new),
        ];
        committed(self.run(&REPLACE, &[old, new], arguments).await?, revision)
    }

    async fn touch(&self, key: &SessionKey) -> Result<Touched, StoreError> {
        match self.run(&TOUCH, &[key], Vec::new()).await? {
            Reply::Done(timing) => Ok(Touched::Done(timing)),
            Reply::Gone => Ok(Touched::Gone),
            Reply::Newer => Err(StoreError::newer_format()),
            _ => Err(out_of_place()),
        }
    }

    /// One atomic step under each key that the session was moved to meanwhile, which may be on different
    /// servers. Only the last one changes something; whoever moves the session in between is followed too.
    async fn end(&self, key: &SessionKey, reason: EndReason) -> Result<Ended, StoreError> {
        let mut key = *key;
        for _ in 0..=MOVES {
            match self.run(&END, &[&key], epitaph(reason).into()).await? {
                Reply::Done(_) => return Ok(Ended::Done),
                Reply::Gone => return Ok(Ended::AlreadyGone),
                Reply::Moved(successor) => match record::successor(&successor) {
                    Some(successor) => key = successor,
                    // Not written by this crate. It leads nowhere.
                    None => return Ok(Ended::AlreadyGone),
                },
                Reply::Newer => return Err(StoreError::newer_format()),
                _ => return Err(out_of_place()),
            }
        }
        Err(StoreError::new(
            StoreErrorKind::Unavailable,
            "a session was given new identifiers faster than it could be ended, and lives on; try again",
        ))
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("driver", &self.inner.driver)
            .field("prefix", &self.inner.prefix)
            .finish()
    }
}

pub(crate) fn committed(reply: Reply, revision: Revision) -> Result<Committed, StoreError> {
    match reply {
        Reply::Done(timing) => Ok(Committed::Done(timing, revision)),
        Reply::Gone => Ok(Committed::Gone),
        Reply::Conflict(value) => Ok(match Record::parse(&value) {
            Record::Session(current) => Committed::Conflict(current),
            // The script has just found a live session in it, so this is out of reach; gone is safe.
            _ => Committed::Gone,
        }),
        Reply::Taken => Err(StoreError::key_taken()),
        Reply::Newer => Err(StoreError::newer_format()),
        Reply::Moved(_) => Err(out_of_place()),
    }
}

/// A revision for a first write.
pub(crate) fn draw() -> Revision {
    Revision(rand::random())
}

/// A revision for a write after `expected`. Were it the same, the write would count as done already.
fn draw_after(expected: Revision) -> Revision {
    loop {
        let revision = draw();
        if revision != expected {
            return revision;
        }
    }
}

/// What the mark under an old key says of the new one: an end follows a session that goes on, not one that
/// an authentication began.
pub(crate) fn successor(deadline: Deadline, new: &SessionKey) -> Bytes {
    match deadline {
        Deadline::Keep(_) => record::as_successor(new).into(),
        Deadline::Restart(_) => Bytes::new(),
    }
}

/// How scripts are told why a session ends and for how long to remember it.
pub(crate) fn epitaph(reason: EndReason) -> [Bytes; 2] {
    [
        reason.code().to_string().into(),
        number(millis(reason.remembered_for())),
    ]
}

pub(crate) fn number(number: u64) -> Bytes {
    number.to_string().into()
}

fn flag(activity: Activity) -> Bytes {
    Bytes::from_static(match activity {
        Activity::Active => b"1",
        Activity::Passive => b"0",
    })
}

fn damaged() -> Loaded {
    tracing::error!(
        "a session's key in Redis holds something that is not a session; it grants nothing. Does another \
         application use the same key prefix?"
    );
    Loaded::Damaged
}

pub(crate) fn out_of_place() -> StoreError {
    StoreError::new(
        StoreErrorKind::Misconfigured,
        "a script answered what it never answers; check that nothing between here and Redis mixes up answers",
    )
}
