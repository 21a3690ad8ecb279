//! The changes of several requests to one session, gathered into one write.

use super::{Op, Origin, UnitOfWork, View};
use crate::{
    ChangeError, Note, SessionIdHash, SessionMeta, Timestamp,
    store::{Activity, RecordWrite, Revision, Timing},
    unit_of_work::plan::in_place,
};

/// The changes of several requests to one session, on the way into one write.
///
/// The changes of each request are applied whole or not at all, in the order in which requests are added. Changes of
/// the identifier are not for groups: such a request writes alone.
#[derive(Debug)]
pub struct Group {
    origin: Origin,
    /// `origin` with all changes applied.
    view: View,
    notes: Vec<Note>,
    activity: Activity,
    extends: bool,
}

/// What a step of the store that keeps the identifier has to do.
#[derive(Debug)]
#[allow(clippy::exhaustive_enums, reason = "every caller must carry out each")]
pub enum InPlace {
    /// Nothing: what was asked for is what is stored.
    Nothing,
    /// [`Store::touch`](crate::store::Store::touch), because there was activity.
    Touch,
    /// The same because a person asked for it, so that it must not fail unnoticed.
    Extend,
    /// [`Store::commit`](crate::store::Store::commit).
    Commit(RecordWrite, Activity),
}

impl Group {
    /// A group without changes yet, on a session as it is known to be stored.
    pub fn on(origin: Origin) -> Self {
        Self {
            view: origin.view.clone(),
            origin,
            notes: Vec::new(),
            activity: Activity::Passive,
            extends: false,
        }
    }

    /// A group that begins with the changes of `unit_of_work`, which has applied them already. `None` if it has no session.
    pub fn of(unit: &UnitOfWork, activity: Activity) -> Option<Self> {
        let (origin, view) = (unit.origin.clone()?, unit.view.0.clone()?);
        Some(Self {
            origin,
            view,
            notes: unit.notes(),
            activity,
            extends: unit.extends(),
        })
    }

    /// Applies the changes of one more request.
    ///
    /// # Errors
    ///
    /// What a change raises on what is there by now: [`ChangeError::TooLarge`], [`ChangeError::Decode`] or
    /// [`ChangeError::Encode`]. The group is what it was before then, also where a function given to `update` panics.
    pub fn add(&mut self, unit: &mut UnitOfWork, activity: Activity) -> Result<(), ChangeError> {
        let mut view = self.view.clone();
        let mut events = Vec::new();
        let limit = unit.policy.payload();
        for op in &mut unit.ops {
            // Another request from this client may have told of it already.
            if !op.is_known_to(&view) {
                op.apply(&mut view, limit)?;
                events.extend(op.event());
            }
        }
        self.view = view;
        self.notes
            .extend(events.into_iter().map(|kind| unit.note(kind)));
        self.extends |= unit.ops.iter().any(Op::extends);
        if activity == Activity::Active {
            self.activity = activity;
        }
        Ok(())
    }

    /// What to ask of the store. It counts as activity if one of the requests is activity.
    ///
    /// # Errors
    ///
    /// [`ChangeError::Unencodable`].
    pub fn step(&self, now: Timestamp) -> Result<InPlace, ChangeError> {
        let write = || {
            self.view.write(
                self.view.meta(),
                self.view.timing.absolute_deadline,
                self.notes.clone(),
            )
        };
        in_place(
            &self.origin,
            &self.view,
            self.activity,
            self.extends,
            now,
            write,
        )
    }

    /// Whether `unit_of_work` has seen the very write that the group builds on.
    pub fn builds_on_what_was_seen_by(&self, unit: &UnitOfWork) -> bool {
        let (key, revision) = (self.origin.key, self.origin.revision);
        let seen = unit.origin.as_ref();
        seen.is_some_and(|origin| origin.key == key && origin.revision == revision)
    }

    /// Where the session is stored.
    pub fn key(&self) -> &SessionIdHash {
        &self.origin.key
    }

    /// The write that the next one builds on.
    pub fn expected(&self) -> Revision {
        self.origin.revision
    }

    /// The name and owner of the session.
    pub fn meta(&self) -> SessionMeta {
        self.origin.view.meta()
    }

    /// The session as it is stored once [`InPlace::Commit`] was carried out.
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

    /// The session as it is stored where there was nothing to write.
    pub fn unchanged(self) -> Origin {
        self.origin
    }

    /// The same once it was touched.
    pub fn touched(self, timing: Timing) -> Origin {
        let mut origin = self.origin;
        origin.view.timing = timing;
        origin
    }
}
