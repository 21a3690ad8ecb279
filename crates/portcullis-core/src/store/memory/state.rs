//! The state of a memory store, and the steps that change it. The caller holds the lock.

use std::{collections::VecDeque, time::Duration};

use super::{
    log::{About, Log},
    markers::RevocationMarkers,
    policies::ActivePolicy,
    slots::{Due, End, Session, Slot, Slots},
    suspensions::Suspensions,
};
use crate::{
    EndReason, Note, SessionHandle, SessionIdHash, SessionMeta, Timestamp, UserId,
    store::{
        Activity, BucketPage, BucketSessions, Commit, Committed, CommittedSession, Create, Created,
        CreatedSession, Deadline, Ended, Expired, Expiry, Listed, Loaded, LogQuery, Logged,
        NewLimits, Observation, OnLimit, Others, RecordWrite, Replace, Replaced, Resume, Resumed,
        Revision, Revocation, RevocationReport, RevokeScope, StoreError, StoreErrorKind, Stored,
        Suspend, SuspensionReport, Swept, Termination, Timing, Touch, Touched,
    },
};

/// How many expiries one sweep returns.
const SWEPT: usize = 1000;

/// How many expiries are kept for a sweep. Beyond that, the oldest are dropped.
pub(super) const MOST_PENDING: usize = 100_000;

#[derive(Default)]
pub(super) struct State {
    pub(super) slots: Slots,
    pub(super) log: Log,
    pub(super) policy: ActivePolicy,
    pub(super) suspensions: Suspensions,
    markers: RevocationMarkers,
    /// Expiries that no call has returned yet.
    pending: VecDeque<Expired>,
}

impl State {
    pub(super) fn load(&mut self, key: &SessionIdHash, now: Timestamp) -> Loaded {
        match self.slots.get(key) {
            Some(Slot::Live(session)) if session.stored.timing.is_live(now) => {
                Loaded::Live(session.stored.clone())
            }
            Some(Slot::Live(_)) => match self.tidy_for(Some(key), now) {
                Some(expired) => Loaded::Expired(expired),
                None => Loaded::Absent,
            },
            Some(Slot::Ended(end)) if now < end.until => Loaded::Ended {
                reason: end.reason,
                handle: end.handle,
                successor: end.successor,
            },
            _ => Loaded::Absent,
        }
    }

    pub(super) fn create(
        &mut self,
        create: Create<'_>,
        capacity: usize,
        now: Timestamp,
    ) -> Result<Created, StoreError> {
        let Create {
            key,
            write,
            limits,
            others,
        } = create;
        self.tidy(now);
        if self.slots.is_taken(key) {
            return Ok(Created::Taken);
        }
        if self.suspensions.forbid(&write.meta) {
            return Ok(Created::Suspended);
        }
        if self.markers.forbid(&write.meta) {
            return Ok(Created::Revoked);
        }
        let Some(excess) = self.excess(&write.meta, others, None) else {
            return Ok(Created::AtLimit);
        };
        if self.slots.live_count().saturating_sub(excess.len()) >= capacity {
            return Err(StoreError::new(
                StoreErrorKind::Full,
                "the memory store is full of live sessions; raise its capacity or use Redis",
            ));
        }
        let displaced = self.displace(&write.meta, others, &excess, now);
        self.slots.make_room(capacity);
        let timing = Timing::starting(now, limits);
        let revision = self.begin(*key, timing, write.meta.clone(), write, now);
        Ok(Created::Done(CreatedSession::new(
            timing,
            revision,
            self.note_displaced(&displaced, others, now),
        )))
    }

    pub(super) fn commit(&mut self, commit: Commit<'_>, now: Timestamp) -> Committed {
        let Commit {
            key,
            expected,
            write,
            activity,
        } = commit;
        self.tidy(now);
        let (timing, meta) = match self.slots.live(key, now) {
            None => return Committed::Gone,
            Some(Session { stored, .. }) if stored.revision != expected => {
                return Committed::Conflict(stored.clone());
            }
            Some(session) => {
                let before = session.stored.timing.with(write.new_limits);
                (before.after(activity, now), session.meta.clone())
            }
        };
        let stored = self.slots.stored(timing, write.payload.clone());
        let revision = stored.revision;
        self.slots.write(key, stored);
        if write.new_limits.elevations_end {
            self.slots.end_elevations(key);
        }
        self.note(&meta, &write.notes, now);
        Committed::Done(CommittedSession::new(timing, revision))
    }

