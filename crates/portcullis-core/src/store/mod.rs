//! What a store of sessions must do.
#![allow(
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    reason = "stores make these and callers must look at every case"
)]

mod clock;
mod error;
mod inventory;
mod log;
mod memory;
mod realms;

#[cfg(feature = "conformance")]
pub mod conformance;

use std::{future::Future, num::NonZeroUsize, time::Duration};

use bytes::Bytes;

pub use self::{
    clock::ClockBounds,
    error::{StoreError, StoreErrorKind},
    inventory::{
        EndOthers, Expired, Expiry, Interrupted, Listed, OnLimit, Others, ReplicaAcks, Revocation,
        RevocationReport, RevokeScope, SessionCount, SessionLimit, Swept,
    },
    log::{LogLimits, LogPlace, LogQuery, Logged, Observation},
    memory::{ManualClock, MemoryStore},
    realms::RegisteredRealm,
};
use crate::{
    Bucket, EndReason, Note, Realm, SessionHandle, SessionIdHash, SessionMeta, Timestamp, UserId,
};

/// Keeps sessions.
///
/// # The contract
///
/// * **Only [`create`](Self::create) and a [`replace`](Self::replace) of a live session bring a session
///   into being.** Every other operation on a session that is not live changes nothing and says so with
///   [`Gone`](Committed::Gone). There is no upsert.
/// * **Every operation is one atomic step** as seen by every other, on every server that shares the store.
///   In particular, after `replace` or `end` has answered, the old key is dead for everyone.
/// * **The store decides time.** A session is live while its clock is before both
///   `last activity + idle timeout` and the absolute deadline; at that very millisecond it is not live any
///   more. The application's clock never plays a part.
/// * **Last activity moves forward only**, and [`Activity::Passive`] does not move it.
/// * **The absolute deadline is written once**; only [`Deadline::Restart`] sets another.
/// * **Nothing outlives its deadline**, not even in storage, by more than the store's own clean-up takes.
/// * **An error means "not known", never "not there".** A store that cannot answer returns [`StoreError`]
///   within a bounded time. A session that is not there, or has ended, is an ordinary answer.
/// * **A session with a user is in that user's list** from the step that creates it to the step that ends it;
///   each step changes session and list at once.
/// * **A change and its notes in the log are one step.** What is refused leaves no note. Where the log has no
///   room, or none is kept, the change is carried out all the same.
/// * **A session belongs to a realm.** A store handle reaches the sessions, lists, logs and revocations of one
///   [realm](Self::realm) and no other. What [listens](Self::listen) hears of that realm alone.
/// * **What grants is not carried out late.** An operation that creates, moves or writes and whose caller was told that
///   the store did not answer changes nothing afterwards, or is undone. What takes away may be carried out late.
/// * The payload is opaque bytes and comes back as it went in.
///
/// Which way may a store be wrong? Calling a live session gone signs somebody out; calling a dead one live
/// keeps a thief signed in. A store in doubt must do the former.
///
/// The suite in `conformance` (a feature of the same name) checks all of this for any store.
#[doc(alias = "SessionStore")]
pub trait Store: Send + Sync + 'static {
    /// What the store's clock shows, as well as it is known without asking: not before the one bound, not after the other.
    fn clock(&self) -> ClockBounds;

    /// The latest that the store's clock may show: what deadlines are judged by, so that none is missed.
    fn now(&self) -> Timestamp {
        self.clock().latest
    }

    /// The realm of this handle; [`Realm::default`] for one that nobody has given another.
    fn realm(&self) -> Realm;

    /// The same store for the sessions of another realm. No connection is made.
    #[must_use]
    fn in_realm(&self, realm: &Realm) -> Self
    where
        Self: Sized;

    /// Notes in the store's registry that this realm is in use, with the name of its cookie and the longest absolute
    /// timeout of its sessions. The registry keeps the longest that it was told.
    fn register(
        &self,
        cookie: &str,
        longest: Duration,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The realms in the registry that may still [have sessions](RegisteredRealm::may_have_sessions), in the order of their
    /// names.
    fn realms(&self) -> impl Future<Output = Result<Vec<RegisteredRealm>, StoreError>> + Send;

    /// Reads a session. Does not count as activity.
    fn load(&self, key: &SessionIdHash) -> impl Future<Output = Result<Loaded, StoreError>> + Send;

    /// Brings a session into being under a key that nothing is stored under.
    ///
    /// If it has an owner, a [revocation](Self::revoke) of all their sessions since they authenticated refuses it, and
    /// `others` is enforced: the step decides which other sessions end, or refuses, and they have ended when this answers.
    /// So there are never more sessions that somebody could use, however many sign in at once; one whose identifier nobody
    /// has yet may be listed beside them. With [`Others::End`] it is also a revocation of all but the new one, at the moment
    /// of the step: no sign-in of this user that began before comes to its end. A refusal ends nothing.
    ///
    /// After an error nobody knows of a session that was made, and it must not stay. Those that ended for it by then are
    /// named by the error.
    fn create(
        &self,
        key: &SessionIdHash,
        write: &RecordWrite,
        limits: Limits,
        others: &Others,
    ) -> impl Future<Output = Result<Created, Interrupted>> + Send;

    /// Writes the payload of a live session if nobody else did since `expected`. Neither its name nor its owner
    /// can change.
    fn commit(
        &self,
        key: &SessionIdHash,
        expected: Revision,
        write: &RecordWrite,
        activity: Activity,
    ) -> impl Future<Output = Result<Committed, StoreError>> + Send;

    /// Moves a live session from `old` to `new` and writes its payload, if nobody else did since. Afterwards
    /// `old` is [`Ended`](Loaded::Ended): as [`EndReason::Replaced`] with [`Deadline::Keep`], which leaves name
    /// and owner as they are and `new` as the successor, and as [`EndReason::ReplacedAtSignIn`] with [`Deadline::Restart`], which may change
    /// both and to which `others` and revocations apply as in [`create`](Self::create).
    ///
    /// A store that needs more than one step where others end does that first and ends `old` last: where they cannot be
    /// ended, `old` lives on as it was.
    ///
    /// Nothing may be stored under `new`, which a fresh identifier ensures; otherwise it is an error and
    /// nothing is changed.
    fn replace(
        &self,
        old: &ReplacedSession,
        new: &SessionIdHash,
        write: &RecordWrite,
        deadline: Deadline,
        others: &Others,
    ) -> impl Future<Output = Result<Replaced, Interrupted>> + Send;

    /// Moves the last activity of a live session to now.
    fn touch(
        &self,
        key: &SessionIdHash,
        meta: &SessionMeta,
    ) -> impl Future<Output = Result<Touched, StoreError>> + Send;

    /// Ends a session, whatever its revision. The reason can be read with [`load`](Self::load) for as long
    /// as the store remembers it.
    ///
    /// If the session was moved with [`Deadline::Keep`] meanwhile and the store still remembers (for
    /// [`remembered_for`](EndReason::remembered_for) of [`EndReason::Replaced`]), the session is ended under
    /// its new key, however often it moved: who signs out is signed out, also where another request has just
    /// given the session another identifier. The keys it had before stay `Replaced`. A move with
    /// [`Deadline::Restart`] is not followed: an authentication began another session, perhaps of somebody
    /// else, and what came before it has no power over that.
    ///
    /// Where nothing is remembered under `key` although the session [was live](Termination::live_until) for longer, it is
    /// looked for by its name. An error says that it could not be found: it may live on.
    ///
    /// So this is only for a caller that has found the session live under `key`. What arrives with an
    /// identifier that was replaced already must not come as far as here.
    fn end(
        &self,
        termination: &Termination,
    ) -> impl Future<Output = Result<Ended, StoreError>> + Send;

    /// The live sessions of a user, in no particular order, each with its moments, its revision and at least the first
    /// [`Listed::PAYLOAD`] bytes of its payload.
    fn list(&self, user: &UserId) -> impl Future<Output = Result<Vec<Listed>, StoreError>> + Send;

    /// The users of a bucket who have live sessions, each once and in no particular order. Whoever has one all the time
    /// from the call to its answer is among them, though it move to another key with [`Deadline::Keep`] meanwhile. Whoever's are over
    /// may be, too.
    fn users(&self, bucket: Bucket)
    -> impl Future<Output = Result<Vec<UserId>, StoreError>> + Send;

    /// The next users with live sessions: at most `most`, those that follow `after` in an order of the store's own that
    /// never changes. Fewer than `most` are the last.
    ///
    /// A user who has a live session for the whole time from the first page to the last is on one page and on no other,
    /// even if the session moves to another key with [`Deadline::Keep`] meanwhile. A call takes work and memory in
    /// proportion to `most`, and to the sessions of a bucket.
    fn users_after(
        &self,
        after: Option<&UserId>,
        most: NonZeroUsize,
    ) -> impl Future<Output = Result<Vec<UserId>, StoreError>> + Send;

    /// How many sessions are live. One that has expired is not counted, even if it has not been swept yet.
    ///
    /// It need not be a snapshot: sessions that begin, end or move while it counts may be counted or not.
    fn count(&self) -> impl Future<Output = Result<SessionCount, StoreError>> + Send;

    /// Ends sessions of a user.
    ///
    /// With [`RevokeScope::All`], [`RevokeScope::AllBut`] and [`RevokeScope::Listed`] there is one moment at which it takes effect: every session
    /// whose user authenticated before it is dead when this answers (but for the one that is kept), also one
    /// that was missing from the list (but for `Listed`), and no sign-in that was under way then comes to its end. What
    /// authenticated after that moment is not touched. A sign-in counts from [`Owner::authenticated_at`](crate::Owner), and one
    /// at that very moment as before it. An error means that some may be ended and others not,
    /// and says which are known to be: it can be asked for again. What authenticates after the error was told is not
    /// touched, even if the revocation is carried out later.
    ///
    /// It must work while the store has no room for another session.
    fn revoke(
        &self,
        revocation: &Revocation,
    ) -> impl Future<Output = Result<RevocationReport, Interrupted>> + Send;

    /// Clears away sessions whose time is over, and says which. Each is told once, to one caller, with
    /// an event in the log, however long ago its time was over. What is due is done in steps of bounded
    /// size; any number of servers may sweep at once.
    fn sweep(&self) -> impl Future<Output = Result<Swept, StoreError>> + Send;

    /// Puts into the log what changed nothing.
    ///
    /// If the latest line about the same session and the same user is an equal observation, it is merged with that
    /// line, which then says how many there were and since when, unless the first of them was longer ago than
    /// [`Logged::LONGEST`]. A store may look for that line among the newest of its log only.
    fn observe(
        &self,
        observation: &Observation,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Reads the log, newest first.
    fn read_log(
        &self,
        query: &LogQuery,
    ) -> impl Future<Output = Result<Vec<Logged>, StoreError>> + Send;

    /// Tells, until it is dropped, of sessions that anybody who shares the store ends or moves, as it happens. Whoever
    /// watches sessions then need not wait for the next look at them.
    ///
    /// It is no guarantee: what happens is told at most once and may never be told, also with no word of that. Where the
    /// store knows that something may have been missed, such as before it began to hear, it says so with [`Hint::Missed`].
    /// What is over by its deadline need not be told.
    ///
    /// A store that does not hear of others ends at once. That is what it does by default.
    fn listen(&self, told: &(dyn Fn(Hint) + Send + Sync)) -> impl Future<Output = ()> + Send {
        let _ = told;
        async {}
    }
}

/// What [`Store::listen`] tells. To be looked into; nothing follows from it by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// The session of this name has ended, or goes on under another key.
    Changed(SessionHandle),
    /// Any session may have.
    Missed,
}

