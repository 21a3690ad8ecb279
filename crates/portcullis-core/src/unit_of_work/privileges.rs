//! Taking the elevations of a stored session away, without a request of it.

use crate::{
    EventKind, Note,
    record::Record,
    store::{NewLimits, RecordWrite, Stored},
    unit_of_work::Unusable,
};

/// The write that takes all elevations and approvals from a stored session. `None` if it has none.
/// The session keeps its identifier, because no response can bring another. `note` names who takes
/// them away.
///
/// # Errors
///
/// [`Unusable`] when the payload cannot be read whole.
pub fn without_privileges(stored: &Stored, note: Note) -> Result<Option<RecordWrite>, Unusable> {
    let mut record = Record::decode(&stored.payload)?;
    if !record.head.has_elevations() {
        return Ok(None);
    }
    record.head.drop_elevations();
    let head = &record.head;
    Ok(Some(RecordWrite {
        meta: head.meta(stored.timing.absolute_deadline),
        payload: record.encode().map_err(|_| Unusable::Damaged)?,
        elevated_until: None,
        flagged: head.is_flagged(),
        new_limits: NewLimits {
            elevations_end: true,
            ..NewLimits::default()
        },
        notes: vec![Note {
            kind: EventKind::ElevationDropped,
            ..note
        }],
    }))
}
