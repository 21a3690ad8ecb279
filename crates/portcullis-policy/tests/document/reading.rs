//! Texts that are no documents.

use portcullis_policy::{Document, MAX_DOCUMENT_BYTES};

use crate::{misread, read};

#[test]
fn p05_no_value_means_unlimited() {
    for value in [
        "0",
        "'0'",
        "'0s'",
        "''",
        "'never'",
        "'off'",
        "'unlimited'",
        "'-1m'",
        "-1",
        "15",
        "1.5",
        "inf",
        "false",
        "[]",
        "{}",
        "'999ms'",
        "'inherit'",
        "1979-05-27",
    ] {
        for field in ["idle", "absolute", "privileged_idle", "elevation"] {
            for table in [
                "limits",
                "class.a",
                "cap",
                "environment.e",
                "environment.e.cap",
            ] {
                let problems = misread(&format!("[{table}]\n{field} = {value}\n"));
                assert_eq!(problems.len(), 1, "{value}");
                assert_eq!(problems[0].path, format!("{table}.{field}"), "{value}");
                assert_eq!(problems[0].place.unwrap().line, 3);
            }
        }
        for path in ["demand.d.idle", "flagged.idle", "limits.remember.idle"] {
            assert_eq!(misread(&format!("{path} = {value}"))[0].path, path);
        }
    }
    for value in [
        "0",
        "-1",
        "''",
        "'never'",
        "'10'",
        "1.5",
        "1001",
        "4294967296",
        "true",
    ] {
        let problems = misread(&format!("[limits]\nsessions = {value}\n"));
        assert_eq!(problems[0].path, "limits.sessions", "{value}");
    }
}

#[test]
fn p05_a_missing_value_is_an_error_of_syntax_with_line_and_column() {
    let problems = misread("[limits]\nidle =\nabsolute = '1h'\nelevation = \n");
    let places: Vec<_> = problems.iter().map(|it| it.place.unwrap().line).collect();
    assert_eq!(places, [3, 5]);
    assert!(
        problems[0]
            .to_string()
            .starts_with("line 3, column 7: it is not TOML")
    );
}

#[test]
fn every_problem_is_reported() {
    let text = "
        profile = 'aal9'
        limit = 1
        [limits]
        idle = 'never'
        sessions = 0
        [class.Admin]
        [environment.prod.class.ghost]
        idle = '1m'
        [flagged]
        elevation = 'all'
        [demand.empty]
        [justification]
        'limits.absolute' = 'because'
        'limits.idle' = ''
    ";
    let problems = misread(text);
    let paths: Vec<_> = problems.iter().map(|it| it.path.as_str()).collect();
    let expected = [
        "",
        "class",
        "profile",
        "limits.idle",
        "limits.sessions",
        "environment.prod.class.ghost",
        "flagged.elevation",
        "demand.empty",
        "justification.limits.idle",
        "justification",
    ];
    assert_eq!(paths, expected);
}

#[test]
fn unknown_fields_are_refused_in_every_table() {
    for table in [
        "limits",
        "limits.remember",
        "class.a",
        "class.a.remember",
        "environment.e",
        "environment.e.class.a",
        "environment.e.cap",
        "cap",
        "cap.remember",
        "flagged",
        "demand.d",
    ] {
        let problems = misread(&format!("{table}.idel = '1m'\n"));
        let unknown = problems.iter().find(|it| it.path == table).unwrap();
        assert!(
            unknown.reason.contains("\"idel\" is no field here"),
            "{unknown}"
        );
        assert!(unknown.reason.contains("idle"), "{unknown}");
    }
    assert!(misread("rotation = {}\n")[0].reason.contains("no field"));
    assert!(
        misread("[limits]\ntoken = {}\n")[0]
            .reason
            .contains("no field")
    );
}

