//! Ends sessions.

use portcullis_core::{
    Event,
    store::{Ended, StoreError, StoreErrorKind, Termination},
};

use crate::runtime::{context::Context, dyn_store::DynStore};

/// Ends a session. If the store's answer was lost, it is asked once more. Returns that as well: the
/// first call may have ended the session, and without a second one its event could be lost.
///
/// # Errors
///
/// [`StoreError`] when it is unknown whether it was ended.
pub(crate) async fn end_surely(
    store: &dyn DynStore,
    end: &Termination,
) -> Result<(Ended, bool), StoreError> {
    match store.end(end).await {
        Err(error) if error.kind() == StoreErrorKind::Unavailable => {
            Ok((store.end(end).await?, true))
        }
        ended => Ok((ended?, false)),
    }
}

/// Ends a session outside of its requests, and emits its event. Returns whether this call ended it.
///
/// # Errors
///
/// [`StoreError`] when it is unknown whether it was ended.
pub(crate) async fn end_one(context: &Context, end: Termination) -> Result<bool, StoreError> {
    let (ended, asked_twice) = end_surely(context.store(), &end).await?;
    let has_ended = ended == Ended::Done || asked_twice;
    if has_ended {
        let user = end.meta.user().cloned();
        let event = Event::new(end.note, context.now(), Some(end.meta.handle), user);
        context.emit(event);
    }
    Ok(has_ended)
}
