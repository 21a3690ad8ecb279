//! A request's working copy of its session: the loaded session and the changes so far.

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

/// The session that a request has loaded, and the request's changes to it.
#[derive(Debug)]
pub(crate) struct WorkingCopy {
    pub(crate) unit: UnitOfWork,
    /// What the response does to the cookie, as decided so far.
    pub(crate) cookie: CookieAction,
    /// The request came with two live sessions and ended both.
    pub(crate) ended_two: bool,
    /// A commit is under way. Until it is finished, no other code changes the unit of work.
    pub(crate) committing: bool,
    /// The failure of an earlier commit, if any.
    pub(crate) commit_failure: CommitFailure,
    /// The handler asked for a change. Otherwise only the layer did.
    pub(crate) changed_by_handler: bool,
}

impl WorkingCopy {
    /// Whether the only change is the layer's own: the observation of the device.
    pub(crate) fn only_read(&self) -> bool {
        !self.changed_by_handler || self.unit.only_observes()
    }

    /// Drops the handler's uncommitted changes. A function given to `update` may hold the session
    /// that contains it, so neither would ever be dropped otherwise.
    pub(crate) fn discard_changes(&mut self) {
        if self.unit.is_dirty() {
            self.unit.retain_only_the_end();
        }
    }
}

/// The failure of an earlier commit, which decides whether the request may change the session
/// again.
#[derive(Debug, Clone)]
pub(crate) enum CommitFailure {
    None,
    /// A write was refused because the session had ended.
    Ended,
    /// A write was refused because the session continues under another identifier.
    Replaced,
    /// A write was refused for this reason. The session is unchanged, and may still be changed.
    Refused(SessionError),
    /// It is unknown whether a write was carried out.
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

/// What the response does to the session cookie.
#[derive(Debug, Clone, Default)]
pub(crate) enum CookieAction {
    #[default]
    Keep,
    /// Sets the cookie to this identifier, whose session has this absolute deadline.
    Set(Arc<(SessionId, Timestamp)>),
    Remove,
}

impl CookieAction {
    pub(crate) fn set(id: (SessionId, Timestamp)) -> Self {
        Self::Set(Arc::new(id))
    }
}

/// A working copy behind locks. Readers have a lock of their own, so that a function given to
/// `update` may read the session.
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

/// Access to a working copy. When it is dropped, readers see the changes.
pub(crate) struct WorkingCopyGuard<'a> {
    copy: MutexGuard<'a, WorkingCopy>,
    view: &'a Mutex<SessionView>,
    changed: bool,
    _held: Held,
}

thread_local! {
    /// This thread holds the lock of a working copy. Foreign code that runs meanwhile must not wait
    /// for it: a function given to `update`, the encoding of a value.
    static HELD: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread holds the lock of a working copy.
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

// A panic leaves a unit of work as it was before or after an operation, never in between.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
