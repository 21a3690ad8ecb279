//! The store: contract on one side, scripts on the other.

use std::{
    fmt,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use bytes::Bytes;
use portcullis_core::{
    Bucket, Note, Realm, SessionIdHash, SessionMeta, Timestamp, UserId,
    store::{
        ClockBounds, Commit, Committed, CommittedSession, Create, Created, CreatedSession,
        Deadline, Ended, Hint, Interrupted, Listed, Loaded, LogLimits, LogQuery, Logged,
        Observation, Others, RecordWrite, Register, RegisteredRealm, Replace, Replaced,
        ReplacedSession, Revocation, RevocationReport, SessionCount, Store, StoreError,
        StoreErrorKind, Stored, Swept, Termination, Touch, Touched, UsersAfter,
    },
};

use crate::{
    ConnectError, RedisStoreBuilder,
    arguments::{
        authenticated_at, draw, draw_after, elevated_until, end_reason_of, flag, limit_of,
        memory_of_revocation, number, owner, revision, successor, tombstone_arguments, yes,
    },
    compensation::{Compensation, Provisional},
    creation::CreateAttempt,
    driver::{COMMIT, Driver, END, Fetched, REPLACE, Reply, Script, TOUCH, wrong_reply},
    entry::{self, Entry},
    key_set::KeySet,
    keys::Prefix,
    record::{self, Record, millis},
    relocation::PendingSession,
};

/// Sessions in Redis.
///
/// Clones share one connection, which a task watches on the Tokio runtime that [`connect`](Self::connect) was called on.
/// Long answers, as of [lists](Store::list) and [logs](Store::read_log), come over a second one, which is closed after 30
/// seconds without use. There is a third while somebody [listens](Store::listen) and for 30 seconds more, watched by a
/// task on their runtime. All end with the last clone.
///
/// What undoes a step whose answer was lost is remembered, for up to 1024 steps, and retried until Redis has answered. A
/// process that ends meanwhile leaves a session that nobody has the identifier of, until its idle timeout.
///
/// A test may [pause](https://docs.rs/tokio/latest/tokio/time/fn.pause.html#auto-advance) Tokio's clock: with debug
/// assertions it does not jump ahead while an answer of Redis is under way, but for one that takes longer than 2 seconds. Sessions
/// do not age by that clock, but by the server's.
#[derive(Clone)]
pub struct RedisStore {
    inner: Arc<Inner>,
    /// Of the keys of its realm.
    prefix: Arc<Prefix>,
}

pub(crate) struct Inner {
    driver: Driver,
    log: LogLimits,
    log_is_refused: AtomicBool,
    compensation: Compensation,
}

impl Inner {
    pub(crate) fn compensation(&self) -> &Compensation {
        &self.compensation
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.compensation.wake();
    }
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
    /// Two applications that connect with one [key prefix](RedisStoreBuilder::key_prefix) and use one realm cannot be told
    /// from two servers of one application.
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
        let inner = Arc::new(Inner {
            driver,
            log,
            log_is_refused: AtomicBool::new(false),
            compensation: Compensation::default(),
        });
        Compensation::start(&inner);
        Self {
            inner,
            prefix: Arc::new(prefix),
        }
    }

    /// Whether there are more clones of the store than these.
    pub(crate) fn is_in_use(&self, besides: usize) -> bool {
        Arc::strong_count(&self.inner) > besides
    }

    pub(crate) fn driver(&self) -> &Driver {
        &self.inner.driver
    }

    /// Whether the user was last found to have no right to write the log.
    pub(crate) fn log_is_refused(&self) -> &AtomicBool {
        &self.inner.log_is_refused
    }

    pub(crate) fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    pub(crate) fn log_limits(&self) -> LogLimits {
        self.inner.log
    }

    /// The clock by which sessions of this bucket end.
    pub(crate) fn clock_in(&self, bucket: Bucket) -> ClockBounds {
        self.driver().clock_at(|| self.prefix().due_list(bucket))
    }

    /// The latest that it may show.
    pub(crate) fn now_in(&self, bucket: Bucket) -> Timestamp {
        self.clock_in(bucket).latest
    }

    /// By how much [`now`](Store::now) is ahead of that clock. What was told as a moment by the one is that much
    /// earlier by the other.
    pub(crate) fn lead_over(&self, bucket: Bucket) -> Duration {
        self.now().since(self.now_in(bucket))
    }

    /// When the user of a session that is about to begin authenticated, by the clock of its bucket: told by the earliest of
    /// all clocks, which this one may be ahead of.
    pub(crate) fn authenticated_by(&self, bucket: Bucket, meta: &SessionMeta) -> Option<Timestamp> {
        let since = authenticated_at(meta)?;
        let ahead = self.clock_in(bucket).earliest.since(self.clock().earliest);
        Some(since.after(ahead))
    }

    pub(crate) async fn run(
        &self,
        script: &Script,
        keys: Vec<String>,
        arguments: Vec<Bytes>,
    ) -> Result<Reply, StoreError> {
        self.inner.driver.run(script, keys, arguments).await
    }

    /// The moment by the clock of this bucket until which a caller waits who asks now.
    pub(crate) fn not_after(&self, bucket: Bucket) -> Timestamp {
        self.clock_in(bucket)
            .earliest
            .after(self.driver().give_up_after())
    }

    /// Runs a script that grants something. It does nothing should it run when the caller no longer waits.
    async fn run_in_time(
        &self,
        script: &Script,
        bucket: Bucket,
        keys: Vec<String>,
        arguments: Vec<Bytes>,
    ) -> Result<Reply, StoreError> {
        let not_after = self.not_after(bucket);
        self.run_until(not_after, script, keys, arguments).await
    }

    async fn run_until(
        &self,
        not_after: Timestamp,
        script: &Script,
        keys: Vec<String>,
        arguments: Vec<Bytes>,
    ) -> Result<Reply, StoreError> {
        let mut timely = Vec::with_capacity(arguments.len() + 1);
        timely.push(number(not_after.as_millis()));
        timely.extend(arguments);
        match self.run(script, keys, timely).await? {
            Reply::Late => Err(StoreError::new(
                StoreErrorKind::Unavailable,
                "Redis came to a change when nobody waited for it any longer, and did nothing; try again",
            )),
            reply => Ok(reply),
        }
    }

    /// Tells of the error of a script once it does nothing any more if it still runs: after this moment. Only then is a
    /// revocation that failed sure to leave those alone who sign in after its caller was told.
    pub(crate) async fn once_late(
        &self,
        bucket: Bucket,
        not_after: Timestamp,
        error: StoreError,
    ) -> StoreError {
        let left = not_after.since(self.clock_in(bucket).earliest);
        // No more than what was left in the beginning, should the clock have been set back.
        let left = left.min(self.driver().give_up_after());
        // In this time two clocks differ by less, and scripts are told whole milliseconds.
        tokio::time::sleep(left + left / 500 + Duration::from_millis(2)).await;
        error
    }

    /// The same for a script that may run twice: it finds what it has done before. Where its answer is lost it is asked for
    /// once more, with a wait of its own. Says whether it was: then the first may still run, until its caller would have
    /// given up.
    pub(crate) async fn run_again(
        &self,
        script: &Script,
        bucket: Bucket,
        keys: Vec<String>,
        arguments: Vec<Bytes>,
        errors: Errors,
    ) -> Result<(Reply, Attempts), StoreError> {
        let first = self.run_in_time(script, bucket, keys.clone(), arguments.clone());
        match first.await {
            Err(error) if error.kind() == StoreErrorKind::Unavailable => {
                let not_after = self.not_after(bucket);
                let second = Box::pin(self.run_until(not_after, script, keys, arguments));
                match (second.await, errors) {
                    (Err(error), Errors::OnceLate) => {
                        Err(self.once_late(bucket, not_after, error).await)
                    }
                    (answered, _) => Ok((answered?, Attempts::Twice)),
                }
            }
            answered => Ok((answered?, Attempts::Once)),
        }
    }

    /// The session that is to be replaced, or why it cannot be any more. One whose time is over is left for
    /// somebody to [`load`](Store::load) or sweep who will tell of it.
    pub(crate) async fn replaceable(
        &self,
        old: &ReplacedSession,
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
        termination: &Termination,
        memory: Duration,
    ) -> Result<Ended, StoreError> {
        let Termination {
            key,
            meta,
            reason,
            note,
            live_until,
        } = termination;
        let mut key = *key;
        let code: Bytes = reason.code().to_string().into();
        let memory = number(millis(memory));
        let [user, _] = owner(meta, None);
        let (note, size) = (note.encode(), self.log_size(meta.owner.is_some()));
        let live_until = live_until.map(|until| number(until.as_millis()));
        for _ in 0..=MOVES {
            let key_set = KeySet::of(self.prefix(), &key, meta);
            let keys = key_set.keys_to_end();
            let arguments = vec![
                code.clone(),
                memory.clone(),
                Entry::of(&key, meta).encode(),
                user.clone(),
                note.clone(),
                size.clone(),
                live_until.clone().unwrap_or_default(),
            ];
            match self.run(&END, keys, arguments).await? {
                Reply::Done(..) => return Ok(Ended::Done),
                Reply::Gone => return Ok(Ended::AlreadyGone),
                Reply::Moved(there) => {
                    let here = key.bucket();
                    let listed = entry::digest_of(&there);
                    let listed = listed.map(|digest| SessionIdHash::from_parts(here, digest));
                    match listed.or_else(|| record::successor(&there)) {
                        Some(successor) => key = successor,
                        // Not written by this crate. It leads nowhere.
                        None => return Ok(Ended::AlreadyGone),
                    }
                }
                Reply::Lost => return Err(StoreError::session_lost()),
                Reply::Newer => return Err(StoreError::newer_format()),
                _ => return Err(wrong_reply()),
            }
        }
        Err(StoreError::new(
            StoreErrorKind::Unavailable,
            "a session was given new identifiers faster than it could be ended, and lives on; try again",
        ))
    }

    /// What has to be undone unless somebody says that it was meant.
    pub(crate) fn provisional(&self, key: &SessionIdHash, write: &RecordWrite) -> Provisional {
        Provisional::new(self, key, &write.meta)
    }

    pub(crate) fn compensation(&self) -> &Compensation {
        &self.inner.compensation
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
    fn clock(&self) -> ClockBounds {
        self.inner.driver.clock()
    }

    fn realm(&self) -> Realm {
        self.prefix.realm().clone()
    }

    fn in_realm(&self, realm: &Realm) -> Self {
        Self {
            prefix: Arc::new(self.prefix.in_realm(realm)),
            ..self.clone()
        }
    }

    async fn register(&self, register: Register<'_>) -> Result<(), StoreError> {
        self.register_realm(register).await
    }

    async fn realms(&self) -> Result<Vec<RegisteredRealm>, StoreError> {
        self.registered_realms().await
    }

    async fn load(&self, key: &SessionIdHash) -> Result<Loaded, StoreError> {
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

    async fn create(&self, create: Create<'_>) -> Result<Created, Interrupted> {
        let Create {
            key,
            write,
            limits,
            others,
            ..
        } = create;
        self.check_room(key, write)?;
        let moments = self.starting(key, &write.meta, limits);
        // When the answer is lost nobody knows of the session, and it must not take the place of one that is known.
        let provisional = self.provisional(key, write);
        let drawn = draw();
        let (attempt, asked) = self.try_create(key, write, moments, others, drawn).await?;
        let refused = !matches!(attempt, CreateAttempt::Done(..));
        let created = match attempt {
            CreateAttempt::Done(timing, excess) => {
                let displaced = self.displace(key, write, others, &excess).await?;
                Created::Done(CreatedSession::new(timing, drawn, displaced))
            }
            CreateAttempt::Taken => Created::Taken,
            CreateAttempt::AtLimit => Created::AtLimit,
            CreateAttempt::Revoked => Created::Revoked,
        };
        match refused {
            true => provisional.asked(asked).was_refused(),
            false => provisional.keep(),
        }
        Ok(created)
    }

    async fn commit(&self, commit: Commit<'_>) -> Result<Committed, StoreError> {
        let Commit {
            key,
            expected,
            write,
            activity,
            ..
        } = commit;
        let drawn = draw_after(expected);
        let key_set = KeySet::of(self.prefix(), key, &write.meta);
        let [user, since] = owner(&write.meta, authenticated_at(&write.meta));
        let keys = key_set.keys();
        let mut arguments = vec![
            revision(expected),
            revision(drawn),
            flag(activity),
            write.payload.clone(),
            Entry::of(key, &write.meta).encode(),
            user,
            since,
            yes(write.flagged),
            memory_of_revocation(),
            self.log_size(write.meta.owner.is_some()),
        ];
        arguments.extend(write.notes.iter().map(Note::encode));
        let answer = self.run_in_time(&COMMIT, key.bucket(), keys, arguments);
        match answer.await? {
            Reply::Done(timing, _) => Ok(Committed::Done(CommittedSession::new(timing, drawn))),
            Reply::Gone => Ok(Committed::Gone),
            Reply::Conflict(value) => Ok(match Record::parse(&value) {
                Record::Session(current) => Committed::Conflict(current),
                // The script has just found a live session in it, so this is out of reach; gone is safe.
                _ => Committed::Gone,
            }),
            Reply::Newer => Err(StoreError::newer_format()),
            _ => Err(wrong_reply()),
        }
    }

    /// Within a bucket this is one atomic step, unless others have to end. Between buckets, which may be on
    /// different servers, and then, it is more: the new session is made under a key that nobody knows yet, the others
    /// are ended, then the old one is ended if nobody wrote to it meanwhile, else the new one is taken back.
    /// The last end is the moment that counts: before it the old session lives and the new one is unknown to all,
    /// after it the old one is dead for everyone.
    async fn replace(&self, replace: Replace<'_>) -> Result<Replaced, Interrupted> {
        let Replace {
            old,
            new,
            write,
            deadline,
            others,
            ..
        } = replace;
        if old.key.bucket() != new.bucket() {
            return self.relocate(replace).await;
        }
        let drawn = draw_after(old.expected);
        let (activity, idle, absolute, since, lead) = match deadline {
            // All its moments are told by the clock of the bucket already.
            Deadline::Keep(activity) => {
                let since = authenticated_at(&write.meta);
                (
                    flag(activity),
                    Bytes::new(),
                    Bytes::new(),
                    since,
                    Duration::ZERO,
                )
            }
            Deadline::Restart(limits) => {
                let (idle, absolute) = record::limits(limits);
                let since = self.authenticated_by(new.bucket(), &write.meta);
                let lead = self.lead_over(new.bucket());
                (Bytes::new(), number(idle), number(absolute), since, lead)
            }
        };
        let [end_code, memory] = tombstone_arguments(end_reason_of(deadline));
        let [old_user, _] = owner(&old.meta, None);
        let [user, since] = owner(&write.meta, since);
        let [most, room, code, note, memory_of_marker] = limit_of(others);
        let before = KeySet::of(self.prefix(), &old.key, &old.meta);
        let after = KeySet::of(self.prefix(), new, &write.meta);
        let keys = vec![
            before.session,
            after.session,
            before.due_list,
            before.log,
            before.user_list,
            after.log,
            after.user_list,
            after.marker,
        ];
        let mut arguments = vec![
            revision(old.expected),
            revision(drawn),
            write.payload.clone(),
            end_code,
            memory,
            activity,
            idle,
            absolute,
            successor(deadline, new),
            Entry::of(&old.key, &old.meta).encode(),
            old_user,
            old.note.as_ref().map(Note::encode).unwrap_or_default(),
            Entry::of(new, &write.meta).encode(),
            user,
            since,
            elevated_until(write, lead),
            yes(write.flagged),
            self.log_size(old.meta.owner.is_some()),
            self.log_size(write.meta.owner.is_some()),
            most,
            room,
            code,
            note,
            memory_of_marker,
            memory_of_revocation(),
        ];
        arguments.extend(write.notes.iter().map(Note::encode));
        // As with a session that is created.
        let provisional = self.provisional(new, write);
        let answer = self.run_again(
            &REPLACE,
            new.bucket(),
            keys,
            arguments,
            Errors::of_step(others),
        );
        let ends_others = matches!((others, deadline), (Others::End(_), Deadline::Restart(_)));
        match answer.await? {
            // The old one is left as it was until they have ended.
            (Reply::Done(timing, excess), asked) if ends_others || !excess.is_empty() => {
                let made = PendingSession {
                    provisional: provisional.asked(asked),
                    timing,
                    revision: drawn,
                    excess,
                };
                self.take_over(replace, made).await
            }
            (Reply::Done(timing, _), _) => {
                provisional.keep();
                Ok(Replaced::Done(CreatedSession::new(
                    timing,
                    drawn,
                    Vec::new(),
                )))
            }
            (refused, asked) => {
                provisional.asked(asked).was_refused();
                Ok(not_replaced(refused)?)
            }
        }
    }

    async fn touch(&self, touch: Touch<'_>) -> Result<Touched, StoreError> {
        let Touch { key, meta, .. } = touch;
        let key_set = KeySet::of(self.prefix(), key, meta);
        let [user, since] = owner(meta, authenticated_at(meta));
        let keys = key_set.keys();
        let arguments = vec![
            Entry::of(key, meta).encode(),
            user,
            since,
            memory_of_revocation(),
            self.log_size(meta.owner.is_some()),
        ];
        let answer = self.run_in_time(&TOUCH, key.bucket(), keys, arguments);
        match answer.await? {
            Reply::Done(timing, _) => Ok(Touched::Done(timing)),
            Reply::Gone => Ok(Touched::Gone),
            Reply::Newer => Err(StoreError::newer_format()),
            _ => Err(wrong_reply()),
        }
    }

    async fn end(&self, termination: &Termination) -> Result<Ended, StoreError> {
        let memory = termination.reason.remembered_for();
        self.finish(termination, memory).await
    }

    async fn list(&self, user: &UserId) -> Result<Vec<Listed>, StoreError> {
        self.sessions_of(user).await
    }

    async fn users(&self, bucket: Bucket) -> Result<Vec<UserId>, StoreError> {
        self.users_in(bucket).await
    }

    async fn users_after(&self, page: UsersAfter<'_>) -> Result<Vec<UserId>, StoreError> {
        self.page_of_users(page).await
    }

    async fn count(&self) -> Result<SessionCount, StoreError> {
        self.count_all().await
    }

    async fn revoke(&self, revocation: &Revocation) -> Result<RevocationReport, Interrupted> {
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
            .field("prefix", &self.prefix)
            .field("log", &self.inner.log)
            .field("to_withdraw", &self.compensation().pending())
            .finish()
    }
}

/// When a step that may still run tells of its error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errors {
    AtOnce,
    /// When it does nothing any more: it ends other sessions of a user, up to the moment at which it runs.
    OnceLate,
}

impl Errors {
    pub(crate) fn of_step(others: &Others) -> Self {
        match others {
            Others::End(_) => Self::OnceLate,
            Others::Stay | Others::Limited(_) => Self::AtOnce,
        }
    }
}

/// How often a step was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempts {
    Once,
    /// The answer to the first was lost.
    Twice,
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
        _ => Err(wrong_reply()),
    }
}

fn damaged() -> Loaded {
    tracing::error!(
        "a session's key in Redis holds something that is not a session; it grants nothing. Does another \
         application use the same key prefix?"
    );
    Loaded::Damaged
}
