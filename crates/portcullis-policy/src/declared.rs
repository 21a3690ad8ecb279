//! What code declares: the names that a document may use.

use portcullis_core::{Class, store::OnLimit};

/// What the code of an application declares. A document is refused if its names differ.
///
/// ```
/// # use portcullis_core::Class;
/// # use portcullis_policy::{Declared, Document, PolicyBounds};
/// const ADMIN: Class = Class::new("admin", 'a');
/// let document = Document::parse("schema = 1\n[class.admin]\nidle = '10m'\n").unwrap();
/// let declared = Declared::new(&[ADMIN]);
/// let policy = document.resolve(None, &declared, &PolicyBounds::new()).unwrap();
/// assert_eq!(policy.timeouts(ADMIN.code()).idle().as_secs(), 600);
///
/// let problems = document.resolve(None, &Declared::new(&[]), &PolicyBounds::new());
/// assert_eq!(problems.unwrap_err()[0].path, "class.admin");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Declared<'d> {
    pub(crate) classes: &'d [Class],
    pub(crate) optional: &'d [Class],
    pub(crate) demands: &'d [(&'d str, Option<&'d str>)],
    pub(crate) on_limit: Option<OnLimit>,
}

impl<'d> Declared<'d> {
    /// These classes. The document must name each.
    pub fn new(classes: &'d [Class]) -> Self {
        Self {
            classes,
            ..Self::default()
        }
    }

    /// Classes that the document need not name, for the time of a deployment. If the document does
    /// not name one, it has the limits of sessions without a class.
    #[must_use]
    pub fn optional_classes(self, optional: &'d [Class]) -> Self {
        Self { optional, ..self }
    }

    /// The names of the demands, and the scope of each. The document may tighten the demands, and
    /// must not name others. It names no other scope either, because only code grants elevations.
    #[must_use]
    pub fn demands(self, demands: &'d [(&'d str, Option<&'d str>)]) -> Self {
        Self { demands, ..self }
    }

    /// What a sign-in over the limit of sessions does. By default, it displaces the least recently
    /// used session.
    #[must_use]
    pub fn on_session_limit(self, on_limit: OnLimit) -> Self {
        Self {
            on_limit: Some(on_limit),
            ..self
        }
    }

    pub(crate) fn all_classes(&self) -> impl Iterator<Item = &'d Class> {
        self.classes.iter().chain(self.optional)
    }
}
