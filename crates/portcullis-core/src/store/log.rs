//! The log that a store keeps of what happened to its sessions.

use std::{fmt, ops::RangeInclusive, time::Duration};

use crate::{Event, Note, SessionHandle, Timestamp, UserId};
#[cfg(doc)]
use crate::{EventKind, store::Store};

/// How much a store keeps of its log.
///
/// A store may divide its log into parts, each with a share of the bound. Within a part, every user has a quota, so
/// that nobody can push out the events of others: when there are too many events, the users with the most lose their
/// oldest, until there are few enough. A user with no more events than the fair share, which is the bound of the part
/// divided by the number of users in it, loses none. So a part of `m` events holds `n` of a victim for as long as there
/// are no more than `m / n - 1` other users in it, however many events they cause.
///
/// Of sessions without a user, each session has a quota. That protects them from each other, but not from a visitor who
/// begins many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// How many lines about sessions with a user; a line is an event, or equal observations in a row. Of sessions
    /// without a user, a quarter as many, in a log of their own: visitors nobody knows must not be able to push out
    /// what people did.
    pub events: usize,
    /// For how long.
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
    /// Only those of this user. Without one, every part of the log is looked at.
    pub user: Option<UserId>,
    /// Only those of the session of this name.
    pub session: Option<SessionHandle>,
    /// Only events of these names, as [`EventKind::as_str`] tells them; of any name if there is none here.
    pub names: Vec<String>,
    /// None before this moment. A line of several events is read if the last of them was not before it.
    pub from: Option<Timestamp>,
    /// None after this moment. A line of several events is read if the first of them was not after it.
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

    /// Whether a line is asked for that is of this session and user, has this note, and whose first and last event
    /// were at these moments. The note is encoded, and read only where that matters.
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
    /// Its place in the log, the same whoever reads it. When one more observation is merged into a line, the line moves
    /// to a new place, at the end of the log.
    pub place: LogPlace,
    /// What happened; its moment is that of the last event. `None` if a later version wrote it, or it is damaged.
    pub event: Option<Event>,
    /// How many events it stands for: 1, or more for equal observations.
    pub count: u64,
    /// When the first of them happened: for a single event, when it happened.
    pub first_at: Timestamp,
}

impl Logged {
    /// The longest time from the first to the last event of a line: a day. An observation that comes later begins
    /// another line.
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

/// An observation that changed nothing, for the log. It can be made again and again, so equal ones in a row are
/// [one line](Store::observe).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Of which session, if it is known.
    pub session: Option<SessionHandle>,
    /// Of which user, if it is known.
    pub user: Option<UserId>,
    /// What.
    pub note: Note,
}
