//! Names that only one side has.

use portcullis_core::{Class, Policy};
use portcullis_policy::{Declared, PolicyBounds, Problem};

use crate::read;

const ADMIN: Class = Class::new("admin", 'a');
const GUEST: Class = Class::new("guest", 'g');

fn resolve(
    rest: &str,
    environment: Option<&str>,
    declared: &Declared<'_>,
) -> Result<Policy, Vec<Problem>> {
    read(rest).resolve(environment, declared, &PolicyBounds::new())
}

fn paths(refused: Result<Policy, Vec<Problem>>) -> Vec<String> {
    let problems = refused.unwrap_err();
    problems.into_iter().map(|problem| problem.path).collect()
}

#[test]
fn p06_an_environment_that_the_document_does_not_name_is_refused() {
    let text = "[environment.production]\nidle = '10m'\n[environment.staging]";
    let none = Declared::new(&[]);
    let policy = resolve(text, Some("production"), &none).unwrap();
    assert_eq!(policy.ordinary.timeouts.idle().as_secs(), 600);
    assert_eq!(
        paths(resolve(text, Some("prod"), &none)),
        ["environment.prod"]
    );
    assert_eq!(
        paths(resolve("", Some("prod"), &none)),
        ["environment.prod"]
    );
    let reason = |text| {
        resolve(text, Some("prod"), &none).unwrap_err()[0]
            .reason
            .clone()
    };
    assert_eq!(
        reason(text),
        "\"prod\" is no environment of the document; use one of: production, staging"
    );
    assert_eq!(
        reason(""),
        "\"prod\" is no environment of the document, which has none; remove it, or add \
         [environment.prod]"
    );
}

#[test]
fn p06_a_process_that_forgot_its_environment_does_not_get_laxer_limits() {
    let text = "[environment.production]\nidle = '10m'";
    assert_eq!(
        paths(resolve(text, None, &Declared::new(&[]))),
        ["environment"]
    );
}

#[test]
fn p06_a_class_that_only_one_side_knows_is_refused() {
    let text = "[class.admin]\nidle = '10m'";
    assert!(resolve(text, None, &Declared::new(&[ADMIN])).is_ok());
    assert_eq!(
        paths(resolve(text, None, &Declared::new(&[]))),
        ["class.admin"]
    );
    let both = [ADMIN, GUEST];
    assert_eq!(
        paths(resolve(text, None, &Declared::new(&both))),
        ["class.guest"]
    );
    assert_eq!(
        paths(resolve("[class.admn]", None, &Declared::new(&[ADMIN]))),
        ["class.admn", "class.admin"]
    );
}

#[test]
fn a_class_of_a_deployment_in_progress_may_be_missing() {
    let text = "[limits]\nidle = '20m'\n[class.admin]\nidle = '10m'";
    let declared = Declared::new(&[ADMIN]).optional_classes(&[GUEST]);
    let policy = resolve(text, None, &declared).unwrap();
    assert_eq!(policy.timeouts(GUEST.code()).idle().as_secs(), 1200);
    assert_eq!(policy.timeouts(ADMIN.code()).idle().as_secs(), 600);
}

#[test]
fn a_demand_that_the_code_does_not_know_is_refused() {
    let text = "[demand.deploy]\nidle = '5m'";
    let declared = Declared::new(&[]);
    assert_eq!(paths(resolve(text, None, &declared)), ["demand.deploy"]);
    assert!(resolve(text, None, &declared.clone().demands(&[("deploy", None)])).is_ok());
    assert!(resolve("", None, &declared.demands(&[("deploy", None)])).is_ok());
}

#[test]
fn a_scope_that_is_not_the_one_of_the_code_is_refused_with_both() {
    let text = "[demand.deploy]\nscope = 'deploy'";
    let declared = Declared::new(&[]);
    let with = |scope| resolve(text, None, &declared.clone().demands(&[("deploy", scope)]));
    assert!(with(Some("deploy")).is_ok());
    for (scope, of_code) in [(None, "none"), (Some("payments"), "\"payments\"")] {
        let problems = with(scope).unwrap_err();
        assert_eq!(problems[0].path, "demand.deploy.scope");
        assert_eq!(problems[0].value.as_deref(), Some("\"deploy\""));
        assert_eq!(problems[0].against.as_ref().unwrap().value, of_code);
    }
}
