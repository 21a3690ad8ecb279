//! Sample sessions for the tests of this module.

use std::sync::Arc;

use portcullis_core::{
    SessionEntry, SystemRandom, Timestamp, VisitorLimits,
    store::{Activity, Revision, Stored, Timing},
    unit_of_work::{SessionSettings, SessionStatus, Step, UnitOfWork},
};

/// The time when sample sessions begin.
pub(super) const START: Timestamp = Timestamp::from_millis(1_000_000);

/// A session that begins at [`START`] with the default limits. It has this user and is elevated for
/// this scope, if given.
pub(super) fn session(user: Option<&str>, scope: Option<&str>) -> SessionStatus {
    let settings = SessionSettings {
        policy: Arc::default(),
        payload_limit: 100,
        visitors: VisitorLimits::default(),
    };
    let mut unit = UnitOfWork::without_session(settings, None);
    unit.insert(&"name", &"value", START).unwrap();
    if let Some(user) = user {
        unit.authenticate(user.into(), START).unwrap();
    }
    if let Some(scope) = scope {
        unit.elevate(scope, START).unwrap();
    }
    let plan = unit
        .plan(Activity::Active, START, &mut SystemRandom)
        .unwrap();
    let Step::Create { write, limits, .. } = plan.step else {
        panic!("not a new session");
    };
    let stored = Stored {
        timing: Timing::starting(START, limits),
        revision: Revision(0),
        payload: write.payload,
    };
    assert!(SessionEntry::read(&stored, &Arc::default(), START).is_some());
    SessionStatus::read(&stored, &Arc::default()).unwrap()
}
