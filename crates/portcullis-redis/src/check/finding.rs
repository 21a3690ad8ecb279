//! The findings of a check.

use super::facts::{Facts, Withheld};

/// One finding of [`RedisStoreBuilder::check`](crate::RedisStoreBuilder::check).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What was checked.
    pub about: Subject,
    /// Whether sessions are safe with it.
    pub verdict: Verdict,
    /// What was found, in one line, with the figures.
    pub message: String,
    /// What to do, with the exact setting or command. `None` if the verdict is [`Verdict::Fine`].
    pub remedy: Option<String>,
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Subject {
    /// Which server it is, and of which version.
    Version,
    /// A single server, or a node of a cluster.
    Mode,
    /// Primary or replica.
    Role,
    /// Which keys it evicts when its memory is full.
    Eviction,
    /// How full its memory is.
    Memory,
    /// What survives a restart or a crash.
    Persistence,
    /// What survives a failover.
    Replication,
    /// Its clock, which decides when sessions end.
    Clock,
    /// Whether the user has the rights that a store needs.
    Rights,
    /// Whether users have more rights than that.
    User,
    /// How fast it answers.
    Latency,
    /// Whether the connection is encrypted.
    Transport,
    /// Which realms layers have registered under the key prefix.
    Realms,
}

impl Subject {
    /// A stable word for logs and programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Mode => "mode",
            Self::Role => "role",
            Self::Eviction => "eviction",
            Self::Memory => "memory",
            Self::Persistence => "persistence",
            Self::Replication => "replication",
            Self::Clock => "clock",
            Self::Rights => "rights",
            Self::User => "user",
            Self::Latency => "latency",
            Self::Transport => "transport",
            Self::Realms => "realms",
        }
    }
}

/// What a finding means for sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// As it should be.
    Fine,
    /// Sessions work, but some of their data can be lost or be seen by others.
    Warning,
    /// Sessions do not work, or ends of sessions do not hold.
    Broken,
    /// It cannot be checked. If a right is missing, the remedy names it. Some of these rights
    /// (`+config|get`, `+acl|getuser`) show passwords or their hashes, so grant them only for the
    /// check.
    Unknown,
}

impl Verdict {
    /// A stable word for logs and programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Warning => "warning",
            Self::Broken => "broken",
            Self::Unknown => "unknown",
        }
    }
}

/// A finding without its subject, which the caller of the judge adds.
pub(super) struct Ruling {
    verdict: Verdict,
    message: String,
    remedy: Option<String>,
}

impl Ruling {
    fn new(verdict: Verdict, message: impl Into<String>, remedy: Option<String>) -> Self {
        Self {
            verdict,
            message: message.into(),
            remedy,
        }
    }

    pub(super) fn fine(message: impl Into<String>) -> Self {
        Self::new(Verdict::Fine, message, None)
    }

    pub(super) fn warning(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Verdict::Warning, message, Some(remedy.into()))
    }

    pub(super) fn broken(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Verdict::Broken, message, Some(remedy.into()))
    }

    pub(super) fn unknown(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Verdict::Unknown, message, Some(remedy.into()))
    }

    /// A finding for which the server did not give the facts. `message` says what is not known.
    pub(super) fn withheld(message: &str, withheld: Withheld, facts: &Facts) -> Self {
        let user = &facts.user;
        match withheld {
            Withheld::Forbidden(right) => Self::unknown(
                format!("{message}: the user {user} has no right to read it"),
                format!("grant the right for the time of the check: ACL SETUSER {user} {right}"),
            ),
            Withheld::Missing => Self::unknown(
                format!("{message}: the server does not report it"),
                "find it in the administration console of the server",
            ),
        }
    }

    pub(super) fn about(self, about: Subject) -> Finding {
        Finding {
            about,
            verdict: self.verdict,
            message: self.message,
            remedy: self.remedy,
        }
    }
}