    pub(super) fn replace(
        &mut self,
        replace: Replace<'_>,
        now: Timestamp,
    ) -> Result<Replaced, StoreError> {
        let Replace {
            old,
            new,
            write,
            deadline,
            others,
        } = replace;
        self.tidy(now);
        let (before, meta) = match self.slots.live(&old.key, now) {
            None => return Ok(Replaced::Gone),
            Some(Session { stored, .. }) if stored.revision != old.expected => {
                return Ok(Replaced::Conflict(stored.clone()));
            }
            Some(session) => (session.stored.timing, session.meta.clone()),
        };
        if self.slots.is_taken(new) {
            return Err(StoreError::key_taken());
        }
        let (timing, meta, displaced) = match deadline {
            Deadline::Keep(activity) => {
                self.end_as(&old.key, EndReason::Replaced, Some(*new), now);
                let before = before.with(write.new_limits);
                (before.after(activity, now), meta, Vec::new())
            }
            Deadline::Restart(limits) => {
                if self.suspensions.forbid(&write.meta) {
                    return Ok(Replaced::Suspended);
                }
                if self.markers.forbid(&write.meta) {
                    return Ok(Replaced::Gone);
                }
                let Some(excess) = self.excess(&write.meta, others, Some(&old.key)) else {
                    return Ok(Replaced::AtLimit);
                };
                self.end_as(&old.key, EndReason::ReplacedAtSignIn, None, now);
                self.note(&meta, &old.note, now);
                let displaced = self.displace(&write.meta, others, &excess, now);
                (Timing::starting(now, limits), write.meta.clone(), displaced)
            }
        };
        let revision = self.begin(*new, timing, meta, write, now);
        Ok(Replaced::Done(CreatedSession::new(
            timing,
            revision,
            self.note_displaced(&displaced, others, now),
        )))
    }

    pub(super) fn touch(&mut self, touch: Touch<'_>, now: Timestamp) -> Touched {
        // The session is found by its key alone.
        let Touch {
            key,
            meta: _,
            activity,
            idle_timeout,
        } = touch;
        self.tidy(now);
        let Some(session) = self.slots.live(key, now) else {
            return Touched::Gone;
        };
        let before = session.stored.timing.idle_timeout;
        let idle_timeout = match activity {
            Activity::Passive => idle_timeout.map(|idle| idle.min(before)),
            _ => idle_timeout,
        };
        let new = NewLimits {
            idle_timeout,
            ..NewLimits::default()
        };
        let stored = Stored {
            timing: session.stored.timing.with(new).after(activity, now),
            ..session.stored.clone()
        };
        let touched = Touched::Done(stored.timing);
        self.slots.write(key, stored);
        touched
    }

    pub(super) fn end(
        &mut self,
        termination: &Termination,
        now: Timestamp,
    ) -> Result<Ended, StoreError> {
        self.tidy(now);
        let Termination {
            key,
            meta,
            reason,
            note,
            live_until,
            version,
        } = termination;
        let current = self.slots.current(key, now);
        let remembered = self.slots.is_taken(&current);
        let was_live = live_until.is_some_and(|until| now < until);
        let found = match meta.user() {
            // A caller that did not load the session may name a key that never existed.
            Some(user) if !remembered && was_live => self.slots.called(user, meta.handle),
            _ => None,
        };
        if let Some(meta) = self.end_as(&found.unwrap_or(current), *reason, None, now) {
            self.note(&meta, [note], now);
            if let Some(version) = version {
                self.policy.count_end(*version, meta.class);
            }
            return Ok(Ended::Done);
        }
        if !remembered && was_live {
            return Err(StoreError::session_lost());
        }
        Ok(Ended::AlreadyGone)
    }

    pub(super) fn list(&mut self, user: &UserId, now: Timestamp) -> Vec<Listed> {
        self.tidy(now);
        let sessions = self.slots.of_user(user);
        sessions
            .map(|(key, session)| Listed {
                key,
                stored: session.stored.clone(),
            })
            .collect()
    }

    pub(super) fn sessions_in(&mut self, page: BucketPage, now: Timestamp) -> BucketSessions {
        self.tidy(now);
        let BucketPage {
            bucket, from, most, ..
        } = page;
        let sessions = self.slots.by_time(bucket, from);
        let sessions = sessions.take(most.get()).map(|(key, session)| Listed {
            key,
            stored: session.stored.clone(),
        });
        let sessions: Vec<_> = sessions.collect();
        let last = sessions.last();
        let last = last.map(|listed| listed.stored.timing.idle_deadline());
        BucketSessions {
            next: last.and_then(|last| page.next(sessions.len(), last)),
            sessions,
        }
    }

