use http::{HeaderMap, header::COOKIE};
use portcullis_core::Bucket;

use super::*;
use crate::headers::fields::Fields;

const NAME: &str = "__Host-Http-id";

fn id() -> SessionId {
    SessionId::generate(Bucket::random().unwrap()).unwrap()
}

fn headers<V: AsRef<[u8]>>(fields: &[V]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for field in fields {
        headers.append(COOKIE, HeaderValue::from_bytes(field.as_ref()).unwrap());
    }
    headers
}

fn read(headers: &HeaderMap, name: &str) -> Presented {
    Fields::of(headers).cookies.read(name)
}

fn attributes(header: &HeaderValue) -> Vec<String> {
    let text = header.to_str().unwrap();
    let mut attributes: Vec<_> = text.split("; ").skip(1).map(str::to_owned).collect();
    attributes.sort();
    attributes
}

#[test]
fn s001_the_default_cookie_has_exactly_these_attributes() {
    let id = id();
    let header = CookieConfig::default()
        .set(&id, Duration::from_secs(86_400), false)
        .unwrap();
    let expected = format!(
        "{NAME}={}; HttpOnly; SameSite=Lax; Secure; Path=/",
        id.expose()
    );
    assert_eq!(header.to_str().unwrap(), expected);
    assert!(header.is_sensitive());
}

#[test]
fn s013_t32_the_removal_repeats_the_attributes_of_the_cookie() {
    let configs = [
        CookieConfig::default(),
        CookieConfig::builder()
            .name("__Secure-id")
            .domain("example.com")
            .path("/app")
            .build()
            .unwrap(),
        CookieConfig::builder()
            .dangerous_same_site_none("test")
            .partitioned()
            .build()
            .unwrap(),
        CookieConfig::insecure_for_local_development(),
    ];
    for config in configs {
        let mut removal = attributes(&config.remove().unwrap());
        removal.retain(|attribute| {
            !attribute.starts_with("Max-Age=0")
                && attribute != "Expires=Thu, 01 Jan 1970 00:00:00 GMT"
        });
        assert_eq!(
            removal,
            attributes(&config.set(&id(), Duration::ZERO, false).unwrap())
        );
    }
}

#[test]
fn s006_a_persistent_cookie_lasts_for_the_rest_of_the_absolute_timeout() {
    let config = CookieConfig::builder().persistent().build().unwrap();
    let header = config
        .set(&id(), Duration::from_millis(86_399_999), false)
        .unwrap();
    assert!(attributes(&header).contains(&"Max-Age=86399".to_owned()));
}

#[test]
fn s003_t30_a_cookie_that_browsers_would_drop_cannot_be_built() {
    let refused = [
        CookieConfig::builder().domain("example.com"),
        CookieConfig::builder().path("/app"),
        CookieConfig::builder()
            .name("__HOST-id")
            .domain("example.com"),
        CookieConfig::builder().name("__Host-id").path("/app"),
        CookieConfig::builder().partitioned(),
        CookieConfig::builder()
            .name("id")
            .dangerous_same_site_none("test")
            .partitioned(),
        CookieConfig::builder().name(""),
        CookieConfig::builder().name("a b"),
        CookieConfig::builder().name("a;b"),
        CookieConfig::builder().name("a".repeat(LONGEST_NAME + 1)),
        CookieConfig::builder().name("id").domain(".example.com"),
        CookieConfig::builder().name("id").domain("com"),
        CookieConfig::builder().name("id").domain("exa mple.com"),
        CookieConfig::builder().name("id").path("app"),
        CookieConfig::builder()
            .name("id")
            .path("/a; Domain=evil.com"),
    ];
    for builder in refused {
        assert!(builder.clone().build().is_err(), "{builder:?}");
    }
}

#[test]
fn an_identifier_is_found_among_other_cookies() {
    let id = id();
    let pair = format!("{NAME}={}", id.expose());
    for fields in [
        vec![pair.clone()],
        vec![format!("a=b; {pair}; c=d")],
        vec![format!("a=b;{pair}")],
        vec!["a=b".to_owned(), format!("c=d; {pair}")],
        vec![format!("x{pair}; {pair}; {NAME}x=1")],
        vec![format!("{pair}; {pair}")],
    ] {
        let Presented::Id(found) = read(&headers(&fields), NAME) else {
            panic!("{} cookie fields", fields.len());
        };
        assert_eq!(found.key(), id.key());
    }
}

