//! The turn of the first in the queue.

use std::{sync::Arc, time::Instant};

use portcullis_core::{SessionIdHash, unit_of_work::Origin};

use crate::writing::queue::{MOST_TOGETHER, Waiter, Way, WriteQueue};

/// While it exists, nobody else in this process writes to the session. Then the next one leads, however it ends.
#[derive(Debug)]
pub(crate) struct Lead<M, A> {
    /// `None` once it was handed over.
    queue: Option<Arc<WriteQueue<M, A>>>,
    key: SessionIdHash,
    /// When the leader entered the queue.
    since: Instant,
    /// Those who are written together with the leader.
    members: Vec<Waiter<M, A>>,
    /// The store was asked to write for them and has not answered.
    asks: bool,
    /// What the next leader shall know.
    pub(crate) legacy: Legacy,
}

/// What a leader leaves to the next one.
#[derive(Debug, Default)]
pub(crate) struct Legacy {
    /// The session as this process knows it. The store may have a newer one by now.
    pub(crate) known: Option<Known>,
    /// The store did not answer the write before.
    pub(crate) unanswered: bool,
}

/// A session as the store had it.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) origin: Origin,
    /// The store still had it after this moment, if such a moment is known. So whoever entered the queue before it has
    /// not seen a newer one.
    pub(crate) asked_at: Option<Instant>,
}

impl<M, A> Lead<M, A> {
    pub(super) fn new(
        queue: Arc<WriteQueue<M, A>>,
        key: SessionIdHash,
        since: Instant,
        legacy: Legacy,
    ) -> Self {
        Self {
            queue: Some(queue),
            key,
            since,
            members: Vec::new(),
            asks: false,
            legacy,
        }
    }

    /// Takes along those who wait behind the leader, up to the first that must be alone.
    pub(crate) fn gather(&mut self) {
        let Some(queue) = &self.queue else {
            return;
        };
        let mut sessions = queue.lock();
        if let Some(waiting) = sessions.get_mut(&self.key) {
            let together = waiting.iter().take_while(|next| next.way == Way::Together);
            let room = MOST_TOGETHER - 1 - self.members.len();
            let count = together.take(room).count();
            self.members.extend(waiting.drain(..count));
        }
        drop(sessions);
        // Whose task is gone asks for nothing any more.
        self.members.retain(|member| !member.sender.is_closed());
    }

    /// Whether the leader writes for itself only.
    pub(crate) fn is_alone(&self) -> bool {
        self.members.is_empty()
    }

    /// When the leader entered the queue.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// Looks at each of the members: when it entered the queue, and the refusal that it [is told](Self::answer).
    pub(crate) fn each(&mut self, mut look: impl FnMut(&M, Instant, &mut Option<A>)) {
        for waiter in &mut self.members {
            look(&waiter.member, waiter.since, &mut waiter.refusal);
        }
    }

    /// From here on it is not known what came of the members' changes, until they are [told](Self::answer).
    pub(crate) fn ask(&mut self) {
        self.asks = true;
    }

    /// The members' changes were not carried out, and are tried again.
    pub(crate) fn try_again(&mut self) {
        self.asks = false;
    }

    /// Tells all members what came of their changes. `answer` is given the refusal of each.
    pub(crate) fn answer(&mut self, answer: impl Fn(Option<A>) -> A) {
        self.asks = false;
        for waiter in std::mem::take(&mut self.members) {
            waiter.answer(&answer);
        }
    }

    /// Tells all who wait, in place of a turn of their own.
    pub(crate) fn answer_waiting(&mut self, answer: impl Fn() -> A) {
        let Some(queue) = &self.queue else {
            return;
        };
        let waiting = queue.lock().get_mut(&self.key).map(std::mem::take);
        for waiter in waiting.into_iter().flatten() {
            waiter.answer(|_| answer());
        }
    }

    /// Gives the turn up without letting the next one lead.
    pub(super) fn resign(mut self) -> Legacy {
        self.queue = None;
        std::mem::take(&mut self.legacy)
    }
}

impl<M, A> Drop for Lead<M, A> {
    fn drop(&mut self) {
        let Some(queue) = self.queue.take() else {
            return;
        };
        let mut members = std::mem::take(&mut self.members);
        if self.asks {
            // They learn that the answer was lost.
            members.clear();
        }
        queue.pass_on(self.key, members, std::mem::take(&mut self.legacy));
    }
}
