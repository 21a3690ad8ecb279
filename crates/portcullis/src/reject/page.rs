//! Pages that replace problem documents for browsers that wait for a page.

use bytes::Bytes;
use http::{
    Response,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
};

use crate::{
    body::SessionBody,
    headers::cookie::CookieConfig,
    reject::{
        audience::{Audience, Navigation},
        document::PROBLEM,
        html::{self, HTML, escaped},
        problem::{Entry, Problem, Remedy},
        redirect::Pages,
        refusal::Refusal,
        response::RefusalContext,
        retry_page,
    },
};

/// The same response with a page as its body, if it is a problem document of this library and a
/// browser waits for a page.
pub(crate) fn for_browser<'a, B>(
    context: impl FnOnce() -> RefusalContext<'a>,
    cookie: &CookieConfig,
    response: Response<SessionBody<B>>,
) -> Response<SessionBody<B>> {
    let Some(entry) = document_of(&response) else {
        return response;
    };
    let context = context();
    let Audience::Browser(navigation) = context.by else {
        return response;
    };
    let page = page(&entry, link(context.pages, entry.remedy, navigation));
    let mut response = response.map(|_| SessionBody::own(Bytes::from(page)));
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HTML);
    let retries = match entry.remedy {
        Remedy::Retry | Remedy::RetryThenSignIn => context.can_retry,
        Remedy::SignIn
        | Remedy::ReadThenSignIn
        | Remedy::Reauthenticate { .. }
        | Remedy::Approve { .. }
        | Remedy::RetryLater
        | Remedy::GoBack => false,
    };
    if retries {
        retry_page::ask(headers, cookie, navigation);
    }
    response
}

/// The problem whose document is the body, if the library wrote it and no layer replaced it.
fn document_of<B>(response: &Response<B>) -> Option<Entry> {
    let (headers, extensions) = (response.headers(), response.extensions());
    let is_document = headers.get(CONTENT_TYPE)? == PROBLEM
        && !headers.contains_key(CONTENT_ENCODING)
        && extensions.get::<Refusal>().is_some();
    let problem = extensions.get::<Problem>().filter(|_| is_document)?;
    Some(problem.entry())
}

/// The link of the page: an address and its label.
fn link(pages: &Pages, remedy: Remedy, navigation: &Navigation) -> Option<(String, &'static str)> {
    let (signs_in, repeats) = match remedy {
        Remedy::SignIn | Remedy::ReadThenSignIn => (true, false),
        Remedy::Retry | Remedy::RetryThenSignIn | Remedy::RetryLater => (false, true),
        Remedy::Reauthenticate { .. } | Remedy::Approve { .. } | Remedy::GoBack => (false, false),
    };
    if signs_in && let Some(address) = pages.sign_in(navigation) {
        return Some((address, "Sign in"));
    }
    if let Some(page) = navigation.page_of_form() {
        return Some((page.to_string(), "Back to the form"));
    }
    // An empty address means the page itself.
    (repeats && navigation.is_get()).then(|| (String::new(), "Try again"))
}

fn page(entry: &Entry, link: Option<(String, &str)>) -> String {
    let (title, text) = (escaped(entry.title), escaped(&entry.text));
    let link = link.map_or_else(String::new, |(address, label)| {
        let (address, label) = (escaped(&address), escaped(label));
        format!("<p><a href=\"{address}\">{label}</a></p>\n")
    });
    let body = format!("<h1>{title}</h1>\n<p>{text}</p>\n{link}");
    html::page(entry.title, "", &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_in_a_page_is_never_markup() {
        let entry = Entry {
            title: "<title>",
            text: "<script>".into(),
            ..Problem::Failed.entry()
        };
        let link = Some(("/a?b=\"><script>".to_owned(), "<&'"));
        let page = page(&entry, link);
        for text in [
            "<title>&lt;title&gt;</title>",
            "<h1>&lt;title&gt;</h1>",
            "<p>&lt;script&gt;</p>",
            "<a href=\"/a?b=&quot;&gt;&lt;script&gt;\">&lt;&amp;&#39;</a>",
        ] {
            assert!(page.contains(text), "{page}");
        }
    }
}
