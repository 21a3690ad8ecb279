//! The suite every store must pass.
//!
//! It is for authors of a [`Store`]. Each function checks one rule of the contract, and
//! [`store_conformance!`](crate::store_conformance) makes a test of each. The test's name is the
//! rule.
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
//! The tests run under tokio: the crate that calls the macro needs `tokio` with the features `rt`
//! and `macros` among its `dev-dependencies`. The functions themselves need no runtime and can be
//! awaited under any.
//!
//! A rule that does not hold panics with what was expected. A [`StoreError`](super::StoreError) is
//! never expected: the store under test must be reachable, writable and large enough.
//!
//! The documentation of each function names its rules. Rule numbers are those of the project's
//! architecture, T and S numbers those of its tests.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "this is a suite of tests: a panic is how it reports"
)]

mod activating;
mod creating;
mod ending;
mod expiring;
mod keeping;
mod limiting;
mod listening;
mod listing;
mod logging;
mod people;
mod privileged;
mod racing;
mod registering;
mod replacing;
mod resetting;
mod revoking;
mod settling;
mod shortening;
mod subject;
mod suspending;
mod sweeping;

use std::{future::Future, time::Duration};

use self::subject::Subject;
pub use self::{
    activating::*, creating::*, ending::*, expiring::*, keeping::*, limiting::*, listening::*,
    listing::*, logging::*, privileged::*, racing::*, registering::*, replacing::*, resetting::*,
    revoking::*, settling::*, shortening::*, suspending::*, sweeping::*,
};
use super::{Limits, Store};
use crate::{Bucket, SessionId, SessionIdHash, Timestamp, UserId};

/// A store under test: a way to reach it, and a way to let time pass for it.
///
/// Each rule gets its own harness, and uses random keys and users. So harnesses may share one
/// server. They may not share a key space: one would sweep what another waits for.
pub trait Harness: Send + Sync {
    /// The store under test.
    type Store: Store;

    /// How far the store's answers may be off in time, including the time between two calls.
    /// Nothing is asserted closer than this to a deadline, and lifetimes are long enough for it.
    ///
    /// Zero fits a clock that stands still between calls of [`advance`](Self::advance).
    const TOLERANCE: Duration = Duration::ZERO;

    /// The longest time that [`advance`](Self::advance) can let pass, for a harness that waits in
    /// real time. A rule that needs longer (up to two days) checks what it can without.
    ///
    /// Other rules let at most ten seconds pass, or 500 times the [`TOLERANCE`](Self::TOLERANCE).
    const PATIENCE: Duration = Duration::MAX;

    /// Another handle to the same sessions, such as a second connection.
    fn store(&self) -> Self::Store;

    /// Lets time pass. Afterwards sessions have expired, and the moments that the store returns,
    /// including [`now`](Store::now), are that much later.
    ///
    /// If this sets the store's clock rather than waits, tests are fast and do not depend on the
    /// speed of the machine.
    fn advance(&self, by: Duration) -> impl Future<Output = ()> + Send;
}

