//! The status of a live session, for browsers and apps.

use std::collections::BTreeMap;

use portcullis_core::{DefaultScope, EndReason, Scope, Timestamp};
use serde::Serialize;

use crate::Session;

/// How long a session lasts. Moments are milliseconds by the server's clock.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    now: u64,
    idle_deadline: u64,
    absolute_deadline: u64,
    ends_at: u64,
    extends_to: Option<u64>,
    authenticated: bool,
    user_fingerprint: Option<String>,
    privileged_until: Option<u64>,
    elevated_until: Option<u64>,
    elevations: BTreeMap<String, u64>,
}

impl Status {
    /// `None` without a live session.
    pub(super) fn of(session: &Session) -> Option<Self> {
        let (now, view) = (session.now(), session.state().view());
        let info = session.state().info()?;
        let privileged_until = session.privileged_until();
        // Elevations end at the privileged idle timeout too, also after the policy shortened it.
        let elevations: BTreeMap<_, _> = privileged_until
            .into_iter()
            .flat_map(|last| {
                let elevations = view.elevations(session.state().policy(), now).into_iter();
                elevations.map(move |(scope, until)| (scope, until.min(last).as_millis()))
            })
            .collect();
        Some(Self {
            now: now.as_millis(),
            idle_deadline: info.idle_deadline.as_millis(),
            absolute_deadline: info.absolute_deadline.as_millis(),
            ends_at: info.idle_deadline.min(info.absolute_deadline).as_millis(),
            extends_to: info.extends_to(now).map(Timestamp::as_millis),
            authenticated: view.user().is_some(),
            user_fingerprint: view.user().map(|user| user.fingerprint()),
            privileged_until: privileged_until.map(Timestamp::as_millis),
            elevated_until: elevations.get(DefaultScope::NAME).copied(),
            elevations,
        })
    }

    pub(super) fn to_json(&self) -> String {
        // It contains only numbers and text, so it cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The document for the client that signed out. A status request at that moment reports the same
/// end.
pub(super) fn signed_out(now: Timestamp) -> String {
    let reason = EndReason::SignedOut;
    serde_json::json!({
        "now": now.as_millis(),
        "reason": reason.as_str(),
        "detail": reason.message(),
    })
    .to_string()
}
