//! Requests of this process that write to one session, in order of arrival.
//!
//! The first one leads: it writes for itself and, where that is possible, for those who wait behind it. Then the next one
//! leads. Nothing is kept of a session that nobody writes to.

mod lead;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use portcullis_core::SessionIdHash;
use tokio::sync::oneshot;

use self::lead::Legacy;
pub(crate) use self::lead::{Known, Lead};

/// How many requests may wait for one session.
pub(crate) const MOST_WAITING: usize = 256;

/// How many requests may be written together.
pub(crate) const MOST_TOGETHER: usize = 64;

/// Who has waited for longer is not written any more, so that every request is answered in a bounded time.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);

/// The queues of all sessions. `M` is what a leader must know of a request to write for it, `A` what it tells the request
/// then.
#[derive(Debug)]
pub(crate) struct WriteQueue<M, A> {
    /// A session has an entry while somebody leads.
    waiting: Mutex<HashMap<SessionIdHash, VecDeque<Waiter<M, A>>>>,
    give_up_after: Duration,
}

/// Whether a request can be written together with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Together,
    Alone,
}

/// Too many wait already.
#[derive(Debug)]
pub(crate) struct Full;

/// A place in the queue.
#[derive(Debug)]
pub(crate) enum Place<M, A> {
    /// Nobody is before it.
    First(Lead<M, A>),
    Behind(oneshot::Receiver<Word<M, A>>),
}

/// What a request learns that has waited.
#[derive(Debug)]
pub(crate) enum Turn<M, A> {
    /// It is the first now.
    Lead(Lead<M, A>),
    /// Another request has written for it.
    Answered(A),
    /// Another request was writing for it and went away, so it is not known what came of it.
    Lost,
    /// It has waited for too long; nothing was done.
    TooLate,
}

/// What is sent to a request that waits.
#[derive(Debug)]
pub(crate) enum Word<M, A> {
    Lead(Lead<M, A>),
    Answer(A),
    TooLate,
}

#[derive(Debug)]
struct Waiter<M, A> {
    member: M,
    way: Way,
    since: Instant,
    /// What it is told in place of what came of the write.
    refusal: Option<A>,
    sender: oneshot::Sender<Word<M, A>>,
}

impl<M, A> Waiter<M, A> {
    fn answer(self, answer: impl FnOnce(Option<A>) -> A) {
        // Nobody listens where the request is gone.
        let _ = self.sender.send(Word::Answer(answer(self.refusal)));
    }
}

impl<M, A> Place<M, A> {
    /// Waits for what comes of it.
    pub(crate) async fn turn(self) -> Turn<M, A> {
        let word = match self {
            Self::First(lead) => return Turn::Lead(lead),
            Self::Behind(word) => word.await,
        };
        match word {
            Ok(Word::Lead(lead)) => Turn::Lead(lead),
            Ok(Word::Answer(answer)) => Turn::Answered(answer),
            Ok(Word::TooLate) => Turn::TooLate,
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
    /// The last place in the queue of a session.
    ///
    /// # Errors
    ///
    /// [`Full`] when [`MOST_WAITING`] wait already.
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
            let lead = Lead::new(Arc::clone(self), key, Instant::now(), Legacy::default());
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

    /// Lets the next one lead. Those who did not get that far are the first again.
    fn pass_on(
        self: Arc<Self>,
        key: SessionIdHash,
        mut returned: Vec<Waiter<M, A>>,
        mut legacy: Legacy,
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
            // Not under the lock: what a request holds may be dropped with its place.
            let Waiter { since, sender, .. } = next;
            if since.elapsed() > self.give_up_after {
                let _ = sender.send(Word::TooLate);
                continue;
            }
            let lead = Lead::new(Arc::clone(&self), key, since, legacy);
            match sender.send(Word::Lead(lead)) {
                Err(Word::Lead(lead)) => legacy = lead.resign(),
                _ => return,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionIdHash, VecDeque<Waiter<M, A>>>> {
        // Nothing panics under it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
