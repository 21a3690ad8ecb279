//! Limits from a policy document.

use std::{sync::Arc, time::Duration};

use portcullis_core::ConfigError;
use portcullis_policy::{Document, InvalidDocument, PolicyBounds};

use crate::{SessionLayer, admin::policies::Policies, runtime::live_policy::FRESH_FOR};

impl SessionLayer {
    /// The limits of a policy document. It replaces what code sets with
    /// [`timeouts`](Self::timeouts), [`class_timeouts`](Self::class_timeouts),
    /// [`remember_me`](Self::remember_me) and the number of
    /// [`session_limit`](Self::session_limit). Sessions that began under other limits keep theirs.
    ///
    /// The document is resolved for the [environment](Self::environment) of the layer, and checked
    /// for all of its environments and classes. Its names and those that the application declares
    /// must be the same. So the environment, the [classes](Self::classes) and the
    /// [demands](Self::demand) come first.
    ///
    /// ```
    /// # use portcullis::{MemoryStore, SessionLayer};
    /// use portcullis::{policy::Document, settings::Class};
    ///
    /// const ADMIN: Class = Class::new("admin", 'a');
    ///
    /// let document = Document::parse(
    ///     r#"
    ///     schema = 1
    ///     profile = "aal2"
    ///     [class.admin]
    ///     idle = "15m"
    ///     "#,
    /// )?;
    /// let sessions = SessionLayer::new(MemoryStore::new())
    ///     .classes([ADMIN])?
    ///     .policy(&document)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidDocument`] with everything that is wrong with the document.
    pub fn policy(self, document: &Document) -> Result<Self, InvalidDocument> {
        let names = self.config().policy_names();
        let environment = names.environment.as_ref().map(|it| it.as_str());
        let policy = document
            .resolve(environment, &names.declared(), &names.bounds)
            .map_err(InvalidDocument::new)?;
        Ok(self.with_document(Arc::new(policy)))
    }

    /// The active policy of this layer's realm, for operators.
    pub fn policies(&self) -> Policies {
        Policies::of_shared(&self.config().shared)
    }

    /// How old the store's answer about the active policy may be when a request is judged by it: 1
    /// to 5 seconds, by default 5. Each process asks the store that often.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for another length.
    pub fn policy_interval(self, interval: Duration) -> Result<Self, ConfigError> {
        if !(Duration::from_secs(1)..=FRESH_FOR).contains(&interval) {
            return Err(ConfigError::new(format!(
                "the interval of policies is {interval:?}; it must be between 1s and 5s"
            )));
        }
        Ok(self.with(|config| config.policy_fresh_for = interval))
    }

    /// The widest limits that this application accepts from a [document](Self::policy). The default
    /// is the bounds of the library, which nothing widens. Set them before the document.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use portcullis::{MemoryStore, SessionLayer, policy::{LimitName, PolicyBounds}};
    ///
    /// const HOUR: Duration = Duration::from_secs(60 * 60);
    ///
    /// let bounds = PolicyBounds::new().at_most(LimitName::Absolute, 12 * HOUR)?;
    /// let sessions = SessionLayer::new(MemoryStore::new()).policy_bounds(bounds);
    /// # Ok::<(), portcullis::ConfigError>(())
    /// ```
    #[must_use]
    pub fn policy_bounds(self, bounds: PolicyBounds) -> Self {
        self.with(|config| config.bounds = bounds)
    }
}
