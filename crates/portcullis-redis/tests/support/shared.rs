//! Servers that take seconds to start, so that the rules of a contract share them.
#![allow(unreachable_pub)]

use std::sync::{
    Arc, PoisonError, Weak,
    atomic::{AtomicU32, Ordering},
};

use tokio::sync::{Mutex, OwnedMutexGuard};

/// Servers that live as long as a rule uses them. Each rule has them to itself while it runs, since
/// time passes for all there is in them.
pub struct Shared<T>(std::sync::Mutex<Weak<Mutex<T>>>);

impl<T> Shared<T> {
    pub const fn new() -> Self {
        Self(std::sync::Mutex::new(Weak::new()))
    }

    /// The servers, which are started if they are not in use.
    pub async fn get(&self, start: impl FnOnce() -> T) -> OwnedMutexGuard<T> {
        let servers = {
            let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            shared.upgrade().unwrap_or_else(|| {
                let started = Arc::new(Mutex::new(start()));
                *shared = Arc::downgrade(&started);
                started
            })
        };
        servers.lock_owned().await
    }
}

/// A prefix for the keys of one rule.
pub fn prefix() -> String {
    static RULES: AtomicU32 = AtomicU32::new(0);
    format!("rule{}", RULES.fetch_add(1, Ordering::Relaxed))
}
