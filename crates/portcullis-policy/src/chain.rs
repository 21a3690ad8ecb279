//! One limit of one class in one environment: the rules that set it, and the caps above it.

use portcullis_core::policy::{Decision, LimitName, LimitValue};

use crate::{
    bounds::{PolicyBounds, library},
    document::Document,
    problem::Problem,
    profile::Profile,
    table::{LimitTable, NONE, Setting},
};

/// The names of two caps that are in no document.
const APPLICATION: &str = "application";
const LIBRARY: &str = "library";

/// For which sessions: an environment, or a process that names none, and a class, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Case<'c> {
    pub(crate) environment: Option<&'c str>,
    pub(crate) class: Option<&'c str>,
}

impl Case<'_> {
    /// The table that overrides this rule in the one environment that this cap is for. `None` if
    /// the cap is for all environments, or the rule is already for this one.
    fn overriding(self, rule: &str, cap: &str) -> Option<String> {
        let environment = format!("environment.{}", self.environment?);
        let is_in = |path: &str| {
            let rest = path.strip_prefix(&environment);
            rest.is_some_and(|rest| rest.starts_with('.'))
        };
        if is_in(rule) || !is_in(cap) {
            return None;
        }
        Some(match self.class.filter(|_| rule.starts_with("class.")) {
            Some(class) => format!("{environment}.class.{class}"),
            None => environment,
        })
    }
}

/// A value of a limit, and the rule that sets it.
struct Chosen<'r> {
    limit: LimitName,
    rule: &'r str,
    value: LimitValue,
}

impl Chosen<'_> {
    /// The problem of a value of the document above a cap.
    fn above(&self, case: Case<'_>, cap: &str, most: LimitValue) -> Problem {
        let Self { limit, rule, value } = self;
        let remedy = match case.overriding(rule, cap) {
            Some(table) => format!("lower it, or set {table}.{}", limit.as_str()),
            None => "lower it".to_owned(),
        };
        let by = match cap {
            APPLICATION => "the application (`PolicyBounds`)",
            LIBRARY => "the library",
            cap => cap,
        };
        let reason = format!("it is {value}; {by} accepts at most {most}; {remedy}");
        let problem = Problem::new(*rule, reason).with_value(value);
        problem.against(cap, most)
    }

    /// The problem of a default above a cap: the document must set a value.
    fn default_above(&self, case: Case<'_>, cap: &str, most: LimitValue) -> Problem {
        let Self { limit, rule, value } = self;
        let is = match cap {
            APPLICATION => "`PolicyBounds` accepts at most",
            _ => "it is",
        };
        let table = case.overriding(rule, cap);
        let table = table.as_deref().unwrap_or("limits");
        let reason = format!(
            "{is} {most}, but the default of {rule} is {value}; set {table}.{} to at most {most}",
            limit.as_str()
        );
        let problem = Problem::new(cap, reason).with_value(most);
        problem.against(*rule, value)
    }

    /// The problem of remembered sign-ins under a cap that forbids them.
    fn forbidden(&self, case: Case<'_>, cap: &str) -> Problem {
        let Self { limit, rule, value } = self;
        let table = |path: &str| {
            let path = path.strip_suffix(limit.as_str()).unwrap_or(path);
            path.trim_end_matches('.').to_owned()
        };
        let overriding = case.overriding(rule, cap).unwrap_or_else(|| table(rule));
        let reason = format!(
            "{}.remember is \"{NONE}\", which forbids remembered sign-ins; write \
             {overriding}.remember = \"{NONE}\"",
            table(cap)
        );
        let problem = Problem::new(*rule, reason).with_value(value);
        problem.against(cap, NONE)
    }
}

/// A rule or a cap, with what it says.
pub(crate) type Said<T> = (String, T);

