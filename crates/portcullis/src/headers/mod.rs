//! Header fields, read and written: cookies, caching, origins, fetch metadata.

pub(crate) mod accept;
pub(crate) mod cache_control;
pub(crate) mod clear_site_data;
pub(crate) mod cookie;
pub(crate) mod fetch_metadata;
pub(crate) mod fields;
pub(crate) mod host;
#[cfg(feature = "axum")]
pub(crate) mod origin;
pub(crate) mod retained;
#[cfg(test)]
pub(crate) mod samples;
pub(crate) mod session_timeout;
