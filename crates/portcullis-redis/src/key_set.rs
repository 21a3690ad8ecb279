//! Where a session is filed: the keys of the lists and the log that its changes reach.

use portcullis_core::{SessionIdHash, SessionMeta, UserIdHash};

use crate::keys::Prefix;

/// The keys beside the session's own. Those of a user are spelled for a session without one too, where no
/// script touches them.
pub(crate) struct KeySet {
    pub(crate) session: String,
    pub(crate) due_list: String,
    pub(crate) log: String,
    pub(crate) user_list: String,
    pub(crate) marker: String,
}

impl KeySet {
    pub(crate) fn of(prefix: &Prefix, key: &SessionIdHash, meta: &SessionMeta) -> Self {
        let bucket = key.bucket();
        let due_list = prefix.due_list(bucket);
        let (user_list, marker) = match meta.user() {
            Some(user) => {
                let user = UserIdHash::of(user);
                (prefix.user_list(&user), prefix.marker(&user))
            }
            None => (due_list.clone(), due_list.clone()),
        };
        Self {
            session: prefix.session(key),
            log: prefix.log(bucket, meta.owner.is_some()),
            due_list,
            user_list,
            marker,
        }
    }

    /// What scripts are given that end a session, in their order.
    pub(crate) fn keys_to_end(self) -> Vec<String> {
        vec![self.session, self.due_list, self.log, self.user_list]
    }

    /// What scripts are given that let it begin or go on, which a revocation may forbid.
    pub(crate) fn keys(self) -> Vec<String> {
        vec![
            self.session,
            self.due_list,
            self.log,
            self.user_list,
            self.marker,
        ]
    }
}
