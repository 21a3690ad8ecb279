//! A table of limits, as it is written under `limits`, a class, an environment or a cap.

use std::collections::BTreeMap;

use portcullis_core::policy::{LimitName, LimitValue};

/// The fields of a table of limits.
pub(crate) const FIELDS: [&str; 6] = [
    "idle",
    "absolute",
    "privileged_idle",
    "elevation",
    "sessions",
    "remember",
];

/// The fields of `remember`.
pub(crate) const REMEMBER_FIELDS: [&str; 2] = ["idle", "absolute"];

/// The word that forbids remembered sign-ins, and ends elevations of flagged sessions.
pub(crate) const NONE: &str = "none";

/// Both limits of remembered sign-ins.
pub(crate) const REMEMBER: [LimitName; 2] = [LimitName::RememberIdle, LimitName::RememberAbsolute];

/// What a rule says of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    /// This value.
    Value(LimitValue),
    /// `remember = "none"`: no sign-in is remembered.
    NotRemembered,
}

impl Setting {
    pub(crate) fn value(self) -> Option<LimitValue> {
        match self {
            Self::Value(value) => Some(value),
            Self::NotRemembered => None,
        }
    }
}

/// The limits that a table sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LimitTable {
    set: BTreeMap<LimitName, Setting>,
}

impl LimitTable {
    pub(crate) fn set(&mut self, limit: LimitName, setting: Setting) {
        self.set.insert(limit, setting);
    }

    pub(crate) fn get(&self, limit: LimitName) -> Option<Setting> {
        self.set.get(&limit).copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (LimitName, Setting)> {
        self.set.iter().map(|(limit, setting)| (*limit, *setting))
    }
}
