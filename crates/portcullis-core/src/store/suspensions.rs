//! Suspensions of users.

use std::time::Duration;

use super::ReplicaAcks;
#[cfg(doc)]
use super::{RevokeScope, Store};
use crate::{Actor, Client, EndReason, EventKind, Note, SessionHandle, Timestamp, UserId};

/// The argument of [`Store::suspend`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Suspend<'a> {
    /// The user.
    pub user: &'a UserId,
    /// Who suspends them.
    pub actor: &'a Actor,
    /// What is known of the client, if a request caused it.
    pub client: Option<&'a Client>,
    /// Why, for operators.
    pub reason: Option<&'a str>,
    /// As [`Revocation::longest`](super::Revocation::longest).
    pub longest: Option<Duration>,
}

impl<'a> Suspend<'a> {
    /// Why sessions end when their user is suspended.
    pub const END: EndReason = EndReason::RevokedByOperator;

    /// The actor suspends this user.
    pub const fn new(user: &'a UserId, actor: &'a Actor) -> Self {
        Self {
            user,
            actor,
            client: None,
            reason: None,
            longest: None,
        }
    }

    /// The same from this client.
    #[must_use]
    pub const fn client(self, client: Option<&'a Client>) -> Self {
        Self { client, ..self }
    }

    /// The same for this reason.
    #[must_use]
    pub const fn reason(self, reason: Option<&'a str>) -> Self {
        Self { reason, ..self }
    }

    /// The same where no session of the user can last longer.
    #[must_use]
    pub const fn longest(self, longest: Option<Duration>) -> Self {
        Self { longest, ..self }
    }

    /// What to write to the log about it.
    pub fn note(&self) -> Note {
        self.note_of(EventKind::UserSuspended(self.reason.map(str::to_owned)))
    }

    /// What to write to the log for each session that ends.
    pub fn note_of_end(&self) -> Note {
        self.note_of(EventKind::Ended(Self::END))
    }

    fn note_of(&self, kind: EventKind) -> Note {
        Note::new(kind, self.actor.clone(), self.client.cloned())
    }
}

/// What [`Store::suspend`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SuspensionReport {
    /// Whether the user was suspended before. Then the earlier suspension stays as it was.
    pub was_suspended: bool,
    /// The sessions that this call ended.
    pub ended: Vec<SessionHandle>,
    /// How many copies of the store have confirmed it, if the store is set to wait for them.
    pub copies: Option<ReplicaAcks>,
}

/// A user who is suspended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// The user.
    pub user: UserId,
    /// Since when.
    pub since: Timestamp,
    /// Who suspended them. `None` if this version cannot read it.
    pub actor: Option<Actor>,
    /// Why.
    pub reason: Option<String>,
}

/// The argument of [`Store::resume`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resume<'a> {
    /// The user.
    pub user: &'a UserId,
    /// Who lets them sign in again.
    pub actor: &'a Actor,
    /// What is known of the client, if a request caused it.
    pub client: Option<&'a Client>,
    /// As [`Revocation::longest`](super::Revocation::longest).
    pub longest: Option<Duration>,
}

impl<'a> Resume<'a> {
    /// The actor lets this user sign in again.
    pub const fn new(user: &'a UserId, actor: &'a Actor) -> Self {
        Self {
            user,
            actor,
            client: None,
            longest: None,
        }
    }

    /// The same from this client.
    #[must_use]
    pub const fn client(self, client: Option<&'a Client>) -> Self {
        Self { client, ..self }
    }

    /// The same where no session of the user can last longer.
    #[must_use]
    pub const fn longest(self, longest: Option<Duration>) -> Self {
        Self { longest, ..self }
    }

    /// What to write to the log about it.
    pub fn note(&self) -> Note {
        let client = self.client.cloned();
        Note::new(EventKind::UserResumed, self.actor.clone(), client)
    }

    /// What to write to the log for a session that appears later although it began before.
    pub fn note_of_end(&self) -> Note {
        let (kind, client) = (EventKind::Ended(Suspend::END), self.client.cloned());
        Note::new(kind, self.actor.clone(), client)
    }
}

/// What [`Store::resume`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resumed {
    /// The user can sign in again.
    Done,
    /// Nothing: the user was not suspended.
    NotSuspended,
}
