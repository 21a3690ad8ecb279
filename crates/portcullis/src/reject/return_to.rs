//! A redirect target on this site.

use std::fmt;

use portcullis_core::ConfigError;

/// A path on this site, with or without a query: `/cart?item=3`.
///
/// All other targets are refused: other sites in all spellings that browsers follow (`https://…`,
/// `//…`, `/\…`), and characters that browsers drop or that break headers (OWASP ASVS 5.0, 3.7.2;
/// OWASP Unvalidated Redirects).
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

    /// The path and query.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a path that the application writes down: letters of any script are percent-encoded, as
    /// browsers do.
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

    /// The path alone.
    pub(crate) fn path(&self) -> &str {
        self.0.split(['?', '#']).next().unwrap_or_default()
    }

    /// Whether `path` is the path of this, however either is percent-encoded (RFC 3986, 6.2.2).
    pub(crate) fn is_at(&self, path: &str) -> bool {
        let own = self.path();
        let has_spellings = |path: &str| path.contains('%') || !path.is_ascii();
        // Each letter has three at most, so of a long path none need be spelled.
        let may_be_same =
            path.len() <= 3 * own.len() && (has_spellings(own) || has_spellings(path));
        own == path || may_be_same && normal(own) == normal(path)
    }

    /// The address of this page as browsers ask for it, with further parameters:
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

/// A path in the one spelling that all of its spellings have in common.
fn normal(path: &str) -> String {
    let (mut normal, mut rest) = (String::new(), path.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        let encoded = match after {
            [high, low, ..] if byte == b'%' => digit(*high).zip(digit(*low)),
            _ => None,
        };
        let (byte, encoded) = match encoded {
            Some((high, low)) => {
                rest = after.get(2..).unwrap_or_default();
                (high * 16 + low, true)
            }
            None => {
                rest = after;
                (byte, false)
            }
        };
        // What is reserved means another thing when it is encoded.
        if byte.is_ascii() && (!encoded || is_unreserved(byte)) {
            normal.push(char::from(byte));
        } else {
            encode(byte, &mut normal);
        }
    }
    normal
}

fn digit(letter: u8) -> Option<u8> {
    u8::try_from(char::from(letter).to_digit(16)?).ok()
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

/// A page of this site that a setting names.
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
        let location = |text, target| page(text).location("", &[("return_to", target)]);
        assert_eq!(
            location("/in", Some("/cart?a=b&c=d")),
            "/in?return_to=/cart%3Fa%3Db%26c%3Dd"
        );
        assert_eq!(location("/in?x=1#y", Some("/")), "/in?x=1&return_to=/#y");
        assert_eq!(location("/in", None), "/in");
    }

    #[test]
    fn a_page_is_told_the_scope_and_stands_below_the_public_base() {
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
