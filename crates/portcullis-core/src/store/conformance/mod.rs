//! The suite every store must pass.
//!
//! For whoever writes a [`Store`]: each function here checks one rule of its contract, and
//! [`store_conformance!`](crate::store_conformance) makes a test of each. The test's name is the rule.
//!
//! ```
//! # mod suite {
//! use std::time::Duration;
//!
//! use portcullis_core::store::{ManualClock, MemoryStore, conformance::Harness};
//!
//! struct InMemory(ManualClock, MemoryStore);
//!
//! impl InMemory {
//!     async fn start() -> Self {
//!         let clock = ManualClock::new();
//!         let store = MemoryStore::with_clock(&clock);
//!         Self(clock, store)
//!     }
//! }
//!
//! impl Harness for InMemory {
//!     type Store = MemoryStore;
//!
//!     fn store(&self) -> MemoryStore {
//!         self.1.clone()
//!     }
//!
//!     async fn advance(&self, by: Duration) {
//!         self.0.advance(by);
//!     }
//! }
//!
//! portcullis_core::store_conformance!(InMemory::start());
//! # }
//! ```
//!
//! The tests run under tokio: the crate that calls the macro needs `tokio` with the features `rt` and
//! `macros` among its `dev-dependencies`. The functions themselves need no runtime and can be awaited
//! under any.
//!
//! A rule that does not hold panics and says what was expected. A [`StoreError`](super::StoreError) is
//! never expected: the store under test must be reachable, writable and large enough.
//!
//! The rules are named in the documentation of each function: rule numbers are those of the list in
//! [`Store`], T and S numbers those of the tests of this project.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "this is a suite of tests: a panic is how it reports"
)]

mod creating;
mod ending;
mod expiring;
mod keeping;
mod racing;
mod replacing;
mod subject;

use std::{future::Future, time::Duration};

pub use self::{creating::*, ending::*, expiring::*, keeping::*, racing::*, replacing::*};
use super::{Limits, Store};
use crate::{Bucket, SessionId, SessionKey, Timestamp, UserId};

/// A store under test: a way to reach it, and a way to let time pass for it.
///
/// Each rule gets a harness of its own and uses random keys, so that harnesses may share one server.
pub trait Harness: Send + Sync {
    /// The store under test.
    type Store: Store;

    /// How far the store's answers may be off in time, with what passes between two calls counted in.
    /// Nothing is asserted closer than this to a deadline, and lifetimes are made long enough for it.
    ///
    /// Zero fits a clock that stands still between calls of [`advance`](Self::advance).
    const TOLERANCE: Duration = Duration::ZERO;

    /// The longest time that [`advance`](Self::advance) can let pass, for a harness that really waits.
    /// Where a rule would need longer (up to a day), it checks what can be checked without.
    ///
    /// No other rule lets more than ten seconds pass, or 500 times the [`TOLERANCE`](Self::TOLERANCE).
    const PATIENCE: Duration = Duration::MAX;

    /// Another handle to the same sessions, such as a second connection.
    fn store(&self) -> Self::Store;

    /// Lets time pass. Afterwards the store behaves as if it had: sessions expire, and the moments it
    /// tells (those of [`now`](Store::now) too) are that much later.
    fn advance(&self, by: Duration) -> impl Future<Output = ()> + Send;
}