/// Makes one test of each rule in [`store::conformance`](crate::store::conformance).
///
/// Takes an expression that makes a future of a [`Harness`](crate::store::conformance::Harness),
/// such as `MyHarness::start()` for an `async fn start`, or `async { MyHarness::new() }`. It is
/// evaluated once for each test. Call it in a module of its own.
/// [The module](crate::store::conformance) has an example and the requirements.
#[macro_export]
macro_rules! store_conformance {
    ($harness:expr $(,)?) => {
        $crate::store_conformance! {
            @rules $harness;

            a_key_that_was_never_issued_is_absent
            a_created_session_is_live_and_is_what_was_asked_for
            creating_under_a_live_key_answers_taken_and_leaves_the_session
            creating_under_an_ended_key_answers_taken_and_revives_nothing
            of_many_creations_under_one_key_exactly_one_succeeds
            no_operation_creates_a_session_that_never_existed
            no_operation_revives_a_session_that_ended
            no_operation_revives_a_session_that_was_replaced
            no_operation_revives_a_session_that_idled_out
            no_operation_revives_a_session_past_its_absolute_deadline

            payloads_come_back_as_they_went_in
            every_answer_is_what_is_stored
            every_handle_sees_the_same_sessions
            sessions_of_one_bucket_do_not_affect_each_other
            now_is_the_clock_of_the_store

            a_commit_on_an_outdated_revision_conflicts_and_changes_nothing
            no_two_writes_of_a_session_share_a_revision
            reads_and_touches_make_no_conflict
            of_two_writers_on_one_revision_exactly_one_wins
            concurrent_read_modify_writes_lose_nothing
            no_write_under_way_outlives_an_end
            no_write_under_way_outlives_a_replacement

            a_replaced_session_is_live_under_the_new_key_alone
            a_session_can_be_replaced_again_and_again
            a_session_that_was_replaced_is_found_from_every_key_it_had
            a_session_that_authenticated_has_no_successor
            replacing_on_an_outdated_revision_conflicts_and_changes_nothing
            of_many_replacements_of_one_session_exactly_one_succeeds
            an_end_that_meets_a_replacement_wins_whichever_comes_first

            a_session_is_ended_once
            of_many_ends_of_one_session_exactly_one_succeeds
            an_end_does_not_ask_for_the_revision
            an_end_follows_a_session_that_was_replaced
            an_end_does_not_follow_an_authentication
            an_end_follows_a_session_however_often_it_was_replaced
            of_many_ends_of_a_replaced_session_exactly_one_succeeds
            an_end_finds_a_replaced_session_that_ended_since_already_gone
            an_end_does_not_follow_a_replacement_that_is_forgotten
            an_end_finds_a_session_by_its_name_if_the_replacement_is_forgotten
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

            a_session_begins_with_privileged_activity
            ordinary_activity_is_no_privileged_activity
            privileged_activity_moves_both_moments
            privileged_activity_that_comes_too_late_restores_nothing
            passive_operations_are_no_privileged_activity

            another_idle_timeout_holds_from_the_write_on
            an_idle_timeout_that_has_passed_ends_the_session
            an_earlier_absolute_deadline_holds_from_the_write_on
            a_later_absolute_deadline_changes_nothing
            a_touch_can_bring_another_idle_timeout

            a_session_is_listed_from_its_beginning_to_its_end
            a_listed_session_is_what_a_load_finds
            a_session_is_not_listed_past_its_deadline
            a_replaced_session_is_listed_under_its_new_key_alone
            signing_in_adds_a_session_to_the_list_of_its_user_alone
            users_do_not_mix_whatever_their_names_are
            sessions_that_begin_at_once_are_all_listed
            sessions_without_a_user_are_in_no_list
            a_user_is_found_for_as_long_as_they_have_a_session
            users_are_found_by_their_bucket
            users_come_in_pages_each_once
            a_user_is_on_a_page_while_a_session_of_theirs_is_live
            live_sessions_are_counted_with_and_without_a_user
            expired_sessions_are_not_counted_before_they_are_swept

            of_many_sign_ins_at_once_as_many_stay_as_the_limit_allows
            the_session_that_would_end_first_is_displaced
            as_many_sessions_are_displaced_as_exceed_the_limit
            a_displaced_session_is_dead_and_its_reason_is_known
            a_sign_in_over_the_limit_that_is_refused_changes_nothing
            a_visitors_session_that_signs_in_displaces_another
            a_session_that_authenticates_again_counts_once
            a_session_that_moves_displaces_none
            sessions_past_their_deadline_do_not_count
            sessions_without_a_user_have_no_limit
            a_sign_in_that_came_too_late_displaces_no_session
            a_limit_counts_the_sessions_of_one_class

            a_sign_in_that_ends_all_others_leaves_itself_alone
            a_sign_in_that_ends_all_others_refuses_sign_ins_that_began_before
            a_refused_sign_in_ends_no_other

            a_session_is_revoked_by_its_name
            a_session_is_revoked_by_its_name_under_whatever_key_it_is_live
            a_name_of_no_live_session_of_the_user_revokes_nothing
            revoking_all_ends_every_session_of_the_user
            revoking_all_but_one_leaves_that_one
            no_operation_revives_a_session_that_was_revoked
            a_sign_in_from_before_a_revocation_of_all_is_refused
            a_sign_in_after_a_revocation_of_all_is_not_refused
            only_a_revocation_of_all_refuses_sign_ins
            nothing_is_left_of_sign_ins_that_race_a_revocation_of_all
            of_many_revocations_of_one_session_exactly_one_succeeds

            suspending_ends_every_session_of_the_user
            a_suspended_user_is_not_signed_in
            a_suspension_does_not_expire
            a_suspension_is_read_as_it_was_written
            suspending_again_changes_nothing
            resuming_revives_no_session
            a_sign_in_from_before_a_user_was_resumed_is_refused
            resuming_a_user_who_is_not_suspended_does_nothing
            nothing_is_left_of_sign_ins_that_race_a_suspension
            of_many_suspensions_at_once_exactly_one_is_the_first
            suspended_users_come_in_pages_each_once
            a_suspension_belongs_to_one_realm
            a_suspension_and_its_end_are_in_the_log

            every_expiry_is_reported_exactly_once
            idle_and_absolute_timeout_are_distinguished
            a_load_reports_an_expiry_and_remembers_it
            an_expiry_that_was_swept_is_not_reported_by_a_load
            a_session_that_ended_otherwise_is_never_reported_as_expired
            the_expiry_of_a_session_that_moved_is_reported_once
            a_session_that_was_active_meanwhile_is_not_reported_as_expired
            the_end_of_an_elevation_is_reported_once
            an_elevation_at_creation_is_reported_when_it_ends
            an_elevation_that_ended_early_is_not_reported
            no_elevation_of_an_expired_session_is_reported
            an_elevation_that_was_prolonged_is_reported_at_its_new_end

            every_change_leaves_its_notes_in_order
            a_note_is_read_as_it_was_written
            a_refused_change_leaves_no_note
            a_session_that_becomes_another_one_is_logged_under_its_old_name
            an_end_that_follows_a_session_is_logged_for_it
            each_session_ended_from_outside_is_logged
            an_expiry_is_in_the_log_with_the_moment_of_the_deadline
            an_observation_is_in_the_log
            the_log_is_read_by_the_names_of_events
            the_log_is_read_newest_first_and_as_far_as_asked
            the_parts_of_the_log_are_read_as_one
            the_log_is_read_by_user_and_by_session
            the_log_is_read_by_time
            the_places_of_the_log_are_unique_and_stay
            a_user_with_many_events_pushes_out_none_of_another
            a_session_with_many_events_pushes_out_none_of_another
            equal_observations_in_a_row_are_one_line_with_a_count
            observations_that_differ_are_lines_of_their_own
            changes_are_never_merged
            a_line_of_several_events_is_found_by_each_of_their_moments

            an_activated_policy_is_read_as_it_was_written
            a_listener_learns_that_a_policy_was_activated_if_the_store_does
            the_live_sessions_of_a_bucket_are_read_page_by_page
            one_caller_at_a_time_settles_a_policy
            another_caller_goes_on_where_one_has_stopped
            a_later_version_is_settled_from_the_first_bucket
            what_was_settled_is_settled_again_after_a_time
            sessions_that_a_version_has_ended_are_counted
            elevations_that_end_with_a_write_do_not_expire_later
            without_activity_an_idle_timeout_becomes_no_longer
            p19_a_policy_is_activated_only_in_place_of_the_expected_one
            p19_of_many_activations_at_once_exactly_one_succeeds
            each_version_of_a_policy_is_later_than_the_one_before
            a_policy_belongs_to_one_realm
            the_reports_of_processes_are_read_until_they_are_too_old

            a_realm_is_registered_with_its_environment_and_its_classes
            p06_a_realm_with_an_environment_is_registered_with_no_other
            a_realm_without_an_environment_is_given_one_later
            a_character_belongs_to_one_class_and_a_class_has_one_character
            a_refused_registration_changes_nothing
            classes_of_earlier_versions_stay_registered
            of_many_first_registrations_one_environment_is_recorded
            an_operator_gives_a_realm_another_environment
            the_registry_forgets_a_realm_when_none_of_its_sessions_can_be_live
            a_realm_is_registered_apart_from_others

            a_listener_receives_ends_and_moves_by_others_if_the_store_does
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

/// The unit of lifetimes here, well above the harness's tolerance.
fn steps<H: Harness>(count: u32) -> Duration {
    Duration::from_millis(100).max(H::TOLERANCE * 10) * count
}

/// Short enough that a rule can reach either deadline.
fn short<H: Harness>() -> Limits {
    Limits {
        idle: steps::<H>(4),
        absolute: steps::<H>(10),
    }
}

/// Longer than any rule that is not about time.
const LONG: Limits = Limits {
    idle: Duration::from_secs(30 * 60),
    absolute: Duration::from_secs(24 * 60 * 60),
};

const MILLI: Duration = Duration::from_millis(1);

/// Lets time pass from the store's now until just before `deadline`.
async fn advance_to_just_before<H: Harness>(
    harness: &H,
    store: &Subject<H::Store>,
    deadline: Timestamp,
) {
    let left = deadline.since(store.0.now());
    harness
        .advance(left.saturating_sub(H::TOLERANCE).saturating_sub(MILLI))
        .await;
}

/// Lets time pass from there to the deadline itself, and no further if the harness is exact.
async fn advance_to_the_deadline<H: Harness>(harness: &H) {
    harness.advance(MILLI + H::TOLERANCE * 2).await;
}

/// Checks that `moment`, which the store has just returned, is the present and not before
/// `earliest`.
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
fn key() -> SessionIdHash {
    key_in(Bucket::random().expect("the operating system has random bytes"))
}

/// The key of a new identifier in `bucket`.
fn key_in(bucket: Bucket) -> SessionIdHash {
    let id = SessionId::generate(bucket).expect("the operating system has random bytes");
    id.key()
}

/// The moves of a session: inside its bucket, and to another.
fn moves() -> [(SessionIdHash, SessionIdHash); 2] {
    let [alice, bob] = ["alice", "bob"].map(|user| Bucket::of(&UserId::from(user)));
    assert_ne!(alice, bob, "these two users have different buckets");
    [(key_in(alice), key_in(alice)), (key_in(bob), key_in(alice))]
}
