//! Who is told what happens to sessions.

use portcullis_core::{Event, EventKind};

/// Receives every [`Event`]. It observes: nothing it does changes what was decided.
///
/// It is called on the request's path, so it must not block; hand slow work to a queue of your own.
pub trait Audit: Send + Sync + 'static {
    /// Takes note of `event`.
    fn record(&self, event: &Event);
}

/// Hands events to `tracing`, under the target `portcullis::audit`. The default.
///
/// Fields: `event`, `detail`, `session` (the public handle), `user`, `correlator`, `actor`, `operator`, `client`,
/// `at_ms`. What deserves attention is a warning, a failing store an error, an unknown identifier (many an expired
/// cookie is one) only debug.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct TracingAudit;

impl Audit for TracingAudit {
    fn record(&self, event: &Event) {
        let name = event.kind.as_str();
        let detail = event.kind.detail();
        let session = event.session.map(tracing::field::display);
        // As text, which is quoted: a name must not pass for a field of its own.
        let user = event.user.as_ref().map(ToString::to_string);
        let user = user.as_deref();
        let correlator = event.correlator.map(tracing::field::display);
        let actor = event.actor.as_str();
        let operator = event.actor.operator();
        let client = event.client.as_ref().map(tracing::field::display);
        let at_ms = event.at.as_millis();
        macro_rules! emit {
            ($level:ident) => {
                tracing::event!(
                    target: "portcullis::audit",
                    tracing::Level::$level,
                    event = name,
                    detail,
                    session,
                    user,
                    correlator,
                    actor,
                    operator,
                    client,
                    at_ms
                )
            };
        }
        match event.kind {
            EventKind::UnknownIdentifier | EventKind::MalformedIdentifier => emit!(DEBUG),
            EventKind::WriteRefused
            | EventKind::UsedAfterEnd(_)
            | EventKind::AmbiguousIdentifier
            | EventKind::DeviceChanged(_)
            | EventKind::RevocationRefused
            | EventKind::LimitReached => {
                emit!(WARN);
            }
            EventKind::RecordDamaged | EventKind::StoreFailed => emit!(ERROR),
            _ => emit!(INFO),
        }
    }
}
