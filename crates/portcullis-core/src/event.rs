//! What happens to sessions, for those who watch.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    Client, ClientChange, CorrelationKey, Correlator, EndReason, SessionHandle, Timestamp, UserId,
};

/// One thing that happened to a session, or that was refused. Holds no identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// When, on the store's clock.
    pub at: Timestamp,
    /// The session's public name, if there is a session.
    pub session: Option<SessionHandle>,
    /// Its user, if it has one.
    pub user: Option<UserId>,
    /// What tells that two events are of one session, or of one unknown identifier, without telling which: for
    /// logs that leave the house.
    pub correlator: Option<Correlator>,
    /// On whose behalf.
    pub actor: Actor,
    /// What is known of the client that sent the request, if it was a request.
    pub client: Option<Client>,
}

impl Event {
    /// What a [`Note`] says of a session.
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

    /// The same with the correlator of its session under `key`.
    #[must_use]
    pub fn correlated(self, key: &CorrelationKey) -> Self {
        Self {
            correlator: self.session.map(|session| key.of_session(session)),
            ..self
        }
    }
}

/// On whose behalf something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Actor {
    /// Whoever sent the request: the holder of the session, or somebody who would like to be.
    Client,
    /// An operator, or the application itself, from outside of any session; by this name.
    Operator(String),
    /// Nobody's: time passed, or a rule struck.
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

    /// The operator's name.
    pub fn operator(&self) -> Option<&str> {
        match self {
            Self::Operator(name) => Some(name),
            Self::Client | Self::System => None,
        }
    }
}

/// How much attention an event deserves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Severity {
    /// Common and harmless: an unknown identifier is an old cookie as a rule.
    Debug,
    /// What sessions are for.
    Info,
    /// A person should look at it if it comes often.
    Warn,
    /// A control does not work.
    Error,
}

/// What happened.
///
/// Whoever adds a kind is led by the compiler through [`as_str`](Self::as_str), [`severity`](Self::severity),
/// [`is_logged_observation`](Self::is_logged_observation), [`affects_access`](Self::affects_access) and the list of all
/// kinds. Nothing outside of this file decides by the kind alone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A session without a user began.
    Created,
    /// A user authenticated.
    Authenticated,
    /// A session was elevated for this scope.
    Elevated(String),
    /// The elevations of a session ended before their time.
    ElevationDropped,
    /// The elevations of a session ran out.
    ElevationEnded,
    /// A session got a new identifier.
    Regenerated,
    /// A session ended.
    Ended(EndReason),
    /// A sign-in was refused because its user has as many sessions as the limit allows.
    LimitReached,
    /// A session was used from what looks like another device.
    DeviceChanged(ClientChange),
    /// A request wanted to change a session that had ended meanwhile; nothing was changed.
    WriteRefused,
    /// Somebody wanted to end a session that is not theirs, or is none; nothing was done.
    RevocationRefused,
    /// A request came with the identifier of a session that had ended.
    UsedAfterEnd(EndReason),
    /// A request came with an identifier that is not known: never issued, or ended long ago.
    UnknownIdentifier,
    /// A request came with cookies of the session's name that are no identifiers.
    MalformedIdentifier,
    /// A request came with several different identifiers, of which none counts.
    AmbiguousIdentifier,
    /// What is stored is not a session record. It was treated as no session.
    RecordDamaged,
    /// The store could not be used, so that a request was refused.
    StoreFailed,
}

