//! The canonical form, and its digest.

use portcullis_policy::Document;

use crate::read;

const ONE: &str = "
    profile = 'standard'
    [limits]
    idle = '60m'
    [class.a]
    [environment.e.class.a]
    [cap]
    [demand.d]
    scope = 'x'
    max_auth_age = '120s'
";

const OTHER: &str = "
    demand.d = { max_auth_age = '2m', scope = \"x\" }
    environment.e = {}
    class.a = {}
    limits.idle = '1h' # one hour
";

#[test]
fn two_texts_that_mean_the_same_have_one_digest() {
    let (one, other) = (read(ONE), read(OTHER));
    assert_eq!(
        one.canonical(),
        r#"{"class":{"a":{}},"demand":{"d":{"max_auth_age":120000,"scope":"x"}},"environment":{"e":{}},"limits":{"idle":3600000},"profile":"standard","schema":1}"#
    );
    assert_eq!(one.canonical(), other.canonical());
    assert_eq!(one.digest(), other.digest());
    assert_eq!(one.digest().len(), 64);
}

#[test]
fn a_difference_in_meaning_changes_the_digest() {
    let base = read(ONE).digest();
    for more in [
        "class.b = {}",
        "environment.f = {}",
        "profile = 'aal1'",
        "cap.idle = '2h'",
        "flagged.elevation = 'none'",
        "limits.remember = 'none'",
        "limits.sessions = 10",
    ] {
        let text = format!("{more}\n{}", OTHER.replace("schema", ""));
        assert_ne!(read(&text).digest(), base, "{more}");
    }
}

#[test]
fn the_canonical_form_is_read_back() {
    let document = read(
        "limits.remember = { idle = '1d', absolute = '2d' }\ncap.remember = 'none'\n\
         flagged = { idle = '5m', elevation = 'none' }\ndemand.d.idle = '1m'\n\
         limits.absolute = '2d'\njustification.'limits.absolute' = 'ü \"'\n\
         class.a.sessions = 3\nenvironment.e.class.a.elevation = '1m'\nenvironment.e.cap.idle='1h'",
    );
    let form = document.canonical();
    let again = Document::parse_canonical(&form).unwrap();
    assert_eq!(again, document);
    assert_eq!(again.canonical(), form);
}

#[test]
fn p05_the_canonical_form_has_no_value_for_unlimited_either() {
    for value in [
        "0",
        "-1",
        "null",
        "\"15m\"",
        "1.5",
        "999",
        "true",
        "9223372036854775808",
    ] {
        let json = format!(r#"{{"schema":1,"limits":{{"idle":{value}}}}}"#);
        let problems = Document::parse_canonical(&json)
            .unwrap_err()
            .into_problems();
        assert_eq!(problems[0].path, "limits.idle", "{value}");
    }
    let problems = Document::parse_canonical("{\"schema\":1,")
        .unwrap_err()
        .into_problems();
    assert_eq!(problems[0].place.unwrap().line, 1);
}
