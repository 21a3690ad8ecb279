//! A redirect target on this site.

use std::{borrow::Cow, fmt, iter};

use portcullis_core::ConfigError;
use serde::{Deserialize, Deserializer, de::Error as _};

/// A path on this site, with or without a query: `/cart?item=3`.
///
/// All other targets are refused: other sites in all spellings that browsers follow (`https://…`,
/// `//…`, `/\…`), and characters that browsers drop or that break headers. (OWASP ASVS 5.0, 3.7.2;
/// OWASP Unvalidated Redirects)
///
/// ```
/// # use portcullis::ReturnTo;
/// assert_eq!(ReturnTo::parse("/cart?item=3").unwrap().as_str(), "/cart?item=3");
/// assert!(ReturnTo::parse("//evil.example").is_none());
/// ```
///
/// # In handlers
///
/// With axum, it is an extractor and a response. It reads the parameter `return_to` of the query,
/// which the layer passes to the [sign-in page](crate::SessionLayer::sign_in_page) and the
/// [re-authentication page](crate::SessionLayer::reauthentication_page). Without a safe target
/// there, it is the front page, below the
/// [public base path](crate::SessionLayer::public_base_path). So it never refuses a request.
/// `Option<ReturnTo>` is `None` instead. As a response, it is a redirect with 303 (See Other).
///
#[cfg_attr(feature = "axum", doc = "```")]
#[cfg_attr(not(feature = "axum"), doc = "```ignore")]
/// # use portcullis::{ReturnTo, Session};
/// async fn sign_in(session: Session, return_to: ReturnTo) -> axum::response::Result<ReturnTo> {
///     // … after the password was verified:
///     session.authenticate("alice")?;
///     Ok(return_to)
/// }
/// ```
///
/// A form without `action` is submitted to the address of its page, so the query is sent again. For
/// a form with a hidden field `return_to`, use the type as a member of the form's struct. A refused
/// target is then an error of the form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReturnTo(String);

const LONGEST: usize = 2048;

/// The name of the parameter that carries a target.
const PARAMETER: &str = "return_to";

impl ReturnTo {
    /// Reads a target from untrusted input.
    pub fn parse(target: &str) -> Option<Self> {
        let path = target.split(['?', '#']).next()?;
        let safe = target.len() <= LONGEST
            && target
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
            && path.starts_with('/')
            && !path.contains("//");
        safe.then(|| Self(target.to_owned()))
    }

    /// Reads the target in the parameter `return_to` of a query, for services without extractors.
    /// `None` if the parameter is missing, occurs more than once, or is refused.
    ///
    /// ```
    /// # use portcullis::ReturnTo;
    /// let target = ReturnTo::from_query("lang=en&return_to=/cart%3Fitem%3D3").unwrap();
    /// assert_eq!(target.as_str(), "/cart?item=3");
    /// assert!(ReturnTo::from_query("return_to=https://evil.example").is_none());
    /// ```
    pub fn from_query(query: &str) -> Option<Self> {
        let mut values = query.split('&').filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            (form_decoded(name) == PARAMETER.as_bytes()).then_some(value)
        });
        match (values.next(), values.next()) {
            (Some(value), None) => Self::parse(str::from_utf8(&form_decoded(value)).ok()?),
            _ => None,
        }
    }

    /// The path and query.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a path from a setting. Characters of any script are percent-encoded, as browsers do.
    pub(crate) fn of_setting(path: &str) -> Option<Self> {
        let mut encoded = String::new();
        for byte in path.bytes() {
            match byte.is_ascii() {
                true => encoded.push(char::from(byte)),
                false => encode(byte, &mut encoded),
            }
        }
        Self::parse(&encoded)
    }

    /// The same page below the public base path.
    #[cfg(feature = "axum")]
    pub(crate) fn below(&self, base: &str) -> Self {
        Self(format!("{base}{}", self.0))
    }

    /// The path alone.
    pub(crate) fn path(&self) -> &str {
        self.0.split(['?', '#']).next().unwrap_or_default()
    }

    /// Whether `path` is the path of this target, with any percent-encoding (RFC 3986, 6.2.2).
    pub(crate) fn is_at(&self, path: &str) -> bool {
        let own = self.path();
        let has_spellings = |path: &str| path.contains('%') || !path.is_ascii();
        // An encoded byte takes at most three characters, so a much longer path cannot be equal.
        let may_be_same =
            path.len() <= 3 * own.len() && (has_spellings(own) || has_spellings(path));
        own == path || may_be_same && normal(own) == normal(path)
    }

    /// The address of this page as browsers request it, with further parameters:
    /// `/app/in?return_to=…`.
    pub(crate) fn location(&self, base: &str, parameters: &[(&str, Option<&str>)]) -> String {
        let (place, fragment) = match self.0.split_once('#') {
            Some((place, fragment)) => (place, Some(fragment)),
            None => (self.as_str(), None),
        };
        let mut location = format!("{base}{place}");
        for (name, value) in parameters {
            let Some(value) = value else {
                continue;
            };
            location.push(if location.contains('?') { '&' } else { '?' });
            location.push_str(name);
            location.push('=');
            for byte in value.bytes() {
                if is_unreserved(byte) || byte == b'/' {
                    location.push(char::from(byte));
                } else {
                    encode(byte, &mut location);
                }
            }
        }
        if let Some(fragment) = fragment {
            location.push('#');
            location.push_str(fragment);
        }
        location
    }
}

