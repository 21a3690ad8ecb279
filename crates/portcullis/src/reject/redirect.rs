//! The application's pages to which refused browsers are redirected.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, LOCATION},
};

use crate::{ReturnTo, reject::audience::Navigation};

/// The application's pages for refused users.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pages {
    pub(crate) sign_in: Option<ReturnTo>,
    pub(crate) reauthentication: Option<ReturnTo>,
    /// The prefix that a proxy removes from the path.
    pub(crate) base: String,
}

impl Pages {
    /// Whether this path is the re-authentication page.
    pub(crate) fn are_confirmed_at(&self, path: &str) -> bool {
        let page = self.reauthentication.as_ref();
        page.is_some_and(|page| page.is_at(path))
    }

    /// The address to sign in at and return from. `None` on the sign-in page itself.
    pub(crate) fn sign_in(&self, navigation: &Navigation) -> Option<String> {
        let page = self.sign_in.as_ref()?;
        if page.is_at(navigation.path()) {
            return None;
        }
        Some(self.location(page, None, navigation))
    }

    /// The address to prove the user's identity at, and return from. `what` the proof is for is a
    /// parameter of the address.
    pub(crate) fn reauthentication(
        &self,
        what: (&str, &str),
        navigation: &Navigation,
    ) -> Option<String> {
        let page = self.reauthentication.as_ref()?;
        Some(self.location(page, Some(what), navigation))
    }

    fn location(
        &self,
        page: &ReturnTo,
        what: Option<(&str, &str)>,
        navigation: &Navigation,
    ) -> String {
        let target = self.return_to(page, navigation);
        let target = target.as_ref().map(ReturnTo::as_str);
        let (name, value) = what.unzip();
        let what = (name.unwrap_or_default(), value);
        page.location(&self.base, &[what, ("return_to", target)])
    }

    /// A form on the page itself does not lead back there.
    fn return_to(&self, page: &ReturnTo, navigation: &Navigation) -> Option<ReturnTo> {
        let target = navigation.return_to(&self.base)?;
        let path = target.path().strip_prefix(self.base.as_str());
        (!path.is_some_and(|path| page.is_at(path))).then_some(target)
    }
}

/// A 303 to this address.
pub(crate) fn redirect(location: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::from_str(location) {
        headers.insert(LOCATION, location);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
