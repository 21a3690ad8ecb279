//! The registry of realms in a store.

use std::time::Duration;

use crate::{Realm, Timestamp};

/// A realm that some session layer uses or has used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredRealm {
    /// Its name.
    pub realm: Realm,
    /// The name of the cookie that the last layer had.
    pub cookie: String,
    /// The longest absolute timeout that any layer of it had.
    pub longest: Duration,
    /// When a layer registered it last, on the store's clock.
    pub seen_at: Timestamp,
}
