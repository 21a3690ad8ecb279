//! What layers have said about a route.

use http::Extensions;

/// What layers have said about a route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RouteAnnotations {
    pub(crate) api: bool,
    pub(crate) reauthentication_page: bool,
    pub(crate) passive: bool,
    pub(crate) cross_site_sign_in: bool,
}

impl RouteAnnotations {
    /// The annotations of the layers that the request has passed.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or_default()
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            api: self.api || other.api,
            reauthentication_page: self.reauthentication_page || other.reauthentication_page,
            passive: self.passive || other.passive,
            cross_site_sign_in: self.cross_site_sign_in || other.cross_site_sign_in,
        }
    }
}
