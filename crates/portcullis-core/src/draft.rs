//! One request's view of its session, and what it wants to change.
//!
//! A [`Draft`] starts from what the store had, records the handler's intents as operations, and turns them
//! into one [`Plan`] at the end. It does no IO: the caller carries the plan out and tells the draft what
//! came of it. When another request was faster, [`rebase`](Draft::rebase) applies the same operations to
//! what is stored now, so that nobody's change is lost.

mod op;
mod plan;

use std::{sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;

use self::op::Op;
pub use self::plan::{Change, Plan, Step};
use crate::{
    AsKey, DraftError, EndReason, Handle, SessionKey, Timeouts, Timestamp, UserId,
    record::{Record, Unreadable},
    store::{Limits, Revision, StoreError, Stored, Timing},
};

/// The settings a draft needs.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "the layer makes it")]
pub struct DraftPolicy {
    /// For sessions that this request starts or authenticates.
    pub timeouts: Timeouts,
    /// How many bytes of names and encoded values a session may hold.
    pub payload_limit: usize,
}

impl DraftPolicy {
    fn limits(&self) -> Limits {
        Limits {
            idle: self.timeouts.idle(),
            absolute: self.timeouts.absolute(),
        }
    }
}

/// One request's view of its session, and what it wants to change.
#[derive(Debug)]
pub struct Draft {
    policy: DraftPolicy,
    /// The live session that the next write builds on.
    origin: Option<Origin>,
    /// The identifier that came with the request was replaced a moment ago, or its session ended while the
    /// request was under way.
    replaced: bool,
    /// It asked to end a session that goes on under another identifier.
    end_refused: bool,
    /// A session that this request ended; to be carried out.
    ending: Option<Origin>,
    /// What the handler asked for, in order.
    ops: Vec<Op>,
    /// `origin` with `ops` applied: what the handler sees.
    view: SessionView,
}

/// A live session as it was read or last written.
#[derive(Debug, Clone)]
struct Origin {
    key: SessionKey,
    revision: Revision,
    view: Arc<View>,
}

/// A session in memory.
#[derive(Debug, Clone)]
struct View {
    timing: Timing,
    record: Record,
}

/// A session as a request sees it at one moment, if it has one. Cheap to clone; later changes of the draft
/// do not show in it.
#[derive(Debug, Clone, Default)]
pub struct SessionView(Option<Arc<View>>);

/// What a page may want to tell about the session. All moments are on the store's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// The public name.
    pub handle: Handle,
    /// When the session began.
    pub created_at: Timestamp,
    /// When its user signed in or last signed in again, if it has one.
    pub authenticated_at: Option<Timestamp>,
    /// When there last was activity, as far as it is written down.
    pub last_active_at: Timestamp,
    /// When the session ends without further activity.
    pub idle_deadline: Timestamp,
    /// When it ends whatever happens.
    pub absolute_deadline: Timestamp,
}

impl Draft {
    /// A request without a live session. `ended` is why the one it came with is none any more, if known.
    pub fn without_session(policy: DraftPolicy, ended: Option<EndReason>) -> Self {
        Self {
            policy,
            origin: None,
            replaced: ended == Some(EndReason::Replaced),
            ending: None,
            end_refused: false,
            ops: Vec::new(),
            view: SessionView(None),
        }
    }

    /// A request with the live session `stored` under `key`.
    ///
    /// # Errors
    ///
    /// [`Unusable`] when the payload cannot be read.
    pub fn of_session(
        policy: DraftPolicy,
        key: SessionKey,
        stored: &Stored,
    ) -> Result<Self, Unusable> {
        let origin = Origin::read(key, stored)?;
        Ok(Self {
            view: SessionView(Some(Arc::clone(&origin.view))),
            origin: Some(origin),
            ..Self::without_session(policy, None)
        })
    }

    /// What the handler sees now.
    pub fn view(&self) -> &SessionView {
        &self.view
    }

