//! Limits from a policy document.

use std::sync::Arc;

use portcullis_policy::{Declared, Document, InvalidDocument, PolicyBounds};

use crate::SessionLayer;

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
        let config = self.config();
        let declared = Declared::new(&config.classes).demands(&config.demands);
        let declared = match config.own.session_limit {
            Some(limit) => declared.on_session_limit(limit.excess),
            None => declared,
        };
        let environment = config.environment.as_ref().map(|it| it.as_str());
        let policy = document
            .resolve(environment, &declared, &config.bounds)
            .map_err(InvalidDocument::new)?;
        Ok(self.with_document(Arc::new(policy)))
    }

    /// The widest limits that this application accepts from a [document](Self::policy). The default
    /// is the bounds of the library, which nothing widens. Set them before the document.
    #[must_use]
    pub fn policy_bounds(self, bounds: PolicyBounds) -> Self {
        self.with(|config| config.bounds = bounds)
    }
}
