//! What a request did with its session.

use std::{
    cell::Cell,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use portcullis_core::{
    SessionId, Timestamp,
    unit_of_work::{SessionView, UnitOfWork},
};

use crate::reject::error::SessionError;

/// A session that the request has looked at.
#[derive(Debug)]
pub(crate) struct WorkingCopy {
    pub(crate) unit: UnitOfWork,
    /// What the response must tell the browser, so far.
    pub(crate) cookie: CookieAction,
    /// The request came with two live sessions and ended both.
    pub(crate) ended_two: bool,
    /// The unit of work's operations are being carried out; until that is done nobody changes it.
    pub(crate) committing: bool,
    pub(crate) commit_failure: CommitFailure,
    /// The handler wanted to change something, and not only the layer.
    pub(crate) changed_by_handler: bool,
}

impl WorkingCopy {
    /// Whether the only change is that of the layer: the observation of the device.
    pub(crate) fn only_read(&self) -> bool {
        !self.changed_by_handler || self.unit.only_observes()
    }

    /// Drops what the handler wished and is not carried out. A function given to `update` may hold the session that
    /// holds it, so neither would ever be dropped otherwise.
    pub(crate) fn forget(&mut self) {
        if self.unit.is_dirty() {
            self.unit.retain_only_the_end();
        }
    }
}

/// Why the request may ask for nothing more.
#[derive(Debug, Clone)]
pub(crate) enum CommitFailure {
    None,
    /// A write was refused because the session had ended.
    Ended,
    /// A write was refused because the session goes on under another identifier.
    Replaced,
    /// A write was refused for this reason. The session is as it was, and may be changed.
    Refused(SessionError),
    /// It is not known whether a write was carried out.
    Unknown,
}

impl CommitFailure {
    pub(crate) fn as_error(&self) -> Option<SessionError> {
        match self {
            Self::None => None,
            Self::Ended => Some(SessionError::Ended),
            Self::Replaced => Some(SessionError::Replaced),
            Self::Refused(error) => Some(error.clone()),
            Self::Unknown => Some(SessionError::InDoubt),
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) enum CookieAction {
    #[default]
    Keep,
    /// The identifier, and when the session ends whatever happens.
    Set(Arc<(SessionId, Timestamp)>),
    Remove,
}

impl CookieAction {
    pub(crate) fn set(id: (SessionId, Timestamp)) -> Self {
        Self::Set(Arc::new(id))
    }
}

/// Readers have a lock of their own, so that a function that changes a value may look at the session.
#[derive(Debug)]
pub(crate) struct SharedCopy {
    copy: Mutex<WorkingCopy>,
    view: Mutex<SessionView>,
}

impl SharedCopy {
    pub(crate) fn new(unit: UnitOfWork) -> Self {
        Self {
            view: Mutex::new(unit.view().clone()),
            copy: Mutex::new(WorkingCopy {
                unit,
                cookie: CookieAction::Keep,
                ended_two: false,
                committing: false,
                commit_failure: CommitFailure::None,
                changed_by_handler: false,
            }),
        }
    }

    pub(crate) fn working_copy(&self) -> WorkingCopyGuard<'_> {
        WorkingCopyGuard {
            copy: lock(&self.copy),
            view: &self.view,
            changed: false,
            _held: Held::begin(),
        }
    }

    pub(crate) fn view(&self) -> SessionView {
        lock(&self.view).clone()
    }
}

/// Access to what the request did. Shows the result to readers when it is dropped.
pub(crate) struct WorkingCopyGuard<'a> {
    copy: MutexGuard<'a, WorkingCopy>,
    view: &'a Mutex<SessionView>,
    changed: bool,
    _held: Held,
}

thread_local! {
    /// This thread holds the lock of a session. What runs meanwhile and is not ours (a function given to
    /// `update`, the encoding of a value) must not wait for it.
    static HELD: Cell<bool> = const { Cell::new(false) };
}

pub(crate) fn is_held_by_this_thread() -> bool {
    HELD.get()
}

struct Held;

impl Held {
    fn begin() -> Self {
        HELD.set(true);
        Self
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.set(false);
    }
}

impl Deref for WorkingCopyGuard<'_> {
    type Target = WorkingCopy;

    fn deref(&self) -> &WorkingCopy {
        &self.copy
    }
}

impl DerefMut for WorkingCopyGuard<'_> {
    fn deref_mut(&mut self) -> &mut WorkingCopy {
        self.changed = true;
        &mut self.copy
    }
}

impl Drop for WorkingCopyGuard<'_> {
    fn drop(&mut self) {
        if self.changed {
            *lock(self.view) = self.copy.unit.view().clone();
        }
    }
}

// A panic inside leaves a unit of work as it was before or after an operation, never half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
