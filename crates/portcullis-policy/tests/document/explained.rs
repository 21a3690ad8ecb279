//! Texts for operators and auditors.

use portcullis_policy::explain;

use crate::{read, resolved};

#[test]
fn an_explanation_prints_both_chains() {
    let all = resolved(
        "profile = 'aal2'\n[class.admin]\nidle = '15m'\n[environment.production]\nidle = '20m'\n\
         [environment.production.cap]\nidle = '30m'",
    );
    let text = explain(all.limits(Some("production"), Some("admin")).unwrap());
    let expected = "\
idle               15m   class.admin.idle
                         over environment.production.idle 20m, profile aal2 30m
                         under environment.production.cap.idle 30m, profile aal2 24h, library 24h
";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.ends_with("remember           none\n"), "{text}");
}

#[test]
fn evidence_names_value_clause_and_justification() {
    let document = read(
        "profile = 'aal2'\n[class.kiosk]\nabsolute = '48h'\nidle = '5m'\n[environment.production]\n\
         [justification]\n'class.kiosk.absolute' = 'SEC-214'\n'class.kiosk.idle' = 'needless'",
    );
    let all = document
        .resolve_all(&portcullis_policy::PolicyBounds::new())
        .unwrap();
    let evidence = document.evidence(&all);
    assert_eq!(evidence.len(), 2 * 5);
    let justified = evidence.iter().filter(|it| it.justification.is_some());
    assert_eq!(justified.count(), 1);
    let kiosk = evidence
        .iter()
        .find(|it| it.justification.is_some())
        .unwrap();
    assert_eq!(kiosk.environment.as_deref(), Some("production"));
    assert_eq!(kiosk.class.as_deref(), Some("kiosk"));
    assert_eq!((kiosk.limit, &*kiosk.value), ("absolute", "2d"));
    assert_eq!(kiosk.recommended.as_deref(), Some("24h"));
    assert_eq!(kiosk.clause, "NIST SP 800-63B-4, 2.2.3");
    assert_eq!(kiosk.justification.as_deref(), Some("SEC-214"));
}
