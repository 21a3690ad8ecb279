//! From a document to one value for each limit, in every class and environment.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use portcullis_core::{
    Policy, RememberMe, Timeouts,
    policy::{ClassLimits, Decision, DemandLimits, FlaggedLimits, LimitName, LimitValue},
    store::{OnLimit, SessionLimit},
};

use crate::{
    bounds::PolicyBounds,
    chain::{self, Case},
    declared::Declared,
    document::Document,
    problem::{Problem, quoted},
    profile::Profile,
    table::{NONE, Setting},
};

/// The limits of every class in every environment of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resolved {
    /// The [digest](Document::digest) of the document.
    pub digest: String,
    /// The profile.
    pub profile: Profile,
    /// One row for each environment and class. The rows without an environment are first, and in
    /// each environment the row without a class.
    pub rows: Vec<Row>,
    /// The caps of the document itself: the environment, if it is for one, and the limit, with the
    /// highest value. `None` if sign-ins may not be remembered.
    pub caps: BTreeMap<(Option<String>, LimitName), Option<LimitValue>>,
    /// The limits of flagged sessions.
    pub flagged: FlaggedLimits,
    /// What each demand asks for.
    pub demands: BTreeMap<String, DemandLimits>,
    /// What deserves attention, and is not refused.
    pub warnings: Vec<Problem>,
}

/// The limits of one class in one environment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// The environment. `None`: no environment. See [`rows_in_use`](Resolved::rows_in_use).
    pub environment: Option<String>,
    /// The class. `None` for sessions without a class.
    pub class: Option<String>,
    /// The limits.
    pub limits: ClassLimits,
}

impl Resolved {
    /// The limits of a class in an environment. A name that the document does not have means the
    /// same as none.
    pub fn limits(&self, environment: Option<&str>, class: Option<&str>) -> Option<&ClassLimits> {
        let has = |is_it: &dyn Fn(&Row) -> bool| self.rows.iter().any(is_it);
        let environment =
            environment.filter(|name| has(&|row| row.environment.as_deref() == Some(*name)));
        let class = class.filter(|name| has(&|row| row.class.as_deref() == Some(*name)));
        let is_row =
            |row: &&Row| row.environment.as_deref() == environment && row.class.as_deref() == class;
        Some(&self.rows.iter().find(is_row)?.limits)
    }

    /// The rows that hold for some process. If the document has environments, each process names
    /// one.
    pub fn rows_in_use(&self) -> impl Iterator<Item = &Row> {
        let has_environments = self.rows.iter().any(|row| row.environment.is_some());
        let rows = self.rows.iter();
        rows.filter(move |row| row.environment.is_some() == has_environments)
    }
}

impl Document {
    /// Resolves every class in every environment, as the document names them.
    ///
    /// # Errors
    ///
    /// All that is wrong, each problem once.
    pub fn resolve_all(&self, bounds: &PolicyBounds) -> Result<Resolved, Vec<Problem>> {
        self.resolve_all_with(bounds, OnLimit::Displace)
    }

    /// Resolves the policy of a process in this environment, after a check of all others.
    ///
    /// ```
    /// # use portcullis_core::Class;
    /// # use portcullis_policy::{Declared, Document, PolicyBounds};
    /// const ADMIN: Class = Class::new("admin", 'a');
    ///
    /// let document = Document::parse(
    ///     "schema = 1\n[class.admin]\nidle = '15m'\n[environment.production]\nidle = '20m'\n",
    /// )?;
    /// let declared = Declared::new(&[ADMIN]);
    /// let policy = document.resolve(Some("production"), &declared, &PolicyBounds::new());
    /// let timeouts = policy.unwrap().timeouts(ADMIN.code());
    /// assert_eq!(timeouts.idle().as_secs(), 15 * 60); // a class is more specific
    ///
    /// let problems = document.resolve(None, &declared, &PolicyBounds::new()).unwrap_err();
    /// assert_eq!(problems[0].path, "environment"); // the process must name one
    /// # Ok::<(), portcullis_policy::InvalidDocument>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Everything that is wrong, in every class and environment:
    ///
    /// * a value above a cap, or above a bound of the application or the library;
    /// * a default of the profile above a cap or bound;
    /// * a value that needs a justification and has none;
    /// * limits that contradict each other, and one limit of `remember` without the other;
    /// * a class or demand that the application does not declare, and a class that it declares and
    ///   the document does not name;
    /// * a scope of a demand other than the one in code;
    /// * an environment that the document does not have, or none if the document has environments.
    pub fn resolve(
        &self,
        environment: Option<&str>,
        declared: &Declared<'_>,
        bounds: &PolicyBounds,
    ) -> Result<Policy, Vec<Problem>> {
        let mut problems = self.undeclared(declared);
        problems.extend(self.wrong_environment(environment));
        let on_limit = declared.on_limit.unwrap_or(OnLimit::Displace);
        let resolved = match self.resolve_all_with(bounds, on_limit) {
            Ok(resolved) if problems.is_empty() => resolved,
            Ok(_) => return Err(problems),
            Err(more) => {
                problems.extend(more);
                return Err(problems);
            }
        };
        let limits = |class| resolved.limits(environment, class).cloned();
        let classes = declared
            .all_classes()
            .filter_map(|class| Some((class.code(), limits(Some(class.name()))?)));
        Ok(Policy {
            name: Some(Arc::from(resolved.digest.as_str())),
            ordinary: limits(None).unwrap_or_default(),
            classes: classes.collect(),
            flagged: resolved.flagged,
            demands: self
                .demands
                .iter()
                .map(|(name, demand)| (Arc::from(name.as_str()), demand.clone()))
                .collect(),
            versions: Vec::new(),
            next_version: None,
            longest_before: Duration::ZERO,
        })
    }

