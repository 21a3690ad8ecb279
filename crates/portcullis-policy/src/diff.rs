//! What changes between two resolved documents.

use std::{collections::BTreeSet, time::Duration};

use portcullis_core::policy::{
    ClassLimits, DemandLimits, FlaggedElevation, LimitName, LimitValue, length_text,
};
use serde::Serialize;

use crate::{read::DEMAND_FIELDS, resolve::Resolved, table::NONE};

/// One limit in two documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// The environment. `None` if no environment is named, and for what holds in all.
    pub environment: Option<String>,
    /// The class. `None` for sessions without a class, and for what holds for all.
    pub class: Option<String>,
    /// The limit, such as `idle`, `cap.idle`, `flagged.idle` or `demand.deploy.max_auth_age`.
    pub limit: String,
    /// Its value in the old document. `None` if there is none.
    pub old: Option<String>,
    /// Its value in the new document. `None` if there is none.
    pub new: Option<String>,
    /// What that means for sessions.
    pub direction: Direction,
}

/// Whether a limit permits less or more than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(clippy::exhaustive_enums, reason = "the caller must handle each")]
pub enum Direction {
    /// It permits less.
    Tightens,
    /// It permits as much.
    Stays,
    /// It permits more, or something else.
    Loosens,
}

impl Direction {
    /// A lower value tightens. Without a value, `unlimited` tells whether all or nothing is
    /// permitted.
    fn of(old: Option<u64>, new: Option<u64>, unlimited: bool) -> Self {
        let permitted = |amount: Option<u64>| match amount {
            Some(amount) => u128::from(amount) + 1,
            None if unlimited => u128::MAX,
            None => 0,
        };
        match permitted(new).cmp(&permitted(old)) {
            std::cmp::Ordering::Less => Self::Tightens,
            std::cmp::Ordering::Equal => Self::Stays,
            std::cmp::Ordering::Greater => Self::Loosens,
        }
    }
}

impl Resolved {
    /// Compares each limit with that of a newer document.
    ///
    /// A class that only one of them names is compared with the sessions without a class, whose
    /// limits it had or will have. The same holds for environments.
    ///
    /// ```
    /// # use portcullis_policy::{Direction, Document, PolicyBounds};
    /// let resolve = |text| Document::parse(text).unwrap().resolve_all(&PolicyBounds::new());
    /// let old = resolve("schema = 1\n").unwrap();
    /// let new = resolve("schema = 1\n[limits]\nidle = '20m'\n").unwrap();
    /// let changes = old.changes_to(&new);
    /// assert_eq!(changes[0].direction, Direction::Tightens);
    /// assert_eq!(changes[0].old.as_deref(), Some("30m"));
    /// ```
    pub fn changes_to(&self, new: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (environment, class) in cases(self, new) {
            let limits = |of: &Self| of.limits(environment, class).cloned().unwrap_or_default();
            let (old, new) = (limits(self), limits(new));
            changes.extend(LimitName::ALL.into_iter().filter_map(|limit| {
                let value = |limits: &ClassLimits| Some(limits.decision(limit)?.value);
                let (old, new) = (value(&old), value(&new));
                if old.is_none() && new.is_none() {
                    return None;
                }
                let amount = |value: Option<LimitValue>| value.map(LimitValue::amount);
                Some(Change {
                    environment: environment.map(str::to_owned),
                    class: class.map(str::to_owned),
                    limit: limit.as_str().to_owned(),
                    old: old.map(|value| value.to_string()),
                    new: new.map(|value| value.to_string()),
                    direction: Direction::of(amount(old), amount(new), false),
                })
            }));
        }
        changes.extend(self.cap_changes(new));
        changes.extend(self.flagged_changes(new));
        changes.extend(self.demand_changes(new));
        changes
    }

