//! Makes a browser request the same address once more.
//!
//! A request with an identifier that was just replaced crossed the response with the new one. A
//! second later the browser has the new identifier, so its request is worth repeating. The response
//! is the ordinary 401 with a `Refresh` field, which browsers follow and programs do not.
//!
//! It also sets a cookie. A browser that sends this cookie is not asked again, so there is no loop.
//! The cookie lasts as long as a store remembers that an identifier was replaced. After that the
//! identifier is unknown, and no retry is asked for.

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

/// Whether the browser was asked to retry already.
pub(crate) fn was_asked(cookies: &Cookies, cookie: &CookieConfig) -> bool {
    cookies.has(&cookie_name(cookie))
}

/// Asks the browser that receives these fields to retry after a second, when the new identifier has
/// arrived. The address is named, because with a fragment a browser would only scroll.
pub(crate) fn ask(headers: &mut HeaderMap, cookie: &CookieConfig, navigation: &Navigation) {
    let refresh = format!("1; url={}", navigation.relative());
    let lifetime = EndReason::Replaced.remembered_for();
    // Without the cookie it could loop.
    if let (Ok(refresh), Some(asked)) = (
        HeaderValue::from_bytes(refresh.as_bytes()),
        cookie.mark(&cookie_name(cookie), lifetime),
    ) {
        headers.append(SET_COOKIE, asked);
        headers.insert(REFRESH, refresh);
    }
}