    fn resolve_all_with(
        &self,
        bounds: &PolicyBounds,
        on_limit: OnLimit,
    ) -> Result<Resolved, Vec<Problem>> {
        let mut rows = Vec::new();
        let mut problems = Vec::new();
        for case in self.cases() {
            match self.row(case, bounds, on_limit) {
                Ok(limits) => rows.push(Row {
                    environment: case.environment.map(str::to_owned),
                    class: case.class.map(str::to_owned),
                    limits,
                }),
                Err(found) => problems.extend(found),
            }
        }
        if !problems.is_empty() {
            return Err(each_once(problems));
        }
        Ok(Resolved {
            digest: self.digest(),
            profile: self.profile,
            warnings: each_once(self.warnings(&rows, bounds)),
            rows,
            caps: self.own_caps(),
            flagged: self.flagged,
            demands: self.demands.clone(),
        })
    }

    fn own_caps(&self) -> BTreeMap<(Option<String>, LimitName), Option<LimitValue>> {
        let environments = self.environments.iter();
        let environments = environments.map(|(name, of)| (Some(name.clone()), &of.cap));
        let tables = std::iter::once((None, &self.cap)).chain(environments);
        let caps = tables.flat_map(|(environment, table)| {
            let caps = table.iter();
            caps.map(move |(limit, cap)| ((environment.clone(), limit), cap.value()))
        });
        caps.collect()
    }

