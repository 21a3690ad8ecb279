//! From wishes to one step of the store, and back.

use std::sync::Arc;

use bytes::Bytes;

use super::{Draft, Op, Origin, SessionView, Unusable};
use crate::{
    Bucket, DraftError, EndReason, Handle, SessionId, SessionKey, Timestamp, UserId,
    store::{Activity, Deadline, Limits, Revision, Stored, Timing},
};

/// What a request asks of the store: perhaps to end a session, then one step.
#[derive(Debug)]
#[non_exhaustive]
pub struct Plan {
    /// A session to end first. Its end is carried out whatever becomes of the step.
    pub end: Option<(SessionKey, EndReason)>,
    /// What to do then.
    pub step: Step,
}

/// One operation of the store. `Debug` names it and shows nothing of what is written.
#[allow(clippy::exhaustive_enums, reason = "every caller must carry out each")]
pub enum Step {
    /// Nothing.
    Nothing,
    /// [`Store::touch`](crate::store::Store::touch).
    Touch {
        /// The session.
        key: SessionKey,
    },
    /// [`Store::create`](crate::store::Store::create).
    Create {
        /// The new identifier.
        id: SessionId,
        /// What to store.
        payload: Bytes,
        /// The session's limits.
        limits: Limits,
    },
    /// [`Store::commit`](crate::store::Store::commit).
    Commit {
        /// The session.
        key: SessionKey,
        /// The write it builds on.
        expected: Revision,
        /// What to store.
        payload: Bytes,
        /// Whether it counts as activity.
        activity: Activity,
    },
    /// [`Store::replace`](crate::store::Store::replace).
    Replace {
        /// The session as it was.
        old: SessionKey,
        /// The new identifier.
        id: SessionId,
        /// The write it builds on.
        expected: Revision,
        /// What to store.
        payload: Bytes,
        /// What becomes of the deadlines.
        deadline: Deadline,
    },
    /// Do nothing and refuse: the request came with an identifier that was replaced a moment ago, and what
    /// it wants to write belongs to the session that goes on under the new one.
    Refuse,
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Touch { .. } => "Touch",
            Self::Create { .. } => "Create",
            Self::Commit { .. } => "Commit",
            Self::Replace { .. } => "Replace",
            Self::Refuse => "Refuse",
        })
    }
}

/// A change in the life of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A session without a user began.
    Created,
    /// A user authenticated.
    Authenticated,
    /// It was elevated.
    Elevated {
        /// For this scope.
        scope: String,
        /// Until then.
        until: Timestamp,
    },
    /// Its elevations were dropped.
    ElevationDropped,
    /// It got a new identifier.
    Regenerated,
}

impl Change {
    fn is_undone_by(&self, later: &Self) -> bool {
        match self {
            Self::Created => false,
            Self::Authenticated | Self::Regenerated | Self::ElevationDropped => later == self,
            Self::Elevated { scope, .. } => match later {
                Self::Elevated { scope: again, .. } => scope == again,
                _ => true,
            },
        }
    }
}

impl Draft {
    /// What to ask of the store now.
    ///
    /// # Errors
    ///
    /// [`DraftError::NoRandomness`], or [`DraftError::Encode`].
    pub fn plan(&self, activity: Activity, now: Timestamp) -> Result<Plan, DraftError> {
        Ok(Plan {
            end: self
                .ending
                .as_ref()
                .map(|origin| (origin.key, EndReason::SignedOut)),
            step: match &self.origin {
                Some(origin) => self.step_from(origin, activity, now)?,
                None => self.step_from_nothing()?,
            },
        })
    }

    fn step_from(
        &self,
        origin: &Origin,
        activity: Activity,
        now: Timestamp,
    ) -> Result<Step, DraftError> {
        let Some(view) = &self.view.0 else {
            return Ok(Step::Nothing);
        };
        if self.ops.iter().any(Op::changes_identifier) {
            let bucket = match &view.record.user {
                Some(user) => Bucket::of(user),
                None => origin.key.bucket(),
            };
            return Ok(Step::Replace {
                old: origin.key,
                id: SessionId::generate(bucket)?,
                expected: origin.revision,
                payload: self.payload()?,
                deadline: match self.ops.iter().rev().find_map(Op::restarts) {
                    Some((_, limits)) => Deadline::Restart(limits),
                    None => Deadline::Keep(activity),
                },
            });
        }
        if !Arc::ptr_eq(view, &origin.view) && view.record != origin.view.record {
            return Ok(Step::Commit {
                key: origin.key,
                expected: origin.revision,
                payload: self.payload()?,
                activity,
            });
        }
        if activity == Activity::Active && origin.view.timing.touch_is_due(now) {
            return Ok(Step::Touch { key: origin.key });
        }
        Ok(Step::Nothing)
    }