#[test]
fn a_document_says_which_schema_it_has() {
    for text in [
        "",
        "schema = 2",
        "schema = '1'",
        "schema = 0",
        "profile = 'aal2'",
    ] {
        assert_eq!(
            Document::parse(text).unwrap_err().into_problems()[0].path,
            "schema",
            "{text}"
        );
    }
}

#[test]
fn a_document_has_a_size() {
    let padded = |bytes: usize| format!("schema = 1\n#{}", "x".repeat(bytes - 12));
    assert!(Document::parse(&padded(MAX_DOCUMENT_BYTES)).is_ok());
    let problems = Document::parse(&padded(MAX_DOCUMENT_BYTES + 1))
        .unwrap_err()
        .into_problems();
    assert!(problems[0].reason.contains("more than 32768 bytes"));

    let tables = |kind: &str, number: usize, rest: &str| -> String {
        let table = |number: usize| format!("[{kind}.x{number}]\n{rest}\n");
        (0..number).map(table).collect()
    };
    for (kind, most, rest) in [
        ("class", 16, ""),
        ("environment", 16, ""),
        ("demand", 64, "idle = '1m'"),
    ] {
        read(&tables(kind, most, rest));
        let problems = misread(&tables(kind, most + 1, rest));
        assert_eq!(problems[0].path, kind);
    }
}

#[test]
fn names_are_short_and_lower_case() {
    for name in ["Admin", "'a b'", "2fa", "''", "'a.b'", "\"\\u001b\""] {
        for kind in ["class", "environment", "demand", "environment.e.class"] {
            let problems = misread(&format!("[{kind}.{name}]\n"));
            assert_eq!(problems[0].path, kind);
            assert!(!problems[0].to_string().contains('\u{1b}'));
        }
    }
}

#[test]
fn a_document_nested_beyond_reason_is_refused() {
    let deep = "a.".repeat(10_000);
    misread(&format!("{deep}b = 1\n"));
    misread(&format!(
        "a = {}1{}\n",
        "[".repeat(10_000),
        "]".repeat(10_000)
    ));
    let json = "[".repeat(10_000);
    assert!(Document::parse_canonical(&json).is_err());
}

#[test]
fn limits_of_flagged_sessions_and_of_demands_are_within_the_bounds() {
    let demanding = read("demand.d = { idle = '1h', max_auth_age = '400d', scope = 'deploy' }");
    assert_eq!(demanding.demands().collect::<Vec<_>>(), ["d"]);
    for (path, value) in [
        ("demand.d.idle", "61m"),
        ("demand.d.max_auth_age", "401d"),
        ("flagged.idle", "25h"),
    ] {
        let problems = misread(&format!("{path} = '{value}'"));
        assert_eq!(problems[0].path, path);
        assert_eq!(problems[0].value.as_deref(), Some(value));
        assert_eq!(crate::against(&problems[0]).0, "library");
    }
    assert_eq!(misread("demand.d.scope = ''")[0].path, "demand.d.scope");
    let long = "x".repeat(129);
    assert_eq!(
        misread(&format!("demand.d.scope = '{long}'"))[0].path,
        "demand.d.scope"
    );
}

#[test]
fn a_text_for_people_has_no_control_characters() {
    let text = |text: &str| format!("limits.idle = '5m'\njustification.'limits.idle' = \"{text}\"");
    read(&text(r"two\nlines"));
    for control in [r"\u001b[1m", r"\u009b", r"\r", " ", ""] {
        assert_eq!(misread(&text(control))[0].path, "justification.limits.idle");
    }
}

#[test]
fn an_invalid_document_is_an_error_with_a_line_for_each_problem() {
    let invalid = Document::parse("limits.idle = 'never'").unwrap_err();
    let lines: Vec<_> = invalid.to_string().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 1 + invalid.problems().len());
    assert!(lines[2].starts_with("line 1, column 8: limits.idle: \"never\" is refused"));
    assert_eq!(format!("{invalid:?}"), invalid.to_string());
}