    /// A cap changes no session, but it decides which documents are accepted from then on.
    fn cap_changes(&self, new: &Self) -> Vec<Change> {
        let names: BTreeSet<_> = self.caps.keys().chain(new.caps.keys()).collect();
        let change = |name: &(Option<String>, LimitName)| {
            let (environment, limit) = name;
            let cap = |of: &Self| of.caps.get(name).copied();
            // No remembered sign-in is less than the shortest.
            let amount = |cap: Option<Option<LimitValue>>| {
                cap.map(|value| value.map_or(0, LimitValue::amount))
            };
            let text = |cap: Option<Option<LimitValue>>| {
                cap.map(|value| value.map_or_else(|| NONE.to_owned(), |value| value.to_string()))
            };
            let (old, new) = (cap(self), cap(new));
            Change {
                environment: environment.clone(),
                class: None,
                limit: format!("cap.{}", limit.as_str()),
                old: text(old),
                new: text(new),
                direction: Direction::of(amount(old), amount(new), true),
            }
        };
        names.into_iter().map(change).collect()
    }

    fn flagged_changes(&self, new: &Self) -> Vec<Change> {
        let length = |of: &Self| of.flagged.idle;
        // "none" is the strictest of elevations, and no word is the laxest.
        let elevation = |of: &Self| match of.flagged.elevation {
            FlaggedElevation::Unchanged => None,
            FlaggedElevation::Ended => Some(0),
        };
        let (old_elevation, new_elevation) = (elevation(self), elevation(new));
        let word = |amount: Option<u64>| amount.map(|_| NONE.to_owned());
        [
            length_change("flagged.idle", length(self), length(new)),
            everywhere(
                "flagged.elevation",
                word(old_elevation),
                word(new_elevation),
                Direction::of(old_elevation, new_elevation, true),
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn demand_changes(&self, new: &Self) -> Vec<Change> {
        let names: BTreeSet<_> = self.demands.keys().chain(new.demands.keys()).collect();
        let mut changes = Vec::new();
        for name in names {
            let demand = |of: &Self| of.demands.get(name).cloned().unwrap_or_default();
            let (old, new) = (demand(self), demand(new));
            let [idle, age, scope] = DEMAND_FIELDS.map(|field| format!("demand.{name}.{field}"));
            changes.extend(length_change(&idle, old.idle, new.idle));
            changes.extend(length_change(&age, old.max_auth_age, new.max_auth_age));
            let text = |demand: &DemandLimits| demand.scope.as_deref().map(str::to_owned);
            let (old, new) = (text(&old), text(&new));
            let direction = match (&old, &new) {
                (old, new) if old == new => Direction::Stays,
                (None, _) => Direction::Tightens,
                // Another scope permits what the first did not.
                (Some(_), _) => Direction::Loosens,
            };
            changes.extend(everywhere(&scope, old, new, direction));
        }
        changes
    }
}

/// Each environment and class of either document. Without an environment only if a process of
/// either may name none.
fn cases<'r>(old: &'r Resolved, new: &'r Resolved) -> BTreeSet<(Option<&'r str>, Option<&'r str>)> {
    let rows = || old.rows.iter().chain(&new.rows);
    let environments: BTreeSet<_> = rows().map(|row| row.environment.as_deref()).collect();
    let classes: BTreeSet<_> = rows().map(|row| row.class.as_deref()).collect();
    let has_none = |of: &Resolved| of.rows.iter().all(|row| row.environment.is_none());
    let keeps_none = has_none(old) || has_none(new);
    let environments = environments.into_iter();
    let kept = environments.filter(|environment| environment.is_some() || keeps_none);
    kept.flat_map(|environment| classes.iter().map(move |class| (environment, *class)))
        .collect()
}

fn length_change(limit: &str, old: Option<Duration>, new: Option<Duration>) -> Option<Change> {
    let amount = |length: Option<Duration>| length.map(portcullis_core::millis);
    let direction = Direction::of(amount(old), amount(new), true);
    everywhere(limit, old.map(length_text), new.map(length_text), direction)
}

/// A change that holds in every environment and class.
fn everywhere(
    limit: &str,
    old: Option<String>,
    new: Option<String>,
    direction: Direction,
) -> Option<Change> {
    (old.is_some() || new.is_some()).then(|| Change {
        environment: None,
        class: None,
        limit: limit.to_owned(),
        old,
        new,
        direction,
    })
}
