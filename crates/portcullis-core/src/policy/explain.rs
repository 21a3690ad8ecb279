//! Why a session ends when it does.

use std::{fmt, sync::Arc, time::Duration};

use super::{Decision, LimitName, length_text};
use crate::{ClassCode, Timestamp};

/// Why a session ends when it does: for each of its deadlines, the limit, and the rule that set it.
///
/// `Display` writes a line for each limit, and the rules and caps beneath.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The digest of the policy's document. `None` for what code sets.
    pub policy: Option<Arc<str>>,
    /// The class of the session.
    pub class: ClassCode,
    /// The name of the class, if it is known.
    pub class_name: Option<&'static str>,
    /// The deadlines: idle, absolute, and that of privileged routes.
    pub limits: Vec<ExplainedLimit>,
}

/// A deadline of a session, and what set it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExplainedLimit {
    /// The limit.
    pub limit: LimitName,
    /// How long it is.
    pub length: Duration,
    /// From when it counts: the last activity, the authentication, or the last privileged activity.
    pub since: Timestamp,
    /// When it ends, or when the session ends if that is earlier.
    pub ends_at: Timestamp,
    /// Why it is that long.
    pub why: Why,
}

/// Why a limit of a session is as long as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// The policy in force says so.
    Decided(Decision),
    /// The session was used from another device, and `[flagged]` of the policy shortens it.
    Flagged,
    /// The application shortened the timeouts of this session.
    Shortened,
    /// The session has no user. Such sessions have limits of their own.
    Visitor,
    /// The session got it when it began, or at its last activity, under other rules.
    Earlier,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.policy {
            Some(digest) => write!(f, "policy {digest}, ")?,
            None => f.write_str("limits set by code, ")?,
        }
        match self.class_name {
            _ if self.class == ClassCode::NONE => writeln!(f, "no class")?,
            Some(name) => writeln!(f, "class {name}")?,
            None => writeln!(f, "class with the character {}", self.class)?,
        }
        self.limits.iter().try_for_each(|limit| limit.fmt(f))
    }
}

impl fmt::Display for ExplainedLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, length) = (self.limit.as_str(), length_text(self.length));
        let (since, ends_at) = (self.since, self.ends_at);
        write!(f, "{name:<16} {length:<6} ")?;
        match &self.why {
            Why::Decided(decision) => f.write_str(&decision.rule)?,
            Why::Flagged => f.write_str("flagged.idle")?,
            Why::Shortened => f.write_str("shortened by the application")?,
            Why::Visitor => f.write_str("limits of sessions without a user")?,
            Why::Earlier => f.write_str("an earlier policy")?,
        }
        writeln!(
            f,
            "\n{:<16} ends at {ends_at}{}, counted from {since}",
            "",
            match ends_at < since.after(self.length) {
                true => " with the session",
                false => "",
            }
        )?;
        let Why::Decided(decision) = &self.why else {
            return Ok(());
        };
        for chain in decision.chains() {
            writeln!(f, "{:<16} {chain}", "")?;
        }
        Ok(())
    }
}
