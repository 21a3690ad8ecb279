//! Events of what a commit has stored.

use portcullis_core::{
    SessionHandle, SessionMeta,
    store::{Others, RecordWrite, ReplacedSession},
};

use crate::request::state::State;

/// Emits the events of a write, in the order of the store's log.
pub(super) fn of_write(
    state: &State,
    old: Option<ReplacedSession>,
    others: &Others,
    displaced: Vec<SessionHandle>,
    write: RecordWrite,
) {
    if let Some(ReplacedSession {
        meta,
        note: Some(note),
        ..
    }) = old
    {
        state.emit(note, &meta);
    }
    for note in write.notes {
        state.emit(note, &write.meta);
    }
    of_displaced(state, &write.meta, others, displaced);
}

/// Emits the ends of the sessions that a sign-in as `meta` displaced.
pub(super) fn of_displaced(
    state: &State,
    meta: &SessionMeta,
    others: &Others,
    displaced: Vec<SessionHandle>,
) {
    let (_, note) = others.end_of_one();
    for handle in displaced {
        let meta = SessionMeta {
            handle,
            ..meta.clone()
        };
        state.emit(note.clone(), &meta);
    }
}
