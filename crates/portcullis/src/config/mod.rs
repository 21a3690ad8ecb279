//! The settings of a layer, as the services of it use them.

mod nesting;

use std::sync::Arc;

use portcullis_core::{Realm, unit_of_work::SessionSettings};

use self::nesting::{Names, Nesting};
use crate::{
    client::{ClientAddresses, device_binding::DeviceBinding},
    headers::{clear_site_data::ClearSiteData, cookie::CookieConfig, fetch_metadata::OwnSite},
    outcome::Classifier,
    reject::redirect::Pages,
    runtime::shared::Shared,
};

#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) shared: Arc<Shared>,
    /// Where the application has named one.
    pub(crate) realm: Option<Realm>,
    pub(crate) policy: SessionSettings,
    pub(crate) cookie: CookieConfig,
    pub(crate) pages: Pages,
    pub(crate) addresses: Option<ClientAddresses>,
    pub(crate) binding: Option<DeviceBinding>,
    pub(crate) clear_site_data: Option<ClearSiteData>,
    pub(crate) tells_deadlines: bool,
    pub(crate) classifier: Classifier,
    #[cfg(feature = "axum")]
    pub(crate) trusted_origins: Vec<String>,
    pub(crate) nesting: Arc<Nesting>,
}

impl Config {
    /// Starts what runs in the background, where it does not run yet.
    pub(crate) fn start_background(&self) {
        if self.shared.start_background() && self.realm.is_none() {
            self.warn_of_cookies_from_elsewhere();
        }
    }

    /// Its cookie and realm, for the check of nested layers.
    pub(crate) fn names(&self) -> Names<'_> {
        Names {
            cookie: &self.cookie,
            realm: self.realm.as_ref(),
        }
    }

    /// What distinguishes the site's own pages from those of others.
    pub(crate) fn own_site(&self) -> OwnSite<'_> {
        OwnSite {
            #[cfg(feature = "axum")]
            trusted: &self.trusted_origins,
            #[cfg(not(feature = "axum"))]
            trusted: &[],
            domain: self.cookie.domain_attribute(),
        }
    }

    fn warn_of_cookies_from_elsewhere(&self) {
        let own = Realm::of_cookie(self.cookie.name());
        let mut accepted = self.cookie.accepted().map(Realm::of_cookie);
        if accepted.any(|realm| realm != own) {
            tracing::warn!(
                realm = own.as_str(),
                "a session layer accepts a cookie under another name but names no realm, so sessions do not outlast the renaming; name the realm they are in"
            );
        }
    }
}