fn encode(byte: u8, into: &mut String) {
    into.push_str(&format!("%{byte:02X}"));
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// The bytes of a percent-encoded text, each with whether it was encoded.
fn bytes(text: &str) -> impl Iterator<Item = (u8, bool)> {
    let mut rest = text.as_bytes();
    iter::from_fn(move || {
        let (&byte, after) = rest.split_first()?;
        if byte == b'%'
            && let [high, low, after @ ..] = after
            && let Some((high, low)) = digit(*high).zip(digit(*low))
        {
            rest = after;
            return Some((high * 16 + low, true));
        }
        rest = after;
        Some((byte, false))
    })
}

/// A name or value of a query, as a form writes them.
fn form_decoded(text: &str) -> Vec<u8> {
    let decoded = bytes(text).map(|byte| match byte {
        (b'+', false) => b' ',
        (byte, _) => byte,
    });
    decoded.collect()
}

/// A path in its normal form, which all of its spellings share.
fn normal(path: &str) -> String {
    let mut normal = String::new();
    for (byte, encoded) in bytes(path) {
        // A reserved character has another meaning when it is encoded.
        if byte.is_ascii() && (!encoded || is_unreserved(byte)) {
            normal.push(char::from(byte));
        } else {
            encode(byte, &mut normal);
        }
    }
    normal
}

fn digit(byte: u8) -> Option<u8> {
    u8::try_from(char::from(byte).to_digit(16)?).ok()
}

/// The front page.
impl Default for ReturnTo {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl fmt::Display for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Refuses what [`parse`](ReturnTo::parse) refuses.
impl<'de> Deserialize<'de> for ReturnTo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let target = Cow::<str>::deserialize(deserializer)?;
        Self::parse(&target).ok_or_else(|| D::Error::custom("not a path of this site"))
    }
}

/// A page of this site, named by a setting.
pub(crate) fn page(path: &str) -> Result<ReturnTo, ConfigError> {
    ReturnTo::of_setting(path).ok_or_else(|| {
        ConfigError::new(format!(
            "{path:?} is not a path of this site, such as `/sign-in`"
        ))
    })
}

