//! The turn of the leader: the first request in the queue.

use std::{sync::Arc, time::Instant};

use portcullis_core::{SessionIdHash, unit_of_work::Origin};

use crate::writing::queue::{MOST_TOGETHER, Waiter, Way, WriteQueue};

/// The right to write to a session. While it exists, no other request of this process writes to
/// that session. When it is dropped, for any reason, the next request leads.
#[derive(Debug)]
pub(crate) struct Lead<M, A> {
    /// `None` once the turn was given up.
    queue: Option<Arc<WriteQueue<M, A>>>,
    key: SessionIdHash,
    /// When the leader entered the queue.
    since: Instant,
    /// The requests that are written together with the leader.
    members: Vec<Waiter<M, A>>,
    /// The store was asked to write for the members and has not answered.
    asking: bool,
    /// For the next leader.
    pub(crate) handover: Handover,
}

/// What a leader passes to the next one.
#[derive(Debug, Default)]
pub(crate) struct Handover {
    /// The session as this process last knew it. The store may have a newer one.
    pub(crate) known: Option<Known>,
    /// The store did not answer the previous write.
    pub(crate) unanswered: bool,
}

/// A session as the store had it.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) origin: Origin,
    /// The store still had this session after this moment, if known. So a request that entered the
    /// queue before it has not seen a newer session.
    pub(crate) asked_at: Option<Instant>,
}

impl<M, A> Lead<M, A> {
    pub(super) fn new(
        queue: Arc<WriteQueue<M, A>>,
        key: SessionIdHash,
        since: Instant,
        handover: Handover,
    ) -> Self {
        Self {
            queue: Some(queue),
            key,
            since,
            members: Vec::new(),
            asking: false,
            handover,
        }
    }

    /// Takes the waiting requests as members, up to the first that must be written alone.
    pub(crate) fn gather(&mut self) {
        let Some(queue) = &self.queue else {
            return;
        };
        let mut sessions = queue.lock();
        if let Some(waiting) = sessions.get_mut(&self.key) {
            let together = waiting.iter().take_while(|next| next.way == Way::Together);
            let free = MOST_TOGETHER - 1 - self.members.len();
            let count = together.take(free).count();
            self.members.extend(waiting.drain(..count));
        }
        drop(sessions);
        // A dropped task no longer waits for its answer.
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

    /// Visits each member, with the time when it entered the queue and the refusal that its
    /// [answer](Self::answer) depends on.
    pub(crate) fn each(&mut self, mut visit: impl FnMut(&M, Instant, &mut Option<A>)) {
        for waiter in &mut self.members {
            visit(&waiter.member, waiter.since, &mut waiter.refusal);
        }
    }

    /// Notes that the store was asked. The result of the members' changes is unknown until they are
    /// [answered](Self::answer).
    pub(crate) fn ask(&mut self) {
        self.asking = true;
    }

    /// Notes that the members' changes were not written, and will be tried again.
    pub(crate) fn try_again(&mut self) {
        self.asking = false;
    }

    /// Answers all members. `answer` gets the refusal of each.
    pub(crate) fn answer(&mut self, answer: impl Fn(Option<A>) -> A) {
        self.asking = false;
        for waiter in std::mem::take(&mut self.members) {
            waiter.answer(&answer);
        }
    }

    /// Answers all waiting requests, in place of a turn of their own.
    pub(crate) fn answer_waiting(&mut self, answer: impl Fn() -> A) {
        let Some(queue) = &self.queue else {
            return;
        };
        let waiting = queue.lock().get_mut(&self.key).map(std::mem::take);
        for waiter in waiting.into_iter().flatten() {
            waiter.answer(|_| answer());
        }
    }

    /// Gives up the turn without passing it on.
    pub(super) fn resign(mut self) -> Handover {
        self.queue = None;
        std::mem::take(&mut self.handover)
    }
}

impl<M, A> Drop for Lead<M, A> {
    fn drop(&mut self) {
        let Some(queue) = self.queue.take() else {
            return;
        };
        let mut members = std::mem::take(&mut self.members);
        if self.asking {
            // Their channels close, so they learn that the result is unknown.
            members.clear();
        }
        queue.pass_on(self.key, members, std::mem::take(&mut self.handover));
    }
}
