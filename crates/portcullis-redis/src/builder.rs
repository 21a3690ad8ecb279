//! Settings of a store.

use std::{fmt, time::Duration};

use portcullis_core::store::LogLimits;

use crate::{
    ConnectError, RedisStore,
    address::Address,
    check::{self, Finding},
    driver::{self, Driver, Settings},
    layout::Prefix,
};

/// Settings of a [`RedisStore`], all with a default.
///
/// ```no_run
/// # use std::time::Duration;
/// # use portcullis_redis::{ConnectError, RedisStore};
/// # async fn connect() -> Result<(), ConnectError> {
/// let store = RedisStore::builder("redis://127.0.0.1:6379")
///     .key_prefix("shop")
///     .wait(Duration::from_millis(100))
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is connected before `connect`"]
pub struct RedisStoreBuilder {
    url: String,
    key_prefix: String,
    wait: Duration,
    unsafe_eviction: bool,
    log: LogLimits,
    copies: Option<u32>,
    #[cfg(feature = "tls")]
    ca_certificate: Option<Vec<u8>>,
}

impl RedisStoreBuilder {
    fn new(url: String) -> Self {
        Self {
            url,
            key_prefix: "pc".to_owned(),
            wait: Duration::from_millis(250),
            unsafe_eviction: false,
            log: LogLimits::default(),
            copies: None,
            #[cfg(feature = "tls")]
            ca_certificate: None,
        }
    }

    /// The prefix of all keys: `pc` unless set.
    ///
    /// Applications that share a server need different key prefixes, or layers with different
    /// [realms]. Two applications with one key prefix and one realm cannot be distinguished from
    /// two servers of one application: each opens the other's sessions.
    ///
    /// [realms]: portcullis_core::Realm
    pub fn key_prefix(self, prefix: impl Into<String>) -> Self {
        Self {
            key_prefix: prefix.into(),
            ..self
        }
    }

