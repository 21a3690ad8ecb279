//! The store under test with helpers that panic on unexpected answers, and helpers for concurrency.

use std::{
    fmt::Debug,
    future::{Future, poll_fn},
    panic::Location,
    pin::{Pin, pin},
    task::Poll,
};

use bytes::Bytes;

use super::{Harness, moves};
use crate::{
    Actor, EndReason, EventKind, Note, SessionHandle, SessionIdHash, SessionMeta,
    store::{
        Activity, Commit, Committed, CommittedSession, Create, Created, CreatedSession, Deadline,
        Ended, Limits, Loaded, NewLimits, Others, RecordWrite, Replace, Replaced, ReplacedSession,
        Revision, Store, Stored, Termination, Timing, Touch, Touched,
    },
};

/// A handle to the store under test, and the name and owner of the sessions it is used for. Its
/// methods panic with the place of their call.
pub(super) struct Subject<S>(pub(super) S, pub(super) SessionMeta);

/// The name of every session without an owner, for rules that do not need different names.
const NOBODY: SessionMeta = SessionMeta::new(SessionHandle::from_bytes(*b"nobody's own"), None);

/// A subject for sessions without an owner.
pub(super) fn subject<H: Harness>(harness: &H) -> Subject<H::Store> {
    Subject(harness.store(), NOBODY)
}

/// What a load of a session without an owner answers after its end.
pub(super) fn ended(reason: EndReason) -> Loaded {
    end_of(NOBODY.handle, reason)
}

/// What a load of the session of this name answers after an end without a successor.
pub(super) fn end_of(handle: SessionHandle, reason: EndReason) -> Loaded {
    Loaded::Ended {
        reason,
        handle,
        successor: None,
    }
}

/// What a load under the old key answers after a session without an owner was moved.
pub(super) fn moved_to(successor: SessionIdHash) -> Loaded {
    Loaded::Ended {
        reason: EndReason::Replaced,
        handle: NOBODY.handle,
        successor: Some(successor),
    }
}

/// A note for the log.
pub(super) fn note(kind: EventKind) -> Note {
    Note::new(kind, Actor::Client, None)
}

/// This many handles.
pub(super) fn subjects<H: Harness>(harness: &H, count: usize) -> Vec<Subject<H::Store>> {
    (0..count).map(|_| subject(harness)).collect()
}

pub(super) type Place = &'static Location<'static>;

pub(super) fn answered<T, E: Debug>(result: Result<T, E>, operation: &str, place: Place) -> T {
    match result {
        Ok(answer) => answer,
        Err(error) => panic!("{operation} failed ({place}): {error:?}"),
    }
}

pub(super) fn unexpected(answer: &impl Debug, operation: &str, place: Place) -> ! {
    panic!("{operation} answered {answer:?} ({place})")
}

impl<S: Store> Subject<S> {
    /// A write of `payload` alone, with one note.
    pub(super) fn write(&self, payload: impl Into<Bytes>) -> RecordWrite {
        RecordWrite {
            meta: self.1.clone(),
            payload: payload.into(),
            elevated_until: None,
            flagged: false,
            new_limits: NewLimits::default(),
            notes: vec![note(EventKind::Created)],
        }
    }

    /// The session under `key`, as it is about to be replaced.
    pub(super) fn old(&self, key: SessionIdHash, expected: Revision) -> ReplacedSession {
        ReplacedSession {
            key,
            meta: self.1.clone(),
            expected,
            note: None,
        }
    }

