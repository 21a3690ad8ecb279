//! The log of a memory store: two rings, the older lines pushed out by the newer.

use std::{cmp::Reverse, collections::VecDeque, time::Duration};

use bytes::Bytes;

use crate::{
    Event, Handle, Label, Note, Timestamp, UserId,
    store::{LogLimits, LogPlace, LogQuery, Logged},
};

pub(super) const LIMITS: LogLimits = LogLimits {
    events: 10_000,
    age: Duration::from_secs(90 * 24 * 60 * 60),
};

pub(super) struct Log {
    limits: LogLimits,
    of_users: VecDeque<Line>,
    of_strangers: VecDeque<Line>,
    written: u64,
}

/// Whom a line is about.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) session: Option<Handle>,
    pub(super) user: Option<&'a UserId>,
}

impl<'a> From<&'a Label> for About<'a> {
    fn from(label: &'a Label) -> Self {
        Self {
            session: Some(label.handle),
            user: label.user(),
        }
    }
}

struct Line {
    place: LogPlace,
    at: Timestamp,
    session: Option<Handle>,
    user: Option<UserId>,
    /// Encoded, so that what is read is what any other store would have kept of it.
    note: Bytes,
}

impl Line {
    fn is_in(&self, query: &LogQuery) -> bool {
        query.covers(self.at, self.session, self.user.as_ref(), &self.note)
    }

    fn read(&self) -> Logged {
        let event = Note::decode(&self.note)
            .map(|note| Event::new(note, self.at, self.session, self.user.clone()));
        Logged {
            place: self.place,
            event,
        }
    }
}

impl Log {
    pub(super) fn limit(&mut self, limits: LogLimits) {
        self.limits = limits;
    }

    /// Writes down at `now` what happened at `at`.
    pub(super) fn note(&mut self, now: Timestamp, at: Timestamp, about: About<'_>, note: &Note) {
        let LogLimits { events, age } = self.limits;
        let (part, ring, most) = match about.user {
            Some(_) => (0, &mut self.of_users, events),
            None => (1, &mut self.of_strangers, events / 4),
        };
        forget(ring, most.saturating_sub(1), now, age);
        if most == 0 {
            return;
        }
        self.written += 1;
        ring.push_back(Line {
            place: LogPlace {
                written_at: now,
                number: self.written,
                part,
            },
            at,
            session: about.session,
            user: about.user.cloned(),
            note: note.encode(),
        });
    }

    /// Looks at the whole of it: a log is read by people, now and then.
    pub(super) fn read(&mut self, query: &LogQuery, now: Timestamp) -> Vec<Logged> {
        let LogLimits { events, age } = self.limits;
        forget(&mut self.of_users, events, now, age);
        forget(&mut self.of_strangers, events / 4, now, age);
        let mut lines: Vec<&Line> = [&self.of_users, &self.of_strangers]
            .into_iter()
            .flat_map(|ring| {
                let newest_first = ring.iter().rev().filter(|line| line.is_in(query));
                newest_first.take(query.count())
            })
            .collect();
        lines.sort_unstable_by_key(|line| Reverse(line.place));
        lines.truncate(query.count());
        lines.into_iter().map(Line::read).collect()
    }
}

/// Leaves at most `most` lines, and none of this age.
fn forget(ring: &mut VecDeque<Line>, most: usize, now: Timestamp, age: Duration) {
    while ring
        .front()
        .is_some_and(|line| ring.len() > most || now.since(line.place.written_at) >= age)
    {
        ring.pop_front();
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            limits: LIMITS,
            of_users: VecDeque::new(),
            of_strangers: VecDeque::new(),
            written: 0,
        }
    }
}
