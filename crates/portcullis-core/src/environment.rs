//! Environments: which limits of a policy hold for a deployment.

use std::{borrow::Cow, fmt};

use crate::{ConfigError, class::is_name};

/// Where an application runs, such as `production` or `staging`.
///
/// A [policy](crate::Policy) may have other limits for each environment. All processes that share
/// the sessions of a [realm](crate::Realm) have the same one.
///
/// A name is 1 to 32 of `a-z`, `0-9`, `_` and `-`, beginning with a letter.
///
/// ```
/// # use portcullis_core::Environment;
/// let production = Environment::new("production")?;
/// assert_eq!(production.as_str(), "production");
/// assert!(Environment::new("Production").is_err());
/// # Ok::<(), portcullis_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Environment(Cow<'static, str>);

impl Environment {
    /// The environment of this name.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the name is empty, too long, or has other characters than those above.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Result<Self, ConfigError> {
        let name = name.into();
        if !is_name(&name) {
            return Err(ConfigError::new(format!(
                "{name:?} cannot be an environment; use 1 to 32 of `a-z`, `0-9`, `_` and `-`, beginning with a letter"
            )));
        }
        Ok(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
