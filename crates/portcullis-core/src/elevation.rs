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

/// What an elevation permits. Implement it for a type of your own to name a scope.
///
/// An elevation for one scope is independent of all others. [`DefaultScope`] is the scope of
/// `elevate` and `Elevated` where none is named. The macro `portcullis::scope!` declares a type with
/// this trait.
///
/// OWASP ASVS 5.0, 7.5.1 and 7.5.3, asks for another authentication before sensitive changes.
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
    /// The name under which the elevation is stored and logged, of at most [`MAX_SCOPE_BYTES`]
    /// bytes. Code that elevates for a longer name does not compile.
    const NAME: &'static str;
}

/// The longest name of a [`Scope`], in bytes. It is stored with each elevation and in the log.
pub const MAX_SCOPE_BYTES: usize = 128;

/// The name of a scope. With a name that is too long, this does not compile.
pub const fn scope_name<S: Scope>() -> &'static str {
    const {
        assert!(
            S::NAME.len() <= MAX_SCOPE_BYTES,
            "the name of the scope is longer than `MAX_SCOPE_BYTES`"
        );
    }
    S::NAME
}

/// The scope that applies where none is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DefaultScope;

impl Scope for DefaultScope {
    const NAME: &'static str = "general";
}

/// An elevation as it is stored. Its end is stored relative to the absolute deadline, so that only
/// the store's clock decides about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Elevation {
    pub(crate) scope: String,
    /// How many milliseconds before the absolute deadline it ends.
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

    /// Keeps the end of the elevation when the absolute deadline moves.
    pub(crate) fn keep_end(&mut self, before: Timestamp, after: Timestamp) {
        self.ends_before_deadline = keep_moment(self.ends_before_deadline, before, after);
    }

    /// Ends the elevation at least this long before the absolute deadline.
    pub(crate) fn cap(&mut self, ends_before_deadline: Duration) {
        let least = crate::time::millis(ends_before_deadline);
        self.ends_before_deadline = self.ends_before_deadline.max(least);
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

/// A moment that is stored as milliseconds before the absolute deadline, when that deadline moves.
/// A moment after the deadline becomes the deadline.
pub(crate) fn keep_moment(before_deadline: u64, before: Timestamp, after: Timestamp) -> u64 {
    let moved = before_deadline.saturating_add(crate::time::millis(after.since(before)));
    moved.saturating_sub(crate::time::millis(before.since(after)))
}
