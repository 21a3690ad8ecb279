//! The log that a store keeps of what happened to its sessions.

use std::{fmt, ops::RangeInclusive, time::Duration};

use crate::{Event, Note, SessionHandle, Timestamp, UserId};
#[cfg(doc)]
use crate::{EventKind, store::Store};

/// How much a store keeps of its log.
///
/// A store may divide its log into parts, each with a share of the bound. Within a part, every user
/// has a quota, so that no user can push out the events of others. When there are too many events,
/// the users with the most lose their oldest, until there are few enough. The fair share is the
/// bound of the part divided by the number of users in it. A user with no more events than that
/// loses none. So a part of `m` events keeps `n` of a victim while there are no more than
/// `m / n - 1` other users in it, however many events they cause.
///
/// Among sessions without a user, each session has a quota. That protects them from each other, but
/// not from a visitor who begins many sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// How many lines about sessions with a user. A line is an event, or equal observations in a
    /// row. Sessions without a user have a log of their own with a quarter as many. So anonymous
    /// visitors cannot push out the events of users.
    pub events: usize,
    /// How long a line is kept.
    pub age: Duration,
}

impl Default for LogLimits {
    /// 400 000 events, 90 days.
    fn default() -> Self {
        Self {
            events: 400_000,
            age: Duration::from_secs(90 * 24 * 60 * 60),
        }
    }
}

/// Which events to read, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogQuery {
    /// Only those of this user. Without one, every part of the log is read.
    pub user: Option<UserId>,
    /// Only those of the session of this name.
    pub session: Option<SessionHandle>,
    /// Only events with these names, as [`EventKind::as_str`] writes them. If empty, events with
    /// any name.
    pub names: Vec<String>,
    /// None before this moment. A line of several events is read if the last of them was not before
    /// it.
    pub from: Option<Timestamp>,
    /// None after this moment. A line of several events is read if the first of them was not after
    /// it.
    pub to: Option<Timestamp>,
    /// At most this many; 100 if it is zero.
    pub most: usize,
}

impl LogQuery {
    /// The number of events asked for.
    pub fn count(&self) -> usize {
        match self.most {
            0 => 100,
            most => most,
        }
    }

    /// Whether the query asks for a line with this session, user and note. `moments` are those of
    /// its first and its last event. The note is encoded, and decoded only if necessary.
    pub fn covers(
        &self,
        moments: RangeInclusive<Timestamp>,
        session: Option<SessionHandle>,
        user: Option<&UserId>,
        note: &[u8],
    ) -> bool {
        let named = || {
            let name = Note::decode(note).map(|note| note.kind.as_str());
            name.is_some_and(|name| self.names.iter().any(|wanted| wanted == name))
        };
        self.user.as_ref().is_none_or(|wanted| user == Some(wanted))
            && self.session.is_none_or(|wanted| session == Some(wanted))
            && self.from.is_none_or(|from| from <= *moments.end())
            && self.to.is_none_or(|to| *moments.start() <= to)
            && (self.names.is_empty() || named())
    }
}

/// A line of the log: an event, or equal observations in a row.
///
/// Changes are never merged: each has a line of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Its place in the log, the same for every reader. When one more observation is merged into a
    /// line, the line moves to a new place, at the end of the log.
    pub place: LogPlace,
    /// What happened; its moment is that of the last event. `None` if a later version wrote it, or
    /// it is damaged.
    pub event: Option<Event>,
    /// The number of events in it: 1, or more for equal observations.
    pub count: u64,
    /// When the first of them happened.
    pub first_at: Timestamp,
}

impl Logged {
    /// The longest time from the first to the last event of a line: a day. A later observation
    /// starts another line.
    pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
}

/// The place of a line in a store's log: opaque, unique, and later for what was written later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPlace {
    /// When it was written, on the store's clock.
    pub written_at: Timestamp,
    /// Among what was written at that moment in one part of the log.
    pub number: u64,
    /// The part of the log.
    pub part: u16,
}

impl fmt::Display for LogPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            written_at,
            number,
            part,
        } = self;
        write!(f, "{}-{number}-{part:x}", written_at.as_millis())
    }
}

/// An observation that changed nothing, for the log. Equal ones in a row are
/// [one line](Store::observe), because a client can cause any number of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The session, if it is known.
    pub session: Option<SessionHandle>,
    /// The user, if it is known.
    pub user: Option<UserId>,
    /// What was observed.
    pub note: Note,
}
