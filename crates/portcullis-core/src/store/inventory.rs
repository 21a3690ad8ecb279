//! Sessions of a user, seen and ended from outside of them.

use std::num::NonZeroUsize;

use super::{StoreError, Stored};
use crate::{ConfigError, EndReason, EventKind, Handle, Note, SessionKey, Timestamp, UserId};

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
    pub excess: Excess,
}

const MOST: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9);

impl SessionLimit {
    /// At most this many: one more takes the place of the least recently used.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for zero, with which nobody could sign in.
    pub fn displace(most: usize) -> Result<Self, ConfigError> {
        Self::of(most, Excess::Displace)
    }

    /// At most this many: one more is refused.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for zero, with which nobody could sign in.
    pub fn refuse(most: usize) -> Result<Self, ConfigError> {
        Self::of(most, Excess::Refuse)
    }

    fn of(most: usize, excess: Excess) -> Result<Self, ConfigError> {
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
            excess: Excess::Displace,
        }
    }
}

/// What becomes of a sign-in over the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// It takes the place of the session that would end first without further activity: the least recently
    /// used, or one that is about to reach its absolute deadline. That one ends as [`EndReason::Displaced`].
    Displace,
    /// It is refused.
    Refuse,
}

/// A live session in a user's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Where it is stored.
    pub key: SessionKey,
    /// What is stored.
    pub stored: Stored,
}

/// Which sessions of a user to end, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Whose.
    pub user: UserId,
    /// Which of them.
    pub which: Which,
    /// Why.
    pub reason: EndReason,
    /// What to leave in the log for each.
    pub note: Note,
}

/// Which sessions of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// This one, if it is theirs.
    One(Handle),
    /// All but this one.
    AllBut(Handle),
    /// All.
    All,
    /// All that are in the user's list. One that the list has lost need not be looked for, which can take long in a large
    /// store: it ends when it is next written to or touched.
    Listed,
}

impl Which {
    /// Whether the session of this name is among them.
    pub fn covers(self, handle: Handle) -> bool {
        match self {
            Self::One(one) => one == handle,
            Self::AllBut(kept) => kept != handle,
            Self::All | Self::Listed => true,
        }
    }
}

/// What a revocation did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Receipt {
    /// The sessions that this call ended.
    pub ended: Vec<Handle>,
    /// Whether copies of the store have taken note, if the store was told to wait for them.
    pub copies: Option<Copies>,
}

/// What was to end sessions, a revocation or a sign-in at the limit, and did not come to its end.
#[derive(Debug)]
pub struct Interrupted {
    /// The sessions of the user that this call ended all the same, as far as that is known.
    pub ended: Vec<Handle>,
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
pub struct Copies {
    /// As many as were asked for.
    pub asked: u32,
    /// As many as did in time.
    pub confirmed: u32,
}

impl Copies {
    /// Whether no failure of one server can undo it.
    pub fn are_enough(self) -> bool {
        self.confirmed >= self.asked
    }
}

/// Something whose time was over. Exactly one call, on all servers that share the store, is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// Its public name.
    pub handle: Handle,
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
