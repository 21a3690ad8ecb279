//! Lists, limits and revocations of a user's sessions.

use std::{num::NonZeroUsize, time::Duration};

use super::{StoreError, Stored};
use crate::{
    ConfigError, EndReason, EventKind, Note, SessionHandle, SessionIdHash, Timestamp, UserId,
};

/// How many sessions of one class a user may have at once, and what a sign-in over the limit does.
///
/// ```
/// # use portcullis_core::store::SessionLimit;
/// let three = SessionLimit::refuse(3)?; // the fourth sign-in is refused
/// assert_eq!(SessionLimit::default(), SessionLimit::displace(10)?);
/// # Ok::<(), portcullis_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimit {
    /// The number of sessions.
    pub most: NonZeroUsize,
    /// What a sign-in over the limit does.
    pub excess: OnLimit,
}

const MOST: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9);

impl SessionLimit {
    /// At most this many. One more displaces the least recently used.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for zero, with which no user could sign in.
    pub fn displace(most: usize) -> Result<Self, ConfigError> {
        Self::of(most, OnLimit::Displace)
    }

    /// At most this many. One more is refused.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for zero, with which no user could sign in.
    pub fn refuse(most: usize) -> Result<Self, ConfigError> {
        Self::of(most, OnLimit::Refuse)
    }

    fn of(most: usize, excess: OnLimit) -> Result<Self, ConfigError> {
        let most = NonZeroUsize::new(most).ok_or_else(|| {
            ConfigError::new("a limit of zero sessions refuses every sign-in; allow at least one")
        })?;
        Ok(Self { most, excess })
    }
}

/// Ten. One more displaces the least recently used.
impl Default for SessionLimit {
    fn default() -> Self {
        Self {
            most: MOST,
            excess: OnLimit::Displace,
        }
    }
}

/// What a sign-in over the limit does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLimit {
    /// It displaces the session that would end first without further activity: the least recently
    /// used, or one close to its absolute deadline. That one ends as [`EndReason::Displaced`].
    Displace,
    /// It is refused.
    Refuse,
}

/// What becomes of the other sessions of a user when one begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Others {
    /// They stay.
    Stay,
    /// This limit holds, with the new one counted.
    Limited(SessionLimit),
    /// All of them end.
    End(EndOthers),
}

/// How the other sessions of a user end when one begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndOthers {
    /// Why.
    pub reason: EndReason,
    /// What to write to the log for each.
    pub note: Note,
    /// As [`Revocation::longest`].
    pub longest: Option<Duration>,
}

impl Others {
    /// Why a session ends for the new one, and what to write to the log about it.
    pub fn end_of_one(&self) -> (EndReason, Note) {
        match self {
            Self::End(end) => (end.reason, end.note.clone()),
            Self::Stay | Self::Limited(_) => {
                let reason = EndReason::Displaced;
                (reason, Expiry::Session(reason).note())
            }
        }
    }
}

impl From<Option<SessionLimit>> for Others {
    fn from(limit: Option<SessionLimit>) -> Self {
        limit.map_or(Self::Stay, Self::Limited)
    }
}

/// A live session in a user's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Where it is stored.
    pub key: SessionIdHash,
    /// What is stored. A store may cut the payload off after [`PAYLOAD`](Self::PAYLOAD) bytes, so
    /// that a list of large sessions stays short. [`Store::load`] returns all of it.
    ///
    /// [`Store::load`]: super::Store::load
    pub stored: Stored,
}

impl Listed {
    /// The least number of bytes of each payload in a list. A shorter payload is complete.
    ///
    /// What a list shows of a session is at the start of its payload. It usually takes less than
    /// 200 bytes.
    pub const PAYLOAD: usize = 2048;

    /// Whether the payload may have been cut.
    pub fn may_be_cut(&self) -> bool {
        self.stored.payload.len() >= Self::PAYLOAD
    }
}

