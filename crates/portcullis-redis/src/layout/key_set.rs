//! The keys that a change of a session touches.

use portcullis_core::{SessionIdHash, SessionMeta, UserIdHash};

use super::keys::Prefix;

/// The keys of a session, its lists, its log, and its user's marker and suspension. For a session
/// without a user, the keys of a user are those of the bucket's list, and no script touches them.
pub(crate) struct KeySet {
    pub(crate) session: String,
    pub(crate) due_list: String,
    pub(crate) log: String,
    pub(crate) user_list: String,
    pub(crate) marker: String,
    pub(crate) suspension: String,
}

impl KeySet {
    pub(crate) fn of(prefix: &Prefix, key: &SessionIdHash, meta: &SessionMeta) -> Self {
        let bucket = key.bucket();
        let due_list = prefix.due_list(bucket);
        let [user_list, marker, suspension] = match meta.user().map(UserIdHash::of) {
            Some(user) => [
                prefix.user_list(&user),
                prefix.marker(&user),
                prefix.suspension(&user),
            ],
            None => [due_list.clone(), due_list.clone(), due_list.clone()],
        };
        Self {
            session: prefix.session(key),
            log: prefix.log(bucket, meta.owner.is_some()),
            due_list,
            user_list,
            marker,
            suspension,
        }
    }

    /// The keys of scripts that end a session, in their order.
    pub(crate) fn of_end(self) -> Vec<String> {
        vec![self.session, self.due_list, self.log, self.user_list]
    }

    /// The keys of scripts that create or change a session, which a revocation or a
    /// suspension may forbid, in their order.
    pub(crate) fn of_write(self) -> Vec<String> {
        vec![
            self.session,
            self.due_list,
            self.log,
            self.user_list,
            self.marker,
            self.suspension,
        ]
    }
}
