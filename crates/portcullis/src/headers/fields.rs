//! The fields of a request that decide something, found in one pass over all fields. The pass runs
//! for every request, also for those that ignore their session.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::headers::cookie::Cookies;

/// If a field is present more than once, its first value counts. Of cookies, all count.
pub(crate) struct Fields<'r> {
    pub(crate) cookies: Cookies,
    pub(crate) user_agent: Option<&'r HeaderValue>,
    pub(crate) accept: Option<&'r HeaderValue>,
    pub(crate) upgrade: Option<&'r HeaderValue>,
    pub(crate) purpose: Option<&'r HeaderValue>,
    pub(crate) sec_purpose: Option<&'r HeaderValue>,
    pub(crate) origin: Option<&'r HeaderValue>,
    pub(crate) referer: Option<&'r HeaderValue>,
    pub(crate) sec_fetch_dest: Option<&'r HeaderValue>,
    pub(crate) sec_fetch_mode: Option<&'r HeaderValue>,
    pub(crate) sec_fetch_user: Option<&'r HeaderValue>,
    pub(crate) sec_fetch_site: Option<&'r HeaderValue>,
    pub(crate) passive: Option<&'r HeaderValue>,
}

/// The value of a field that is present once. Ambiguous fields decide nothing.
pub(crate) fn only(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value),
        _ => None,
    }
}

impl<'r> Fields<'r> {
    pub(crate) fn of(headers: &'r HeaderMap) -> Self {
        let mut fields = Self {
            cookies: Cookies::default(),
            user_agent: None,
            accept: None,
            upgrade: None,
            purpose: None,
            sec_purpose: None,
            origin: None,
            referer: None,
            sec_fetch_dest: None,
            sec_fetch_mode: None,
            sec_fetch_user: None,
            sec_fetch_site: None,
            passive: None,
        };
        for (name, value) in headers {
            let field = match name.as_str() {
                "cookie" => {
                    fields.cookies.add(value);
                    continue;
                }
                "user-agent" => &mut fields.user_agent,
                "accept" => &mut fields.accept,
                "upgrade" => &mut fields.upgrade,
                "purpose" => &mut fields.purpose,
                "sec-purpose" => &mut fields.sec_purpose,
                "origin" => &mut fields.origin,
                "referer" => &mut fields.referer,
                "sec-fetch-dest" => &mut fields.sec_fetch_dest,
                "sec-fetch-mode" => &mut fields.sec_fetch_mode,
                "sec-fetch-user" => &mut fields.sec_fetch_user,
                "sec-fetch-site" => &mut fields.sec_fetch_site,
                "portcullis-passive" => &mut fields.passive,
                _ => continue,
            };
            field.get_or_insert(value);
        }
        fields
    }

    /// Whether the browser reports a navigation; `None` if it reports nothing.
    pub(crate) fn navigates(&self) -> Option<bool> {
        navigates(self.sec_fetch_mode)
    }
}

/// Whether this `Sec-Fetch-Mode` is a navigation.
pub(crate) fn navigates(mode: Option<&HeaderValue>) -> Option<bool> {
    Some(mode? == "navigate")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::samples::headers;

    #[test]
    fn the_first_value_of_a_field_counts() {
        let headers = headers(&[
            ("sec-fetch-mode", "navigate"),
            ("user-agent", "curl"),
            ("sec-fetch-mode", "cors"),
        ]);
        let fields = Fields::of(&headers);
        assert_eq!(fields.sec_fetch_mode.unwrap(), "navigate");
        assert_eq!(fields.user_agent.unwrap(), "curl");
        assert!(fields.accept.is_none());
    }
}
