//! Elevation: a short time after re-authentication in which a session may do more.

use std::time::Duration;

use crate::{
    Timestamp,
    record::{
        Unencodable,
        fields::{self, Field, Unknown},
        msgpack::{Append, Damaged, Reader},
    },
};

/// What an elevation permits. Implement it for your own type to name a scope.
///
/// An elevation for one scope is independent of all others. The one without a name ([`DefaultScope`]) is
/// a scope like the rest.
///
/// ```
/// # use portcullis_core::Scope;
/// #[derive(Debug)]
/// struct Payments;
/// impl Scope for Payments {
///     const NAME: &'static str = "payments";
/// }
/// ```
pub trait Scope: Send + Sync + 'static {
    /// The name under which the elevation is stored and logged: at most [`MAX_SCOPE_BYTES`] bytes.
    /// Code that elevates for a longer name does not compile.
    const NAME: &'static str;
}

/// How long the name of a [`Scope`] may be, in bytes. It is stored with each elevation, and in the
/// log.
pub const MAX_SCOPE_BYTES: usize = 128;

/// The name of a scope that is not too long. With one that is, this does not compile.
pub const fn scope_name<S: Scope>() -> &'static str {
    const {
        assert!(
            S::NAME.len() <= MAX_SCOPE_BYTES,
            "the name of the scope is longer than `MAX_SCOPE_BYTES`"
        );
    }
    S::NAME
}

/// The scope that is meant when none is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DefaultScope;

impl Scope for DefaultScope {
    const NAME: &'static str = "general";
}

/// An elevation as it is stored. Its end is told relative to the absolute deadline, so that only
/// the store's clock ever makes it a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Elevation {
    pub(crate) scope: String,
    /// It ends this many milliseconds before the absolute deadline.
    ends_before_deadline: u64,
    unknown: Unknown,
}

/// The keys of its fields.
mod key {
    pub(super) const SCOPE: u8 = 0;
    pub(super) const ENDS_BEFORE_DEADLINE: u8 = 1;
}

impl Elevation {
    pub(crate) fn new(scope: String, ends_before_deadline: Duration) -> Self {
        Self {
            scope,
            ends_before_deadline: crate::time::millis(ends_before_deadline),
            unknown: Unknown::default(),
        }
    }

    /// The absolute deadline is set `later` by so much; the elevation ends when it would have.
    pub(crate) fn keep_end(&mut self, later: Duration) {
        let later = crate::time::millis(later);
        self.ends_before_deadline = self.ends_before_deadline.saturating_add(later);
    }

    /// When it ends, in a session with this absolute deadline.
    pub(crate) fn ends_at(&self, absolute_deadline: Timestamp) -> Timestamp {
        absolute_deadline.before(Duration::from_millis(self.ends_before_deadline))
    }

    pub(crate) fn unknown(&self) -> &Unknown {
        &self.unknown
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) -> Result<(), Unencodable> {
        let mut fields = fields::Writer::new(out);
        fields.field(key::SCOPE).append_str(&self.scope)?;
        let ends = fields.field(key::ENDS_BEFORE_DEADLINE);
        ends.append_uint(self.ends_before_deadline);
        fields.finish(&self.unknown)
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Damaged> {
        let (mut scope, mut ends_before_deadline) = (None, None);
        let unknown = fields::read(reader, |key, value| {
            match key {
                key::SCOPE => scope = Some(value.str()?.to_owned()),
                key::ENDS_BEFORE_DEADLINE => ends_before_deadline = Some(value.uint()?),
                _ => return Ok(Field::Unknown),
            }
            Ok(Field::Known)
        })?;
        Ok(Self {
            scope: scope.ok_or(Damaged)?,
            ends_before_deadline: ends_before_deadline.ok_or(Damaged)?,
            unknown,
        })
    }
}