    /// Every environment and none, with every class and none.
    fn cases(&self) -> impl Iterator<Item = Case<'_>> {
        let environments = std::iter::once(None).chain(self.environments().map(Some));
        environments.flat_map(|environment| {
            let classes = std::iter::once(None).chain(self.classes().map(Some));
            classes.map(move |class| Case { environment, class })
        })
    }

    fn row(
        &self,
        case: Case<'_>,
        bounds: &PolicyBounds,
        on_limit: OnLimit,
    ) -> Result<ClassLimits, Vec<Problem>> {
        let mut decisions = Vec::new();
        let mut problems = Vec::new();
        for limit in LimitName::ALL {
            match chain::decide(self, bounds, case, limit) {
                Ok(decision) => decisions.extend(decision),
                Err(found) => problems.extend(found),
            }
        }
        problems.extend(contradictions(
            &decisions,
            self.profile,
            problems.is_empty(),
        ));
        if !problems.is_empty() {
            return Err(problems);
        }
        build(decisions, on_limit).map_err(|error| {
            let path = match (case.environment, case.class) {
                (Some(environment), Some(class)) => {
                    format!("environment.{environment}.class.{class}")
                }
                (Some(environment), None) => format!("environment.{environment}"),
                (None, Some(class)) => format!("class.{class}"),
                (None, None) => "limits".to_owned(),
            };
            vec![Problem::new(path, error.to_string())]
        })
    }

    /// Names that only the document, or only the code has.
    fn undeclared(&self, declared: &Declared<'_>) -> Vec<Problem> {
        let mut problems = Vec::new();
        for name in self.classes() {
            if !declared.all_classes().any(|class| class.name() == name) {
                let reason = "the application declares no such class; correct the name, remove it, or \
                              declare it with `SessionLayer::classes`";
                problems.push(Problem::new(format!("class.{name}"), reason));
            }
        }
        for class in declared.classes {
            let name = class.name();
            if !self.classes.contains_key(name) {
                let reason = format!("the application declares this class; add [class.{name}]");
                problems.push(Problem::new(format!("class.{name}"), reason));
            }
        }
        for (name, demand) in &self.demands {
            let mut demands = declared.demands.iter();
            match demands.find(|(declared, _)| declared == name) {
                Some((_, scope)) => problems.extend(other_scope(name, demand, *scope)),
                None => {
                    let reason = "the application declares no such demand; correct the name, remove \
                                  it, or declare it with `SessionLayer::demand`";
                    problems.push(Problem::new(format!("demand.{name}"), reason));
                }
            }
        }
        problems
    }

    /// What is wrong with this name of a process's environment. If the document has environments,
    /// a process must name one of them. Otherwise it must name none.
    pub fn wrong_environment(&self, environment: Option<&str>) -> Option<Problem> {
        let known: Vec<_> = self.environments().collect();
        match environment {
            Some(name) if !self.environments.contains_key(name) => {
                let (path, quoted) = (format!("environment.{name}"), quoted(name));
                let reason = match known.join(", ") {
                    known if known.is_empty() => format!(
                        "{quoted} is no environment of the document, which has none; remove it, or \
                         add [{path}]"
                    ),
                    known => {
                        format!("{quoted} is no environment of the document; use one of: {known}")
                    }
                };
                Some(Problem::new(path, reason).with_value(name))
            }
            None if !known.is_empty() => {
                let reason = format!(
                    "the process names no environment; name one with \
                     `SessionLayer::environment`: {}",
                    known.join(", ")
                );
                Some(Problem::new("environment", reason))
            }
            _ => None,
        }
    }

    /// What is permitted, and probably not meant.
    fn warnings(&self, rows: &[Row], bounds: &PolicyBounds) -> Vec<Problem> {
        let extensions = rows.iter().filter_map(few_extensions);
        let mut warnings: Vec<_> = extensions.collect();
        warnings.extend(self.caps_without_effect(bounds));
        warnings.extend(self.needless_justifications());
        warnings
    }

    /// Caps above another cap that holds at the same place.
    fn caps_without_effect(&self, bounds: &PolicyBounds) -> Vec<Problem> {
        let mut problems = Vec::new();
        let environments = std::iter::once(None).chain(self.environments().map(Some));
        for environment in environments {
            for limit in LimitName::ALL {
                let caps = chain::caps(self, bounds, environment, limit);
                for (position, (cap, setting)) in caps.iter().enumerate() {
                    let Some(value) = setting.value().filter(|_| cap.contains("cap.")) else {
                        continue;
                    };
                    let outer = caps.iter().skip(position + 1);
                    let lower = outer.filter_map(|(outer, setting)| match setting {
                        Setting::Value(most) if most.amount() >= value.amount() => None,
                        Setting::Value(most) => Some((outer, most.to_string())),
                        Setting::NotRemembered => Some((outer, "none".to_owned())),
                    });
                    problems.extend(lower.map(|(outer, most)| {
                        let reason = format!("it has no effect: {value} is above {outer}, {most}");
                        Problem::new(cap, reason)
                            .with_value(value)
                            .against(outer, most)
                    }));
                }
            }
        }
        problems
    }

    /// Justifications of values that need none.
    fn needless_justifications(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (table, limits) in self.tables() {
            for (limit, setting) in limits.iter() {
                let path = format!("{table}.{}", limit.as_str());
                let (Some(value), Some(_)) = (setting.value(), self.justification(&path)) else {
                    continue;
                };
                let recommended = self.profile.level(limit).justified_above;
                if recommended.is_none_or(|most| value.amount() <= most.amount()) {
                    let reason = format!("{value} needs no justification; remove it");
                    let path = format!("justification.{path}");
                    problems.push(Problem::new(path, reason).with_value(value));
                }
            }
        }
        problems
    }
}

/// A scope that is not the one of the code. Only code grants an elevation for a scope.
fn other_scope(name: &str, demand: &DemandLimits, of_code: Option<&str>) -> Option<Problem> {
    let scope = demand.scope.as_deref().filter(|it| of_code != Some(it))?;
    let of_code = of_code.map_or_else(|| NONE.to_owned(), quoted);
    let reason = format!(
        "it is {}, and that of the code is {of_code}; only code grants a scope, so set \
         `Demand::SCOPE` or remove it",
        quoted(scope)
    );
    let problem = Problem::new(format!("demand.{name}.scope"), reason).with_value(quoted(scope));
    Some(problem.against("Demand::SCOPE", of_code))
}