    /// How long one operation may take before it fails, from 10 ms to 10 s: 250 ms unless set.
    ///
    /// A server that is silent for less is not down. A server that is silent for this long, and for
    /// half a second at least, counts as down. From then on operations fail at once until it
    /// answers again. Connecting may take a second longer.
    pub fn wait(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// Connects although the server may evict any key when its memory is full (`maxmemory-policy`
    /// is one of `allkeys-*`). Users may be signed out at any time, and the record of why a session
    /// ended may be lost.
    pub fn allow_unsafe_eviction(self) -> Self {
        Self {
            unsafe_eviction: true,
            ..self
        }
    }

    /// Limits of the log of events: 400 000 events and 90 days unless set, which is some 50 MB when
    /// it is full. With a limit of 0 events, no log is written.
    ///
    /// The log has 1024 parts, each with an equal share of the events (391 unless set). All events
    /// of a user are in one part. A part is trimmed when it has 1.5 times its share, or 200 more.
    /// So up to 200 000 events may exist beyond the limit.
    ///
    /// # Protection against flooding
    ///
    /// When a part is trimmed, the users with the most events lose their oldest. A user with no
    /// more than a fair share, 391 events divided by the number of users in the part, loses none.
    /// So an attacker who wants to remove a victim's history needs several accounts in the
    /// victim's part, each with many events:
    ///
    /// | the victim keeps fewer than | other users in the part |
    /// |---|---|
    /// | 100 events | 3 |
    /// | 20 events | 19 |
    /// | 5 events | 78 |
    /// | 1 event | 391 |
    ///
    /// Other honest users in the part count too. Where users choose their names, an attacker finds
    /// names in the victim's part by trying about 1024 for each: the part is a public hash of the
    /// name. A record that must survive such an attack needs an
    /// [`Audit`](https://docs.rs/portcullis/latest/portcullis/audit/trait.Audit.html).
    ///
    /// Events of sessions without a user are in 1024 parts of their own, a quarter as large, with a
    /// quota per session. Every visitor can create sessions, so that protects one visitor's session
    /// from another, but not from hundreds.
    ///
    /// One step checks the 600 oldest events of a part, which takes Redis about a millisecond, once
    /// in 196 events. With more than 400 000 events, the fair share is computed from 400 events
    /// in a part. The step that frees scattered space then takes about 3 µs for each event of the
    /// part.
    pub fn log(self, log: LogLimits) -> Self {
        Self { log, ..self }
    }

    /// Makes each revocation wait until this many replicas have it, but no longer than
    /// [`wait`](Self::wait). The [`RevocationReport`](portcullis_core::store::RevocationReport)
    /// says how many have it. Without this setting, a failure of the primary just after a
    /// revocation can restore ended sessions, until they expire.
    ///
    /// Each revocation then opens a connection of its own.
    pub fn confirm_by_replicas(self, copies: u32) -> Self {
        Self {
            copies: Some(copies),
            ..self
        }
    }

    /// Trusts the certificate authorities in this PEM text, and no others, for `rediss://`. Without
    /// it, those of the operating system are trusted.
    #[cfg(feature = "tls")]
    pub fn ca_certificate_pem(self, pem: impl Into<Vec<u8>>) -> Self {
        Self {
            ca_certificate: Some(pem.into()),
            ..self
        }
    }

    /// Connects.
    ///
    /// Call it on a Tokio runtime that lasts as long as the store: a task there supervises the
    /// connection until the last clone of the store is dropped. The store may be used on any
    /// runtime. After this runtime has ended, every operation fails with
    /// [`StoreErrorKind::Misconfigured`](portcullis_core::store::StoreErrorKind::Misconfigured).
    ///
    /// Two applications that connect with one [key prefix](Self::key_prefix) and use one realm
    /// cannot be distinguished from two servers of one application.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] when a setting is wrong, or the server cannot be reached or used. It does
    /// not try again: an application that starts before Redis does should be restarted by its
    /// service manager.
    pub async fn connect(self) -> Result<RedisStore, ConnectError> {
        let log = self.log;
        let (settings, prefix) = self.settings()?;
        Ok(RedisStore::new(
            // Boxed: deep futures make those that await them large.
            Box::pin(Driver::connect(settings)).await?,
            prefix,
            log,
        ))
    }

    /// Checks whether sessions are safe on the server, without using it as a store.
    ///
    /// Returns one [`Finding`] for each subject, good or bad, always in the same order. In a
    /// cluster every primary is checked. If they differ, there is a finding for each, which begins
    /// with its address. A server that [`connect`](Self::connect) would refuse for its settings is
    /// reported, not refused. Nothing is written, and no key but the registry of realms is read.
    /// It takes as long as about sixty commands in sequence.
    ///
    /// The server shows some settings only to users with rights that an application should not
    /// have; see [`Verdict::Unknown`].
    ///
    /// ```no_run
    /// # use portcullis_redis::{ConnectError, RedisStore};
    /// # async fn check() -> Result<(), ConnectError> {
    /// let findings = RedisStore::builder("redis://127.0.0.1:6379").check().await?;
    /// for finding in findings {
    ///     let (verdict, about) = (finding.verdict.as_str(), finding.about.as_str());
    ///     println!("{verdict} {about}: {}", finding.message);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConnectError`] when a setting is wrong, or the server cannot be reached or refuses the
    /// user.
    ///
    /// [`Verdict::Unknown`]: crate::Verdict::Unknown
    pub async fn check(self) -> Result<Vec<Finding>, ConnectError> {
        let (settings, prefix) = self.settings()?;
        let examined = driver::examine(settings, &prefix).await?;
        Ok(check::judge_all(&examined.servers, &examined.unreachable))
    }

    fn settings(self) -> Result<(Settings, Prefix), ConnectError> {
        let address = Address::parse(&self.url)?;
        let prefix = Prefix::new(self.key_prefix)?;
        if self.wait < Duration::from_millis(10) || self.wait > Duration::from_secs(10) {
            return Err(ConnectError::Setting(
                "the wait for Redis must be between 10 ms and 10 s; 250 ms is a good value",
            ));
        }
        let settings = Settings {
            address,
            wait: self.wait,
            unsafe_eviction: self.unsafe_eviction,
            copies: self.copies,
            #[cfg(feature = "tls")]
            ca_certificate: self.ca_certificate,
        };
        Ok((settings, prefix))
    }
}

impl RedisStore {
    /// Connects to the server at `url` with default settings.
    ///
    /// The URL is one of
    ///
    /// * `redis://[user:password@]host[:port][/database]`: one primary.
    /// * `redis-cluster://[user:password@]host[:port][?node=host:port]…`: a Redis Cluster,
    ///   discovered through any of these nodes.
    /// * `redis-sentinel://[user:password@]host[:port][/database]?sentinelServiceName=name[&node=host:port]…`:
    ///   the primary that these Sentinels name. User and password are for the primary. If the
    ///   Sentinels have their own, add `&sentinelUsername=` and `&sentinelPassword=`.
    ///
    /// With `rediss`, `rediss-cluster` and `rediss-sentinel` the connection uses TLS.
    ///
    /// Two applications that connect with one [key prefix](RedisStoreBuilder::key_prefix) and use
    /// one realm cannot be distinguished from two servers of one application.
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
}

impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("address", &Address::parse(&self.url).ok())
            .field("key_prefix", &self.key_prefix)
            .field("wait", &self.wait)
            .field("log", &self.log)
            .field("copies", &self.copies)
            .finish_non_exhaustive()
    }
}
