//! The turn of the first in the queue.

use std::sync::Arc;

use portcullis_core::{SessionKey, draft::Origin};

use super::{MOST_TOGETHER, Waiter, Way, WriteQueue};

/// While it exists, nobody else in this process writes to the session. Then the next one leads, however it ends.
#[derive(Debug)]
pub(crate) struct Lead<M, A> {
    /// `None` once it was handed over.
    queue: Option<Arc<WriteQueue<M, A>>>,
    key: SessionKey,
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
    /// The session as this process wrote it last. The store may have a newer one by now.
    pub(crate) known: Option<Origin>,
    /// The store did not answer the write before.
    pub(crate) unanswered: bool,
}

impl<M, A> Lead<M, A> {
    pub(super) fn new(queue: Arc<WriteQueue<M, A>>, key: SessionKey, legacy: Legacy) -> Self {
        Self {
            queue: Some(queue),
            key,
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

    /// Looks at each of the members. Who is given an answer is one no longer.
    pub(crate) fn each(&mut self, mut look: impl FnMut(&M) -> Option<A>) {
        for waiter in std::mem::take(&mut self.members) {
            match look(&waiter.member) {
                None => self.members.push(waiter),
                Some(answer) => waiter.answer(answer),
            }
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

    /// Tells all members what came of their changes.
    pub(crate) fn answer(&mut self, answer: impl Fn() -> A) {
        self.asks = false;
        self.each(|_| Some(answer()));
    }

    /// Tells all who wait, in place of a turn of their own.
    pub(crate) fn answer_waiting(&mut self, answer: impl Fn() -> A) {
        let Some(queue) = &self.queue else {
            return;
        };
        let waiting = queue.lock().get_mut(&self.key).map(std::mem::take);
        for waiter in waiting.into_iter().flatten() {
            waiter.answer(answer());
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
