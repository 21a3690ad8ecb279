//! What a store answers.

use std::fmt;

use bytes::Bytes;

#[cfg(doc)]
use super::{Deadline, Store};
use super::{Expired, RealmConflict, Revision, Timing};
use crate::{EndReason, Environment, SessionHandle, SessionIdHash};

/// What [`Store::register`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registered {
    /// It is in the registry.
    Done,
    /// It contradicts the registry, which stays as it is.
    Refused(RealmConflict),
}

/// What [`Store::set_environment`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvironmentSet {
    /// The realm has the new environment.
    Done {
        /// The environment that it had, if any.
        before: Option<Environment>,
    },
    /// Nothing: the realm is not registered.
    Unregistered,
}

/// A live session as a store keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its moments.
    pub timing: Timing,
    /// The write that was read.
    pub revision: Revision,
    /// What was written.
    pub payload: Bytes,
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored")
            .field("timing", &self.timing)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

/// What [`Store::load`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loaded {
    /// A live session.
    Live(Stored),
    /// There is no longer a session under this key.
    Ended {
        /// Why it ended.
        reason: EndReason,
        /// What its name was.
        handle: SessionHandle,
        /// The key under which the session continues, if it was moved with [`Deadline::Keep`]. If
        /// it moved more than once, this is the next key. Nothing else has a successor: an
        /// authentication begins another session. A caller that watches a session which other
        /// requests may move follows it by this.
        successor: Option<SessionIdHash>,
    },
    /// It expired, and this is the one call that receives the expiry, as from [`Store::sweep`].
    Expired(Expired),
    /// Nothing: never issued, expired, or ended long ago.
    Absent,
    /// Something that is not a session record. It grants nothing.
    Damaged,
}

/// A session that [`Store::create`] or [`Store::replace`] made live under its key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CreatedSession {
    /// Its moments.
    pub timing: Timing,
    /// The write that made it.
    pub revision: Revision,
    /// The sessions of the same user that ended for it.
    pub displaced: Vec<SessionHandle>,
}

impl CreatedSession {
    /// A session with these moments, made by this write, for which the sessions `displaced` ended.
    pub const fn new(timing: Timing, revision: Revision, displaced: Vec<SessionHandle>) -> Self {
        Self {
            timing,
            revision,
            displaced,
        }
    }
}

/// A live session after [`Store::commit`] wrote to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommittedSession {
    /// Its moments.
    pub timing: Timing,
    /// The write.
    pub revision: Revision,
}

impl CommittedSession {
    /// A session with these moments after this write.
    pub const fn new(timing: Timing, revision: Revision) -> Self {
        Self { timing, revision }
    }
}

/// What [`Store::create`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// The session is live.
    Done(CreatedSession),
    /// Something is stored under this key already, and stays as it was.
    Taken,
    /// The user has as many sessions as the limit allows. Nothing was changed.
    AtLimit,
    /// All sessions of the user were revoked since they authenticated. Nothing was changed.
    Revoked,
    /// The user is suspended. Nothing was changed.
    Suspended,
}

/// What [`Store::commit`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// It was written.
    Done(CommittedSession),
    /// Another request wrote first; this is what is stored now. Nothing was changed.
    Conflict(Stored),
    /// The session is not live. Nothing was changed and nothing was created.
    Gone,
}

/// What [`Store::replace`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replaced {
    /// The session is live under its new key.
    Done(CreatedSession),
    /// Another request wrote first; this is what is stored now. Nothing was changed.
    Conflict(Stored),
    /// The session is not live, or all sessions of its user were revoked after they authenticated.
    /// Nothing was created.
    Gone,
    /// The user has as many sessions as the limit allows. Nothing was changed.
    AtLimit,
    /// The user who would be signed in is suspended. Nothing was changed.
    Suspended,
    /// Another request wrote to the session or ended it after these sessions of the same user had
    /// ended for the new one. Nothing else was changed. A further call answers with the present
    /// state.
    Overtaken(Vec<SessionHandle>),
}

/// What [`Store::touch`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touched {
    /// The session's moments now.
    Done(Timing),
    /// The session is not live. Nothing was changed.
    Gone,
}

/// What [`Store::end`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// This call ended the session.
    Done,
    /// It was not live before.
    AlreadyGone,
}

/// What [`Store::listen`] reports. A reason to load sessions; nothing follows from it by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// The session of this name has ended, or goes on under another key.
    Changed(SessionHandle),
    /// Another policy was [activated](Store::activate_policy).
    PolicyActivated,
    /// Any session may have changed, and another policy may have been activated.
    Missed,
}
