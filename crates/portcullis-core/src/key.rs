//! Keys of the values in a session.

use std::{fmt, marker::PhantomData};

/// The name of a session value, with the value's type. Define it once as a constant and use it
/// everywhere.
///
/// ```
/// # use portcullis_core::Key;
/// #[derive(serde::Serialize, serde::Deserialize, Default)]
/// struct Cart { items: Vec<u64> }
///
/// const CART: Key<Cart> = Key::new("cart");
/// ```
///
/// # When the type of a key changes
///
/// Sessions outlive a deployment, so a release reads what the previous one stored.
///
/// * **A field is new:** give it a default. Fields that the type no longer has are ignored.
/// * **A field or a variant has a new name:** keep the former name as an alias.
/// * **Anything else:** use a new name for the key. Servers of both releases then work side by
///   side. Read the former key once if its value is worth it.
/// * **The old values are worth nothing:** keep the key and read it with `Session::get_or_remove`,
///   which removes what it cannot read. While servers of both releases run, each removes what the
///   other stored.
///
/// ```
/// # use portcullis_core::Key;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize, Default)]
/// struct Cart {
///     #[serde(alias = "products")]
///     items: Vec<Item>,
///     #[serde(default)]
///     voucher: Option<String>,
/// }
/// # #[derive(Serialize, Deserialize)]
/// # struct Item;
///
/// // Until release 2 it was a list of numbers under "cart".
/// const CART: Key<Cart> = Key::new("cart.v2");
/// ```
pub struct Key<T> {
    name: &'static str,
    value: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// A key with this name. Two keys with one name are the same place in the session.
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

/// The name of a value of type `T`: a [`Key<T>`], or a plain string, which names values of any
/// type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name a session value of type `{T}`",
    note = "use a `Key<{T}>` constant or a string"
)]
pub trait ValueKey<T> {
    /// The name.
    fn name(&self) -> &str;
}

impl<T> ValueKey<T> for Key<T> {
    fn name(&self) -> &str {
        self.name
    }
}

impl<T> ValueKey<T> for &str {
    fn name(&self) -> &str {
        self
    }
}

impl<T> ValueKey<T> for String {
    fn name(&self) -> &str {
        self
    }
}

impl<T> ValueKey<T> for &String {
    fn name(&self) -> &str {
        self
    }
}