    fn step_from_nothing(&self) -> Result<Step, DraftError> {
        if self.end_refused {
            return Ok(Step::Refuse);
        }
        let Some(view) = &self.view.0 else {
            return Ok(Step::Nothing);
        };
        let bucket = match &view.record.user {
            Some(user) => Bucket::of(user),
            None if view.record.data.is_empty() => return Ok(Step::Nothing),
            None if self.replaced => return Ok(Step::Refuse),
            None => Bucket::random()?,
        };
        Ok(Step::Create {
            id: SessionId::generate(bucket)?,
            payload: self.payload()?,
            limits: self.policy.limits(),
        })
    }

    fn payload(&self) -> Result<Bytes, DraftError> {
        let record = self.view.0.as_ref().map(|view| view.record.encode());
        match record {
            Some(Ok(bytes)) => Ok(bytes),
            Some(Err(_)) | None => Err(DraftError::Unencodable),
        }
    }

    /// What would change in the session's life with the next step, in order. Writes of data alone are not in
    /// it, and neither is what the request itself undid again.
    pub fn changes(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.origin.is_none() && self.view.user().is_none() && self.view.exists() {
            changes.push(Change::Created);
        }
        for change in self.ops.iter().filter_map(Op::change) {
            changes.retain(|earlier| !earlier.is_undone_by(&change));
            changes.push(change);
        }
        changes
    }

    /// The end that the plan asked for was carried out.
    pub fn ended(&mut self) {
        self.ending = None;
        self.replaced = false;
    }

    /// The step was carried out: what the handler wished is stored under `key`.
    pub fn written(&mut self, key: SessionKey, timing: Timing, revision: Revision) {
        if let Some(view) = &mut self.view.0 {
            Arc::make_mut(view).timing = timing;
            self.origin = Some(Origin {
                key,
                revision,
                view: Arc::clone(view),
            });
        }
        self.ops.clear();
        self.replaced = false;
    }

    /// The session was touched, which it only is when nothing else was wished.
    pub fn touched(&mut self, timing: Timing) {
        if let Some(origin) = &mut self.origin {
            Arc::make_mut(&mut origin.view).timing = timing;
        }
        self.keep_only_the_end();
    }

    /// Another request was faster: applies the wishes to what it stored.
    ///
    /// # Errors
    ///
    /// What an operation raises on the new state: [`DraftError::TooLarge`], [`DraftError::Decode`], or
    /// [`DraftError::Unusable`]. Nothing is changed then: the next step conflicts again, rather than
    /// undo what the other request wrote.
    pub fn rebase(&mut self, stored: &Stored) -> Result<(), DraftError> {
        let Some(origin) = &self.origin else {
            return Ok(());
        };
        let newer = Origin::read(origin.key, stored).map_err(|unusable| match unusable {
            Unusable::Newer(error) => DraftError::Unusable(Some(error)),
            Unusable::Damaged => DraftError::Unusable(None),
        })?;
        self.build_on(newer)
    }

    /// The session turned out to be gone: this request has none any more. What it wrote was meant for that
    /// one, so only a sign-in starts another.
    pub fn lost(&mut self) {
        self.replaced = true;
        self.end_refused = false;
        self.ending = None;
        self.origin = None;
        self.ops.clear();
        self.view = SessionView(None);
    }

    /// Gives up every wish but the end of the session: because the answer cannot carry a cookie, or because
    /// what the handler wished is what is stored.
    pub fn keep_only_the_end(&mut self) {
        self.ops.clear();
        self.view = SessionView(self.origin.as_ref().map(|origin| Arc::clone(&origin.view)));
    }

    /// Whether the handler ended the session the request came with.
    pub fn has_ended_a_session(&self) -> bool {
        self.ending.is_some()
    }

    /// Name and user of the session that is to be ended, or else of the one the next step builds on, as
    /// they are stored.
    pub fn subject(&self) -> Option<(Handle, Option<&UserId>)> {
        let record = &self.ending.as_ref().or(self.origin.as_ref())?.view.record;
        Some((record.handle, record.user.as_ref()))
    }
}