    pub(super) fn revoke(&mut self, revocation: &Revocation, now: Timestamp) -> RevocationReport {
        self.tidy(now);
        let Revocation {
            user,
            which,
            reason,
            note,
            longest,
        } = revocation;
        let until = remembered_until(*longest, now);
        match which {
            RevokeScope::One(_) => {}
            RevokeScope::AllBut(kept) => self.markers.set(user, now, Some(*kept), until),
            RevokeScope::All | RevokeScope::Listed => self.markers.set(user, now, None, until),
        }
        let sessions = self.slots.of_user(user);
        let covered: Vec<_> = sessions
            .filter(|(_, session)| which.covers(session.meta.handle))
            .map(|(key, _)| key)
            .collect();
        RevocationReport {
            ended: self.end_all(&covered, *reason, note, now),
            copies: None,
        }
    }

    pub(super) fn suspend(&mut self, suspend: Suspend<'_>, now: Timestamp) -> SuspensionReport {
        let is_new = self.suspensions.add(suspend, now);
        if is_new {
            self.note_user(suspend.user, &suspend.note(), now);
        }
        let revocation = Revocation {
            user: suspend.user.clone(),
            which: RevokeScope::All,
            reason: Suspend::END,
            note: suspend.note_of_end(),
            longest: suspend.longest,
        };
        SuspensionReport {
            was_suspended: !is_new,
            ended: self.revoke(&revocation, now).ended,
            copies: None,
        }
    }

    pub(super) fn resume(&mut self, resume: Resume<'_>, now: Timestamp) -> Resumed {
        if !self.suspensions.remove(resume.user) {
            return Resumed::NotSuspended;
        }
        let until = remembered_until(resume.longest, now);
        self.markers.set(resume.user, now, None, until);
        self.note_user(resume.user, &resume.note(), now);
        Resumed::Done
    }

    pub(super) fn sweep(&mut self, now: Timestamp) -> Swept {
        self.tidy(now);
        let count = self.pending.len().min(SWEPT);
        Swept {
            expired: self.pending.drain(..count).collect(),
            more: !self.pending.is_empty(),
        }
    }

    pub(super) fn observe(&mut self, observation: &Observation, now: Timestamp) {
        self.log.observe(now, observation);
    }

    pub(super) fn read_log(&mut self, query: &LogQuery, now: Timestamp) -> Vec<Logged> {
        self.tidy(now);
        self.log.read(query, now)
    }

    /// Removes all that has expired. Each session is removed once, so the cost is part of its
    /// creation.
    pub(super) fn tidy(&mut self, now: Timestamp) {
        self.tidy_for(None, now);
    }

    /// The same for a caller that `asked` for one session. The expiry of that one is returned to
    /// it.
    fn tidy_for(&mut self, asked: Option<&SessionIdHash>, now: Timestamp) -> Option<Expired> {
        let mut answer = None;
        while let Some(due) = self.slots.next_due(now) {
            match due {
                Due::Elevation(key, at) => {
                    if let Some(meta) = self.slots.meta(&key) {
                        let expired = Expired::new(meta, Expiry::Elevation, at);
                        self.report(expired, now);
                    }
                }
                Due::Session(key) => {
                    let is_asked = asked == Some(&key);
                    if let Some(expired) = self.expire(&key, is_asked, now) {
                        if is_asked {
                            self.log_expired(&expired, now);
                            answer = Some(expired);
                        } else {
                            self.report(expired, now);
                        }
                    }
                }
            }
        }
        self.slots.forget_ended(now);
        self.markers.forget(now);
        answer
    }

    /// Removes an expired session. Its end is remembered if it has a user or the caller asked for
    /// it. There are many sessions without a user.
    fn expire(&mut self, key: &SessionIdHash, is_asked: bool, now: Timestamp) -> Option<Expired> {
        let session = self.slots.take(key)?;
        let (timing, meta) = (session.stored.timing, session.meta);
        let at = timing.idle_deadline();
        let reason = match at == timing.absolute_deadline {
            true => EndReason::AbsoluteTimeout,
            false => EndReason::IdleTimeout,
        };
        if is_asked || meta.owner.is_some() {
            let end = End {
                reason,
                handle: meta.handle,
                successor: None,
                until: now.after(reason.remembered_for()),
            };
            self.slots.remember(*key, end);
        }
        Some(Expired::new(&meta, Expiry::Session(reason), at))
    }

    #[cfg(test)]
    pub(super) fn nothing_is_pending(&self) -> bool {
        self.pending.is_empty()
    }

    fn report(&mut self, expired: Expired, now: Timestamp) {
        self.log_expired(&expired, now);
        if self.pending.len() >= MOST_PENDING {
            self.pending.pop_front();
        }
        self.pending.push_back(expired);
    }

    fn log_expired(&mut self, expired: &Expired, now: Timestamp) {
        let about = About {
            session: Some(expired.handle),
            user: expired.user.as_ref(),
        };
        self.log.note(now, expired.at, about, &expired.what.note());
    }

