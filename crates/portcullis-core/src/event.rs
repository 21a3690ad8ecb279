//! Security events: what happens to sessions, for audit and logs.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    Client, ClientChange, CorrelationKey, Correlator, EndReason, SessionHandle, Timestamp, UserId,
};

/// An event: one change of a session or of a user, or one request that was refused. It holds no
/// identifier.
///
/// The layer passes it to the application's audit. OWASP ASVS 5.0, 16.3, asks for logs of such
/// events. Their names follow the OWASP Logging Vocabulary.
///
/// ```
/// # use portcullis_core::{Actor, EndReason, Event, EventKind, Note, Severity, Timestamp};
/// let note = Note::new(EventKind::Ended(EndReason::SignedOut), Actor::Client, None);
/// let event = Event::new(note, Timestamp::from_millis(0), None, Some("alice".into()));
/// assert_eq!(event.kind.as_str(), "session_ended");
/// assert_eq!(event.kind.detail(), Some("signed_out"));
/// assert_eq!(event.kind.severity(), Severity::Info);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The time, on the store's clock.
    pub at: Timestamp,
    /// The session's public name, if there is a session.
    pub session: Option<SessionHandle>,
    /// The user of the session, if it has one.
    pub user: Option<UserId>,
    /// A name for logs that leave the application. Two events of one session, or of one unknown
    /// identifier, have the same; it does not reveal which session or identifier that is.
    pub correlator: Option<Correlator>,
    /// The cause: a client, an operator or the system.
    pub actor: Actor,
    /// What is known of the client, if a request caused the event.
    pub client: Option<Client>,
}

impl Event {
    /// The event that a [`Note`] describes.
    pub fn new(
        note: Note,
        at: Timestamp,
        session: Option<SessionHandle>,
        user: Option<UserId>,
    ) -> Self {
        Self {
            kind: note.kind,
            at,
            session,
            user,
            correlator: None,
            actor: note.actor,
            client: note.client,
        }
    }

    /// The same event with the correlator of its session under `key`.
    #[must_use]
    pub fn correlated(self, key: &CorrelationKey) -> Self {
        Self {
            correlator: self.session.map(|session| key.of_session(session)),
            ..self
        }
    }
}

/// Who or what caused an event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Actor {
    /// The client that sent the request. It may hold the session, or may be an attacker.
    Client,
    /// An operator or the application itself, outside of any session, with its name.
    Operator(String),
    /// No request: a deadline passed, or the library applied a rule.
    System,
}

impl Actor {
    /// A stable word: `client`, `operator` or `system`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Operator(_) => "operator",
            Self::System => "system",
        }
    }

    /// The operator's name, if the actor is an operator.
    pub fn operator(&self) -> Option<&str> {
        match self {
            Self::Operator(name) => Some(name),
            Self::Client | Self::System => None,
        }
    }
}

/// How serious an event is. The order is from the least to the most serious.
///
/// ```
/// # use portcullis_core::Severity;
/// assert!(Severity::Error > Severity::Warn);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Severity {
    /// Frequent and harmless, such as an unknown identifier in an old cookie.
    Debug,
    /// Normal use of sessions.
    Info,
    /// Worth an operator's attention if it is frequent.
    Warn,
    /// A security control does not work.
    Error,
}

/// What happened.
///
/// A new kind needs an answer from [`as_str`](Self::as_str), [`severity`](Self::severity),
/// [`is_logged_observation`](Self::is_logged_observation) and
/// [`affects_access`](Self::affects_access), and a place in the list of all kinds. The compiler
/// leads to each of them, and a test to the reader of the log. No other file decides by the kind
/// alone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A session without a user began.
    Created,
    /// A user authenticated.
    Authenticated,
    /// A session was elevated for this scope.
    Elevated(String),
    /// A user proved their identity for one operation of this demand.
    OperationApproved(String),
    /// An approval for an operation of this demand was used.
    ApprovalUsed(String),
    /// The operation of a used approval failed, so the approval may be used again.
    ApprovalRestored(String),
    /// The elevations of a session ended before their deadline.
    ElevationDropped,
    /// The elevations of a session expired.
    ElevationEnded,
    /// A session got a new identifier.
    Regenerated,
    /// The application shortened the timeouts of a session.
    Shortened,
    /// A session ended.
    Ended(EndReason),
    /// A user was suspended, for this reason.
    UserSuspended(Option<String>),
    /// A suspended user may sign in again.
    UserResumed,
    /// A sign-in was refused because its user is suspended.
    SuspendedSignIn,
    /// A sign-in was refused because its user has as many sessions as the limit allows.
    LimitReached,
    /// A session was used from what looks like another device.
    DeviceChanged(ClientChange),
    /// A request tried to change a session that had ended in the meantime. Nothing was changed.
    WriteRefused,
    /// A user tried to end a session of another user, or one that does not exist. Nothing was done.
    RevocationRefused,
    /// A request came with the identifier of a session that had ended.
    UsedAfterEnd(EndReason),
    /// A request came with an unknown identifier: it was never issued, or its session ended long
    /// ago.
    UnknownIdentifier,
    /// A request came with cookies of the session's name that hold no identifier.
    MalformedIdentifier,
    /// A request came with several different identifiers, of which none counts.
    AmbiguousIdentifier,
    /// The stored bytes are not a session record. They were treated as no session.
    RecordDamaged,
    /// A request was refused because the store could not be used.
    StoreFailed,
    /// An operator changed many sessions at once: what was done, and to how many.
    ManyChanged(String),
    /// An operator activated this version of the policy.
    PolicyActivated(String),
}

