//! What a store is asked to do: the arguments of its calls.

use std::{fmt, num::NonZeroUsize, time::Duration};

use bytes::Bytes;

use super::{Activity, Deadline, Limits, NewLimits, Others, Revision};
#[cfg(doc)]
use super::{Expiry, Store};
use crate::{Class, EndReason, Environment, Note, SessionIdHash, SessionMeta, Timestamp, UserId};

/// The argument of [`Store::register`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Register<'a> {
    /// The name of the cookie.
    pub cookie: &'a str,
    /// The longest absolute timeout of the realm's sessions.
    pub longest: Duration,
    /// Where the application runs, if it says so.
    pub environment: Option<&'a Environment>,
    /// The classes that it declares. No two of them have the same name or the same character.
    pub classes: &'a [Class],
}

impl<'a> Register<'a> {
    /// Registers a realm with this cookie, this longest absolute timeout, this environment and
    /// these classes.
    pub const fn new(
        cookie: &'a str,
        longest: Duration,
        environment: Option<&'a Environment>,
        classes: &'a [Class],
    ) -> Self {
        Self {
            cookie,
            longest,
            environment,
            classes,
        }
    }
}

/// The argument of [`Store::create`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Create<'a> {
    /// Where to store it.
    pub key: &'a SessionIdHash,
    /// What to store.
    pub write: &'a RecordWrite,
    /// The session's two limits.
    pub limits: Limits,
    /// What becomes of the other sessions of its user.
    pub others: &'a Others,
}

impl<'a> Create<'a> {
    /// Creates this session under `key`.
    pub const fn new(
        key: &'a SessionIdHash,
        write: &'a RecordWrite,
        limits: Limits,
        others: &'a Others,
    ) -> Self {
        Self {
            key,
            write,
            limits,
            others,
        }
    }
}

/// The argument of [`Store::commit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Commit<'a> {
    /// Where the session is stored.
    pub key: &'a SessionIdHash,
    /// The write that this one builds on.
    pub expected: Revision,
    /// What to store.
    pub write: &'a RecordWrite,
    /// Whether it counts as activity.
    pub activity: Activity,
}

impl<'a> Commit<'a> {
    /// Writes to the session under `key`, on top of the write `expected`.
    pub const fn new(
        key: &'a SessionIdHash,
        expected: Revision,
        write: &'a RecordWrite,
        activity: Activity,
    ) -> Self {
        Self {
            key,
            expected,
            write,
            activity,
        }
    }
}

/// The argument of [`Store::replace`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replace<'a> {
    /// The session as it was.
    pub old: &'a ReplacedSession,
    /// Where to store the new one.
    pub new: &'a SessionIdHash,
    /// What to store.
    pub write: &'a RecordWrite,
    /// What becomes of the deadlines.
    pub deadline: Deadline,
    /// What becomes of the other sessions of its user, with [`Deadline::Restart`].
    pub others: &'a Others,
}

impl<'a> Replace<'a> {
    /// Moves the session `old` to the key `new`.
    pub const fn new(
        old: &'a ReplacedSession,
        new: &'a SessionIdHash,
        write: &'a RecordWrite,
        deadline: Deadline,
        others: &'a Others,
    ) -> Self {
        Self {
            old,
            new,
            write,
            deadline,
            others,
        }
    }
}

/// The argument of [`Store::touch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Touch<'a> {
    /// Where the session is stored.
    pub key: &'a SessionIdHash,
    /// Its name and owner.
    pub meta: &'a SessionMeta,
    /// The kind of activity.
    pub activity: Activity,
    /// Another idle timeout. Whole milliseconds, at most two years. `None` leaves it as it is. With
    /// [`Activity::Passive`], a longer one does too.
    pub idle_timeout: Option<Duration>,
}

impl<'a> Touch<'a> {
    /// Touches the session under `key`.
    pub const fn new(key: &'a SessionIdHash, meta: &'a SessionMeta, activity: Activity) -> Self {
        Self {
            key,
            meta,
            activity,
            idle_timeout: None,
        }
    }

    /// The same with another idle timeout.
    #[must_use]
    pub const fn idle_timeout(self, idle_timeout: Option<Duration>) -> Self {
        Self {
            idle_timeout,
            ..self
        }
    }
}

/// The argument of [`Store::users_after`] and of [`Store::suspensions_after`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsersAfter<'a> {
    /// The last user of the page before; `None` for the first page.
    pub after: Option<&'a UserId>,
    /// The number of users on a page.
    pub most: NonZeroUsize,
}

impl<'a> UsersAfter<'a> {
    /// The page of at most `most` users that follows the user `after`.
    pub const fn new(after: Option<&'a UserId>, most: NonZeroUsize) -> Self {
        Self { after, most }
    }
}

/// What to store of a session, and what to write to the log if it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordWrite {
    /// Its name and owner.
    pub meta: SessionMeta,
    /// What to store.
    pub payload: Bytes,
    /// When its elevations end, if it has any. The store then logs [`Expiry::Elevation`].
    pub elevated_until: Option<Timestamp>,
    /// Whether it was used from what looks like another device and is to be reviewed.
    pub flagged: bool,
    /// Other limits, if the session keeps its deadlines.
    pub new_limits: NewLimits,
    /// What to write to the log, in this order.
    pub notes: Vec<Note>,
}

impl fmt::Debug for RecordWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordWrite")
            .field("meta", &self.meta)
            .field("notes", &self.notes)
            .finish_non_exhaustive()
    }
}

/// A session to end: the argument of [`Store::end`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Termination {
    /// Where it is stored.
    pub key: SessionIdHash,
    /// Its name and owner.
    pub meta: SessionMeta,
    /// Why it ends.
    pub reason: EndReason,
    /// What to write to the log.
    pub note: Note,
    /// Until when it would be live without further activity, as the caller found it. `None` if the
    /// caller did not load it, and does not need to know whether the session is live under another
    /// key.
    pub live_until: Option<Timestamp>,
    /// The number of the version of the policy whose activation ended it, if one did. The store
    /// counts the session for [`Store::policy_ends`].
    pub version: Option<u64>,
}

/// A session that is about to be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplacedSession {
    /// Where it is stored.
    pub key: SessionIdHash,
    /// Its name and owner.
    pub meta: SessionMeta,
    /// The write that the new one builds on.
    pub expected: Revision,
    /// What to write to the log about it, if the new one is another session.
    pub note: Option<Note>,
}
