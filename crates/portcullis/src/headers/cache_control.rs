//! Keeps responses that depend on a session out of caches.
//!
//! * With a session cookie in it: `Cache-Control: no-store`, because a `Set-Cookie` does not keep a
//!   response out of caches (RFC 9111, 7.3).
//! * With the session read: `no-store` if the handler set nothing. If the handler allowed shared
//!   caches, only private ones. A stricter directive of the handler stands.
//! * In both cases, `Vary: Cookie` (RFC 9110, 12.5.5).
//! * In both cases, no field that some caches obey instead of `Cache-Control`, unless it forbids
//!   storing. The documentation of [`SessionLayer`](crate::SessionLayer) has the table.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CACHE_CONTROL, VARY},
};

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Guards a response that sets or removes a cookie.
pub(crate) fn guard_cookie(headers: &mut HeaderMap) {
    if !is_never_stored(headers) {
        headers.insert(CACHE_CONTROL, NO_STORE);
    }
    remove_targeted(headers);
    vary(headers);
}

/// Guards a response whose request read the session.
pub(crate) fn guard_read(headers: &mut HeaderMap) {
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, NO_STORE);
    } else if !is_never_stored(headers)
        && !directives(headers).any(|directive| is(directive, "private"))
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
    remove_targeted(headers);
    vary(headers);
}

/// Whether `Cache-Control` forbids every cache to store the response. Caches that know
/// `must-understand` ignore a `no-store` beside it (RFC 9111, 5.2.2.3).
fn is_never_stored(headers: &HeaderMap) -> bool {
    directives(headers).any(|directive| is(directive, "no-store"))
        && !directives(headers).any(|directive| is(directive, "must-understand"))
}

/// Removes each field that some caches obey instead of `Cache-Control`, unless it forbids storing.
fn remove_targeted(headers: &mut HeaderMap) {
    let allows = |(name, value): (&HeaderName, &HeaderValue)| {
        let words = forbidding_directives(name)?;
        (!forbids(value, words)).then(|| (name.clone(), words))
    };
    while let Some((name, words)) = headers.iter().find_map(allows) {
        tracing::debug!(
            field = name.as_str(),
            "a field that lets caches store a response was removed, as the response depends on a session"
        );
        let values = headers.get_all(&name).iter();
        let kept: Vec<_> = values
            .filter(|value| forbids(value, words))
            .cloned()
            .collect();
        headers.remove(&name);
        for value in kept {
            headers.append(&name, value);
        }
    }
}

/// The directives that forbid storing in this field, if it is one that some caches obey instead of
/// `Cache-Control`.
fn forbidding_directives(name: &HeaderName) -> Option<&'static [&'static str]> {
    match name.as_str() {
        // Varnish and Fastly. Varnish knows no other directive there.
        "surrogate-control" => Some(&["no-store"]),
        // Akamai.
        "edge-control" => Some(&["no-store", "bypass-cache"]),
        // nginx.
        "x-accel-expires" => Some(&["0"]),
        // LiteSpeed stores `private` responses, separately for each client.
        "x-litespeed-cache-control" => Some(&["no-store", "no-cache"]),
        // RFC 9213: `CDN-Cache-Control`, and a vendor's own, such as `Example-CDN-Cache-Control`.
        name if name.ends_with("-cache-control") => Some(&["no-store", "private"]),
        _ => None,
    }
}