/// Limits that cannot hold together. `are_complete` if no decision was refused.
fn contradictions(decisions: &[Decision], profile: Profile, are_complete: bool) -> Vec<Problem> {
    use LimitName::{Absolute, Elevation, Idle, PrivilegedIdle, RememberAbsolute, RememberIdle};

    const NEVER: &str = "would never apply";
    const LONGER: &str = "would be longer than that of remembered sign-ins";
    let of = |limit| decisions.iter().find(|decision| decision.limit == limit);
    let mut problems = Vec::new();
    for (lower, upper, why) in [
        (Idle, Absolute, NEVER),
        (PrivilegedIdle, Absolute, NEVER),
        (Elevation, Absolute, NEVER),
        (RememberIdle, RememberAbsolute, NEVER),
        (Idle, RememberIdle, LONGER),
        (Absolute, RememberAbsolute, LONGER),
    ] {
        if let (Some(low), Some(high)) = (of(lower), of(upper))
            && low.value.amount() > high.value.amount()
        {
            problems.push(inverted(low, high, profile, why));
        }
    }
    let halves = [
        (RememberIdle, RememberAbsolute),
        (RememberAbsolute, RememberIdle),
    ];
    for (one, other) in halves {
        if let (Some(set), None, true) = (of(one), of(other), are_complete) {
            let reason = format!(
                "it is set, and {} is not; set both, or `remember = \"none\"`",
                other.as_str()
            );
            problems.push(Problem::new(&set.rule, reason).with_value(set.value));
        }
    }
    problems
}

/// The problem of `low`, which is above `high` and must not be. Its path is one of the document:
/// that of `low`, or that of `high` if `low` is a default of the profile.
fn inverted(low: &Decision, high: &Decision, profile: Profile, why: &str) -> Problem {
    let name = low.limit.as_str();
    let is_default = low.rule == chain::profile(profile);
    let (it, other, is, change, bound) = if is_default {
        (high, low, "below", "raise", "most")
    } else {
        (low, high, "above", "lower", "least")
    };
    let (value, other_name) = (it.value, other.limit.as_str());
    let table = match other.rule.strip_suffix(other_name) {
        Some(table) => table,
        None => it.rule.strip_suffix(it.limit.as_str()).unwrap_or_default(),
    };
    let reason = format!(
        "it is {value}, {is} {other_name} ({} by {}), and {name} {why}; {change} it, or set \
         {table}{other_name} to at {bound} {value}",
        other.value, other.rule
    );
    let problem = Problem::new(&it.rule, reason).with_value(value);
    problem.against(&other.rule, other.value)
}

/// WCAG asks that users can extend a time limit ten times.
fn few_extensions(row: &Row) -> Option<Problem> {
    let timeouts = row.limits.timeouts;
    if timeouts.absolute() >= timeouts.idle() * 11 {
        return None;
    }
    let idle = row.limits.decision(LimitName::Idle)?;
    let absolute = row.limits.decision(LimitName::Absolute)?;
    let reason = format!(
        "it is {}, less than 11 times the idle timeout of {}: users cannot extend it ten times",
        absolute.value, idle.value
    );
    let problem = Problem::new(&absolute.rule, reason).with_value(absolute.value);
    let problem = problem.against(&idle.rule, idle.value);
    Some(problem.clause("WCAG 2.2, 2.2.1"))
}

/// The limits of a row. Their types check the bounds once more.
fn build(
    decisions: Vec<Decision>,
    on_limit: OnLimit,
) -> Result<ClassLimits, portcullis_core::ConfigError> {
    let value = |limit| {
        let mut decisions = decisions.iter();
        decisions.find_map(|decision| (decision.limit == limit).then_some(decision.value))
    };
    // A missing length is zero, which no type accepts.
    let length = |limit| match value(limit) {
        Some(LimitValue::Length(length)) => length,
        Some(LimitValue::Count(_)) | None => Duration::ZERO,
    };
    let timeouts = Timeouts::new(length(LimitName::Idle), length(LimitName::Absolute))?
        .with_elevation(length(LimitName::Elevation))?
        .with_privileged_idle(length(LimitName::PrivilegedIdle))?;
    let remember_me = match value(LimitName::RememberIdle) {
        Some(_) => Some(RememberMe::new(
            length(LimitName::RememberIdle),
            length(LimitName::RememberAbsolute),
        )?),
        None => None,
    };
    let most = match value(LimitName::Sessions) {
        Some(LimitValue::Count(most)) => usize::try_from(most).unwrap_or(usize::MAX),
        Some(LimitValue::Length(_)) | None => 0,
    };
    let session_limit = match on_limit {
        OnLimit::Displace => SessionLimit::displace(most)?,
        OnLimit::Refuse => SessionLimit::refuse(most)?,
    };
    Ok(ClassLimits {
        timeouts,
        remember_me,
        session_limit: Some(session_limit),
        decisions,
    })
}

/// The same rule can be wrong in several environments.
fn each_once(problems: Vec<Problem>) -> Vec<Problem> {
    let mut once: Vec<Problem> = Vec::new();
    for problem in problems {
        if !once.contains(&problem) {
            once.push(problem);
        }
    }
    once
}
