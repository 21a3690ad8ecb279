//! Up to when a user's authentications have been revoked.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use crate::{Handle, Label, Timestamp, UserId};

/// No session lives longer, so nothing that began before can come any more.
const MEMORY: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// One for each user all of whose sessions were revoked, or all but one.
///
/// In this store a revocation finds every session in its user's list, so the mark is for sign-ins that were under
/// way: they come with the moment at which they began.
#[derive(Default)]
pub(super) struct Marks {
    of: HashMap<UserId, Mark>,
    by_age: BTreeSet<(Timestamp, UserId)>,
}

struct Mark {
    at: Timestamp,
    kept: Option<Handle>,
}

impl Marks {
    pub(super) fn set(&mut self, user: &UserId, at: Timestamp, kept: Option<Handle>) {
        let mark = Mark { at, kept };
        if let Some(before) = self.of.insert(user.clone(), mark) {
            self.by_age.remove(&(before.at, user.clone()));
        }
        self.by_age.insert((at, user.clone()));
    }

    /// Whether a session of this name and owner must not begin any more.
    pub(super) fn forbid(&self, label: &Label) -> bool {
        label.owner.as_ref().is_some_and(|owner| {
            self.of.get(&owner.user).is_some_and(|mark| {
                owner.authenticated_at < mark.at && mark.kept != Some(label.handle)
            })
        })
    }

    pub(super) fn forget(&mut self, now: Timestamp) {
        while let Some((at, _)) = self.by_age.first()
            && now.since(*at) >= MEMORY
            && let Some((_, user)) = self.by_age.pop_first()
        {
            self.of.remove(&user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Owner;

    fn moment(secs: u64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    fn label(authenticated_at: Timestamp) -> Label {
        let user = UserId::from("alice");
        Label {
            handle: Handle::generate().unwrap(),
            owner: Some(Owner {
                user,
                authenticated_at,
            }),
        }
    }

    #[test]
    fn only_what_began_before_the_mark_is_forbidden() {
        let mut marks = Marks::default();
        marks.set(&"alice".into(), moment(5), None);
        assert!(marks.forbid(&label(moment(4))));
        assert!(!marks.forbid(&label(moment(5))));
    }

    #[test]
    fn a_mark_is_forgotten_when_nothing_that_old_can_live() {
        let mut marks = Marks::default();
        for at in [moment(1), moment(5)] {
            marks.set(&"alice".into(), at, None);
        }
        marks.forget(moment(5).after(MEMORY - Duration::from_millis(1)));
        assert!(marks.forbid(&label(moment(4))));
        marks.forget(moment(5).after(MEMORY));
        assert!(!marks.forbid(&label(moment(4))));
        assert!(marks.of.is_empty() && marks.by_age.is_empty());
    }
}