/// Makes one test of each rule in [`store::conformance`](crate::store::conformance).
///
/// Takes an expression that makes a future of a [`Harness`](crate::store::conformance::Harness), such as
/// `MyHarness::start()` for an `async fn start`, or `async { MyHarness::new() }`. It is evaluated once for
/// each test. Call it in a module of its own; [the module](crate::store::conformance) has an example and
/// says what it needs.
#[macro_export]
macro_rules! store_conformance {
    ($harness:expr $(,)?) => {
        $crate::store_conformance! {
            @rules $harness;

            a_key_that_was_never_issued_is_absent
            a_created_session_is_live_and_is_what_was_asked_for
            creating_under_a_live_key_answers_taken_and_leaves_the_session
            creating_under_an_ended_key_answers_taken_and_revives_nothing
            of_many_who_create_under_one_key_exactly_one_does
            no_operation_creates_a_session_that_never_was
            no_operation_revives_a_session_that_ended
            no_operation_revives_a_session_that_was_replaced
            no_operation_revives_a_session_that_idled_out
            no_operation_revives_a_session_past_its_absolute_deadline

            payloads_come_back_as_they_went_in
            every_answer_tells_what_is_stored
            every_handle_sees_the_same_sessions
            sessions_of_one_bucket_do_not_touch_each_other
            now_tells_the_clock_of_the_store

            a_commit_on_an_outdated_revision_conflicts_and_changes_nothing
            no_two_writes_of_a_session_share_a_revision
            reads_and_touches_make_no_conflict
            of_two_writers_on_one_revision_exactly_one_wins
            concurrent_read_modify_writes_lose_nothing
            no_write_under_way_outlives_an_end
            no_write_under_way_outlives_a_replacement

            a_replaced_session_lives_on_under_the_new_key_alone
            a_session_can_be_replaced_again_and_again
            replacing_on_an_outdated_revision_conflicts_and_changes_nothing
            of_many_who_replace_one_session_exactly_one_does
            an_end_that_meets_a_replacement_wins_whichever_comes_first

            a_session_is_ended_once
            of_many_who_end_one_session_exactly_one_does
            an_end_does_not_ask_for_the_revision
            an_end_follows_a_session_that_was_replaced
            an_end_does_not_follow_an_authentication
            an_end_follows_a_session_however_often_it_was_replaced
            of_many_who_end_a_replaced_session_exactly_one_does
            an_end_finds_a_replaced_session_that_ended_since_already_gone
            an_end_does_not_follow_a_replacement_that_is_forgotten
            the_reason_of_an_end_is_remembered_and_then_forgotten

            a_session_is_live_until_its_idle_deadline_and_not_at_it
            a_session_is_live_until_its_absolute_deadline_and_not_at_it
            activity_moves_the_idle_deadline
            reads_and_passive_writes_are_no_activity
            last_activity_never_moves_back
            the_absolute_deadline_survives_every_activity
            the_idle_deadline_never_exceeds_the_absolute_one
            a_restart_sets_both_deadlines_anew
            every_write_leaves_a_session_that_expires
            the_shortest_lifetimes_end
            lifetimes_are_not_rounded_to_seconds
        }
    };
    (@rules $harness:expr; $($rule:ident)*) => {$(
        #[::tokio::test]
        async fn $rule() {
            let harness = $harness.await;
            $crate::store::conformance::$rule(&harness).await;
        }
    )*};
}

/// The unit in which lifetimes are told here, well above the harness's tolerance.
fn steps<H: Harness>(count: u32) -> Duration {
    Duration::from_millis(100).max(H::TOLERANCE * 10) * count
}

/// Ends by either deadline, whichever a rule lets it reach.
fn short<H: Harness>() -> Limits {
    Limits {
        idle: steps::<H>(4),
        absolute: steps::<H>(10),
    }
}

/// Outlives any rule that is not about time.
const LONG: Limits = Limits {
    idle: Duration::from_secs(30 * 60),
    absolute: Duration::from_secs(24 * 60 * 60),
};

const MILLI: Duration = Duration::from_millis(1);

/// Lets time pass from `now`, as the store told it last, until just before `deadline`.
async fn advance_to_just_before<H: Harness>(harness: &H, now: Timestamp, deadline: Timestamp) {
    let left = deadline.since(now);
    harness
        .advance(left.saturating_sub(H::TOLERANCE).saturating_sub(MILLI))
        .await;
}

/// Lets time pass from there to the deadline itself; no further, if the harness is exact.
async fn advance_to_the_deadline<H: Harness>(harness: &H) {
    harness.advance(MILLI + H::TOLERANCE * 2).await;
}

/// Checks that `moment`, which the store has just told, is the present, and not before `earliest`.
#[track_caller]
fn assert_is_now<H: Harness>(what: &str, moment: Timestamp, store: &H::Store, earliest: Timestamp) {
    assert_close::<H>(what, moment, store.now());
    assert!(
        earliest.before(H::TOLERANCE) <= moment,
        "{what} is {moment:?}, before {earliest:?}"
    );
}

#[track_caller]
fn assert_close<H: Harness>(what: &str, moment: Timestamp, expected: Timestamp) {
    let off = moment.since(expected).max(expected.since(moment));
    assert!(
        off <= H::TOLERANCE,
        "{what} should be {expected:?} and is {moment:?}, {off:?} off"
    );
}

/// The key of a new identifier in some bucket.
fn key() -> SessionKey {
    key_in(Bucket::random().expect("the operating system has random bytes"))
}

/// The key of a new identifier in `bucket`.
fn key_in(bucket: Bucket) -> SessionKey {
    let id = SessionId::generate(bucket).expect("the operating system has random bytes");
    id.key()
}

/// From where to where a session may move: inside its bucket, and to another.
fn moves() -> [(SessionKey, SessionKey); 2] {
    let [alice, bob] = ["alice", "bob"].map(|user| Bucket::of(&UserId::from(user)));
    assert_ne!(alice, bob, "these two users have different buckets");
    [(key_in(alice), key_in(alice)), (key_in(bob), key_in(alice))]
}
