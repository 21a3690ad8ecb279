//! Names of values in a session.

use std::{fmt, marker::PhantomData};

/// A name and the type of the value under it, written once and used everywhere.
///
/// ```
/// # use portcullis_core::Key;
/// #[derive(serde::Serialize, serde::Deserialize, Default)]
/// struct Cart { items: Vec<u64> }
///
/// const CART: Key<Cart> = Key::new("cart");
/// ```
pub struct Key<T> {
    name: &'static str,
    value: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// A key with this name. Two keys of one name are the same place in the session.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            value: PhantomData,
        }
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T> AsRef<str> for Key<T> {
    fn as_ref(&self) -> &str {
        self.name
    }
}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.name).finish()
    }
}

/// What can name a value of type `T`: a [`Key<T>`], or a plain string, which names values of any type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name a session value of type `{T}`",
    note = "use a `Key<{T}>` constant or a string"
)]
pub trait AsKey<T> {
    /// The name.
    fn name(&self) -> &str;
}

impl<T> AsKey<T> for Key<T> {
    fn name(&self) -> &str {
        self.name
    }
}

impl<T> AsKey<T> for &str {
    fn name(&self) -> &str {
        self
    }
}

impl<T> AsKey<T> for String {
    fn name(&self) -> &str {
        self
    }
}

impl<T> AsKey<T> for &String {
    fn name(&self) -> &str {
        self
    }
}
