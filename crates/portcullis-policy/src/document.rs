//! A document, as it is written.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_core::policy::{DemandLimits, FlaggedLimits};

use crate::{profile::Profile, table::LimitTable};

/// The longest text of a document, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 32 * 1024;

/// The most classes of a document, and the most environments.
pub const MAX_CLASSES: usize = 16;

/// The most demands of a document.
pub const MAX_DEMANDS: usize = 64;

/// A policy document: its text is well formed, and each value alone is possible.
///
/// Whether the values fit together is a matter of [`resolve`](Self::resolve).
///
/// ```
/// # use portcullis_policy::Document;
/// let document = Document::parse("schema = 1\n[limits]\nidle = '20m'\n").unwrap();
/// assert_eq!(document.profile().name(), "standard");
///
/// let invalid = Document::parse("schema = 1\n[limits]\nidle = 'never'\n").unwrap_err();
/// let problem = invalid.problems()[0].to_string();
/// assert!(problem.starts_with("line 3, column 1: limits.idle: "));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub(crate) profile: Profile,
    pub(crate) limits: LimitTable,
    pub(crate) classes: BTreeMap<String, LimitTable>,
    pub(crate) environments: BTreeMap<String, Environment>,
    pub(crate) cap: LimitTable,
    pub(crate) flagged: FlaggedLimits,
    pub(crate) demands: BTreeMap<String, DemandLimits>,
    pub(crate) justifications: BTreeMap<String, String>,
}

/// What differs in one environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    pub(crate) limits: LimitTable,
    pub(crate) classes: BTreeMap<String, LimitTable>,
    pub(crate) cap: LimitTable,
}

impl Document {
    /// The profile.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// The names of the classes.
    pub fn classes(&self) -> impl Iterator<Item = &str> {
        self.classes.keys().map(String::as_str)
    }

    /// The names of the environments.
    pub fn environments(&self) -> impl Iterator<Item = &str> {
        self.environments.keys().map(String::as_str)
    }

    /// The names of the demands.
    pub fn demands(&self) -> impl Iterator<Item = &str> {
        self.demands.keys().map(String::as_str)
    }

    /// Why the value at this path, such as `limits.absolute`, is above what its profile recommends.
    pub fn justification(&self, path: &str) -> Option<&str> {
        self.justifications.get(path).map(String::as_str)
    }

    /// Each table of limits that sets values, with its path.
    pub(crate) fn tables(&self) -> Vec<(String, &LimitTable)> {
        let mut tables = vec![("limits".to_owned(), &self.limits)];
        for (class, limits) in &self.classes {
            tables.push((format!("class.{class}"), limits));
        }
        for (name, environment) in &self.environments {
            tables.push((format!("environment.{name}"), &environment.limits));
            for (class, limits) in &environment.classes {
                tables.push((format!("environment.{name}.class.{class}"), limits));
            }
        }
        tables
    }

    /// The path of each value that the document sets.
    pub(crate) fn set_paths(&self) -> BTreeSet<String> {
        let paths = |(table, limits): (String, &LimitTable)| {
            let limits = limits
                .iter()
                .filter(|(_, setting)| setting.value().is_some());
            let path =
                |limit: portcullis_core::policy::LimitName| format!("{table}.{}", limit.as_str());
            limits.map(|(limit, _)| path(limit)).collect::<Vec<_>>()
        };
        self.tables().into_iter().flat_map(paths).collect()
    }
}
