//! The response that a client received.

use std::panic::Location;

use http::{HeaderMap, StatusCode, header::SET_COOKIE};
use serde::de::DeserializeOwned;

use crate::SetCookie;

/// A response with its checks. A check that fails panics at the line of the test.
#[derive(Debug)]
pub struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Reply {
    pub(crate) fn new(status: StatusCode, headers: HeaderMap, body: String) -> Self {
        Self {
            status,
            headers,
            body,
        }
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// The body.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The fields of this name, joined as HTTP joins them; empty if there is none.
    pub fn header(&self, name: &str) -> String {
        let values: Vec<_> = self
            .headers
            .get_all(name)
            .iter()
            .map(|value| value.to_str().expect("text"))
            .collect();
        values.join(", ")
    }

    /// All fields.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body, read.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        match serde_json::from_str(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("{error} in {self:?}"),
        }
    }

    /// It has this status.
    #[track_caller]
    pub fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }

    /// It is a problem document of this status and type that reveals nothing of the server.
    #[track_caller]
    pub fn is_problem(&self, status: u16, code: &str) -> &Self {
        self.is(status);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let document: serde_json::Value = self.json();
        assert_eq!(document["type"], format!("urn:portcullis:problem:{code}"));
        assert_eq!(document["status"], status);
        let members = document.as_object().expect("an object").keys();
        let members: Vec<_> = members
            .filter(|name| !matches!(name.as_str(), "reason" | "now"))
            .collect();
        assert_eq!(members, ["detail", "status", "title", "type"]);
        for inner in [
            "redis",
            "127.0.0.1",
            "store-internal",
            ":6379",
            "portcullis::",
            "rmp",
        ] {
            assert!(!self.body.contains(inner), "{inner} in {}", self.body);
        }
        self
    }

    /// It is a page of this status that contains this text.
    #[track_caller]
    pub fn is_page(&self, status: u16, text: &str) -> &Self {
        self.is(status);
        assert_eq!(self.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(self.header("cache-control"), "no-store");
        assert!(self.body.starts_with("<!doctype html>"), "{self:?}");
        assert!(self.body.contains(text), "{self:?}");
        self
    }

    /// Why the session ended, from a problem document.
    pub fn reason(&self) -> Option<String> {
        let document: serde_json::Value = serde_json::from_str(&self.body).ok()?;
        document["reason"].as_str().map(ToOwned::to_owned)
    }

    /// The `Set-Cookie` fields.
    pub fn set_cookies(&self) -> Vec<SetCookie> {
        let fields = self.headers.get_all(SET_COOKIE).iter();
        fields
            .map(|field| SetCookie::parse(field.to_str().expect("text")))
            .collect()
    }

    /// Its only `Set-Cookie`.
    #[track_caller]
    pub fn set_cookie(&self) -> SetCookie {
        let mut cookies = self.set_cookies();
        let caller = Location::caller();
        assert_eq!(cookies.len(), 1, "{caller}: {self:?}");
        cookies.remove(0)
    }

    /// It leaves the browser's cookies as they are.
    #[track_caller]
    pub fn keeps_the_cookie(&self) -> &Self {
        assert_eq!(self.set_cookies(), [], "{self:?}");
        self
    }

    /// It sets a new identifier, and no other cookie.
    #[track_caller]
    pub fn new_id(&self) -> String {
        let cookie = self.set_cookie();
        assert!(!cookie.removes() && !cookie.value.is_empty(), "{self:?}");
        cookie.value
    }

    /// It removes the cookie from the browser, and sets no other.
    #[track_caller]
    pub fn removes_the_cookie(&self) -> &Self {
        let cookie = self.set_cookie();
        assert!(cookie.removes() && cookie.value.is_empty(), "{self:?}");
        self
    }
}
