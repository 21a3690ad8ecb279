//! The page for a request whose session cookie the browser withheld.

use bytes::Bytes;
use http::{
    HeaderValue, Response,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};

use crate::reject::html::{self, HTML};

const NO_INDEX: &str = "<meta name=\"robots\" content=\"noindex\">\n";

/// Refreshes the page at once, without a referrer.
const REFRESH: &str = "<meta name=\"referrer\" content=\"no-referrer\">\n<meta http-equiv=\"refresh\" content=\"0\">\n";

/// A page that requests the same address again. That request comes from a page of the site, so the
/// browser sends `Strict` cookies, and `Sec-Fetch-Site: same-origin` confirms that none is
/// withheld.
///
/// In a sandbox, a page has an opaque origin, and its requests are cross-site: there a refresh
/// would repeat for ever. So the page refreshes only in answer to a request with a referrer or a
/// user activation, and the refresh has neither. Otherwise it shows a link. It contains no data of
/// the request.
pub(crate) fn ask_again(refreshes: bool) -> Response<Bytes> {
    let refresh = if refreshes { REFRESH } else { "" };
    let page = html::page(
        "One moment",
        &format!("{NO_INDEX}{refresh}"),
        "<p>This page was opened from another site. <a href=\"\">Continue</a>\n",
    );
    let mut response = Response::new(Bytes::from(page));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HTML);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
