//! The store: contract on one side, scripts on the other.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use portcullis_core::{
    Bucket, EndReason, Label, Note, SessionKey, Timestamp, UserId,
    store::{
        Activity, Committed, Created, Deadline, Ended, Hint, Interrupted, Limits, Listed, Loaded,
        LogLimits, LogQuery, Logged, Observation, Old, Receipt, Replaced, Revision, Revocation,
        SessionLimit, Store, StoreError, StoreErrorKind, Stored, Swept, Touched, Write,
    },
};

use crate::{
    ConnectError, RedisStoreBuilder,
    admission::{Admitted, Moments},
    arguments::{
        draw, draw_after, elevated_until, epitaph, flag, limit_of, memory_of_revocation, number,
        parting, revision, successor,
    },
    driver::{COMMIT, Driver, END, Fetched, REPLACE, Reply, Script, TOUCH, out_of_place},
    filing::{self, Filing},
    keys::Prefix,
    record::{self, Record, millis},
    relocation::{Made, Unclaimed},
};

/// Sessions in Redis.
///
/// Clones share one connection, and a second one while somebody [listens](Store::listen) and for 30 seconds more. The first is watched by a task of the
/// Tokio runtime that [`connect`](Self::connect) was called on, the second by one of the runtime of who listens; both end with the last clone.
#[derive(Clone)]
pub struct RedisStore {
    inner: Arc<Inner>,
}

struct Inner {
    driver: Driver,
    prefix: Prefix,
    log: LogLimits,
}

impl RedisStore {
    /// Connects to the server at `url` with default settings.
    ///
    /// The URL is one of
    ///
    /// * `redis://[user:password@]host[:port][/database]`: one primary;
    /// * `redis-cluster://[user:password@]host[:port][?node=host:port]…`: a Redis Cluster, found through any of these
    ///   nodes;
    /// * `redis-sentinel://[user:password@]host[:port][/database]?sentinelServiceName=name[&node=host:port]…`: the
    ///   primary that these Sentinels name; user and password are for it. With `&sentinelUsername=` and
    ///   `&sentinelPassword=` the Sentinels are told others, and otherwise none;
    ///
    /// or the same with `rediss`, `rediss-cluster` and `rediss-sentinel` for TLS.
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

    pub(crate) fn new(driver: Driver, prefix: Prefix, log: LogLimits) -> Self {
        Self {
            inner: Arc::new(Inner {
                driver,
                prefix,
                log,
            }),
        }
    }

    pub(crate) fn driver(&self) -> &Driver {
        &self.inner.driver
    }

    pub(crate) fn prefix(&self) -> &Prefix {
        &self.inner.prefix
    }

    pub(crate) fn log_limits(&self) -> LogLimits {
        self.inner.log
    }

    /// The clock by which sessions of this bucket end.
    pub(crate) fn now_in(&self, bucket: Bucket) -> Timestamp {
        self.driver().now_at(|| self.prefix().due_list(bucket))
    }

    /// By how much [`now`](Store::now) is ahead of that clock. What was told as a moment by the one is that much
    /// earlier by the other.
    pub(crate) fn lead_over(&self, bucket: Bucket) -> Duration {
        self.now().since(self.now_in(bucket))
    }

    pub(crate) async fn run(
        &self,
        script: &Script,
        keys: Vec<String>,
        arguments: Vec<Bytes>,
    ) -> Result<Reply, StoreError> {
        self.inner.driver.run(script, keys, arguments).await
    }

    /// The session that is to be replaced, or why it cannot be any more. One whose time is over is left for
    /// somebody to [`load`](Store::load) or sweep who will tell of it.
    pub(crate) async fn replaceable(
        &self,
        old: &Old,
    ) -> Result<Result<Stored, Replaced>, StoreError> {
        let Fetched::Value(value) = self.driver().get(self.prefix().session(&old.key)).await?
        else {
            return Ok(Err(Replaced::Gone));
        };
        Ok(match Record::parse(&value) {
            Record::Session(stored) if !stored.timing.is_live(self.now_in(old.key.bucket())) => {
                Err(Replaced::Gone)
            }
            Record::Session(stored) if stored.revision == old.expected => Ok(stored),
            Record::Session(stored) => Err(Replaced::Conflict(stored)),
            Record::Newer => return Err(StoreError::newer_format()),
            Record::Ended(..) | Record::Damaged => Err(Replaced::Gone),
        })
    }

