//! Keeps responses that depend on a session out of caches.
//!
//! * With a session cookie in it: `Cache-Control: no-store` (RFC 9111, 7.3: a `Set-Cookie` does not keep a
//!   response out of caches).
//! * With the session read: `no-store` where the handler said nothing; where it allowed shared caches,
//!   private ones only. A stricter word of the handler stands.
//! * Either way `Vary: Cookie` (RFC 9110, 12.5.5).

use http::{
    HeaderMap, HeaderValue,
    header::{CACHE_CONTROL, VARY},
};

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// The response hands out or removes a cookie.
pub(crate) fn guard_cookie(headers: &mut HeaderMap) {
    if !directives(headers).any(|directive| is(directive, "no-store")) {
        headers.insert(CACHE_CONTROL, NO_STORE);
    }
    // Caches that know these fields obey them rather than `Cache-Control` (RFC 9213).
    headers.remove("cdn-cache-control");
    headers.remove("surrogate-control");
    vary(headers);
}

/// The response was made with a look at the session.
pub(crate) fn guard_read(headers: &mut HeaderMap) {
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, NO_STORE);
    } else if !directives(headers)
        .any(|directive| is(directive, "no-store") || is(directive, "private"))
    {
        let kept = directives(headers)
            .filter(|directive| !is(directive, "public") && !is(directive, "s-maxage"));
        let narrowed = std::iter::once("private")
            .chain(kept)
            .collect::<Vec<_>>()
            .join(", ");
        headers.insert(
            CACHE_CONTROL,
            HeaderValue::from_str(&narrowed).unwrap_or(NO_STORE),
        );
    }
    vary(headers);
}

fn vary(headers: &mut HeaderMap) {
    let named = headers
        .get_all(VARY)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|name| name.trim() == "*" || name.trim().eq_ignore_ascii_case("cookie"));
    if !named {
        headers.append(VARY, HeaderValue::from_static("Cookie"));
    }
}

/// The directives of all `Cache-Control` fields. A field that is not text counts for nothing.
fn directives(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|directive| !directive.is_empty())
}

/// Whether a directive has this name. One with an argument (`private="set-cookie"`) restricts only some
/// fields and does not count as the bare one.
fn is(directive: &str, name: &str) -> bool {
    match directive.split_once('=') {
        Some((stem, _)) => name == "s-maxage" && stem.eq_ignore_ascii_case(name),
        None => directive.eq_ignore_ascii_case(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guarded(guard: fn(&mut HeaderMap), fields: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(CACHE_CONTROL, HeaderValue::from_static(field));
        }
        guard(&mut headers);
        assert_eq!(headers.get_all(VARY).iter().collect::<Vec<_>>(), ["Cookie"]);
        directives(&headers).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn s085_t33_a_response_with_the_cookie_is_never_stored() {
        for fields in [
            &[][..],
            &["public, max-age=600"],
            &["private"],
            &["max-age=1", "public"],
        ] {
            assert_eq!(guarded(guard_cookie, fields), "no-store");
        }
        assert_eq!(
            guarded(guard_cookie, &["no-store, no-transform"]),
            "no-store, no-transform"
        );
    }

    #[test]
    fn s085_a_word_for_shared_caches_alone_does_not_stand_beside_the_cookie() {
        let mut headers = HeaderMap::new();
        headers.insert(
            "cdn-cache-control",
            HeaderValue::from_static("public, max-age=60"),
        );
        headers.insert("surrogate-control", HeaderValue::from_static("max-age=60"));
        guard_cookie(&mut headers);
        assert_eq!(headers[CACHE_CONTROL], "no-store");
        assert_eq!(headers.len(), 2, "{headers:?}");
    }

    #[test]
    fn s086_a_response_made_with_the_session_is_not_shared() {
        for (said, becomes) in [
            (&[][..], "no-store"),
            (&["no-store"], "no-store"),
            (&["private, max-age=60"], "private, max-age=60"),
            (&["public, max-age=60"], "private, max-age=60"),
            (&["max-age=60"], "private, max-age=60"),
            (&["Public", "S-MaxAge=9, max-age=60"], "private, max-age=60"),
            (
                &["private=\"set-cookie\""],
                "private, private=\"set-cookie\"",
            ),
            (&["no-cache"], "private, no-cache"),
        ] {
            assert_eq!(guarded(guard_read, said), becomes);
        }
    }

    #[test]
    fn s087_vary_names_cookie_once_and_keeps_what_was_there() {
        for (said, becomes) in [
            ("Accept-Encoding", vec!["Accept-Encoding", "Cookie"]),
            ("accept-encoding, cookie", vec!["accept-encoding, cookie"]),
            ("*", vec!["*"]),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(VARY, HeaderValue::from_static(said));
            guard_read(&mut headers);
            guard_cookie(&mut headers);
            assert_eq!(headers.get_all(VARY).iter().collect::<Vec<_>>(), becomes);
        }
    }
}
