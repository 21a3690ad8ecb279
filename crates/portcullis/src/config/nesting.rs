//! Warnings about session layers inside other session layers.
//!
//! Each layer has its own sessions. Code uses the session of the innermost layer around it. Each
//! conflict is logged once for each layer.

use std::sync::{
    OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use portcullis_core::Realm;

use crate::headers::cookie::CookieConfig;

/// The cookie and the realm of a layer.
#[derive(Clone, Copy)]
pub(crate) struct Names<'a> {
    pub(crate) cookie: &'a CookieConfig,
    /// The realm that the application has named, if any.
    pub(crate) realm: Option<&'a Realm>,
}

/// The warnings about the layers around a layer. Each is logged once.
#[derive(Default)]
pub(crate) struct Nesting {
    /// The address of the outer configuration that was checked last, so that it is not checked
    /// again for each request.
    checked: AtomicUsize,
    same_cookie: OnceLock<()>,
    taken_cookie: OnceLock<()>,
    same_realm: OnceLock<()>,
}

impl Nesting {
    /// Warns that the layer is inside another one with the same cookie.
    pub(crate) fn warn_of_same_cookie(&self, inner: Names<'_>) {
        self.same_cookie.get_or_init(|| {
            tracing::warn!(
                cookie = inner.cookie.name(),
                "a session layer is inside another one with the same cookie and does nothing, or refuses all use if its realm is another; remove it, or give it another cookie name"
            );
        });
    }

    /// Warns about conflicts between two layers with different cookies.
    pub(crate) fn check(&self, inner: Names<'_>, outer: Names<'_>) {
        let address = std::ptr::from_ref(outer.cookie).addr();
        if self.checked.swap(address, Ordering::Relaxed) == address {
            return;
        }
        let cookies = (inner.cookie.name(), outer.cookie.name());
        if inner.cookie.takes_away(outer.cookie) || outer.cookie.takes_away(inner.cookie) {
            self.taken_cookie.get_or_init(|| {
                tracing::warn!(
                    ?cookies,
                    "one of two nested session layers accepts or formerly had the cookie of the other one, and removes it; leave that name out"
                );
            });
        }
        // A realm that is named may be shared on purpose.
        let unnamed = inner.realm.is_none() && outer.realm.is_none();
        if unnamed && Realm::of_cookie(cookies.0) == Realm::of_cookie(cookies.1) {
            self.same_realm.get_or_init(|| {
                tracing::warn!(
                    ?cookies,
                    "the cookies of two nested session layers differ in their prefix only, so both share one realm, and an identifier of one opens the other; name the realm of each"
                );
            });
        }
    }
}