impl EventKind {
    /// A stable name. From the OWASP Logging Vocabulary where that has a word for it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Created => "session_created",
            Self::Authenticated => "authn_login_success",
            Self::Elevated(_) => "privilege_elevated",
            Self::ElevationDropped => "privilege_dropped",
            Self::ElevationEnded => "privilege_expired",
            Self::Regenerated => "session_renewed",
            Self::Ended(reason) if reason.is_timeout() => "session_expired",
            Self::Ended(_) => "session_ended",
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
        }
    }

    /// How much attention it deserves. A use after a timeout or a replacement is information: people come back late, and
    /// requests overlap.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::UnknownIdentifier | Self::MalformedIdentifier => Severity::Debug,
            Self::Created
            | Self::Authenticated
            | Self::Elevated(_)
            | Self::ElevationDropped
            | Self::ElevationEnded
            | Self::Regenerated
            | Self::Ended(_) => Severity::Info,
            Self::UsedAfterEnd(reason) if reason.is_timeout() || reason.is_replacement() => {
                Severity::Info
            }
            Self::UsedAfterEnd(_)
            | Self::LimitReached
            | Self::DeviceChanged(_)
            | Self::WriteRefused
            | Self::RevocationRefused
            | Self::AmbiguousIdentifier => Severity::Warn,
            Self::RecordDamaged | Self::StoreFailed => Severity::Error,
        }
    }

    /// Whether it changed nothing and is written to the store's log all the same. Changes are logged in the step that
    /// makes them.
    pub const fn is_logged_observation(&self) -> bool {
        match self {
            Self::LimitReached
            | Self::WriteRefused
            | Self::RevocationRefused
            | Self::UsedAfterEnd(_)
            | Self::AmbiguousIdentifier
            | Self::RecordDamaged => true,
            Self::Created
            | Self::Authenticated
            | Self::Elevated(_)
            | Self::ElevationDropped
            | Self::ElevationEnded
            | Self::Regenerated
            | Self::Ended(_)
            // The comparison itself writes it.
            | Self::DeviceChanged(_)
            // Anybody can cause these, without a session.
            | Self::UnknownIdentifier
            | Self::MalformedIdentifier
            // There is nothing to write it to.
            | Self::StoreFailed => false,
        }
    }

    /// Whether a live connection of the session has to be looked at: the session, its user or its elevation may be
    /// another one from then on.
    pub const fn affects_access(&self) -> bool {
        match self {
            Self::Authenticated
            | Self::Elevated(_)
            | Self::ElevationDropped
            | Self::ElevationEnded
            | Self::Regenerated
            | Self::Ended(_)
            | Self::DeviceChanged(_) => true,
            Self::Created
            | Self::LimitReached
            | Self::WriteRefused
            | Self::RevocationRefused
            | Self::UsedAfterEnd(_)
            | Self::UnknownIdentifier
            | Self::MalformedIdentifier
            | Self::AmbiguousIdentifier
            | Self::RecordDamaged
            | Self::StoreFailed => false,
        }
    }

    /// The [names](Self::as_str) of all kinds.
    pub fn names() -> impl Iterator<Item = &'static str> {
        let with_detail = [
            Self::Elevated(String::new()),
            Self::Ended(EndReason::IdleTimeout),
            Self::Ended(EndReason::SignedOut),
            Self::DeviceChanged(ClientChange::Name),
            Self::UsedAfterEnd(EndReason::SignedOut),
        ];
        let kinds = Self::PLAIN.into_iter().chain(with_detail);
        kinds.map(|kind| kind.as_str())
    }

    /// The word that says more: why it ended, what it was elevated for, what of the device changed.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Ended(reason) | Self::UsedAfterEnd(reason) => Some(reason.as_str()),
            Self::Elevated(scope) => Some(scope),
            Self::DeviceChanged(change) => Some(change.as_str()),
            Self::Created
            | Self::Authenticated
            | Self::ElevationDropped
            | Self::ElevationEnded
            | Self::Regenerated
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
            "session_expired" | "session_ended" => Self::Ended(reason()?),
            "session_use_after_expire" => Self::UsedAfterEnd(reason()?),
            "session_device_changed" => Self::DeviceChanged(ClientChange::from_word(detail?)?),
            name => Self::PLAIN.into_iter().find(|kind| kind.as_str() == name)?,
        })
    }

    /// Those without a detail.
    const PLAIN: [Self; 13] = [
        Self::Created,
        Self::Authenticated,
        Self::ElevationDropped,
        Self::ElevationEnded,
        Self::Regenerated,
        Self::LimitReached,
        Self::WriteRefused,
        Self::RevocationRefused,
        Self::UnknownIdentifier,
        Self::MalformedIdentifier,
        Self::AmbiguousIdentifier,
        Self::RecordDamaged,
        Self::StoreFailed,
    ];
}

/// An event as it is handed to a store together with the change it tells of: without the moment and the
/// session, which the store knows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Note {
    /// What.
    pub kind: EventKind,
    /// On whose behalf.
    pub actor: Actor,
    /// What is known of the client that sent the request, if it was a request.
    pub client: Option<Client>,
}

impl Note {
    /// What somebody did.
    pub fn new(kind: EventKind, actor: Actor, client: Option<Client>) -> Self {
        Self {
            kind,
            actor,
            client,
        }
    }

    /// What came by itself.
    pub fn of_system(kind: EventKind) -> Self {
        Self::new(kind, Actor::System, None)
    }

    /// How a log keeps it: opaque bytes.
    pub fn encode(&self) -> Bytes {
        let written = Written {
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
        // Strings and small numbers can always be written; an empty note reads back as damaged.
        rmp_serde::to_vec(&written).unwrap_or_default().into()
    }

    /// The note that [`encode`](Self::encode) wrote. `None` where a later version wrote of something this one
    /// does not know, or where it is damaged.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let written: Written = rmp_serde::from_slice(bytes).ok()?;
        Some(Self {
            kind: EventKind::from_words(&written.name, written.detail.as_deref())?,
            actor: match written.actor {
                'c' => Actor::Client,
                'o' => Actor::Operator(written.operator.unwrap_or_default()),
                's' => Actor::System,
                _ => return None,
            },
            client: written.client,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Written {
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
        let mut kinds: Vec<_> = EventKind::PLAIN.into();
        kinds.push(EventKind::Elevated("payments".into()));
        kinds.push(EventKind::DeviceChanged(ClientChange::Network));
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

    /// Adding a kind breaks this match; the number is that of its names.
    #[test]
    fn every_kind_is_in_the_list_of_names() {
        let names_of = |kind: &EventKind| match kind {
            EventKind::Ended(_) => 2,
            EventKind::Created
            | EventKind::Authenticated
            | EventKind::Elevated(_)
            | EventKind::ElevationDropped
            | EventKind::ElevationEnded
            | EventKind::Regenerated
            | EventKind::LimitReached
            | EventKind::DeviceChanged(_)
            | EventKind::WriteRefused
            | EventKind::RevocationRefused
            | EventKind::UsedAfterEnd(_)
            | EventKind::UnknownIdentifier
            | EventKind::MalformedIdentifier
            | EventKind::AmbiguousIdentifier
            | EventKind::RecordDamaged
            | EventKind::StoreFailed => 1,
        };
        assert_eq!(names_of(&EventKind::Created), 1);
        let mut names: Vec<_> = EventKind::names().collect();
        assert_eq!(names.len(), 18);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 18);
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