    /// The sessions that end for one with this meta, without the one under `leaving`, which ends in
    /// any case. `None` if the new session is refused instead.
    fn excess(
        &self,
        meta: &SessionMeta,
        others: &Others,
        leaving: Option<&SessionIdHash>,
    ) -> Option<Vec<SessionIdHash>> {
        let Some(user) = meta.user() else {
            return Some(Vec::new());
        };
        let (most, excess) = match others {
            Others::Stay => return Some(Vec::new()),
            Others::Limited(limit) => (limit.most.get(), limit.excess),
            Others::End(_) => (1, OnLimit::Displace),
        };
        // A limit counts the sessions of one class.
        let ends_all = matches!(others, Others::End(_));
        let mut others: Vec<_> = self
            .slots
            .of_user(user)
            .filter(|(key, session)| {
                let counts = session.meta.class == meta.class || ends_all;
                counts && Some(key) != leaving
            })
            .map(|(key, Session { stored, .. })| {
                (stored.timing.idle_deadline(), stored.revision.0, key)
            })
            .collect();
        let over = (others.len() + 1).saturating_sub(most);
        if over > 0 && excess == OnLimit::Refuse {
            return None;
        }
        others.sort_unstable();
        others.truncate(over);
        Some(others.into_iter().map(|(.., key)| key).collect())
    }

    /// Ends these sessions. They are [logged](Self::note_displaced) once the new session is
    /// created.
    fn displace(
        &mut self,
        meta: &SessionMeta,
        others: &Others,
        keys: &[SessionIdHash],
        now: Timestamp,
    ) -> Vec<SessionMeta> {
        if let (Others::End(end), Some(user)) = (others, meta.user()) {
            let until = remembered_until(end.longest, now);
            self.markers.set(user, now, Some(meta.handle), until);
        }
        let (reason, _) = others.end_of_one();
        let keys = keys.iter();
        keys.filter_map(|key| self.end_as(key, reason, None, now))
            .collect()
    }

    fn note_displaced(
        &mut self,
        metas: &[SessionMeta],
        others: &Others,
        now: Timestamp,
    ) -> Vec<SessionHandle> {
        let (_, note) = others.end_of_one();
        for meta in metas {
            self.note(meta, [&note], now);
        }
        metas.iter().map(|meta| meta.handle).collect()
    }

    fn end_all(
        &mut self,
        keys: &[SessionIdHash],
        reason: EndReason,
        note: &Note,
        now: Timestamp,
    ) -> Vec<SessionHandle> {
        let mut ended = Vec::with_capacity(keys.len());
        for key in keys {
            if let Some(meta) = self.end_as(key, reason, None, now) {
                self.note(&meta, [note], now);
                ended.push(meta.handle);
            }
        }
        ended
    }

    /// Ends the session under `key`, if there is one, and returns its name and owner.
    fn end_as(
        &mut self,
        key: &SessionIdHash,
        reason: EndReason,
        successor: Option<SessionIdHash>,
        now: Timestamp,
    ) -> Option<SessionMeta> {
        let meta = self.slots.take(key)?.meta;
        let end = End {
            reason,
            handle: meta.handle,
            successor,
            until: now.after(reason.remembered_for()),
        };
        self.slots.remember(*key, end);
        Some(meta)
    }

    fn begin(
        &mut self,
        key: SessionIdHash,
        timing: Timing,
        meta: SessionMeta,
        write: &RecordWrite,
        now: Timestamp,
    ) -> Revision {
        self.note(&meta, &write.notes, now);
        let stored = self.slots.stored(timing, write.payload.clone());
        let revision = stored.revision;
        let session = Session {
            stored,
            meta,
            elevated_until: write.elevated_until,
        };
        self.slots.put(key, session);
        revision
    }

    fn note_user(&mut self, user: &UserId, note: &Note, now: Timestamp) {
        let about = About {
            session: None,
            user: Some(user),
        };
        self.log.note(now, now, about, note);
    }

    fn note<'n>(
        &mut self,
        meta: &SessionMeta,
        notes: impl IntoIterator<Item = &'n Note>,
        now: Timestamp,
    ) {
        for note in notes {
            self.log.note(now, now, meta.into(), note);
        }
    }
}

fn remembered_until(longest: Option<Duration>, now: Timestamp) -> Timestamp {
    let longest = longest.unwrap_or(Revocation::LONGEST);
    now.after(longest).after(Revocation::MARGIN)
}

impl Expired {
    fn new(meta: &SessionMeta, what: Expiry, at: Timestamp) -> Self {
        Self {
            handle: meta.handle,
            user: meta.user().cloned(),
            what,
            at,
        }
    }
}
