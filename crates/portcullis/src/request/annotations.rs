//! Annotations of a route by the layers around it.

use http::Extensions;

/// The annotations of a route. A layer can set one, but not unset it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RouteAnnotations {
    /// The route belongs to an API: refusals are written for programs.
    pub(crate) api: bool,
    /// The route is where users prove their identity again.
    pub(crate) reauthentication_page: bool,
    /// Requests to the route are no activity.
    pub(crate) passive: bool,
    /// The route signs users in at the request of other sites.
    pub(crate) cross_site_sign_in: bool,
}

impl RouteAnnotations {
    /// The annotations of the layers that the request has passed.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or_default()
    }

    /// These annotations and the other ones.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            api: self.api || other.api,
            reauthentication_page: self.reauthentication_page || other.reauthentication_page,
            passive: self.passive || other.passive,
            cross_site_sign_in: self.cross_site_sign_in || other.cross_site_sign_in,
        }
    }
}
