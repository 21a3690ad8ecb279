//! Receivers of events of sessions.

use std::sync::Arc;

use portcullis_core::{Event, Severity};

/// Receives the [`Event`]s of this process. It observes: it cannot change a decision.
///
/// It is called while a request waits, so it must not block. Pass slow work to your own queue.
///
/// Each call of [`SessionLayer::audit`](crate::SessionLayer::audit) or
/// [`Sessions::audit`](crate::Sessions::audit) adds one. All of them are notified of each event, in
/// that order. The first replaces [`TracingAudit`]:
///
/// ```
/// # use portcullis::{MemoryStore, SessionLayer, audit::{Audit, Event, TracingAudit}};
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
/// # Which process is notified
///
/// | cause of the event | notified process |
/// |---|---|
/// | a request of this process did it, or was refused | this process |
/// | [`Sessions`](crate::Sessions) of this process did it | this process |
/// | a session or an elevation expired | the process that noticed it first, usually within a minute |
/// | a request of another process, or the operator's tool, did it | that process alone |
///
/// A process is not notified of ends by other processes, although its own live connections end. No
/// audit is notified of an end in these cases:
///
/// * the process stops before it can notify;
/// * the answers of the store were lost;
/// * a revocation ended a session that was missing from its user's list.
///
/// The log in the store has all of these events. Read it with
/// [`Sessions::history`](crate::Sessions::history).
///
/// Two kinds of use after the end are reported once for each session and client, not for each
/// request. One is a use after a timeout. The other is a use by a request that is [no
/// activity](crate::route::PassiveLayer), such as a poll.
pub trait Audit: Send + Sync + 'static {
    /// Receives one event.
    fn record(&self, event: &Event);
}

/// Writes events to `tracing`, under the target `portcullis::audit`. The default.
///
/// Fields: `event`, `detail`, `session` (the public handle), `user`, `correlator`, `actor`,
/// `operator`, `client`, `at_ms`.
///
/// | level | events |
/// |---|---|
/// | error | a store that fails, a damaged record |
/// | warn | events that need attention, such as a refused write or a use after the end |
/// | info | other events; a use after a timeout or a replacement, which is ordinary |
/// | debug | an unknown or malformed identifier, often an expired cookie |
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct TracingAudit;

impl Audit for TracingAudit {
    fn record(&self, event: &Event) {
        let name = event.kind.as_str();
        let detail = event.kind.detail();
        let session = event.session.map(tracing::field::display);
        // As text, which is quoted, so that a user name cannot imitate another field.
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
        match event.kind.severity() {
            Severity::Debug => emit!(DEBUG),
            Severity::Info => emit!(INFO),
            Severity::Warn => emit!(WARN),
            // Also a severity that a later version adds.
            _ => emit!(ERROR),
        }
    }
}

/// The audits that are notified of events: the added ones, or else the default.
#[derive(Clone, Default)]
pub(crate) struct Audits(Vec<Arc<dyn Audit>>);

impl Audits {
    /// These audits and one more.
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
