//! Asks a browser for the same address once more.
//!
//! A request that came with an identifier which was just replaced crossed the response that hands out the new one. A
//! second later the browser has it, so its request is worth repeating. The answer is the ordinary 401 with a field
//! `Refresh`, which browsers follow and programs do not, and a cookie that says that this was done. Whoever comes with
//! that cookie is not asked again, so it cannot loop. The cookie lasts as long as a store remembers that an identifier
//! was replaced; after that the identifier is an unknown one, and nobody is asked again for those.

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

/// Whether the browser was asked already.
pub(crate) fn was_asked(cookies: &Cookies, cookie: &CookieConfig) -> bool {
    cookies.has(&cookie_name(cookie))
}

/// Asks the browser that gets a response with these fields, a second later: at once would be before the new identifier
/// has arrived. The address is named, since a browser would only scroll to the fragment of its own.
pub(crate) fn ask(headers: &mut HeaderMap, cookie: &CookieConfig, navigation: &Navigation) {
    let refresh = format!("1; url={}", navigation.relative());
    let lifetime = EndReason::Replaced.remembered_for();
    // Without the mark it could loop.
    if let (Ok(refresh), Some(mark)) = (
        HeaderValue::from_bytes(refresh.as_bytes()),
        cookie.mark(&cookie_name(cookie), lifetime),
    ) {
        headers.append(SET_COOKIE, mark);
        headers.insert(REFRESH, refresh);
    }
}
