//! Listeners receive the changes of others, if the store supports it.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use super::{Harness, LONG, activating::some_realm, moves, people::stranger, subject::Subject};
use crate::{
    EndReason,
    store::{Activity, Deadline, Ended, Hint, Store},
};

/// How long a hint may take here, and how long a test waits for a store that never gives one. It is
/// real time, whatever clock the store uses.
const SOON: Duration = Duration::from_secs(15);

/// T55, S-065: by the public name, which is all that a listener knows; and not before it received
/// that it may have missed something. A store that does not receive from others returns at once, or
/// gives no hint.
pub async fn a_listener_receives_ends_and_moves_by_others_if_the_store_does<H: Harness>(
    harness: &H,
) {
    let hints = Hints::default();
    let (listener, reported) = (harness.store(), |hint| hints.lock().push(hint));
    let mut listening = pin!(listener.listen(&reported));
    let begins = until(listening.as_mut(), || !hints.lock().is_empty()).await;
    if !begins {
        return;
    }
    assert_eq!(hints.lock().first(), Some(&Hint::Missed));
    for (old, new) in moves() {
        let other = stranger(harness);
        let Subject(_, meta) = &other;
        let changed = Hint::Changed(meta.handle);
        let created = other.create(old, "first", LONG).await;
        let keep = Deadline::Keep(Activity::Active);
        hints.lock().clear();
        other
            .replace((old, new), created.revision, "moved", keep)
            .await;
        let is_told = || hints.lock().contains(&changed);
        let moved = until(listening.as_mut(), is_told).await;
        assert!(moved, "a move by another handle was not reported");
        hints.lock().clear();
        assert_eq!(other.end(new, EndReason::SignedOut).await, Ended::Done);
        let ended = until(listening.as_mut(), is_told).await;
        assert!(ended, "an end by another handle was not reported");
    }
}

/// And of no other realm. A store that does not receive from others gives no hint.
pub async fn a_listener_learns_that_a_policy_was_activated_if_the_store_does<H: Harness>(
    harness: &H,
) {
    let (realm, other) = (some_realm(harness), some_realm(harness));
    let hints = Hints::default();
    let (listener, reported) = (harness.store().in_realm(&realm.0.realm()), |hint| {
        hints.lock().push(hint)
    });
    let mut listening = pin!(listener.listen(&reported));
    let begins = until(listening.as_mut(), || !hints.lock().is_empty()).await;
    if !begins {
        return;
    }
    hints.lock().clear();
    other.done(None, 1, "one").await;
    realm.done(None, 1, "one").await;
    let is_told = || !hints.lock().is_empty();
    let told = until(listening.as_mut(), is_told).await;
    assert!(told, "an activation by another handle was not reported");
    assert_eq!(*hints.lock(), [Hint::PolicyActivated]);
}

#[derive(Default)]
struct Hints(Mutex<Vec<Hint>>);

impl Hints {
    fn lock(&self) -> MutexGuard<'_, Vec<Hint>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it becomes true soon, while the listener runs.
async fn until(
    mut listening: Pin<&mut impl Future<Output = ()>>,
    is_so: impl Fn() -> bool,
) -> bool {
    let since = Instant::now();
    let waiting = Arc::new(Mutex::new(None::<Waker>));
    let woken = Arc::downgrade(&waiting);
    thread::spawn(move || {
        thread::sleep(SOON);
        let waker = woken.upgrade().and_then(|waker| waker.lock().ok()?.take());
        if let Some(waker) = waker {
            waker.wake();
        }
    });
    poll_fn(|context| {
        *waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
        let has_ended = listening.as_mut().poll(context).is_ready();
        match is_so() {
            false if !has_ended && since.elapsed() < SOON => Poll::Pending,
            answer => Poll::Ready(answer),
        }
    })
    .await
}
