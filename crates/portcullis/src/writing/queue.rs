//! Requests of this process that write to one session, in order of arrival.
//!
//! The first request is the leader. It writes its own changes and, where possible, those of the
//! requests behind it. Then the next one leads. A session has an entry only while a request writes
//! to it.

mod lead;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use portcullis_core::SessionIdHash;
use tokio::sync::oneshot;

use self::lead::Handover;
pub(crate) use self::lead::{Known, Lead};

/// How many requests may wait for one session.
pub(crate) const MOST_WAITING: usize = 256;

/// How many requests may be written together.
pub(crate) const MOST_TOGETHER: usize = 64;

/// A request that has waited longer is refused, so that every request is answered in a bounded
/// time.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);

/// The queues of all sessions. `M` is a member: what a leader needs to write for a request. `A` is
/// the answer that the leader sends back.
#[derive(Debug)]
pub(crate) struct WriteQueue<M, A> {
    /// A session has an entry while a request leads.
    waiting: Mutex<HashMap<SessionIdHash, VecDeque<Waiter<M, A>>>>,
    give_up_after: Duration,
}

/// Whether a request can be written together with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Together,
    Alone,
}

/// Too many requests wait already.
#[derive(Debug)]
pub(crate) struct Full;

/// A place in the queue.
#[derive(Debug)]
pub(crate) enum Place<M, A> {
    /// No request is before it.
    First(Lead<M, A>),
    Behind(oneshot::Receiver<Message<M, A>>),
}

/// How the wait of a request ended.
#[derive(Debug)]
pub(crate) enum Turn<M, A> {
    /// The request leads now.
    Lead(Lead<M, A>),
    /// Another request has written for it.
    Answered(A),
    /// Another request was writing for this one and was stopped. The result is unknown.
    Lost,
    /// The request waited too long. Its changes were not written.
    TooLate,
}

/// A message to a request that waits.
#[derive(Debug)]
pub(crate) enum Message<M, A> {
    Lead(Lead<M, A>),
    Answer(A),
    TooLate,
}

#[derive(Debug)]
struct Waiter<M, A> {
    member: M,
    way: Way,
    since: Instant,
    /// The answer in place of the result of the write, if this request is refused.
    refusal: Option<A>,
    sender: oneshot::Sender<Message<M, A>>,
}

impl<M, A> Waiter<M, A> {
    fn answer(self, answer: impl FnOnce(Option<A>) -> A) {
        // Sending fails if the request was dropped.
        let _ = self.sender.send(Message::Answer(answer(self.refusal)));
    }
}

impl<M, A> Place<M, A> {
    /// Waits for the request's turn, or for its answer.
    pub(crate) async fn turn(self) -> Turn<M, A> {
        let message = match self {
            Self::First(lead) => return Turn::Lead(lead),
            Self::Behind(message) => message.await,
        };
        match message {
            Ok(Message::Lead(lead)) => Turn::Lead(lead),
            Ok(Message::Answer(answer)) => Turn::Answered(answer),
            Ok(Message::TooLate) => Turn::TooLate,
            Err(_) => Turn::Lost,
        }
    }
}

impl<M, A> Default for WriteQueue<M, A> {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            give_up_after: GIVE_UP_AFTER,
        }
    }
}

impl<M, A> WriteQueue<M, A> {
    /// Takes the last place in the queue of a session.
    ///
    /// # Errors
    ///
    /// [`Full`] when [`MOST_WAITING`] requests wait already.
    pub(crate) fn enter(
        self: &Arc<Self>,
        key: SessionIdHash,
        member: M,
        way: Way,
    ) -> Result<Place<M, A>, Full> {
        let mut sessions = self.lock();
        let Some(waiting) = sessions.get_mut(&key) else {
            sessions.insert(key, VecDeque::new());
            drop(sessions);
            let lead = Lead::new(Arc::clone(self), key, Instant::now(), Handover::default());
            return Ok(Place::First(lead));
        };
        if waiting.len() >= MOST_WAITING {
            return Err(Full);
        }
        let (sender, receiver) = oneshot::channel();
        waiting.push_back(Waiter {
            member,
            way,
            since: Instant::now(),
            refusal: None,
            sender,
        });
        Ok(Place::Behind(receiver))
    }

    /// Lets the next request lead. The `returned` members, which were not written, go back to the
    /// front.
    fn pass_on(
        self: Arc<Self>,
        key: SessionIdHash,
        mut returned: Vec<Waiter<M, A>>,
        mut handover: Handover,
    ) {
        loop {
            let next = {
                let mut sessions = self.lock();
                let Some(waiting) = sessions.get_mut(&key) else {
                    return;
                };
                for waiter in returned.drain(..).rev() {
                    waiting.push_front(waiter);
                }
                match waiting.pop_front() {
                    Some(next) => next,
                    None => {
                        sessions.remove(&key);
                        return;
                    }
                }
            };
            // Without the lock, because a dropped waiter may run foreign code.
            let Waiter { since, sender, .. } = next;
            if since.elapsed() > self.give_up_after {
                let _ = sender.send(Message::TooLate);
                continue;
            }
            let lead = Lead::new(Arc::clone(&self), key, since, handover);
            match sender.send(Message::Lead(lead)) {
                Err(Message::Lead(lead)) => handover = lead.resign(),
                _ => return,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionIdHash, VecDeque<Waiter<M, A>>>> {
        // No code panics while it holds this lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
