//! `Set-Cookie` as a browser reads it.

use std::collections::BTreeMap;

/// A `Set-Cookie` field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetCookie {
    /// The cookie's name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Its attributes in lower case; one without a value has an empty one.
    pub attributes: BTreeMap<String, String>,
}

impl SetCookie {
    /// Reads a field.
    pub fn parse(field: &str) -> Self {
        let mut parts = field.split(';').map(str::trim);
        let split = |part: &str| match part.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (part.to_owned(), String::new()),
        };
        let (name, value) = split(parts.next().unwrap_or_default());
        let attributes = parts
            .map(|part| split(&part.to_ascii_lowercase()))
            .collect();
        Self {
            name,
            value,
            attributes,
        }
    }

    /// Whether a browser forgets the cookie.
    pub fn removes(&self) -> bool {
        self.attributes.get("max-age").map(String::as_str) == Some("0")
    }

    /// The attributes apart from the lifetime, as `name` or `name=value`.
    pub fn scope(&self) -> Vec<String> {
        let lasting = |name: &str| name == "max-age" || name == "expires";
        let attributes = self.attributes.iter().filter(|(name, _)| !lasting(name));
        attributes
            .map(|(name, value)| match value.as_str() {
                "" => name.clone(),
                value => format!("{name}={value}"),
            })
            .collect()
    }
}