/// What to store of a session, and what to leave in the log if it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordWrite {
    /// Its name and owner.
    pub meta: SessionMeta,
    /// What to store.
    pub payload: Bytes,
    /// When its elevations run out, if it has any. What is noted then is [`Expiry::Elevation`].
    pub elevated_until: Option<Timestamp>,
    /// It was used from what looks like another device and is to be reviewed.
    pub flagged: bool,
    /// What to leave in the log, in this order.
    pub notes: Vec<Note>,
}

impl std::fmt::Debug for RecordWrite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordWrite")
            .field("meta", &self.meta)
            .field("notes", &self.notes)
            .finish_non_exhaustive()
    }
}

/// A session to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Termination {
    /// Where it is stored.
    pub key: SessionIdHash,
    /// Its name and owner.
    pub meta: SessionMeta,
    /// Why it ends.
    pub reason: EndReason,
    /// What to leave in the log.
    pub note: Note,
    /// Until when it would live without further activity, as the caller found it. `None` where the caller did not look,
    /// and does not need to know whether the session lives on elsewhere.
    pub live_until: Option<Timestamp>,
}

/// A session that is about to be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplacedSession {
    /// Where it is stored.
    pub key: SessionIdHash,
    /// Its name and owner.
    pub meta: SessionMeta,
    /// The write that the new one builds on.
    pub expected: Revision,
    /// What to leave in the log of it, if the new one is another session.
    pub note: Option<Note>,
}