    /// Puts `value` under `key`.
    ///
    /// # Errors
    ///
    /// [`DraftError::Encode`] when it cannot be written down, [`DraftError::TooLarge`] when the session
    /// would exceed its limit. Nothing is changed then.
    pub fn insert<T: Serialize>(
        &mut self,
        key: &impl AsKey<T>,
        value: &T,
        now: Timestamp,
    ) -> Result<(), DraftError> {
        let bytes = encode(key.name(), value)?;
        self.record(Op::Set(key.name().to_owned(), bytes), now)
    }

    /// Changes the value under `key`, starting from the default if there is none. `change` is called again
    /// when another request was faster.
    ///
    /// # Errors
    ///
    /// As [`SessionView::get`] and [`insert`](Self::insert). Nothing is changed then.
    pub fn update<T>(
        &mut self,
        key: &impl AsKey<T>,
        mut change: impl FnMut(&mut T) + Send + 'static,
        now: Timestamp,
    ) -> Result<(), DraftError>
    where
        T: Serialize + DeserializeOwned + Default,
    {
        let name = key.name().to_owned();
        let rewrite = move |stored: Option<&ByteBuf>| {
            let mut value = match stored {
                Some(bytes) => decode(&name, bytes)?,
                None => T::default(),
            };
            change(&mut value);
            encode(&name, &value)
        };
        self.record(Op::Update(key.name().to_owned(), Box::new(rewrite)), now)
    }

    /// Removes the value under `name`. Says whether there was one.
    ///
    /// # Errors
    ///
    /// [`DraftError::NoRandomness`].
    pub fn remove(&mut self, name: &str, now: Timestamp) -> Result<bool, DraftError> {
        let existed = self.view.contains(name);
        if existed {
            self.record(Op::Remove(name.to_owned()), now)?;
        }
        Ok(existed)
    }

    /// Removes every value. The user and the deadlines stay.
    ///
    /// # Errors
    ///
    /// [`DraftError::NoRandomness`].
    pub fn clear(&mut self, now: Timestamp) -> Result<(), DraftError> {
        if self.view.exists() {
            self.record(Op::Clear, now)?;
        }
        Ok(())
    }

    /// Binds the session to `user` after a full authentication: new identifier, new deadlines, no
    /// elevation. Data moves along unless the session belonged to somebody else.
    ///
    /// # Errors
    ///
    /// [`DraftError::EmptyUser`], [`DraftError::NoRandomness`].
    pub fn authenticate(&mut self, user: UserId, now: Timestamp) -> Result<(), DraftError> {
        if user.is_empty() {
            return Err(DraftError::EmptyUser);
        }
        // A full proof needs nothing of the session before it.
        self.end_refused = false;
        let bind = Op::Bind {
            user,
            handle: Handle::generate()?,
            at: now,
            limits: self.policy.limits(),
        };
        self.record(bind, now)
    }

    /// Gives the session a new identifier. Ends its elevations, which belong to the old one.
    ///
    /// # Errors
    ///
    /// [`DraftError::NoRandomness`].
    pub fn regenerate(&mut self, now: Timestamp) -> Result<(), DraftError> {
        if self.view.exists() {
            self.record(Op::Regenerate, now)?;
        }
        Ok(())
    }

    /// Elevates the session for `scope` until the elevation timeout from now has passed.
    ///
    /// # Errors
    ///
    /// [`DraftError::NotAuthenticated`] when the session has no user.
    pub fn elevate(&mut self, scope: &str, now: Timestamp) -> Result<(), DraftError> {
        if self.view.user().is_none() {
            return Err(DraftError::NotAuthenticated);
        }
        // A sign-in of this request takes effect with the write, and so does what was granted after it: it
        // is told from the sign-in, so as not to outlast the write by more than the elevation timeout.
        let from = match self.ops.iter().rev().find_map(Op::restarts) {
            Some((signed_in_at, _)) => signed_in_at,
            None => now,
        };
        let grant = Op::Grant {
            scope: scope.to_owned(),
            ends_at: from.after(self.policy.timeouts.elevation()),
        };
        self.record(grant, now)
    }

