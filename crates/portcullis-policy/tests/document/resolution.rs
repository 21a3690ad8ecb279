//! Which rule decides.

use portcullis_core::{
    Class,
    policy::{FlaggedElevation, LimitName, LimitValue},
    store::{OnLimit, SessionLimit},
};
use portcullis_policy::{Declared, PolicyBounds};

use crate::{decision, length, policy, read, refused, resolved};

const CHAIN: &str = "
    [limits]
    idle = '30m'
    [environment.production]
    idle = '25m'
    [class.admin]
    idle = '20m'
    [environment.production.class.admin]
    idle = '15m'
    [class.guest]
    [environment.staging]
";

#[test]
fn the_most_specific_rule_decides() {
    let all = resolved(CHAIN);
    for (environment, class, value, rule) in [
        (
            Some("production"),
            Some("admin"),
            "15m",
            "environment.production.class.admin.idle",
        ),
        (
            Some("production"),
            Some("guest"),
            "25m",
            "environment.production.idle",
        ),
        (
            Some("production"),
            None,
            "25m",
            "environment.production.idle",
        ),
        (Some("staging"), Some("admin"), "20m", "class.admin.idle"),
        (Some("staging"), Some("guest"), "30m", "limits.idle"),
        (None, None, "30m", "limits.idle"),
    ] {
        let limits = all.limits(environment, class).unwrap();
        assert_eq!(decision(limits, LimitName::Idle), (value.to_owned(), rule));
        assert_eq!(limits.timeouts.idle(), length(value));
    }
    assert_eq!(all.rows.len(), 9);
}

#[test]
fn p01_the_value_of_a_class_holds_and_is_not_shortened_in_silence() {
    let all = resolved(
        "[limits]\nidle = '30m'\n[class.analyst]\nidle = '8h'\n\
         [justification]\n'class.analyst.idle' = 'reads for hours, on managed devices'",
    );
    let analyst = all.limits(None, Some("analyst")).unwrap();
    assert_eq!(analyst.timeouts.idle(), length("8h"));
    let capped = "[limits]\nidle = '30m'\n[class.analyst]\nidle = '8h'\n[cap]\nidle = '1h'\n\
                  [justification]\n'class.analyst.idle' = 'reads for hours'";
    assert_eq!(refused(capped)[0].path, "class.analyst.idle");
}

#[test]
fn p04_the_order_of_rules_is_irrelevant() {
    let tables: Vec<_> = CHAIN.trim().split("\n    [").collect();
    let reversed: Vec<_> = tables
        .iter()
        .rev()
        .map(|it| it.trim_start_matches('['))
        .collect();
    let reversed = format!("[{}", reversed.join("\n["));
    assert_ne!(reversed, CHAIN);
    assert_eq!(resolved(&reversed), resolved(CHAIN));
}

#[test]
fn a_decision_names_the_rules_that_it_overrode_and_the_caps_above() {
    let text = format!(
        "profile = 'aal2'\n{CHAIN}\n[cap]\nidle = '50m'\n[environment.production.cap]\nidle = '40m'"
    );
    let bounds = PolicyBounds::new()
        .at_most(LimitName::Idle, length("2h"))
        .unwrap();
    let all = read(&text).resolve_all(&bounds).unwrap();
    let admin = all.limits(Some("production"), Some("admin")).unwrap();
    let idle = &admin.decisions[0];
    let said = |said: &[(String, LimitValue)]| -> Vec<String> {
        said.iter()
            .map(|(path, value)| format!("{path} {value}"))
            .collect()
    };
    assert_eq!(
        said(&idle.over),
        [
            "class.admin.idle 20m",
            "environment.production.idle 25m",
            "limits.idle 30m",
            "profile aal2 30m",
        ]
    );
    assert_eq!(
        said(&idle.caps),
        [
            "environment.production.cap.idle 40m",
            "cap.idle 50m",
            "profile aal2 24h",
            "application 2h",
            "library 24h",
        ]
    );
}

#[test]
fn every_limit_of_a_class_has_a_decision() {
    let all = resolved("[limits.remember]\nidle = '7d'\nabsolute = '30d'");
    let limits = all.limits(None, None).unwrap();
    let decided: Vec<_> = limits.decisions.iter().map(|it| it.limit).collect();
    assert_eq!(decided, LimitName::ALL);
    assert_eq!(limits.remember_me.unwrap().absolute(), length("30d"));
}

#[test]
fn sign_ins_are_remembered_only_where_a_rule_says_so() {
    let text = "[limits.remember]\nidle = '7d'\nabsolute = '30d'\n[class.admin]\nremember = 'none'";
    let all = resolved(text);
    assert!(all.limits(None, None).unwrap().remember_me.is_some());
    let admin = all.limits(None, Some("admin")).unwrap();
    assert_eq!(admin.remember_me, None);
    assert_eq!(admin.decisions.len(), LimitName::ALL.len() - 2);
    assert_eq!(policy("").ordinary.remember_me, None);
}

#[test]
fn half_of_the_limits_of_remembered_sign_ins_is_refused() {
    let problems = refused("[limits.remember]\nidle = '7d'");
    assert_eq!(problems[0].path, "limits.remember.idle");
    let problems = refused("[limits.remember]\nabsolute = '7d'");
    assert_eq!(problems[0].path, "limits.remember.absolute");
}

#[test]
fn a_document_without_rules_is_the_default_of_code() {
    let policy = policy("");
    let code = portcullis_core::Policy::default();
    assert_eq!(policy.ordinary.timeouts, code.ordinary.timeouts);
    assert_eq!(policy.ordinary.session_limit, code.ordinary.session_limit);
    assert_eq!(policy.flagged, code.flagged);
    assert_eq!(
        (policy.classes, policy.demands),
        (code.classes, code.demands)
    );
}

#[test]
fn a_policy_has_what_the_document_says() {
    const ADMIN: Class = Class::new("admin", 'a');
    let document = read(
        "[class.admin]\nsessions = 2\n[flagged]\nidle = '5m'\nelevation = 'none'\n\
         [demand.deploy]\nscope = 'deploy'\nmax_auth_age = '5m'",
    );
    let declared = Declared::new(&[ADMIN]).demands(&[("deploy", Some("deploy")), ("other", None)]);
    let resolve = |declared| {
        document
            .resolve(None, &declared, &PolicyBounds::new())
            .unwrap()
    };
    let policy = resolve(declared.clone());
    assert_eq!(policy.name.as_deref(), Some(&*document.digest()));
    assert_eq!(policy.flagged.idle, Some(length("5m")));
    assert_eq!(policy.flagged.elevation, FlaggedElevation::Ended);
    let deploy = policy.demand("deploy").unwrap();
    assert_eq!(deploy.scope.as_deref(), Some("deploy"));
    assert_eq!(deploy.max_auth_age, Some(length("5m")));
    let sessions =
        |policy: &portcullis_core::Policy| policy.limits(ADMIN.code()).unwrap().session_limit;
    assert_eq!(sessions(&policy), Some(SessionLimit::displace(2).unwrap()));
    let refusing = resolve(declared.on_session_limit(OnLimit::Refuse));
    assert_eq!(sessions(&refusing), Some(SessionLimit::refuse(2).unwrap()));
}
