//! To which sessions an identifier belongs.

use std::{borrow::Cow, fmt};

use crate::ConfigError;

/// A name for the sessions that one kind of layer makes. An identifier opens only sessions of the realm it was made in.
///
/// Everything that a store keeps of sessions is kept by realm: records, lists, limits, logs and revocations. Two layers
/// on one store share sessions only if they have the same realm. By default it is the base name of the layer's cookie.
///
/// It has 1 to 255 ASCII codes, digits, `-`, `_`, `.` and `%`.
///
/// ```
/// # use portcullis_core::Realm;
/// let admin = Realm::new("admin")?;
/// assert_eq!(admin.as_str(), "admin");
/// assert_eq!(Realm::default().as_str(), "id");
/// assert!(Realm::new("a:b").is_err());
/// # Ok::<(), portcullis_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Realm(Cow<'static, str>);

const LONGEST: usize = 255;

/// What a browser makes of cookies with these in front of their names is no part of what they are called.
const PREFIXES: [&str; 4] = ["__Host-Http-", "__Http-", "__Host-", "__Secure-"];

impl Realm {
    /// The realm of this name.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for a name with other characters than those above, an empty or a longer one.
    pub fn new(name: impl Into<String>) -> Result<Self, ConfigError> {
        let name = name.into();
        if name.is_empty()
            || name.len() > LONGEST
            || !name.bytes().all(|byte| is_plain(byte) || byte == b'%')
        {
            return Err(ConfigError::new(format!(
                "{name:?} cannot be a realm; use 1 to {LONGEST} ASCII codes, digits, `-`, `_` and `.`"
            )));
        }
        Ok(Self(Cow::Owned(name)))
    }

    /// The realm of layers with a cookie of this name: the name without its prefix. Characters that a realm cannot have
    /// are percent-encoded.
    ///
    /// ```
    /// # use portcullis_core::Realm;
    /// assert_eq!(Realm::of_cookie("__Host-Http-id"), Realm::default());
    /// assert_eq!(Realm::of_cookie("__Secure-shop*").as_str(), "shop%2A");
    /// ```
    pub fn of_cookie(name: &str) -> Self {
        let base = PREFIXES
            .iter()
            .find_map(|prefix| strip(name, prefix))
            .unwrap_or(name);
        let mut realm = String::with_capacity(base.len());
        for byte in base.bytes() {
            if is_plain(byte) {
                realm.push(char::from(byte));
            } else {
                realm.push_str(&format!("%{byte:02X}"));
            }
        }
        Self(Cow::Owned(realm))
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Browsers compare the prefix without regard to case.
fn strip<'n>(name: &'n str, prefix: &str) -> Option<&'n str> {
    let (start, rest) = name.split_at_checked(prefix.len())?;
    (start.eq_ignore_ascii_case(prefix) && !rest.is_empty()).then_some(rest)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

/// That of the default cookie: `id`.
impl Default for Realm {
    fn default() -> Self {
        Self(Cow::Borrowed("id"))
    }
}

impl fmt::Display for Realm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_of_different_base_names_have_different_realms() {
        let names = ["id", "ID", "id2", "i*d", "i%2Ad", "i%d", "__Host-", "shop"];
        let realms: std::collections::HashSet<_> = names.map(Realm::of_cookie).into();
        assert_eq!(realms.len(), names.len());
    }

    #[test]
    fn a_prefix_of_a_cookie_is_no_part_of_its_realm() {
        for name in [
            "id",
            "__Host-Http-id",
            "__Host-id",
            "__secure-id",
            "__Http-id",
        ] {
            assert_eq!(Realm::of_cookie(name), Realm::default(), "{name}");
        }
    }

    #[test]
    fn a_realm_cannot_break_a_key() {
        for name in ["", "a:b", "{x}", "a*", "ü", "a b", &"x".repeat(256)] {
            assert!(Realm::new(name).is_err(), "{name}");
        }
    }
}
