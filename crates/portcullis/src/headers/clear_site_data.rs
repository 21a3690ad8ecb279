//! What a browser is asked to clear at a sign-out.

use http::{HeaderMap, HeaderName, HeaderValue};

const FIELD: HeaderName = HeaderName::from_static("clear-site-data");

/// What the response to a sign-out asks the browser to clear, in addition to the session's cookie
/// (OWASP ASVS 5.0, 14.3.1; W3C Clear Site Data). Browsers obey it over https and on
/// localhost. They show the response after they have cleared everything. WebKit ignores it on a
/// redirect: see [the guide](crate::browser#where-browsers-differ).
///
/// | directive | clears | costs |
/// |---|---|---|
/// | `"storage"` | what scripts of this origin stored (`localStorage`, IndexedDB, caches of service workers), and its service workers | data that should outlive a sign-out is lost too: settings, drafts, offline data |
/// | `"cache"` | the HTTP cache of this origin, and pages kept for the back button | Chromium searches its whole cache, of all sites: [up to seconds](https://crbug.com/40233601) in which the sign-out hangs, longer the fuller it is. Scripts and styles are loaded again. |
/// | `"cookies"` | all cookies of the registrable domain | sibling hosts lose theirs: a sign-out from `shop.example.com` also signs out of `mail.example.com` |
///
/// `"storage"` alone is the default. Pages that read the session are not in the HTTP cache, because
/// they carry `no-store`. Add `"cache"` if responses to signed-in users are stored, for example
/// with `Cache-Control: private, max-age=60`.
///
/// ```
/// # use portcullis::{MemoryStore, SessionLayer, cookie::ClearSiteData};
/// let layer = SessionLayer::new(MemoryStore::new())
///     .clear_site_data(ClearSiteData::cache_and_storage());
/// assert_eq!(ClearSiteData::default(), ClearSiteData::storage_only());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClearSiteData(What);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum What {
    #[default]
    Storage,
    Cache,
    CacheAndStorage,
    Everything,
}

impl ClearSiteData {
    /// Clears what scripts have stored for this origin. The default.
    pub fn storage_only() -> Self {
        Self(What::Storage)
    }

    /// Clears what scripts have stored, and the cache. Chromium may take seconds for the cache.
    pub fn cache_and_storage() -> Self {
        Self(What::CacheAndStorage)
    }

    /// Clears the cache alone, for applications whose local storage must outlive a sign-out, for
    /// example because they work offline. Chromium may take seconds for it.
    pub fn cache_only() -> Self {
        Self(What::Cache)
    }

    /// Clears cache, storage and all cookies of the registrable domain, including those of sibling
    /// hosts. Cookies are cleared only by the request that itself ended the session, because
    /// another tab may have begun one in the meantime.
    pub fn everything_with_cookies_of_sibling_hosts() -> Self {
        Self(What::Everything)
    }

    /// Adds the field, unless the handler has sent its own.
    pub(crate) fn ask(self, headers: &mut HeaderMap, with_cookies: bool) {
        let what = match self.0 {
            What::Storage => r#""storage""#,
            What::Cache => r#""cache""#,
            What::Everything if with_cookies => r#""cache", "storage", "cookies""#,
            What::CacheAndStorage | What::Everything => r#""cache", "storage""#,
        };
        headers
            .entry(FIELD)
            .or_insert(HeaderValue::from_static(what));
    }
}