    /// Ends every elevation and gives the session a new identifier. Says whether one was in force.
    ///
    /// # Errors
    ///
    /// [`DraftError::NoRandomness`].
    pub fn drop_elevation(&mut self, now: Timestamp) -> Result<bool, DraftError> {
        let elevated = self
            .view
            .0
            .as_ref()
            .is_some_and(|view| view.is_elevated(now));
        if elevated {
            self.record(Op::DropElevations, now)?;
        }
        Ok(elevated)
    }

    /// Ends the session. What is written afterwards in this request starts a new one.
    pub fn terminate(&mut self) {
        self.ending = self.origin.take().or(self.ending.take());
        self.end_refused = self.replaced && self.ending.is_none();
        self.ops.clear();
        self.view = SessionView(None);
    }

    /// Drops what must not take effect when the handler failed: data, sign-in and elevations. An end of the
    /// session and a new identifier remain.
    ///
    /// # Errors
    ///
    /// None that an operation which remains could raise; the type is that of [`rebase`](Self::rebase).
    pub fn drop_grants(&mut self) -> Result<(), DraftError> {
        self.ops
            .retain(|op| matches!(op, Op::Regenerate | Op::DropElevations));
        match self.origin.clone() {
            Some(origin) if !self.ops.is_empty() => self.build_on(origin),
            // What is left means nothing without a session.
            _ => {
                self.keep_only_the_end();
                Ok(())
            }
        }
    }

    /// Whether there are wishes that no plan has carried out yet.
    pub fn is_dirty(&self) -> bool {
        self.ending.is_some() || !self.ops.is_empty()
    }

    fn record(&mut self, mut op: Op, now: Timestamp) -> Result<(), DraftError> {
        let mut view = match &self.view.0 {
            Some(view) => View::clone(view),
            None => View::fresh(&self.policy, now)?,
        };
        op.apply(&mut view, self.policy.payload_limit)?;
        self.view = SessionView(Some(Arc::new(view)));
        self.ops.push(op);
        Ok(())
    }

    /// Takes `origin` for what is stored and applies the operations to it, or changes nothing.
    fn build_on(&mut self, origin: Origin) -> Result<(), DraftError> {
        let mut view = View::clone(&origin.view);
        for op in &mut self.ops {
            op.apply(&mut view, self.policy.payload_limit)?;
        }
        self.view = SessionView(Some(Arc::new(view)));
        self.origin = Some(origin);
        Ok(())
    }
}

impl Origin {
    fn read(key: SessionKey, stored: &Stored) -> Result<Self, Unusable> {
        let record = Record::decode(&stored.payload).map_err(|unreadable| match unreadable {
            Unreadable::Newer => Unusable::Newer(StoreError::newer_format()),
            Unreadable::Damaged => Unusable::Damaged,
        })?;
        Ok(Self {
            key,
            revision: stored.revision,
            view: Arc::new(View {
                timing: stored.timing,
                record,
            }),
        })
    }
}

impl SessionView {
    /// Whether there is a session.
    pub fn exists(&self) -> bool {
        self.0.is_some()
    }

    /// The value under `key`, if there is one.
    ///
    /// # Errors
    ///
    /// [`DraftError::Decode`] when what is stored is not a `T`.
    pub fn get<T: DeserializeOwned>(&self, key: &impl AsKey<T>) -> Result<Option<T>, DraftError> {
        let stored = self
            .0
            .as_ref()
            .and_then(|view| view.record.data.get(key.name()));
        stored.map(|bytes| decode(key.name(), bytes)).transpose()
    }

