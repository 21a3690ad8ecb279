//! The changes of several requests to one session, combined into one write.

use std::{sync::Arc, time::Duration};

use super::{Op, Origin, UnitOfWork, View};
use crate::{
    ChangeError, Note, Policy, SessionIdHash, SessionMeta, Timestamp,
    store::{Activity, RecordWrite, Revision, Timing},
    unit_of_work::plan::in_place,
};

/// The changes of several requests to one session, combined into one write.
///
/// Requests are added one after the other, and each one's changes are applied whole or not at all.
/// A request that changes the identifier is not added to a group: it writes alone.
#[derive(Debug)]
pub struct Group {
    origin: Origin,
    /// `origin` with all changes applied.
    view: View,
    notes: Vec<Note>,
    activity: Activity,
    extends: bool,
    /// That of the last request.
    policy: Arc<Policy>,
}

/// What the store has to do for changes that keep the identifier.
#[derive(Debug)]
#[allow(clippy::exhaustive_enums, reason = "every caller must carry out each")]
pub enum InPlace {
    /// Nothing, since the result is what is stored.
    Nothing,
    /// [`Store::touch`](crate::store::Store::touch), because there was activity. With another idle
    /// timeout, if the policy has changed.
    Touch(Activity, Option<Duration>),
    /// [`Store::touch`](crate::store::Store::touch), because a user asked to stay signed in. A
    /// failure must be reported.
    Extend(Activity, Option<Duration>),
    /// [`Store::commit`](crate::store::Store::commit).
    Commit(RecordWrite, Activity),
}

impl Group {
    /// A group without changes, on a session as it is known to be stored.
    pub fn on(origin: Origin) -> Self {
        Self {
            policy: Arc::default(),
            view: origin.view.clone(),
            origin,
            notes: Vec::new(),
            activity: Activity::Passive,
            extends: false,
        }
    }

    /// A group that begins with the changes of `unit`, which has already applied them. `None` if it
    /// has no session.
    pub fn of(unit: &UnitOfWork, activity: Activity) -> Option<Self> {
        let (origin, view) = (unit.origin.clone()?, unit.view.0.clone()?);
        Some(Self {
            origin,
            view,
            policy: Arc::clone(&unit.settings.policy),
            notes: unit.notes(),
            activity,
            extends: unit.extends(),
        })
    }

    /// Applies the changes of one more request.
    ///
    /// # Errors
    ///
    /// What a change raises on the present state: [`ChangeError::TooLarge`],
    /// [`ChangeError::Decode`] or [`ChangeError::Encode`]. The group then stays as it was, also if
    /// a function that was given to `update` panics.
    pub fn add(&mut self, unit: &mut UnitOfWork, activity: Activity) -> Result<(), ChangeError> {
        let mut view = self.view.clone();
        let mut events = Vec::new();
        let limit = unit.settings.payload();
        for op in &mut unit.ops {
            // Another request from this client may have recorded it already.
            if !op.is_known_to(&view) {
                op.apply(&mut view, limit)?;
                events.extend(op.event());
            }
        }
        self.view = view;
        self.policy = Arc::clone(&unit.settings.policy);
        self.notes
            .extend(events.into_iter().map(|kind| unit.note(kind)));
        self.extends |= unit.ops.iter().any(Op::extends);
        self.activity = self.activity.and(activity);
        Ok(())
    }

    /// The step for the store. It counts as activity if one of the requests is activity.
    ///
    /// # Errors
    ///
    /// [`ChangeError::Unencodable`].
    pub fn step(&self, now: Timestamp) -> Result<InPlace, ChangeError> {
        let write = |view: &View| {
            let (meta, deadline) = (view.meta(), view.timing.absolute_deadline);
            view.write(meta, deadline, Some(&self.origin.view), self.notes.clone())
        };
        let activity = (self.activity, self.extends);
        in_place(&self.origin, &self.view, &self.policy, activity, now, write)
    }

    /// Whether `unit` has read exactly the write that the group builds on.
    pub fn builds_on_what_was_seen_by(&self, unit: &UnitOfWork) -> bool {
        let (key, revision) = (self.origin.key, self.origin.revision);
        let seen = unit.origin.as_ref();
        seen.is_some_and(|origin| origin.key == key && origin.revision == revision)
    }

    /// The key under which the session is stored.
    pub fn key(&self) -> &SessionIdHash {
        &self.origin.key
    }

    /// The revision that the next write builds on.
    pub fn expected(&self) -> Revision {
        self.origin.revision
    }

    /// The meta of the session as it is stored.
    pub fn meta(&self) -> SessionMeta {
        self.origin.view.meta()
    }

    /// The session as it is stored after [`InPlace::Commit`].
    pub fn written(self, timing: Timing, revision: Revision) -> Origin {
        Origin {
            key: self.origin.key,
            revision,
            view: View {
                timing,
                ..self.view
            },
        }
    }

    /// The session as it is stored if nothing was written.
    pub fn unchanged(self) -> Origin {
        self.origin
    }

    /// The session as it is stored after a touch.
    pub fn touched(self, timing: Timing) -> Origin {
        let mut origin = self.origin;
        origin.view.timing = timing;
        origin
    }
}
