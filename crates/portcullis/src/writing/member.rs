//! What the queue knows of a request that waits in it, and what the request gets back.

use std::{any::Any, fmt, sync::Arc};

use portcullis_core::{store::Activity, unit_of_work::Origin};

use super::working_copy::WorkingCopyGuard;
use crate::reject::error::SessionError;

/// A request that has a working copy of its session.
pub(crate) trait HasWorkingCopy: fmt::Debug + Send + Sync {
    /// The copy, if the request has loaded its session.
    fn working_copy(&self) -> Option<WorkingCopyGuard<'_>>;
}

/// A request for which another one may write.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) request: Arc<dyn HasWorkingCopy>,
    pub(crate) activity: Activity,
}

/// What became of the changes of one request.
#[derive(Debug)]
pub(crate) enum Answer {
    Outcome(Outcome),
    /// A function given to `update` panicked.
    Panicked(Box<dyn Any + Send>),
}

/// What became of the changes of all requests that were written together.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// They are stored.
    Stored(Origin),
    /// The session has ended.
    Gone,
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
