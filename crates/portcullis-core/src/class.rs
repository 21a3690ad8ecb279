//! The class of a session: which limits of a policy apply to it.

use std::fmt;

/// The class of a session: which limits of a [policy](crate::Policy) apply to it.
///
/// An application declares its classes, and chooses one for each sign-in. The name is for people
/// and documents. The character is stored with each session, so it belongs to one class forever.
///
/// OWASP ASVS 5.0, 7.1.1, asks for timeouts by the risk of what a session may do.
///
/// ```
/// # use portcullis_core::Class;
/// const ADMIN: Class = Class::new("admin", 'a');
/// assert_eq!(ADMIN.name(), "admin");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Class {
    name: &'static str,
    code: ClassCode,
}

impl Class {
    /// A class with this name and this character.
    ///
    /// The name is one to 32 of `a-z`, `0-9`, `_` and `-`, beginning with a letter. The character
    /// is one of `1-9` and `a-z`: `0` is stored with sessions of no class.
    ///
    /// # Panics
    ///
    /// If one of them is something else. In a `const`, that is an error of the compiler.
    #[allow(clippy::panic, reason = "constants are checked when they are compiled")]
    pub const fn new(name: &'static str, code: char) -> Self {
        assert!(
            is_name(name),
            "the name of a class is 1 to 32 of `a-z`, `0-9`, `_` and `-`, beginning with a letter"
        );
        assert!(
            matches!(code, '1'..='9' | 'a'..='z'),
            "the character of a class is one of `1-9` and `a-z`"
        );
        Self {
            name,
            code: ClassCode(code as u8),
        }
    }

    /// The name in policies and reports.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What is stored with each session of the class.
    pub const fn code(&self) -> ClassCode {
        self.code
    }
}

/// Whether this can be the name of a class, an environment or a demand: one to 32 of `a-z`, `0-9`,
/// `_` and `-`, beginning with a letter.
pub const fn is_name(name: &str) -> bool {
    let [first, rest @ ..] = name.as_bytes() else {
        return false;
    };
    let mut rest = rest;
    while let [byte, more @ ..] = rest {
        if !matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-') {
            return false;
        }
        rest = more;
    }
    first.is_ascii_lowercase() && name.len() <= 32
}

/// What is stored of the [`Class`] of a session: one character of `0-9` and `a-z`.
///
/// Stores keep it in the session's header and in every list. So they can apply the limits of a
/// class without reading the record.
///
/// ```
/// # use portcullis_core::ClassCode;
/// assert_eq!(ClassCode::default().as_char(), '0');
/// assert_eq!(ClassCode::from_char('a').map(ClassCode::as_char), Some('a'));
/// assert_eq!(ClassCode::from_char('A'), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClassCode(u8);

impl ClassCode {
    /// Stored with sessions to which the application has given no class: `0`.
    pub const NONE: Self = Self(b'0');

    /// This character. `None` unless it is one of `0-9` and `a-z`.
    pub fn from_char(code: char) -> Option<Self> {
        let byte = u8::try_from(code).ok()?;
        matches!(byte, b'0'..=b'9' | b'a'..=b'z').then_some(Self(byte))
    }

    /// The character.
    pub const fn as_char(self) -> char {
        self.0 as char
    }
}

/// The default is [`ClassCode::NONE`].
impl Default for ClassCode {
    fn default() -> Self {
        Self::NONE
    }
}

impl fmt::Display for ClassCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Write::write_char(f, self.as_char())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_lower_case() {
        for name in ["a", "admin", "break-glass_2", &"a".repeat(32)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "2fa", "-a", "Admin", "a b", "ä", "a.b", &"a".repeat(33)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
