//! Where to send somebody after signing in: a place on this site, and nowhere else.

use std::fmt;

/// A path on this site, with or without a query: `/cart?item=3`.
///
/// What cannot be one is refused: other sites in all spellings that browsers follow (`https://…`, `//…`,
/// `/\…`), and characters that browsers drop or that break headers (OWASP ASVS 5.0, 3.7.2; OWASP
/// Unvalidated Redirects).
///
/// ```
/// # use portcullis::ReturnTo;
/// assert_eq!(ReturnTo::parse("/cart?item=3").unwrap().as_str(), "/cart?item=3");
/// assert!(ReturnTo::parse("//evil.example").is_none());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReturnTo(String);

const LONGEST: usize = 2048;

impl ReturnTo {
    /// Reads a target, which may come from a stranger.
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

    /// The path and query.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path alone.
    pub(crate) fn path(&self) -> &str {
        self.0.split(['?', '#']).next().unwrap_or_default()
    }

    /// This path with `?return_to=…` (or `&return_to=…`) added.
    pub(crate) fn carrying(&self, target: Option<&ReturnTo>) -> String {
        let Some(target) = target else {
            return self.0.clone();
        };
        let (place, fragment) = match self.0.split_once('#') {
            Some((place, fragment)) => (place, Some(fragment)),
            None => (self.as_str(), None),
        };
        let mut location = place.to_owned();
        location.push(if place.contains('?') { '&' } else { '?' });
        location.push_str("return_to=");
        for byte in target.0.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
                location.push(char::from(byte));
            } else {
                location.push_str(&format!("%{byte:02X}"));
            }
        }
        if let Some(fragment) = fragment {
            location.push('#');
            location.push_str(fragment);
        }
        location
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s058_nothing_that_leads_off_the_site_is_a_return_target() {
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
    fn paths_of_this_site_are() {
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
    fn a_target_travels_in_the_query_of_a_page() {
        let page = |text| ReturnTo::parse(text).unwrap();
        let target = page("/cart?a=b&c=d");
        assert_eq!(
            page("/in").carrying(Some(&target)),
            "/in?return_to=/cart%3Fa%3Db%26c%3Dd"
        );
        assert_eq!(
            page("/in?x=1#y").carrying(Some(&page("/"))),
            "/in?x=1&return_to=/#y"
        );
        assert_eq!(page("/in").carrying(None), "/in");
    }

    #[test]
    fn the_path_ends_where_the_query_begins() {
        for text in ["/in", "/in?x=/y", "/in#y", "/in?#"] {
            assert_eq!(ReturnTo::parse(text).unwrap().path(), "/in");
        }
    }
}
