//! The settings of a layer, as its services use them.

mod nesting;
mod own_limits;
mod unknown_classes;

use std::sync::Arc;
#[cfg(feature = "policy")]
use std::time::Duration;

use portcullis_core::{Class, Environment, Policy, Realm, Timeouts, unit_of_work::SessionSettings};
#[cfg(feature = "policy")]
use portcullis_policy::PolicyBounds;

#[cfg(feature = "policy")]
use crate::runtime::live_policy::PolicyNames;

pub(crate) use self::own_limits::OwnLimits;
use self::{
    nesting::{Names, Nesting},
    unknown_classes::UnknownClasses,
};
use crate::{
    client::{ClientAddresses, device_binding::DeviceBinding},
    headers::{clear_site_data::ClearSiteData, cookie::CookieConfig, fetch_metadata::OwnSite},
    outcome::Classifier,
    reject::redirect::Pages,
    runtime::shared::Shared,
};

/// The checked settings of a layer.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) shared: Arc<Shared>,
    /// The realm that the application has named, if any.
    pub(crate) realm: Option<Realm>,
    /// Where the application runs, if it says so.
    pub(crate) environment: Option<Environment>,
    /// The classes that the application has declared.
    pub(crate) classes: Arc<[Class]>,
    /// Those of the classes that a policy document need not name.
    pub(crate) optional_classes: Arc<[Class]>,
    pub(crate) sessions: SessionSettings,
    /// The limits that code sets.
    pub(crate) own: OwnLimits,
    /// The limits of a document, which replace them.
    pub(crate) document: Option<Arc<Policy>>,
    /// The demands that the application has declared: the name of each, and its scope.
    pub(crate) demands: Vec<(&'static str, Option<&'static str>)>,
    /// The widest limits that the application accepts from a document.
    #[cfg(feature = "policy")]
    pub(crate) bounds: PolicyBounds,
    /// How old the store's answer about the active policy may be.
    #[cfg(feature = "policy")]
    pub(crate) policy_fresh_for: Duration,
    /// The classes of stored sessions that the policy does not have.
    pub(crate) unknown_classes: Arc<UnknownClasses>,
    pub(crate) cookie: CookieConfig,
    pub(crate) pages: Pages,
    pub(crate) addresses: Option<ClientAddresses>,
    pub(crate) binding: Option<DeviceBinding>,
    pub(crate) clear_site_data: Option<ClearSiteData>,
    /// Whether responses get the `Session-Timeout` header.
    pub(crate) sends_session_timeout: bool,
    pub(crate) classifier: Classifier,
    #[cfg(feature = "axum")]
    pub(crate) trusted_origins: Vec<String>,
    pub(crate) nesting: Arc<Nesting>,
}

impl Config {
    /// Starts the background tasks, unless they run.
    pub(crate) fn start_background(&self) {
        if self.shared.start_background() && self.realm.is_none() {
            self.warn_of_other_realms();
        }
    }

    /// What a document may name, and the bounds of its values.
    #[cfg(feature = "policy")]
    pub(crate) fn policy_names(&self) -> PolicyNames {
        PolicyNames {
            environment: self.environment.clone(),
            classes: self
                .classes
                .iter()
                .filter(|class| !self.optional_classes.contains(class))
                .copied()
                .collect(),
            optional_classes: Arc::clone(&self.optional_classes),
            demands: self.demands.clone(),
            bounds: self.bounds.clone(),
            on_limit: self.own.session_limit.map(|limit| limit.excess),
        }
    }

    /// The timeouts of sessions of no class.
    pub(crate) fn ordinary_timeouts(&self) -> Timeouts {
        self.sessions.policy.ordinary.timeouts
    }

    /// Its cookie and realm, for the check of nested layers.
    pub(crate) fn names(&self) -> Names<'_> {
        Names {
            cookie: &self.cookie,
            realm: self.realm.as_ref(),
        }
    }

    /// The names that count as this site.
    pub(crate) fn own_site(&self) -> OwnSite<'_> {
        OwnSite {
            #[cfg(feature = "axum")]
            trusted: &self.trusted_origins,
            #[cfg(not(feature = "axum"))]
            trusted: &[],
            domain: self.cookie.domain_attribute(),
        }
    }

    /// Warns if sessions under an additional cookie name are in another realm.
    fn warn_of_other_realms(&self) {
        let own = Realm::of_cookie(self.cookie.name());
        let mut accepted = self.cookie.accepted().map(Realm::of_cookie);
        if accepted.any(|realm| realm != own) {
            tracing::warn!(
                realm = own.as_str(),
                "a session layer accepts a cookie under another name but names no realm, so sessions of the other cookie are lost; set `SessionLayer::realm` to their realm"
            );
        }
    }
}