    /// Whether there is a value under `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.0
            .as_ref()
            .is_some_and(|view| view.record.data.contains_key(name))
    }

    /// The user the session is bound to.
    pub fn user(&self) -> Option<&UserId> {
        self.0.as_ref()?.record.user.as_ref()
    }

    /// Until when the session is elevated for `scope`, if it is.
    pub fn elevated_until(&self, scope: &str, now: Timestamp) -> Option<Timestamp> {
        self.0
            .as_ref()?
            .elevated_until(scope)
            .filter(|until| now < *until)
    }

    /// The session's public name and moments, if there is a session.
    pub fn info(&self) -> Option<SessionInfo> {
        let View { timing, record } = self.0.as_deref()?;
        Some(record.info(*timing))
    }

    /// The same as it will be once a request at `now` has counted as activity.
    pub fn info_after_activity(&self, now: Timestamp) -> Option<SessionInfo> {
        let View { timing, record } = self.0.as_deref()?;
        let due = timing.touch_is_due(now);
        Some(record.info(if due { timing.active(now) } else { *timing }))
    }
}

impl Record {
    fn info(&self, timing: Timing) -> SessionInfo {
        let deadline = timing.absolute_deadline;
        SessionInfo {
            handle: self.handle,
            created_at: deadline.before(self.lifetime_since_creation()),
            authenticated_at: self.user.as_ref().map(|_| deadline.before(self.lifetime())),
            last_active_at: timing.last_active_at,
            idle_deadline: timing.idle_deadline(),
            absolute_deadline: deadline,
        }
    }
}

impl View {
    fn fresh(policy: &DraftPolicy, now: Timestamp) -> Result<Self, DraftError> {
        Ok(Self {
            timing: Timing::starting(now, policy.limits()),
            record: Record::new(Handle::generate()?, policy.timeouts.absolute()),
        })
    }

    fn created_at(&self) -> Timestamp {
        self.timing
            .absolute_deadline
            .before(self.record.lifetime_since_creation())
    }

    fn elevated_until(&self, scope: &str) -> Option<Timestamp> {
        let mut elevations = self.record.elevations.iter();
        let elevation = elevations.find(|elevation| elevation.scope == scope)?;
        Some(
            self.timing
                .absolute_deadline
                .before(elevation.ends_before_deadline()),
        )
    }

    fn is_elevated(&self, now: Timestamp) -> bool {
        let mut elevations = self.record.elevations.iter();
        elevations.any(|elevation| {
            now < self
                .timing
                .absolute_deadline
                .before(elevation.ends_before_deadline())
        })
    }

    /// How long before the absolute deadline `moment` is; zero if it is not before.
    fn before_deadline(&self, moment: Timestamp) -> Duration {
        self.timing.absolute_deadline.since(moment)
    }
}

/// Why a live record cannot be used.
#[derive(Debug)]
#[allow(clippy::exhaustive_enums, reason = "every caller must look at each")]
pub enum Unusable {
    /// A newer version of Portcullis wrote it. To be left alone and tried again.
    Newer(StoreError),
    /// It cannot be read. It grants nothing.
    Damaged,
}

fn encode<T: Serialize>(name: &str, value: &T) -> Result<ByteBuf, DraftError> {
    use rmp_serde::encode::Error;

    // Names of fields are kept, so that a type may gain a field without losing what is stored.
    rmp_serde::to_vec_named(value)
        .map(ByteBuf::from)
        .map_err(|error| DraftError::Encode {
            key: name.to_owned(),
            // The encoder's own words may quote the value.
            reason: match error {
                Error::DepthLimitExceeded => "it is nested too deeply",
                Error::UnknownLength => "it has a sequence or map of unknown length",
                _ => "its `Serialize` refused",
            },
        })
}

fn decode<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, DraftError> {
    use rmp_serde::decode::Error;

    rmp_serde::from_slice(bytes).map_err(|error| DraftError::Decode {
        key: name.to_owned(),
        // The decoder's own words may quote the value.
        reason: match error {
            Error::TypeMismatch(_) => "another type is stored",
            Error::OutOfRange => "a number is out of range",
            Error::LengthMismatch(_) => "the number of fields differs",
            Error::DepthLimitExceeded => "it is nested too deeply",
            _ => "its `Deserialize` refused",
        },
    })
}

#[cfg(test)]
mod tests;
