//! The client that waits for the response: a program, or a user in a browser.

use http::{
    HeaderMap, Method, Uri,
    header::{ORIGIN, REFERER},
};

#[cfg(feature = "axum")]
use crate::headers::fields::navigates;
use crate::{
    ReturnTo,
    headers::{
        accept::prefers_page,
        fields::{Fields, only},
        host::{Host, Origin},
    },
};

/// The client that waits for the response.
#[derive(Debug)]
pub(crate) enum Audience {
    Program,
    Browser(Navigation),
}

/// The target of a browser's navigation.
#[derive(Debug)]
pub(crate) struct Navigation {
    uri: Uri,
    from: From,
}

#[derive(Debug)]
enum From {
    /// The address can be requested again.
    Get,
    /// A form was submitted, on this page of the site if known.
    Form(Option<ReturnTo>),
}

impl Audience {
    pub(crate) fn of(method: &Method, uri: &Uri, headers: &HeaderMap, fields: &Fields<'_>) -> Self {
        let can_be_a_page = *method == Method::GET || *method == Method::POST;
        let navigates = fields
            .navigates()
            .unwrap_or_else(|| can_be_a_page && prefers_page(headers));
        if !navigates {
            return Self::Program;
        }
        let from = if *method == Method::GET {
            From::Get
        } else {
            From::Form(page_of_form(uri, headers, fields))
        };
        Self::Browser(Navigation {
            uri: uri.clone(),
            from,
        })
    }
}

/// Whether the client waits for a page. Also true for a submitted form of a browser that sends no
/// fetch metadata.
#[cfg(feature = "axum")]
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    navigates(headers.get("sec-fetch-mode")).unwrap_or_else(|| prefers_page(headers))
}

impl Navigation {
    pub(crate) fn path(&self) -> &str {
        self.uri.path()
    }

    /// The address, relative to itself and without a fragment. It is relative because a proxy may
    /// have removed a prefix of the path.
    pub(crate) fn relative(&self) -> String {
        match self.uri.query() {
            Some(query) => format!("?{query}"),
            None => format!("./{}", self.path().rsplit('/').next().unwrap_or_default()),
        }
    }

    /// Whether the same address can be requested once more.
    pub(crate) fn is_get(&self) -> bool {
        matches!(self.from, From::Get)
    }

    /// The page of this site on which a form was submitted.
    pub(crate) fn page_of_form(&self) -> Option<&ReturnTo> {
        match &self.from {
            From::Get => None,
            From::Form(page) => page.as_ref(),
        }
    }

    /// The target of a later redirect, as the browser spells it. `base` is the prefix that a proxy
    /// removes from the path.
    pub(crate) fn return_to(&self, base: &str) -> Option<ReturnTo> {
        match &self.from {
            From::Get => {
                let path = self.uri.path_and_query()?;
                ReturnTo::parse(&format!("{base}{path}"))
            }
            From::Form(page) => page.clone(),
        }
    }
}

