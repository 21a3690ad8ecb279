//! The records of a memory store by key, and their indexes.

use std::collections::{BTreeSet, HashMap, HashSet};

use bytes::Bytes;

use crate::{
    Bucket, EndReason, SessionHandle, SessionIdHash, SessionMeta, Timestamp, UserId,
    store::{Revision, SessionCount, Stored, Timing, UsersAfter},
};

/// The record under a key.
pub(super) enum Slot {
    Live(Session),
    Ended(End),
}

pub(super) struct Session {
    pub(super) stored: Stored,
    pub(super) meta: SessionMeta,
    /// When its elevations end.
    pub(super) elevated_until: Option<Timestamp>,
}

/// What is remembered of a session that ended under a key.
pub(super) struct End {
    pub(super) reason: EndReason,
    pub(super) handle: SessionHandle,
    /// The key the session was moved to.
    pub(super) successor: Option<SessionIdHash>,
    pub(super) until: Timestamp,
}

/// What has expired.
pub(super) enum Due {
    Session(SessionIdHash),
    Elevation(SessionIdHash, Timestamp),
}

type ByTime = BTreeSet<(Timestamp, SessionIdHash)>;

/// The slots, and their indexes by deadline and by user. All of them change together.
#[derive(Default)]
pub(super) struct Slots {
    slots: HashMap<SessionIdHash, Slot>,
    live: ByTime,
    elevated: ByTime,
    ended: ByTime,
    users: HashMap<UserId, HashSet<SessionIdHash>>,
    writes: u32,
}

impl Slots {
    pub(super) fn get(&self, key: &SessionIdHash) -> Option<&Slot> {
        self.slots.get(key)
    }

    pub(super) fn is_taken(&self, key: &SessionIdHash) -> bool {
        self.slots.contains_key(key)
    }

    pub(super) fn live(&self, key: &SessionIdHash, now: Timestamp) -> Option<&Session> {
        match self.slots.get(key) {
            Some(Slot::Live(session)) if session.stored.timing.is_live(now) => Some(session),
            _ => None,
        }
    }

    /// The number of sessions that have not been found to be expired.
    pub(super) fn live_count(&self) -> usize {
        self.live.len()
    }

    /// The name and owner of a session, even if it has expired and was not yet found to be.
    pub(super) fn meta(&self, key: &SessionIdHash) -> Option<&SessionMeta> {
        match self.slots.get(key)? {
            Slot::Live(session) => Some(&session.meta),
            Slot::Ended(_) => None,
        }
    }

    /// The sessions of a user.
    pub(super) fn of_user(&self, user: &UserId) -> impl Iterator<Item = (SessionIdHash, &Session)> {
        let keys = self.users.get(user).into_iter().flatten();
        keys.filter_map(|key| match self.slots.get(key) {
            Some(Slot::Live(session)) => Some((*key, session)),
            _ => None,
        })
    }

    /// The sessions of a bucket that end at `from` or later, by when they end.
    pub(super) fn by_time(
        &self,
        bucket: Bucket,
        from: Option<Timestamp>,
    ) -> impl Iterator<Item = (SessionIdHash, &Session)> {
        let from = from.unwrap_or(Timestamp::from_millis(0));
        let live = self.live.iter().skip_while(move |(at, _)| *at < from);
        let here = live.filter(move |(_, key)| key.bucket() == bucket);
        here.filter_map(|(_, key)| match self.slots.get(key) {
            Some(Slot::Live(session)) => Some((*key, session)),
            _ => None,
        })
    }

    /// The key of the user's session of this name.
    pub(super) fn called(&self, user: &UserId, name: SessionHandle) -> Option<SessionIdHash> {
        let mut sessions = self.of_user(user);
        let called = sessions.find(|(_, session)| session.meta.handle == name);
        called.map(|(key, _)| key)
    }

    /// The users whose sessions are in this bucket.
    pub(super) fn users_of(&self, bucket: Bucket) -> impl Iterator<Item = &UserId> {
        let is_there = move |keys: &HashSet<SessionIdHash>| {
            let first = keys.iter().next();
            first.is_some_and(|key| key.bucket() == bucket)
        };
        let users = self.users.iter();
        users.filter_map(move |(user, keys)| is_there(keys).then_some(user))
    }

    /// A page of users with sessions, in the order of their bytes.
    pub(super) fn users_after(&self, page: UsersAfter<'_>) -> Vec<UserId> {
        let UsersAfter { after, most } = page;
        let users = self.users.keys();
        let mut users: Vec<_> = users
            .filter(|user| after.is_none_or(|after| *user > after))
            .collect();
        users.sort_unstable();
        users.into_iter().take(most.get()).cloned().collect()
    }

