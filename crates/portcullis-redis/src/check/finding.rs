//! What a look at a server found.

use super::{Facts, Withheld};

/// One thing that [`RedisStoreBuilder::check`](crate::RedisStoreBuilder::check) looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What was looked at.
    pub about: Subject,
    /// Whether sessions are safe with it.
    pub verdict: Verdict,
    /// What was found, in one line, with the figures.
    pub message: String,
    /// What to do, with the exact setting or command. Nothing where all is well.
    pub remedy: Option<String>,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Subject {
    /// Which server it is, and of which version.
    Version,
    /// A single server, or a node of a cluster.
    Mode,
    /// Primary or replica.
    Role,
    /// What it throws away when its memory is full.
    Eviction,
    /// How full its memory is.
    Memory,
    /// What a restart or a crash leaves.
    Persistence,
    /// What a failover leaves.
    Replication,
    /// Its clock, which decides when sessions end.
    Clock,
    /// Whether the user may do what a store needs.
    Rights,
    /// Whether users may do more than that.
    User,
    /// How fast it answers.
    Latency,
    /// Whether others can listen in.
    Transport,
    /// Which realms layers have registered under the key prefix.
    Realms,
}

impl Subject {
    /// A stable word for people and programs.
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
    /// Sessions work, but something about them can be lost or be seen by others.
    Warning,
    /// Sessions do not work, or ends of sessions do not hold.
    Broken,
    /// It could not be looked at. Where a right is missing, it is named; some of these rights
    /// (`+config|get`, `+acl|getuser`) show passwords or their hashes, so they are for the check alone.
    Unknown,
}

impl Verdict {
    /// A stable word for people and programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Warning => "warning",
            Self::Broken => "broken",
            Self::Unknown => "unknown",
        }
    }
}

/// A finding, as its judge leaves it: what it is about is known to whoever called the judge.
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

    /// The server did not tell what would be needed to know more than what this `message`.
    pub(super) fn withheld(message: &str, withheld: Withheld, facts: &Facts) -> Self {
        let user = &facts.user;
        match withheld {
            Withheld::Forbidden(right) => Self::unknown(
                format!("{message}: the user {user} has no right to ask"),
                format!("let it ask, for as long as you check: ACL SETUSER {user} {right}"),
            ),
            Withheld::Missing => Self::unknown(
                format!("{message}: the server does not answer that"),
                "look it up where the server is administered",
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
