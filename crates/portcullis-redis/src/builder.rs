//! Settings of a store.

use std::{fmt, time::Duration};

use crate::{
    ConnectError, RedisStore,
    address::Address,
    driver::{Driver, Settings},
    keys::Prefix,
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
    #[cfg(feature = "tls")]
    ca_certificate: Option<Vec<u8>>,
}

impl RedisStoreBuilder {
    pub(crate) fn new(url: String) -> Self {
        Self {
            url,
            key_prefix: "pc".to_owned(),
            wait: Duration::from_millis(250),
            unsafe_eviction: false,
            #[cfg(feature = "tls")]
            ca_certificate: None,
        }
    }

    /// What all keys begin with: `pc` unless set. Applications that share a server need different ones.
    pub fn key_prefix(self, prefix: impl Into<String>) -> Self {
        Self {
            key_prefix: prefix.into(),
            ..self
        }
    }

    /// How long one operation may take before it fails, from 10 ms to 10 s: 250 ms unless set.
    pub fn wait(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// Connects although the server evicts any key when its memory is full (`maxmemory-policy` is one of
    /// `allkeys-*`): people may be signed out at any time, and the record of why a session ended may go.
    pub fn allow_unsafe_eviction(self) -> Self {
        Self {
            unsafe_eviction: true,
            ..self
        }
    }

    /// Trusts the certificate authorities in this PEM text, and no others, for `rediss://`. Without it those
    /// of the operating system are trusted.
    #[cfg(feature = "tls")]
    pub fn ca_certificate_pem(self, pem: impl Into<Vec<u8>>) -> Self {
        Self {
            ca_certificate: Some(pem.into()),
            ..self
        }
    }

    /// Connects.
    ///
    /// It must be called on the Tokio runtime on which the store will be used: a task there watches the
    /// connection until the last clone of the store is dropped.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] when a setting is wrong, or the server cannot be reached or used. It is not tried
    /// again: a server that starts before Redis does should be restarted by whoever started it.
    pub async fn connect(self) -> Result<RedisStore, ConnectError> {
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
            #[cfg(feature = "tls")]
            ca_certificate: self.ca_certificate,
        };
        Ok(RedisStore::new(Driver::connect(settings).await?, prefix))
    }
}

impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("address", &Address::parse(&self.url).ok())
            .field("key_prefix", &self.key_prefix)
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}
