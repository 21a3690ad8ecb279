//! Makes a browser request the same address once more.
//!
//! A request with a just-replaced identifier crossed the response with the new one. A second later,
//! the browser has the new identifier, so a retry can succeed. The response is the ordinary 401
//! with a `Refresh` field, which browsers follow and programs do not.
//!
//! It also sets a cookie. A browser that sends this cookie does not get the field again, so there
//! is no loop. The cookie lasts as long as a store remembers that an identifier was replaced. After
//! that, the identifier is unknown, and there is no retry.

use http::{
    HeaderMap, HeaderValue,
    header::{REFRESH, SET_COOKIE},
};
use portcullis_core::EndReason;

use crate::{
    headers::cookie::{CookieConfig, Cookies},
    reject::audience::Navigation,
};

fn cookie_name(cookie: &CookieConfig) -> String {
    format!("{}-retried", cookie.name())
}

/// Whether the browser already got the `Refresh` field.
pub(crate) fn was_asked(cookies: &Cookies, cookie: &CookieConfig) -> bool {
    cookies.has(&cookie_name(cookie))
}

/// Asks the browser to retry after a second, when the new identifier has arrived. The address is
/// named, because with a fragment a browser would only scroll.
pub(crate) fn ask(headers: &mut HeaderMap, cookie: &CookieConfig, navigation: &Navigation) {
    let refresh = format!("1; url={}", navigation.relative());
    let lifetime = EndReason::Replaced.remembered_for();
    // Without the cookie it could loop.
    if let (Ok(refresh), Some(marker)) = (
        HeaderValue::from_bytes(refresh.as_bytes()),
        cookie.marker(&cookie_name(cookie), lifetime),
    ) {
        headers.append(SET_COOKIE, marker);
        headers.insert(REFRESH, refresh);
    }
}
