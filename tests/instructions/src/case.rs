//! The measured requests.

/// What a request does with its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// Sends its cookie to a route that does not load the session.
    Ignored,
    /// Reads a value of 200 bytes.
    Read,
    /// Adds one to a counter.
    Write,
    /// Signs in where there was no session, and stores the value.
    SignIn,
}

impl Case {
    pub(crate) const ALL: [Self; 4] = [Self::Ignored, Self::Read, Self::Write, Self::SignIn];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ignored => "ignored",
            Self::Read => "read",
            Self::Write => "write",
            Self::SignIn => "sign-in",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|case| case.name() == name)
    }
}