/// The two limits of a session, counted from the moment a store writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// See [`Timeouts::idle`](crate::Timeouts::idle). Whole milliseconds, at most two years.
    pub idle: Duration,
    /// See [`Timeouts::absolute`](crate::Timeouts::absolute). Whole milliseconds.
    pub absolute: Duration,
}

/// The moments of a live session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// When the session ends whatever happens.
    pub absolute_deadline: Timestamp,
    /// How long it lives without activity.
    pub idle_timeout: Duration,
    /// When there last was activity.
    pub last_active_at: Timestamp,
}

impl Timing {
    /// The timing of a session that starts `now`.
    pub fn starting(now: Timestamp, limits: Limits) -> Self {
        Self {
            absolute_deadline: now.after(limits.absolute),
            idle_timeout: limits.idle,
            last_active_at: now,
        }
    }

    /// When the session ends without further activity. Never after the absolute deadline.
    pub fn idle_deadline(&self) -> Timestamp {
        self.last_active_at
            .after(self.idle_timeout)
            .min(self.absolute_deadline)
    }

    /// Whether the session is live at `now`. At its deadline it is not.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.idle_deadline()
    }

    /// Whether activity at `now` is worth writing down: the last one is a step of granularity ago.
    ///
    /// The step is a thirtieth of the idle timeout, at least a second and at most a minute, and never more
    /// than a tenth of the idle timeout. A session may end up to that much early, never late.
    pub fn touch_is_due(&self, now: Timestamp) -> bool {
        let step = (self.idle_timeout / 30)
            .clamp(Duration::from_secs(1), Duration::from_secs(60))
            .min(self.idle_timeout / 10);
        now.since(self.last_active_at) >= step
    }

    /// The same with activity at `now`, unless there was later activity already.
    #[must_use]
    pub fn active(self, now: Timestamp) -> Self {
        Self {
            last_active_at: self.last_active_at.max(now),
            ..self
        }
    }
}

