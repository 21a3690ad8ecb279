//! Sessions of a user, seen and ended from outside of them.

use std::{num::NonZeroUsize, time::Duration};

use super::{StoreError, Stored};
use crate::{
    ConfigError, EndReason, EventKind, Note, SessionHandle, SessionIdHash, Timestamp, UserId,
};

/// How many sessions a user may have at once, and what becomes of one too many.
///
/// ```
/// # use portcullis_core::store::SessionLimit;
/// let three = SessionLimit::refuse(3)?; // the fourth sign-in is refused
/// assert_eq!(SessionLimit::default(), SessionLimit::displace(10)?);
/// # Ok::<(), portcullis_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimit {
    /// How many.
    pub most: NonZeroUsize,
    /// What becomes of one more.
    pub excess: OnLimit,
}

const MOST: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9);

impl SessionLimit {
    /// At most this many: one more takes the place of the least recently used.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for zero, with which nobody could sign in.
    pub fn displace(most: usize) -> Result<Self, ConfigError> {
        Self::of(most, OnLimit::Displace)
    }

    /// At most this many: one more is refused.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for zero, with which nobody could sign in.
    pub fn refuse(most: usize) -> Result<Self, ConfigError> {
        Self::of(most, OnLimit::Refuse)
    }

    fn of(most: usize, excess: OnLimit) -> Result<Self, ConfigError> {
        let most = NonZeroUsize::new(most).ok_or_else(|| {
            ConfigError::new("with a limit of no session nobody could sign in; allow at least one")
        })?;
        Ok(Self { most, excess })
    }
}

/// Ten; one more takes the place of the least recently used.
impl Default for SessionLimit {
    fn default() -> Self {
        Self {
            most: MOST,
            excess: OnLimit::Displace,
        }
    }
}

/// What becomes of a sign-in over the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLimit {
    /// It takes the place of the session that would end first without further activity: the least recently
    /// used, or one that is about to reach its absolute deadline. That one ends as [`EndReason::Displaced`].
    Displace,
    /// It is refused.
    Refuse,
}

/// What becomes of the other sessions of a user when one begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Others {
    /// They stay.
    Stay,
    /// There may be so many together with the new one.
    Limited(SessionLimit),
    /// All of them end.
    End(EndOthers),
}

/// How the other sessions of a user end when one begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndOthers {
    /// Why.
    pub reason: EndReason,
    /// What to leave in the log for each.
    pub note: Note,
    /// As [`Revocation::longest`].
    pub longest: Option<Duration>,
}

impl Others {
    /// Why a session ends for the new one, and what to leave in the log for it.
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
    /// What is stored. A store may cut the payload off after [`PAYLOAD`](Self::PAYLOAD) bytes, so that a list of
    /// large sessions stays short; [`Store::load`] returns all of it.
    ///
    /// [`Store::load`]: super::Store::load
    pub stored: Stored,
}

impl Listed {
    /// How many bytes of each payload a list holds at least, or all of it where it has fewer.
    ///
    /// What a list shows of a session is at the beginning of its payload and usually takes less than 200 bytes.
    pub const PAYLOAD: usize = 2048;

    /// Whether the payload may have been cut.
    pub fn may_be_cut(&self) -> bool {
        self.stored.payload.len() >= Self::PAYLOAD
    }
}

/// Which sessions of a user to end, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Whose.
    pub user: UserId,
    /// Which of them.
    pub which: RevokeScope,
    /// Why.
    pub reason: EndReason,
    /// What to leave in the log for each.
    pub note: Note,
    /// The longest absolute timeout that a session of the user can have. The store remembers for as long, and an hour
    /// more, that sign-ins from before are refused. `None` where the caller does not know it: the store's
    /// [registry](super::Store::realms) does, or else it is 400 days.
    pub longest: Option<Duration>,
}

impl Revocation {
    /// The longest absolute timeout that any configuration allows.
    pub const LONGEST: Duration = Duration::from_secs(400 * 24 * 60 * 60);

    /// For how long a store remembers a revocation beyond the longest absolute timeout: the time of a request that was
    /// under way.
    pub const MARGIN: Duration = Duration::from_secs(60 * 60);
}

/// Which sessions of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevokeScope {
    /// This one, if it is theirs.
    One(SessionHandle),
    /// All but this one.
    AllBut(SessionHandle),
    /// All.
    All,
    /// All that are in the user's list. One that the list has lost need not be looked for, which can take long in a large
    /// store: it ends when it is next written to or touched.
    Listed,
}

impl RevokeScope {
    /// Whether the session of this name is among them.
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
    /// Whether copies of the store have taken note, if the store was told to wait for them.
    pub copies: Option<ReplicaAcks>,
}

/// What was to end sessions, a revocation or a sign-in at the limit, and did not come to its end.
#[derive(Debug)]
pub struct Interrupted {
    /// The sessions of the user that this call ended all the same, as far as that is known.
    pub ended: Vec<SessionHandle>,
    /// Why no more of them.
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
    /// As many as were asked for.
    pub asked: u32,
    /// As many as did in time.
    pub confirmed: u32,
}

impl ReplicaAcks {
    /// Whether no failure of one server can undo it.
    pub fn are_enough(self) -> bool {
        self.confirmed >= self.asked
    }
}

/// Something whose time was over. Exactly one call, on all servers that share the store, is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// Its public name.
    pub handle: SessionHandle,
    /// Its user, if it had one.
    pub user: Option<UserId>,
    /// What ran out.
    pub what: Expiry,
    /// The deadline.
    pub at: Timestamp,
}

/// What runs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// A session: one of its two timeouts.
    Session(EndReason),
    /// The elevations of a session that lives on.
    Elevation,
}

impl Expiry {
    /// What a store leaves in its log of it.
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
    /// What was over, oldest first within a bucket.
    pub expired: Vec<Expired>,
    /// There is more to do: sweep again.
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
