//! The policy that an operator has activated, as far as this process knows.

use std::sync::{Arc, PoisonError, RwLock};

use portcullis_core::{Policy, Timestamp};

/// The activated policy. Without one, the limits of the layer hold.
#[derive(Debug, Default)]
pub(crate) struct CurrentPolicy(RwLock<Option<Activated>>);

/// An activated policy, and what it becomes by itself.
#[derive(Debug, Clone)]
pub(crate) struct Activated {
    pub(crate) policy: Arc<Policy>,
    /// The policy once this one [is over](Policy::is_over), at the end of a tightening for a time.
    pub(crate) later: Option<Arc<Policy>>,
}

impl Activated {
    fn at(&self, now: Timestamp) -> &Arc<Policy> {
        match &self.later {
            Some(later) if self.policy.is_over(now) => later,
            _ => &self.policy,
        }
    }
}

impl CurrentPolicy {
    /// The activated policy at `now`, if one is known.
    pub(crate) fn get(&self, now: Timestamp) -> Option<Arc<Policy>> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let current = current.as_ref();
        current.map(|activated| Arc::clone(activated.at(now)))
    }

    /// The activated policy at `now`. Without one, a policy that ends no session.
    pub(crate) fn get_or_default(&self, now: Timestamp) -> Arc<Policy> {
        self.get(now).unwrap_or_default()
    }

    /// Sets the policy, unless a later version is known already. Returns whether it did.
    #[cfg(feature = "policy")]
    pub(crate) fn advance(&self, activated: Activated) -> bool {
        let number = |activated: &Activated| {
            let version = activated.policy.version();
            version.map(|version| version.number)
        };
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let is_later = current.as_ref().and_then(number) < number(&activated);
        if is_later {
            *current = Some(activated);
        }
        is_later
    }
}