/// Which sessions of a user to end, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// The user.
    pub user: UserId,
    /// Which of them.
    pub which: RevokeScope,
    /// Why.
    pub reason: EndReason,
    /// What to write to the log for each.
    pub note: Note,
    /// The longest absolute timeout that a session of the user can have. For that time and an hour
    /// more, the store refuses sign-ins that began before the revocation. `None` if the caller does
    /// not know it. The store then uses its [registry](super::Store::realms), or else 400 days.
    pub longest: Option<Duration>,
}

impl Revocation {
    /// The longest absolute timeout that any configuration allows.
    pub const LONGEST: Duration = Duration::from_secs(400 * 24 * 60 * 60);

    /// How long a store remembers a revocation beyond the longest absolute timeout. It covers a
    /// request that was under way.
    pub const MARGIN: Duration = Duration::from_secs(60 * 60);
}

/// Which sessions of a user to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevokeScope {
    /// This one, if it belongs to the user.
    One(SessionHandle),
    /// All but this one.
    AllBut(SessionHandle),
    /// All.
    All,
    /// All in the user's list. The store need not find a session that is missing from the list,
    /// which can take long in a large store. Such a session ends when it is next written to or
    /// touched.
    Listed,
}

impl RevokeScope {
    /// Whether it includes the session of this name.
    pub fn covers(self, handle: SessionHandle) -> bool {
        match self {
            Self::One(one) => one == handle,
            Self::AllBut(kept) => kept != handle,
            Self::All | Self::Listed => true,
        }
    }
}

/// What a revocation did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RevocationReport {
    /// The sessions that this call ended.
    pub ended: Vec<SessionHandle>,
    /// How many copies of the store have confirmed it, if the store is set to wait for them.
    pub copies: Option<ReplicaAcks>,
}

/// A revocation, or a sign-in that ends other sessions, that failed half-way.
#[derive(Debug)]
pub struct Interrupted {
    /// The sessions of the user that this call is known to have ended.
    pub ended: Vec<SessionHandle>,
    /// Why it failed.
    pub error: StoreError,
}

impl From<StoreError> for Interrupted {
    fn from(error: StoreError) -> Self {
        Self {
            ended: Vec::new(),
            error,
        }
    }
}

/// How many copies of the store have confirmed a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicaAcks {
    /// How many were asked for.
    pub asked: u32,
    /// How many confirmed in time.
    pub confirmed: u32,
}

impl ReplicaAcks {
    /// Whether a failure of one server cannot undo the write.
    pub fn are_enough(self) -> bool {
        self.confirmed >= self.asked
    }
}

/// An expired session or elevation. Exactly one call, on all servers that share the store, receives
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// Its public name.
    pub handle: SessionHandle,
    /// Its user, if it had one.
    pub user: Option<UserId>,
    /// What expired.
    pub what: Expiry,
    /// The deadline.
    pub at: Timestamp,
}

/// What can expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// A session: one of its two timeouts.
    Session(EndReason),
    /// The elevations of a session that is still live.
    Elevation,
}

impl Expiry {
    /// What a store writes to its log about it.
    pub fn note(self) -> Note {
        Note::of_system(match self {
            Self::Session(reason) => EventKind::Ended(reason),
            Self::Elevation => EventKind::ElevationEnded,
        })
    }
}

/// What a sweep did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// What expired, oldest first within a bucket.
    pub expired: Vec<Expired>,
    /// Whether there is more to do. The caller then sweeps again.
    pub more: bool,
}

/// How many sessions are live.
///
/// ```
/// # use portcullis_core::store::SessionCount;
/// let count = SessionCount { of_users: 3, of_visitors: 9 };
/// assert_eq!(count.total(), 12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionCount {
    /// Sessions with a user. A user may have several.
    pub of_users: u64,
    /// Sessions without a user.
    pub of_visitors: u64,
}

impl SessionCount {
    /// All of them.
    #[must_use]
    pub fn total(self) -> u64 {
        self.of_users.saturating_add(self.of_visitors)
    }
}
