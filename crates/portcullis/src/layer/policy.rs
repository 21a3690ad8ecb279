//! Limits from a policy document.

use std::{fmt, sync::Arc};

use portcullis_core::{Policy, debug_as_message};
use portcullis_policy::{Declared, Document, PolicyBounds, Problem};

use crate::{SessionLayer, config::Demands};

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
    /// [`PolicyError`] with everything that is wrong with the document.
    pub fn policy(self, document: &Document) -> Result<Self, PolicyError> {
        let config = self.config();
        let (demands, limit) = (config.demands.names(), config.own.session_limit);
        let declared = Declared::new(&config.classes).demands(&demands);
        let declared = match limit {
            Some(limit) => declared.on_session_limit(limit.excess),
            None => declared,
        };
        let environment = config.environment.as_ref().map(|it| it.as_str());
        let policy = document
            .resolve(environment, &declared, &config.bounds)
            .map_err(|problems| PolicyError {
                problems,
                scopes: Vec::new(),
            })?;
        let scopes = other_scopes(&policy, &config.demands);
        if !scopes.is_empty() {
            return Err(PolicyError {
                problems: Vec::new(),
                scopes,
            });
        }
        Ok(self.with_document(Arc::new(policy)))
    }

    /// The widest limits that this application accepts from a [document](Self::policy). The default
    /// is the bounds of the library, which nothing widens. Set them before the document.
    #[must_use]
    pub fn policy_bounds(self, bounds: PolicyBounds) -> Self {
        self.with(|config| config.bounds = bounds)
    }
}

/// A line for each demand whose scope in the document is not that of the code. A document can demand
/// no scope of its own, because only code grants elevations.
fn other_scopes(policy: &Policy, declared: &Demands) -> Vec<String> {
    let demands = policy.demands.iter();
    let other = demands.filter_map(|(name, limits)| {
        let (scope, own) = (limits.scope.as_deref()?, declared.scope(name));
        (own != Some(scope)).then(|| {
            let own = own.map_or("none".to_owned(), |own| format!("`{own}`"));
            format!(
                "demand.{name}.scope: it is `{scope}`, and that of the code is {own}; only code grants a scope, so set `Demand::SCOPE` or remove it"
            )
        })
    });
    other.collect()
}

/// Everything that is wrong with a policy document: a line for each problem, with its path, both
/// values of a conflict, and the clause of a standard.
#[derive(Clone, PartialEq, Eq)]
pub struct PolicyError {
    problems: Vec<Problem>,
    /// A line for each demand with another scope than in code.
    scopes: Vec<String>,
}

impl PolicyError {
    /// The problems of the document itself.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl std::error::Error for PolicyError {}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the policy document is refused")?;
        let problems = self.problems.iter().map(ToString::to_string);
        let mut lines = problems.chain(self.scopes.iter().cloned());
        lines.try_for_each(|line| write!(f, "\n{line}"))
    }
}

impl fmt::Debug for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_as_message(self, f)
    }
}
