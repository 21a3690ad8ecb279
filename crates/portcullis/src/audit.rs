//! Who is told what happens to sessions.

use std::sync::Arc;

use portcullis_core::{EndReason, Event, EventKind};

/// Receives the [`Event`]s of this process. It observes: nothing it does changes what was decided.
///
/// It is called on the request's path, so it must not block; hand slow work to a queue of your own.
///
/// Each call of [`SessionLayer::audit`](crate::SessionLayer::audit) or [`Sessions::audit`](crate::Sessions::audit) adds one.
/// All of them hear of each event, in that order. The first takes the place of [`TracingAudit`]:
///
/// ```
/// # use portcullis::{Audit, Event, MemoryStore, SessionLayer, TracingAudit};
/// struct Siem;
///
/// impl Audit for Siem {
///     fn record(&self, event: &Event) {
///         // … put it into a queue
///     }
/// }
///
/// let layer = SessionLayer::new(MemoryStore::new())
///     .audit(TracingAudit::default())
///     .audit(Siem);
/// ```
///
/// # Which events
///
/// | what happened | who hears of it |
/// |---|---|
/// | a request of this process did it, or was refused | this process |
/// | [`Sessions`](crate::Sessions) of this process did it | this process |
/// | a session or an elevation expired | the one process that noticed first, within a minute as a rule |
/// | a request of another process, or the operator's tool, did it | that process alone |
///
/// A process does not hear of ends by others, although its own live connections end. No audit hears of an end when its
/// process dies first, when the store's answers to it were lost, or when a revocation ended a session that it had not found
/// in the list of its user. The log in the store has all of these: read it with
/// [`Sessions::history`](crate::Sessions::history).
///
/// Two kinds of use after the end are reported once for each session and client, and not for each request: after a timeout, and by
/// requests that are [no activity](crate::PassiveLayer), such as the polls of a page that is left open.
pub trait Audit: Send + Sync + 'static {
    /// Takes note of `event`.
    fn record(&self, event: &Event);
}

/// Hands events to `tracing`, under the target `portcullis::audit`. The default.
///
/// Fields: `event`, `detail`, `session` (the public handle), `user`, `correlator`, `actor`, `operator`, `client`,
/// `at_ms`. What deserves attention is a warning, a failing store an error, an unknown identifier (many an expired
/// cookie is one) only debug. A use after the end is a warning, but after a timeout or a replacement it is information:
/// people come back late, and requests overlap.
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
            EventKind::UsedAfterEnd(reason) if is_ordinary(reason) => emit!(INFO),
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

/// Whether honest people use an identifier that ended for this reason.
fn is_ordinary(reason: EndReason) -> bool {
    reason.is_timeout() || reason.is_replacement()
}

/// Who is notified of events: those that were added, or the default.
#[derive(Clone, Default)]
pub(crate) struct Audits(Vec<Arc<dyn Audit>>);

impl Audits {
    /// These and one more.
    #[must_use]
    pub(crate) fn and(mut self, audit: impl Audit) -> Self {
        self.0.push(Arc::new(audit));
        self
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &dyn Audit> {
        let default: Option<&dyn Audit> = self.0.is_empty().then_some(&TracingAudit);
        self.0.iter().map(|audit| &**audit).chain(default)
    }
}