/// Why a sign-in was refused, as the detail of [`EventKind::SuspendedSignIn`].
const SUSPENDED: &str = "user_suspended";

impl EventKind {
    /// A stable name. It is that of the OWASP Logging Vocabulary where that has one.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Created => "session_created",
            Self::Authenticated => "authn_login_success",
            Self::Elevated(_) => "privilege_elevated",
            Self::OperationApproved(_) => "operation_approved",
            Self::ApprovalUsed(_) => "operation_approval_used",
            Self::ApprovalRestored(_) => "operation_approval_restored",
            Self::ElevationDropped => "privilege_dropped",
            Self::ElevationEnded => "privilege_expired",
            Self::Regenerated => "session_renewed",
            Self::Shortened => "session_shortened",
            Self::Ended(reason) if reason.is_timeout() => "session_expired",
            Self::Ended(_) => "session_ended",
            Self::UserSuspended(_) => "user_suspended",
            Self::UserResumed => "user_resumed",
            Self::SuspendedSignIn => "authn_login_fail",
            Self::LimitReached => "excess_sessions_exceeded",
            Self::DeviceChanged(_) => "session_device_changed",
            Self::WriteRefused => "session_write_refused",
            Self::RevocationRefused => "authz_fail",
            Self::UsedAfterEnd(_) => "session_use_after_expire",
            Self::UnknownIdentifier => "session_unknown_id",
            Self::MalformedIdentifier => "input_validation_discrete_fail",
            Self::AmbiguousIdentifier => "session_cookie_ambiguous",
            Self::RecordDamaged => "session_record_invalid",
            Self::StoreFailed => "security_control_failure",
            Self::ManyChanged(_) => "sessions_changed_by_operator",
            Self::PolicyActivated(_) => "session_policy_activated",
        }
    }

    /// How serious it is.
    ///
    /// A use after a timeout or a replacement is [`Info`](Severity::Info): users return late, and
    /// requests overlap.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::UnknownIdentifier | Self::MalformedIdentifier => Severity::Debug,
            Self::Created
            | Self::Authenticated
            | Self::Elevated(_)
            | Self::OperationApproved(_)
            | Self::ApprovalUsed(_)
            | Self::ApprovalRestored(_)
            | Self::ElevationDropped
            | Self::ElevationEnded
            | Self::Regenerated
            | Self::Shortened
            | Self::Ended(_) => Severity::Info,
            Self::UsedAfterEnd(reason) if reason.is_timeout() || reason.is_replacement() => {
                Severity::Info
            }
            Self::UsedAfterEnd(_)
            | Self::UserSuspended(_)
            | Self::UserResumed
            | Self::SuspendedSignIn
            | Self::LimitReached
            | Self::DeviceChanged(_)
            | Self::WriteRefused
            | Self::RevocationRefused
            | Self::AmbiguousIdentifier
            | Self::ManyChanged(_)
            | Self::PolicyActivated(_) => Severity::Warn,
            Self::RecordDamaged | Self::StoreFailed => Severity::Error,
        }
    }

    /// Whether the store's log keeps it although it changed nothing. Changes are logged by the step
    /// that makes them.
    pub const fn is_logged_observation(&self) -> bool {
        match self {
            Self::SuspendedSignIn
            | Self::LimitReached
            | Self::WriteRefused
            | Self::RevocationRefused
            | Self::UsedAfterEnd(_)
            | Self::AmbiguousIdentifier
            | Self::RecordDamaged
            // Each changed session has an event too.
            | Self::ManyChanged(_)
            | Self::PolicyActivated(_) => true,
            Self::Created
            | Self::Authenticated
            | Self::Elevated(_)
            | Self::OperationApproved(_)
            | Self::ApprovalUsed(_)
            | Self::ApprovalRestored(_)
            | Self::ElevationDropped
            | Self::ElevationEnded
            | Self::Regenerated
            | Self::Shortened
            | Self::Ended(_)
            | Self::UserSuspended(_)
            | Self::UserResumed
            // The step that compares the devices logs it.
            | Self::DeviceChanged(_)
            // Any client can cause these, without a session.
            | Self::UnknownIdentifier
            | Self::MalformedIdentifier
            // There is no store to log it to.
            | Self::StoreFailed => false,
        }
    }

    /// Whether live connections of the session must check it again. The session, its user or its
    /// elevations may have changed.
    pub const fn affects_access(&self) -> bool {
        match self {
            Self::Authenticated
            | Self::Elevated(_)
            | Self::OperationApproved(_)
            | Self::ElevationDropped
            | Self::ElevationEnded
            | Self::Regenerated
            | Self::Shortened
            | Self::Ended(_)
            | Self::DeviceChanged(_) => true,
            Self::Created
            | Self::ApprovalUsed(_)
            | Self::ApprovalRestored(_)
            // Each session that ends is an event of its own.
            | Self::UserSuspended(_)
            | Self::UserResumed
            | Self::SuspendedSignIn
            | Self::LimitReached
            | Self::WriteRefused
            | Self::RevocationRefused
            | Self::UsedAfterEnd(_)
            | Self::UnknownIdentifier
            | Self::MalformedIdentifier
            | Self::AmbiguousIdentifier
            | Self::RecordDamaged
            | Self::StoreFailed
            | Self::ManyChanged(_)
            | Self::PolicyActivated(_) => false,
        }
    }

    /// The [names](Self::as_str) of all kinds.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::EVERY.iter().map(Self::as_str)
    }

    /// The detail: why the session ended, what it was elevated for, the demand of an operation,
    /// what differs about the device, why the user was suspended, or why the sign-in was refused.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Ended(reason) | Self::UsedAfterEnd(reason) => Some(reason.as_str()),
            Self::Elevated(scope) => Some(scope),
            Self::ManyChanged(what) => Some(what),
            Self::PolicyActivated(version) => Some(version),
            Self::OperationApproved(demand)
            | Self::ApprovalUsed(demand)
            | Self::ApprovalRestored(demand) => Some(demand),
            Self::DeviceChanged(change) => Some(change.as_str()),
            Self::UserSuspended(reason) => reason.as_deref(),
            Self::SuspendedSignIn => Some(SUSPENDED),
            Self::Created
            | Self::Authenticated
            | Self::ElevationDropped
            | Self::ElevationEnded
            | Self::Regenerated
            | Self::Shortened
            | Self::UserResumed
            | Self::LimitReached
            | Self::WriteRefused
            | Self::RevocationRefused
            | Self::UnknownIdentifier
            | Self::MalformedIdentifier
            | Self::AmbiguousIdentifier
            | Self::RecordDamaged
            | Self::StoreFailed => None,
        }
    }

    fn from_words(name: &str, detail: Option<&str>) -> Option<Self> {
        let reason = || EndReason::from_word(detail?);
        Some(match name {
            "privilege_elevated" => Self::Elevated(detail?.to_owned()),
            "operation_approved" => Self::OperationApproved(detail?.to_owned()),
            "operation_approval_used" => Self::ApprovalUsed(detail?.to_owned()),
            "operation_approval_restored" => Self::ApprovalRestored(detail?.to_owned()),
            "sessions_changed_by_operator" => Self::ManyChanged(detail?.to_owned()),
            "session_policy_activated" => Self::PolicyActivated(detail?.to_owned()),
            "session_expired" | "session_ended" => Self::Ended(reason()?),
            "session_use_after_expire" => Self::UsedAfterEnd(reason()?),
            "session_device_changed" => Self::DeviceChanged(ClientChange::from_word(detail?)?),
            "user_suspended" => Self::UserSuspended(detail.map(str::to_owned)),
            "authn_login_fail" if detail == Some(SUSPENDED) => Self::SuspendedSignIn,
            name => Self::without_detail(name)?,
        })
    }

    fn without_detail(name: &str) -> Option<Self> {
        let named = |kind: &&Self| kind.detail().is_none() && kind.as_str() == name;
        Self::EVERY.iter().find(named).cloned()
    }
}

