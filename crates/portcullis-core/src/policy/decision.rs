//! Why a limit has its value.

use std::{fmt, time::Duration};

use super::length_text;

/// A limit of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(
    clippy::exhaustive_enums,
    reason = "whoever resolves a policy must handle each"
)]
pub enum LimitName {
    /// [`Timeouts::idle`](crate::Timeouts::idle).
    Idle,
    /// [`Timeouts::absolute`](crate::Timeouts::absolute).
    Absolute,
    /// [`Timeouts::privileged_idle`](crate::Timeouts::privileged_idle).
    PrivilegedIdle,
    /// [`Timeouts::elevation`](crate::Timeouts::elevation).
    Elevation,
    /// [`RememberMe::idle`](crate::RememberMe::idle).
    RememberIdle,
    /// [`RememberMe::absolute`](crate::RememberMe::absolute).
    RememberAbsolute,
    /// How many sessions of one class a user may have at once.
    Sessions,
}

impl LimitName {
    /// All limits.
    pub const ALL: [Self; 7] = [
        Self::Idle,
        Self::Absolute,
        Self::PrivilegedIdle,
        Self::Elevation,
        Self::RememberIdle,
        Self::RememberAbsolute,
        Self::Sessions,
    ];

    /// The name in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Absolute => "absolute",
            Self::PrivilegedIdle => "privileged_idle",
            Self::Elevation => "elevation",
            Self::RememberIdle => "remember.idle",
            Self::RememberAbsolute => "remember.absolute",
            Self::Sessions => "sessions",
        }
    }
}

/// The value of a limit. Its text is as in a document: `15m`, or `10`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a limit is one or the other")]
pub enum LimitValue {
    /// A length of time, in whole milliseconds.
    Length(Duration),
    /// A number of sessions.
    Count(u32),
}

impl LimitValue {
    /// The milliseconds, or the number. It compares two values of one limit.
    pub fn amount(self) -> u64 {
        match self {
            Self::Length(length) => crate::time::millis(length),
            Self::Count(count) => count.into(),
        }
    }
}

impl From<Duration> for LimitValue {
    fn from(length: Duration) -> Self {
        Self::Length(length)
    }
}

impl From<u32> for LimitValue {
    fn from(count: u32) -> Self {
        Self::Count(count)
    }
}

impl fmt::Display for LimitValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(length) => f.write_str(&length_text(*length)),
            Self::Count(count) => count.fmt(f),
        }
    }
}

/// Why a limit has its value: the rule that decided, those that it overrode, and the caps above it.
///
/// A rule is named by its path in the document, such as `class.admin.idle`, or by what sets it in
/// code, such as `SessionLayer::timeouts`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_structs,
    reason = "whoever resolves a policy builds it whole"
)]
pub struct Decision {
    /// The limit.
    pub limit: LimitName,
    /// Its value.
    pub value: LimitValue,
    /// The rule that decided.
    pub rule: String,
    /// The less specific rules that also set it, the most specific first.
    pub over: Vec<(String, LimitValue)>,
    /// The caps that it stays below.
    pub caps: Vec<(String, LimitValue)>,
}

impl Decision {
    /// The rules that it overrode and the caps above it, a line for each: `over limits.idle 30m`,
    /// and `under library 24h`. A line without a rule is left out.
    pub fn chains(&self) -> impl Iterator<Item = String> {
        let chains = [("over", &self.over), ("under", &self.caps)];
        let chains = chains.into_iter().filter(|(_, rules)| !rules.is_empty());
        chains.map(|(word, rules)| {
            let rules = rules.iter().map(|(rule, value)| format!("{rule} {value}"));
            format!("{word} {}", rules.collect::<Vec<_>>().join(", "))
        })
    }
}
