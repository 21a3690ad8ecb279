//! The suspended users of a realm in memory.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    ops::Bound,
};

use crate::{
    SessionMeta, Timestamp, UserId,
    store::{Suspend, Suspension, UsersAfter},
};

/// The suspended users, in the order of their bytes.
///
/// In this store a suspension finds every session in its user's list. So later it only refuses
/// sign-ins.
#[derive(Default)]
pub(super) struct Suspensions(BTreeMap<UserId, Suspension>);

impl Suspensions {
    /// Suspends a user, and returns whether this is new.
    pub(super) fn add(&mut self, suspend: Suspend<'_>, now: Timestamp) -> bool {
        let Entry::Vacant(vacant) = self.0.entry(suspend.user.clone()) else {
            return false;
        };
        vacant.insert(Suspension {
            user: suspend.user.clone(),
            since: now,
            actor: Some(suspend.actor.clone()),
            reason: suspend.reason.map(str::to_owned),
        });
        true
    }

    /// Returns whether the user was suspended.
    pub(super) fn remove(&mut self, user: &UserId) -> bool {
        self.0.remove(user).is_some()
    }

    pub(super) fn of(&self, user: &UserId) -> Option<&Suspension> {
        self.0.get(user)
    }

    /// Whether a session of this owner must not begin.
    pub(super) fn forbid(&self, meta: &SessionMeta) -> bool {
        meta.user().is_some_and(|user| self.0.contains_key(user))
    }

    pub(super) fn after(&self, page: UsersAfter<'_>) -> Vec<Suspension> {
        let from = page.after.map_or(Bound::Unbounded, Bound::Excluded);
        let suspensions = self.0.range::<UserId, _>((from, Bound::Unbounded));
        let page = suspensions.take(page.most.get());
        page.map(|(_, suspension)| suspension.clone()).collect()
    }
}
