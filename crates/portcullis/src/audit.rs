//! What happened to sessions, for those who watch.

use portcullis_core::{EndReason, Handle, Timestamp, UserId};

/// Receives every [`Event`]. It observes: nothing it does changes what was decided.
///
/// It is called on the request's path, so it must not block; hand slow work to a queue of your own.
pub trait Audit: Send + Sync + 'static {
    /// Takes note of `event`.
    fn record(&self, event: &Event);
}

/// One thing that happened to a session, or that was refused. Holds no identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// When, on the store's clock.
    pub at: Timestamp,
    /// The session's public name, if there is a session.
    pub session: Option<Handle>,
    /// Its user, if it has one.
    pub user: Option<UserId>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A session without a user began.
    Created,
    /// A user authenticated.
    Authenticated,
    /// A session was elevated for this scope.
    Elevated(String),
    /// The elevations of a session were dropped before their time.
    ElevationDropped,
    /// A session got a new identifier.
    Regenerated,
    /// A session was ended.
    Ended(EndReason),
    /// A request wanted to change a session that had ended meanwhile; nothing was changed.
    WriteRefused,
    /// A request came with the identifier of a session that had ended.
    UsedAfterEnd(EndReason),
    /// A request came with an identifier that is not known: never issued, or expired.
    UnknownIdentifier,
    /// A request came with a cookie that is no identifier.
    MalformedIdentifier,
    /// A request came with two different identifiers.
    AmbiguousIdentifier,
    /// What is stored is not a session record. It was treated as no session.
    RecordDamaged,
    /// The store could not be used, so that a request was refused.
    StoreFailed,
}

impl EventKind {
    /// A stable name. From the OWASP Logging Vocabulary where that has a word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Created => "session_created",
            Self::Authenticated => "authn_login_success",
            Self::Elevated(_) => "privilege_elevated",
            Self::ElevationDropped => "privilege_dropped",
            Self::Regenerated => "session_renewed",
            Self::Ended(_) => "session_ended",
            Self::WriteRefused => "session_write_refused",
            Self::UsedAfterEnd(_) => "session_use_after_expire",
            Self::UnknownIdentifier => "session_unknown_id",
            Self::MalformedIdentifier => "input_validation_discrete_fail",
            Self::AmbiguousIdentifier => "session_cookie_ambiguous",
            Self::RecordDamaged => "session_record_invalid",
            Self::StoreFailed => "security_control_failure",
        }
    }

    /// The word that says more: why it ended, what it was elevated for.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Ended(reason) | Self::UsedAfterEnd(reason) => Some(reason.as_str()),
            Self::Elevated(scope) => Some(scope),
            _ => None,
        }
    }
}

/// Hands events to `tracing`, under the target `portcullis::audit`. The default.
///
/// Fields: `event`, `detail`, `session` (the public handle), `user`, `at_ms`. What deserves attention is a
/// warning, a failing store an error, an unknown identifier (every expired cookie is one) only debug.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct TracingAudit;

impl Audit for TracingAudit {
    fn record(&self, event: &Event) {
        let name = event.kind.as_str();
        let detail = event.kind.detail().map(tracing::field::display);
        let session = event.session.map(tracing::field::display);
        let user = event.user.as_ref().map(tracing::field::display);
        let at_ms = event.at.as_millis();
        macro_rules! emit {
            ($level:ident) => {
                tracing::event!(target: "portcullis::audit", tracing::Level::$level, event = name, detail, session, user, at_ms)
            };
        }
        match event.kind {
            EventKind::UnknownIdentifier | EventKind::MalformedIdentifier => emit!(DEBUG),
            EventKind::WriteRefused
            | EventKind::UsedAfterEnd(_)
            | EventKind::AmbiguousIdentifier => {
                emit!(WARN);
            }
            EventKind::RecordDamaged | EventKind::StoreFailed => emit!(ERROR),
            _ => emit!(INFO),
        }
    }
}