#[test]
fn s009_t29_two_different_identifiers_are_candidates_under_a_host_name_and_ambiguous_elsewhere() {
    let ids = [id(), id()];
    for (name, candidates) in [
        (NAME, 2),
        ("__Host-id", 2),
        ("__host-id", 0),
        ("__Secure-id", 0),
        ("id", 0),
    ] {
        let [one, other] = ids.each_ref().map(|id| format!("{name}={}", id.expose()));
        let bogus = format!("{name}=bogus");
        for fields in [
            vec![format!("{one}; {other}")],
            vec![other.clone(), one.clone()],
            vec![format!("{one}; {bogus}; {other}; {one}")],
        ] {
            let presented = read(&headers(&fields), name);
            assert_eq!(presented.candidates().len(), candidates, "{name}");
            let is_ambiguous = matches!(presented, Presented::Ambiguous);
            assert_eq!(is_ambiguous, candidates == 0, "{name}");
        }
        let third = format!("{name}={}", id().expose());
        let presented = read(&headers(&[one, other, third]), name);
        assert!(matches!(presented, Presented::Ambiguous), "{name}");
    }
}

#[test]
fn s009_a_malformed_identifier_is_no_candidate_under_any_name() {
    let id = id();
    for name in [NAME, "__Secure-id", "id"] {
        let good = format!("{name}={}", id.expose());
        let bogus = format!("{name}=bogus");
        for fields in [
            vec![format!("{bogus}; {good}")],
            vec![format!("{good}; {bogus}; {good}")],
            vec![format!("{name}="), good.clone(), bogus.clone()],
        ] {
            let presented = read(&headers(&fields), name);
            let Presented::Id(found) = presented else {
                panic!("{name}: {presented:?}");
            };
            assert_eq!(found.key(), id.key());
        }
        let presented = read(&headers(&[bogus, format!("{name}=")]), name);
        assert!(matches!(presented, Presented::Malformed));
    }
}

#[test]
fn s011_a_hostile_value_is_malformed() {
    let good = id().expose();
    for value in [
        String::new(),
        format!("\"{good}\""),
        format!("{good} "),
        format!(" {good}"),
        format!("%41{}", &good[1..]),
        good[1..].to_owned(),
        format!("{good}A"),
        "A".repeat(8192),
        "=".repeat(43),
    ] {
        let field = format!("{NAME}={value}");
        assert!(
            matches!(read(&headers(&[field]), NAME), Presented::Malformed),
            "{value}"
        );
    }
    let bytes = [NAME.as_bytes(), b"=\xff\xfe\x80"].concat();
    assert!(matches!(
        read(&headers(&[bytes]), NAME),
        Presented::Malformed
    ));
}

#[test]
fn s011_the_name_is_compared_whole_and_with_case() {
    let value = id().expose();
    for name in [
        "__host-http-id",
        "__Host-Http-id2",
        "id",
        "__Host-Http-id ",
        "x__Host-Http-id",
    ] {
        let field = format!("{name}={value}");
        assert!(
            matches!(read(&headers(&[field]), NAME), Presented::Nothing),
            "{name}"
        );
    }
}

fn renamed() -> CookieConfig {
    let builder = CookieConfig::builder().name("__Host-new");
    let builder = builder.also_accept(NAME).also_accept("__Host-older");
    builder.build().unwrap()
}

#[test]
fn an_accepted_name_is_read_if_the_own_one_is_missing() {
    let ids = [id(), id(), id()];
    let [own, old, older] = [
        ("__Host-new", &ids[0]),
        (NAME, &ids[1]),
        ("__Host-older", &ids[2]),
    ]
    .map(|(name, id)| format!("{name}={}", id.expose()));
    for (fields, expected, is_renamed) in [
        (vec![format!("{older}; {old}; {own}")], &ids[0], false),
        (vec![format!("{older}; {old}")], &ids[1], true),
        (vec!["a=b".to_owned(), older], &ids[2], true),
    ] {
        let cookies = Fields::of(&headers(&fields)).cookies;
        let Presented::Id(found) = cookies.session(&renamed()) else {
            panic!("{} cookie fields", fields.len());
        };
        assert_eq!(found.key(), expected.key());
        let came_renamed = matches!(cookies.renamed(&renamed()), Presented::Id(_));
        assert_eq!(came_renamed, is_renamed);
    }
    let fields = [format!("__Host-new=bogus; {old}")];
    let cookies = Fields::of(&headers(&fields)).cookies;
    assert!(matches!(cookies.session(&renamed()), Presented::Id(_)));
    assert!(matches!(cookies.renamed(&renamed()), Presented::Id(_)));
    assert!(cookies.accepted(&renamed()).eq([NAME]));
    let fields = [format!("__Host-new=bogus; {NAME}=bogus")];
    let cookies = Fields::of(&headers(&fields)).cookies;
    assert!(matches!(cookies.session(&renamed()), Presented::Malformed));
}

