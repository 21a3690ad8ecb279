//! The asynchronous calls of a store, each written once.

/// Passes the list of a store's asynchronous calls to the macro `$generate`.
///
/// [`Store`](crate::store::Store), its object-safe twin in `portcullis` and the stores of tests
/// that wrap another store are generated from it. So each signature stands once. The caller imports
/// the types that it names.
///
/// A call takes one argument: a key, or a struct named after the call. `'a` is the time of the
/// call.
#[doc(hidden)]
#[macro_export]
macro_rules! store_calls {
    ($generate:ident) => {
        $generate! {
            /// Records in the store's registry that this realm is in use.
            ///
            /// The registry keeps for the realm:
            ///
            /// * the last cookie name, and the longest absolute timeout;
            /// * the first environment that a registration had. One with another environment, or
            ///   with none, is refused;
            /// * each class that a registration had. One with another name for its character, or
            ///   with another character for its name, is refused.
            ///
            /// A refusal changes nothing. The registry forgets all of it when no session of the
            /// realm [can be live](RegisteredRealm::may_have_sessions).
            fn register(register: Register<'a>) -> Result<Registered, StoreError>;

            /// Gives this realm another environment. From then on, registrations with the former
            /// one are refused.
            ///
            /// This is for an operator, after the environment was renamed or the store was copied.
            fn set_environment(environment: &'a Environment) -> Result<EnvironmentSet, StoreError>;

            /// Returns the realms in the registry that may still
            /// [have sessions](RegisteredRealm::may_have_sessions), sorted by name.
            fn realms() -> Result<Vec<RegisteredRealm>, StoreError>;

            /// Reads the active policy of this realm, unless it is the version with this number.
            fn policy(known: Option<u64>) -> Result<FoundPolicy, StoreError>;

            /// Activates a version of the policy of this realm, if the expected version is active.
            ///
            /// After an error, it may have been activated.
            fn activate_policy(activate: ActivatePolicy<'a>) -> Result<PolicyActivated, StoreError>;

            /// Records which version a process uses, for [`PolicyReport::LASTS`].
            fn report_policy(report: &'a PolicyReport) -> Result<(), StoreError>;

            /// Returns the last report of each process of this realm, sorted by the process.
            fn policy_reports() -> Result<Vec<ReceivedReport>, StoreError>;

            /// Asks for the turn at settling a version of the policy of this realm, or reports how far
            /// it is. One caller at a time has the turn, for [`SettlePolicy::TURN`] after it asked.
            fn settle_policy(settle: SettlePolicy<'a>) -> Result<Settling, StoreError>;

            /// Returns how many sessions a version of the policy [has ended](Termination::version), as
            /// long as the store remembers it: at least 30 days.
            fn policy_ends(number: u64) -> Result<PolicyEnds, StoreError>;

            /// Reads a session. It does not count as activity.
            fn load(key: &'a SessionIdHash) -> Result<Loaded, StoreError>;

            /// Creates a session under a key that is not in use.
            ///
            /// If the session has an owner:
            ///
            /// * A [revocation](Self::revoke) of all sessions of the owner refuses it, if they
            ///   authenticated before the revocation.
            /// * A [suspension](Self::suspend) of the owner refuses it.
            /// * [`others`](Create::others) is enforced. The step decides which other sessions end,
            ///   or refuses the new one. Those sessions have ended when this answers. So there are
            ///   never more usable sessions than allowed, however many sign-ins run at once. A
            ///   session whose identifier no client has yet may be listed beside them.
            /// * With [`Others::End`] it is also a revocation of all sessions but the new one, at
            ///   the moment of the step: no sign-in of this user that began before succeeds.
            ///
            /// A refusal ends nothing.
            ///
            /// After an error no caller knows of a session that was created, so it must not stay.
            /// The error names the sessions that had ended for it by then.
            fn create(create: Create<'a>) -> Result<Created, Interrupted>;

            /// Writes the payload of a live session, if no other write happened since
            /// [`expected`](Commit::expected).
            ///
            /// Name and owner of the session cannot change.
            fn commit(commit: Commit<'a>) -> Result<Committed, StoreError>;

            /// Moves a live session to another key and writes its payload, if no other write
            /// happened since [`expected`](ReplacedSession::expected).
            ///
            /// Afterwards the old key is [`Ended`](Loaded::Ended):
            ///
            /// * With [`Deadline::Keep`] as [`EndReason::Replaced`], and the new key is its
            ///   successor. Name and owner stay as they are.
            /// * With [`Deadline::Restart`] as [`EndReason::ReplacedAtSignIn`]. Name and owner may
            ///   change. [`others`](Replace::others), revocations and suspensions apply as in
            ///   [`create`](Self::create).
            ///
            /// A store that needs more than one step where other sessions end does that first, and
            /// ends the old key last. If they cannot be ended, the old session stays live as it
            /// was.
            ///
            /// Nothing may be stored under the new key, which a fresh identifier ensures. Otherwise
            /// it is an error and nothing is changed.
            fn replace(replace: Replace<'a>) -> Result<Replaced, Interrupted>;

            /// Moves the last activity of a live session to now, and the last privileged activity
            /// if the [kind of activity](Touch::activity) says so.
            fn touch(touch: Touch<'a>) -> Result<Touched, StoreError>;

            /// Ends a session, whatever its revision.
            ///
            /// [`load`](Self::load) returns the reason for as long as the store remembers it.
            ///
            /// The end follows a session that was moved with [`Deadline::Keep`] meanwhile, however
            /// often it moved, if the store still remembers the moves (for
            /// [`remembered_for`](EndReason::remembered_for) of [`EndReason::Replaced`]). The
            /// session ends under its new key. So a sign-out works even if another request has just
            /// given the session another identifier. The keys it had before stay `Replaced`.
            ///
            /// A move with [`Deadline::Restart`] is not followed. An authentication began another
            /// session, perhaps of another user, and the earlier session has no power over it.
            ///
            /// If nothing is remembered under the key although the session
            /// [was live](Termination::live_until) for longer, the store finds the session by its
            /// name. An error says that it was not found: it may be live.
            ///
            /// So this is only for a caller that has found the session live under this key. A
            /// request that arrives with an identifier that was already replaced must not call it.
            fn end(termination: &'a Termination) -> Result<Ended, StoreError>;

            /// Returns the live sessions of a user, in no particular order.
            ///
            /// Each has its moments, its revision and at least the first [`Listed::PAYLOAD`] bytes
            /// of its payload.
            fn list(user: &'a UserId) -> Result<Vec<Listed>, StoreError>;

            /// Returns the users of a bucket who have live sessions, each once and in no particular
            /// order.
            ///
            /// Includes every user with a live session for the whole call, even if the session
            /// moves to another key with [`Deadline::Keep`] meanwhile. May include users whose
            /// sessions have expired.
            fn users(bucket: Bucket) -> Result<Vec<UserId>, StoreError>;

            /// Returns one page of the users with live sessions, in an order of the store's own
            /// that never changes.
            ///
            /// A page of fewer than [`most`](UsersAfter::most) users is the last one.
            ///
            /// A user with a live session for the whole time from the first page to the last is on
            /// one page and on no other, even if the session moves to another key with
            /// [`Deadline::Keep`] meanwhile. A call takes work and memory in proportion to `most`,
            /// and to the sessions of a bucket.
            fn users_after(page: UsersAfter<'a>) -> Result<Vec<UserId>, StoreError>;

            /// Returns a page of the live sessions of a bucket, in the order in which they end without
            /// further activity. They are as in [`list`](Self::list).
            ///
            /// A session that is live for the whole time from the first page to the last is on some
            /// page, or moved to another key meanwhile. It may be on several. A call takes work and
            /// memory in proportion to `most`.
            fn sessions_in(page: BucketPage) -> Result<BucketSessions, StoreError>;

            /// Counts the live sessions. An expired session is not counted, even if it has not been
            /// swept yet.
            ///
            /// It need not be a snapshot: a session that begins, ends or moves during the count may
            /// be counted or not.
            fn count() -> Result<SessionCount, StoreError>;

            /// Ends sessions of a user.
            ///
            /// [`RevokeScope::All`], [`RevokeScope::AllBut`] and [`RevokeScope::Listed`] take
            /// effect at one moment:
            ///
            /// * Every session whose user authenticated before it is dead when this answers, but
            ///   for the one that is kept. This includes a session that was missing from the list,
            ///   but for `Listed`.
            /// * No sign-in that was under way at that moment succeeds.
            /// * Sessions whose user authenticated after it are not touched.
            ///
            /// The time of a sign-in is [`Owner::authenticated_at`](crate::Owner). One at that very
            /// moment counts as before it.
            ///
            /// After an error, some sessions may be ended and others not. It names those that are
            /// known to be, and the call may be repeated. A user who authenticates after the error
            /// was returned is not affected, even if the revocation is carried out later.
            ///
            /// It must work while the store has no room for another session.
            fn revoke(revocation: &'a Revocation) -> Result<RevocationReport, Interrupted>;

            /// Suspends a user of this realm, until they are [resumed](Self::resume). It never
            /// expires. It takes effect at one moment:
            ///
            /// * Every session of the user is dead when this answers, as after a
            ///   [revocation](Self::revoke) of [all](RevokeScope::All), with the reason
            ///   [`Suspend::END`].
            /// * From that moment on, no session of the user is created, moved, written or touched.
            ///   A sign-in is answered with [`Suspended`](Created::Suspended). A session that was
            ///   missing from the list ends when it is next moved, written or touched.
            ///
            /// If the user is suspended already, only sessions are ended. Who suspended them, when
            /// and why stays as it is, and nothing is written to the log about it.
            ///
            /// After an error, the user may be suspended, and some sessions may be ended and others
            /// not. It names those that are known to be, and the call may be repeated. The user is
            /// not suspended by this call after the error was returned.
            ///
            /// It must work while the store has no room for another session.
            fn suspend(suspend: Suspend<'a>) -> Result<SuspensionReport, Interrupted>;

            /// Lets a suspended user sign in again.
            ///
            /// No session is revived. A sign-in that began before this moment is refused, as after
            /// a [revocation](Self::revoke) of all sessions at this moment: the user was verified
            /// while they were suspended.
            ///
            /// After an error the user may be suspended or not, and the call may be repeated. They
            /// are not resumed by this call after the error was returned.
            ///
            /// It must work while the store has no room for another session.
            fn resume(resume: Resume<'a>) -> Result<Resumed, StoreError>;

            /// Returns the suspension of a user, if they are suspended.
            fn suspension(user: &'a UserId) -> Result<Option<Suspension>, StoreError>;

            /// Returns one page of the suspended users, in an order of the store's own that never
            /// changes.
            ///
            /// A page of fewer than [`most`](UsersAfter::most) users is the last one. A user who is
            /// suspended for the whole time from the first page to the last is on one page and on
            /// no other. A call takes work and memory in proportion to `most`, and to the suspended
            /// users of a bucket.
            fn suspensions_after(page: UsersAfter<'a>) -> Result<Vec<Suspension>, StoreError>;

            /// Removes expired sessions and returns them.
            ///
            /// Each is returned once, to one caller, and logged as an event, however long ago it
            /// expired. The work is done in steps of bounded size. Any number of servers may sweep
            /// at once.
            fn sweep() -> Result<Swept, StoreError>;

            /// Writes an observation that changed nothing to the log.
            ///
            /// If the latest line about the same session and the same user is an equal observation,
            /// the store merges both. The line then says how many there were and since when. An
            /// observation more than [`Logged::LONGEST`] after the first of a line starts another
            /// line. A store may search for that line among the newest of its log only.
            fn observe(observation: &'a Observation) -> Result<(), StoreError>;

            /// Reads the log, newest first.
            fn read_log(query: &'a LogQuery) -> Result<Vec<Logged>, StoreError>;
        }
    };
}
