//! One limit of one class in one environment: the rules that set it, and the caps above it.

use portcullis_core::policy::{Decision, LimitName, LimitValue};

use crate::{
    bounds::{PolicyBounds, library},
    document::Document,
    problem::Problem,
    table::{LimitTable, Setting},
};

/// For which sessions: an environment, or a process that names none, and a class, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Case<'c> {
    pub(crate) environment: Option<&'c str>,
    pub(crate) class: Option<&'c str>,
}

impl Case<'_> {
    /// What to do about a value above a cap. A rule that holds elsewhere too need not be lowered
    /// for the cap of one environment.
    fn remedy(self, rule: &str, cap: &str, limit: LimitName) -> String {
        let environment = self.environment.map(|name| format!("environment.{name}."));
        match environment {
            Some(environment)
                if cap.starts_with(&environment) && !rule.starts_with(&environment) =>
            {
                format!("lower it, or set {environment}{}", limit.as_str())
            }
            _ => "lower it".to_owned(),
        }
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
    let default = default.map(|value| (profile(document), Setting::Value(value)));
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
            profile(document),
            Setting::Value(document.profile.level(limit).refused_above),
        )),
        application.map(|most| value("application", most)),
        Some(value("library", library(limit))),
    ];
    let caps = [in_environment, everywhere].into_iter().chain(fixed);
    caps.flatten().collect()
}

fn profile(document: &Document) -> String {
    format!("profile {}", document.profile)
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
    let is_default = rule == profile(document);
    let mut problems = Vec::new();
    for (cap, setting) in &caps {
        let most = match setting {
            Setting::Value(most) if value.amount() <= most.amount() => continue,
            Setting::Value(most) => most.to_string(),
            Setting::NotRemembered => "none".to_owned(),
        };
        let problem = if is_default {
            let field = limit.as_str();
            let reason = format!("{rule} has {value} as its default, above it; set limits.{field}");
            let problem = Problem::new(cap, format!("it is {most}, and {reason}"));
            problem.with_value(most).against(&rule, value)
        } else {
            let remedy = case.remedy(&rule, cap, limit);
            let reason = format!("it is {value}, above {cap}, {most}; {remedy}");
            let problem = Problem::new(&rule, reason);
            problem.with_value(value).against(cap, most)
        };
        // The clause stands behind the profile's own cap.
        let is_of_profile = *cap == profile(document);
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
    let profile = profile(document);
    let reason = format!(
        "it is {value}, and {profile} recommends at most {recommended}; lower it, or write under \
         [justification]: \"{rule}\" = \"…\""
    );
    let problem = Problem::new(rule, reason).with_value(value);
    Some(problem.against(profile, recommended).clause(level.clause))
}