    /// The number of sessions that have not been found to be expired.
    pub(super) fn count(&self) -> SessionCount {
        let of_users: usize = self.users.values().map(HashSet::len).sum();
        SessionCount {
            of_users: of_users as u64,
            of_visitors: self.live.len().saturating_sub(of_users) as u64,
        }
    }

    /// The key under which the session of `key` is live now, as far as its moves are remembered.
    ///
    /// The loop ends: if the key that a session was moved to has a successor too, that move was
    /// later.
    pub(super) fn current(&self, key: &SessionIdHash, now: Timestamp) -> SessionIdHash {
        let mut current = *key;
        while let Some(Slot::Ended(end)) = self.slots.get(&current)
            && now < end.until
            && let Some(successor) = end.successor
        {
            current = successor;
        }
        current
    }

    /// What a new write stores.
    pub(super) fn stored(&mut self, timing: Timing, payload: Bytes) -> Stored {
        self.writes = self.writes.wrapping_add(1);
        Stored {
            timing,
            revision: Revision(self.writes),
            payload,
        }
    }

    /// Stores a session under a free key.
    pub(super) fn put(&mut self, key: SessionIdHash, session: Session) {
        self.live
            .insert((session.stored.timing.idle_deadline(), key));
        if let Some(at) = session.elevated_until {
            self.elevated.insert((at, key));
        }
        if let Some(user) = session.meta.user() {
            self.users.entry(user.clone()).or_default().insert(key);
        }
        self.slots.insert(key, Slot::Live(session));
    }

    /// Writes another state of a live session.
    pub(super) fn write(&mut self, key: &SessionIdHash, stored: Stored) {
        if let Some(Slot::Live(session)) = self.slots.get_mut(key) {
            let before = session.stored.timing.idle_deadline();
            self.live.remove(&(before, *key));
            self.live.insert((stored.timing.idle_deadline(), *key));
            session.stored = stored;
        }
    }

    /// Forgets the elevations of a live session.
    pub(super) fn end_elevations(&mut self, key: &SessionIdHash) {
        if let Some(Slot::Live(session)) = self.slots.get_mut(key)
            && let Some(at) = session.elevated_until.take()
        {
            self.elevated.remove(&(at, *key));
        }
    }

    /// Removes a live session and leaves nothing in its place.
    pub(super) fn take(&mut self, key: &SessionIdHash) -> Option<Session> {
        match self.slots.remove(key)? {
            Slot::Live(session) => {
                self.live
                    .remove(&(session.stored.timing.idle_deadline(), *key));
                if let Some(at) = session.elevated_until {
                    self.elevated.remove(&(at, *key));
                }
                self.leave(key, session.meta.user());
                Some(session)
            }
            ended @ Slot::Ended(_) => {
                self.slots.insert(*key, ended);
                None
            }
        }
    }

    fn leave(&mut self, key: &SessionIdHash, user: Option<&UserId>) {
        let Some(user) = user else { return };
        if let Some(keys) = self.users.get_mut(user) {
            keys.remove(key);
            if keys.is_empty() {
                self.users.remove(user);
            }
        }
    }

    /// Remembers the end of a session that was removed.
    pub(super) fn remember(&mut self, key: SessionIdHash, end: End) {
        self.ended.insert((end.until, key));
        self.slots.insert(key, Slot::Ended(end));
    }

    /// Removes from the indexes what expired first of all that has expired. A session and its
    /// elevations that end together end as a session.
    pub(super) fn next_due(&mut self, now: Timestamp) -> Option<Due> {
        let first = |list: &ByTime| list.first().copied().filter(|(at, _)| *at <= now);
        let (session, elevation) = (first(&self.live), first(&self.elevated));
        if let Some((at, key)) = elevation
            && session.is_none_or(|(over, _)| at < over)
        {
            self.elevated.pop_first();
            return Some(Due::Elevation(key, at));
        }
        let (_, key) = session?;
        self.live.pop_first();
        Some(Due::Session(key))
    }

    /// Forgets the ends that were remembered until now.
    pub(super) fn forget_ended(&mut self, now: Timestamp) {
        while self.ended.first().is_some_and(|(until, _)| *until <= now) {
            self.forget_an_end();
        }
    }

    /// Forgets ends early, so that there is room for one more slot under `capacity`.
    pub(super) fn make_room(&mut self, capacity: usize) {
        while self.slots.len() >= capacity && self.forget_an_end() {}
    }

    fn forget_an_end(&mut self) -> bool {
        let first = self.ended.pop_first();
        if let Some((_, key)) = &first {
            self.slots.remove(key);
        }
        first.is_some()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let Self {
            slots,
            live,
            elevated,
            ended,
            users,
            writes: _,
        } = self;
        slots.is_empty()
            && [live, elevated, ended].iter().all(|list| list.is_empty())
            && users.is_empty()
    }

    /// The number of slots, and the number of their entries in the indexes.
    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.slots.len(), self.live.len() + self.ended.len())
    }
}