    /// As [`Store::end`], remembered for `memory`.
    ///
    /// One atomic step under each key that the session was moved to meanwhile, which may be on different
    /// servers. Only the last one changes something; whoever moves the session in between is followed too.
    pub(crate) async fn finish(
        &self,
        key: &SessionKey,
        label: &Label,
        reason: EndReason,
        memory: Duration,
        note: &Note,
    ) -> Result<Ended, StoreError> {
        let mut key = *key;
        let code: Bytes = reason.code().to_string().into();
        let memory = number(millis(memory));
        let [user, _] = filing::owner(label);
        let (note, size) = (note.encode(), self.log_size(label.owner.is_some()));
        for _ in 0..=MOVES {
            let filing = Filing::of(self.prefix(), &key, label);
            let keys = filing.keys_to_end();
            let arguments = vec![
                code.clone(),
                memory.clone(),
                filing::reference(&key, label.handle),
                user.clone(),
                note.clone(),
                size.clone(),
            ];
            match self.run(&END, keys, arguments).await? {
                Reply::Done(..) => return Ok(Ended::Done),
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

    /// How many events one part of the log may hold, as scripts are told.
    pub(crate) fn log_size(&self, of_users: bool) -> Bytes {
        let events = self.inner.log.events;
        let events = if of_users { events } else { events / 4 };
        let parts = usize::from(portcullis_core::BUCKETS);
        number(events.div_ceil(parts) as u64)
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
        let value = match self.driver().get(self.prefix().session(key)).await? {
            Fetched::Value(value) => value,
            // Boxed, so that what is rare takes no room in the future of what there is most of.
            Fetched::Nothing => return Box::pin(self.explain_absence(key)).await,
            Fetched::OtherType => return Ok(damaged()),
        };
        Ok(match Record::parse(&value) {
            // A key may lose its TTL, by PERSIST or a careless restore. The session still ends in time.
            Record::Session(stored) if !stored.timing.is_live(self.now_in(key.bucket())) => {
                return Box::pin(self.explain_absence(key)).await;
            }
            Record::Session(stored) => Loaded::Live(stored),
            Record::Ended(mark) => mark.loaded(),
            Record::Newer => return Err(StoreError::newer_format()),
            Record::Damaged => damaged(),
        })
    }

    async fn create(
        &self,
        key: &SessionKey,
        write: &Write,
        limits: Limits,
        limit: Option<SessionLimit>,
    ) -> Result<Created, Interrupted> {
        let moments = Moments::starting(limits, self.lead_over(key.bucket()));
        // When the answer is lost nobody knows of the session, and it must not take the place of one that is known.
        let unclaimed = Unclaimed::new(self, key, write);
        let drawn = draw();
        let admitted = self.admit(key, write, moments, limit, drawn).await?;
        let created = match admitted {
            Admitted::Done(timing, excess) => {
                let displaced = self.displace(key, write, &excess).await?;
                Created::Done(timing, drawn, displaced)
            }
            Admitted::Taken => Created::Taken,
            Admitted::AtLimit => Created::AtLimit,
            Admitted::Revoked => Created::Revoked,
        };
        unclaimed.keep();
        Ok(created)
    }

    async fn commit(
        &self,
        key: &SessionKey,
        expected: Revision,
        write: &Write,
        activity: Activity,
    ) -> Result<Committed, StoreError> {
        let drawn = draw_after(expected);
        let filing = Filing::of(self.prefix(), key, &write.label);
        let [user, since] = filing::owner(&write.label);
        let keys = filing.keys();
        let mut arguments = vec![
            revision(expected),
            revision(drawn),
            flag(activity),
            write.payload.clone(),
            filing::reference(key, write.label.handle),
            user,
            since,
            memory_of_revocation(),
            self.log_size(write.label.owner.is_some()),
        ];
        arguments.extend(write.notes.iter().map(Note::encode));
        match self.run(&COMMIT, keys, arguments).await? {
            Reply::Done(timing, _) => Ok(Committed::Done(timing, drawn)),
            Reply::Gone => Ok(Committed::Gone),
            Reply::Conflict(value) => Ok(match Record::parse(&value) {
                Record::Session(current) => Committed::Conflict(current),
                // The script has just found a live session in it, so this is out of reach; gone is safe.
                _ => Committed::Gone,
            }),
            Reply::Newer => Err(StoreError::newer_format()),
            _ => Err(out_of_place()),
        }
    }

    /// Within a bucket this is one atomic step, unless somebody has to go. Between buckets, which may be on
    /// different servers, and then, it is more: the new session is made under a key that nobody knows yet, whoever
    /// has to go is ended, then the old one is ended if nobody wrote to it meanwhile, else the new one is taken back.
    /// The last end is the moment that counts: before it the old session lives and the new one is unknown to all,
    /// after it the old one is dead for everyone.
    async fn replace(
        &self,
        old: &Old,
        new: &SessionKey,
        write: &Write,
        deadline: Deadline,
        limit: Option<SessionLimit>,
    ) -> Result<Replaced, Interrupted> {
        if old.key.bucket() != new.bucket() {
            return self.relocate(old, new, write, deadline, limit).await;
        }
        let drawn = draw_after(old.expected);
        let (activity, idle, absolute, lead) = match deadline {
            // All its moments are told by the clock of the bucket already.
            Deadline::Keep(activity) => {
                (flag(activity), Bytes::new(), Bytes::new(), Duration::ZERO)
            }
            Deadline::Restart(limits) => {
                let (idle, absolute) = record::limits(limits);
                let lead = self.lead_over(new.bucket());
                (Bytes::new(), number(idle), number(absolute), lead)
            }
        };
        let [code, memory] = epitaph(parting(deadline));
        let [old_user, _] = filing::owner(&old.label);
        let [user, since] = filing::owner_by_a_clock_behind(&write.label, lead);
        let [most, room] = limit_of(limit);
        let before = Filing::of(self.prefix(), &old.key, &old.label);
        let after = Filing::of(self.prefix(), new, &write.label);
        let keys = vec![
            before.session,
            after.session,
            before.due_list,
            before.log,
            before.user_list,
            after.log,
            after.user_list,
            after.mark,
        ];
        let mut arguments = vec![
            revision(old.expected),
            revision(drawn),
            write.payload.clone(),
            code,
            memory,
            activity,
            idle,
            absolute,
            successor(deadline, new),
            filing::reference(&old.key, old.label.handle),
            old_user,
            old.note.as_ref().map(Note::encode).unwrap_or_default(),
            filing::reference(new, write.label.handle),
            user,
            since,
            elevated_until(write, lead),
            self.log_size(old.label.owner.is_some()),
            self.log_size(write.label.owner.is_some()),
            most,
            room,
            memory_of_revocation(),
        ];
        arguments.extend(write.notes.iter().map(Note::encode));
        // As with a session that is created.
        let unclaimed =
            matches!(deadline, Deadline::Restart(_)).then(|| Unclaimed::new(self, new, write));
        match (self.run(&REPLACE, keys, arguments).await?, unclaimed) {
            // The old one is left as it was until they are gone.
            (Reply::Done(timing, excess), Some(unclaimed)) if !excess.is_empty() => {
                let made = Made {
                    unclaimed,
                    timing,
                    revision: drawn,
                    excess,
                };
                self.take_over(old, new, write, deadline, made).await
            }
            (reply, unclaimed) => {
                if let Some(unclaimed) = unclaimed {
                    unclaimed.keep();
                }
                match reply {
                    Reply::Done(timing, _) => Ok(Replaced::Done(timing, drawn, Vec::new())),
                    refused => Ok(not_replaced(refused)?),
                }
            }
        }
    }

    async fn touch(&self, key: &SessionKey, label: &Label) -> Result<Touched, StoreError> {
        let filing = Filing::of(self.prefix(), key, label);
        let [user, since] = filing::owner(label);
        let keys = filing.keys();
        let arguments = vec![
            filing::reference(key, label.handle),
            user,
            since,
            memory_of_revocation(),
            self.log_size(label.owner.is_some()),
        ];
        match self.run(&TOUCH, keys, arguments).await? {
            Reply::Done(timing, _) => Ok(Touched::Done(timing)),
            Reply::Gone => Ok(Touched::Gone),
            Reply::Newer => Err(StoreError::newer_format()),
            _ => Err(out_of_place()),
        }
    }

    async fn end(
        &self,
        key: &SessionKey,
        label: &Label,
        reason: EndReason,
        note: &Note,
    ) -> Result<Ended, StoreError> {
        self.finish(key, label, reason, reason.remembered_for(), note)
            .await
    }

    async fn list(&self, user: &UserId) -> Result<Vec<Listed>, StoreError> {
        self.sessions_of(user).await
    }

    async fn users(&self, bucket: Bucket) -> Result<Vec<UserId>, StoreError> {
        self.users_in(bucket).await
    }

    async fn revoke(&self, revocation: &Revocation) -> Result<Receipt, Interrupted> {
        self.carry_out(revocation).await
    }

    async fn sweep(&self) -> Result<Swept, StoreError> {
        self.sweep_buckets().await
    }

    async fn observe(&self, observation: &Observation) -> Result<(), StoreError> {
        self.append(observation).await
    }

    async fn read_log(&self, query: &LogQuery) -> Result<Vec<Logged>, StoreError> {
        self.events(query).await
    }

    async fn listen(&self, told: &(dyn Fn(Hint) + Send + Sync)) {
        self.driver().listen(self.prefix().channel(), told).await;
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("driver", &self.inner.driver)
            .field("prefix", &self.inner.prefix)
            .field("log", &self.inner.log)
            .finish()
    }
}

/// What it means that a session was not replaced.
pub(crate) fn not_replaced(reply: Reply) -> Result<Replaced, StoreError> {
    match reply {
        Reply::Gone | Reply::Revoked => Ok(Replaced::Gone),
        Reply::AtLimit => Ok(Replaced::AtLimit),
        Reply::Conflict(value) => Ok(match Record::parse(&value) {
            Record::Session(current) => Replaced::Conflict(current),
            // The script has just found a live session in it, so this is out of reach; gone is safe.
            _ => Replaced::Gone,
        }),
        Reply::Taken => Err(StoreError::key_taken()),
        Reply::Newer => Err(StoreError::newer_format()),
        _ => Err(out_of_place()),
    }
}

fn damaged() -> Loaded {
    tracing::error!(
        "a session's key in Redis holds something that is not a session; it grants nothing. Does another \
         application use the same key prefix?"
    );
    Loaded::Damaged
}