/// Without a slash at its end, so that paths can follow.
pub(crate) fn base_path(path: &str) -> Result<String, ConfigError> {
    let base = ReturnTo::of_setting(path).filter(|base| base.path() == base.as_str());
    let base = base.ok_or_else(|| {
        ConfigError::new(format!(
            "{path:?} is not a base path, such as `/shop`: a path of this site without a query"
        ))
    })?;
    Ok(base.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s058_no_target_on_another_site_is_a_return_target() {
        for hostile in [
            "",
            "cart",
            "?x=/",
            "#/",
            "https://evil.example",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "/\t/evil.example",
            "\t//evil.example",
            " /",
            "/a b",
            "/\n",
            "/\r\nSet-Cookie: a=b",
            "javascript:alert(1)",
            "/.//evil.example",
            "/..//evil.example",
            "/a//evil.example",
            "https:/evil.example",
            "/\u{0}",
            "/\u{7f}",
            "/é",
            "//",
            "/%5c\\evil",
            "data:text/html,x",
            "https:evil.example",
            "@evil.example",
            ".evil.example",
            "/\u{3000}",
        ] {
            assert_eq!(ReturnTo::parse(hostile), None, "{hostile:?}");
        }
        assert!(ReturnTo::parse(&format!("/{}", "a".repeat(LONGEST))).is_none());
    }

    #[test]
    fn paths_of_this_site_are_return_targets() {
        for target in [
            "/",
            "/cart",
            "/cart?item=3&next=//x",
            "/a/b#c",
            "/%2f%2fevil.example",
            "/?u=https://a.b",
        ] {
            assert_eq!(ReturnTo::parse(target).unwrap().as_str(), target);
        }
    }

    #[test]
    fn a_target_is_sent_in_the_query_of_a_page() {
        let page = |text| ReturnTo::parse(text).unwrap();
        let location = |text, target| page(text).location("", &[("return_to", target)]);
        assert_eq!(
            location("/in", Some("/cart?a=b&c=d")),
            "/in?return_to=/cart%3Fa%3Db%26c%3Dd"
        );
        assert_eq!(location("/in?x=1#y", Some("/")), "/in?x=1&return_to=/#y");
        assert_eq!(location("/in", None), "/in");
    }

    #[test]
    fn s058_a_target_is_read_from_a_query_only_if_it_occurs_once() {
        for (query, expected) in [
            ("return_to=/cart%3Fa%3Db%26c%3Dd", Some("/cart?a=b&c=d")),
            ("return_to=%2fcart", Some("/cart")),
            ("scope=general&return_to=/cart&x", Some("/cart")),
            ("return%5Fto=/cart", Some("/cart")),
            ("return_to=/a%2520b%2B", Some("/a%20b+")),
            ("return_to=/100%", Some("/100%")),
            ("return_to=/a=b", Some("/a=b")),
            ("", None),
            ("return_to", None),
            ("return_to=", None),
            ("returnto=/cart", None),
            ("return_to=/cart&return_to=/cart", None),
            ("return_to=/cart&return%5fto=//evil.example", None),
            ("return_to=//evil.example", None),
            ("return_to=%2F%2Fevil.example", None),
            ("return_to=https%3A%2F%2Fevil.example", None),
            ("return_to=/%5Cevil.example", None),
            ("return_to=/a+b", None),
            ("return_to=/%0D%0ASet-Cookie:a=b", None),
            ("return_to=/%FF", None),
            ("return_to=/%C3%A9", None),
        ] {
            let target = ReturnTo::from_query(query);
            assert_eq!(target.as_ref().map(ReturnTo::as_str), expected, "{query}");
        }
    }

    #[test]
    fn s058_a_target_in_a_document_obeys_the_same_rules() {
        let read = serde_json::from_str::<ReturnTo>;
        assert_eq!(read("\"/cart?a=b\"").unwrap().as_str(), "/cart?a=b");
        assert_eq!(read("\"\\/cart\"").unwrap().as_str(), "/cart");
        for hostile in ["\"//evil.example\"", "\"/\\\\evil.example\"", "\"\"", "7"] {
            assert!(read(hostile).is_err(), "{hostile}");
        }
    }

    #[test]
    fn a_page_gets_the_scope_and_is_below_the_public_base() {
        let page = ReturnTo::parse("/in").unwrap();
        let scope = Some("a b&return_to=//evil.example#");
        assert_eq!(
            page.location("/app", &[("scope", scope), ("return_to", Some("/"))]),
            "/app/in?scope=a%20b%26return_to%3D//evil.example%23&return_to=/"
        );
    }

    #[test]
    fn a_localized_path_is_the_same_in_every_spelling() {
        let page = ReturnTo::of_setting("/bestätigen?x=ä").unwrap();
        assert_eq!(page.as_str(), "/best%C3%A4tigen?x=%C3%A4");
        for (path, expected) in [
            ("/best%C3%A4tigen", true),
            ("/best%c3%a4tigen", true),
            ("/bestätigen", true),
            ("/%62est%C3%A4tigen", true),
            ("/bestatigen", false),
            ("/best%C3%A4tigen/", false),
            ("/best%C3%A4tige%6", false),
        ] {
            assert_eq!(page.is_at(path), expected, "{path}");
        }
        let page = ReturnTo::parse("/in").unwrap();
        assert!(page.is_at("/%69%6E") && !page.is_at(&format!("/in{}", "%ff".repeat(20_000))));
        let page = ReturnTo::parse("/a%2Fb%25").unwrap();
        assert!(page.is_at("/a%2fb%25"));
        assert!(!page.is_at("/a/b%25") && !page.is_at("/a%2Fb%"));
        assert_eq!(ReturnTo::of_setting("//evil.example"), None);
        assert_eq!(
            ReturnTo::of_setting("/\u{3000}"),
            ReturnTo::parse("/%E3%80%80")
        );
    }

    #[test]
    fn the_path_ends_where_the_query_begins() {
        for text in ["/in", "/in?x=/y", "/in#y", "/in?#"] {
            assert_eq!(ReturnTo::parse(text).unwrap().path(), "/in");
        }
    }
}
