//! The log that a store keeps of what happened to its sessions.

use std::{fmt, time::Duration};

#[cfg(doc)]
use crate::EventKind;
use crate::{Event, Handle, Note, Timestamp, UserId};

/// How much a store keeps of its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// How many events of sessions with a user. Of those without, a quarter as many, in a log of their own:
    /// visitors nobody knows must not be able to push out what people did.
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
    pub session: Option<Handle>,
    /// Only events of these names, as [`EventKind::as_str`] tells them; of any name if there is none here.
    pub names: Vec<String>,
    /// None before this moment.
    pub from: Option<Timestamp>,
    /// None after this moment.
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

    /// Whether an event at this moment, of this session and user and with this note, is asked for. The note is
    /// encoded, and read only where that matters.
    pub fn covers(
        &self,
        at: Timestamp,
        session: Option<Handle>,
        user: Option<&UserId>,
        note: &[u8],
    ) -> bool {
        let named = || {
            let name = Note::decode(note).map(|note| note.kind.as_str());
            name.is_some_and(|name| self.names.iter().any(|wanted| wanted == name))
        };
        self.user.as_ref().is_none_or(|wanted| user == Some(wanted))
            && self.session.is_none_or(|wanted| session == Some(wanted))
            && self.from.is_none_or(|from| from <= at)
            && self.to.is_none_or(|to| at <= to)
            && (self.names.is_empty() || named())
    }
}

/// An event in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Its place in the log, the same whoever reads it.
    pub place: LogPlace,
    /// What happened. `None` if a later version wrote it, or it is damaged.
    pub event: Option<Event>,
}

/// The place of an event in a store's log: opaque, unique, and later for what was written later.
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

/// An observation that changed nothing, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Of which session, if it is known.
    pub session: Option<Handle>,
    /// Of which user, if it is known.
    pub user: Option<UserId>,
    /// What.
    pub note: Note,
}