/// Which write of a session a reader saw. Never the same for two writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revision(pub u32);

/// A live session as a store keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its moments.
    pub timing: Timing,
    /// The write that was read.
    pub revision: Revision,
    /// What was written.
    pub payload: Bytes,
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stored")
            .field("timing", &self.timing)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

/// Whether an operation counts as activity of the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// It does: last activity becomes now.
    Active,
    /// It does not.
    Passive,
}

/// What becomes of the deadlines when a session is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// The absolute deadline and the idle timeout stay; the move counts as activity or not.
    Keep(Activity),
    /// Both are set anew. Only a full authentication does this (NIST SP 800-63B-4, 5.2).
    Restart(Limits),
}

/// What [`Store::load`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loaded {
    /// A live session.
    Live(Stored),
    /// No session any more under this key.
    Ended {
        /// Why not.
        reason: EndReason,
        /// What its name was.
        handle: SessionHandle,
        /// The key it goes on under, if it was moved with [`Deadline::Keep`]; the next one, where it was moved more
        /// often. Nothing else has a successor: an authentication begins another session. Whoever watches a session
        /// that other requests may move follows it by this.
        successor: Option<SessionIdHash>,
    },
    /// Its time was over, and this call is the one that is told of it, as by [`Store::sweep`].
    Expired(Expired),
    /// Nothing: never issued, expired, or ended long ago.
    Absent,
    /// Something that is not a session record. It grants nothing.
    Damaged,
}

/// What [`Store::create`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// The session is live, and these sessions of the same user ended for it.
    Done(Timing, Revision, Vec<SessionHandle>),
    /// Something is stored under this key already, and stays as it was.
    Taken,
    /// The user has as many sessions as the limit allows. Nothing was changed.
    AtLimit,
    /// All sessions of the user were revoked since they authenticated. Nothing was changed.
    Revoked,
}

/// What [`Store::commit`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// It was written.
    Done(Timing, Revision),
    /// Somebody else wrote first; this is what is stored now. Nothing was changed.
    Conflict(Stored),
    /// The session is not live. Nothing was changed and nothing was created.
    Gone,
}

/// What [`Store::replace`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replaced {
    /// The session is live under its new key, and these sessions of the same user ended for it.
    Done(Timing, Revision, Vec<SessionHandle>),
    /// Somebody else wrote first; this is what is stored now. Nothing was changed.
    Conflict(Stored),
    /// The session is not live, or all sessions of its user were revoked after they authenticated. Nothing
    /// was created.
    Gone,
    /// The user has as many sessions as the limit allows. Nothing was changed.
    AtLimit,
    /// Somebody else wrote to the session or ended it when these sessions of the same user had gone for the new one
    /// already. No more than that was changed, and what there is now is answered when it is asked for again.
    Overtaken(Vec<SessionHandle>),
}

/// What [`Store::touch`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touched {
    /// The session's moments now.
    Done(Timing),
    /// The session is not live. Nothing was changed.
    Gone,
}

/// What [`Store::end`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// This call ended the session.
    Done,
    /// It was not live before.
    AlreadyGone,
}
