//! The log of a memory store: one ring for sessions with a user, one for those without.

use std::{
    cmp::Reverse,
    collections::{HashMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;

use crate::{
    Event, Note, SessionHandle, SessionMeta, Timestamp, UserId,
    store::{LogLimits, LogPlace, LogQuery, Logged, Observation},
};

pub(super) const LIMITS: LogLimits = LogLimits {
    events: 10_000,
    age: Duration::from_secs(90 * 24 * 60 * 60),
};

/// How many of the newest lines are searched for an equal observation.
const SEARCHED: usize = 8;

pub(super) struct Log {
    limits: LogLimits,
    of_users: VecDeque<Line>,
    of_visitors: VecDeque<Line>,
    written: u64,
}

/// The session and user that a line is about.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) session: Option<SessionHandle>,
    pub(super) user: Option<&'a UserId>,
}

impl<'a> From<&'a SessionMeta> for About<'a> {
    fn from(meta: &'a SessionMeta) -> Self {
        Self {
            session: Some(meta.handle),
            user: meta.user(),
        }
    }
}

struct Line {
    place: LogPlace,
    first_at: Timestamp,
    at: Timestamp,
    session: Option<SessionHandle>,
    user: Option<UserId>,
    /// Encoded, so that a read returns what any other store would have kept.
    note: Bytes,
    /// The number of observations in it; `None` for a change.
    observed: Option<u64>,
}

impl Line {
    fn is_in(&self, query: &LogQuery) -> bool {
        let moments = self.first_at..=self.at;
        query.covers(moments, self.session, self.user.as_ref(), &self.note)
    }

    fn is_about(&self, about: About<'_>) -> bool {
        self.session == about.session && self.user.as_ref() == about.user
    }

    fn owner(&self) -> Owner {
        match &self.user {
            Some(user) => Owner::User(user.clone()),
            None => Owner::Session(self.session),
        }
    }

    fn read(&self) -> Logged {
        let event = Note::decode(&self.note)
            .map(|note| Event::new(note, self.at, self.session, self.user.clone()));
        Logged {
            place: self.place,
            event,
            count: self.observed.unwrap_or(1),
            first_at: self.first_at,
        }
    }
}

impl Log {
    pub(super) fn limit(&mut self, limits: LogLimits) {
        self.limits = limits;
    }

    /// Writes at `now` a line about what happened at `at`.
    pub(super) fn note(&mut self, now: Timestamp, at: Timestamp, about: About<'_>, note: &Note) {
        self.append(now, (at, at), about, note.encode(), None);
    }

    /// Writes an observation, merged into one line with equal observations just before it.
    pub(super) fn observe(&mut self, now: Timestamp, observation: &Observation) {
        let about = About {
            session: observation.session,
            user: observation.user.as_ref(),
        };
        let note = observation.note.encode();
        let ring = match about.user {
            Some(_) => &mut self.of_users,
            None => &mut self.of_visitors,
        };
        let mut newest = (0..ring.len()).rev().take(SEARCHED);
        let latest = newest.find(|index| ring.get(*index).is_some_and(|line| line.is_about(about)));
        let is_equal = |line: &Line| {
            let is_recent = now.since(line.first_at) <= Logged::LONGEST;
            line.observed.is_some() && line.note == note && is_recent
        };
        let merged = latest
            .filter(|index| ring.get(*index).is_some_and(is_equal))
            .and_then(|index| ring.remove(index));
        let (first_at, count) = merged.map_or((now, 1), |line| {
            let count = line.observed.unwrap_or(1).saturating_add(1);
            (line.first_at, count)
        });
        self.append(now, (first_at, now), about, note, Some(count));
    }

    fn append(
        &mut self,
        now: Timestamp,
        (first_at, at): (Timestamp, Timestamp),
        about: About<'_>,
        note: Bytes,
        observed: Option<u64>,
    ) {
        let LogLimits { events, age } = self.limits;
        let (part, ring, most) = match about.user {
            Some(_) => (0, &mut self.of_users, events),
            None => (1, &mut self.of_visitors, events / 4),
        };
        forget(ring, now, age);
        if most == 0 {
            ring.clear();
            return;
        }
        self.written += 1;
        ring.push_back(Line {
            place: LogPlace {
                written_at: now,
                number: self.written,
                part,
            },
            first_at,
            at,
            session: about.session,
            user: about.user.cloned(),
            note,
            observed,
        });
        // Trimming reads all lines, so it is not done for each.
        if ring.len() > most.saturating_add(most / 2) {
            trim(ring, most);
        }
    }

    /// Reads the whole log. Operators do that, rarely.
    pub(super) fn read(&mut self, query: &LogQuery, now: Timestamp) -> Vec<Logged> {
        let LogLimits { events, age } = self.limits;
        for (ring, most) in [
            (&mut self.of_users, events),
            (&mut self.of_visitors, events / 4),
        ] {
            forget(ring, now, age);
            trim(ring, most);
        }
        let mut lines: Vec<&Line> = [&self.of_users, &self.of_visitors]
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

/// Removes all lines of this age or older.
fn forget(ring: &mut VecDeque<Line>, now: Timestamp, age: Duration) {
    while ring
        .front()
        .is_some_and(|line| now.since(line.place.written_at) >= age)
    {
        ring.pop_front();
    }
}

/// The owner of the quota that a line counts against.
#[derive(PartialEq, Eq, Hash)]
enum Owner {
    User(UserId),
    Session(Option<SessionHandle>),
}

/// Keeps `most` lines. The owners with the most lose their oldest. Owners with no more than the
/// fair share lose none.
fn trim(ring: &mut VecDeque<Line>, most: usize) {
    let mut excess = ring.len().saturating_sub(most);
    if excess == 0 {
        return;
    }
    let mut held: HashMap<Owner, usize> = HashMap::new();
    for line in &*ring {
        *held.entry(line.owner()).or_default() += 1;
    }
    let share = fair_share(held.values().copied().collect(), most);
    // The remainder of the division goes to the owners with the newer lines.
    for keep in [share + 1, share] {
        ring.retain(|line| match held.get_mut(&line.owner()) {
            Some(held) if excess > 0 && *held > keep => {
                *held -= 1;
                excess -= 1;
                false
            }
            _ => true,
        });
    }
}

/// How many lines each owner keeps so that at most `left` remain. Owners with no more lose none.
fn fair_share(mut counts: Vec<usize>, mut left: usize) -> usize {
    counts.sort_unstable();
    let mut share = 0;
    for (index, count) in counts.iter().enumerate() {
        share = left / (counts.len() - index);
        if *count > share {
            break;
        }
        left -= count;
    }
    share
}

impl Default for Log {
    fn default() -> Self {
        Self {
            limits: LIMITS,
            of_users: VecDeque::new(),
            of_visitors: VecDeque::new(),
            written: 0,
        }
    }
}
