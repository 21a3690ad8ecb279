//! The changes of several requests to one session, gathered into one write.

use super::{Draft, Op, Origin, View};
use crate::{
    DraftError, Label, Note, SessionKey, Timestamp,
    draft::plan::in_place,
    store::{Activity, Revision, Timing, Write},
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
    Commit(Write, Activity),
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

    /// A group that begins with the changes of `draft`, which has applied them already. `None` if it has no session.
    pub fn of(draft: &Draft, activity: Activity) -> Option<Self> {
        let (origin, view) = (draft.origin.clone()?, draft.view.0.clone()?);
        Some(Self {
            origin,
            view,
            notes: draft.notes(),
            activity,
            extends: draft.extends(),
        })
    }

    /// Applies the changes of one more request.
    ///
    /// # Errors
    ///
    /// What a change raises on what is there by now: [`DraftError::TooLarge`], [`DraftError::Decode`] or
    /// [`DraftError::Encode`]. The group is what it was before then, also where a function given to `update` panics.
    pub fn add(&mut self, draft: &mut Draft, activity: Activity) -> Result<(), DraftError> {
        let mut view = self.view.clone();
        let mut events = Vec::new();
        let limit = draft.policy.payload();
        for op in &mut draft.ops {
            // Another request from this client may have told of it already.
            if !op.is_known_to(&view) {
                op.apply(&mut view, limit)?;
                events.extend(op.event());
            }
        }
        self.view = view;
        self.notes
            .extend(events.into_iter().map(|kind| draft.note(kind)));
        self.extends |= draft.ops.iter().any(Op::extends);
        if activity == Activity::Active {
            self.activity = activity;
        }
        Ok(())
    }

    /// What to ask of the store. It counts as activity if one of the requests is activity.
    ///
    /// # Errors
    ///
    /// [`DraftError::Unencodable`].
    pub fn step(&self, now: Timestamp) -> Result<InPlace, DraftError> {
        let write = || {
            self.view.write(
                self.view.label(),
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

    /// Whether `draft` has seen the very write that the group builds on.
    pub fn builds_on_what_was_seen_by(&self, draft: &Draft) -> bool {
        let (key, revision) = (self.origin.key, self.origin.revision);
        let seen = draft.origin.as_ref();
        seen.is_some_and(|origin| origin.key == key && origin.revision == revision)
    }

    /// Where the session is stored.
    pub fn key(&self) -> &SessionKey {
        &self.origin.key
    }

    /// The write that the next one builds on.
    pub fn expected(&self) -> Revision {
        self.origin.revision
    }

    /// The name and owner of the session.
    pub fn label(&self) -> Label {
        self.origin.view.label()
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
