//! A request that waits in the write queue, and the answer that it gets.

use std::{any::Any, fmt, sync::Arc};

use portcullis_core::{store::Activity, unit_of_work::Origin};

use super::working_copy::WorkingCopyGuard;
use crate::reject::error::SessionError;

/// A request that has a working copy of its session.
pub(crate) trait HasWorkingCopy: fmt::Debug + Send + Sync {
    /// The copy, if the request has loaded its session.
    fn working_copy(&self) -> Option<WorkingCopyGuard<'_>>;
}

/// A request whose changes another request may write.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) request: Arc<dyn HasWorkingCopy>,
    pub(crate) activity: Activity,
}

/// The result of one request's changes.
#[derive(Debug)]
pub(crate) enum Answer {
    Outcome(Outcome),
    /// A function given to `update` panicked.
    Panicked(Box<dyn Any + Send>),
}

/// The result of a write for several requests.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// The changes are stored, in this session.
    Stored(Origin),
    /// The session has ended.
    Ended,
    /// The session can no longer be read.
    Damaged,
    Failed(SessionError),
}

impl From<SessionError> for Answer {
    fn from(error: SessionError) -> Self {
        Self::Outcome(Outcome::Failed(error))
    }
}

impl From<Outcome> for Answer {
    fn from(outcome: Outcome) -> Self {
        Self::Outcome(outcome)
    }
}
