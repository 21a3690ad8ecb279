//! The policy that an operator has activated, as far as this process knows.

use std::sync::{Arc, PoisonError, RwLock};

use portcullis_core::Policy;

/// The activated policy. Without one, the limits of the layer hold.
#[derive(Debug, Default)]
pub(crate) struct CurrentPolicy(RwLock<Option<Arc<Policy>>>);

impl CurrentPolicy {
    /// The activated policy, if one is known.
    pub(crate) fn get(&self) -> Option<Arc<Policy>> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }

    /// The activated policy. Without one, a policy that ends no session.
    pub(crate) fn get_or_default(&self) -> Arc<Policy> {
        self.get().unwrap_or_default()
    }

    /// Sets the policy, unless a later version is known already. Returns whether it did.
    #[cfg(feature = "policy")]
    pub(crate) fn advance(&self, policy: Arc<Policy>) -> bool {
        let number = |policy: &Policy| policy.version().map(|version| version.number);
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let is_later = current.as_deref().and_then(number) < number(&policy);
        if is_later {
            *current = Some(policy);
        }
        is_later
    }
}