    #[track_caller]
    pub(super) fn load(&self, key: SessionIdHash) -> impl Future<Output = Loaded> + '_ {
        let place = Location::caller();
        async move { answered(self.0.load(&key).await, "load", place) }
    }

    /// What a load finds at the last successor of `key`.
    #[track_caller]
    pub(super) fn follow(&self, key: SessionIdHash) -> impl Future<Output = Loaded> + '_ {
        let place = Location::caller();
        async move {
            let mut key = key;
            // More moves than in any rule.
            for _ in 0..100 {
                match answered(self.0.load(&key).await, "load", place) {
                    Loaded::Ended {
                        successor: Some(successor),
                        ..
                    } => key = successor,
                    other => return other,
                }
            }
            panic!("successors that lead nowhere ({place})");
        }
    }

    /// Loads a session that must be live.
    #[track_caller]
    pub(super) fn live(&self, key: SessionIdHash) -> impl Future<Output = Stored> + '_ {
        let place = Location::caller();
        async move {
            match answered(self.0.load(&key).await, "load", place) {
                Loaded::Live(stored) => stored,
                other => unexpected(&other, "load of a session that should be live", place),
            }
        }
    }

    /// Checks that a session has expired, and returns what later loads answer. The expiry may be
    /// returned to this load or to an earlier sweep: the rules do not decide that.
    #[track_caller]
    pub(super) fn over(&self, key: SessionIdHash) -> impl Future<Output = Loaded> + '_ {
        let place = Location::caller();
        async move {
            let first = answered(self.0.load(&key).await, "load", place);
            let second = answered(self.0.load(&key).await, "load", place);
            for answer in [&first, &second] {
                let is_over = match answer {
                    Loaded::Ended { reason, .. } => is_timeout(*reason),
                    Loaded::Expired(_) | Loaded::Absent => true,
                    Loaded::Live(_) | Loaded::Damaged => false,
                };
                if !is_over {
                    unexpected(answer, "load of a session whose time is over", place);
                }
            }
            if let Loaded::Expired(_) = second {
                unexpected(&second, "the load after that", place);
            }
            second
        }
    }

    #[track_caller]
    pub(super) fn try_create(
        &self,
        key: SessionIdHash,
        payload: Bytes,
        limits: Limits,
    ) -> impl Future<Output = Created> + '_ {
        let place = Location::caller();
        let write = self.write(payload);
        async move {
            let answer = self
                .0
                .create(Create::new(&key, &write, limits, &Others::Stay))
                .await;
            answered(answer, "create", place)
        }
    }

    /// Creates under a key that must be free.
    #[track_caller]
    pub(super) fn create(
        &self,
        key: SessionIdHash,
        payload: impl Into<Bytes>,
        limits: Limits,
    ) -> impl Future<Output = Stored> + '_ {
        let place = Location::caller();
        let payload = payload.into();
        async move {
            let write = self.write(payload.clone());
            let answer = self
                .0
                .create(Create::new(&key, &write, limits, &Others::Stay))
                .await;
            match answered(answer, "create", place) {
                Created::Done(CreatedSession {
                    timing, revision, ..
                }) => Stored {
                    timing,
                    revision,
                    payload,
                },
                other => unexpected(&other, "create under a new key", place),
            }
        }
    }

    #[track_caller]
    pub(super) fn try_commit(
        &self,
        key: SessionIdHash,
        expected: Revision,
        payload: impl Into<Bytes>,
        activity: Activity,
    ) -> impl Future<Output = Committed> + '_ {
        let place = Location::caller();
        let write = self.write(payload);
        async move {
            let answer = self
                .0
                .commit(Commit::new(&key, expected, &write, activity))
                .await;
            answered(answer, "commit", place)
        }
    }

    /// Commits to a live session on its current revision.
    #[track_caller]
    pub(super) fn commit(
        &self,
        key: SessionIdHash,
        expected: Revision,
        payload: impl Into<Bytes>,
        activity: Activity,
    ) -> impl Future<Output = Stored> + '_ {
        let place = Location::caller();
        let payload = payload.into();
        async move {
            let write = self.write(payload.clone());
            let answer = self
                .0
                .commit(Commit::new(&key, expected, &write, activity))
                .await;
            match answered(answer, "commit", place) {
                Committed::Done(CommittedSession {
                    timing, revision, ..
                }) => Stored {
                    timing,
                    revision,
                    payload,
                },
                other => unexpected(&other, "commit on the current revision", place),
            }
        }
    }

    /// Commits `write` on the current revision, with this kind of activity.
    #[track_caller]
    pub(super) fn commit_as<'a>(
        &'a self,
        key: SessionIdHash,
        expected: Revision,
        write: &'a RecordWrite,
        activity: Activity,
    ) -> impl Future<Output = Timing> + 'a {
        let place = Location::caller();
        async move {
            let commit = Commit::new(&key, expected, write, activity);
            match answered(self.0.commit(commit).await, "commit", place) {
                Committed::Done(committed) => committed.timing,
                other => unexpected(&other, "commit on the current revision", place),
            }
        }
    }

    /// Moves a live session with `write`, and keeps its deadlines.
    #[track_caller]
    pub(super) fn replace_write<'a>(
        &'a self,
        (old, new): (SessionIdHash, SessionIdHash),
        expected: Revision,
        write: &'a RecordWrite,
    ) -> impl Future<Output = Timing> + 'a {
        let place = Location::caller();
        async move {
            let (old, keep) = (self.old(old, expected), Deadline::Keep(Activity::Active));
            let replace = Replace::new(&old, &new, write, keep, &Others::Stay);
            match answered(self.0.replace(replace).await, "replace", place) {
                Replaced::Done(created) => created.timing,
                other => unexpected(&other, "replace on the current revision", place),
            }
        }
    }

    #[track_caller]
    pub(super) fn try_replace(
        &self,
        (old, new): (SessionIdHash, SessionIdHash),
        expected: Revision,
        payload: impl Into<Bytes>,
        deadline: Deadline,
    ) -> impl Future<Output = Replaced> + '_ {
        let place = Location::caller();
        let (old, write) = (self.old(old, expected), self.write(payload));
        async move {
            let answer = self
                .0
                .replace(Replace::new(&old, &new, &write, deadline, &Others::Stay))
                .await;
            answered(answer, "replace", place)
        }
    }

    /// Replaces a live session on its current revision.
    #[track_caller]
    pub(super) fn replace(
        &self,
        (old, new): (SessionIdHash, SessionIdHash),
        expected: Revision,
        payload: impl Into<Bytes>,
        deadline: Deadline,
    ) -> impl Future<Output = Stored> + '_ {
        let place = Location::caller();
        let payload = payload.into();
        async move {
            let (old, write) = (self.old(old, expected), self.write(payload.clone()));
            let answer = self
                .0
                .replace(Replace::new(&old, &new, &write, deadline, &Others::Stay))
                .await;
            match answered(answer, "replace", place) {
                Replaced::Done(CreatedSession {
                    timing, revision, ..
                }) => Stored {
                    timing,
                    revision,
                    payload,
                },
                other => unexpected(&other, "replace on the current revision", place),
            }
        }
    }

    /// Touches a session that must be live, with this kind of activity.
    #[track_caller]
    pub(super) fn touch_as(
        &self,
        key: SessionIdHash,
        activity: Activity,
    ) -> impl Future<Output = Timing> + '_ {
        let place = Location::caller();
        async move {
            let answer = self.0.touch(Touch::new(&key, &self.1, activity)).await;
            match answered(answer, "touch", place) {
                Touched::Done(timing) => timing,
                other @ Touched::Gone => {
                    unexpected(&other, "touch of a session that should be live", place)
                }
            }
        }
    }

    #[track_caller]
    pub(super) fn try_touch(&self, key: SessionIdHash) -> impl Future<Output = Touched> + '_ {
        let place = Location::caller();
        async move {
            let answer = self
                .0
                .touch(Touch::new(&key, &self.1, Activity::Active))
                .await;
            answered(answer, "touch", place)
        }
    }

    /// Touches a session that must be live.
    #[track_caller]
    pub(super) fn touch(&self, key: SessionIdHash) -> impl Future<Output = Timing> + '_ {
        self.touch_as(key, Activity::Active)
    }

    #[track_caller]
    pub(super) fn end(
        &self,
        key: SessionIdHash,
        reason: EndReason,
    ) -> impl Future<Output = Ended> + '_ {
        let place = Location::caller();
        async move {
            let answer = self.0.end(&self.termination(key, reason)).await;
            answered(answer, "end", place)
        }
    }

    /// An end of this session by a caller that has not loaded it.
    pub(super) fn termination(&self, key: SessionIdHash, reason: EndReason) -> Termination {
        Termination {
            key,
            meta: self.1.clone(),
            reason,
            note: note(EventKind::Ended(reason)),
            live_until: None,
            version: None,
        }
    }

    /// Tries every operation on a session that is not live and expects that nothing changes. An end
    /// of a replaced session is left out, because it ends the session under its new key.
    #[track_caller]
    pub(super) fn assert_dead<'a>(
        &'a self,
        key: SessionIdHash,
        last: Revision,
        as_what: &'a Loaded,
    ) -> impl Future<Output = ()> + 'a {
        let place = Location::caller();
        async move {
            let check = |operation: &str, done: bool| {
                assert!(
                    !done,
                    "{operation} did something to a dead session ({place})"
                );
            };
            assert_eq!(&self.load(key).await, as_what, "({place})");
            check("touch", self.try_touch(key).await != Touched::Gone);
            for activity in [Activity::Active, Activity::Passive] {
                let answer = self
                    .try_commit(key, last, "written after the end", activity)
                    .await;
                check("commit", answer != Committed::Gone);
            }
            let [(_, inside), (_, elsewhere)] = moves();
            let own = super::key_in(key.bucket());
            // All sessions of a user are in one bucket.
            let places = match &self.1.owner {
                Some(_) => vec![own],
                None => vec![inside, elsewhere, own],
            };
            for new in places {
                for deadline in [
                    Deadline::Keep(Activity::Active),
                    Deadline::Keep(Activity::Passive),
                    Deadline::Restart(super::LONG),
                ] {
                    let answer = self.try_replace((key, new), last, "moved", deadline).await;
                    check("replace", answer != Replaced::Gone);
                    assert_eq!(
                        self.load(new).await,
                        Loaded::Absent,
                        "replace of a dead session left something under the new key ({place})"
                    );
                }
            }
            let lives_on = matches!(
                as_what,
                Loaded::Ended {
                    successor: Some(_),
                    ..
                }
            );
            if !lives_on {
                for reason in [EndReason::SignedOut, EndReason::Replaced] {
                    check("end", self.end(key, reason).await != Ended::AlreadyGone);
                }
            }
            assert_eq!(
                &self.load(key).await,
                as_what,
                "an operation changed what a dead session is ({place})"
            );
        }
    }
}

