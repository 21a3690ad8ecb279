//! What a browser is asked to forget with the end of a session.

use http::{HeaderMap, HeaderName, HeaderValue};

const FIELD: HeaderName = HeaderName::from_static("clear-site-data");

/// What the browser is asked to clear away, beside the session's cookie, with the response to a request that signs out
/// (OWASP ASVS 5.0, 14.3.1; W3C Clear Site Data). Browsers obey it over https and on localhost.
///
/// ```
/// # use portcullis::{ClearSiteData, MemoryStore, SessionLayer};
/// let layer = SessionLayer::new(MemoryStore::new()).clear_site_data(ClearSiteData::cache_only());
/// assert_eq!(ClearSiteData::default(), ClearSiteData::cache_and_storage());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClearSiteData(What);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum What {
    Nothing,
    Cache,
    #[default]
    CacheAndStorage,
    Everything,
}

impl ClearSiteData {
    /// Pages and what they loaded, so that the back button shows nothing of the account, and all that scripts have
    /// stored for this origin: the default.
    pub fn cache_and_storage() -> Self {
        Self(What::CacheAndStorage)
    }

    /// Pages and what they loaded; for applications whose local storage outlives a sign-out, such as one that works
    /// offline.
    pub fn cache_only() -> Self {
        Self(What::Cache)
    }

    /// Everything, with all cookies of the registrable domain, also those of sibling hosts. Cookies only by the request
    /// that itself ended the session: another tab may have begun one meanwhile.
    pub fn everything_with_cookies_of_sibling_hosts() -> Self {
        Self(What::Everything)
    }

    /// Nothing: the application sends the field itself.
    pub fn nothing() -> Self {
        Self(What::Nothing)
    }

    /// Adds the field, unless the handler has sent its own.
    pub(crate) fn ask(self, headers: &mut HeaderMap, with_cookies: bool) {
        let what = match self.0 {
            What::Nothing => return,
            What::Cache => r#""cache""#,
            What::Everything if with_cookies => r#""cache", "storage", "cookies""#,
            What::CacheAndStorage | What::Everything => r#""cache", "storage""#,
        };
        headers
            .entry(FIELD)
            .or_insert(HeaderValue::from_static(what));
    }
}
