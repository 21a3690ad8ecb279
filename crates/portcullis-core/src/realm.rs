//! Realms: which sessions an identifier can open.

use std::{borrow::Cow, fmt};

use crate::ConfigError;

/// The name of a separate set of sessions. An identifier opens only sessions of its own realm.
///
/// A store keeps everything by realm: records, lists, limits, logs and revocations. Two layers on
/// one store share sessions only if they have the same realm. By default it is the base name of the
/// layer's cookie.
///
/// A name has 1 to 255 characters: ASCII letters and digits, `-`, `_`, `.` and `%`.
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

/// Prefixes that say how a browser treats a cookie. They are no part of the base name.
const PREFIXES: [&str; 4] = ["__Host-Http-", "__Http-", "__Host-", "__Secure-"];

impl Realm {
    /// The realm with this name.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the name is empty, too long or has other characters than those above.
    pub fn new(name: impl Into<String>) -> Result<Self, ConfigError> {
        let name = name.into();
        if name.is_empty()
            || name.len() > LONGEST
            || !name.bytes().all(|byte| is_plain(byte) || byte == b'%')
        {
            return Err(ConfigError::new(format!(
                "{name:?} cannot be a realm; use 1 to {LONGEST} characters: ASCII letters, digits, `-`, `_` and `.`"
            )));
        }
        Ok(Self(Cow::Owned(name)))
    }

    /// The realm of layers whose cookie has this name: the name without its prefix. Characters that
    /// a realm cannot have are percent-encoded.
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

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Browsers ignore case in the prefix.
fn strip<'n>(name: &'n str, prefix: &str) -> Option<&'n str> {
    let (start, rest) = name.split_at_checked(prefix.len())?;
    (start.eq_ignore_ascii_case(prefix) && !rest.is_empty()).then_some(rest)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

/// The realm of the default cookie: `id`.
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