#[test]
fn s003_an_accepted_name_is_one_that_browsers_accept() {
    let builder = CookieConfig::builder;
    for refused in [
        builder().also_accept(""),
        builder().also_accept("a b"),
        builder().also_accept(NAME),
        builder().also_accept("a").also_accept("a"),
        builder().also_accept("a".repeat(LONGEST_NAME + 1)),
        builder().name("id").path("/app").also_accept("__host-id"),
        builder()
            .name("id")
            .domain("example.com")
            .also_accept("__Host-id"),
        ["a", "b", "c", "d", "e"]
            .into_iter()
            .fold(builder(), CookieBuilder::also_accept),
    ] {
        assert!(refused.clone().build().is_err(), "{refused:?}");
    }
    let four = ["a", "b", "c", "d"].into_iter();
    let four = four.fold(builder(), CookieBuilder::also_accept);
    assert!(four.build().is_ok());
}

#[test]
fn s013_the_removal_of_an_accepted_name_has_the_attributes_of_the_cookie() {
    let config = renamed();
    let removal = config.remove_named(NAME).unwrap();
    assert!(removal.to_str().unwrap().starts_with("__Host-Http-id=; "));
    assert_eq!(attributes(&removal), attributes(&config.remove().unwrap()));
}

#[test]
fn s013_the_removal_of_a_former_cookie_has_its_attributes_and_not_those_of_the_cookie() {
    let builder = || CookieConfig::builder().name("shop");
    let old = builder().domain("example.com").path("/app").persistent();
    let old = old.build().unwrap();
    let older = builder()
        .path("/old")
        .formerly(old.clone())
        .build()
        .unwrap();
    let config = builder().formerly(old.clone()).formerly(older.clone());
    let removals: Vec<_> = config.build().unwrap().remove_former().collect();
    assert_eq!(removals, [old.remove().unwrap(), older.remove().unwrap()]);
}

#[test]
fn a_former_cookie_that_browsers_already_replace_is_refused() {
    let builder = || CookieConfig::builder().name("shop");
    let domain = |domain| builder().domain(domain).build().unwrap();
    let (same, other) = (domain("example.com"), domain("shop.example.com"));
    let strict = builder().domain("Example.com").same_site(SameSite::Strict);
    for old in [same.clone(), strict.build().unwrap()] {
        let refused = builder().domain("example.com").formerly(old);
        assert!(refused.build().is_err());
    }
    let kept = builder().domain("example.com").formerly(other.clone());
    assert!(kept.clone().build().is_ok());
    let five = (0..4).fold(kept, |builder, _| builder.formerly(other.clone()));
    assert!(five.build().is_err());
}

#[test]
fn the_other_one_of_two_cookies_with_a_host_name_differs_in_partitioned() {
    let plain = CookieConfig::default();
    let builder = CookieConfig::builder().dangerous_same_site_none("test");
    let partitioned = builder.partitioned().build().unwrap();
    let removed = |config: &CookieConfig| attributes(&config.remove_other_named(NAME).unwrap());
    assert_eq!(removed(&plain), attributes(&partitioned.remove().unwrap()));
    assert!(!removed(&partitioned).contains(&"Partitioned".to_owned()));
}

#[test]
fn s006_a_remembered_user_gets_a_persistent_cookie_of_400_days_at_most() {
    const DAY: u64 = 24 * 60 * 60;
    let age = |days: u64, remembered| {
        let left = Duration::from_secs(days * DAY);
        let header = CookieConfig::default().set(&id(), left, remembered);
        let attributes = attributes(&header.unwrap()).into_iter();
        let mut ages = attributes.filter(|attribute| attribute.starts_with("Max-Age"));
        ages.next()
    };
    assert_eq!(age(90, false), None);
    assert_eq!(age(90, true), Some(format!("Max-Age={}", 90 * DAY)));
    assert_eq!(age(401, true), Some(format!("Max-Age={}", 400 * DAY)));
}