/// Makes the list of all kinds, each with an example of its detail. A kind with two names is in it
/// twice. A kind that is not in it does not compile.
macro_rules! list {
    ($($kind:ident $(($example:expr))?,)*) => {
        impl EventKind {
            const EVERY: &'static [Self] = &[$(Self::$kind $(($example))?),*];
        }

        #[allow(unreachable_patterns, reason = "a kind with two names")]
        const _: fn(&EventKind) = |kind| match kind {
            $(EventKind::$kind { .. } => {})*
        };
    };
}

list! {
    Created,
    Authenticated,
    ElevationDropped,
    ElevationEnded,
    Regenerated,
    Shortened,
    UserSuspended(None),
    UserResumed,
    SuspendedSignIn,
    LimitReached,
    WriteRefused,
    RevocationRefused,
    UnknownIdentifier,
    MalformedIdentifier,
    AmbiguousIdentifier,
    RecordDamaged,
    StoreFailed,
    Elevated(String::new()),
    OperationApproved(String::new()),
    ApprovalUsed(String::new()),
    ApprovalRestored(String::new()),
    Ended(EndReason::IdleTimeout),
    Ended(EndReason::SignedOut),
    DeviceChanged(ClientChange::Name),
    UsedAfterEnd(EndReason::SignedOut),
    ManyChanged(String::new()),
    PolicyActivated(String::new()),
}