/// The page of a form: the path of `Referer`, if the browser reports the same origin.
fn page_of_form(uri: &Uri, headers: &HeaderMap, fields: &Fields<'_>) -> Option<ReturnTo> {
    let text = |name| only(headers, name)?.to_str().ok();
    let (origin, page) = Origin::of_url(text(REFERER)?)?;
    let same_origin = match fields.sec_fetch_site {
        Some(site) => site == "same-origin",
        None => {
            let host = Host::of_request(uri, headers)?;
            let declared = match headers.contains_key(ORIGIN) {
                true => Some(Origin::parse(text(ORIGIN)?)?),
                false => None,
            };
            origin.is_served_by(&host) && declared.is_none_or(|declared| declared == origin)
        }
    };
    if !same_origin {
        return None;
    }
    ReturnTo::parse(page.split('#').next()?)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn audience(method: Method, fields: &[(&'static str, &'static str)]) -> Audience {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        let uri = Uri::from_static("/cart?a=b");
        Audience::of(&method, &uri, &headers, &Fields::of(&headers))
    }

    #[test]
    fn a_client_that_waits_for_a_page_is_a_browser() {
        const NAVIGATE: (&str, &str) = ("sec-fetch-mode", "navigate");
        const CORS: (&str, &str) = ("sec-fetch-mode", "cors");
        const HTML: (&str, &str) = ("accept", "text/html,*/*;q=0.8");
        const JSON: (&str, &str) = ("accept", "application/json");
        const ANY: (&str, &str) = ("accept", "*/*;q=0.8");
        for (method, fields, expected) in [
            (Method::GET, &[NAVIGATE][..], true),
            (Method::POST, &[NAVIGATE], true),
            (Method::GET, &[NAVIGATE, ANY], true),
            (Method::GET, &[CORS, HTML], false),
            (Method::POST, &[CORS, HTML], false),
            (Method::GET, &[HTML], true),
            (Method::POST, &[HTML], true),
            (Method::PUT, &[HTML], false),
            (Method::DELETE, &[HTML], false),
            (Method::HEAD, &[HTML], false),
            (Method::GET, &[JSON], false),
            (Method::POST, &[JSON], false),
            (Method::GET, &[ANY], false),
            (Method::GET, &[], false),
        ] {
            let audience = audience(method.clone(), fields);
            let is_browser = matches!(audience, Audience::Browser(_));
            assert_eq!(is_browser, expected, "{method} {fields:?}");
        }
    }

    fn return_to(method: Method, fields: &[(&'static str, &'static str)]) -> Option<String> {
        let mut all = vec![("accept", "text/html")];
        all.extend_from_slice(fields);
        let Audience::Browser(navigation) = audience(method, &all) else {
            panic!("a program")
        };
        let target = navigation.return_to("");
        target.map(|target| target.as_str().to_owned())
    }

    #[test]
    fn s058_a_form_leads_back_to_a_page_of_the_same_origin_and_to_no_other() {
        const HOST: (&str, &str) = ("host", "shop.example:443");
        const FORM: (&str, &str) = ("referer", "https://shop.example/form?a=b");
        const SAME: (&str, &str) = ("sec-fetch-site", "same-origin");
        for (fields, expected) in [
            (&[HOST, FORM][..], Some("/form?a=b")),
            (
                &[HOST, FORM, ("origin", "https://shop.example")],
                Some("/form?a=b"),
            ),
            (&[HOST, FORM, SAME], Some("/form?a=b")),
            // A proxy may have changed `Host`. The browser has compared the origins itself.
            (&[("host", "10.0.0.7"), FORM, SAME], Some("/form?a=b")),
            (&[("host", "10.0.0.7"), FORM], None),
            (&[HOST, FORM, ("sec-fetch-site", "same-site")], None),
            (&[HOST, FORM, ("sec-fetch-site", "cross-site")], None),
            (&[HOST, FORM, ("sec-fetch-site", "none")], None),
            (&[HOST, FORM, ("origin", "null")], None),
            (&[HOST, FORM, ("origin", "https://evil.example")], None),
            (&[HOST, FORM, ("origin", "http://shop.example")], None),
            (&[HOST, FORM, FORM], None),
            (&[HOST], None),
            (&[HOST, ("referer", "https://evil.example/form")], None),
            (
                &[HOST, ("referer", "https://shop.example@evil.example/")],
                None,
            ),
            (&[HOST, ("referer", "https://user@shop.example/form")], None),
            (&[HOST, ("referer", "/form")], None),
            (&[HOST, ("referer", "about:blank")], None),
            (
                &[
                    HOST,
                    SAME,
                    ("referer", "https://shop.example//evil.example"),
                ],
                None,
            ),
            (
                &[
                    HOST,
                    SAME,
                    ("referer", "https://shop.example/\\evil.example"),
                ],
                None,
            ),
            (&[HOST, SAME, ("referer", "https://shop.example")], None),
            (&[HOST, SAME, ("referer", "https://shop.example?a")], None),
            (
                &[HOST, SAME, ("referer", "https://shop.example/a#b")],
                Some("/a"),
            ),
        ] {
            let target = return_to(Method::POST, fields);
            assert_eq!(target.as_deref(), expected, "{fields:?}");
        }
    }

    #[test]
    fn s058_an_address_that_is_too_long_is_no_way_back() {
        let mut headers = HeaderMap::new();
        headers.insert("accept", HeaderValue::from_static("text/html"));
        headers.insert("sec-fetch-site", HeaderValue::from_static("same-origin"));
        for (length, expected) in [(2047, true), (2048, false)] {
            let page = format!("https://shop.example/{}", "a".repeat(length));
            headers.insert(REFERER, page.parse().unwrap());
            let fields = Fields::of(&headers);
            let page = page_of_form(&Uri::from_static("/"), &headers, &fields);
            assert_eq!(page.is_some(), expected, "{length}");
        }
    }

    #[test]
    fn a_relative_address_leads_to_itself_wherever_it_is_mounted() {
        for (target, relative) in [
            ("/", "./"),
            ("/cart", "./cart"),
            ("/a/b:c", "./b:c"),
            ("/a/b/", "./"),
            ("/a?b=c/d", "?b=c/d"),
            ("/a?", "?"),
            ("//evil.example", "./evil.example"),
        ] {
            let navigation = Navigation {
                uri: target.parse().unwrap(),
                from: From::Get,
            };
            assert_eq!(navigation.relative(), relative, "{target}");
        }
    }

    #[test]
    fn a_get_leads_back_to_its_own_address_below_the_public_base() {
        assert_eq!(return_to(Method::GET, &[]).as_deref(), Some("/cart?a=b"));
        let Audience::Browser(navigation) = audience(Method::GET, &[("accept", "text/html")])
        else {
            panic!("a program")
        };
        let target = navigation.return_to("/shop").unwrap();
        assert_eq!(target.as_str(), "/shop/cart?a=b");
    }
}