pub(super) fn is_timeout(reason: EndReason) -> bool {
    matches!(reason, EndReason::IdleTimeout | EndReason::AbsoluteTimeout)
}

/// Awaits all at once, in one task.
pub(super) async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    enum Slot<F: Future> {
        Pending(Pin<Box<F>>),
        Ready(F::Output),
    }

    let mut slots: Vec<_> = futures
        .into_iter()
        .map(|future| Slot::Pending(Box::pin(future)))
        .collect();
    poll_fn(|context| {
        for slot in &mut slots {
            if let Slot::Pending(future) = slot
                && let Poll::Ready(output) = future.as_mut().poll(context)
            {
                *slot = Slot::Ready(output);
            }
        }
        match slots.iter().any(|slot| matches!(slot, Slot::Pending(_))) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    })
    .await;
    slots
        .into_iter()
        .filter_map(|slot| match slot {
            Slot::Ready(output) => Some(output),
            Slot::Pending(_) => None,
        })
        .collect()
}

/// Awaits two at once, in one task.
pub(super) async fn join<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut ready_a, mut ready_b) = (None, None);
    poll_fn(|context| {
        if ready_a.is_none()
            && let Poll::Ready(output) = a.as_mut().poll(context)
        {
            ready_a = Some(output);
        }
        if ready_b.is_none()
            && let Poll::Ready(output) = b.as_mut().poll(context)
        {
            ready_b = Some(output);
        }
        match (ready_a.take(), ready_b.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            (a, b) => {
                (ready_a, ready_b) = (a, b);
                Poll::Pending
            }
        }
    })
    .await
}

/// Yields to other tasks. Without it, a store that never waits would allow no race.
pub(super) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
