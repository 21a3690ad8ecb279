//! Pages that replace problem documents for browsers that wait for a page.

use bytes::Bytes;
use http::{
    HeaderValue, Response,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
};

use crate::{
    body::SessionBody,
    headers::cookie::CookieConfig,
    reject::{
        audience::{Audience, Navigation},
        refusal::{Detail, PROBLEM, Pages, Refusal, RefusalContext},
        retry_page,
    },
};

/// The same response with a page as its body, if it is a problem document of this library and a
/// browser waits for a page.
pub(crate) fn for_browser<B>(
    context: RefusalContext<'_>,
    cookie: &CookieConfig,
    response: Response<SessionBody<B>>,
) -> Response<SessionBody<B>> {
    let Audience::Browser(navigation) = context.by else {
        return response;
    };
    let headers = response.headers();
    let is_problem = headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind == PROBLEM);
    if !is_problem || headers.contains_key(CONTENT_ENCODING) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let problem = (
        parts.extensions.get::<Refusal>(),
        parts.extensions.get::<Detail>(),
    );
    let (Some(refusal), Some(Detail(detail))) = problem else {
        return Response::from_parts(parts, body);
    };
    let link = link(context.pages, refusal, navigation);
    let page = page(title(refusal), detail, link);
    let retries = refusal.is_of_replaced() && context.can_retry;
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    if retries {
        retry_page::ask(&mut parts.headers, cookie, navigation);
    }
    Response::from_parts(parts, SessionBody::own(Bytes::from(page)))
}

fn title(refusal: &Refusal) -> &'static str {
    match refusal {
        _ if refusal.is_of_replaced() => "Your session was renewed",
        Refusal::SignInRequired { .. } => "Sign in",
        Refusal::ElevationRequired { .. } => "Confirm that it is you",
        Refusal::SessionEnded { .. } => "Your session has ended",
        Refusal::Unavailable { .. } => "Try again shortly",
        Refusal::TooLarge => "Too much to keep",
        Refusal::AtLimit => "Too many devices",
        Refusal::CrossSite | Refusal::CookieWithheld => "Asked for by another site",
        _ => "Something went wrong",
    }
}

/// Where to go from here: an address and what it is.
fn link(
    pages: &Pages,
    refusal: &Refusal,
    navigation: &Navigation,
) -> Option<(String, &'static str)> {
    let needs_sign_in = matches!(
        refusal,
        Refusal::SignInRequired { .. } | Refusal::SessionEnded { .. }
    );
    if needs_sign_in
        && !refusal.is_of_replaced()
        && let Some(address) = pages.sign_in_link(navigation)
    {
        return Some((address, "Sign in"));
    }
    if let Some(page) = navigation.page_of_form() {
        return Some((page.to_string(), "Back to the form"));
    }
    let is_passing = refusal.is_of_replaced() || matches!(refusal, Refusal::Unavailable { .. });
    // An empty address is that of the page itself.
    (navigation.is_get() && is_passing).then(|| (String::new(), "Try again"))
}

fn page(title: &str, detail: &str, link: Option<(String, &str)>) -> String {
    let (title, detail) = (escaped(title), escaped(detail));
    let link = link.map_or_else(String::new, |(address, label)| {
        format!(
            "<p><a href=\"{}\">{}</a></p>\n",
            escaped(&address),
            escaped(label)
        )
    });
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<h1>{title}</h1>\n<p>{detail}</p>\n{link}</html>\n"
    )
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_site_asked_for_is_called_that() {
        for refusal in [Refusal::CrossSite, Refusal::CookieWithheld] {
            assert_eq!(title(&refusal), "Asked for by another site");
        }
    }

    #[test]
    fn nothing_in_a_page_is_taken_for_its_markup() {
        let link = Some(("/a?b=\"><script>".to_owned(), "<&'"));
        let page = page("<title>", "<script>", link);
        for text in [
            "<title>&lt;title&gt;</title>",
            "<p>&lt;script&gt;</p>",
            "<a href=\"/a?b=&quot;&gt;&lt;script&gt;\">&lt;&amp;&#39;</a>",
        ] {
            assert!(page.contains(text), "{page}");
        }
    }
}