/// An event as a store receives it, with the change that it describes. It has no time and no
/// session, since the store knows both.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Note {
    /// What happened.
    pub kind: EventKind,
    /// The cause: a client, an operator or the system.
    pub actor: Actor,
    /// What is known of the client, if a request caused the event.
    pub client: Option<Client>,
}

impl Note {
    /// A note of what an actor did.
    pub fn new(kind: EventKind, actor: Actor, client: Option<Client>) -> Self {
        Self {
            kind,
            actor,
            client,
        }
    }

    /// A note of what happened without a request.
    pub fn of_system(kind: EventKind) -> Self {
        Self::new(kind, Actor::System, None)
    }

    /// The form in which a log keeps it: opaque bytes.
    pub fn encode(&self) -> Bytes {
        let encoded = EncodedNote {
            name: self.kind.as_str().into(),
            detail: self.kind.detail().map(Into::into),
            actor: match &self.actor {
                Actor::Client => 'c',
                Actor::Operator(_) => 'o',
                Actor::System => 's',
            },
            operator: self.actor.operator().map(Into::into),
            client: self.client.clone(),
        };
        // Strings and small numbers can always be encoded. An empty note would read back as
        // damaged.
        rmp_serde::to_vec(&encoded).unwrap_or_default().into()
    }

    /// The note that [`encode`](Self::encode) wrote. `None` if it is damaged, or if a later version
    /// wrote what this one does not know.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let encoded: EncodedNote = rmp_serde::from_slice(bytes).ok()?;
        Some(Self {
            kind: EventKind::from_words(&encoded.name, encoded.detail.as_deref())?,
            actor: match encoded.actor {
                'c' => Actor::Client,
                'o' => Actor::Operator(encoded.operator.unwrap_or_default()),
                's' => Actor::System,
                _ => return None,
            },
            client: encoded.client,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct EncodedNote {
    name: String,
    detail: Option<String>,
    actor: char,
    operator: Option<String>,
    client: Option<Client>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_note_is_read_back_as_it_was_written() {
        let mut kinds = EventKind::EVERY.to_vec();
        kinds.push(EventKind::Elevated("payments".into()));
        kinds.push(EventKind::DeviceChanged(ClientChange::Network));
        kinds.push(EventKind::UserSuspended(Some("stolen laptop".into())));
        for reason in EndReason::ALL {
            kinds.extend([EventKind::Ended(reason), EventKind::UsedAfterEnd(reason)]);
        }
        let client = Client::of_user_agent(b"curl/8.5.0");
        for kind in kinds {
            for actor in [Actor::Client, Actor::Operator("ops".into()), Actor::System] {
                for client in [None, Some(client.clone())] {
                    let note = Note::new(kind.clone(), actor.clone(), client);
                    assert_eq!(Note::decode(&note.encode()), Some(note));
                }
            }
        }
    }

    #[test]
    fn every_kind_is_in_the_list_of_names() {
        let mut names: Vec<_> = EventKind::names().collect();
        for reason in EndReason::ALL {
            assert!(names.contains(&EventKind::Ended(reason).as_str()));
            assert!(names.contains(&EventKind::UsedAfterEnd(reason).as_str()));
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_note_of_a_later_version_is_not_misread() {
        let mut note = Note::of_system(EventKind::Created).encode().to_vec();
        let last = note.iter().rposition(|byte| *byte == b'd').unwrap();
        note[last] = b'D';
        assert_eq!(Note::decode(&note), None);
    }

    proptest! {
        #[test]
        fn s135_no_bytes_make_the_reader_of_notes_panic(bytes: Vec<u8>) {
            let _ = Note::decode(&bytes);
        }
    }
}
