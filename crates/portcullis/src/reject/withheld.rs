//! The page that answers a request whose session cookie the browser withheld.

use bytes::Bytes;
use http::{
    HeaderValue, Response,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};

/// Refreshes the page at once, without a referrer.
const REFRESH: &str = "<meta name=\"referrer\" content=\"no-referrer\">\n<meta http-equiv=\"refresh\" content=\"0\">\n";

/// A page that requests the same address again. That request comes from a page of the site, so
/// `Strict` cookies come along, and `Sec-Fetch-Site: same-origin` says that none is withheld.
///
/// In a sandbox a page has an opaque origin, and its requests are cross-site: there a refresh would
/// repeat for ever. So the page refreshes only in answer to a request with a referrer or a user
/// activation, and the refresh has neither. Otherwise it shows a link. It needs no script and no
/// style, so no policy blocks it, and it shows nothing of the request.
pub(crate) fn ask_again(refreshes: bool) -> Response<Bytes> {
    let refresh = if refreshes { REFRESH } else { "" };
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"robots\" content=\"noindex\">\n\
         {refresh}<title>One moment</title>\n<p>This page was opened from another site. <a href=\"\">Continue</a>\n"
    );
    let mut response = Response::new(Bytes::from(page));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
