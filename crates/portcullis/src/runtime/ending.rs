//! Ends a session outside of its requests.

use portcullis_core::{
    Event,
    store::{Ended, StoreError, StoreErrorKind, Termination},
};

use crate::runtime::context::Context;

/// Ends a session, and emits its event. Returns whether this call ended it.
///
/// # Errors
///
/// [`StoreError`] when it is unknown whether it was ended.
pub(crate) async fn end_one(context: &Context, end: Termination) -> Result<bool, StoreError> {
    let (ended, asked_twice) = match context.store().end(&end).await {
        // The session may have ended all the same. Without a second call, its event could be lost.
        Err(error) if error.kind() == StoreErrorKind::Unavailable => {
            (context.store().end(&end).await?, true)
        }
        ended => (ended?, false),
    };
    let has_ended = ended == Ended::Done || asked_twice;
    if has_ended {
        let user = end.meta.user().cloned();
        let event = Event::new(end.note, context.now(), Some(end.meta.handle), user);
        context.emit(event);
    }
    Ok(has_ended)
}