/// What sets a limit, the most specific first.
pub(crate) fn set(document: &Document, case: Case<'_>, limit: LimitName) -> Vec<Said<Setting>> {
    let environment = case
        .environment
        .and_then(|name| Some((name, document.environments.get(name)?)));
    let mut chain: Vec<(String, Option<&LimitTable>)> = Vec::new();
    if let Some(class) = case.class {
        if let Some((name, environment)) = environment {
            let path = format!("environment.{name}.class.{class}");
            chain.push((path, environment.classes.get(class)));
        }
        chain.push((format!("class.{class}"), document.classes.get(class)));
    }
    if let Some((name, environment)) = environment {
        chain.push((format!("environment.{name}"), Some(&environment.limits)));
    }
    chain.push(("limits".to_owned(), Some(&document.limits)));
    let chain = chain.into_iter().filter_map(|(path, table)| {
        let setting = table?.get(limit)?;
        Some((format!("{path}.{}", limit.as_str()), setting))
    });
    let default = document.profile.level(limit).default;
    let default = default.map(|value| (profile(document.profile), Setting::Value(value)));
    chain.chain(default).collect()
}

/// The caps above a limit, the most specific first.
pub(crate) fn caps(
    document: &Document,
    bounds: &PolicyBounds,
    environment: Option<&str>,
    limit: LimitName,
) -> Vec<Said<Setting>> {
    let field = limit.as_str();
    let in_environment = environment.and_then(|name| {
        let cap = document.environments.get(name)?.cap.get(limit)?;
        Some((format!("environment.{name}.cap.{field}"), cap))
    });
    let everywhere = document.cap.get(limit);
    let everywhere = everywhere.map(|cap| (format!("cap.{field}"), cap));
    let value = |name: &str, value| (name.to_owned(), Setting::Value(value));
    let application = bounds.application(limit);
    let fixed = [
        Some((
            profile(document.profile),
            Setting::Value(document.profile.level(limit).refused_above),
        )),
        application.map(|most| value(APPLICATION, most)),
        Some(value(LIBRARY, library(limit))),
    ];
    let caps = [in_environment, everywhere].into_iter().chain(fixed);
    caps.flatten().collect()
}

/// The rule and the cap of a profile.
pub(crate) fn profile(profile: Profile) -> String {
    format!("profile {profile}")
}

/// The value of a limit, or `None` if sign-ins are not remembered. A value above a cap is refused.
pub(crate) fn decide(
    document: &Document,
    bounds: &PolicyBounds,
    case: Case<'_>,
    limit: LimitName,
) -> Result<Option<Decision>, Vec<Problem>> {
    let mut set = set(document, case, limit).into_iter();
    let Some((rule, Setting::Value(value))) = set.next() else {
        return Ok(None);
    };
    let over = set.filter_map(|(rule, setting)| Some((rule, setting.value()?)));
    let caps = caps(document, bounds, case.environment, limit);
    let level = document.profile.level(limit);
    let is_default = rule == profile(document.profile);
    let mut problems = Vec::new();
    let chosen = Chosen {
        limit,
        rule: &rule,
        value,
    };
    for (cap, setting) in &caps {
        let problem = match *setting {
            Setting::Value(most) if value.amount() <= most.amount() => continue,
            Setting::Value(most) if is_default => chosen.default_above(case, cap, most),
            Setting::Value(most) => chosen.above(case, cap, most),
            Setting::NotRemembered => chosen.forbidden(case, cap),
        };
        // The clause stands behind the profile's own cap.
        let is_of_profile = *cap == profile(document.profile);
        problems.push(if is_of_profile {
            problem.clause(level.clause)
        } else {
            problem
        });
    }
    problems.extend(unjustified(document, limit, &rule, value));
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Some(Decision {
        limit,
        value,
        over: over.collect(),
        caps: caps
            .into_iter()
            .filter_map(|(cap, setting)| Some((cap, setting.value()?)))
            .collect(),
        rule,
    }))
}

/// The problem of a value above what the profile recommends, without a justification.
fn unjustified(
    document: &Document,
    limit: LimitName,
    rule: &str,
    value: LimitValue,
) -> Option<Problem> {
    let level = document.profile.level(limit);
    let recommended = level.justified_above?;
    let is_refused = value.amount() > level.refused_above.amount();
    if value.amount() <= recommended.amount()
        || is_refused
        || document.justification(rule).is_some()
    {
        return None;
    }
    let profile = profile(document.profile);
    let reason = format!(
        "it is {value}, and {profile} recommends at most {recommended}; lower it, or write under \
         [justification]: \"{rule}\" = \"…\""
    );
    let problem = Problem::new(rule, reason).with_value(value);
    Some(problem.against(profile, recommended).clause(level.clause))
}