/// Whether the value has one of these directives, and none that revokes it: `!no-store` (Akamai),
/// `no-store=?0` (RFC 9213) or `must-understand`.
fn forbids(value: &HeaderValue, words: &[&str]) -> bool {
    let Ok(value) = value.to_str() else {
        return false;
    };
    let is_word = |name: &str| words.iter().any(|word| name.eq_ignore_ascii_case(word));
    let takes_back = |member: &str| {
        let name = member.trim_start_matches('!');
        let name = name.split(['=', ';']).next().unwrap_or_default().trim();
        (is_word(name) && !is_word(member)) || name.eq_ignore_ascii_case("must-understand")
    };
    members(value).any(is_word) && !members(value).any(takes_back)
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

/// The directives of all `Cache-Control` fields. A field that is not text does not count.
fn directives(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(members)
}

/// The members of a list. A comma between quotes does not end one.
fn members(list: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    let ends = move |character| {
        let is_escaped = std::mem::take(&mut escaped);
        match character {
            '"' if !is_escaped => quoted = !quoted,
            '\\' => escaped = quoted && !is_escaped,
            _ => return character == ',' && !quoted,
        }
        false
    };
    list.split(ends)
        .map(str::trim)
        .filter(|member| !member.is_empty())
}

/// Whether a directive has this name. A directive with an argument (`private="set-cookie"`)
/// restricts only some fields, and does not count as the bare one.
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

    fn left(guard: fn(&mut HeaderMap), fields: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        guard(&mut headers);
        assert_eq!(headers.remove(CACHE_CONTROL).unwrap(), "no-store");
        assert_eq!(headers.remove(VARY).unwrap(), "Cookie");
        let line = |(name, value): (&HeaderName, &HeaderValue)| {
            format!("{name}: {}", value.to_str().unwrap())
        };
        headers.iter().map(line).collect()
    }

    #[test]
    fn s085_no_field_that_caches_obey_rather_than_cache_control_lets_them_store_the_response() {
        for (name, value) in [
            ("cdn-cache-control", "public, max-age=60"),
            ("cdn-cache-control", "no-cache"),
            ("cdn-cache-control", "no-store=?0, max-age=60"),
            ("cdn-cache-control", "no-store, must-understand, max-age=60"),
            ("cdn-cache-control", "private=\"a, private, b\", max-age=60"),
            ("cloudflare-cdn-cache-control", "max-age=60"),
            ("netlify-cdn-cache-control", "s-maxage=60, durable"),
            ("vercel-cdn-cache-control", "max-age=60"),
            ("of-a-vendor-to-come-cache-control", "max-age=60"),
            ("surrogate-control", "max-age=60"),
            ("surrogate-control", "content=\"ESI/1.0\""),
            ("surrogate-control", "private"),
            ("edge-control", "!no-store, cache-maxage=1h"),
            ("edge-control", "no-store, !no-store"),
            ("x-accel-expires", "60"),
            ("x-accel-expires", "@4102444800"),
            ("x-litespeed-cache-control", "private, max-age=60"),
        ] {
            for guard in [guard_cookie, guard_read] {
                let left = left(guard, &[(name, value)]);
                assert!(left.is_empty(), "{value}: {left:?}");
            }
        }
    }

    #[test]
    fn s085_a_field_that_forbids_caches_to_store_the_response_stands() {
        for line in [
            "cdn-cache-control: no-store",
            "cloudflare-cdn-cache-control: Private, max-age=60",
            "surrogate-control: no-store, content=\"ESI/1.0\"",
            "edge-control: bypass-cache",
            "x-accel-expires: 0",
            "x-litespeed-cache-control: no-cache",
            "x-cache-control-hint: max-age=60",
        ] {
            for guard in [guard_cookie, guard_read] {
                assert_eq!(left(guard, &[line.split_once(": ").unwrap()]), [line]);
            }
        }
    }

    #[test]
    fn of_several_fields_the_forbidding_ones_stand() {
        let fields = [
            ("cdn-cache-control", "max-age=60"),
            ("edge-control", "max-age=60"),
            ("cdn-cache-control", "no-store"),
            ("x-robots-tag", "noindex"),
        ];
        let mut left = left(guard_read, &fields);
        left.sort();
        assert_eq!(
            left,
            ["cdn-cache-control: no-store", "x-robots-tag: noindex"]
        );
    }

    #[test]
    fn s085_a_directive_of_the_handler_that_forbids_nothing_does_not_count() {
        for field in [
            "no-store, must-understand, max-age=60",
            "note=\"a, no-store, b\", max-age=60",
            "note=\"\\\", no-store, \"",
        ] {
            assert_eq!(guarded(guard_cookie, &[field]), "no-store");
        }
        assert_eq!(
            guarded(guard_read, &["no-store, must-understand"]),
            "private, no-store, must-understand"
        );
    }

    #[test]
    fn s086_a_response_made_with_the_session_is_not_shared() {
        for (field, becomes) in [
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
            assert_eq!(guarded(guard_read, field), becomes);
        }
    }

    #[test]
    fn s087_vary_names_cookie_once_and_keeps_what_was_there() {
        for (field, becomes) in [
            ("Accept-Encoding", vec!["Accept-Encoding", "Cookie"]),
            ("accept-encoding, cookie", vec!["accept-encoding, cookie"]),
            ("*", vec!["*"]),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(VARY, HeaderValue::from_static(field));
            guard_read(&mut headers);
            guard_cookie(&mut headers);
            assert_eq!(headers.get_all(VARY).iter().collect::<Vec<_>>(), becomes);
        }
    }
}
