//! The class of a session: which limits of a policy apply to it.

use std::fmt;

/// The class of a session: one character of `0-9` and `a-z`.
///
/// Stores keep it in the session's header and in every list. So they can apply the limits of a
/// class without reading the record.
///
/// ```
/// # use portcullis_core::Class;
/// assert_eq!(Class::default().as_char(), '0');
/// assert_eq!(Class::from_char('a').map(Class::as_char), Some('a'));
/// assert_eq!(Class::from_char('A'), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Class(u8);

impl Class {
    /// The class of sessions to which the application has given none: `0`.
    pub const NONE: Self = Self(b'0');

    /// The class with this character. `None` unless it is one of `0-9` and `a-z`.
    pub fn from_char(code: char) -> Option<Self> {
        let byte = u8::try_from(code).ok()?;
        matches!(byte, b'0'..=b'9' | b'a'..=b'z').then_some(Self(byte))
    }

    /// The character of the class.
    pub fn as_char(self) -> char {
        char::from(self.0)
    }
}

/// The default is [`Class::NONE`].
impl Default for Class {
    fn default() -> Self {
        Self::NONE
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Write::write_char(f, self.as_char())
    }
}
